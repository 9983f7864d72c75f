// SPDX-License-Identifier: MIT
#include "holdfast/exec/hedge_machine.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
const error reset = make_error(std::make_error_code(std::errc::connection_reset));
const error not_found = make_error(http_error(404));
constexpr hedge_options after_10ms{.max_hedges = 2, .delay = 10ms};
constexpr call_context repeatable{.until = deadline(start + 1s), .safety = idempotency::idempotent};

struct stage {
  bulkhead room{bulkhead_options{.limit = 4}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 3, .slow_call = 50ms, .min_calls = 100}};
  retry_budget budget{retry_budget_options{.ratio_permille = 0, .min_per_second = 0, .burst = 10}};
  guard protects{.room = &room, .breaker = &judge, .budget = &budget};
  no_observer nobody;

  hedge_machine<2> call(const call_context& context = repeatable, const hedge_options& how = after_10ms,
                        latency_sketch* usual = nullptr) {
    return {protects, how, usual, context, nobody};
  }
  [[nodiscard]] std::uint32_t tokens() const { return budget.balance_milli(start) / 1000; }
};

bool is(const hedge_action& got, hedge_step step, std::size_t which = 0) {
  return got.step == step && (step == hedge_step::wait || step == hedge_step::failed || got.which == which);
}

}  // namespace

TEST_CASE("H1 the first answer is the call's, whichever attempt gives it, and the others have lost",
          "[hedge_machine]") {
  for (const std::size_t winner : {0U, 1U, 2U}) {
    stage on;
    auto call = on.call();
    CHECK(is(call.start(start), hedge_step::begin, 0));
    CHECK(call.next_at() == start + 10ms);
    CHECK(is(call.on_time(start + 10ms - 1ns), hedge_step::wait));
    CHECK(is(call.on_time(start + 10ms), hedge_step::begin, 1));
    CHECK(is(call.on_time(start + 20ms), hedge_step::begin, 2));
    CHECK(is(call.on_time(start + 30ms), hedge_step::wait));
    CHECK(call.next_at() == time_point::max());
    CHECK(call.under_way() == 3);
    CHECK(on.room.in_flight() == 3);
    CHECK(is(call.finish(winner, verdict::ok, {}, start + 31ms), hedge_step::won, winner));
    CHECK(call.over());
    unsigned lost = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      if (!call.under_way(i)) continue;
      CHECK(is(call.finish(i, i == 1 ? verdict::ok : verdict::cancelled, errc::cancelled, start + 32ms),
               hedge_step::lost, i));
      ++lost;
    }
    CHECK(lost == 2);
    CHECK(on.room.in_flight() == 0);
    CHECK(on.judge.snapshot(start + 32ms).window_ok == 1);  // a loser that was answered says nothing either
    CHECK(on.judge.snapshot(start + 32ms).window_failed == 0);
    CHECK(on.tokens() == 8);
  }
}

TEST_CASE("H1 a permanent error is an answer, and the call's last failure comes back when none is", "[hedge_machine]") {
  stage on;
  auto call = on.call();
  call.start(start);
  call.on_time(start + 10ms);
  CHECK(is(call.finish(1, verdict::permanent, not_found, start + 11ms), hedge_step::won, 1));
  CHECK(call.failure().code == http_error(404));
  CHECK(call.failure().attempts == 2);
  CHECK(is(call.finish(0, verdict::cancelled, errc::cancelled, start + 12ms), hedge_step::lost, 0));

  auto fails = on.call();
  fails.start(start);
  CHECK(is(fails.finish(0, verdict::transient, reset, start + 1ms), hedge_step::begin, 1));  // at once
  CHECK(is(fails.finish(1, verdict::transient, reset, start + 2ms), hedge_step::begin, 2));
  CHECK(is(fails.finish(2, verdict::transient, errc::attempt_timeout, start + 3ms), hedge_step::failed));
  CHECK(fails.failure().code == errc::attempt_timeout);
  CHECK(fails.failure().attempts == 3);
  CHECK(fails.failure().stopped_by == errc::attempts_exhausted);
  CHECK(fails.failure().no_retry);
}

