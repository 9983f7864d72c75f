// SPDX-License-Identifier: MIT
#include <array>

#include "holdfast/exec/timer_lanes.hpp"

#include "support/catch.hpp"
#include "support/hot_path.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::hot_path_scope;

TEST_CASE(
    "timers are set, moved, cancelled and fired without an allocation, and but for the fence without a system call",
    "[alloc]") {
  timer_lanes<int> lanes({.lanes = 1, .timers_a_lane = 64, .shared_timers = 64}, time_point{});
  auto lane = lanes.join();
  int fired = 0;
  std::array<shared_timer_id, 100> ids;
  const auto turn = [&](duration now) { lanes.run(time_point(now), 1'000, [&](auto&) { ++fired; }); };
  for (int round = 0; round < 50; ++round) {
    const time_point now(1s * round);
    {
      hot_path_scope quiet("setting, moving and cancelling timers");
      for (std::size_t i = 0; i < ids.size(); ++i) {
        const time_point due = now + 100ms + 1ms * static_cast<int>(i % 7);
        ids[i] = i < 50 ? lane.schedule(due, 1) : lanes.schedule(due, 1);
        if (i % 3 == 0) lane.reschedule(ids[i], due + 50ms);
        if (i % 2 == 0) lane.cancel(ids[i]);
      }
    }
    test_support::no_alloc_scope quiet("turning the wheel");
    turn(now.time_since_epoch() + 10ms);
    turn(now.time_since_epoch() + 900ms);
  }
  CHECK(fired == 50 * 50);
}
