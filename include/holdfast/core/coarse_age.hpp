// SPDX-License-Identifier: MIT
// coarse_age: how long ago something was, in 16 bits: from a microsecond to 50 days, to a thousandth.
//
// Less than half a microsecond is zero. More than 50 days is 50 days.
//
// When to use it: for people, where a whole duration has no room (core/error.hpp). Not to reckon with.
//
// Method: a number of microseconds with eleven bits behind an exponent of five. Proof: unit/describe_test.cpp.
#pragma once

#include <bit>
#include <chrono>
#include <cstdint>

namespace holdfast {

class coarse_age {
 public:
  static constexpr std::chrono::nanoseconds longest{std::chrono::microseconds(std::int64_t{0x7FF} << 31U)};

  constexpr coarse_age() noexcept = default;
  constexpr explicit coarse_age(std::chrono::nanoseconds age) noexcept {
    if (age.count() < 500) return;
    const auto us = (static_cast<std::uint64_t>((age < longest ? age : longest).count()) + 500) / 1'000;
    const auto width = static_cast<unsigned>(std::bit_width(us));
    const unsigned dropped = width > 11 ? width - 11U : 0;
    const std::uint64_t half = dropped != 0 ? std::uint64_t{1} << (dropped - 1) : 0;
    const std::uint64_t kept = (us + half) >> dropped;
    const unsigned carry = kept > 0x7FF ? 1 : 0;
    bits_ = static_cast<std::uint16_t>((dropped + carry) << 11U | kept >> carry);
  }

  [[nodiscard]] constexpr std::chrono::nanoseconds value() const noexcept {
    return std::chrono::microseconds(std::int64_t{bits_ & 0x7FF} << (bits_ >> 11U));
  }
  constexpr explicit operator bool() const noexcept { return bits_ != 0; }
  friend constexpr bool operator==(coarse_age, coarse_age) noexcept = default;

 private:
  std::uint16_t bits_ = 0;
};
static_assert(sizeof(coarse_age) == 2);

}  // namespace holdfast
