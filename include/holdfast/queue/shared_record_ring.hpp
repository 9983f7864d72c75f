// SPDX-License-Identifier: MIT
// shared_record_ring: a bounded FIFO of byte records of any length, from one process to one other, without a copy.
//
//   operation                  caller        progress    cost           allocates   when refused
//   create(region)             one process   wait-free   O(1)           never       an error
//   attach_writer(region)      any process   wait-free   O(unreleased)  never       an error
//   attach_reader(region)      any process   wait-free   O(1)           never       an error
//   observe(region)            any process   wait-free   O(1)           never       an error
//   writer: try_claim(n)       its owner     wait-free   O(1)           never       nullptr: full, n too large, trouble()
//   writer: commit(used, tag)  its owner     wait-free   O(1)           never       (asserted: the open claim is that large)
//   reader: front(out)         its owner     wait-free   O(1)           never       empty; corrupt; `out` is as it was
//   reader: pop, release       its owner     wait-free   O(1)           never       (asserted by the reader's position)
//
// In short: one writer, one reader, in two processes | wait-free | never | no memory to write to; a region that is
// not whole is told apart from an empty one
//
// The region is memory that the caller has mapped, at any address in each process, for longer than its side is attached:
//
//   // one of them, once: shm_open, ftruncate, mmap; then
//   auto made = shared_record_ring::create(region);
//   // the writing one                                       // the reading one
//   auto to = shared_record_ring::attach_writer(region);     auto from = shared_record_ring::attach_reader(region);
//   if (std::byte* at = to->try_claim(n)) ...                while (from->front(r) == ring_front::record) ...
//
// When to use it: between two processes, or where a side may be killed. When not: inside one process record_ring does
// the same without the checks; several writers each get a ring of their own.
//
// Death. A side that is killed, at any instruction, leaves the ring whole: the reader goes on to the last commit, and an
// open claim is forgotten. Who comes after a dead writer continues behind its last commit. Who comes after a dead reader
// continues behind its last release, so what was popped and not released is read again: at least once, not exactly once.
// That a side is dead is for the caller to know: attach_...(region, instead_of) names the attachment that it replaces, as
// observe() or attachment() gave it, so that of two who come only one succeeds. A parent knows by waitpid(). Others know by
// a lock that the kernel opens when a process has left its last instruction: each side opens the file for itself and locks
// a byte of it (F_OFD_SETLK) before it attaches, and who gets the lock of a side that is still attached knows that its
// owner is dead. A process id is no such means: it is used again, and means something else in another container. A side
// that was replaced while it lived is told so (`ring_taken_over`) when it next asks for room, or releases; until then it
// may spoil the ring, which the reader then finds corrupt.
//
// Trust. Nobody believes what stands in the region: attaching checks the header, each position and each length is checked
// before it is used, and kept outside the region after that. Whatever somebody writes there, now or later, nothing outside
// it is read or written; what cannot be is answered as corrupt, and stays so until the ring is created anew. What could be
// is believed: there is no checksum over a record's bytes. (They are in the region all the same: who does not trust the
// writer copies them before he looks at them.) Surviving the machine's death is not promised: a mapped file reaches the
// disk in any order.
//
// Why not several writers or readers: a process that is killed between the claim of a slot and its publication leaves a
// hole that nobody may step over, because it could be alive. It was tried: of 5,000 kills of a producer of a ring of
// Vyukov's kind, 34 stopped the others for ever. With one side each, no step of this ring is such a hole.
//
// Memory: the region: a header of three lines, written once below, and the rest for records, as in record_ring.
//
// Method: record_sides, whose words alone say what was committed: a new writer walks them from the last release on. There
// are no pointers in the region, and the position that observers read is a copy that nothing relies on. Attachments are
// numbers that only grow, odd while somebody is attached. A lock-free atomic is address-free ([atomics.lockfree]).
//
// Proof: tests/model/shared_record_ring_model.cpp (every execution of small cases, deaths and successors among them),
// tests/unit/shared_record_ring_test.cpp, tests/stress/shared_record_ring_stress.cpp,
// tests/fault/shared_ring_fault.cpp (kill -9 of either side, with a successor),
// tests/linearizability/queue_windows.cpp, tests/fuzz/shared_record_ring_fuzz.cpp (any bytes as a region, any change of
// them), tests/alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/queue/record_sides.hpp"

