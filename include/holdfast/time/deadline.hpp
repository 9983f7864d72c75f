// SPDX-License-Identifier: MIT
// deadline: the instant after which an answer is of no use; handed inward, it only ever gets nearer.
//
// A value of eight bytes. All operations are wait-free, allocate nothing, and read no clock. Arithmetic saturates: a
// timeout of centuries is `never`, not an overflow.
//
// Between processes an instant means nothing, since their clocks differ; what travels is how much time is left, as a
// whole number of microseconds (to_wire, from_wire). It counts from when the receiver reads it, so the time that the
// message was under way comes on top: `slack` takes it off, and the time that the answer needs to come back.
//
// D1: a deadline that was handed inward, in a process or to another one, is never later than the one it comes from, as
// far as slack covers the way. D2: no policy schedules anything past the deadline.
// Proof: unit/clock_test.cpp (D1, saturation), unit/call_test.cpp (D1 and D2 for a whole call).
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <limits>

#include "holdfast/core/assert.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

class deadline {
 public:
  // The default never passes.
  constexpr deadline() noexcept = default;
  constexpr explicit deadline(time_point at) noexcept : at_(at) {}

  static constexpr deadline never() noexcept { return {}; }
  static constexpr deadline after(time_point now, duration timeout) noexcept {
    if (timeout >= time_point::max() - std::max(now, time_point{})) return never();
    if (timeout <= time_point::min() - std::min(now, time_point{})) return deadline(time_point::min());
    return deadline(now + timeout);
  }
  // What to_wire() sent. Nothing or less is a deadline that has passed.
  static constexpr deadline from_wire(time_point now, std::int64_t microseconds) noexcept {
    if (microseconds > duration::max() / std::chrono::microseconds(1)) return never();
    return after(now, std::chrono::microseconds(std::max<std::int64_t>(microseconds, 0)));
  }

  [[nodiscard]] constexpr time_point at() const noexcept { return at_; }
  [[nodiscard]] constexpr bool is_never() const noexcept { return at_ == time_point::max(); }
  [[nodiscard]] constexpr bool passed(time_point now) const noexcept { return now >= at_; }
  // Never negative; duration::max() for `never`.
  [[nodiscard]] constexpr duration remaining(time_point now) const noexcept {
    if (is_never()) return duration::max();
    if (now >= at_) return duration::zero();
    // A time before the clock's zero can be further away than a duration reaches.
    return now < time_point{} && at_ > now + duration::max() ? duration::max() : at_ - now;
  }
  // The nearer of this and `now + timeout`.
  [[nodiscard]] constexpr deadline tightened(time_point now, duration timeout) const noexcept {
    return std::min(*this, after(now, timeout));
  }
  // Microseconds left, less `slack`; rounded down and never negative. `never` is the largest number there is.
  [[nodiscard]] constexpr std::int64_t to_wire(time_point now, duration slack = {}) const noexcept {
    HOLDFAST_ASSERT(slack >= duration::zero());
    if (is_never()) return std::numeric_limits<std::int64_t>::max();
    return (std::max(remaining(now), slack) - slack) / std::chrono::microseconds(1);
  }

  friend constexpr auto operator<=>(deadline, deadline) noexcept = default;

 private:
  time_point at_ = time_point::max();
};

}  // namespace holdfast
