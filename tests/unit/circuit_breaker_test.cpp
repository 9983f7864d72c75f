// SPDX-License-Identifier: MIT
#include "holdfast/policy/circuit_breaker.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

using permit = circuit_breaker::permit;
using state = breaker_state;

constexpr time_point start{1000s};
// A tick is what an open time or a lease may end late by.
constexpr duration tick{std::int64_t{breaker_tick::nanoseconds}};

// Quick to open, no jitter: what each test is about stays visible.
constexpr circuit_breaker_options plain_rules{.failure_permille = 500,
                                              .min_calls = 4,
                                              .window = 10s,
                                              .probes = 3,
                                              .probe_lease = 5s,
                                              .open_base = 1s,
                                              .open_max = 60s,
                                              .jitter_permille = 0};

circuit_breaker_options with(void (*change)(circuit_breaker_options&)) {
  circuit_breaker_options o = plain_rules;
  change(o);
  REQUIRE_FALSE(validate(o));
  return o;
}

permit take(circuit_breaker& breaker, time_point now) {
  auto admission = breaker.admit(now);
  REQUIRE(admission);
  return std::move(admission.ticket);
}

circuit_breaker::report_result call(circuit_breaker& breaker, verdict v, time_point now) {
  return breaker.report(take(breaker, now), v, now);
}

void open_it(circuit_breaker& breaker, time_point now) {
  for (int i = 0; i < 1000 && breaker.state() == state::closed; ++i) call(breaker, verdict::transient, now);
  REQUIRE(breaker.state() == state::open);
}

// When an open circuit lets a probe through, by its own word.
time_point open_until(circuit_breaker& breaker, time_point now) {
  const auto refused = breaker.admit(now);
  REQUIRE_FALSE(refused);
  REQUIRE(refused.refusal.code == errc::breaker_open);
  return now + refused.refusal.retry_after;
}

}  // namespace

TEST_CASE("a new breaker is closed and lets everything through", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  CHECK(breaker.state() == state::closed);
  for (int i = 0; i < 100; ++i) {
    const auto result = call(breaker, verdict::ok, start);
    CHECK_FALSE(result.dropped_stale);
    CHECK_FALSE(result.transition);
  }
  const auto seen = breaker.snapshot(start);
  CHECK(seen.window_ok == 100);
  CHECK(seen.window_failed == 0);
  CHECK(seen.rejected == 0);
}

TEST_CASE("enough failures open it, and the refusal says why and when to come back", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(call(breaker, verdict::timeout, start).transition);
  const auto result = call(breaker, verdict::transient, start);
  REQUIRE(result.transition);
  CHECK(result.transition.from == state::closed);
  CHECK(result.transition.to == state::open);
  CHECK(result.transition.cause == breaker_cause::failure_rate);
  CHECK(result.transition.generation == 1);

  const auto refused = breaker.admit(start + 200ms);
  CHECK_FALSE(refused);
  CHECK(refused.refusal.code == errc::breaker_open);
  CHECK(refused.refusal.retry_after >= 800ms);
  CHECK(refused.refusal.retry_after <= 800ms + tick);
  const error as_error = refused.refusal;
  CHECK(as_error.code == errc::breaker_open);
  CHECK(as_error.kind == verdict::rejected);
  CHECK(as_error.not_sent);
}

TEST_CASE("half-open, as many successes as probes close it", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  auto first = breaker.admit(later);
  REQUIRE(first);
  CHECK(first.transition.to == state::half_open);
  CHECK(first.transition.cause == breaker_cause::open_time_over);
  CHECK(first.ticket.is_probe());
  auto second = take(breaker, later);
  auto third = take(breaker, later);
  const auto refused = breaker.admit(later);
  CHECK_FALSE(refused);
  CHECK(refused.refusal.code == errc::probe_quota);
  CHECK_FALSE(breaker.report(std::move(first.ticket), verdict::ok, later).transition);
  CHECK_FALSE(breaker.report(std::move(second), verdict::ok, later).transition);
  CHECK(breaker.state() == state::half_open);
  const auto closed = breaker.report(std::move(third), verdict::ok, later);
  REQUIRE(closed.transition);
  CHECK(closed.transition.to == state::closed);
  CHECK(closed.transition.cause == breaker_cause::probes_passed);
  const auto seen = breaker.snapshot(later);
  CHECK(seen.opens == 1);
  CHECK(seen.closes == 1);
  CHECK(seen.window_failed == 0);  // a closed circuit begins with an empty window
}

TEST_CASE("failures in a row open it at exactly the configured number, and a success begins anew", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.failure_permille = 0;
    o.consecutive_failures = 5;
  }));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) CHECK_FALSE(call(breaker, verdict::transient, start).transition);
    CHECK(breaker.snapshot(start).failures_in_row == 4);
    CHECK_FALSE(call(breaker, round == 1 ? verdict::permanent : verdict::ok, start).transition);
    CHECK(breaker.snapshot(start).failures_in_row == 0);
  }
  for (int i = 0; i < 4; ++i) CHECK_FALSE(call(breaker, verdict::timeout, start).transition);
  const auto opened = call(breaker, verdict::transient, start);
  CHECK(opened.transition.to == state::open);
  CHECK(opened.transition.cause == breaker_cause::consecutive_failures);
}