namespace holdfast {

// What a region begins with, in the machine's byte order; the records follow. A change of it, or of record_sides, is
// another version. A position is lap << 32 | offset.
struct shared_ring_header {
  static constexpr std::uint64_t magic_value = 0x474E'5243'4552'4648U;  // "HFRECRNG" in bytes
  static constexpr std::uint32_t version_value = 1;
  static constexpr std::uint32_t byte_order_value = 0x0102'0304U;

  // By create(), the first word last; never changed afterwards.
  alignas(cache_line_size) std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint32_t byte_order;
  std::uint32_t line_bytes;
  std::uint64_t capacity;
  // By writers.
  alignas(cache_line_size) std::uint64_t writer;  // the attachment: odd while there is one
  std::uint64_t committed;                        // behind the last commit; for observers
  // By readers.
  alignas(cache_line_size) std::uint64_t reader;  // the attachment
  std::uint64_t released;                         // behind the last release
};
static_assert(sizeof(shared_ring_header) == 3 * cache_line_size, "the storage begins on a line of its own");

// What a reader finds at its position.
enum class ring_front : std::uint8_t { record, empty, corrupt };

// A moment's view.
struct ring_status {
  std::size_t capacity = 0;
  std::size_t waiting = 0;   // bytes committed and not released, headers and a lap's unused end too
  std::uint64_t writer = 0;  // the attachment; even: nobody is attached
  std::uint64_t reader = 0;
  [[nodiscard]] bool writer_attached() const noexcept { return writer % 2 != 0; }
  [[nodiscard]] bool reader_attached() const noexcept { return reader % 2 != 0; }
};

class shared_record_ring {
 public:
  using record = record_view;
  static constexpr std::size_t min_region = sizeof(shared_ring_header) + record_layout::min_storage;
  static constexpr std::size_t max_region = sizeof(shared_ring_header) + record_layout::max_storage;
  static constexpr std::uint64_t nobody = 0;

  class writer;
  class reader;

  // Makes an empty ring of the whole region, which nobody uses. What stood there is lost.
  static outcome<> create(std::span<std::byte> region) noexcept;
  // In the place of `instead_of`, which the caller knows to be dead; nobody: only if the place is free.
  static outcome<writer> attach_writer(std::span<std::byte> region, std::uint64_t instead_of = nobody) noexcept;
  static outcome<reader> attach_reader(std::span<std::byte> region, std::uint64_t instead_of = nobody) noexcept;
  // A mapping that can only be read will do.
  static outcome<ring_status> observe(std::span<const std::byte> region) noexcept;

 private:
  struct view {
    shared_ring_header* header;
    std::byte* storage;
    std::uint32_t capacity;
  };

  // A side's place in the header, given back when its owner goes.
  class place {
   public:
    place(std::uint64_t& word, std::uint64_t number) noexcept : word_(&word), number_(number) {}
    place(place&& other) noexcept : word_(std::exchange(other.word_, nullptr)), number_(other.number_) {}
    place& operator=(place&& other) noexcept {
      if (this != &other) {
        leave();
        word_ = std::exchange(other.word_, nullptr);
        number_ = other.number_;
      }
      return *this;
    }
    ~place() { leave(); }
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    // hint: who was wrongly taken for dead finds out in the end
    [[nodiscard]] bool held() const noexcept { return atomic_ref(*word_).load(mo::relaxed) == number_; }

   private:
    void leave() noexcept {
      if (word_ == nullptr) return;
      std::uint64_t mine = number_;
      static_cast<void>(atomic_ref(*word_).compare_exchange_strong(
          mine, number_ + 1,
          mo::release,    // [S4] release, pairs with [S3]: all that this side did
          mo::relaxed));  // own: taken over, nothing to give back
    }
    std::uint64_t* word_;
    std::uint64_t number_;
  };

