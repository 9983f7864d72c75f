// SPDX-License-Identifier: MIT
#include <stdexcept>

#include "holdfast/exec/co_call.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("what an operation throws comes out of the call, and its permits go back as abandoned", "[co_call]") {
  run_loop loop;
  frame_arena<> room;
  bulkhead places({.limit = 1});
  circuit_breaker judge({.consecutive_failures = 1});
  const guard protects{.room = &places, .breaker = &judge, .retry = {.max_attempts = 3}};
  const auto throws = [](const attempt&) -> task<outcome<int>> {
    throw std::runtime_error("on purpose");
    co_return 1;
  };
  CHECK_THROWS_WITH(run(loop, co_call(room, protects, {.safety = idempotency::idempotent}, loop, throws)),
                    "on purpose");
  CHECK(places.in_flight() == 0);
  CHECK(judge.state() == breaker_state::closed);
  CHECK(room.in_use() == 0);
}

TEST_CASE("what an attempt that can be stopped throws comes out of the call as well", "[co_call][co_timeout]") {
  run_loop loop;
  frame_arena<> room;
  bulkhead places({.limit = 1});
  circuit_breaker judge({.consecutive_failures = 1});
  const guard protects{
      .room = &places, .breaker = &judge, .retry = {.max_attempts = 3}, .attempt_timeout = std::chrono::hours(1)};
  const auto throws = [](const stoppable_attempt&) -> task<outcome<int>> {
    throw std::runtime_error("on purpose");
    co_return 1;
  };
  CHECK_THROWS_WITH(run(loop, co_call(room, protects, {.safety = idempotency::idempotent}, loop, throws)),
                    "on purpose");
  CHECK(places.in_flight() == 0);
  CHECK(judge.state() == breaker_state::closed);
  CHECK(room.in_use() == 0);
  CHECK(loop.run_due(time_point::max()) == 0);
}
