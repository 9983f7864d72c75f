// SPDX-License-Identifier: MIT
#include "holdfast/exec/call_events.hpp"

#include <array>
#include <cstdint>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/telemetry/event_ring.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// The test's clock, for a part that keeps a copy of its clock.
struct shared_clock {
  const manual_clock* of;
  [[nodiscard]] time_point now() const noexcept { return of->now(); }
};

const error reset = make_error(std::make_error_code(std::errc::connection_reset));

struct bench_of_test {
  manual_clock clock{time_point(1h)};
  event_ring<64> ring;
  call_events<event_ring<64>, shared_clock> events{ring, {.object = 42, .every = 1s}, shared_clock{&clock}};

  std::vector<event> told() {
    std::vector<event> out;
    ring.drain([&](const event& e) { out.push_back(e); });
    return out;
  }
  // A call whose attempts all end with `answer`.
  outcome<int> call(const guard& g, outcome<int> answer) {
    const auto wait = [this](time_point until) {
      clock.set(until);
      return true;
    };
    return run(
        g, {.safety = idempotency::idempotent}, clock, [&](const attempt&) { return answer; }, wait, events);
  }
};

}  // namespace

TEST_CASE("each transition of a breaker is published once, whole, with its cause and generation", "[call_events]") {
  bench_of_test t;
  circuit_breaker breaker({.consecutive_failures = 2, .probes = 1, .open_base = 1s, .jitter_permille = 0});
  const guard g{.breaker = &breaker};
  CHECK_FALSE(t.call(g, reset).ok());
  CHECK_FALSE(t.call(g, reset).ok());
  t.clock.advance(2s);
  CHECK(t.call(g, 7).ok());
  std::vector<event> moved;
  for (const event& e : t.told()) {
    CHECK(e.object == 42);
    CHECK(e.at >= time_point(1h));
    if (transition_of(e)) moved.push_back(e);
  }
  REQUIRE(moved.size() == 3);
  CHECK(transition_of(moved[0]) ==
        breaker_transition{breaker_state::closed, breaker_state::open, breaker_cause::consecutive_failures, 1});
  CHECK(transition_of(moved[1]) ==
        breaker_transition{breaker_state::open, breaker_state::half_open, breaker_cause::open_time_over, 2});
  CHECK(transition_of(moved[2]) ==
        breaker_transition{breaker_state::half_open, breaker_state::closed, breaker_cause::probes_passed, 3});
  CHECK(moved[2].at == time_point(1h) + 2s);
}

TEST_CASE("E1 of many refusals one a cool-down is published, and it says how many were not", "[call_events]") {
  bench_of_test t;
  circuit_breaker breaker;
  const guard g{.breaker = &breaker};
  t.events.publish(breaker.isolate(t.clock.now()), t.clock.now());
  for (int i = 0; i < 1'000; ++i) CHECK_FALSE(t.call(g, 7).ok());
  t.clock.advance(1'100ms);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(t.call(g, 7).ok());
  std::vector<event> refused;
  std::vector<event> given_up;
  int transitions = 0;
  for (const event& e : t.told()) {
    if (e.type == event_type::call_refused) refused.push_back(e);
    if (e.type == event_type::call_given_up) given_up.push_back(e);
    if (transition_of(e)) ++transitions;
  }
  CHECK(transitions == 1);
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].code == static_cast<std::uint16_t>(errc::breaker_isolated));
  CHECK(refused[0].b == 0);
  CHECK(refused[1].b == 999);
  CHECK(refused[1].at - refused[0].at >= 1s);
  REQUIRE(given_up.size() == 2);
  CHECK(given_up[1].b == 999);
  CHECK(given_up[1].from == static_cast<std::uint8_t>(verdict::rejected));
  CHECK(given_up[1].to == 0);  // no attempt reached the callee
  CHECK(t.ring.dropped() == 0);
}