TEST_CASE("a failure is waited out while another attempt is under way", "[hedge_machine]") {
  stage on;
  auto call = on.call(repeatable, {.max_hedges = 1, .delay = 10ms});
  call.start(start);
  call.on_time(start + 10ms);
  CHECK(is(call.finish(0, verdict::transient, reset, start + 11ms), hedge_step::wait));
  CHECK_FALSE(call.over());
  CHECK(is(call.finish(1, verdict::ok, {}, start + 12ms), hedge_step::won, 1));
}

TEST_CASE("H2 a hedge is paid for, and no more are begun than the budget pays", "[hedge_machine]") {
  stage on;
  REQUIRE(on.budget.try_take(start, 9));
  auto call = on.call();
  call.start(start);
  CHECK(is(call.on_time(start + 10ms), hedge_step::begin, 1));
  CHECK(on.tokens() == 0);
  CHECK(is(call.on_time(start + 20ms), hedge_step::wait));
  CHECK(call.next_at() == time_point::max());
  CHECK(is(call.finish(0, verdict::transient, reset, start + 21ms), hedge_step::wait));
  CHECK(is(call.finish(1, verdict::transient, reset, start + 22ms), hedge_step::failed));
  CHECK(call.failure().stopped_by == errc::retry_budget_exhausted);
}

TEST_CASE("H2 what was paid for a hedge that the bulkhead turns away goes back, and the call goes on",
          "[hedge_machine]") {
  stage on;
  on.room.set_limit(1);
  auto call = on.call();
  call.start(start);
  CHECK(is(call.on_time(start + 10ms), hedge_step::wait));
  CHECK(on.tokens() == 10);
  CHECK(call.next_at() == time_point::max());
  CHECK(is(call.finish(0, verdict::ok, {}, start + 20ms), hedge_step::won, 0));
}

TEST_CASE("H3 nothing is begun after an answer, a cancellation or the deadline (Kevlar #14)", "[hedge_machine]") {
  stage on;
  auto won = on.call();
  won.start(start);
  won.finish(0, verdict::ok, {}, start + 1ms);
  CHECK(won.next_at() == time_point::max());
  CHECK(is(won.on_time(start + 1h), hedge_step::wait));

  auto gone = on.call();
  gone.start(start);
  gone.cancel();
  CHECK(gone.failure().code == errc::cancelled);
  CHECK(is(gone.on_time(start + 1h), hedge_step::wait));
  CHECK(is(gone.finish(0, verdict::transient, reset, start + 2ms), hedge_step::lost, 0));
  CHECK(on.judge.snapshot(start).failures_in_row == 0);

  auto late = on.call({.until = deadline(start + 5ms), .safety = idempotency::idempotent});
  late.start(start);
  CHECK(is(late.on_time(start + 10ms), hedge_step::wait));
  CHECK(is(late.finish(0, verdict::timeout, errc::attempt_timeout, start + 11ms), hedge_step::failed));
  CHECK(late.failure().stopped_by == errc::deadline_infeasible);
  CHECK(on.tokens() == 10);
  CHECK(on.room.in_flight() == 0);
}

TEST_CASE("H4 an attempt that has lost keeps its place until it has ended", "[hedge_machine]") {
  stage on;
  auto call = on.call();
  call.start(start);
  call.on_time(start + 10ms);
  call.finish(1, verdict::ok, {}, start + 11ms);
  CHECK(on.room.in_flight() == 1);
  CHECK(call.under_way(0));
  CHECK(is(call.finish(0, verdict::cancelled, errc::cancelled, start + 1h), hedge_step::lost, 0));
  CHECK(on.room.in_flight() == 0);
}

TEST_CASE("a loser is neutral, unless it had been slow when it lost, however long it took to hear of that",
          "[hedge_machine]") {
  for (const duration won : {49ms, 50ms}) {
    for (const duration heard : {0ms, 100ms}) {
      stage on;
      auto call = on.call();
      call.start(start);
      call.on_time(start + 10ms);
      call.finish(1, verdict::ok, {}, start + won);
      call.finish(0, verdict::cancelled, errc::cancelled, start + won + heard);
      const auto seen = on.judge.snapshot(start + 1s);
      CHECK(seen.window_slow == (won == 50ms ? 1 : 0));
      CHECK(seen.window_failed == 0);
    }
  }
}

TEST_CASE("what was under way when the caller went away is neutral, slow or not", "[hedge_machine]") {
  stage on;
  auto call = on.call();
  call.start(start);
  call.on_time(start + 10ms);
  call.cancel();
  call.finish(0, verdict::cancelled, errc::cancelled, start + 1s);
  call.finish(1, verdict::cancelled, errc::cancelled, start + 1s);
  CHECK(on.judge.snapshot(start + 1s).window_slow == 0);
}

