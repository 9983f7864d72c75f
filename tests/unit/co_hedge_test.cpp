// SPDX-License-Identifier: MIT
#include "holdfast/exec/co_hedge.hpp"

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"
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
const error not_found = make_error(http_error(404));
constexpr hedge_policy after_10ms{.options = {.max_hedges = 2, .delay = 10ms}};
constexpr call_context repeatable{.safety = idempotency::idempotent};

// How one attempt goes.
struct reply {
  duration takes{};
  outcome<int> what{errc::closed};
  duration hears_after{};  // a stop; below zero: never
};

// A dependency that answers attempts in the order in which they are begun, on a loop whose clock is the test's.
struct stage {
  manual_clock clock;
  run_loop loop;
  bulkhead room{bulkhead_options{.limit = 4}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 3, .slow_call = 50ms, .min_calls = 100}};
  retry_budget budget{retry_budget_options{.ratio_permille = 0, .min_per_second = 0, .burst = 10}};
  guard protects{.room = &room, .breaker = &judge, .budget = &budget};
  frame_arena<4096> frames;
  std::vector<reply> replies;
  std::vector<stoppable_attempt> seen;
  std::vector<time_point> ended;
  const time_point begun = clock.now();
  std::size_t under_way = 0;
  int stopped = 0;

  task<outcome<int>> answer(stoppable_attempt a) {
    const std::size_t mine = seen.size();
    seen.push_back(a);
    const reply how = mine < replies.size() ? replies[mine] : reply{};
    ++under_way;
    const inplace_stop_token heard = how.hears_after < 0ns ? inplace_stop_token{} : a.stop;
    const bool in_time = co_await co_sleep(loop, clock.now() + how.takes, heard);
    if (!in_time) {
      ++stopped;
      if (how.hears_after > 0ns) static_cast<void>(co_await co_sleep(loop, clock.now() + how.hears_after));
    }
    --under_way;
    ended.push_back(clock.now());
    if (!in_time) co_return errc::cancelled;
    co_return how.what;
  }
  auto op() {
    return [this](const stoppable_attempt& a) { return answer(a); };
  }
  void step() {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
    }
  }
  void run_to(const mark& end, int most = 5'000) {
    for (step(); !end.was_run() && most != 0; --most) {
      clock.advance(1ms);
      step();
    }
    REQUIRE(end.was_run());
  }
  void advance(duration by) {
    for (; by > 0ns; by -= 1ms) {
      clock.advance(1ms);
      step();
    }
  }
  test_clock time() const noexcept { return {&clock}; }
  auto call(const hedge_policy& how = after_10ms, const call_context& context = repeatable) {
    return co_hedge<2>(frames, protects, how, context, loop, op(), {}, time());
  }
  template <class Stop>
  auto stoppable(Stop stop) {
    return co_hedge<2>(frames, protects, after_10ms, repeatable, loop, op(), std::move(stop), time());
  }
  [[nodiscard]] std::uint32_t tokens() const { return budget.balance_milli(clock.now()) / 1000; }
  [[nodiscard]] duration since() const noexcept { return clock.now() - begun; }
};

// A call that somebody is awaiting.
template <class Result, class Task>
struct awaited {
  std::optional<Result> result;
  mark ended;
  awaited(stage& on, Task what) {
    spawn(on.loop, keep(std::move(what), result), ended);
    on.step();
  }
  static task<> keep(Task what, std::optional<Result>& into) { into.emplace(co_await std::move(what)); }
};
template <class T, class Frame>
awaited(stage&, basic_task<T, Frame>) -> awaited<T, basic_task<T, Frame>>;
template <class T, class Frame>
T result_of(stage& on, basic_task<T, Frame> what) {
  awaited one(on, std::move(what));
  on.run_to(one.ended);
  return *one.result;
}

}  // namespace

TEST_CASE("a call that is answered in time has one attempt", "[co_hedge]") {
  stage on;
  on.replies = {{9ms, 7}};
  const auto got = result_of(on, on.call());
  REQUIRE(got.ok());
  CHECK(*got == 7);
  CHECK(on.since() == 9ms);
  CHECK(on.seen.size() == 1);
  CHECK(on.seen[0].number == 1);
  CHECK(on.tokens() == 10);
  CHECK(on.room.in_flight() == 0);
  CHECK(on.frames.in_use() == 0);
  CHECK(on.frames.spilled() == 0);
}