TEST_CASE("a refusal says when to come again, and a call given up why and after how many attempts", "[call_events]") {
  bench_of_test t;
  circuit_breaker breaker({.consecutive_failures = 3, .open_base = 10s, .jitter_permille = 0});
  const guard g{.breaker = &breaker,
                .retry = {.max_attempts = 3, .backoff = {.kind = backoff_kind::constant, .base = 1ms, .cap = 1ms}}};
  CHECK_FALSE(t.call(g, reset).ok());
  t.clock.advance(2s);
  CHECK_FALSE(t.call(g, reset).ok());
  std::vector<event> refused;
  std::vector<event> given_up;
  for (const event& e : t.told()) {
    if (e.type == event_type::call_refused) refused.push_back(e);
    if (e.type == event_type::call_given_up) given_up.push_back(e);
  }
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == static_cast<std::uint16_t>(errc::breaker_open));
  CHECK(refused[0].a > duration(7s).count());
  CHECK(refused[0].a < duration(9s).count());
  REQUIRE(given_up.size() == 2);
  CHECK(given_up[0].to == 3);
  CHECK(given_up[0].code == static_cast<std::uint16_t>(errc::attempts_exhausted));
  CHECK(given_up[0].a == reset.code.value());
  CHECK(given_up[0].from == static_cast<std::uint8_t>(verdict::transient));
}

TEST_CASE("R5 an exhausted budget is one event a cool-down", "[call_events]") {
  bench_of_test t;
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 1, .notice_every = 1min});
  const guard g{.budget = &budget,
                .retry = {.max_attempts = 3, .backoff = {.kind = backoff_kind::constant, .base = 1ms, .cap = 1ms}}};
  for (int i = 0; i < 100; ++i) CHECK_FALSE(t.call(g, reset).ok());
  t.clock.advance(61s);
  CHECK_FALSE(t.call(g, reset).ok());
  std::vector<event> exhausted;
  for (const event& e : t.told()) {
    if (e.type == event_type::budget_exhausted) exhausted.push_back(e);
  }
  REQUIRE(exhausted.size() == 2);
  CHECK(exhausted[0].code == static_cast<std::uint16_t>(errc::retry_budget_exhausted));
  CHECK(exhausted[0].a == reset.code.value());
  CHECK(exhausted[1].b == 99);
}

TEST_CASE("E1 what a full ring drops is told of by the next one that it takes", "[call_events]") {
  manual_clock clock{time_point(1h)};
  event_ring<2> ring;
  call_events<event_ring<2>, shared_clock> events{ring, {.object = 42, .every = 1s}, shared_clock{&clock}};
  const guard g;
  std::int64_t told = 0;
  const auto listen = [&] { ring.drain([&](const event& e) { told += 1 + e.b; }); };
  for (int second = 0; second < 10; ++second) {
    for (int i = 0; i < 30; ++i) events.on_refusal(g, errc::breaker_open);
    if (second == 7) listen();  // it has been full for long
    clock.advance(1s + 5ms);
  }
  listen();
  events.on_refusal(g, errc::breaker_open);
  listen();
  CHECK(told == 301);
}

TEST_CASE("a handler that asks the breaker, moves it and publishes that does not deadlock", "[call_events]") {
  // gobreaker #37, PR #119: under the breaker's lock that hung.
  bench_of_test t;
  circuit_breaker breaker({.consecutive_failures = 1});
  const guard g{.breaker = &breaker};
  CHECK_FALSE(t.call(g, reset).ok());
  int moved = 0;
  for (int turn = 0; turn < 2; ++turn) {
    t.ring.drain([&](const event& e) {
      if (!transition_of(e)) return;
      ++moved;
      if (breaker.snapshot(t.clock.now()).state == breaker_state::open)
        t.events.publish(breaker.force_close(t.clock.now()), t.clock.now());
    });
  }
  CHECK(moved == 2);
  CHECK(breaker.state() == breaker_state::forced_closed);
}

TEST_CASE("call events options name what is wrong", "[call_events]") {
  static_assert(!validate(call_events_options{}));
  static_assert(validate(call_events_options{.every = 0s}).field == "every");
  static_assert(validate(call_events_options{.every = 25h}).limit == duration(24h).count());
  static_assert(!transition_of(event{.type = event_type::call_refused, .from = 1, .code = 2}));
}