TEST_CASE("a callee that says when it may be asked again is not asked before, and one that says never is not",
          "[hedge_machine]") {
  stage on;
  error busy = make_error(http_error(429));
  busy.retry_after = 30ms;
  auto waits = on.call();
  waits.start(start);
  CHECK(is(waits.finish(0, verdict::throttled, busy, start + 1ms), hedge_step::wait));
  CHECK(waits.next_at() == start + 31ms);
  CHECK(is(waits.on_time(start + 30ms), hedge_step::wait));
  CHECK(is(waits.on_time(start + 31ms), hedge_step::begin, 1));
  CHECK(is(waits.finish(1, verdict::ok, {}, start + 32ms), hedge_step::won, 1));
  // Past the deadline, nobody waits.
  busy.retry_after = 2s;
  auto never = on.call();
  never.start(start);
  CHECK(is(never.finish(0, verdict::throttled, busy, start + 1ms), hedge_step::failed));
  CHECK(never.failure().stopped_by == errc::deadline_infeasible);
  // What a header of too many digits comes to is never, with a deadline and without one.
  busy.retry_after = duration::max();
  for (const deadline until : {repeatable.until, deadline::never()}) {
    auto for_ever = on.call({.until = until, .safety = idempotency::idempotent});
    for_ever.start(start);
    CHECK(is(for_ever.finish(0, verdict::throttled, busy, start + 1ms), hedge_step::failed));
    CHECK(for_ever.failure().stopped_by == errc::deadline_infeasible);
    CHECK(for_ever.attempts() == 1);
  }
  // Nor where no hedge is left for then.
  busy.retry_after = 30ms;
  auto unsafe = on.call({.until = deadline(start + 1s)});
  unsafe.start(start);
  CHECK(is(unsafe.finish(0, verdict::throttled, busy, start + 1ms), hedge_step::failed));
  CHECK(unsafe.failure().stopped_by == errc::not_idempotent);

  error no = reset;
  no.no_retry = true;
  auto forbidden = on.call();
  forbidden.start(start);
  CHECK(is(forbidden.finish(0, verdict::transient, no, start + 1ms), hedge_step::failed));
  CHECK(forbidden.failure().stopped_by == errc::retry_forbidden);
}

TEST_CASE("an unsafe operation, a repetition and a circuit in doubt are not hedged", "[hedge_machine]") {
  stage on;
  auto unsafe = on.call({.until = deadline(start + 1s)});
  unsafe.start(start);
  CHECK(is(unsafe.on_time(start + 10ms), hedge_step::wait));
  CHECK(is(unsafe.finish(0, verdict::transient, reset, start + 11ms), hedge_step::failed));
  CHECK(unsafe.failure().stopped_by == errc::not_idempotent);

  auto again = on.call({.until = deadline(start + 1s), .safety = idempotency::idempotent, .is_retry = true});
  again.start(start);
  CHECK(is(again.on_time(start + 10ms), hedge_step::wait));
  CHECK(is(again.finish(0, verdict::ok, {}, start + 11ms), hedge_step::won, 0));

  on.judge.isolate(start);
  on.judge.release(start, breaker_state::half_open);
  auto probe = on.call();
  CHECK(is(probe.start(start), hedge_step::begin, 0));
  CHECK(probe.current(0).probe);
  CHECK(is(probe.on_time(start + 10ms), hedge_step::wait));
  CHECK(on.judge.snapshot(start).probes_issued == 1);
  CHECK(is(probe.finish(0, verdict::ok, {}, start + 11ms), hedge_step::won, 0));
}

TEST_CASE("a call that is refused begins nothing and gives back what it held", "[hedge_machine]") {
  stage on;
  rate_limiter door({.permits = 1, .per = 1h, .burst = 1});
  on.protects.rate = &door;
  on.judge.isolate(start);
  {
    auto call = on.call();
    CHECK(is(call.start(start), hedge_step::failed));
    CHECK(call.failure().code == errc::breaker_isolated);
    CHECK(call.failure().attempts == 0);
  }
  CHECK(door.snapshot(start).available == 1);
  CHECK(on.room.in_flight() == 0);
  on.judge.release(start);
  auto charged = on.call();
  CHECK(is(charged.start(start), hedge_step::begin, 0));
  CHECK(door.snapshot(start).available == 0);
  auto refused = on.call();
  CHECK(is(refused.start(start), hedge_step::failed));
  CHECK(refused.failure().code == errc::rate_limited);
  charged.finish(0, verdict::ok, {}, start);
  auto expired = on.call({.until = deadline(start)});
  CHECK(is(expired.start(start), hedge_step::failed));
  CHECK(expired.failure().code == errc::deadline_exceeded);
}