  static constexpr std::uint32_t offset_of(std::uint64_t position) noexcept {
    return static_cast<std::uint32_t>(position);
  }
  // Positions only grow, by less than a lap at a time.
  static constexpr std::uint64_t moved_to(std::uint32_t offset, std::uint64_t from) noexcept {
    const std::uint64_t lap = (from >> 32U) + (offset < offset_of(from) ? 1U : 0U);
    return lap << 32U | offset;
  }
  static constexpr bool not_before(std::uint64_t position, std::uint64_t other) noexcept {
    return static_cast<std::int64_t>(position - other) >= 0;
  }
  static std::size_t between(std::uint64_t from, std::uint64_t to, std::uint32_t capacity) noexcept {
    const auto laps = static_cast<std::int32_t>(static_cast<std::uint32_t>(to >> 32U) -  //
                                                static_cast<std::uint32_t>(from >> 32U));
    const std::int64_t bytes = std::int64_t{laps} * capacity + offset_of(to) - offset_of(from);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(bytes, 0, capacity));
  }

  static bool usable(std::span<const std::byte> region) noexcept {
    return region.size() >= min_region && region.size() <= max_region &&
           reinterpret_cast<std::uintptr_t>(region.data()) % alignof(shared_ring_header) == 0;
  }
  static bool says(std::uint32_t& word, std::uint32_t value) noexcept {
    return atomic_ref(word).load(mo::relaxed) == value;  // init: ordered by [S2]
  }
  static outcome<view> open(std::span<std::byte> region) noexcept;
  static outcome<std::uint64_t> take(std::uint64_t& word, std::uint64_t instead_of) noexcept;

  // The next record from `at` on, which has stepped over less than the storage since `released`. Never believes a word.
  static ring_front look(record_reader_side& at, std::uint32_t released, record& out) noexcept {
    std::uint32_t commit = at.word();
    if (commit == record_layout::wrap_mark) [[unlikely]] {
      // The writer goes to the front once a lap, and only when the reader has left it.
      if (at.position() < released || released == 0) return ring_front::corrupt;
      commit = at.turn();
    }
    if (commit == 0) return ring_front::empty;
    const std::uint64_t step = (std::uint64_t{commit} + 7) & ~std::uint64_t{7};
    const std::uint32_t room = record_layout::room(at.position(), released, at.capacity());
    if (commit < record_layout::header_bytes || step + record_layout::header_bytes > room) return ring_front::corrupt;
    at.record_at(commit, out);
    return ring_front::record;
  }
};

// Given back when it goes; used by one thread at a time.
class shared_record_ring::writer {
 public:
  [[nodiscard]] std::size_t max_record() const noexcept { return record_layout::max_record(side_.capacity()); }
  [[nodiscard]] std::size_t capacity() const noexcept { return side_.capacity(); }
  // Names this side to who may have to replace it.
  [[nodiscard]] std::uint64_t attachment() const noexcept { return place_.number(); }
  // Why claims are refused that would be good in an empty ring: ring_corrupt, ring_taken_over; errc{}: nothing.
  [[nodiscard]] errc trouble() const noexcept { return trouble_; }

  // Would a claim of `bytes` succeed without asking for the reader's position?
  [[nodiscard]] bool granted(std::size_t bytes) const noexcept { return side_.granted(bytes); }

  // `bytes` writable bytes, 8-byte aligned; an earlier claim that was not committed is forgotten.
  [[nodiscard]] std::byte* try_claim(std::size_t bytes) noexcept {
    if (!granted(bytes)) [[unlikely]] {
      if (!ask_for_grant(bytes)) return nullptr;
    }
    return side_.claim(bytes);
  }

  // Publishes the first `used` bytes of the open claim, with a word of the caller's beside them.
  void commit(std::size_t used, std::uint32_t tag) noexcept {
    side_.commit(used, tag);
    committed_ = moved_to(side_.position(), committed_);
    atomic_ref(header_->committed).store(committed_, mo::relaxed);  // counter: the words alone publish
  }

  // Bytes that the reader has not released yet, headers and a lap's unused end too, as far as this side knows.
  [[nodiscard]] std::size_t backlog() const noexcept {
    return between(atomic_ref(header_->released).load(mo::relaxed), committed_,
                   side_.capacity());  // hint: for a wake-up
  }

 private:
  friend class shared_record_ring;
  writer(const view& in, place&& held, std::uint64_t released, std::uint64_t end) noexcept
      : header_(in.header),
        place_(std::move(held)),
        side_(in.storage, in.capacity, offset_of(end)),
        committed_(end),
        released_(released) {}

