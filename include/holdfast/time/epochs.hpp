// SPDX-License-Identifier: MIT
// epochs: time in stretches of one length, numbered, for windows that nothing clears.
//
// A count that carries the number of its stretch is empty as soon as that number is over, and no timer has to say so. The
// number costs one multiplication instead of a division, so a stretch may be longer than it should: by its length squared /
// 2^64, in nanoseconds and rounded up, which is one for lengths up to 4 s and 0.7 ms for an hour. It wraps after 2^32
// stretches. Those before the clock's zero do not follow on from those after it. No clock is read; nothing
// allocates; a value of eight bytes.
// Proof: unit/latency_sketch_test.cpp, unit/circuit_breaker_test.cpp, unit/compact_breaker_test.cpp.
#pragma once

#include <cstdint>

#include "holdfast/core/assert.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

class epochs {
 public:
  // Of at least a nanosecond; asserted before it is divided by.
  constexpr explicit epochs(duration length) noexcept
      : per_nanosecond_((HOLDFAST_ASSERT(length > duration::zero()),
                         ~std::uint64_t{0} / static_cast<std::uint64_t>(length.count()))) {}
  // So many to a window, rounded up to a nanosecond.
  constexpr epochs(duration window, std::uint32_t parts) noexcept
      : epochs(duration((window.count() + (parts - 1)) / parts)) {}

  [[nodiscard]] constexpr std::uint64_t whole(time_point now) const noexcept {
    return static_cast<std::uint64_t>(product(now) >> 64U);
  }
  [[nodiscard]] constexpr std::uint32_t of(time_point now) const noexcept {
    return static_cast<std::uint32_t>(whole(now));
  }
  // How many nanoseconds from `now` on, itself included, are of its epoch.
  [[nodiscard]] constexpr std::uint64_t left(time_point now) const noexcept {
    return ~static_cast<std::uint64_t>(product(now)) / per_nanosecond_ + 1;
  }

 private:
  __extension__ using wide = unsigned __int128;
  [[nodiscard]] constexpr wide product(time_point now) const noexcept {
    return wide{static_cast<std::uint64_t>(now.time_since_epoch().count())} * per_nanosecond_;
  }
  std::uint64_t per_nanosecond_;  // 2^64 / the length
};

}  // namespace holdfast
