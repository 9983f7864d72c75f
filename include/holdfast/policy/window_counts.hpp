// SPDX-License-Identifier: MIT
// window_counts: a few hundred counters of this window and the last one, counted by many threads without a shared write.
//
//   operation       caller       progress                         cost                          allocates   when refused
//   add             any thread   wait-free with a place of its    two loads and a store; else   never       -
//                                own, else lock-free              one CAS
//   read_one,       any thread   wait-free                        a load a thread and counter   never       -
//   read_last_two                                                 that was used, or near one
//
// A window has a number, which the caller brings: time in epochs, or windows that it ends itself. A counter is one word a
// thread: the number, what was counted in that window, and what in the one before. So nothing is ever cleared: the first
// count in a new window moves what there is to its second half, and a word of any older window counts as empty. A count for
// the window before is added there, one for an older window is dropped.
//
// A reader finds what was counted before it, and of what is counted meanwhile any part. A word holds 2^20 - 1 counts of a
// thread and stays there. A word whose window is up to 63 ahead is taken for one of a caller with a newer clock, a word that is
// farther ahead for a very old one. Windows are numbered modulo 2^24, 194 days of seconds: a counter that was last used 2^24 -
// 63 to 2^24 + 1 windows ago shows its old counts, and for nearly as long takes no new ones.
//
// When to use it: not by itself, but under policy/latency_sketch.hpp and policy/adaptive_limit.hpp. A breaker has
// policy/breaker_window.hpp, whose window slides in finer steps and whose sums keep an order.
//
// Memory: 17 places of 8 bytes a counter: 16 that a thread owns, and one for all others. Source of the number in the word:
// policy/breaker_window.hpp.
// Proof: model/latency_sketch_model.cpp, unit/latency_sketch_test.cpp, stress/latency_sketch_stress.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/thread_slot.hpp"

namespace holdfast {

// 63..40 window, 39..20 what there is of it, 19..0 what there is of the one before: a number, or a set of bits.
class window_word {
 public:
  static constexpr std::uint64_t most = (std::uint64_t{1} << 20U) - 1;

  constexpr explicit window_word(std::uint64_t bits) noexcept : bits_(bits) {}
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }

  // After one more count in a window.
  [[nodiscard]] constexpr window_word one_more(std::uint32_t window) const noexcept {
    if (is_of(window) && current() != most) [[likely]]
      return window_word(bits_ + (most + 1));
    return changed(window, [](std::uint64_t n) { return n == most ? n : n + 1; });
  }
  // A bit of a window's set, and a set with it.
  [[nodiscard]] constexpr bool has(std::uint32_t window, unsigned bit) const noexcept {
    return is_of(window) && (bits_ >> (20 + bit) & 1U) != 0;
  }
  [[nodiscard]] constexpr window_word with(std::uint32_t window, unsigned bit) const noexcept {
    return changed(window, [bit](std::uint64_t set) { return set | std::uint64_t{1} << bit; });
  }
  [[nodiscard]] constexpr std::uint64_t in(std::uint32_t window) const noexcept {
    const std::int32_t later = lies_before(window);
    return later == 0 ? current() : (later == -1 ? before() : 0);
  }
  // Of it and what a newer clock counted after it; and of the one before.
  struct halves {
    std::uint64_t last = 0;
    std::uint64_t before = 0;
  };
  [[nodiscard]] constexpr halves in_last_two(std::uint32_t window) const noexcept {
    const std::int32_t later = lies_before(window);
    if (later > 1 || later <= -ahead) return {};
    return later == 1 ? halves{0, current()} : halves{current(), before()};
  }

 private:
  static constexpr std::int32_t ahead = 64;

  constexpr window_word(std::uint32_t window, std::uint64_t current, std::uint64_t before) noexcept
      : bits_(std::uint64_t{window} << 40U | current << 20U | before) {}
  template <class Change>
  [[nodiscard]] constexpr window_word changed(std::uint32_t window, Change change) const noexcept {
    const std::int32_t later = lies_before(window);
    if (later == 0) return {number(), change(current()), before()};
    const bool empty = bits_ << 24U == 0;  // as at the start: then the number is nobody's
    if (later < 0 && later > -ahead && !empty)
      return later == -1 ? window_word{number(), current(), change(before())} : *this;
    return {window, change(0), later == 1 ? current() : 0};
  }
  [[nodiscard]] constexpr bool is_of(std::uint32_t window) const noexcept {
    return ((bits_ >> 40U ^ window) & 0xFF'FFFFU) == 0;
  }
  [[nodiscard]] constexpr std::uint32_t number() const noexcept { return static_cast<std::uint32_t>(bits_ >> 40U); }
  [[nodiscard]] constexpr std::uint64_t current() const noexcept { return bits_ >> 20U & most; }
  [[nodiscard]] constexpr std::uint64_t before() const noexcept { return bits_ & most; }
  // By how many windows; negative: it lies after.
  [[nodiscard]] constexpr std::int32_t lies_before(std::uint32_t window) const noexcept {
    return static_cast<std::int32_t>((window - number()) << 8U) >> 8U;
  }
  std::uint64_t bits_;
};

template <std::size_t Counters>
class window_counts {
 public:
  static constexpr std::uint32_t slots = 16;
  using sums = std::array<std::uint64_t, Counters>;

