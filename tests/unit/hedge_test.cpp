// SPDX-License-Identifier: MIT
#include "holdfast/policy/hedge.hpp"

#include <memory>

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point now{1000s};
constexpr hedge_options options{.max_hedges = 2, .permille = 950, .least = 2ms, .most = 100ms};
constexpr deadline later{now + 1s};

}  // namespace

TEST_CASE("a hedge waits for what is usual, within its bounds, and for long while nothing is known", "[hedge]") {
  const auto usual = std::make_unique<latency_sketch>(latency_sketch_options{});
  CHECK(hedge_delay(options, nullptr, now) == 100ms);
  CHECK(hedge_delay(options, usual.get(), now) == 100ms);
  for (int i = 1; i <= 100; ++i) usual->record(i < 95 ? 10ms : 40ms, now);
  const duration p95 = hedge_delay(options, usual.get(), now);
  CHECK(p95 >= 40ms);
  CHECK(p95 <= 43ms);
  hedge_options median = options;
  median.permille = 500;
  CHECK(hedge_delay(median, usual.get(), now) <= 11ms);
  for (int i = 0; i < 10'000; ++i) usual->record(10us, now);
  CHECK(hedge_delay(options, usual.get(), now) == 2ms);
  for (int i = 0; i < 10'000'000 / 100; ++i) usual->record(10s, now);
  CHECK(hedge_delay(options, usual.get(), now) == 100ms);
  CHECK(hedge_delay({.delay = 7ms}, usual.get(), now) == 7ms);
}

TEST_CASE("each guard forbids a hedge, and only one that all let through takes a token", "[hedge]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 1});
  circuit_breaker breaker({.consecutive_failures = 1, .open_base = 1s});
  const auto ask = [&](std::uint32_t hedges, idempotency safety, bool is_retry, deadline until) {
    return may_hedge(options, hedges, safety, is_retry, now, until, &breaker, &budget);
  };
  CHECK(ask(2, idempotency::idempotent, false, later) == errc::attempts_exhausted);
  CHECK(ask(0, idempotency::unsafe, false, later) == errc::not_idempotent);
  CHECK(ask(0, idempotency::idempotent, true, later) == errc::retry_forbidden);
  CHECK(ask(0, idempotency::idempotent, false, deadline(now)) == errc::deadline_infeasible);
  breaker.isolate(now);
  CHECK(ask(0, idempotency::idempotent, false, later) == errc::breaker_open);
  breaker.release(now, breaker_state::half_open);
  CHECK(ask(0, idempotency::idempotent, false, later) == errc::breaker_open);
  breaker.metrics_only(now);
  CHECK(budget.balance_milli(now) == 1'000);
  CHECK(ask(1, idempotency::idempotent_with_key, false, later) == errc{});
  CHECK(budget.balance_milli(now) == 0);
  CHECK(ask(1, idempotency::idempotent, false, later) == errc::retry_budget_exhausted);
  CHECK(may_hedge(options, 0, idempotency::idempotent, false, now, deadline::never(), nullptr, nullptr) == errc{});
  hedge_options slow = options;
  slow.min_attempt_time = 2s;
  CHECK(may_hedge(slow, 0, idempotency::idempotent, false, now, later, nullptr, nullptr) == errc::deadline_infeasible);
}

TEST_CASE("validate names what is wrong with a hedge's options", "[hedge]") {
  static_assert(!validate(hedge_options{}));
  static_assert(validate(hedge_options{.max_hedges = 0}).field == "max_hedges");
  static_assert(validate(hedge_options{.max_hedges = most_hedges + 1}).field == "max_hedges");
  static_assert(validate(hedge_options{.permille = 1001}).field == "permille");
  static_assert(validate(hedge_options{.delay = -1ns}).field == "delay");
  static_assert(validate(hedge_options{.least = 2s, .most = 1s}).field == "most");
  static_assert(validate(hedge_options{.least = -1ns}).field == "least");
  static_assert(validate(hedge_options{.min_attempt_time = -1ns}).field == "min_attempt_time");
}
