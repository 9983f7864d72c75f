// SPDX-License-Identifier: MIT
// broadcast_ring: one thread writes records, any number of threads read them all; who is too slow is told how many it missed.
//
//   operation              caller            progress    cost      allocates   when refused
//   write                  the writer        wait-free   a copy    never       never: overwrites the oldest
//   recover                the next writer   wait-free   O(1)      never       -
//   reader: constructor    any thread        wait-free   O(1)      never       -
//   reader: try_read(out)  its owner         wait-free   a copy    never       nothing new; overwritten, and how many
//   reader: skip_to_newest its owner         wait-free   O(1)      never       - ; says how many it skipped
//   reader: behind         its owner         wait-free   O(1)      never       -
//   written                any thread        wait-free   O(1)      never       -
//
// In short: one writer, any number of readers | wait-free | never | a reader is told: nothing new, or how many
// records it missed
//
// Each reader keeps its own position; the writer knows of none of them, and none of them can hold it up. Each record has a
// number, so for a reader what it read and what it missed add up to what was written, always: a record is read whole and
// in its turn, or it is in the count of an `overwritten`. Then the reader stands at the oldest record that is left. The
// last Capacity records can be read while the writer rests; while it writes, the oldest of them is going.
//
// `nothing` means that the record was not yet written, as far as the caller can know. A reader that the writer laps again
// and again gets a true count each time, and may get no record for as long as that goes on; who wants fresh records more
// than all of them calls skip_to_newest().
//
// When to use it: ticks, states and events for many readers, where the newest counts and a slow reader is its own problem.
// When not: each record for one reader only (a queue), no record may be lost (a queue a reader), only the newest value
// counts (core/seq_latch.hpp). Several writers: not offered.
//
// A writer that sleeps in the middle of a write hides that record, and no other, until it wakes up. One that dies there
// may be replaced by a thread that knows of it: that one calls recover() first.
//
// Memory: Capacity slots (a power of two) of T rounded up to 8 bytes and 8 bytes more, inside the object, and two lines.
//
// Method: a sequence lock a slot, whose word says which record stands there and whether it is whole (Boehm, "Can seqlocks
// get along with programming language memory models", 2012; slots that are numbered like this: Vyukov's bounded queue). A
// reader looks at its next slot alone; only one that was lapped asks for the writer's position. Numbers are of 64 bits and
// may wrap.
//
// Proof: model/broadcast_ring_model.cpp (every execution of small cases, deaths, both wraps), unit/broadcast_ring_test.cpp,
// stress/broadcast_ring_stress.cpp, linearizability/broadcast_windows.cpp, fuzz/broadcast_ring_fuzz.cpp, alloc.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

enum class broadcast_state : std::uint8_t { record, nothing, overwritten };

struct [[nodiscard]] broadcast_read {
  broadcast_state state = broadcast_state::nothing;
  std::uint64_t missed = 0;  // records that were overwritten before this reader came to them
  explicit operator bool() const noexcept { return state == broadcast_state::record; }
};

// Where a reader begins.
enum class broadcast_from : std::uint8_t { newest, oldest };

template <class T, std::size_t Capacity>
class broadcast_reader;

template <class T, std::size_t Capacity>
class broadcast_ring {
  static_assert(std::is_trivially_copyable_v<T>, "a record is copied while it may be overwritten");
  static_assert(std::has_single_bit(Capacity), "numbers wrap, so the capacity must divide them");

 public:
  using value_type = T;
  using reader = broadcast_reader<T, Capacity>;

  // The first record has this number.
  explicit broadcast_ring(std::uint64_t first = 0) noexcept : position_(first), first_(first) {
    // Each slot as if its record of the lap before were in it, which no reader asks for.
    for (std::size_t i = 0; i < Capacity; ++i)
      slot_of(first + i).stamp.store(whole(first + i - Capacity), mo::relaxed);  // init: before it is shared
  }
  broadcast_ring(const broadcast_ring&) = delete;
  broadcast_ring& operator=(const broadcast_ring&) = delete;

  // --- writer ---

  void write(const T& value) noexcept {
    const std::uint64_t number = position_.load(mo::relaxed);  // own: the writer's alone
    slot& to = slot_of(number);
    to.stamp.store(whole(number) - 1,
                   mo::release);  // [B1] release, pairs with [B5]: who is lapped here sees the records before this one
    fence(mo::release);           // [B2] release, pairs with [B4]: who sees a new word sees that the old record went
    store_words(to, value);
    to.stamp.store(whole(number), mo::release);  // [B3] release, pairs with [B6]: the words
    position_.store(number + 1, mo::release);    // [B7] release, pairs with [B8]: the records before it
  }

  // By the thread that writes next, if the last one died in the middle of write().
  void recover() noexcept {
    const std::uint64_t number = position_.load(mo::relaxed);  // own: as in write()
    // own: whole, and perhaps read, but not counted
    if (slot_of(number).stamp.load(mo::relaxed) == whole(number))
      position_.store(number + 1, mo::release);  // [B9] release, pairs with [B8]: as [B7]
  }

