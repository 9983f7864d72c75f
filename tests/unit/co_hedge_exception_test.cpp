// SPDX-License-Identifier: MIT
#include <stdexcept>

#include "holdfast/exec/co_hedge.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

struct stage {
  run_loop loop;
  frame_arena<4096> frames;
  bulkhead places{bulkhead_options{.limit = 2}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 1}};
  guard protects{.room = &places, .breaker = &judge};
  int heard = 0;

  template <class Op>
  outcome<int> call(Op op) {
    return run(loop,
               co_hedge(frames, protects, {.options = {.delay = 1ms}}, {.safety = idempotency::idempotent}, loop, op));
  }
  void nothing_is_left() {
    CHECK(places.in_flight() == 0);
    CHECK(judge.state() == breaker_state::closed);
    CHECK(frames.in_use() == 0);
    CHECK(frames.spilled() == 0);
  }
};

}  // namespace

TEST_CASE("what an attempt throws comes out of the call when the others have ended", "[co_hedge]") {
  stage on;
  const auto second_throws = [&on](const stoppable_attempt& a) -> task<outcome<int>> {
    if (a.number == 2) throw std::runtime_error("on purpose");
    const bool in_time = co_await co_sleep(on.loop, a.begun + 1h, a.stop);
    on.heard += in_time ? 0 : 1;
    co_return 1;
  };
  CHECK_THROWS_WITH(on.call(second_throws), "on purpose");
  CHECK(on.heard == 1);
  on.nothing_is_left();
}

TEST_CASE("what an operation throws before there is anything to await comes out of the call", "[co_hedge]") {
  stage on;
  const auto answers = []() -> task<outcome<int>> { co_return 1; };
  const auto throws = [&](const stoppable_attempt& a) {  // no coroutine: there is no task yet
    if (a.number == 1) throw std::runtime_error("on purpose");
    return answers();
  };
  CHECK_THROWS_WITH(on.call(throws), "on purpose");
  on.nothing_is_left();
}

TEST_CASE("what a loser throws is dropped", "[co_hedge]") {
  stage on;
  const auto first_throws = [&on](const stoppable_attempt& a) -> task<outcome<int>> {
    if (a.number == 2) co_return 2;
    const bool in_time = co_await co_sleep(on.loop, a.begun + 1h, a.stop);
    if (!in_time) throw std::runtime_error("on purpose");
    co_return 1;
  };
  CHECK(*on.call(first_throws) == 2);
  on.nothing_is_left();
}
