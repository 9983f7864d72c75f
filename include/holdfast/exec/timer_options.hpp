// SPDX-License-Identifier: MIT
// timer_lanes_options, shared_timer_id, timer_cancel, timer_counts: what one says to a timer_lanes, and what it answers.
//
// In short: any thread | wait-free | never | -
//
// Proof: that of timer_lanes, unit/timer_lanes_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/option_error.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/wheel_chunks.hpp"
#include "holdfast/time/wheel_levels.hpp"

namespace holdfast {

struct timer_lanes_options {
  std::uint32_t lanes = 4;             // threads that may have one at the same time
  std::uint32_t timers_a_lane = 1024;  // that may be set at the same time, from each lane
  std::uint32_t shared_timers = 1024;  // and by all threads without one
  duration tick = std::chrono::milliseconds(1);
};
static_assert(std::is_aggregate_v<timer_lanes_options>);

inline constexpr std::uint32_t most_timer_lanes = 256;

constexpr option_error validate(const timer_lanes_options& o) noexcept {
  // No more lanes than there may be, or it may not be a number of that size.
  const std::int64_t all = std::int64_t{std::min(o.lanes, most_timer_lanes)} * o.timers_a_lane + o.shared_timers;
  return first_of(at_most("lanes", o.lanes, most_timer_lanes), at_least("timers_a_lane", o.timers_a_lane, 1),
                  at_least("shared_timers", o.shared_timers, 1), at_most("timers", all, wheel_chunks::most_timers),
                  at_least("tick", o.tick.count(), wheel_levels::shortest_tick.count()),
                  at_most("tick", o.tick.count(), wheel_levels::longest_tick.count()));
}

// Of a timer of one timer_lanes. Empty: of none.
class shared_timer_id {
 public:
  constexpr shared_timer_id() noexcept = default;
  constexpr explicit operator bool() const noexcept { return generation_ != 0; }
  friend constexpr bool operator==(shared_timer_id, shared_timer_id) noexcept = default;

 private:
  template <class T, class News>
  friend class timer_lanes;
  constexpr shared_timer_id(std::uint32_t index, std::uint64_t generation) noexcept
      : generation_(generation), index_(index) {}

  std::uint64_t generation_ = 0;
  std::uint32_t index_ = 0;
};

enum class timer_cancel : std::uint8_t {
  cancelled,  // it does not fire, and this call is why
  firing,     // its call is under way; it does not fire again
  gone,       // it has fired, or was cancelled, or there never was one
};

struct timer_counts {
  std::uint64_t scheduled = 0;  // == fired - again + cancelled + closed + those that are set
  std::uint64_t fired = 0;
  std::uint64_t again = 0;  // of the fired ones, those that were set again by their call
  std::uint64_t cancelled = 0;
  std::uint64_t closed = 0;  // taken by close()
  std::uint64_t refused = 0;
  std::uint64_t notes = 0;   // that the wheel's thread read: timers that had to be put into the wheel, or moved in it
  std::uint64_t sleeps = 0;  // of the wheel's thread
};

}  // namespace holdfast