  [[gnu::noinline]] bool ask_for_grant(std::size_t bytes) noexcept {
    if (bytes > max_record() || trouble_ != errc{}) return false;
    if (!place_.held()) {
      trouble_ = errc::ring_taken_over;
      return false;
    }
    const std::uint64_t released =
        atomic_ref(header_->released).load(mo::acquire);  // [S6] acquire, pairs with [S5]: the reader is done with it
    // Somewhere between where it was and here. The claim may have gone to the front, and the reader after it.
    if (offset_of(released) % 8 != 0 || offset_of(released) >= side_.capacity() || !not_before(released, released_) ||
        !not_before(moved_to(side_.position(), committed_), released)) {
      trouble_ = errc::ring_corrupt;
      return false;
    }
    released_ = released;
    return side_.grant(bytes, offset_of(released));
  }

  shared_ring_header* header_;
  place place_;
  record_writer_side side_;
  std::uint64_t committed_;  // position behind the last commit
  std::uint64_t released_;   // the reader's, when this side last asked
  errc trouble_{};
};

// Given back when it goes; used by one thread at a time. What it popped and did not release, the next one reads again.
class shared_record_ring::reader {
 public:
  [[nodiscard]] std::size_t capacity() const noexcept { return side_.capacity(); }
  [[nodiscard]] std::uint64_t attachment() const noexcept { return place_.number(); }

  // The oldest record that was not popped. Its bytes stay valid until release().
  [[nodiscard]] ring_front front(record& out) noexcept { return look(side_, offset_of(released_), out); }

  // Steps over the record that front() gave.
  void pop(const record& done) noexcept { side_.pop(done); }

  // Gives the bytes of all popped records back to the writer. False: this side was replaced, the records are not its own.
  bool release() noexcept {
    if (!place_.held()) [[unlikely]]
      return false;
    released_ = moved_to(side_.position(), released_);
    atomic_ref(header_->released)
        .store(released_, mo::release);  // [S5] release, pairs with [S6]: our reads end before the writes
    return true;
  }

  // Bytes that are committed and not released, as in backlog(); may miss the newest record.
  [[nodiscard]] std::size_t waiting() const noexcept {
    return between(released_, atomic_ref(header_->committed).load(mo::relaxed), side_.capacity());  // counter:
  }

 private:
  friend class shared_record_ring;
  reader(const view& in, place&& held, std::uint64_t released) noexcept
      : header_(in.header),
        place_(std::move(held)),
        side_(in.storage, in.capacity, offset_of(released)),
        released_(released) {}

  shared_ring_header* header_;
  place place_;
  record_reader_side side_;
  std::uint64_t released_;  // position
};

inline outcome<> shared_record_ring::create(std::span<std::byte> region) noexcept {
  if (!usable(region)) return errc::ring_region;
  auto& h = *reinterpret_cast<shared_ring_header*>(region.data());
  atomic_ref(h.magic).store(0, mo::relaxed);                                    // init: who dies in here leaves no ring
  atomic_ref(h.version).store(shared_ring_header::version_value, mo::relaxed);  // init: published by [S1]
  atomic_ref(h.header_bytes).store(std::uint32_t{sizeof(shared_ring_header)}, mo::relaxed);   // init: as above
  atomic_ref(h.byte_order).store(shared_ring_header::byte_order_value, mo::relaxed);          // init: as above
  atomic_ref(h.line_bytes).store(std::uint32_t{cache_line_size}, mo::relaxed);                // init: as above
  atomic_ref(h.capacity).store((region.size() - sizeof h) & ~std::uint64_t{7}, mo::relaxed);  // init: as above
  for (std::uint64_t* const word : {&h.writer, &h.committed, &h.reader, &h.released})
    atomic_ref(*word).store(0, mo::relaxed);                            // init: as above
  record_layout::word(region.data() + sizeof h).store(0, mo::relaxed);  // init: as above
  atomic_ref(h.magic).store(shared_ring_header::magic_value,
                            mo::release);  // [S1] release, pairs with [S2]: an empty ring is there
  return {};
}

