// SPDX-License-Identifier: MIT
// cool_down: lets one of all who ask pass, and the next one when its time is over; so that a notice is given once and not by
// every call that meets what it is about.
//
//   operation    caller         progress    cost                      allocates   when refused
//   try_claim    any thread     lock-free   one CAS; nothing to       never       empty, and the next claim is told of it
//                                           count any more: one load
//   held_back    any observer   wait-free   one load                  never       -
//
// In short: any thread | lock-free | never | an empty claim, counted for the next one
//
//   E1 Of all who ask within `length` of a claim none gets another, however many threads ask and whatever clocks they bring.
//      (By their own readings: who brings an older one than the claim's is held back as well.)
//   E2 Who asks `length` and a tick after the last claim, or later, gets one, unless another one does.
//   E3 Claims and those they report as held back are all who asked: each is reported by exactly one claim, the next one, or is in
//      held_back(). From `most_counted` between two claims on, that many are reported.
//
// A clock that goes back grants nothing; until it is again where it was, nothing is granted. One that jumps ahead takes the
// claims of the time between with it.
//
// When to use it: for what is told to people: an exhausted budget, a table that is full, a refusal. Not to limit work:
// rate_limiter keeps a burst and says when to come again.
//
// Memory: 8 bytes and no pointer, so it can live in shared memory. A zeroed one has never been claimed.
// Method: one word holds the end of the cool-down, to a tick of 2^20 ns (1.05 ms) that is rounded up, and the number held back
// since, so that both change in one step. The end is kept for 9 years of steady time: one that nobody asked for so long takes a
// past end for a future one.
// Proof: model/cool_down_model.cpp (every execution of small cases, deaths), unit/cool_down_test.cpp,
// stress/retry_budget_stress.cpp (E1, E3).
#pragma once

#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

struct [[nodiscard]] cool_down_claim {
  bool granted = false;
  std::uint32_t held_back = 0;  // granted: how many were not since the last one

  constexpr explicit operator bool() const noexcept { return granted; }
};

class cool_down {
  static constexpr unsigned count_bits = 24;
  static constexpr unsigned tick_bits = 39;
  static constexpr unsigned tick_shift = 20;
  static constexpr std::uint64_t tick_mask = (std::uint64_t{1} << tick_bits) - 1;

 public:
  static constexpr std::uint32_t most_counted = (std::uint32_t{1} << count_bits) - 1;
  static constexpr duration tick{std::int64_t{1} << tick_shift};
  static constexpr duration longest = std::chrono::hours(24 * 365);

  constexpr cool_down() noexcept = default;
  cool_down(const cool_down&) = delete;
  cool_down& operator=(const cool_down&) = delete;

  // At most a year. The length is that of the cool-down that a granted claim begins; one that is under way keeps the length
  // that it began with.
  cool_down_claim try_claim(time_point now, duration length) noexcept {
    HOLDFAST_ASSERT(length > duration::zero());
    HOLDFAST_ASSERT(length <= longest);
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the word publishes nothing but itself
    for (;;) {
      const bool cooling = seen != 0 && ahead(end_of(seen), floor_tick(now));
      if (cooling && held_back_in(seen) == most_counted) return {};
      const std::uint64_t next = cooling ? seen + 1 : claimed_until(now, length);
      // own: one word holds the whole state, so the exchange alone makes look and claim one step
      if (word_.compare_exchange_weak(seen, next, mo::relaxed, mo::relaxed)) {
        return cooling ? cool_down_claim{} : cool_down_claim{true, held_back_in(seen)};
      }
    }
  }

  // Since the last claim.
  [[nodiscard]] std::uint32_t held_back() const noexcept {
    return held_back_in(word_.load(mo::relaxed));  // hint: a stale observer's view
  }

 private:
  static constexpr std::uint64_t claimed = std::uint64_t{1} << 63U;

  static constexpr std::uint32_t held_back_in(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word) & most_counted;
  }
  static constexpr std::uint64_t end_of(std::uint64_t word) noexcept { return (word >> count_bits) & tick_mask; }
  static constexpr std::uint64_t floor_tick(time_point now) noexcept {
    return static_cast<std::uint64_t>(now.time_since_epoch().count() >> tick_shift) & tick_mask;
  }
  // The first tick that does not begin before now + length.
  static constexpr std::uint64_t claimed_until(time_point now, duration length) noexcept {
    return claimed | floor_tick(now + length + (tick - duration(1))) << count_bits;
  }
  static constexpr bool ahead(std::uint64_t end, std::uint64_t now) noexcept {
    return ((end - now - 1) & tick_mask) < tick_mask / 2;  // a distance of zero wraps around to "no"
  }

  atomic<std::uint64_t> word_{0};  // claimed : 1 | end : 39 | held back : 24; written by all who ask
};
static_assert(std::is_standard_layout_v<cool_down> && sizeof(cool_down) == 8);

}  // namespace holdfast
