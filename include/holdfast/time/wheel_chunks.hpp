// SPDX-License-Identifier: MIT
// wheel_chunks: the lists of a timer wheel's slots: numbers of timers in the order in which they came, some of them on a line each.
//
//   operation   caller      progress    cost   allocates   note
//   make_tail   its owner   wait-free   O(1)   never       a place at the end of a slot; others may come to lie elsewhere
//   append      its owner   wait-free   O(1)   never       puts one there, and says where it lies
//   remove      its owner   wait-free   O(1)   never       from where it lies
//   walk        its owner   as its call O(1)   never       takes the first ones out, one after the other; see there
//
// In short: one owner | wait-free | never | -
//
// A chunk is a cache line that holds thirteen numbers. So to put a timer into a slot or to take one out touches no neighbour of it,
// and a walk knows the next thirteen timers before it comes to them. A list that links its timers themselves makes a walk wait for
// each before it knows where the next one is: that is what most of a wheel's time goes to when there are many.
//
// A timer taken out of the middle leaves a hole, and a chunk of holes is given back. Where many are left that hold few, whoever
// needs one more looks at `steps` chunks first, one round after the other, and joins those that fit into one. A round passes
// while steps times fewer chunks than there are were taken, which is what `chunks_for` goes by. What is put behind a chunk
// before the round comes to it, and taken out afterwards, can keep it from being joined; so where all chunks are in use after
// all, rounds go on until one is free: a round in which nothing else happens leaves two neighbours that hold more than thirteen,
// so less than there are.
//
// Memory: 14.2 bytes a timer and 150 KiB are set apart (`chunks_for`), 5 bytes a timer are used where they come in a row; 14 KiB
// for the slots.
//
// Method: an unrolled linked list (Shao, Reppy, Appel, "Unrolling lists", 1994).
//
// Proof: unit/timer_wheel_test.cpp, fuzz/timer_wheel_fuzz.cpp.
#pragma once