TEST_CASE("H1 the first answer is the call's, whichever attempt gives it, and the others are asked to stop",
          "[co_hedge]") {
  for (const std::size_t winner : {0U, 1U, 2U}) {
    stage on;
    on.replies = {{1h, 1}, {1h, 2}, {1h, 3}};
    on.replies[winner] = {30ms - winner * 10ms + 1ms, static_cast<int>(winner) + 1};
    const auto got = result_of(on, on.call());
    REQUIRE(got.ok());
    CHECK(*got == static_cast<int>(winner) + 1);
    CHECK(on.since() == 31ms);
    REQUIRE(on.seen.size() == 3);
    CHECK(on.seen[1].begun == on.begun + 10ms);
    CHECK(on.seen[2].begun == on.begun + 20ms);
    CHECK(on.seen[2].context.is_retry);
    CHECK(on.stopped == 2);
    CHECK(on.tokens() == 8);
    CHECK(on.judge.snapshot(on.clock.now()).window_ok == 1);
    CHECK(on.judge.snapshot(on.clock.now()).window_failed == 0);
    CHECK(on.frames.in_use() == 0);
    CHECK(on.frames.spilled() == 0);
  }
}

TEST_CASE("H1 a permanent error is an answer, and a failure is followed by the next attempt at once", "[co_hedge]") {
  stage on;
  on.replies = {{2ms, reset}, {1h, 2}, {3ms, not_found}};
  on.replies[1].takes = 12ms;
  on.replies[1].what = not_found;
  const auto got = result_of(on, on.call());
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().code == http_error(404));
  CHECK(got.error().attempts == 3);
  REQUIRE(on.seen.size() == 3);
  CHECK(on.seen[1].begun == on.begun + 2ms);
  CHECK(on.seen[2].begun == on.begun + 12ms);
  CHECK(on.since() == 14ms);  // the second one's, a millisecond before the third's

  stage fails;
  fails.replies = {{2ms, reset}, {2ms, reset}, {2ms, errc::attempt_timeout}};
  const auto last = result_of(fails, fails.call());
  CHECK(last.error().code == errc::attempt_timeout);
  CHECK(last.error().attempts == 3);
  CHECK(last.error().stopped_by == errc::attempts_exhausted);
  CHECK(fails.since() == 6ms);
}

TEST_CASE("a failure is waited out while another attempt is under way, and a callee's hint is kept to", "[co_hedge]") {
  stage on;
  on.replies = {{12ms, reset}, {30ms, 2}};
  CHECK(*result_of(on, on.call({.options = {.max_hedges = 1, .delay = 10ms}})) == 2);
  CHECK(on.since() == 40ms);
  CHECK(on.seen.size() == 2);

  stage waits;
  error busy = make_error(http_error(429));
  busy.retry_after = 30ms;
  waits.replies = {{1ms, busy}, {1ms, 2}};
  CHECK(*result_of(waits, waits.call()) == 2);
  CHECK(waits.seen[1].begun == waits.begun + 31ms);
}

TEST_CASE("H2 hedges and retries are paid for by one budget, and where it is empty the call goes on as it is",
          "[co_hedge]") {
  stage on;
  REQUIRE(on.budget.try_take(on.clock.now(), 8));  // by others' retries
  on.replies = {{40ms, 1}, {1h, 2}, {1h, 3}};
  CHECK(*result_of(on, on.call()) == 1);
  CHECK(on.seen.size() == 3);
  CHECK(on.tokens() == 0);
  on.replies.insert(on.replies.end(), {{40ms, 4}, {1ms, 5}});
  CHECK(*result_of(on, on.call()) == 4);
  CHECK(on.seen.size() == 4);                       // no hedge
  CHECK_FALSE(on.budget.try_take(on.clock.now()));  // nor a retry
}