TEST_CASE("the latencies of answers are what the next call waits for", "[hedge_machine]") {
  stage on;
  const auto usual = std::make_unique<latency_sketch>(latency_sketch_options{});
  const hedge_options adaptive{.max_hedges = 1, .permille = 900, .least = 1ms, .most = 500ms};
  auto first = on.call(repeatable, adaptive, usual.get());
  first.start(start);
  CHECK(first.next_at() == start + 500ms);
  first.finish(0, verdict::ok, {}, start + 20ms);
  auto second = on.call(repeatable, adaptive, usual.get());
  second.start(start);
  CHECK(second.next_at() >= start + 20ms);
  CHECK(second.next_at() <= start + 22ms);
  CHECK(is(second.finish(0, verdict::transient, reset, start + 1ms), hedge_step::begin, 1));
  CHECK(is(second.finish(1, verdict::transient, reset, start + 2ms), hedge_step::failed));
  CHECK(usual->recent(start).count() == 1);  // failures say nothing of how long an answer takes
}

TEST_CASE("H1-H4 hold over a hundred thousand random calls", "[hedge_machine]") {
  splitmix64 bits(11);
  bulkhead room({.limit = 6});
  circuit_breaker judge({.consecutive_failures = 6, .probes = 2, .open_base = 20ms, .open_max = 40ms});
  retry_budget budget({.ratio_permille = 200, .min_per_second = 10, .burst = 20});
  const guard protects{.room = &room, .breaker = &judge, .budget = &budget, .attempt_timeout = 40ms};
  no_observer nobody;
  time_point now = start;
  std::uint64_t firsts = 0;
  std::uint64_t hedges = 0;
  for (int round = 0; round < 100'000; ++round) {
    now += 1ms;
    const call_context context{.until = deadline(now + 60ms), .safety = idempotency::idempotent};
    hedge_machine<2> call(protects, after_10ms, nullptr, context, nobody);
    ++firsts;
    unsigned results = 0;
    std::vector<std::size_t> out;
    bool over = false;
    const auto take = [&](const hedge_action& next) {
      switch (next.step) {
        case hedge_step::begin:
          if (over) FAIL("H3");
          out.push_back(next.which);
          if (next.which > 0) ++hedges;
          break;
        case hedge_step::won:
        case hedge_step::failed:
          ++results;
          over = true;
          break;
        case hedge_step::lost:
          if (!over) FAIL("lost before anything was won");
          break;
        case hedge_step::wait: break;
      }
    };
    take(call.start(now));
    while (!out.empty()) {
      now += duration(static_cast<std::int64_t>(bits() % 8'000'000));
      if (room.in_flight() != out.size()) FAIL("H4 " << room.in_flight() << " " << out.size());
      const std::uint64_t what = bits() % 8;
      if (what < 3) {
        take(call.on_time(now));
      } else if (what == 3 && !over && bits() % 8 == 0) {
        call.cancel();
        ++results;
        over = true;
      } else {
        const std::size_t at = bits() % out.size();
        const std::size_t which = out[at];
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(at));
        const std::uint64_t kind = bits() % 4;
        take(kind == 0   ? call.finish(which, verdict::ok, {}, now)
             : kind == 1 ? call.finish(which, verdict::permanent, not_found, now)
             : kind == 2 ? call.finish(which, verdict::timeout, errc::attempt_timeout, now)
                         : call.finish(which, verdict::transient, reset, now));
      }
    }
    if (results != 1) FAIL("H1 " << results << " in round " << round);
    if (room.in_flight() != 0) FAIL("H4");
  }
  const auto passed = static_cast<std::uint64_t>((now - start) / 1s) + 1;
  CHECK(hedges <= 20 + firsts / 5 + 10 * passed);
  CHECK(hedges > 5'000);
}
