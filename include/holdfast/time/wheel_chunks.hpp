// SPDX-License-Identifier: MIT
// wheel_chunks: the lists of a timer wheel's slots: numbers of timers in the order in which they came, some of them on a line each.
//
//   operation   caller      progress    cost   allocates   note
//   append      its owner   wait-free   O(1)   never       behind all of the slot; says where it lies
//   remove      its owner   wait-free   O(1)   never       from where it lies; some others may be told to lie elsewhere
//   walk        its owner   as its call O(1)   never       takes the first ones out, one after the other; see there
//
// In short: one owner | wait-free | never | -
//
// A chunk is a cache line that holds thirteen numbers. So to put a timer into a slot or to take one out touches no neighbour of it,
// and a walk knows the next thirteen timers before it comes to them. A list that links its timers themselves makes a walk wait for
// each before it knows where the next one is: that is what most of a wheel's time goes to when there are many.
//
// A timer taken out of the middle leaves a hole. Of two neighbours one always has more than `merged_below` timers: who falls to
// that many looks at its neighbours, once. So `chunks_for` are enough whatever is put in and taken out.
//
// Memory: 64 bytes for five timers at worst (`chunks_for`), for thirteen where they come in a row; 14 KiB for the slots.
//
// Method: an unrolled linked list (Shao, Reppy, Appel, "Unrolling lists", 1994).
//
// Proof: unit/timer_wheel_test.cpp, fuzz/timer_wheel_fuzz.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/prefetch.hpp"
#include "holdfast/time/wheel_levels.hpp"

namespace holdfast {

class wheel_chunks {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::uint32_t in_chunk = 13;
  static constexpr std::uint32_t merged_below = 3;
  static constexpr std::uint32_t most_timers = std::uint32_t{1} << 28U;
  // Where a timer lies: the chunk's number and its place in it.
  using place = std::uint32_t;

  struct alignas(64) chunk {
    std::array<std::uint32_t, in_chunk> timers;  // none: taken out
    std::uint32_t before;                        // of the same slot; of a free one not used
    std::uint32_t after;                         // or the next free one
    std::uint16_t slot;
    std::uint8_t used;  // places that were given out
    std::uint8_t live;  // and have a timer
  };
  static_assert(sizeof(chunk) == 64);
  struct slot_ends {
    std::uint32_t first = none;
    std::uint32_t last = none;
  };

  // Of two neighbours in a slot one has more than merged_below, and the other at least one. Beside such pairs each slot may have
  // one that is alone, and a first one that a walk has left small.
  static constexpr std::size_t chunks_for(std::size_t timers) noexcept {
    return std::min(timers, 2 * timers / (merged_below + 2) + 2 * wheel_levels::slots) + 1;
  }
  static constexpr std::size_t bytes_for(std::size_t timers) noexcept {
    return wheel_levels::slots * sizeof(slot_ends) + chunks_for(timers) * sizeof(chunk);
  }

  // In `memory`, of bytes_for(timers) bytes, aligned like a chunk. Of it only the ends of the slots are touched now.
  wheel_chunks(std::byte* memory, std::size_t timers) noexcept
      : ends_(reinterpret_cast<slot_ends*>(memory)),
        chunks_(reinterpret_cast<chunk*>(memory + wheel_levels::slots * sizeof(slot_ends))),
        end_(static_cast<std::uint32_t>(chunks_for(timers))) {
    static_assert(wheel_levels::slots * sizeof(slot_ends) % alignof(chunk) == 0);
    for (std::uint32_t i = 0; i < wheel_levels::slots; ++i) new (ends_ + i) slot_ends;
  }

  [[nodiscard]] bool empty(std::uint32_t slot) const noexcept { return ends_[slot].first == none; }
  [[nodiscard]] std::uint32_t slot_at(place at) const noexcept { return chunks_[at / 16].slot; }
  [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }

  // moved(timer, place) is called for those that lie elsewhere from then on. True: the slot was empty.
  template <class Moved>
  place append(std::uint32_t slot, std::uint32_t timer, bool& was_empty, Moved&& moved) noexcept {
    slot_ends& ends = ends_[slot];
    was_empty = ends.last == none;
    std::uint32_t at = ends.last;
    if (was_empty) [[unlikely]] {
      at = take(slot);
      ends.first = ends.last = at;
    } else if (chunks_[at].used == in_chunk) [[unlikely]] {
      if (chunks_[at].live <= merged_below) {
        close_up(at, moved);
      } else {
        const std::uint32_t next = take(slot);
        chunks_[next].before = at;
        chunks_[at].after = next;
        ends.last = at = next;
      }
    }
    chunk& in = chunks_[at];
    const std::uint32_t index = in.used++;
    in.timers[index] = timer;
    ++in.live;
    return at * 16 + index;
  }

  // True: the slot is empty now.
  template <class Moved>
  bool remove(place from, Moved&& moved) noexcept {
    const std::uint32_t at = from / 16;
    chunk& in = chunks_[at];
    in.timers[from % 16] = none;
    const std::uint32_t left = --in.live;
    if (left > merged_below) [[likely]]
      return false;
    if (at == walked_) return false;  // whose walk looks after it
    if (left == 0) return unlink(at);
    if (left == merged_below) merge(at, moved);
    return false;
  }