TEST_CASE("H2 what was paid for a hedge that the bulkhead turns away goes back", "[co_hedge]") {
  stage on;
  on.room.set_limit(1);
  on.replies = {{30ms, 1}};
  CHECK(*result_of(on, on.call()) == 1);
  CHECK(on.seen.size() == 1);
  CHECK(on.tokens() == 10);
}

TEST_CASE("H3 nothing is begun after an answer, though its losers take long (Kevlar #14)", "[co_hedge]") {
  stage on;
  on.replies = {{1h, 1, 500ms}, {2ms, 2}, {1ms, 3}};
  const auto got = result_of(on, on.call());
  CHECK(*got == 2);
  CHECK(on.seen.size() == 2);
  CHECK(on.since() == 12ms + 500ms);
  CHECK(on.tokens() == 9);
}

TEST_CASE("H3 nothing is begun after a stop, and what is under way is asked to stop (Kevlar #14)", "[co_hedge]") {
  stage on;
  on.replies = {{1h, 1}, {1h, 2}, {1h, 3}};
  std::stop_source source;
  awaited one(on, on.stoppable(source.get_token()));
  on.advance(12ms);
  CHECK(on.seen.size() == 2);
  source.request_stop();
  on.step();
  REQUIRE(one.ended.was_run());
  CHECK(one.result->error().code == errc::cancelled);
  CHECK(one.result->error().attempts == 2);
  CHECK(on.stopped == 2);
  on.advance(1s);
  CHECK(on.seen.size() == 2);
  CHECK(on.judge.snapshot(on.clock.now()).failures_in_row == 0);
  CHECK(on.judge.snapshot(on.clock.now()).window_failed == 0);
  CHECK(on.room.in_flight() == 0);

  // Before it has begun: nothing at all.
  const auto never = result_of(on, on.stoppable(source.get_token()));
  CHECK(never.error().code == errc::cancelled);
  CHECK(never.error().attempts == 0);
  CHECK(on.seen.size() == 2);
}

TEST_CASE("H3 a call that is stopped while its losers end is answered all the same, and once", "[co_hedge]") {
  stage on;
  on.replies = {{1h, 1, 20ms}, {2ms, 2}};
  inplace_stop_source source;
  awaited one(on, on.stoppable(source.get_token()));
  on.advance(15ms);
  CHECK_FALSE(one.ended.was_run());
  source.request_stop();
  on.run_to(one.ended);
  CHECK(**one.result == 2);
  CHECK(on.since() == 32ms);
}

TEST_CASE("a stop that comes in the moment of the answer is heard before the call is gone", "[co_hedge]") {
  stage on;
  on.replies = {{2ms, 1}};
  inplace_stop_source source;
  awaited one(on, on.stoppable(source.get_token()));
  on.advance(1ms);
  on.clock.advance(1ms);
  CHECK(on.loop.run_due(on.clock.now()) == 1);  // the attempt's sleep has ended it, and posted its end
  source.request_stop();                        // posted behind it
  on.step();
  REQUIRE(one.ended.was_run());
  CHECK(**one.result == 1);
  CHECK(on.frames.in_use() == 0);
}

TEST_CASE("H4 the call ends when its last loser has ended, which keeps its place until then", "[co_hedge]") {
  stage on;
  on.replies = {{70ms, 1, -1ns}, {2ms, 2}};
  awaited one(on, on.call({.options = {.max_hedges = 1, .delay = 10ms}}));
  on.advance(13ms);
  CHECK_FALSE(one.ended.was_run());
  CHECK(on.under_way == 1);
  CHECK(on.room.in_flight() == 1);
  CHECK(on.seen[0].stop.stop_requested());
  on.run_to(one.ended);
  CHECK(**one.result == 2);
  CHECK(on.since() == 70ms);
  CHECK(on.under_way == 0);
  CHECK(on.room.in_flight() == 0);
}

TEST_CASE("a loser is neutral for the breaker, unless it had been slow already", "[co_hedge]") {
  for (const duration ends : {49ms, 50ms}) {
    stage on;
    on.replies = {{1s, reset, -1ns}, {ends - 10ms, 2}};
    CHECK(*result_of(on, on.call({.options = {.max_hedges = 1, .delay = 10ms}})) == 2);
    const auto heard = on.judge.snapshot(on.clock.now());
    CHECK(heard.window_slow == (ends == 50ms ? 1 : 0));
    CHECK(heard.window_failed == 0);
  }
}

