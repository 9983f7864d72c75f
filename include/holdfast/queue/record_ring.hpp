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
// Method: the commit word stands in the record's own header and is the publication; the word of the *next* header is
// set to zero before it, so a reader never meets a word of an earlier lap (as in fmtlog; here by atomic_ref, so that
// ThreadSanitizer can see it). One compare answers both "is there space" and "must it wrap". The writer fetches lines
// for writing eight ahead; positions of writer and reader stand on lines that the other side never reads.
//
// Proof: tests/model/record_ring_model.cpp (every execution of small cases: order, the way round the end, deaths),
// tests/unit/record_ring_test.cpp (against an oracle, every size at every position),
// tests/stress/record_ring_stress.cpp (both thread sanitizers), tests/alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/prefetch.hpp"

namespace holdfast {

class record_ring {
 public:
  static constexpr std::size_t header_bytes = 8;
  static constexpr std::size_t min_storage = 256;
  static constexpr std::size_t max_storage = std::size_t{1} << 30U;

  struct record {
    const std::byte* data = nullptr;
    std::uint32_t bytes = 0;
    std::uint32_t tag = 0;
  };

  // The storage outlives the ring and is used by nobody else.
  explicit record_ring(std::span<std::byte> storage) noexcept
      : writer_{storage.data(), static_cast<std::uint32_t>(storage.size()), 0, 0, 0},
        reader_{storage.data(), static_cast<std::uint32_t>(storage.size()), 0} {
    HOLDFAST_ASSERT(storage.size() >= min_storage);
    HOLDFAST_ASSERT(storage.size() <= max_storage);
    HOLDFAST_ASSERT(storage.size() % 8 == 0);
    HOLDFAST_ASSERT(reinterpret_cast<std::uintptr_t>(storage.data()) % 8 == 0);
    word(writer_.base).store(0, mo::relaxed);  // init: before either side runs
  }
  record_ring(const record_ring&) = delete;
  record_ring& operator=(const record_ring&) = delete;

  // --- writer ---

  // A whole number of steps, so that what is granted for the largest record is never enough for a larger one.
  [[nodiscard]] std::size_t max_record() const noexcept { return step_of(writer_.capacity / 2) - 3 * header_bytes; }
  [[nodiscard]] std::size_t capacity() const noexcept { return writer_.capacity; }

  // Would a claim of `bytes` succeed without asking for the reader's position?
  [[nodiscard, gnu::always_inline]] bool granted(std::size_t bytes) const noexcept {
    return bytes <= max_storage && step_of(bytes) + header_bytes <= writer_.granted;
  }

  // `bytes` writable bytes, 8-byte aligned; an earlier claim that was not committed is forgotten.
  [[nodiscard, gnu::always_inline]] std::byte* try_claim(std::size_t bytes) noexcept {
    if (!granted(bytes)) [[unlikely]] {
      if (!ask_for_grant(bytes)) return nullptr;
    }
    writer_.claimed = static_cast<std::uint32_t>(bytes);
    return writer_.base + writer_.position + header_bytes;
  }

  // Publishes the first `used` bytes of the open claim, with a word of the caller's beside them.
  [[gnu::always_inline]] void commit(std::size_t used, std::uint32_t tag) noexcept {
    HOLDFAST_ASSERT(used <= writer_.claimed);
    HOLDFAST_ASSERT(granted(used));
    std::byte* const header = writer_.base + writer_.position;
    const auto step = static_cast<std::uint32_t>(step_of(used));
    word(header + step).store(0, mo::relaxed);  // own: the reader gets there only after [R1]
    std::memcpy(header + 4, &tag, sizeof tag);
    word(header).store(static_cast<std::uint32_t>(used + header_bytes),
                       mo::release);  // [R1] release, pairs with [R2]: publishes the record and the next header's zero
    writer_.position += step;
    writer_.granted -= step;
    writer_.claimed = 0;
    fetch_ahead(step);
  }

  // Bytes that the reader has not released yet, headers included, as far as this side knows.
  [[nodiscard]] std::size_t backlog() const noexcept {
    const std::uint32_t released = released_.load(mo::relaxed);  // hint: decides a wake-up, never the reuse of memory
    return writer_.position >= released ? writer_.position - released
                                        : writer_.capacity - (released - writer_.position);
  }