  // Takes the first timers of the slot's first chunk out, in their order, at most `most`; how many they were. take_one(timer) may
  // append to other slots and remove from any, this one included. prepare(timer) is called for all of them before.
  template <class TakeOne, class Prepare>
  std::size_t walk(std::uint32_t slot, std::size_t most, TakeOne&& take_one, Prepare&& prepare) {
    const std::uint32_t at = ends_[slot].first;
    const walk_mark mark(*this, at);
    chunk& in = chunks_[at];
    if (in.after != none) prefetch_for_read(reinterpret_cast<const std::byte*>(&chunks_[in.after]));
    for (std::uint32_t i = 0; i < in.used; ++i) {
      if (in.timers[i] != none) prepare(in.timers[i]);
    }
    std::size_t taken = 0;
    for (std::uint32_t i = 0; i < in.used && taken < most; ++i) {
      const std::uint32_t timer = in.timers[i];
      if (timer == none) continue;
      in.timers[i] = none;
      --in.live;
      ++taken;
      take_one(timer);
    }
    return taken;
  }

  // visit(timer) for each, slot by slot.
  template <class Visit>
  void each(Visit&& visit) const {
    for (std::uint32_t slot = 0; slot < wheel_levels::slots; ++slot) {
      for (std::uint32_t at = ends_[slot].first; at != none; at = chunks_[at].after) {
        for (std::uint32_t i = 0; i < chunks_[at].used; ++i) {
          if (chunks_[at].timers[i] != none) visit(chunks_[at].timers[i]);
        }
      }
    }
  }

 private:
  // Tells remove() which chunk is walked, and frees it after the walk if nothing is left in it, however the walk ends.
  class walk_mark {
   public:
    walk_mark(wheel_chunks& of, std::uint32_t at) noexcept : of_(of) { of_.walked_ = at; }
    walk_mark(const walk_mark&) = delete;
    walk_mark& operator=(const walk_mark&) = delete;
    ~walk_mark() {
      const std::uint32_t at = std::exchange(of_.walked_, none);
      if (of_.chunks_[at].live == 0) of_.unlink(at);
    }

   private:
    wheel_chunks& of_;
  };

  std::uint32_t take(std::uint32_t slot) noexcept {
    std::uint32_t at = free_;
    if (at != none) {
      free_ = chunks_[at].after;
    } else {
      HOLDFAST_ASSERT(fresh_ < end_);
      at = fresh_++;
    }
    ++in_use_;
    chunk& made = *new (chunks_ + at) chunk;
    made.before = made.after = none;
    made.slot = static_cast<std::uint16_t>(slot);
    made.used = made.live = 0;
    return at;
  }
  // True: it was the slot's last one.
  bool unlink(std::uint32_t at) noexcept {
    const chunk& gone = chunks_[at];
    slot_ends& ends = ends_[gone.slot];
    (gone.before == none ? ends.first : chunks_[gone.before].after) = gone.after;
    (gone.after == none ? ends.last : chunks_[gone.after].before) = gone.before;
    const bool emptied = ends.first == none;
    chunks_[at].after = std::exchange(free_, at);
    --in_use_;
    return emptied;
  }
  // Puts its timers into its first places.
  template <class Moved>
  void close_up(std::uint32_t at, Moved&& moved) noexcept {
    chunk& in = chunks_[at];
    std::uint32_t to = 0;
    for (std::uint32_t from = 0; from < in.used; ++from) {
      const std::uint32_t timer = in.timers[from];
      if (timer == none) continue;
      if (from != to) {
        in.timers[to] = timer;
        moved(timer, at * 16 + to);
      }
      ++to;
    }
    in.used = static_cast<std::uint8_t>(to);
  }
  // It has just come down to merged_below: with a neighbour that has no more, it becomes one.
  template <class Moved>
  void merge(std::uint32_t at, Moved&& moved) noexcept {
    const chunk& in = chunks_[at];
    if (in.after != none && in.after != walked_ && chunks_[in.after].live <= merged_below) {
      join(at, in.after, moved);
    } else if (in.before != none && in.before != walked_ && chunks_[in.before].live <= merged_below) {
      join(in.before, at, moved);
    }
  }
  // The timers of the second one get behind those of the first one.
  template <class Moved>
  void join(std::uint32_t first, std::uint32_t second, Moved&& moved) noexcept {
    chunk& to = chunks_[first];
    const chunk& from = chunks_[second];
    if (std::uint32_t{to.used} + from.live > in_chunk) close_up(first, moved);
    for (std::uint32_t i = 0; i < from.used; ++i) {
      const std::uint32_t timer = from.timers[i];
      if (timer == none) continue;
      to.timers[to.used] = timer;
      moved(timer, first * 16 + to.used++);
    }
    to.live = static_cast<std::uint8_t>(to.live + from.live);
    unlink(second);
  }

  slot_ends* ends_;
  chunk* chunks_;
  std::uint32_t free_ = none;
  std::uint32_t fresh_ = 0;  // this one and those behind it were never used
  const std::uint32_t end_;
  std::uint32_t walked_ = none;
  std::size_t in_use_ = 0;
};

}  // namespace holdfast