#include <algorithm>
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
  static constexpr std::uint32_t steps = 8;
  static constexpr std::uint32_t most_timers = std::uint32_t{1} << 28U;
  static constexpr std::size_t chunk_bytes = 64;
  // Where a timer lies: the number of its word. A chunk has sixteen of them.
  using place = std::uint32_t;

  // Where the next timer goes is known here, so that it is put there without a look at the chunk.
  struct slot_ends {
    std::uint32_t first = none;  // chunk
    place tail = none;
  };

  // Few in a chunk: then some are joined before another one is taken.
  static constexpr std::uint32_t few = 6;
  static constexpr std::size_t chunks_for(std::size_t timers) noexcept {
    // Of n chunks at most timers / few + slots are there when a round begins; n / steps more are taken in that round, and as many
    // in the next one.
    const std::size_t begin = timers / few + wheel_levels::slots + 1;
    return std::min(timers + 1, begin + (2 * begin + (steps - 2) - 1) / (steps - 2) + 1);
  }
  static constexpr std::size_t bytes_for(std::size_t timers) noexcept {
    return wheel_levels::slots * sizeof(slot_ends) + chunks_for(timers) * chunk_bytes;
  }

  // In `memory`, of bytes_for(timers) bytes, aligned to a chunk. Of it only the ends of the slots are touched now.
  wheel_chunks(std::byte* memory, std::size_t timers) noexcept
      : ends_(reinterpret_cast<slot_ends*>(memory)),
        words_(reinterpret_cast<std::uint32_t*>(memory + wheel_levels::slots * sizeof(slot_ends))),
        end_(static_cast<std::uint32_t>(chunks_for(timers))) {
    static_assert(wheel_levels::slots * sizeof(slot_ends) % chunk_bytes == 0);
    for (std::uint32_t i = 0; i < wheel_levels::slots; ++i) new (ends_ + i) slot_ends;
  }

  [[nodiscard]] bool empty(std::uint32_t slot) const noexcept { return ends_[slot].first == none; }
  [[nodiscard]] std::uint32_t slot_at(place at) const noexcept { return words_[at | last_word] & slot_mask; }
  [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }

  // Is there a place at the end of the slot?
  [[nodiscard]] bool has_tail(std::uint32_t slot) const noexcept { return ends_[slot].tail % chunk_words < in_chunk; }
  // Makes one, where there are `live` timers in all; true: the slot was empty. moved(timer, place) is called for those that lie
  // elsewhere from then on.
  template <class Moved>
  bool make_tail(std::uint32_t slot, std::size_t live, Moved&& moved) noexcept {
    slot_ends& ends = ends_[slot];
    if (in_use_ > live / few + wheel_levels::slots) join_some(moved);
    // Not seen yet. A round without a change between its steps leaves at most a chunk for seven timers and one for each slot.
    while (in_use_ == end_) [[unlikely]] join_some(moved);
    const bool was_empty = ends.first == none;
    std::uint32_t last = none;
    if (!was_empty) {
      if (has_tail(slot)) return false;
      last = ends.tail / chunk_words;
      if (live_in(last, ends) <= in_chunk / 2) {
        ends.tail = last * chunk_words + close_up(last, moved);
        set_gone(last, 0);
        return false;
      }
    }
    const std::uint32_t at = take();
    before(at) = last;
    after(at) = none;
    word(at, last_word) = slot;  // and none is gone
    (was_empty ? ends.first : after(last)) = at;
    ends.tail = at * chunk_words;
    return was_empty;
  }
  // There is a place.
  [[gnu::always_inline]] place append(std::uint32_t slot, std::uint32_t timer) noexcept {
    const place at = ends_[slot].tail++;
    words_[at] = timer;
    return at;
  }

  // True: tidy_up() is to be called for it.
  [[gnu::always_inline]] bool remove(place from) noexcept {
    words_[from] = none;
    const std::uint32_t about = words_[from | last_word] += one_gone;
    return about >= in_chunk * one_gone || words_[(from | last_word) - 1] == none;
  }
  // Gives its chunk back if nothing is in it; true: the slot is empty now.
  bool tidy_up(place from) noexcept { return emptied(from / chunk_words); }

  // Takes the first timers of the slot's first chunk out, in their order, at most `most`; how many they were. take_one(timer) may
  // append to other slots and remove from any, this one included. prepare(timer) is called for some that will come soon.
  template <class TakeOne, class Prepare>
  std::size_t walk(std::uint32_t slot, std::size_t most, TakeOne&& take_one, Prepare&& prepare) {
    const std::uint32_t at = ends_[slot].first;
    const walk_mark mark(*this, at);
    if (prepared_ != at) prepare_all(at, used_in(at, ends_[slot]), prepare);
    prepared_ = after(at);
    if (prepared_ != none) {
      prepare_all(prepared_, used_in(prepared_, ends_[slot]), prepare);
      if (after(prepared_) != none) prefetch_for_read(reinterpret_cast<const std::byte*>(&word(after(prepared_), 0)));
    }
    const place begin = at * chunk_words;
    const place end = begin + used_in(at, ends_[slot]);
    std::size_t taken = 0;
    for (place from = begin; from < end && taken < most; ++from) {
      const std::uint32_t timer = words_[from];
      if (timer == none) continue;
      words_[from] = none;
      word(at, last_word) += one_gone;
      ++taken;
      take_one(timer);
    }
    return taken;
  }
  // visit(timer) for each, slot by slot.
  template <class Visit>
  void each(Visit&& visit) const {
    for (std::uint32_t slot = 0; slot < wheel_levels::slots; ++slot) {
      for (std::uint32_t at = ends_[slot].first; at != none; at = after(at)) {
        const std::uint32_t used = used_in(at, ends_[slot]);
        for (std::uint32_t i = 0; i < used; ++i) {
          if (word(at, i) != none) visit(word(at, i));
        }
      }
    }
  }

 private:
  // Of a chunk: thirteen timers (none: taken out), the chunks before and after it in its slot (or the next free one), and a word
  // for its slot and how many of the places that were given out have no timer any more; of a free one all.
  static constexpr std::uint32_t chunk_words = 16;
  static constexpr std::uint32_t last_word = chunk_words - 1;
  static constexpr std::uint32_t one_gone = 1U << 16U;
  static constexpr std::uint32_t slot_mask = one_gone - 1;

  [[nodiscard]] std::uint32_t& word(std::uint32_t at, std::uint32_t i) noexcept { return words_[at * chunk_words + i]; }
  [[nodiscard]] std::uint32_t word(std::uint32_t at, std::uint32_t i) const noexcept {
    return words_[at * chunk_words + i];
  }
  [[nodiscard]] std::uint32_t& before(std::uint32_t at) noexcept { return word(at, in_chunk); }
  [[nodiscard]] std::uint32_t& after(std::uint32_t at) noexcept { return word(at, in_chunk + 1); }
  [[nodiscard]] std::uint32_t after(std::uint32_t at) const noexcept { return word(at, in_chunk + 1); }
  [[nodiscard]] std::uint32_t slot_of(std::uint32_t at) const noexcept { return word(at, last_word) & slot_mask; }
  [[nodiscard]] std::uint32_t gone(std::uint32_t at) const noexcept { return word(at, last_word) / one_gone; }
  void set_gone(std::uint32_t at, std::uint32_t count) noexcept {
    word(at, last_word) = slot_of(at) + count * one_gone;
  }

  // Tells emptied() which chunk is walked, and asks it after the walk, however that ends.
  class walk_mark {
   public:
    walk_mark(wheel_chunks& of, std::uint32_t at) noexcept : of_(of) { of_.walked_ = at; }
    walk_mark(const walk_mark&) = delete;
    walk_mark& operator=(const walk_mark&) = delete;
    ~walk_mark() { of_.emptied(std::exchange(of_.walked_, none)); }

   private:
    wheel_chunks& of_;
  };

  // Of all chunks but the last one of a slot every place was given out.
  [[nodiscard]] static std::uint32_t used_in(std::uint32_t at, const slot_ends& ends) noexcept {
    return ends.tail / chunk_words == at ? ends.tail % chunk_words : in_chunk;
  }
  [[nodiscard]] std::uint32_t live_in(std::uint32_t at, const slot_ends& ends) const noexcept {
    return used_in(at, ends) - gone(at);
  }
  template <class Prepare>
  void prepare_all(std::uint32_t at, std::uint32_t used, Prepare& prepare) noexcept {
    for (std::uint32_t i = 0; i < used; ++i) prepare(word(at, i));
  }

  std::uint32_t take() noexcept {
    ++in_use_;
    if (free_ != none) return std::exchange(free_, after(free_));
    HOLDFAST_ASSERT(fresh_ < end_);
    return fresh_++;
  }
  // A chunk that is being walked is left to its walk.
  bool emptied(std::uint32_t at) noexcept {
    slot_ends& ends = ends_[slot_of(at)];
    return at != walked_ && gone(at) == used_in(at, ends) && unlink(at, ends);
  }
  bool unlink(std::uint32_t at, slot_ends& ends) noexcept {
    const std::uint32_t previous = before(at);
    const std::uint32_t next = after(at);
    (previous == none ? ends.first : after(previous)) = next;
    if (next != none) {
      before(next) = previous;
    } else {
      ends.tail = previous == none ? none : previous * chunk_words + in_chunk;
    }
    set_gone(at, in_chunk);
    after(at) = std::exchange(free_, at);
    --in_use_;
    return ends.first == none;
  }
  // Puts the timers of a chunk without a free place into its first places, and says how many they are. Who calls counts those gone.
  template <class Moved>
  std::uint32_t close_up(std::uint32_t at, Moved& moved) noexcept {
    std::uint32_t to = 0;
    for (std::uint32_t from = 0; from < in_chunk; ++from) {
      const std::uint32_t timer = word(at, from);
      if (timer == none) continue;
      if (from != to) {
        word(at, from) = none;
        word(at, to) = timer;
        moved(timer, at * chunk_words + to);
      }
      ++to;
    }
    return to;
  }
  template <class Moved>
  void join_some(Moved& moved) noexcept {
    for (std::uint32_t step = 0; step < steps; ++step) {
      if (fits_with_next(round_)) {
        join(round_, after(round_), moved);
      } else if (++round_ == fresh_) {
        round_ = 0;
      }
    }
  }
  [[nodiscard]] bool fits_with_next(std::uint32_t at) const noexcept {
    if (gone(at) == in_chunk || after(at) == none || at == walked_) return false;
    const slot_ends& ends = ends_[slot_of(at)];
    return live_in(at, ends) + live_in(after(at), ends) <= in_chunk;
  }
  // The timers of the second one get behind those of the first one.
  template <class Moved>
  void join(std::uint32_t first, std::uint32_t second, Moved& moved) noexcept {
    slot_ends& ends = ends_[slot_of(first)];
    const bool is_last = after(second) == none;
    const std::uint32_t used = used_in(second, ends);
    std::uint32_t live = close_up(first, moved);
    for (std::uint32_t i = 0; i < used; ++i) {
      const std::uint32_t timer = word(second, i);
      if (timer == none) continue;
      word(first, live) = timer;
      moved(timer, first * chunk_words + live++);
    }
    unlink(second, ends);
    if (is_last) ends.tail = first * chunk_words + live;
    set_gone(first, is_last ? 0 : in_chunk - live);
  }

  slot_ends* ends_;
  std::uint32_t* words_;
  std::uint32_t free_ = none;
  std::uint32_t fresh_ = 0;  // this one and those behind it were never used
  const std::uint32_t end_;
  std::uint32_t walked_ = none;
  std::uint32_t prepared_ = none;  // whose timers have been prepared
  std::uint32_t round_ = 0;        // the one that is looked at next
  std::size_t in_use_ = 0;
};

}  // namespace holdfast