  // --- reader ---

  // The oldest record that was not popped. Its bytes stay valid until release().
  [[nodiscard]] bool front(record& out) noexcept {
    std::uint32_t commit =
        word(reader_.base + reader_.position).load(mo::acquire);  // [R2] acquire, pairs with [R1], [R5]: the record
    if (commit == wrap_mark) [[unlikely]] {
      reader_.position = 0;
      commit = word(reader_.base).load(mo::acquire);  // [R3] acquire, pairs with [R1]: the record after the wrap
    }
    if (commit == 0) return false;
    const std::byte* const header = reader_.base + reader_.position;
    out.data = header + header_bytes;
    out.bytes = commit - static_cast<std::uint32_t>(header_bytes);
    std::memcpy(&out.tag, header + 4, sizeof out.tag);
    return true;
  }

  // Steps over the record that front() gave.
  void pop(const record& done) noexcept {
    HOLDFAST_ASSERT(done.data == reader_.base + reader_.position + header_bytes);
    reader_.position += static_cast<std::uint32_t>(step_of(done.bytes));
  }

  // Gives the bytes of all popped records back to the writer.
  void release() noexcept {
    released_.store(reader_.position, mo::release);  // [R4] release, pairs with [R6]: our reads end before its writes
  }

 private:
  static constexpr std::uint32_t wrap_mark = 0xFFFFFFFFU;
  static constexpr std::size_t lines_ahead = 8;

  static atomic_ref<std::uint32_t> word(std::byte* at) noexcept {
    return atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(at));
  }
  static constexpr std::size_t step_of(std::size_t bytes) noexcept {
    return (bytes + header_bytes + 7) & ~std::size_t{7};
  }

  [[gnu::noinline]] bool ask_for_grant(std::size_t bytes) noexcept {
    if (bytes > max_record()) return false;
    const auto needed = static_cast<std::uint32_t>(step_of(bytes) + header_bytes);
    const std::uint32_t released =
        released_.load(mo::acquire);  // [R6] acquire, pairs with [R4]: the reader is done with what it released
    std::uint32_t room = (released > writer_.position ? released : writer_.capacity) - writer_.position;
    if (room < needed) {
      // Does not fit before the end: go to the front, if the reader has left it. Equal positions mean empty, so the
      // next header may never reach `released`.
      if (released > writer_.position || released < needed) return false;
      word(writer_.base).store(0, mo::relaxed);  // own: published by [R5]
      word(writer_.base + writer_.position)
          .store(wrap_mark, mo::release);  // [R5] release, pairs with [R2]: the front's header is zero
      writer_.position = 0;
      room = released;
    }
    writer_.granted = std::min(room, std::max(needed, writer_.capacity / 4));
    return true;
  }

  [[gnu::always_inline]] void fetch_ahead(std::uint32_t step) const noexcept {
    for (std::uint32_t behind = 0; behind < step; behind += cache_line_size) {
      std::size_t ahead = writer_.position - behind + lines_ahead * cache_line_size;
      if (ahead >= writer_.capacity) ahead = ahead - writer_.capacity < writer_.capacity ? ahead - writer_.capacity : 0;
      prefetch_for_write(writer_.base + ahead);
    }
  }

  // Each side keeps its own copy of what never changes: reading it from the other's line would cost a miss a record.
  struct alignas(cache_line_size) writer_line {
    std::byte* base;
    std::uint32_t capacity;
    std::uint32_t position;  // of the next header, whose word is zero
    std::uint32_t granted;   // bytes from position that are known to be free and contiguous
    std::uint32_t claimed;
  };
  struct alignas(cache_line_size) reader_line {
    std::byte* base;
    std::uint32_t capacity;
    std::uint32_t position;
  };

  writer_line writer_;                                          // written by the writer, read by nobody else
  reader_line reader_;                                          // written by the reader, read by nobody else
  alignas(cache_line_size) atomic<std::uint32_t> released_{0};  // written by the reader, read by the writer
};
static_assert(sizeof(record_ring) == 3 * cache_line_size && alignof(record_ring) == cache_line_size,
              "three lines: the writer's, the reader's, and the one between them");

}  // namespace holdfast
