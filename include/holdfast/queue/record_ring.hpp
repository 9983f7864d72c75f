// SPDX-License-Identifier: MIT
// record_ring: a bounded FIFO of byte records of any length, from one thread to one other, without a copy.
//
//   operation              caller     progress    cost        allocates   when refused
//   try_claim(n)           writer     wait-free   O(1)        never       nullptr: full, or n > max_record()
//   commit(used, tag)      writer     wait-free   O(1)        never       (asserted: the open claim is that large)
//   front(out)             reader     wait-free   O(1)        never       false: empty, `out` is as it was
//   pop                    reader     wait-free   O(1)        never       (asserted by the reader's position)
//   release                reader     wait-free   O(1)        never
//   granted(n), backlog    writer     wait-free   O(1)        never
//
// In short: one writer, one reader | wait-free | never | no memory to write to
//
// When to use it: log lanes, event streams, anything serialised where it is born. When not: values of one type go
// through spsc_queue; several writers each get a ring of their own.
//
// A claim that is not committed costs nothing and is forgotten by the next one. pop() only moves the reader's private
// position: the bytes stay valid until release(), so a reader can hand many records to one write(2) and free them
// after it. Records are 8-byte aligned. The writer asks for the reader's position once for a quarter of the ring, not
// once a record.
//
// Memory: the caller's storage, a multiple of 8 bytes and at least 256, and three lines of state. A record takes 8
// bytes more than its payload, rounded up to 8; the largest is half of the storage (rounded up to 8) less 16 bytes, so
// that one always fits into an empty ring wherever its positions stand.
//
// Method: queue/record_sides.hpp; positions of writer and reader stand on lines that the other side never reads.
//
// Proof: tests/model/record_ring_model.cpp (every execution of small cases: order, the way round the end, deaths),
// tests/unit/record_ring_test.cpp (against an oracle, every size at every position),
// tests/stress/record_ring_stress.cpp (both thread sanitizers), tests/linearizability/queue_windows.cpp, tests/alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/record_sides.hpp"

namespace holdfast {

class record_ring {
 public:
  static constexpr std::size_t header_bytes = record_layout::header_bytes;
  static constexpr std::size_t min_storage = record_layout::min_storage;
  static constexpr std::size_t max_storage = record_layout::max_storage;
  using record = record_view;

  // The storage outlives the ring and is used by nobody else.
  explicit record_ring(std::span<std::byte> storage) noexcept
      : writer_{{storage.data(), static_cast<std::uint32_t>(storage.size()), 0}},
        reader_{{storage.data(), static_cast<std::uint32_t>(storage.size()), 0}} {
    HOLDFAST_ASSERT(storage.size() >= min_storage);
    HOLDFAST_ASSERT(storage.size() <= max_storage);
    HOLDFAST_ASSERT(storage.size() % 8 == 0);
    HOLDFAST_ASSERT(reinterpret_cast<std::uintptr_t>(storage.data()) % 8 == 0);
    record_layout::word(storage.data()).store(0, mo::relaxed);  // init: before either side runs
  }
  record_ring(const record_ring&) = delete;
  record_ring& operator=(const record_ring&) = delete;

  // --- writer ---

  [[nodiscard]] std::size_t max_record() const noexcept { return record_layout::max_record(writer_.side.capacity()); }
  [[nodiscard]] std::size_t capacity() const noexcept { return writer_.side.capacity(); }

  // Would a claim of `bytes` succeed without asking for the reader's position?
  [[nodiscard, gnu::always_inline]] bool granted(std::size_t bytes) const noexcept {
    return writer_.side.granted(bytes);
  }

  // `bytes` writable bytes, 8-byte aligned; an earlier claim that was not committed is forgotten.
  [[nodiscard, gnu::always_inline]] std::byte* try_claim(std::size_t bytes) noexcept {
    if (!granted(bytes)) [[unlikely]] {
      if (!ask_for_grant(bytes)) return nullptr;
    }
    return writer_.side.claim(bytes);
  }

  // Publishes the first `used` bytes of the open claim, with a word of the caller's beside them.
  [[gnu::always_inline]] void commit(std::size_t used, std::uint32_t tag) noexcept { writer_.side.commit(used, tag); }

  // Bytes that the reader has not released yet, headers included, as far as this side knows.
  [[nodiscard]] std::size_t backlog() const noexcept {
    // hint: decides a wake-up, never the reuse of memory
    return writer_.side.backlog(released_.load(mo::relaxed));
  }

  // --- reader ---

  // The oldest record that was not popped. Its bytes stay valid until release().
  [[nodiscard]] bool front(record& out) noexcept {
    std::uint32_t commit = reader_.side.word();
    if (commit == record_layout::wrap_mark) [[unlikely]]
      commit = reader_.side.turn();
    if (commit == 0) return false;
    reader_.side.record_at(commit, out);
    return true;
  }

  // Steps over the record that front() gave.
  void pop(const record& done) noexcept { reader_.side.pop(done); }

  // Gives the bytes of all popped records back to the writer.
  void release() noexcept {
    released_.store(reader_.side.position(),
                    mo::release);  // [R4] release, pairs with [R6]: our reads end before its writes
  }

 private:
  [[gnu::noinline]] bool ask_for_grant(std::size_t bytes) noexcept {
    if (bytes > max_record()) return false;
    return writer_.side.grant(
        bytes, released_.load(mo::acquire));  // [R6] acquire, pairs with [R4]: the reader is done with what it released
  }

  // Each side keeps its own copy of what never changes: reading it from the other's line would cost a miss a record.
  struct alignas(cache_line_size) writer_line {
    record_writer_side side;
  };
  struct alignas(cache_line_size) reader_line {
    record_reader_side side;
  };

  writer_line writer_;                                          // written by the writer, read by nobody else
  reader_line reader_;                                          // written by the reader, read by nobody else
  alignas(cache_line_size) atomic<std::uint32_t> released_{0};  // written by the reader, read by the writer
};
static_assert(sizeof(record_ring) == 3 * cache_line_size && alignof(record_ring) == cache_line_size,
              "three lines: the writer's, the reader's, and the one between them");

}  // namespace holdfast
