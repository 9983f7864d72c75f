// SPDX-License-Identifier: MIT
// period: when a periodic timer is due next, without drift, and what becomes of the times that were missed.
//
//   operation   caller       progress    cost   allocates   note
//   next        any thread   wait-free   O(1)   never       time_point::max() where there is no later time
//   missed_by   any thread   wait-free   O(1)   never       how many times since `due` have come
//
// In short: any thread | wait-free | never | -
//
// The times of a period are its first one and a whole number of periods after it. next() goes from one of them to another, whenever
// its call comes, so lateness does not add up:
//
//   wheel.advance(now, 1'000, [&](expired_timer<job>& e) {
//     run(e.what);
//     wheel.reschedule(e.id, every_second.next(e.due, now));
//   });
//
// Where the call came late, by a period or more, times were missed. What makes up for them: nothing (skip, for heartbeats and
// polling: the next one is behind now), one call for all of them (coalesce, for what must have run since the last of them: it is
// due at once, at the last time that was missed), or one call each (burst, for what counts its calls; a timer_wheel makes one a
// tick). missed_by says how many there were. Who wants a distance from the end of a call to the next one, and drift, adds to `now`.
//
// The same choice is tokio's MissedTickBehavior (Skip and Burst; its Delay is `now` and a period).
//
// Method: a division of the distance, in 64 bits without a sign, so times before a clock's zero are as all others.
//
// Proof: unit/period_test.cpp.
#pragma once

#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

enum class missed_times : std::uint8_t { skip, coalesce, burst };

struct period {
  duration every = std::chrono::seconds(1);
  missed_times missed = missed_times::skip;

  // Of the times behind `due`, which is one: the one to be set at `now`.
  [[nodiscard]] constexpr time_point next(time_point due, time_point now) const noexcept {
    const std::uint64_t times = missed_by(due, now);
    switch (missed) {
      case missed_times::burst: return later(due, 1);
      case missed_times::coalesce: return later(due, times == 0 ? 1 : times);
      default: return later(due, times + 1);
    }
  }
  // Times behind `due` that are not behind `now`.
  [[nodiscard]] constexpr std::uint64_t missed_by(time_point due, time_point now) const noexcept {
    HOLDFAST_ASSERT(every.count() > 0);
    return now <= due ? 0 : (bits_of(now) - bits_of(due)) / static_cast<std::uint64_t>(every.count());
  }

 private:
  static constexpr std::uint64_t sign = std::uint64_t{1} << 63U;
  static constexpr std::uint64_t bits_of(time_point time) noexcept {
    return static_cast<std::uint64_t>(time.time_since_epoch().count()) ^ sign;
  }
  [[nodiscard]] constexpr time_point later(time_point due, std::uint64_t times) const noexcept {
    const std::uint64_t left = ~std::uint64_t{0} - bits_of(due);
    // Of one time more than fit into 64 bits, which is zero, too.
    if (times - 1 >= left / static_cast<std::uint64_t>(every.count())) return time_point::max();
    return time_point(
        duration(static_cast<std::int64_t>((bits_of(due) + times * static_cast<std::uint64_t>(every.count())) ^ sign)));
  }
};
static_assert(std::is_aggregate_v<period>);

constexpr option_error validate(const period& p) noexcept {
  return first_of(at_least("every", p.every.count(), 1));
}

}  // namespace holdfast
