// SPDX-License-Identifier: MIT
#include "holdfast/exec/co_call.hpp"

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/co_pipeline.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"
#include "support/test_clock.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::test_clock;

namespace {

const error reset = make_error(std::make_error_code(std::errc::connection_reset));

// A dependency whose answers come after `takes`, on a loop that is stepped from timer to timer.
struct stage {
  manual_clock clock;
  run_loop loop;
  std::vector<outcome<int>> answers;
  std::vector<attempt> seen;
  duration takes{1ms};
  std::size_t given = 0;

  task<outcome<int>> answer(attempt a) {
    seen.push_back(a);
    if (takes > 0ns) static_cast<void>(co_await co_sleep(loop, clock.now() + takes));
    if (given == answers.size()) co_return errc::closed;
    co_return answers[given++];
  }
  auto op() {
    return [this](const attempt& a) { return answer(a); };
  }
  void step() {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
    }
  }
  // Until `ended` has run; time goes on to the next timer when nothing is left to be done.
  void run_to(const mark& ended, int most = 1'000) {
    for (step(); !ended.was_run() && most != 0; --most) {
      clock.advance(500us);
      step();
    }
    REQUIRE(ended.was_run());
  }
  test_clock time() const noexcept { return {&clock}; }
};

template <class Task, class Result>
task<> keeps(Task what, std::optional<Result>& result) {
  result.emplace(co_await std::move(what));
}
template <class T, class Frame>
T result_of(stage& on, basic_task<T, Frame> what) {
  std::optional<T> result;
  mark ended;
  spawn(on.loop, keeps<basic_task<T, Frame>, T>(std::move(what), result), ended);
  on.run_to(ended);
  return std::move(*result);
}

constexpr call_context repeatable{.safety = idempotency::idempotent};
constexpr retry_options three_times{.max_attempts = 3, .backoff = {.kind = backoff_kind::constant, .base = 10ms}};

}  // namespace

TEST_CASE("a coroutine's call is answered, and its frame has lain in the arena", "[co_call]") {
  stage on;
  frame_arena<> room;
  on.answers = {7};
  const guard none;
  const auto got = result_of(on, co_call(room, none, {}, on.loop, on.op(), {}, on.time()));
  REQUIRE(got.ok());
  CHECK(*got == 7);
  CHECK(room.in_use() == 0);
  CHECK(room.spilled() == 0);
}

TEST_CASE("attempts of a coroutine's call are repeated after their waits, and no thread waits", "[co_call]") {
  stage on;
  frame_arena<> room;
  on.answers = {reset, reset, 7};
  retry_budget budget(retry_budget_options{});
  bulkhead places({.limit = 1});
  circuit_breaker judge({.consecutive_failures = 5});
  const guard protects{.room = &places, .breaker = &judge, .budget = &budget, .retry = three_times};
  const time_point begun = on.clock.now();
  const auto got = result_of(on, co_call(room, protects, repeatable, on.loop, on.op(), {}, on.time()));
  CHECK(got.ok());
  REQUIRE(on.seen.size() == 3);
  CHECK(on.seen[1].begun >= begun + 1ms + 10ms);
  CHECK(on.seen[2].begun >= begun + 2ms + 20ms);
  CHECK(on.seen[2].context.is_retry);
  CHECK(places.in_flight() == 0);
  CHECK(budget.granted() == 2);
}

