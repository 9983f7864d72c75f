// SPDX-License-Identifier: MIT
// packed_tick: an instant in 31 bits, so that a deadline fits into one word with the state that it ends.
//
// Ticks are 2^20 ns (1.05 ms) of steady time modulo 2^31 (26 days). A tick lies ahead if the way to it is at most as
// long as the part that set it ever sets it, plus `skew`: so a caller whose `now` is older than another thread's, by up
// to an hour, does not take a future tick for one long past, and a part that nobody asked for months does.
//
// When to use it: beside a state in one atomic word, since a state and its deadline in two words are a race. Elsewhere a
// time_point. Proof: unit/circuit_breaker_test.cpp, unit/single_flight_test.cpp, fault/wrap_fault.cpp.
#pragma once

#include <cstdint>

#include "holdfast/time/clock.hpp"

namespace holdfast {

struct packed_tick {
  static constexpr unsigned shift = 20;
  static constexpr std::uint64_t nanoseconds = std::uint64_t{1} << shift;
  static constexpr std::uint32_t mask = 0x7FFF'FFFFU;
  static constexpr std::uint32_t skew = std::uint32_t{1} << 22U;  // 73 minutes

  // The tick that `now` is in.
  static constexpr std::uint32_t of(time_point now) noexcept {
    return static_cast<std::uint32_t>(bits(now) >> shift) & mask;
  }
  // The first tick that does not begin before now + d.
  static constexpr std::uint32_t after(time_point now, duration d) noexcept {
    return static_cast<std::uint32_t>((bits(now) + static_cast<std::uint64_t>(d.count()) + nanoseconds - 1) >> shift) &
           mask;
  }
  // How many ticks d spans at most.
  static constexpr std::uint32_t span(duration d) noexcept {
    return static_cast<std::uint32_t>((static_cast<std::uint64_t>(d.count()) >> shift) + 2);
  }
  // From `from` forward to `to`.
  static constexpr std::uint32_t distance(std::uint32_t from, std::uint32_t to) noexcept { return (to - from) & mask; }
  // Is `tick` still to come, if it is never set further ahead than `longest`?
  static constexpr bool ahead(std::uint32_t tick, std::uint32_t now, std::uint32_t longest) noexcept {
    return distance(now, tick) - 1 < longest + skew;  // a distance of zero wraps around to "no"
  }
  // From `now` to the beginning of `tick`, which is ahead.
  static constexpr duration until(std::uint32_t tick, time_point now) noexcept {
    const std::uint64_t to_tick = std::uint64_t{distance(of(now), tick)} << shift;
    return duration(static_cast<std::int64_t>(to_tick - (bits(now) & (nanoseconds - 1))));
  }

 private:
  static constexpr std::uint64_t bits(time_point now) noexcept {
    return static_cast<std::uint64_t>(now.time_since_epoch().count());
  }
};

}  // namespace holdfast