  // --- anyone ---

  // The number of the next record.
  [[nodiscard]] std::uint64_t written() const noexcept {
    return position_.load(mo::acquire);  // [B8] acquire, pairs with [B7], [B9]: the records before it
  }
  static constexpr std::size_t capacity() noexcept { return Capacity; }

 private:
  friend reader;
  friend struct broadcast_ring_start;  // tests: a writer that ends before its write does

  static constexpr std::size_t spacing = 2 * cache_line_size;  // two lines: some machines fetch them in pairs
  static constexpr std::size_t words = (sizeof(T) + 7) / 8;

  struct slot {
    atomic<std::uint64_t> stamp{0};  // whole(number), or one less while it is written
    std::array<atomic<std::uint64_t>, words> text{};
  };

  static constexpr std::uint64_t whole(std::uint64_t number) noexcept { return 2 * number + 2; }
  slot& slot_of(std::uint64_t number) noexcept { return slots_[number & (Capacity - 1)]; }
  const slot& slot_of(std::uint64_t number) const noexcept { return slots_[number & (Capacity - 1)]; }

  static void store_words(slot& to, const T& value) noexcept {
    const auto* const from = reinterpret_cast<const unsigned char*>(&value);
    for (std::size_t i = 0; i < words; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, from + i * 8, i * 8 + 8 <= sizeof(T) ? 8 : sizeof(T) % 8);
      to.text[i].store(word, mo::relaxed);  // counter: published by [B3]
    }
  }

  alignas(spacing) atomic<std::uint64_t> position_;  // written by the writer
  const std::uint64_t first_;
  alignas(spacing) std::array<slot, Capacity> slots_;  // written by the writer
};

// One reader's view of a ring that outlives it. Used by one thread at a time; copied, both go on from here.
template <class T, std::size_t Capacity>
class broadcast_reader {
  using ring = broadcast_ring<T, Capacity>;

 public:
  using value_type = T;

  explicit broadcast_reader(const ring& of, broadcast_from from = broadcast_from::newest) noexcept
      : ring_(&of), number_(of.written()) {
    if (from == broadcast_from::oldest) number_ -= number_ - of.first_ < Capacity ? number_ - of.first_ : Capacity;
  }

  // The next record, unless it is not there yet or no more. `out` is written only by a record.
  broadcast_read try_read(T& out) noexcept {
    const typename ring::slot& from = ring_->slot_of(number_);
    const std::uint64_t wanted = ring::whole(number_);
    const std::uint64_t seen = from.stamp.load(mo::acquire);  // [B6] acquire, pairs with [B3]: the words
    if (seen != wanted) {
      if (before(seen, wanted)) return {};
      return lapped(from);
    }
    std::array<std::uint64_t, ring::words> copy;
    for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = from.text[i].load(mo::relaxed);  // counter: judged below
    fence(mo::acquire);                                       // [B4] acquire, pairs with [B2]: as there
    if (from.stamp.load(mo::relaxed) != wanted) [[unlikely]]  // own: ordered by [B4]
      return lapped(from);
    std::memcpy(static_cast<void*>(&out), copy.data(), sizeof(T));
    ++number_;
    return {broadcast_state::record, 0};
  }

  // Leaves what it has not read; how many records that are.
  std::uint64_t skip_to_newest() noexcept {
    const std::uint64_t skipped = behind();
    number_ += skipped;
    return skipped;
  }

  // Records that were written and not read, overwritten ones among them; a moment's view.
  [[nodiscard]] std::uint64_t behind() const noexcept {
    const std::uint64_t written = ring_->written();
    return before(written, number_) ? 0 : written - number_;  // a record can be read before it is counted
  }
  // Of the record that is read next.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  // Numbers and stamps wrap, and no two that meet are half of all apart.
  static bool before(std::uint64_t a, std::uint64_t b) noexcept { return static_cast<std::int64_t>(a - b) < 0; }

  // A later record stands in the slot, or begins to: all up to the one it overwrote are gone.
  [[gnu::noinline]] broadcast_read lapped(const typename ring::slot& from) noexcept {
    const std::uint64_t stamp =
        from.stamp.load(mo::acquire);  // [B5] acquire, pairs with [B1], [B3]: the records before it
    const std::uint64_t laps = (stamp + 1 - ring::whole(number_)) / (2 * Capacity);
    std::uint64_t oldest = number_ + (laps - 1) * Capacity + 1;
    const std::uint64_t oldest_written = ring_->written() - Capacity;  // the writer may be further already
    if (before(oldest, oldest_written)) oldest = oldest_written;
    const std::uint64_t missed = oldest - number_;
    number_ = oldest;
    return {broadcast_state::overwritten, missed};
  }

  const ring* ring_;
  std::uint64_t number_;
};

}  // namespace holdfast
