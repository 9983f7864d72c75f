// SPDX-License-Identifier: MIT
#include "holdfast/policy/breaker_plan.hpp"

#include <chrono>
#include <cstdint>

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
constexpr circuit_breaker_options small{
    .window = 10s, .probes = 2, .probe_lease = 2ms, .open_max = 1s, .healthy_decay = 2ms};
constexpr circuit_breaker_options large{.slow_call = 1s,
                                        .window = 1h,
                                        .last_calls = 50,
                                        .last_failure_permille = 500,
                                        .probes = 31,
                                        .probe_lease = 1h,
                                        .open_max = 24h,
                                        .healthy_decay = 24h,
                                        .throttled_is_failure = true};
static_assert(!validate(small));
static_assert(!validate(large));

bool equal(const breaker_rules::longest& a, const breaker_rules::longest& b) {
  return a.open == b.open && a.lease == b.lease && a.decay == b.decay && a.moves == b.moves;
}

}  // namespace

TEST_CASE("a plan understands the times that the plans before it wrote", "[breaker_plan]") {
  const breaker_plan first(large);
  const breaker_plan second(small, first, start);
  CHECK(second.rules.options().probes == 2);
  CHECK(equal(second.rules.spans(), first.rules.spans()));
  CHECK(breaker_plan(small).rules.spans().moves < first.rules.spans().moves);
  const breaker_plan third(large, breaker_plan(small), start);
  CHECK(equal(third.rules.spans(), first.rules.spans()));
}

TEST_CASE("epochs of another window lie behind those that were, but not out of sight", "[breaker_plan]") {
  const breaker_plan first(small);
  const breaker_plan same(small, first, start);
  CHECK(same.window.epoch(start) == first.window.epoch(start));
  CHECK(same.window.serial() == 1);
  const breaker_plan other(large, same, start);
  CHECK(other.window.epoch(start) - first.window.epoch(start) == 1024);
  CHECK(other.window.serial() == 2);
  // It goes on at its own pace: a fifteenth of the window at a time.
  CHECK(other.window.epoch(start + 1h) - other.window.epoch(start) == 15);
}

TEST_CASE("each number of last calls is a shape of its own", "[breaker_plan]") {
  const breaker_plan first(small);
  CHECK(breaker_plan(small, first, start).last.shape() == first.last.shape());
  const breaker_plan other(large, first, start);
  CHECK(other.last.shape() == first.last.shape() + 1);
  CHECK(other.last.calls() == 50);
}

TEST_CASE("slow calls are looked for as long as there may be any", "[breaker_plan]") {
  CHECK_FALSE(breaker_plan(small).slow_ones);
  const breaker_plan timed(large);
  CHECK(timed.slow_ones);
  circuit_breaker_options untimed = large;
  untimed.slow_call = 0s;
  const breaker_plan kept(untimed, timed, start);
  CHECK(kept.slow_ones);
  CHECK_FALSE(breaker_plan(small, kept, start).slow_ones);  // another window
}

TEST_CASE("a packed plan is the same plan", "[breaker_plan]") {
  const breaker_plan before(large);
  for (const circuit_breaker_options& o : {small, large}) {
    const breaker_plan plan(o, before, start);
    const breaker_plan again = packed_breaker_plan(plan).plan();
    CHECK(equal(again.rules.spans(), plan.rules.spans()));
    CHECK(again.window.offset() == plan.window.offset());
    CHECK(again.window.serial() == plan.window.serial());
    CHECK(again.window.epoch(start + 77s) == plan.window.epoch(start + 77s));
    CHECK(again.last.bits() == plan.last.bits());
    CHECK(again.slow_ones == plan.slow_ones);
    CHECK(again.rules.options().throttled_is_failure == o.throttled_is_failure);
    CHECK(again.rules.options().window == o.window);
  }
}

TEST_CASE("the last calls are judged by integers, from their minimum on", "[breaker_plan]") {
  circuit_breaker_options o = large;
  o.last_min_calls = 3;
  o.last_failure_permille = 333;
  o.last_slow_permille = 667;
  const last_calls_rule rule(o, 5);
  CHECK(rule.judge({}) == breaker_cause::none);
  CHECK(rule.judge({.calls = 2, .failed = 2, .slow = 2}) == breaker_cause::none);
  CHECK(rule.judge({.calls = 3, .failed = 1, .slow = 3}) == breaker_cause::failure_rate);
  CHECK(rule.judge({.calls = 3, .failed = 0, .slow = 3}) == breaker_cause::slow_rate);
  CHECK(rule.judge({.calls = 3, .failed = 0, .slow = 2}) == breaker_cause::none);
  CHECK(rule.judge({.calls = 1000, .failed = 332, .slow = 666}) == breaker_cause::none);
  CHECK(last_calls_rule(small, 0).judge({.calls = 50, .failed = 50, .slow = 50}) == breaker_cause::none);
}
