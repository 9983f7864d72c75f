// SPDX-License-Identifier: MIT
#include "holdfast/exec/co_timeout.hpp"

#include <array>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/co_call.hpp"
#include "holdfast/exec/co_queue.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/catch.hpp"
#include "support/test_clock.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::test_clock;

namespace {

struct stage {
  manual_clock clock;
  run_loop loop;
  frame_arena<> room;
  mark ended;

  void step() {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
    }
  }
  void advance(duration by) {
    clock.advance(by);
    step();
  }
};

struct seen {
  bool over = false;
  bool slept = false;  // to the end
  stop_cause asked_by{};
};

// Sleeps for `takes`, and hears a stop or not.
task<> sleeps(stage& on, duration takes, duration limit, seen& into, std::stop_token stop = {}, bool hears = true) {
  const auto op = [&](inplace_stop_token asked) {
    return co_sleep(on.loop, on.clock.now() + takes, hears ? asked : inplace_stop_token{});
  };
  const auto got = co_await co_timeout(on.room, on.loop, limit == 0ns ? deadline{} : deadline(on.clock.now() + limit),
                                       op, std::move(stop));
  into = {true, got.value, got.asked_by};
}

}  // namespace

TEST_CASE("co_timeout: what ends in time is not asked to stop, and its timer is gone", "[co_timeout]") {
  stage on;
  seen got;
  spawn(on.loop, sleeps(on, 1ms, 2ms, got), on.ended);
  on.step();
  CHECK_FALSE(got.over);
  on.advance(1ms);
  REQUIRE(on.ended.was_run());
  CHECK(got.slept);
  CHECK(got.asked_by == stop_cause::none);
  on.clock.advance(1h);
  CHECK(on.loop.run_due(on.clock.now()) == 0);
  CHECK(on.room.in_use() == 0);
}

TEST_CASE("co_timeout: at its deadline it asks, and ends with what it asked", "[co_timeout]") {
  stage on;
  seen got;
  spawn(on.loop, sleeps(on, 1h, 2ms, got), on.ended);
  on.step();
  on.advance(2ms - 1ns);
  CHECK_FALSE(got.over);
  on.advance(1ns);
  REQUIRE(on.ended.was_run());
  CHECK_FALSE(got.slept);
  CHECK(got.asked_by == stop_cause::deadline);
  CHECK(on.loop.run_due(time_point::max()) == 0);
}

TEST_CASE("co_timeout: a stop of the caller is passed on, and one that was there before it begins", "[co_timeout]") {
  const bool before = GENERATE(true, false);
  stage on;
  seen got;
  std::stop_source stop;
  if (before) stop.request_stop();
  spawn(on.loop, sleeps(on, 1h, 0ns, got, stop.get_token()), on.ended);
  on.step();
  CHECK(got.over == before);
  stop.request_stop();
  on.step();
  REQUIRE(on.ended.was_run());
  CHECK(got.asked_by == stop_cause::stop);
  CHECK_FALSE(got.slept);
}

TEST_CASE("co_timeout: who does not hear is waited for, and the first of those who asked is named", "[co_timeout]") {
  const bool deadline_first = GENERATE(true, false);
  stage on;
  seen got;
  std::stop_source stop;
  spawn(on.loop, sleeps(on, 10ms, 2ms, got, stop.get_token(), false), on.ended);
  on.step();
  if (!deadline_first) stop.request_stop();
  on.advance(2ms);
  stop.request_stop();
  on.step();
  CHECK_FALSE(got.over);
  on.advance(8ms);
  REQUIRE(on.ended.was_run());
  CHECK(got.slept);
  CHECK(got.asked_by == (deadline_first ? stop_cause::deadline : stop_cause::stop));
}

TEST_CASE("co_timeout: a deadline that has passed asks as soon as the operation has begun", "[co_timeout]") {
  stage on;
  seen got;
  on.clock.advance(1h);
  const auto body = [&]() -> task<> {
    const auto op = [&](inplace_stop_token asked) { return co_sleep(on.loop, on.clock.now() + 1h, asked); };
    const auto timed = co_await co_timeout(on.room, on.loop, deadline(on.clock.now() - 1ms), op);
    got = {true, timed.value, timed.asked_by};
  };
  spawn(on.loop, body(), on.ended);
  on.step();
  REQUIRE(on.ended.was_run());
  CHECK(got.asked_by == stop_cause::deadline);
}