  window_counts() noexcept = default;
  window_counts(const window_counts&) = delete;
  window_counts& operator=(const window_counts&) = delete;

  [[gnu::always_inline]] void add(std::size_t counter, std::uint32_t window) noexcept {
    const std::uint32_t mine = thread_slot::cached();
    if (mine < slots) [[likely]] {
      add_alone(slots_[mine], counter, window);
    } else {
      add_slowly(counter, window);
    }
  }

  // Adds what was counted in a window, or in it and the one before.
  void read_one(std::uint32_t window, sums& into) const noexcept {
    read(into, [window](window_word word) { return window_word::halves{word.in(window), 0}; });
  }
  void read_last_two(std::uint32_t window, sums& into) const noexcept {
    read(into, [window](window_word word) { return word.in_last_two(window); });
  }

 private:
  // Readers look only at groups of counters in which there is something.
  static constexpr std::size_t group = 32;
  static_assert((Counters + group - 1) / group <= 20, "a set has a bit for each group");
  struct alignas(2 * cache_line_size) place {
    atomic<std::uint64_t> touched;  // which groups, by window
    std::array<atomic<std::uint64_t>, Counters> words;
  };
  static constexpr unsigned group_of(std::size_t counter) noexcept { return static_cast<unsigned>(counter / group); }

  [[gnu::always_inline]] static void add_alone(place& mine, std::size_t counter, std::uint32_t window) noexcept {
    const window_word touched(
        mine.touched.load(mo::relaxed));  // own: only the thread with this number writes its place
    if (!touched.has(window, group_of(counter))) [[unlikely]]
      mine.touched.store(touched.with(window, group_of(counter)).bits(), mo::relaxed);  // own: a reader may be late
    atomic<std::uint64_t>& word = mine.words[counter];
    // own: the same
    word.store(window_word(word.load(mo::relaxed)).one_more(window).bits(), mo::relaxed);
  }
  [[gnu::noinline]] void add_slowly(std::size_t counter, std::uint32_t window) noexcept {
    const std::uint32_t mine = thread_slot::current();
    if (mine < slots) return add_alone(slots_[mine], counter, window);
    place& all = slots_[slots];
    exchange(all.touched, [=](window_word seen) { return seen.with(window, group_of(counter)); });
    exchange(all.words[counter], [=](window_word seen) { return seen.one_more(window); });
  }
  template <class Change>
  static void exchange(atomic<std::uint64_t>& word, Change change) noexcept {
    std::uint64_t seen = word.load(mo::relaxed);  // counter: the exchange decides
    for (;;) {
      const std::uint64_t next = change(window_word(seen)).bits();
      // counter: publishes nothing but itself
      if (next == seen || word.compare_exchange_weak(seen, next, mo::relaxed, mo::relaxed)) return;
    }
  }
  template <class Part>
  void read(sums& into, Part part) const noexcept {
    const auto add_place = [&](const place& from) {
      // counter: what is counted meanwhile is found or not
      const window_word::halves sets = part(window_word(from.touched.load(mo::relaxed)));
      for (std::uint64_t left = sets.last | sets.before; left != 0; left &= left - 1) {
        const std::size_t first = static_cast<std::size_t>(std::countr_zero(left)) * group;
        for (std::size_t i = first; i < std::min(first + group, Counters); ++i) {
          const window_word::halves n = part(window_word(from.words[i].load(mo::relaxed)));  // counter: as above
          into[i] += n.last + n.before;
        }
      }
    };
    for (std::uint32_t i = 0, n = std::min(thread_slot::high_water(), slots); i < n; ++i) add_place(slots_[i]);
    add_place(slots_[slots]);
  }

  std::array<place, slots + 1> slots_;  // each written by the thread that owns it, the last one by all others
};

}  // namespace holdfast