TEST_CASE("the delay is what answers took lately, and failures and losers are no part of that", "[co_hedge]") {
  stage on;
  const auto usual = std::make_unique<latency_sketch>(latency_sketch_options{});
  const hedge_policy adaptive{.options = {.max_hedges = 1, .permille = 900, .least = 1ms, .most = 500ms},
                              .usual = usual.get()};
  on.replies = {{20ms, 1}, {60ms, 2}, {1h, 3}, {40ms, 4}};
  CHECK(*result_of(on, on.call(adaptive)) == 1);
  CHECK(on.seen.size() == 1);  // most, while nothing was known
  CHECK(*result_of(on, on.call(adaptive)) == 2);
  REQUIRE(on.seen.size() == 3);
  CHECK(on.seen[2].begun >= on.seen[1].begun + 20ms);
  CHECK(on.seen[2].begun <= on.seen[1].begun + 22ms);
  CHECK(usual->recent(on.clock.now()).count() == 2);
}

TEST_CASE("an unsafe operation, a repetition, and a circuit in doubt are not hedged", "[co_hedge]") {
  for (const int which : {0, 1, 2}) {
    stage on;
    on.replies = {{30ms, 1}, {1ms, 2}};
    call_context context = repeatable;
    if (which == 0) context.safety = idempotency::unsafe;
    if (which == 1) context.is_retry = true;
    if (which == 2) {
      on.judge.isolate(on.clock.now());
      on.judge.release(on.clock.now(), breaker_state::half_open);
    }
    CHECK(*result_of(on, on.call(after_10ms, context)) == 1);
    CHECK(on.seen.size() == 1);
    CHECK(on.tokens() == 10);
  }
}

TEST_CASE("a call that is refused begins nothing, and a call that is dropped has asked nobody", "[co_hedge]") {
  stage on;
  on.judge.isolate(on.clock.now());
  const auto refused = result_of(on, on.call());
  CHECK(refused.error().code == errc::breaker_isolated);
  CHECK(on.seen.empty());
  on.judge.release(on.clock.now());
  { const auto never = on.call(); }
  CHECK(on.seen.empty());
  CHECK(on.frames.in_use() == 0);
}

TEST_CASE("an operation that is there at once, and one that knows nothing of hedges, are hedged as others",
          "[co_hedge]") {
  struct ready {
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<> /*caller*/) noexcept {}
    static outcome<int> await_resume() noexcept { return 5; }
  };
  stage on;
  const auto at_once = [](const attempt&) { return ready{}; };
  CHECK(*result_of(on, co_hedge(on.frames, on.protects, {}, repeatable, on.loop, at_once, {}, on.time())) == 5);
  CHECK(on.since() == 0ns);
  const auto keeps_failing = [&](const attempt& a) -> task<outcome<int>> {
    if (a.number < 3) co_return reset;
    co_return 6;
  };
  CHECK(*result_of(on, co_hedge<2>(on.frames, on.protects, after_10ms, repeatable, on.loop, keeps_failing, {},
                                   on.time())) == 6);
  CHECK(on.since() == 0ns);
}

TEST_CASE("a clock that is behind the loop's keeps no hedge from its time", "[co_hedge]") {
  struct late_clock {
    const manual_clock* of;
    [[nodiscard]] time_point now() const noexcept { return of->now() - 4ms; }
  };
  stage on;
  on.replies = {{1h, 1}, {3ms, 2}};
  const auto got = result_of(
      on, co_hedge<2>(on.frames, on.protects, after_10ms, repeatable, on.loop, on.op(), {}, late_clock{&on.clock}));
  CHECK(*got == 2);
  CHECK(on.since() == 6ms + 3ms);  // ten milliseconds after what that clock said
}

