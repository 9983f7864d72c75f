// SPDX-License-Identifier: MIT
// count_window: of the last so many calls, whenever they were, how many failed and how many were slow.
//
//   operation   caller   progress    cost                                         allocates   when refused
//   count       anyone   lock-free   one compare-and-swap of a word that all      never       no calls: not counted, the
//                                    share; one more if the result is another                 results of another era are
//                                    than that of 1,024 calls before                          counted by now
//   begin       anyone   lock-free   as count                                     never       -
//   counts      anyone   wait-free   one load                                     never       -
//
// In short: any thread | lock-free | never | no calls: a result of an era that is over
//
// Exact, also between threads: all results stand in the one order in which the exchange took them, and each caller gets the
// sums over its own result and those before it, as many as it asks for. So a share of them is never one that no order of
// the reports would give, and the caller whose result brings a share to its limit is told so, at once and not later.
//
// An era is a closed state of a breaker and a shape of the window: the first result of another era begins with an empty
// window, and no result lands in an era that is not its own.
//
// Why a shared word: a window of the last results has one order of them, and whoever keeps one writes where the others do.
// A window of time needs none (policy/breaker_window.hpp): where the cost counts, take that one.
//
// Memory: 640 bytes, however many calls it is asked for. No pointers in it, standard layout.
//
// Method: the sums, the place of the newest result and that result itself are one 64-bit word, and each count is one
// exchange of it. What a result was is kept in a ring of two bits a call, for the day when it leaves the window. The
// word's result goes into the ring before the next one takes its place, by whichever thread comes next: so no thread waits
// for one that sleeps or has died. A ring word carries the number of its changes, so that a thread that slept writes
// nothing any more. Nothing is written where the ring says it already, as it does while all calls are alike.
// (A thread that sleeps between two of its steps while exactly a multiple of 4,193,280 results are counted, and whose sums
// are the same again, may take a result out of the sums as it was then. An era that nothing was counted in since another
// one, exactly a multiple of 16,384 states before, takes over its results.)
// Source: resilience4j's fixed-size sliding window for the semantics; Michael and Scott, 1996, for the step that the next
// thread ends.
//
// Proof: model/count_window_model.cpp, unit/count_window_test.cpp, unit/circuit_breaker_test.cpp,
// stress/circuit_breaker_stress.cpp, bench/circuit_breaker_bench.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"

namespace holdfast {

class count_window {
 public:
  static constexpr std::uint32_t most_calls = 1024;

  struct era {
    std::uint16_t generation = 0;  // of the breaker's state; 14 bits of it tell eras apart
    std::uint8_t shape = 0;        // 4 bits of it
  };
  struct sums {
    std::uint32_t calls = 0;
    std::uint32_t failed = 0;
    std::uint32_t slow = 0;
    friend constexpr bool operator==(const sums&, const sums&) noexcept = default;
  };

  // Counts a result of `its` era and returns the sums over the last `calls` results, this one the last of them. `still`
  // says whether the era lasts; it is asked if results of another one are there. In one era `calls` is always the same.
  template <class Still>
  sums count(era its, std::uint32_t calls, bool failed, bool slow, Still still) noexcept {
    HOLDFAST_ASSERT(calls >= 1);
    HOLDFAST_ASSERT(calls <= most_calls);
    for (;;) {
      // [N1] acquire, pairs with [N5] and [N7]: the ring as far as this word's results, but for the newest, and the state of the
      // breaker that its era is of
      const head now(head_.load(mo::acquire));
      const bool ours = now.is_of(its);
      if (!ours && !still()) return {};
      if (!put_away(now)) continue;
      const head next = ours ? now.after(failed, slow, leaves(now, calls)) : head(its).after(failed, slow, 0);
      std::uint64_t seen = now.bits();
      // [N5] release, pairs with [N1]: what was put away, here or by another thread, and the state of the breaker
      // counter: a failure is tried again
      if (head_.compare_exchange_strong(seen, next.bits(), mo::release, mo::relaxed)) return next.sums_of(calls);
    }
  }

  // A shape begins, in the state that `its` is of, with an empty window, if no result of it is there yet.
  void begin(era its) noexcept {
    for (;;) {
      const head now(head_.load(mo::acquire));  // [N6] acquire, pairs with [N5]: as [N1]
      if (now.shape() == head(its).shape()) return;
      if (!put_away(now)) continue;
      std::uint64_t seen = now.bits();
      // [N7] release, pairs with [N1]: what was put away, and that there is another shape
      // counter: a failure is tried again
      if (head_.compare_exchange_strong(seen, head(its).bits(), mo::release, mo::relaxed)) return;
    }
  }

  // Of `its` era, as many as count() was asked for.
  [[nodiscard]] sums counts(era its, std::uint32_t calls) const noexcept {
    const head now(head_.load(mo::relaxed));  // hint: all of it is in the word
    return now.is_of(its) ? now.sums_of(calls) : sums{};
  }