TEST_CASE("a coroutine's call waits in the queue of a full room, for as long as it may", "[co_call]") {
  stage on;
  frame_arena<> arena;
  on.answers = {7, 8};
  bulkhead room({.limit = 1, .queue = 1});
  circuit_breaker judge({.consecutive_failures = 1});
  const pipeline pipe("orders", with::bulkhead(room, 2ms), with::breaker(judge));
  std::optional<outcome<int>> result;
  const auto begin = [&](mark& ended, std::stop_token stop = {}) {
    auto call = co_call(arena, pipe, {}, on.loop, on.op(), std::move(stop), on.time());
    result.reset();
    spawn(on.loop, keeps<decltype(call), outcome<int>>(std::move(call), result), ended);
    on.step();
    CHECK(room.waiting() == 1);
  };
  auto held = room.try_acquire();
  {
    mark ended;
    begin(ended);
    on.clock.advance(1ms);
    const time_point at = on.clock.now();
    held.release();
    on.run_to(ended);
    CHECK(**result == 7);
    CHECK(on.seen.back().begun == at);
  }
  held = room.try_acquire();
  {
    mark ended;
    begin(ended);
    on.clock.advance(2ms);
    on.step();
    REQUIRE(ended.was_run());
    CHECK(result->error().code == errc::bulkhead_timeout);
  }
  {
    mark ended;
    std::stop_source stop;
    begin(ended, stop.get_token());
    stop.request_stop();
    on.step();
    REQUIRE(ended.was_run());
    CHECK(result->error().code == errc::cancelled);
  }
  CHECK(on.seen.size() == 1);
  CHECK(judge.state() == breaker_state::closed);
  held.release();
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a stop ends a coroutine's call in its wait, and is neutral", "[co_call]") {
  stage on;
  frame_arena<> room;
  on.answers = {reset};
  circuit_breaker judge({.consecutive_failures = 2});
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
  guard protects{.breaker = &judge, .budget = &budget, .retry = three_times};
  protects.retry.backoff.base = 1s;
  std::stop_source stop;
  std::optional<outcome<int>> result;
  mark ended;
  auto call = co_call(room, protects, repeatable, on.loop, on.op(), stop.get_token(), on.time());
  spawn(on.loop, keeps<decltype(call), outcome<int>>(std::move(call), result), ended);
  on.step();
  on.clock.advance(1ms);
  on.step();
  CHECK_FALSE(ended.was_run());
  CHECK(budget.balance_milli(on.clock.now()) == 9'000);
  stop.request_stop();
  on.step();
  REQUIRE(ended.was_run());
  CHECK(result->error().code == errc::cancelled);
  CHECK(result->error().attempts == 1);
  CHECK(budget.balance_milli(on.clock.now()) == 10'000);  // not sent, not paid
  CHECK(judge.snapshot(on.clock.now()).failures_in_row == 1);
}

TEST_CASE("an attempt that fails after a stop was asked for is cancelled, one that is answered is answered",
          "[co_call]") {
  for (const bool answered : {false, true}) {
    stage on;
    frame_arena<> room;
    on.answers = {answered ? outcome<int>(7) : outcome<int>(reset)};
    circuit_breaker judge({.consecutive_failures = 1});
    const guard protects{.breaker = &judge};
    std::stop_source stop;
    std::optional<outcome<int>> result;
    mark ended;
    auto call = co_call(room, protects, {}, on.loop, on.op(), stop.get_token(), on.time());
    spawn(on.loop, keeps<decltype(call), outcome<int>>(std::move(call), result), ended);
    on.step();
    stop.request_stop();
    on.run_to(ended);
    CHECK(result->ok() == answered);
    if (!answered) CHECK(result->error().code == errc::cancelled);
    CHECK(judge.state() == breaker_state::closed);
  }
}

TEST_CASE("a coroutine's call that is dropped before it begins has asked nobody", "[co_call]") {
  stage on;
  frame_arena<> room;
  rate_limiter door({.permits = 1, .per = 1h, .burst = 1});
  const guard protects{.rate = &door};
  { const auto never = co_call(room, protects, {}, on.loop, on.op(), {}, on.time()); }
  CHECK(on.seen.empty());
  CHECK(door.snapshot(on.clock.now()).available == 1);
  CHECK(room.in_use() == 0);
}

TEST_CASE("an operation that is there at once needs no loop", "[co_call]") {
  stage on;
  frame_arena<> room;
  on.takes = 0ns;
  on.answers = {7};
  const guard none;
  CHECK(result_of(on, co_call(room, none, {}, on.loop, on.op(), {}, on.time())).ok());
  CHECK(on.seen[0].begun == on.clock.now());
}

TEST_CASE("a pipeline is awaited, with all of its layers", "[co_call][pipeline]") {
  stage on;
  frame_arena<2048> room;
  rate_limiter door({.permits = 1, .per = 10min, .burst = 10});
  bulkhead places({.limit = 1});
  circuit_breaker judge({.consecutive_failures = 3});
  retry_budget budget(retry_budget_options{});
  on.answers = {reset, 7};
  const pipeline pipe("orders", with::deadline(800ms), with::rate(door), with::bulkhead(places),
                      with::retry(three_times, budget, with::idempotent), with::breaker(judge),
                      with::attempt_timeout(250ms));
  const time_point begun = on.clock.now();
  const auto got = result_of(on, co_call(room, pipe, {}, on.loop, on.op(), {}, on.time()));
  REQUIRE(got.ok());
  CHECK(*got == 7);
  REQUIRE(on.seen.size() == 2);
  CHECK(on.seen[0].context.until == deadline(begun + 250ms));
  CHECK(on.seen[0].context.safety == idempotency::idempotent);
  CHECK(door.snapshot(on.clock.now()).available == 9);
  CHECK(places.in_flight() == 0);
  CHECK(room.spilled() == 0);
}

TEST_CASE("a pipeline that is awaited falls back as one that is called", "[co_call][pipeline]") {
  stage on;
  frame_arena<2048> room;
  on.answers = {reset, 7};
  const pipeline pipe("orders",
                      with::fallback(with::tier("cache",
                                                [](const error& why, const call_context&) -> aged<int> {
                                                  CHECK(why.code == reset.code);
                                                  return {8, 30s};
                                                })),
                      with::deadline(800ms));
  const served<int> kept = result_of(on, co_call(room, pipe, {}, on.loop, on.op(), {}, on.time()));
  REQUIRE(kept.ok());
  CHECK(*kept.result == 8);
  CHECK(kept.tier_name == "cache");
  CHECK(kept.age == 30s);
  const served<int> fresh = result_of(on, co_call(room, pipe, {}, on.loop, on.op(), {}, on.time()));
  CHECK(*fresh.result == 7);
  CHECK_FALSE(fresh.degraded());
  CHECK(room.spilled() == 0);
}

namespace {

// Another's coroutine: eager, and not awaited.
struct foreign {
  struct promise_type {
    static foreign get_return_object() noexcept { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
  };
};
foreign call_from(stage& on, frame_arena<>& room, const guard& protects, std::optional<outcome<int>>& result) {
  result.emplace(co_await co_call(room, protects, {}, on.loop, on.op(), {}, on.time()));
}
// Another's awaitable, which is its own awaiter.
struct ready {
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<> /*caller*/) noexcept {}
  static outcome<int> await_resume() noexcept { return 5; }
};

}  // namespace

TEST_CASE("coroutines of other kinds await it, and it awaits the awaitables of others", "[co_call]") {
  stage on;
  frame_arena<> room;
  on.answers = {7};
  const guard none;
  std::optional<outcome<int>> result;
  call_from(on, room, none, result);
  CHECK_FALSE(result.has_value());
  on.step();
  on.clock.advance(1ms);
  on.step();
  REQUIRE(result.has_value());
  CHECK(**result == 7);
  const auto got = result_of(on, co_call(
                                     room, none, {}, on.loop, [](const attempt&) { return ready{}; }, {}, on.time()));
  CHECK(*got == 5);
}