TEST_CASE("calls one after the other use the same room, whatever order their attempts end in", "[co_hedge]") {
  stage on;
  on.protects.budget = nullptr;
  const auto many = [&]() -> task<outcome<int>> {
    for (int i = 0; i < 50; ++i) {
      on.seen.clear();
      on.replies = {{i % 3 == 0 ? 30ms : 1h, 1, i % 2 * 5ms}, {i % 3 == 1 ? 20ms : 1h, 2, 3ms}, {9ms + i % 3 * 1ms, 3}};
      const outcome<int> got = co_await on.call();
      if (!got.ok()) co_return got;
    }
    co_return 50;
  };
  // The outer frame lies in the same arena, below.
  CHECK(*result_of(on, many()) == 50);
  CHECK(on.frames.spilled() == 0);
  CHECK(on.frames.in_use() == 0);
}

TEST_CASE("H2 a pipeline with a hedge is awaited as one with a retry, and both draw from one budget",
          "[co_hedge][pipeline]") {
  stage on;
  rate_limiter door({.permits = 1, .per = 10min, .burst = 10});
  const pipeline hedged("orders", with::deadline(800ms), with::rate(door),
                        with::hedge<2>({.max_hedges = 2, .delay = 10ms}, on.budget, with::idempotent),
                        with::bulkhead(on.room), with::breaker(on.judge), with::attempt_timeout(250ms));
  const pipeline retried("orders", with::retry({.max_attempts = 3}, on.budget, with::idempotent),
                         with::bulkhead(on.room), with::breaker(on.judge));
  const auto call = [&](const auto& pipe, auto op) { return co_call(on.frames, pipe, {}, on.loop, op, {}, on.time()); };
  on.replies = {{1h, 1}, {1h, 2}, {1ms, 3}};
  CHECK(*result_of(on, call(hedged, on.op())) == 3);
  REQUIRE(on.seen.size() == 3);
  CHECK(on.seen[0].context.safety == idempotency::idempotent);
  CHECK(on.seen[0].context.until == deadline(on.begun + 250ms));
  CHECK(on.seen[2].context.until == deadline(on.begun + 20ms + 250ms));
  CHECK(on.stopped == 2);
  CHECK(door.snapshot(on.clock.now()).available == 9);  // once a call
  CHECK(on.room.in_flight() == 0);
  CHECK(on.tokens() == 8);

  // The operation of the one is that of the other, if it takes any attempt.
  int asked = 0;
  const auto fails_once = [&](const attempt&) -> task<outcome<int>> {
    if (asked++ == 0) co_return reset;
    co_return 4;
  };
  CHECK(*result_of(on, call(retried, fails_once)) == 4);
  CHECK(on.tokens() == 7);
  asked = 0;
  CHECK(*result_of(on, call(hedged, fails_once)) == 4);
  CHECK(on.tokens() == 6);
  CHECK(on.frames.spilled() == 0);
}

TEST_CASE("a hedged pipeline falls back, and its delay is what its own answers took", "[co_hedge][pipeline]") {
  stage on;
  const auto usual = std::make_unique<latency_sketch>(latency_sketch_options{});
  const pipeline pipe(
      "orders", with::fallback(with::tier("cache", [](const error&, const call_context&) { return outcome<int>(8); })),
      with::hedge({.permille = 500, .least = 1ms, .most = 500ms}, *usual, on.budget, with::idempotent_with_key),
      with::breaker(on.judge));
  STATIC_REQUIRE(decltype(pipe)::hedges == 1);
  STATIC_REQUIRE(decltype(pipe)::shape.budget == presence::present);
  const auto call = [&] { return result_of(on, co_call(on.frames, pipe, {}, on.loop, on.op(), {}, on.time())); };
  on.replies = {{20ms, 1}, {1h, 2}, {2ms, 3}, {1ms, reset}, {1ms, reset}};
  CHECK(*call().result == 1);
  CHECK(*call().result == 3);
  CHECK(on.seen[2].begun >= on.seen[1].begun + 20ms);
  CHECK(on.seen[2].begun <= on.seen[1].begun + 22ms);
  const served<int> kept = call();
  CHECK(*kept.result == 8);
  CHECK(kept.tier_name == "cache");
  CHECK(kept.origin.attempts == 2);
}