 private:
  static constexpr std::uint32_t calls_a_word = 16;

  // 63..50 generation, 49..46 shape, 45..24 how many results, 23 the newest failed, 22 it was slow, 21..11 failed, 10..0 slow
  class head {
   public:
    constexpr explicit head(std::uint64_t bits) noexcept : bits_(bits) {}
    constexpr explicit head(era its) noexcept : bits_(key_of(its) << 46U) {}

    [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
    [[nodiscard]] constexpr bool is_of(era its) const noexcept { return bits_ >> 46U == key_of(its); }
    [[nodiscard]] constexpr std::uint32_t shape() const noexcept { return field(46, 0xF); }
    [[nodiscard]] constexpr std::uint32_t results() const noexcept { return field(24, (1U << 22U) - 1); }
    // As in the ring: bit 0 failed, bit 1 slow.
    [[nodiscard]] constexpr std::uint32_t newest() const noexcept { return field(23, 1) | field(22, 1) << 1U; }
    [[nodiscard]] constexpr sums sums_of(std::uint32_t calls) const noexcept {
      return {.calls = std::min(results(), calls), .failed = field(11, 2047), .slow = field(0, 2047)};
    }
    // One result more, and without the one that `leaves`, as in the ring.
    [[nodiscard]] constexpr head after(bool failed, bool slow, std::uint32_t leaves) const noexcept {
      constexpr std::uint32_t end = 1U << 22U;
      static_assert(end % most_calls == 0, "the ring goes on where it was");
      // Full once is full for ever.
      const std::uint64_t results_now = results() + 1 == end ? most_calls : results() + 1;
      const std::uint32_t failed_now = field(11, 2047) - std::min(field(11, 2047), leaves & 1U) + (failed ? 1U : 0U);
      const std::uint32_t slow_now = field(0, 2047) - std::min(field(0, 2047), leaves >> 1U) + (slow ? 1U : 0U);
      return head(bits_ >> 46U << 46U | results_now << 24U | std::uint64_t{failed} << 23U | std::uint64_t{slow} << 22U |
                  std::uint64_t{failed_now} << 11U | slow_now);
    }

   private:
    static constexpr std::uint64_t key_of(era its) noexcept {
      return std::uint64_t{its.generation & 0x3FFFU} << 4U | (its.shape & 0xFU);
    }
    [[nodiscard]] constexpr std::uint32_t field(unsigned at, std::uint32_t mask) const noexcept {
      return static_cast<std::uint32_t>(bits_ >> at) & mask;
    }
    std::uint64_t bits_;
  };

  static constexpr unsigned shift_of(std::uint32_t result) noexcept { return 2 * (result % calls_a_word); }
  // 63..32 how often it changed, 31..0 two bits a result
  [[nodiscard]] atomic<std::uint64_t>& word_of(std::uint32_t result) noexcept {
    return ring_[result / calls_a_word % ring_.size()];
  }

  // Puts the newest result of `now` where it will be found when it leaves. False: `now` is old.
  bool put_away(head now) noexcept {
    if (now.results() == 0) return true;
    const std::uint32_t newest = now.results() - 1;
    atomic<std::uint64_t>& word = word_of(newest);
    const unsigned shift = shift_of(newest);
    // [N2] acquire, pairs with [N4]: who sees a change made for a later result sees that `now` is old
    std::uint64_t seen = word.load(mo::acquire);
    if ((seen >> shift & 3U) == now.newest()) return true;
    // own: ordered by [N2]. Whoever replaces `now` puts its result away first, so if it is there still, and the ring's word
    // changes from here on, that has been done.
    if (head_.load(mo::relaxed) != now.bits()) return false;
    const std::uint64_t changed = (seen & ~(std::uint64_t{3} << shift)) | std::uint64_t{now.newest()} << shift;
    // [N4] release, pairs with [N2]: hands on that `now` was the word
    word.compare_exchange_strong(seen, changed + (std::uint64_t{1} << 32U), mo::release,
                                 mo::relaxed);  // hint: as above
    return true;
  }

  // The result that the next one drives out of a window of so many calls; put_away(now) went before.
  [[nodiscard]] std::uint32_t leaves(head now, std::uint32_t calls) noexcept {
    if (now.results() < calls) return 0;
    const std::uint32_t oldest = now.results() - calls;
    // own: at least what was put away, see [N1], and if it is a later result, then `now` is old and its exchange fails
    return static_cast<std::uint32_t>(word_of(oldest).load(mo::relaxed) >> shift_of(oldest)) & 3U;
  }

  // Written by every count.
  alignas(2 * cache_line_size) atomic<std::uint64_t> head_{0};
  // Written where a result differs from the one before it in its place.
  alignas(2 * cache_line_size) std::array<atomic<std::uint64_t>, most_calls / calls_a_word> ring_{};
};
static_assert(sizeof(count_window) == 2 * cache_line_size + count_window::most_calls / 2);
static_assert(std::is_standard_layout_v<count_window>);

}  // namespace holdfast