TEST_CASE("co_timeout: co_pop with a deadline; an item that comes in the last moment is had and not lost",
          "[co_timeout]") {
  using jobs_queue = waiting_queue<mpmc_queue<int, 4>, waiter_set<>, waiter_set<>>;
  const int when = GENERATE(0, 1, 2);  // never, in time, at the deadline before its turn
  stage on;
  jobs_queue jobs;
  bool popped = false;
  stop_cause asked_by{};
  int out = 0;
  const auto body = [&]() -> task<> {
    const auto op = [&](inplace_stop_token asked) { return co_pop(jobs, out, on.loop, asked); };
    const auto got = co_await co_timeout(on.room, on.loop, deadline(on.clock.now() + 2ms), op);
    popped = static_cast<bool>(got.value);
    asked_by = got.asked_by;
  };
  spawn(on.loop, body(), on.ended);
  on.step();
  on.clock.advance(when == 1 ? 1ms : 2ms);
  if (when != 0) REQUIRE(jobs.try_push(7));
  on.step();
  REQUIRE(on.ended.was_run());
  CHECK(popped == (when != 0));
  CHECK(out == (when != 0 ? 7 : 0));
  if (when != 2) CHECK(asked_by == (when == 0 ? stop_cause::deadline : stop_cause::none));
}

// ---- by co_call

namespace {

const error reset = make_error(std::make_error_code(std::errc::connection_reset));

task<outcome<int>> answers(stage& on, duration after, inplace_stop_token stop, outcome<int> answer,
                           error when_stopped) {
  const bool in_time = co_await co_sleep(on.loop, on.clock.now() + after, stop);
  if (!in_time) co_return when_stopped;
  co_return answer;
}

}  // namespace

TEST_CASE("an attempt that takes a stoppable_attempt ends at its deadline, and the next one begins",
          "[co_timeout][co_call]") {
  stage on;
  circuit_breaker judge({.consecutive_failures = 10});
  const guard protects{.breaker = &judge,
                       .retry = {.max_attempts = 2, .backoff = {.kind = backoff_kind::constant, .base = 1ms}},
                       .attempt_timeout = 5ms};
  std::optional<outcome<int>> result;
  std::vector<time_point> begun;
  const auto body = [&]() -> task<> {
    const auto op = [&](const stoppable_attempt& a) {
      begun.push_back(a.begun);
      return answers(on, a.number == 1 ? 1h : 1ms, a.stop, 7, reset);
    };
    result = co_await co_call(on.room, protects, {.safety = idempotency::idempotent}, on.loop, op, std::stop_token{},
                              test_clock{&on.clock});
  };
  const time_point start = on.clock.now();
  spawn(on.loop, body(), on.ended);
  on.step();
  on.advance(5ms);
  on.advance(1ms);
  REQUIRE(begun == std::vector{start, start + 6ms});
  CHECK(judge.snapshot(on.clock.now()).failures_in_row == 1);
  on.advance(1ms);
  REQUIRE(on.ended.was_run());
  CHECK(**result == 7);
  CHECK(on.room.in_use() == 0);
  CHECK(on.room.spilled() == 0);
}

TEST_CASE("what an attempt fails with behind its deadline is a timeout, sent or not as it says; an answer is an answer",
          "[co_timeout][co_call]") {
  error not_sent = reset;
  not_sent.not_sent = true;
  const int which = GENERATE(0, 1, 2);  // stopped and sent, stopped and not sent, answers though it was asked to stop
  stage on;
  circuit_breaker judge({.consecutive_failures = 10});
  const guard protects{.breaker = &judge, .attempt_timeout = 5ms};
  std::optional<outcome<int>> result;
  const auto body = [&]() -> task<> {
    const auto op = [&](const stoppable_attempt& a) {
      return answers(on, 10ms, which == 2 ? inplace_stop_token{} : a.stop, 7, which == 1 ? not_sent : reset);
    };
    result = co_await co_call(on.room, protects, {}, on.loop, op, std::stop_token{}, test_clock{&on.clock});
  };
  spawn(on.loop, body(), on.ended);
  on.step();
  on.advance(5ms);
  if (which == 2) on.advance(5ms);
  REQUIRE(on.ended.was_run());
  CHECK(judge.snapshot(on.clock.now()).failures_in_row == 1);
  if (which == 2) {
    CHECK(**result == 7);
  } else {
    CHECK(result->error().code == errc::attempt_timeout);
    CHECK(result->error().kind == verdict::timeout);
    CHECK(result->error().not_sent == (which == 1));
  }
}

TEST_CASE("a call's stop reaches its attempt, and no breaker hears of it", "[co_timeout][co_call]") {
  stage on;
  circuit_breaker judge({.consecutive_failures = 1});
  const guard protects{.breaker = &judge, .retry = {.max_attempts = 3}, .attempt_timeout = 5ms};
  std::optional<outcome<int>> result;
  std::stop_source stop;
  const auto body = [&]() -> task<> {
    const auto op = [&](const stoppable_attempt& a) { return answers(on, 1h, a.stop, 7, reset); };
    result = co_await co_call(on.room, protects, {.safety = idempotency::idempotent}, on.loop, op, stop.get_token(),
                              test_clock{&on.clock});
  };
  spawn(on.loop, body(), on.ended);
  on.step();
  stop.request_stop();
  on.step();
  REQUIRE(on.ended.was_run());
  CHECK(result->error().code == errc::cancelled);
  CHECK(result->error().attempts == 1);
  CHECK(judge.state() == breaker_state::closed);
  CHECK(on.loop.run_due(time_point::max()) == 0);
}