namespace {

struct tally {
  std::uint64_t firsts = 0;
  std::uint64_t hedges = 0;
  std::uint64_t answered = 0;
  std::uint64_t cancelled = 0;
  std::size_t under_way = 0;
  bool over = false;  // the call that is being made has its answer, or has been stopped
};

// Counts what the call itself hears.
struct ends {
  tally* of;
  void on_attempt(const guard&, const attempt&, verdict how, duration) const noexcept {
    of->over = of->over || how == verdict::ok;
  }
  static void on_refusal(const guard&, const error&) noexcept {}
  static void on_transition(const guard&, const breaker_transition&) noexcept {}
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}
  void on_give_up(const guard&, const error&) const noexcept { of->over = true; }
};

}  // namespace

TEST_CASE("H1-H4 hold over a hundred thousand random calls of coroutines", "[co_hedge]") {
  manual_clock clock;
  run_loop loop;
  bulkhead room({.limit = 6});
  circuit_breaker judge({.consecutive_failures = 6, .probes = 2, .open_base = 20ms, .open_max = 40ms});
  retry_budget budget({.ratio_permille = 200, .min_per_second = 10, .burst = 20});
  const guard protects{.room = &room, .breaker = &judge, .budget = &budget, .attempt_timeout = 40ms};
  splitmix64 bits(12);
  tally seen;
  inplace_stop_source* stop = nullptr;
  const time_point begun = clock.now();

  const auto ask = [&](stoppable_attempt a) -> task<outcome<int>> {
    if (seen.over) FAIL("H3");
    ++(a.number == 1 ? seen.firsts : seen.hedges);
    ++seen.under_way;
    const std::uint64_t how = bits();
    const inplace_stop_token heard = how % 4 == 0 ? inplace_stop_token{} : a.stop;
    bool in_time = true;
    if (how / 4 % 8 != 0) in_time = co_await co_sleep(loop, clock.now() + duration(how / 32 % 16'000'000), heard);
    if (a.stop.stop_requested() != seen.over) FAIL("a stop without an answer, or an answer without a stop");
    --seen.under_way;
    if (!in_time) co_return errc::cancelled;
    switch (how >> 60U) {
      case 0: co_return not_found;
      case 1:
      case 2:
      case 3:
      case 4: co_return reset;
      case 5:
      case 6: co_return errc::attempt_timeout;
      default: co_return static_cast<int>(a.number);
    }
  };
  const auto all_calls = [&]() -> task<> {
    frame_arena<4096> frames;
    for (int i = 0; i < 100'000; ++i) {
      clock.advance(1ms);
      seen.over = false;
      inplace_stop_source source;
      const call_context context{.until = deadline(clock.now() + 60ms), .safety = idempotency::idempotent};
      stop = bits() % 16 == 0 ? &source : nullptr;
      const outcome<int> got = co_await co_hedge<2>(frames, protects, after_10ms, context, loop, ask,
                                                    source.get_token(), test_clock{&clock}, ends{&seen});
      stop = nullptr;
      if (seen.under_way != 0) FAIL("H4 " << seen.under_way);
      if (room.in_flight() != 0) FAIL("H4");
      if (got.ok() && (*got < 1 || *got > 3)) FAIL("H1");
      seen.answered += got.ok() ? 1U : 0U;
      seen.cancelled += !got.ok() && got.error().code == errc::cancelled ? 1U : 0U;
      if (frames.in_use() != 0 || frames.spilled() != 0) FAIL("frames");
    }
  };
  mark ended;
  spawn(loop, all_calls(), ended);
  std::uint64_t turns = 0;
  for (; !ended.was_run() && turns < 10'000'000; ++turns) {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
    }
    clock.advance(500us);
    if (stop != nullptr && turns % 8 == 0) stop->request_stop();
  }
  REQUIRE(ended.was_run());
  const auto passed = static_cast<std::uint64_t>((clock.now() - begun) / 1s) + 1;
  CHECK(seen.hedges <= 20 + seen.firsts / 5 + 10 * passed);  // H2
  CHECK(seen.hedges > 5'000);
  CHECK(seen.answered > 20'000);
  CHECK(seen.cancelled > 500);
}
