// SPDX-License-Identifier: MIT
// deadline: the instant after which an answer is of no use; handed inward, it only ever gets nearer.
//
// A value of eight bytes. All operations are wait-free, allocate nothing, and read no clock. Arithmetic saturates: a
// timeout of centuries is `never`, not an overflow.
//
// Proof: unit/clock_test.cpp.
#pragma once

#include <algorithm>
#include <compare>

#include "holdfast/time/clock.hpp"

namespace holdfast {

class deadline {
 public:
  // The default never passes.
  constexpr deadline() noexcept = default;
  constexpr explicit deadline(time_point at) noexcept : at_(at) {}

  static constexpr deadline never() noexcept { return {}; }
  static constexpr deadline after(time_point now, duration timeout) noexcept {
    return deadline(timeout >= time_point::max() - std::max(now, time_point{}) ? time_point::max() : now + timeout);
  }

  [[nodiscard]] constexpr time_point at() const noexcept { return at_; }
  [[nodiscard]] constexpr bool is_never() const noexcept { return at_ == time_point::max(); }
  [[nodiscard]] constexpr bool passed(time_point now) const noexcept { return now >= at_; }
  // Never negative; duration::max() for `never`.
  [[nodiscard]] constexpr duration remaining(time_point now) const noexcept {
    if (is_never()) return duration::max();
    return now >= at_ ? duration::zero() : at_ - now;
  }
  // The nearer of this and `now + timeout`.
  [[nodiscard]] constexpr deadline tightened(time_point now, duration timeout) const noexcept {
    return std::min(*this, after(now, timeout));
  }

  friend constexpr auto operator<=>(deadline, deadline) noexcept = default;

 private:
  time_point at_ = time_point::max();
};

}  // namespace holdfast