inline outcome<shared_record_ring::view> shared_record_ring::open(std::span<std::byte> region) noexcept {
  if (!usable(region)) return errc::ring_region;
  auto& h = *reinterpret_cast<shared_ring_header*>(region.data());
  const std::uint64_t magic =
      atomic_ref(h.magic).load(mo::acquire);  // [S2] acquire, pairs with [S1]: what create() wrote
  if (magic == __builtin_bswap64(shared_ring_header::magic_value)) return errc::ring_machine;
  if (magic != shared_ring_header::magic_value) return errc::ring_missing;
  if (!says(h.version, shared_ring_header::version_value)) return errc::ring_version;
  if (!says(h.header_bytes, sizeof h) || !says(h.byte_order, shared_ring_header::byte_order_value) ||
      !says(h.line_bytes, cache_line_size))
    return errc::ring_machine;
  const std::uint64_t capacity = atomic_ref(h.capacity).load(mo::relaxed);  // init:
  if (capacity < record_layout::min_storage || capacity % 8 != 0 || capacity > region.size() - sizeof h)
    return errc::ring_capacity;
  return view{&h, region.data() + sizeof h, static_cast<std::uint32_t>(capacity)};
}

inline outcome<std::uint64_t> shared_record_ring::take(std::uint64_t& word, std::uint64_t instead_of) noexcept {
  std::uint64_t seen = atomic_ref(word).load(mo::relaxed);  // hint: the exchange decides
  const bool attached = seen % 2 != 0;
  if (attached && seen != instead_of) return errc::ring_attached;
  const std::uint64_t mine = seen + (attached ? 2 : 1);
  if (!atomic_ref(word).compare_exchange_strong(
          seen, mine,
          mo::acquire,   // [S3] acquire, pairs with [S4]: all that the last one did, if it went by itself
          mo::relaxed))  // hint: another was quicker
    return errc::ring_attached;
  return mine;
}

inline outcome<shared_record_ring::writer> shared_record_ring::attach_writer(std::span<std::byte> region,
                                                                             std::uint64_t instead_of) noexcept {
  const auto in = open(region);
  if (!in.ok()) return in.error();
  const auto number = take(in->header->writer, instead_of);
  if (!number.ok()) return number.error();
  place held(in->header->writer, number.value());
  // hint: where to begin looking; [S6] looks again before anything is written
  const std::uint64_t released = atomic_ref(in->header->released).load(mo::relaxed);
  if (offset_of(released) % 8 != 0 || offset_of(released) >= in->capacity) return errc::ring_corrupt;
  // The dead one's own position died with it; the records say where it was.
  record_reader_side at(in->storage, in->capacity, offset_of(released));
  record r;
  ring_front next = look(at, offset_of(released), r);
  for (; next == ring_front::record; next = look(at, offset_of(released), r)) at.pop(r);
  if (next == ring_front::corrupt) return errc::ring_corrupt;
  const std::uint64_t end = moved_to(at.position(), released);
  atomic_ref(in->header->committed).store(end, mo::relaxed);  // counter: the dead one may have missed its last
  return writer(in.value(), std::move(held), released, end);
}

inline outcome<shared_record_ring::reader> shared_record_ring::attach_reader(std::span<std::byte> region,
                                                                             std::uint64_t instead_of) noexcept {
  const auto in = open(region);
  if (!in.ok()) return in.error();
  const auto number = take(in->header->reader, instead_of);
  if (!number.ok()) return number.error();
  place held(in->header->reader, number.value());
  const std::uint64_t released = atomic_ref(in->header->released).load(mo::relaxed);  // own: by readers, one at a time
  if (offset_of(released) % 8 != 0 || offset_of(released) >= in->capacity) return errc::ring_corrupt;
  return reader(in.value(), std::move(held), released);
}

inline outcome<ring_status> shared_record_ring::observe(std::span<const std::byte> region) noexcept {
  // Only read, although what is shared with the writers is not const.
  const auto in = open({const_cast<std::byte*>(region.data()), region.size()});
  if (!in.ok()) return in.error();
  shared_ring_header& h = *in->header;
  const std::uint64_t released = atomic_ref(h.released).load(mo::relaxed);    // counter:
  const std::uint64_t committed = atomic_ref(h.committed).load(mo::relaxed);  // counter:
  return ring_status{.capacity = in->capacity,
                     .waiting = between(released, committed, in->capacity),
                     .writer = atomic_ref(h.writer).load(mo::relaxed),   // counter: a moment's view
                     .reader = atomic_ref(h.reader).load(mo::relaxed)};  // counter: as above
}

}  // namespace holdfast
