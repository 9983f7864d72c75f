// SPDX-License-Identifier: MIT
#include "holdfast/policy/circuit_breaker.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/breaker_reference.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::compare;
using test_support::covered;

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

circuit_breaker::report_result call(circuit_breaker& breaker, verdict v, time_point now, duration took) {
  return breaker.report(take(breaker, now), v, now, took);
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

TEST_CASE("failures in a row open it at exactly the configured number, and a success begins anew",
          "[circuit_breaker]") {
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

// ---- what happened to the users of other breakers (each test says what)

TEST_CASE("I2: late successes of closed-era calls do not close a half-open circuit", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  std::vector<permit> late;
  for (int i = 0; i < 6; ++i) late.push_back(take(breaker, start));
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  auto probe = take(breaker, later);
  for (auto& p : late) {
    const auto result = breaker.report(std::move(p), verdict::ok, later);
    CHECK(result.dropped_stale);
    CHECK_FALSE(result.transition);
  }
  const auto seen = breaker.snapshot(later);
  CHECK(seen.state == state::half_open);
  CHECK(seen.probes_issued == 1);
  CHECK(seen.probes_ok == 0);
  CHECK(seen.stale_dropped == 6);
  CHECK_FALSE(breaker.report(std::move(probe), verdict::ok, later).dropped_stale);
}

TEST_CASE("I2: a late failure of a closed-era call does not reopen a half-open or closed circuit",
          "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.consecutive_failures = 1;
    o.probes = 1;
  }));
  auto late_half = take(breaker, start);
  auto late_closed = take(breaker, start);
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  auto probe = take(breaker, later);
  CHECK(breaker.report(std::move(late_half), verdict::transient, later).dropped_stale);
  CHECK(breaker.state() == state::half_open);
  CHECK(breaker.report(std::move(probe), verdict::ok, later).transition.to == state::closed);
  CHECK(breaker.report(std::move(late_closed), verdict::transient, later).dropped_stale);
  CHECK(breaker.state() == state::closed);
  CHECK(breaker.snapshot(later).failures_in_row == 0);
  CHECK(breaker.snapshot(later).window_failed == 0);
}

TEST_CASE("I2: a probe of an earlier half-open neither closes nor opens the one that follows", "[circuit_breaker]") {
  for (const verdict v : {verdict::ok, verdict::transient, verdict::cancelled}) {
    circuit_breaker breaker(plain_rules);
    open_it(breaker, start);
    const auto first = open_until(breaker, start);
    auto old_probe = take(breaker, first);
    call(breaker, verdict::transient, first);  // opens again
    const auto second = open_until(breaker, first);
    auto probe = take(breaker, second);
    CHECK(breaker.report(std::move(old_probe), v, second).dropped_stale);
    const auto seen = breaker.snapshot(second);
    CHECK(seen.state == state::half_open);
    CHECK(seen.probes_issued == 1);
    CHECK(seen.probes_ok == 0);
  }
}

TEST_CASE("I1: fifty late ignored results do not inflate the number of probes", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 2; }));
  std::vector<permit> late;
  for (int i = 0; i < 50; ++i) late.push_back(take(breaker, start));
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  std::vector<permit> probes;
  probes.push_back(take(breaker, later));
  for (int i = 0; i < 25; ++i)
    CHECK(breaker.report(std::move(late.at(static_cast<std::size_t>(i))), verdict::cancelled, later).dropped_stale);
  late.clear();  // the other half is abandoned
  probes.push_back(take(breaker, later));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(breaker.admit(later));
  CHECK(breaker.snapshot(later).probes_issued == 2);
}

TEST_CASE("a neutral or abandoned probe gives back exactly its place and decides nothing", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  auto ok = take(breaker, later);
  CHECK_FALSE(breaker.report(std::move(ok), verdict::ok, later).transition);
  const std::array neutral{verdict::cancelled, verdict::rejected, verdict::stale, verdict::throttled};
  for (int round = 0; round < 20; ++round) {
    auto a = take(breaker, later);
    auto b = take(breaker, later);
    CHECK_FALSE(breaker.admit(later));
    const auto result = breaker.report(std::move(a), neutral.at(static_cast<std::size_t>(round % 4)), later);
    CHECK_FALSE(result.transition);
    CHECK_FALSE(result.dropped_stale);
    b = permit();  // destroyed
    const auto seen = breaker.snapshot(later);
    CHECK(seen.state == state::half_open);
    CHECK(seen.probes_issued == 1);
    CHECK(seen.probes_ok == 1);
  }
  CHECK(breaker.snapshot(later).probes_returned == 40);
}

TEST_CASE("a cancelled probe does not close the circuit", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 1; }));
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  CHECK_FALSE(breaker.report(take(breaker, later), verdict::cancelled, later).transition);
  CHECK(breaker.state() == state::half_open);
  CHECK(breaker.report(take(breaker, later), verdict::ok, later).transition.to == state::closed);
}

TEST_CASE("two-phase admission: a probe's place survives a guard that turns the call away", "[circuit_breaker]") {
  circuit_breaker outer(with([](auto& o) { o.probes = 1; }));
  circuit_breaker inner(with([](auto& o) { o.probes = 1; }));
  open_it(outer, start);
  const auto later = open_until(outer, start);
  inner.isolate(later);
  for (int i = 0; i < 100; ++i) {
    auto outer_admission = outer.admit(later);
    REQUIRE(outer_admission);  // would be refused for ever if a place were lost
    CHECK_FALSE(inner.admit(later));
  }
  inner.release(later);
  auto ticket = take(outer, later);
  auto inside = take(inner, later);
  inner.report(std::move(inside), verdict::ok, later);
  CHECK(outer.report(std::move(ticket), verdict::ok, later).transition.to == state::closed);
}

TEST_CASE("I3: a probe that never reports does not wedge the circuit, its lease is renewed", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  open_it(breaker, start);
  const auto t0 = open_until(breaker, start);
  std::vector<permit> stuck;
  for (int i = 0; i < 3; ++i) stuck.push_back(take(breaker, t0));
  const auto refused = breaker.admit(t0 + 1s);
  CHECK(refused.refusal.code == errc::probe_quota);
  CHECK(refused.refusal.retry_after >= 4s);
  CHECK(refused.refusal.retry_after <= 4s + tick);
  const auto t1 = t0 + 1s + refused.refusal.retry_after;
  CHECK_FALSE(breaker.admit(t1 - 1ns));
  const auto generation = breaker.generation();
  auto renewed = breaker.admit(t1);
  REQUIRE(renewed);
  CHECK(renewed.transition.from == state::half_open);
  CHECK(renewed.transition.to == state::half_open);
  CHECK(renewed.transition.cause == breaker_cause::lease_over);
  CHECK(renewed.transition.generation == generation + 1);
  auto second = take(breaker, t1);
  auto third = take(breaker, t1);
  CHECK_FALSE(breaker.admit(t1));
  // The lost ones come back now, and are too late.
  CHECK(breaker.report(std::move(stuck[0]), verdict::ok, t1).dropped_stale);
  CHECK(breaker.report(std::move(stuck[1]), verdict::transient, t1).dropped_stale);
  stuck.clear();
  CHECK(breaker.snapshot(t1).probes_issued == 3);
  for (auto* p : {&renewed.ticket, &second, &third}) breaker.report(std::move(*p), verdict::ok, t1);
  CHECK(breaker.state() == state::closed);
  CHECK(breaker.snapshot(t1).leases_over == 1);
}

TEST_CASE("I3: with lease_expiry::reopen a lost probe counts as a failed one", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.on_lease_over = lease_expiry::reopen;
    o.probes = 1;
  }));
  open_it(breaker, start);
  const auto t0 = open_until(breaker, start);
  const auto stuck = take(breaker, t0);
  const auto t1 = t0 + 5s + tick;
  const auto reopened = breaker.admit(t1);
  CHECK_FALSE(reopened);
  CHECK(reopened.refusal.code == errc::breaker_open);
  CHECK(reopened.transition.from == state::half_open);
  CHECK(reopened.transition.to == state::open);
  CHECK(reopened.transition.cause == breaker_cause::lease_over);
  CHECK(reopened.refusal.retry_after >= 2s);  // the second opening: twice the base
  CHECK(reopened.refusal.retry_after <= 2s + tick);
  CHECK(call(breaker, verdict::ok, t1 + reopened.refusal.retry_after).transition.to == state::closed);
}

TEST_CASE("each probe has a whole lease: steady slow traffic closes the circuit", "[circuit_breaker]") {
  // One call every 2 s, each lasting 2.5 s, lease 5 s. If the lease ran from the first probe, the third would lose its
  // place every time, and the circuit would never close.
  circuit_breaker breaker(plain_rules);
  open_it(breaker, start);
  auto now = open_until(breaker, start);
  std::deque<std::pair<time_point, permit>> out;
  int calls = 0;
  for (; calls < 20 && breaker.state() != state::closed; ++calls, now += 2s) {
    while (!out.empty() && out.front().first <= now) {
      breaker.report(std::move(out.front().second), verdict::ok, out.front().first);
      out.pop_front();
    }
    if (auto a = breaker.admit(now)) out.emplace_back(now + 2500ms, std::move(a.ticket));
  }
  CHECK(breaker.state() == state::closed);
  CHECK(calls <= 5);
  CHECK(breaker.snapshot(now).leases_over == 0);
}

TEST_CASE("a probe taken with an older clock reading does not shorten the lease of the others", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 2; }));
  open_it(breaker, start);
  const auto t0 = open_until(breaker, start);
  const auto first = take(breaker, t0);
  breaker.report(take(breaker, t0 + 3s), verdict::cancelled, t0 + 3s);  // its lease ends at 8 s
  const auto second = take(breaker, t0 + 1s);
  const auto refused = breaker.admit(t0 + 7s);
  CHECK(refused.refusal.code == errc::probe_quota);
  CHECK(refused.refusal.retry_after >= 1s);
}

TEST_CASE("a result after its lease still counts if nobody took the place", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 1; }));
  open_it(breaker, start);
  const auto t0 = open_until(breaker, start);
  auto probe = take(breaker, t0);
  CHECK(breaker.report(std::move(probe), verdict::ok, t0 + 60s).transition.to == state::closed);
}

TEST_CASE("forty slow failures do not vanish when the window moves on", "[circuit_breaker]") {
  // Each call lasts longer than a bucket, so admission and result lie in different ones.
  circuit_breaker by_rate(with([](auto& o) { o.min_calls = 10; }));
  circuit_breaker in_row(with([](auto& o) {
    o.failure_permille = 0;
    o.consecutive_failures = 40;
  }));
  auto now = start;
  int rate_calls = 0;
  int row_calls = 0;
  for (int i = 0; i < 40; ++i) {
    auto a = by_rate.admit(now);
    auto b = in_row.admit(now);
    now += 800ms;
    if (a) {
      ++rate_calls;
      CHECK_FALSE(by_rate.report(std::move(a.ticket), verdict::timeout, now).dropped_stale);
    }
    if (b) {
      ++row_calls;
      CHECK_FALSE(in_row.report(std::move(b.ticket), verdict::timeout, now).dropped_stale);
    }
    if (by_rate.state() == state::open) break;
  }
  CHECK(rate_calls == 10);
  CHECK(by_rate.state() == state::open);
  for (; row_calls < 40; ++row_calls, now += 11s) CHECK_FALSE(call(in_row, verdict::timeout, now - 11s).dropped_stale);
  CHECK(in_row.state() == state::open);
}

TEST_CASE("a result counts for the whole window, wherever in it a bucket ends", "[circuit_breaker]") {
  // A fixed window forgets at its edge what happened just before it; this one does not.
  for (int offset = 0; offset < 50; ++offset) {
    circuit_breaker breaker(plain_rules);
    const auto t = start + offset * 37ms;
    for (int i = 0; i < 3; ++i) call(breaker, verdict::transient, t);
    CHECK(breaker.snapshot(t + 10s).window_failed == 3);
    CHECK(breaker.snapshot(t + 10s + duration(10s) / 15 + 1ms).window_failed == 0);
    CHECK(call(breaker, verdict::transient, t + 10s).transition.to == state::open);
  }
}

TEST_CASE("failures age: after an idle window the first error does not open", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  auto now = start;
  for (int round = 0; round < 10; ++round, now += 11s)
    for (int i = 0; i < 3; ++i) CHECK_FALSE(call(breaker, verdict::transient, now).transition);
  CHECK(breaker.state() == state::closed);
}

TEST_CASE("below the minimum of calls nothing opens, not even failures alone", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.min_calls = 20; }));
  for (int i = 0; i < 19; ++i) CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK(call(breaker, verdict::transient, start).transition.to == state::open);
}

TEST_CASE("the success that reaches the minimum of calls opens, if the rate says so", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.min_calls = 10;
    o.failure_permille = 500;
  }));
  for (int i = 0; i < 8; ++i) CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK_FALSE(call(breaker, verdict::ok, start).transition);
  const auto opened = call(breaker, verdict::ok, start);
  CHECK(opened.transition.to == state::open);
  CHECK(opened.transition.cause == breaker_cause::failure_rate);
}

TEST_CASE("many failures among very many calls do not open: shares are compared, not counts", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.min_calls = 20;
    o.failure_permille = 100;
  }));
  for (int i = 0; i < 100'000; ++i) {
    const auto v = i % 700 == 699 ? verdict::transient : verdict::ok;  // 0.14 %
    REQUIRE_FALSE(call(breaker, v, start + i * 50us).transition);
  }
  CHECK(breaker.snapshot(start + 5s).window_failed == 142);
}

TEST_CASE("the rate is exact at its limit", "[circuit_breaker]") {
  const auto fails = [](int ok, int failed) {
    circuit_breaker breaker(with([](auto& o) {
      o.min_calls = 1000;
      o.failure_permille = 333;
    }));
    bool opened = false;
    for (int i = 0; i < ok; ++i) opened = call(breaker, verdict::ok, start).transition || opened;
    for (int i = 0; i < failed; ++i) opened = call(breaker, verdict::transient, start).transition || opened;
    return opened;
  };
  CHECK_FALSE(fails(668, 332));
  CHECK(fails(667, 333));
}

// ---- slow calls

namespace {

// Half of the calls slow, and no rule for failures: what opens is the time that calls take.
circuit_breaker_options slow_rules() {
  return with([](auto& o) {
    o.failure_permille = 0;
    o.slow_call = 200ms;
    o.slow_permille = 500;
    o.min_calls = 10;
  });
}

}  // namespace

TEST_CASE("slow calls open the circuit at their share and minimum", "[circuit_breaker]") {
  circuit_breaker few(slow_rules());
  for (int i = 0; i < 9; ++i) CHECK_FALSE(call(few, verdict::ok, start, 5s).transition);
  const auto opened = call(few, verdict::ok, start, 5s);
  CHECK(opened.transition.from == state::closed);
  CHECK(opened.transition.to == state::open);
  CHECK(opened.transition.cause == breaker_cause::slow_rate);
  CHECK_FALSE(opened.dropped_stale);

  const auto slow_of_thousand = [](int slow) {
    circuit_breaker breaker(with([](auto& o) {
      o.slow_call = 200ms;
      o.slow_permille = 333;
      o.min_calls = 1000;
    }));
    bool open = false;
    for (int i = 0; i < 1000 - slow; ++i) open |= static_cast<bool>(call(breaker, verdict::ok, start, 1ms).transition);
    for (int i = 0; i < slow; ++i) open |= static_cast<bool>(call(breaker, verdict::ok, start, 200ms).transition);
    return open;
  };
  CHECK_FALSE(slow_of_thousand(332));
  CHECK(slow_of_thousand(333));
}

TEST_CASE("a slow success counts once as success and once as slow", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.consecutive_failures = 3;
    o.slow_call = 200ms;
    o.slow_permille = 1000;
    o.min_calls = 20;
  }));
  call(breaker, verdict::transient, start, 1ms);
  call(breaker, verdict::transient, start, 1ms);
  call(breaker, verdict::ok, start, 300ms);
  CHECK(breaker.snapshot(start).failures_in_row == 0);  // it has answered
  call(breaker, verdict::permanent, start, 300ms);
  call(breaker, verdict::ok, start, 10ms);
  const auto seen = breaker.snapshot(start);
  CHECK(seen.window_ok == 3);
  CHECK(seen.window_failed == 2);
  CHECK(seen.window_slow == 2);
}

TEST_CASE("slow and failed counts do not add up to two: a call that was both is one call", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.failure_permille = 600;
    o.slow_call = 200ms;
    o.slow_permille = 600;
    o.min_calls = 4;
  }));
  // Three calls that were both are three of the four that it takes, and no more.
  for (int i = 0; i < 3; ++i) CHECK_FALSE(call(breaker, verdict::timeout, start, 1s).transition);
  auto seen = breaker.snapshot(start);
  CHECK(seen.window_ok == 0);
  CHECK(seen.window_failed == 3);
  CHECK(seen.window_slow == 3);
  // Of two rules that say so the failures are named: they are the plainer reason.
  CHECK(call(breaker, verdict::ok, start, 1s).transition.cause == breaker_cause::failure_rate);

  // Half failed and the other half slow: neither has its share.
  circuit_breaker halves(with([](auto& o) {
    o.failure_permille = 600;
    o.slow_call = 200ms;
    o.slow_permille = 600;
    o.min_calls = 20;
  }));
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(call(halves, verdict::ok, start, 1s).transition);
    CHECK_FALSE(call(halves, verdict::transient, start, 1ms).transition);
  }
}

TEST_CASE("a call is slow from slow_call on, and never without its time or with one below zero", "[circuit_breaker]") {
  circuit_breaker breaker(slow_rules());
  call(breaker, verdict::ok, start, 200ms - 1ns);
  call(breaker, verdict::ok, start);
  call(breaker, verdict::ok, start, -1h);
  call(breaker, verdict::transient, start);
  CHECK(breaker.snapshot(start).window_slow == 0);
  call(breaker, verdict::ok, start, 200ms);
  CHECK(breaker.snapshot(start).window_slow == 1);
  call(breaker, verdict::ok, start, duration::max());
  CHECK(breaker.snapshot(start).window_slow == 2);
  CHECK(breaker.snapshot(start).window_ok == 5);
}

TEST_CASE("without slow_call no call is slow, whatever its time", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(call(breaker, verdict::ok, start, duration::max()).transition);
  CHECK(breaker.snapshot(start).window_ok == 100);
  CHECK(breaker.snapshot(start).window_slow == 0);
}

TEST_CASE("slow calls without a share are counted and open nothing", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.slow_call = 200ms; }));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(call(breaker, verdict::ok, start, 1s).transition);
  CHECK(breaker.snapshot(start).window_slow == 100);
  CHECK(breaker.snapshot(start).window_ok == 100);
}

TEST_CASE("calls that say nothing say nothing by their time either", "[circuit_breaker]") {
  circuit_breaker breaker(slow_rules());
  for (int round = 0; round < 50; ++round)
    for (const verdict v : {verdict::cancelled, verdict::rejected, verdict::stale, verdict::throttled})
      CHECK_FALSE(call(breaker, v, start, 1h).transition);
  CHECK(breaker.snapshot(start).window_slow == 0);
}

TEST_CASE("slow calls age as failures do, and the circuit is as new behind them", "[circuit_breaker]") {
  circuit_breaker breaker(slow_rules());
  auto now = start;
  for (int round = 0; round < 10; ++round, now += 11s) {
    for (int i = 0; i < 9; ++i) CHECK_FALSE(call(breaker, verdict::ok, now, 1s).transition);
    CHECK(breaker.snapshot(now + 10s).window_slow == 9);
    CHECK(breaker.snapshot(now + 10s + duration(10s) / 15 + 1ms).window_slow == 0);
  }
  // Successes and failures by the thousand, fast ones.
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(call(breaker, verdict::ok, now, 1ms).transition);
    CHECK_FALSE(call(breaker, verdict::transient, now, 1ms).transition);
  }
}

TEST_CASE("the fast call that reaches the minimum opens, if the share of slow calls says so", "[circuit_breaker]") {
  for (const verdict last : {verdict::ok, verdict::transient}) {
    circuit_breaker breaker(slow_rules());
    for (int i = 0; i < 8; ++i) CHECK_FALSE(call(breaker, verdict::ok, start, 1s).transition);
    CHECK_FALSE(call(breaker, last, start, 1ms).transition);
    CHECK(call(breaker, last, start, 1ms).transition.cause == breaker_cause::slow_rate);
  }
}

TEST_CASE("a probe is judged by its answer and not by its time", "[circuit_breaker]") {
  circuit_breaker breaker(slow_rules());
  for (int i = 0; i < 10; ++i) call(breaker, verdict::ok, start, 1s);
  REQUIRE(breaker.state() == state::open);
  const auto first = open_until(breaker, start);
  CHECK(first - start <= 1s + tick);
  CHECK_FALSE(call(breaker, verdict::ok, first, 1s).dropped_stale);
  CHECK_FALSE(call(breaker, verdict::ok, first, 1s).transition);
  CHECK(call(breaker, verdict::ok, first, 1s).transition.to == state::closed);
  CHECK(breaker.snapshot(first).window_slow == 0);
  // Still slow: it opens again, for twice as long.
  for (int i = 0; i < 9; ++i) CHECK_FALSE(call(breaker, verdict::ok, first, 1s).transition);
  CHECK(call(breaker, verdict::ok, first, 1s).transition.cause == breaker_cause::slow_rate);
  CHECK(open_until(breaker, first) - first >= 2s);
}

TEST_CASE("I2: a slow result of an earlier generation is not counted", "[circuit_breaker]") {
  circuit_breaker breaker(slow_rules());
  auto late = take(breaker, start);
  breaker.isolate(start);
  breaker.release(start);
  CHECK(breaker.report(std::move(late), verdict::ok, start, 1h).dropped_stale);
  CHECK(breaker.snapshot(start).window_slow == 0);
  CHECK(breaker.snapshot(start).window_ok == 0);
}

TEST_CASE("metrics-only counts slow calls and opens nothing", "[circuit_breaker]") {
  circuit_breaker breaker(slow_rules());
  breaker.metrics_only(start);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(call(breaker, verdict::ok, start, i % 2 == 0 ? 1s : 1ms).transition);
  CHECK(breaker.snapshot(start).window_ok == 100);
  CHECK(breaker.snapshot(start).window_slow == 50);
  // Forced closed it counts nothing.
  breaker.force_close(start);
  call(breaker, verdict::ok, start, 1s);
  breaker.release(start);
  CHECK(breaker.snapshot(start).window_slow == 0);
}

// ---- the last so many calls

namespace {

// No other rule than of the last ten calls, from the fourth on.
circuit_breaker_options last_ten(void (*change)(circuit_breaker_options&) = [](circuit_breaker_options&) {}) {
  circuit_breaker_options o = plain_rules;
  o.failure_permille = 0;
  o.last_calls = 10;
  o.last_failure_permille = 500;
  o.last_min_calls = 4;
  change(o);
  REQUIRE_FALSE(validate(o));
  return o;
}

}  // namespace

TEST_CASE("the last calls open the circuit at their share, however long ago they were", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten());
  auto now = start;
  // Days apart, where a window of time holds one call at most.
  for (int i = 0; i < 8; ++i, now += 24h) REQUIRE_FALSE(call(breaker, verdict::ok, now).transition);
  for (int i = 0; i < 4; ++i, now += 24h) REQUIRE_FALSE(call(breaker, verdict::timeout, now).transition);
  const auto seen = breaker.snapshot(now);
  CHECK(seen.last_calls == 10);
  CHECK(seen.last_failed == 4);
  CHECK(seen.last_slow == 0);
  CHECK(seen.window_failed == 0);
  const auto opened = call(breaker, verdict::transient, now);
  CHECK(opened.transition.to == state::open);
  CHECK(opened.transition.cause == breaker_cause::failure_rate);
}

TEST_CASE("a failure is forgotten with exactly the call that makes it one too old", "[circuit_breaker]") {
  for (const int between : {9, 10}) {
    circuit_breaker breaker(last_ten([](auto& o) { o.last_failure_permille = 200, o.last_min_calls = 10; }));
    for (int i = 0; i < 9; ++i) REQUIRE_FALSE(call(breaker, verdict::ok, start).transition);
    REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
    for (int i = 1; i < between; ++i) REQUIRE_FALSE(call(breaker, verdict::ok, start).transition);
    CHECK(breaker.snapshot(start).last_failed == 1);
    // The second of ten, or the first of ten.
    CHECK(static_cast<bool>(call(breaker, verdict::transient, start).transition) == (between == 9));
  }
}

TEST_CASE("among the last calls, too, the success that reaches the minimum opens if the share says so",
          "[circuit_breaker]") {
  circuit_breaker breaker(last_ten());
  REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
  REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
  REQUIRE_FALSE(call(breaker, verdict::ok, start + 1h).transition);
  const auto opened = call(breaker, verdict::ok, start + 2h);
  CHECK(opened.transition.to == state::open);
  CHECK(opened.transition.cause == breaker_cause::failure_rate);
}

TEST_CASE("the share of the last calls is exact at its limit", "[circuit_breaker]") {
  const auto opens = [](int ok, int failed) {
    circuit_breaker breaker(
        last_ten([](auto& o) { o.last_calls = o.last_min_calls = 1000, o.last_failure_permille = 333; }));
    for (int i = 0; i < ok; ++i) REQUIRE_FALSE(call(breaker, verdict::ok, start).transition);
    for (int i = 0; i + 1 < failed; ++i) REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
    return static_cast<bool>(call(breaker, verdict::transient, start).transition);
  };
  CHECK(opens(667, 333));
  CHECK_FALSE(opens(668, 332));
}

TEST_CASE("the largest window of calls forgets nothing before its time, and nothing later", "[circuit_breaker]") {
  circuit_breaker breaker(
      last_ten([](auto& o) { o.last_calls = o.last_min_calls = 1024, o.last_failure_permille = 1000; }));
  REQUIRE_FALSE(call(breaker, verdict::ok, start).transition);
  for (int i = 0; i < 1023; ++i) REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK(breaker.snapshot(start).last_failed == 1023);
  CHECK(call(breaker, verdict::transient, start).transition.to == state::open);
}

TEST_CASE("slow calls among the last ones open the circuit at their share", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten([](auto& o) {
    o.slow_call = 1s;
    o.last_failure_permille = 0;
    o.last_slow_permille = 300;
  }));
  for (int i = 0; i < 8; ++i) REQUIRE_FALSE(call(breaker, verdict::transient, start, 999ms).transition);
  REQUIRE_FALSE(call(breaker, verdict::ok, start, 1s).transition);
  REQUIRE_FALSE(call(breaker, verdict::transient, start, 2s).transition);
  const auto seen = breaker.snapshot(start);
  CHECK(seen.last_calls == 10);
  CHECK(seen.last_failed == 9);
  CHECK(seen.last_slow == 2);
  const auto opened = call(breaker, verdict::ok, start, 1s);
  CHECK(opened.transition.to == state::open);
  CHECK(opened.transition.cause == breaker_cause::slow_rate);
}

TEST_CASE("calls that say nothing are none of the last calls", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten());
  for (int i = 0; i < 3; ++i) call(breaker, verdict::timeout, start);
  for (int i = 0; i < 50; ++i) {
    for (const auto v : {verdict::cancelled, verdict::rejected, verdict::stale, verdict::throttled})
      REQUIRE_FALSE(call(breaker, v, start, 1h).transition);
    static_cast<void>(take(breaker, start));  // abandoned
  }
  CHECK(breaker.snapshot(start).last_calls == 3);
  CHECK(breaker.snapshot(start).last_failed == 3);
  CHECK(call(breaker, verdict::timeout, start).transition);
}

TEST_CASE("a circuit that closes anew begins with none of the last calls", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten());
  open_it(breaker, start);
  auto now = open_until(breaker, start);
  CHECK(breaker.snapshot(start).last_calls == 0);
  for (int i = 0; i < 3; ++i) call(breaker, verdict::ok, now);
  REQUIRE(breaker.state() == state::closed);
  CHECK(breaker.snapshot(now).last_calls == 0);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(call(breaker, verdict::transient, now).transition);
  CHECK(breaker.snapshot(now).last_failed == 3);
  CHECK(call(breaker, verdict::transient, now).transition.to == state::open);
}

TEST_CASE("I2: late results are none of the last calls of a later state", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten());
  std::vector<permit> late;
  for (int i = 0; i < 20; ++i) late.push_back(take(breaker, start));
  breaker.isolate(start);
  breaker.release(start);
  for (int i = 0; i < 3; ++i) call(breaker, verdict::transient, start);
  for (int i = 0; i < 10; ++i) {
    const auto result = breaker.report(std::move(late.back()), verdict::transient, start);
    late.pop_back();
    CHECK(result.dropped_stale);
    CHECK_FALSE(result.transition);
  }
  CHECK(breaker.snapshot(start).last_calls == 3);
  // And none before the first call of it is counted, either.
  breaker.isolate(start);
  breaker.release(start);
  while (!late.empty()) {
    CHECK(breaker.report(std::move(late.back()), verdict::ok, start).dropped_stale);
    late.pop_back();
  }
  CHECK(breaker.snapshot(start).last_calls == 0);
}

TEST_CASE("of all the rules together each opens the circuit by itself", "[circuit_breaker]") {
  const auto all_rules = with([](auto& o) {
    o.consecutive_failures = 6;
    o.failure_permille = 500;
    o.slow_call = 1s;
    o.slow_permille = 500;
    o.min_calls = 20;
    o.last_calls = 10;
    o.last_failure_permille = 700;
    o.last_slow_permille = 700;
    o.last_min_calls = 10;
  });
  const auto cause_of = [&](int calls, auto kind, duration apart) {
    circuit_breaker breaker(all_rules);
    for (int i = 1; i < calls; ++i) {
      const auto [v, took] = kind(i);
      REQUIRE_FALSE(call(breaker, v, start + i * apart, took).transition);
    }
    const auto [v, took] = kind(calls);
    return call(breaker, v, start + calls * apart, took).transition.cause;
  };
  using kind = std::pair<verdict, duration>;
  CHECK(cause_of(
            6, [](int) { return kind(verdict::transient, 0s); }, 1h) == breaker_cause::consecutive_failures);
  // Half of twenty in ten seconds; never seven of ten.
  CHECK(cause_of(
            20, [](int i) { return kind(i % 2 == 0 ? verdict::timeout : verdict::ok, 0s); }, 1ms) ==
        breaker_cause::failure_rate);
  CHECK(cause_of(
            20, [](int i) { return kind(verdict::ok, i % 2 == 0 ? 1s : 0s); }, 1ms) == breaker_cause::slow_rate);
  // Seven of ten, hours apart.
  CHECK(cause_of(
            10, [](int i) { return kind(i % 4 == 0 || i == 1 ? verdict::ok : verdict::timeout, 0s); }, 1h) ==
        breaker_cause::failure_rate);
  CHECK(cause_of(
            10, [](int i) { return kind(verdict::ok, i % 4 == 0 || i == 1 ? 0s : 1s); }, 1h) ==
        breaker_cause::slow_rate);
}

TEST_CASE("metrics-only counts the last calls and opens nothing; forced closed counts none", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten([](auto& o) { o.slow_call = 1s; }));
  breaker.metrics_only(start);
  for (int i = 0; i < 30; ++i) CHECK_FALSE(call(breaker, verdict::timeout, start, i % 2 == 0 ? 1s : 2ms).transition);
  CHECK(breaker.snapshot(start).last_calls == 10);
  CHECK(breaker.snapshot(start).last_failed == 10);
  CHECK(breaker.snapshot(start).last_slow == 5);
  breaker.force_close(start);
  for (int i = 0; i < 30; ++i) call(breaker, verdict::timeout, start);
  CHECK(breaker.snapshot(start).last_calls == 0);
}

TEST_CASE("a permanent error is a success: the callee answered", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.consecutive_failures = 3; }));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(call(breaker, verdict::permanent, start).transition);
  CHECK(breaker.snapshot(start).window_ok == 100);
  open_it(breaker, start + 20s);
  const auto later = open_until(breaker, start + 20s);
  call(breaker, verdict::permanent, later);
  call(breaker, verdict::permanent, later);
  CHECK(call(breaker, verdict::permanent, later).transition.to == state::closed);
}

TEST_CASE("cancelled, rejected, stale and throttled calls say nothing, in a row or in the window",
          "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.consecutive_failures = 3; }));
  for (int round = 0; round < 50; ++round)
    for (const verdict v : {verdict::cancelled, verdict::rejected, verdict::stale, verdict::throttled}) {
      const auto result = call(breaker, v, start);
      CHECK_FALSE(result.transition);
      CHECK_FALSE(result.dropped_stale);
    }
  CHECK(breaker.snapshot(start).window_ok == 0);
  CHECK(breaker.snapshot(start).window_failed == 0);
  // Nor do they interrupt a row.
  call(breaker, verdict::transient, start);
  call(breaker, verdict::transient, start);
  call(breaker, verdict::cancelled, start);
  CHECK(breaker.snapshot(start).failures_in_row == 2);
  CHECK(call(breaker, verdict::transient, start).transition.to == state::open);
}

TEST_CASE("throttled is a failure if asked", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.throttled_is_failure = true; }));
  for (int i = 0; i < 3; ++i) call(breaker, verdict::throttled, start);
  CHECK(call(breaker, verdict::throttled, start).transition.to == state::open);
}

TEST_CASE("a permit destroyed unreported in the closed state counts nothing", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.consecutive_failures = 1; }));
  for (int i = 0; i < 100; ++i) static_cast<void>(take(breaker, start));
  CHECK(breaker.state() == state::closed);
  CHECK(breaker.snapshot(start).window_ok == 0);
  CHECK(breaker.snapshot(start).probes_returned == 0);
}

TEST_CASE("a permit moves, and is reported once", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 2; }));
  open_it(breaker, start);
  const auto later = open_until(breaker, start);
  auto a = take(breaker, later);
  CHECK(a);
  CHECK(a.owner() == &breaker);
  permit b = std::move(a);
  CHECK_FALSE(a);  // NOLINT(bugprone-use-after-move)
  CHECK(b.is_probe());
  auto c = take(breaker, later);
  c = std::move(b);  // what c held is abandoned
  CHECK(breaker.snapshot(later).probes_issued == 1);
  CHECK_FALSE(breaker.report(std::move(c), verdict::ok, later).transition);
  CHECK(breaker.snapshot(later).probes_ok == 1);
}

// ---- open time

TEST_CASE("I4: an open circuit is not left before its time, to the nanosecond", "[circuit_breaker]") {
  for (int offset = 0; offset < 40; ++offset) {
    circuit_breaker breaker(plain_rules);
    const auto t = start + offset * 49'999us;
    open_it(breaker, t);
    CHECK_FALSE(breaker.admit(t + 1s - 1ns));
    const auto until = open_until(breaker, t);
    CHECK(until >= t + 1s);
    CHECK(until < t + 1s + tick);
    CHECK_FALSE(breaker.admit(until - 1ns));
    CHECK(breaker.state() == state::open);
    CHECK(breaker.admit(until));
  }
}

TEST_CASE("the open time doubles with each failed probe and stops at its cap", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  open_it(breaker, start);
  auto now = start;
  const std::array expected{1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s, 60s, 60s, 60s, 60s, 60s, 60s, 60s, 60s, 60s};
  std::uint32_t level = 0;
  for (const auto open_for : expected) {
    level = std::min(level + 1, 15U);
    CHECK(breaker.snapshot(now).level == level);
    const auto until = open_until(breaker, now);
    CHECK(until - now >= open_for);
    CHECK(until - now < open_for + tick);
    now = until;
    CHECK(call(breaker, verdict::transient, now).transition.cause == breaker_cause::probe_failed);
  }
}

TEST_CASE("a circuit that opens again soon after it closed stays open longer", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 1; }));
  auto now = start;
  for (const auto open_for : {1s, 2s, 4s, 8s}) {
    open_it(breaker, now);
    const auto until = open_until(breaker, now);
    CHECK(until - now >= open_for);
    CHECK(until - now < open_for + tick);
    now = until;
    CHECK(call(breaker, verdict::ok, now).transition.to == state::closed);
  }
}

TEST_CASE("levels fall only with evidence: one for each healthy_decay of closed time with a success",
          "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 1; }));
  open_it(breaker, start);
  auto now = start;
  for (int i = 0; i < 4; ++i) {
    now = open_until(breaker, now);
    call(breaker, verdict::transient, now);
  }
  now = open_until(breaker, now);
  call(breaker, verdict::ok, now);
  REQUIRE(breaker.state() == state::closed);
  REQUIRE(breaker.snapshot(now).level == 5);

  for (int i = 0; i < 59; ++i) call(breaker, verdict::ok, now + i * 1s);
  CHECK(breaker.snapshot(now).level == 5);
  now += 1h;  // an hour without a call is no evidence
  CHECK(breaker.snapshot(now).level == 5);
  call(breaker, verdict::cancelled, now);
  call(breaker, verdict::transient, now);
  CHECK(breaker.snapshot(now).level == 5);
  for (int i = 0; i < 100; ++i) call(breaker, verdict::ok, now);
  CHECK(breaker.snapshot(now).level == 4);  // one success or a hundred
  for (int i = 1; i <= 10; ++i) call(breaker, verdict::ok, now + i * 6s);
  CHECK(breaker.snapshot(now).level == 4);
  call(breaker, verdict::ok, now + 61s);
  CHECK(breaker.snapshot(now).level == 3);
  for (int i = 0; i < 10; ++i) call(breaker, verdict::ok, now + 200s + i * 61s);
  CHECK(breaker.snapshot(now).level == 0);
}

TEST_CASE("the jitter keeps to its bounds, uses them, and comes after the cap", "[circuit_breaker]") {
  auto o = plain_rules;
  o.jitter_permille = 200;
  std::set<duration> seen;
  duration low = 1h;
  duration high{0};
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    o.seed = seed;
    const breaker_rules rules(o);
    for (const std::uint32_t level : {0U, 3U, 6U, 15U}) {
      const duration middle = std::min<duration>(o.open_max, o.open_base * (1 << level));
      const duration d = rules.open_time(level, static_cast<std::uint16_t>(level + 1));
      CHECK(d >= middle * 8 / 10);
      CHECK(d <= middle * 12 / 10);
      if (level != 15) continue;
      seen.insert(d);
      low = std::min(low, d);
      high = std::max(high, d);
    }
  }
  CHECK(seen.size() > 490);  // at the cap they do not wake in step
  CHECK(low < 49s);
  CHECK(high > 71s);
}

TEST_CASE("I7: the same seed gives the same open times, another seed others", "[circuit_breaker]") {
  const auto times = [](std::uint64_t seed) {
    auto o = plain_rules;
    o.jitter_permille = 500;
    o.seed = seed;
    circuit_breaker breaker(o);
    open_it(breaker, start);
    std::vector<time_point> all;
    auto now = start;
    for (int i = 0; i < 20; ++i) {
      now = open_until(breaker, now);
      all.push_back(now);
      call(breaker, verdict::transient, now);
    }
    return all;
  };
  CHECK(times(7) == times(7));
  CHECK(times(7) != times(8));
}

// ---- time that is strange

TEST_CASE("I4: a thread whose clock reading is older does not let a probe through early", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  open_it(breaker, start);
  for (const duration back :
       {duration(1ms), duration(10ms), duration(1s), duration(30s), duration(30min), duration(1h)}) {
    const auto refused = breaker.admit(start - back);
    CHECK_FALSE(refused);
    CHECK(refused.refusal.retry_after >= 1s + back);
  }
  CHECK(breaker.state() == state::open);
  CHECK(breaker.admit(open_until(breaker, start)));
}

TEST_CASE("I3: a circuit left open or half-open lets a call through after any idle time", "[circuit_breaker]") {
  // 2^31 ticks are 26 days: idle times all around that circle and beyond.
  for (int hours = 0; hours < 24 * 80; hours += 5) {
    const auto idle = std::chrono::hours(hours) + 2min;
    circuit_breaker open(plain_rules);
    open_it(open, start);
    auto tried = open.admit(start + idle);
    if (!tried) {
      // The one stretch of the circle that looks like the future: no longer than an open time.
      INFO(hours);
      tried = open.admit(start + idle + tried.refusal.retry_after);
      CHECK(tried.transition.to == state::half_open);
    }
    CHECK(tried);

    circuit_breaker half(with([](auto& o) { o.probes = 1; }));
    open_it(half, start);
    const auto t0 = open_until(half, start);
    const auto stuck = take(half, t0);
    auto again = half.admit(t0 + idle);
    if (!again) again = half.admit(t0 + idle + again.refusal.retry_after);
    CHECK(again);
  }
}

TEST_CASE("a circuit that has been closed for months still counts its results", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 1; }));
  open_it(breaker, start);
  const auto closed_at = open_until(breaker, start);
  call(breaker, verdict::ok, closed_at);
  for (int days = 0; days < 90; ++days) {
    const auto now = closed_at + std::chrono::hours(24 * days) + 1h;
    auto ticket = take(breaker, now);
    CHECK_FALSE(breaker.report(std::move(ticket), verdict::ok, now + 90s).dropped_stale);
    CHECK(breaker.snapshot(now + 90s).window_ok == 1);
  }
}

TEST_CASE("results of months ago, whose epochs look like ones to come, are not counted again", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  for (int i = 0; i < 32; ++i)
    call(breaker, verdict::ok, start + i * 350ms);  // some in every bucket of the ten seconds
  const auto later = start + 100 * 24h;
  for (int i = 0; i < 32; ++i) {
    const auto now = later + i * 350ms;
    call(breaker, verdict::ok, now);
    CHECK(breaker.snapshot(now).window_ok <= static_cast<std::uint64_t>(i) + 1);
  }
  CHECK(breaker.snapshot(later + 31 * 350ms).window_ok >= 28);  // ten seconds of them
}

TEST_CASE("a clock that steps back leaves the breaker able to open, to recover and to forget", "[circuit_breaker]") {
  for (const duration back : {duration(1s), duration(7s), duration(1min), duration(2h), duration(72h)}) {
    circuit_breaker breaker(plain_rules);
    const auto high = start + 100h;
    for (int i = 0; i < 100; ++i) call(breaker, verdict::ok, high);
    const auto now = high - back;
    int failures = 0;
    for (; failures < 200 && breaker.state() == state::closed; ++failures) call(breaker, verdict::transient, now);
    CHECK(breaker.state() == state::open);
    auto until = open_until(breaker, now);
    for (int i = 0; i < 3; ++i) call(breaker, verdict::ok, until);
    CHECK(breaker.state() == state::closed);
    CHECK(breaker.snapshot(until).window_failed == 0);
  }
}

TEST_CASE("callers whose readings differ by seconds count in one window", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.min_calls = 40; }));
  for (int i = 0; i < 39; ++i) CHECK_FALSE(call(breaker, verdict::transient, start - (i % 7) * 300ms).transition);
  CHECK(breaker.snapshot(start).window_failed == 39);
  CHECK(call(breaker, verdict::transient, start - 2s).transition.to == state::open);
}

TEST_CASE("I2: a permit that slept through 65,536 generations is still too late", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) {
    o.consecutive_failures = 1;
    o.probes = 1;
  }));
  auto closed_era = take(breaker, start);
  const auto first = breaker.generation();
  auto now = start;
  std::optional<permit> probe_era;
  std::uint16_t probe_generation = 0;
  for (int i = 0; i < 65'536; i += 2) {
    breaker.isolate(now);
    now += 2ms;
    breaker.release(now, i == 0 ? state::half_open : state::closed);
    if (i == 0) {
      probe_era = take(breaker, now);
      probe_generation = breaker.generation();
    }
  }
  REQUIRE(breaker.generation() == first);
  REQUIRE(breaker.state() == state::closed);
  CHECK(breaker.report(std::move(closed_era), verdict::transient, now).dropped_stale);
  CHECK(breaker.state() == state::closed);
  breaker.isolate(now);
  breaker.release(now, state::half_open);
  REQUIRE(breaker.generation() == probe_generation);
  auto probe = take(breaker, now);
  CHECK(breaker.report(*std::move(probe_era), verdict::ok, now).dropped_stale);
  CHECK(breaker.state() == state::half_open);
  CHECK(breaker.report(std::move(probe), verdict::ok, now).transition.to == state::closed);
}

TEST_CASE("counts of an earlier generation are not taken for this one's", "[circuit_breaker]") {
  // More closings within one window than the window's words tell apart by generation would need 4,096 of them; here a
  // few hundred, each with failures that must not add up.
  circuit_breaker breaker(plain_rules);
  auto now = start;
  for (int i = 0; i < 500; ++i, now += 3ms) {
    for (int k = 0; k < 3; ++k) CHECK_FALSE(call(breaker, verdict::transient, now).transition);
    breaker.force_close(now);
    breaker.release(now);
    CHECK(breaker.snapshot(now).window_failed == 0);
  }
}

// ---- by hand

TEST_CASE("isolated, everything is refused until release; nothing else ends it", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  auto out = take(breaker, start);
  const auto isolated = breaker.isolate(start);
  CHECK(isolated.to == state::forced_open);
  CHECK(isolated.cause == breaker_cause::manual);
  CHECK_FALSE(breaker.isolate(start));
  CHECK(breaker.report(std::move(out), verdict::ok, start).dropped_stale);
  for (const duration d : {duration(0), duration(1h), duration(24h * 40)}) {
    const auto refused = breaker.admit(start + d);
    CHECK_FALSE(refused);
    CHECK(refused.refusal.code == errc::breaker_isolated);
    CHECK(refused.refusal.retry_after == 0s);
  }
  CHECK(breaker.snapshot(start).rejected == 3);
  CHECK(breaker.release(start).to == state::closed);
  CHECK(breaker.admit(start));
}

TEST_CASE("forced closed, failures open nothing and count nothing", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.consecutive_failures = 2; }));
  open_it(breaker, start);
  CHECK(breaker.force_close(start).to == state::forced_closed);
  for (int i = 0; i < 100; ++i) {
    const auto result = call(breaker, verdict::transient, start);
    CHECK_FALSE(result.transition);
    CHECK_FALSE(result.dropped_stale);
  }
  CHECK(breaker.state() == state::forced_closed);
  breaker.release(start);
  CHECK(breaker.snapshot(start).window_failed == 0);
  CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK(call(breaker, verdict::transient, start).transition.to == state::open);
}

TEST_CASE("metrics-only counts and never refuses", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  CHECK(breaker.metrics_only(start).to == state::metrics_only);
  for (int i = 0; i < 30; ++i)
    CHECK_FALSE(call(breaker, i % 3 == 0 ? verdict::ok : verdict::transient, start).transition);
  const auto seen = breaker.snapshot(start);
  CHECK(seen.window_ok == 10);
  CHECK(seen.window_failed == 20);
  CHECK(breaker.release(start).to == state::closed);
  CHECK(breaker.snapshot(start).window_failed == 0);
}

TEST_CASE("release can ask for probes first, and does nothing in states that were not forced", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 2; }));
  CHECK_FALSE(breaker.release(start));
  open_it(breaker, start);
  CHECK_FALSE(breaker.release(start));
  breaker.isolate(start);
  CHECK(breaker.release(start, state::half_open).to == state::half_open);
  CHECK(breaker.snapshot(start).probes_issued == 0);
  // Nobody called for longer than a lease: no probe was lost.
  const auto now = start + 1min;
  auto a = breaker.admit(now);
  CHECK(a);
  CHECK_FALSE(a.transition);
  auto b = take(breaker, now);
  CHECK_FALSE(breaker.admit(now));
  breaker.report(std::move(a.ticket), verdict::ok, now);
  CHECK(breaker.report(std::move(b), verdict::ok, now).transition.to == state::closed);
}

// ---- observing

TEST_CASE("I8: reading a snapshot changes no decision", "[circuit_breaker]") {
  circuit_breaker read(plain_rules);
  circuit_breaker left_alone(plain_rules);
  splitmix64 random(3);
  auto now = start;
  for (int i = 0; i < 5000; ++i) {
    now += duration(static_cast<std::int64_t>(uniform_up_to(random, 400'000'000)));
    const auto v = static_cast<verdict>(uniform_up_to(random, 3));
    static_cast<void>(read.snapshot(now - 1h));
    static_cast<void>(read.snapshot(now + 1h));
    auto a = read.admit(now);
    auto b = left_alone.admit(now);
    static_cast<void>(read.snapshot(now));
    REQUIRE(static_cast<bool>(a) == static_cast<bool>(b));
    REQUIRE(a.transition == b.transition);
    if (!a) continue;
    REQUIRE(read.report(std::move(a.ticket), v, now).transition ==
            left_alone.report(std::move(b.ticket), v, now).transition);
  }
  CHECK(read.snapshot(now).opens > 10);
}

TEST_CASE("a snapshot tells what a person asks", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.consecutive_failures = 9; }));
  call(breaker, verdict::transient, start);
  call(breaker, verdict::ok, start);
  call(breaker, verdict::transient, start);
  auto seen = breaker.snapshot(start);
  CHECK(seen.failures_in_row == 1);
  CHECK(seen.window_ok == 1);
  CHECK(seen.window_failed == 2);
  call(breaker, verdict::transient, start + 1s);
  seen = breaker.snapshot(start + 1s);
  CHECK(seen.state == state::open);
  CHECK(seen.since <= start + 1s);
  CHECK(seen.since > start + 1s - 2us);
  CHECK(seen.open_remaining > 900ms);
  CHECK(seen.open_remaining <= 1s + tick);
  CHECK(seen.opens == 1);
  CHECK_FALSE(breaker.admit(start + 1s));
  CHECK(breaker.snapshot(start + 1s).rejected == 1);
  CHECK(breaker.snapshot(start + 20s).open_remaining == 0s);
  const auto probe = take(breaker, start + 3s);
  seen = breaker.snapshot(start + 3s);
  CHECK(seen.probes_issued == 1);
  CHECK(seen.lease_remaining > 4900ms);
  CHECK(name_of(seen.state) == "half_open");
  CHECK(name_of(breaker_cause::lease_over) == "lease_over");
}

TEST_CASE("every state and every cause is logged under its name", "[circuit_breaker]") {
  constexpr std::string_view states[] = {"closed",        "open",         "half_open", "forced_open",
                                         "forced_closed", "metrics_only", "unknown"};
  for (std::size_t i = 0; i < std::size(states); ++i) CHECK(name_of(static_cast<breaker_state>(i)) == states[i]);
  constexpr std::string_view causes[] = {
      "none",         "consecutive_failures", "failure_rate", "slow_rate", "open_time_over",
      "probe_failed", "probes_passed",        "lease_over",   "manual",    "unknown"};
  for (std::size_t i = 0; i < std::size(causes); ++i) CHECK(name_of(static_cast<breaker_cause>(i)) == causes[i]);
}

TEST_CASE("transitions are equal when all that they tell is", "[circuit_breaker]") {
  const breaker_transition one{breaker_state::closed, breaker_state::open, breaker_cause::failure_rate, 7};
  const auto changed = [&](auto change) {
    breaker_transition other = one;
    change(other);
    return other;
  };
  CHECK(changed([](auto&) {}) == one);
  CHECK(changed([](auto& t) { t.from = breaker_state::half_open; }) != one);
  CHECK(changed([](auto& t) { t.to = breaker_state::half_open; }) != one);
  CHECK(changed([](auto& t) { t.cause = breaker_cause::probe_failed; }) != one);
  CHECK(changed([](auto& t) { t.generation = 8; }) != one);
}

TEST_CASE("without a rate rule no rate is too high", "[circuit_breaker]") {
  circuit_breaker_options o{.consecutive_failures = 5, .failure_permille = 0, .min_calls = 1};
  CHECK_FALSE(breaker_rules(o).rate_exceeded(10, 10));
  o.failure_permille = 1000;
  CHECK(breaker_rules(o).rate_exceeded(10, 10));
  CHECK_FALSE(breaker_rules(o).rate_exceeded(9, 10));
  o.slow_call = 1s;
  CHECK_FALSE(breaker_rules(o).slow_exceeded(10, 10));
  o.slow_permille = 900;
  CHECK(breaker_rules(o).slow_exceeded(9, 10));
  CHECK_FALSE(breaker_rules(o).slow_exceeded(8, 10));
}

// ---- what a healthy call writes

namespace {

constexpr std::size_t line_pair = 2 * cache_line_size;
constexpr circuit_breaker_options watched_rules{
    .consecutive_failures = 5, .slow_call = 100ms, .slow_permille = 500, .min_calls = 4, .window = 150ms};

// Bytes of a breaker, from `from` up to `to`.
struct stretch {
  std::size_t from = 0;
  std::size_t to = 0;
};

std::uint64_t healthy_calls(circuit_breaker& breaker, std::uint64_t calls) {
  std::uint64_t good = 0;
  for (std::uint64_t i = 0; i < calls; ++i) {
    const time_point now = start + duration(static_cast<std::int64_t>(i) * 1'000);  // ten thousand calls a bucket
    auto admission = breaker.admit(now);
    if (!admission) continue;
    const auto result = i % 2 == 0 ? breaker.report(std::move(admission.ticket), verdict::ok, now)
                                   : breaker.report(std::move(admission.ticket), verdict::permanent, now, 99ms);
    good += result.dropped_stale || result.transition ? 0U : 1U;
  }
  return good;
}

// The pairs of lines whose bytes change in healthy calls of this thread.
stretch changed_by_calls() {
  const auto memory = std::make_unique<std::array<unsigned char, sizeof(circuit_breaker) + line_pair>>();
  void* at = memory->data();
  std::size_t room = memory->size();
  REQUIRE(std::align(line_pair, sizeof(circuit_breaker), at, room) != nullptr);
  auto* const breaker = ::new (at) circuit_breaker(watched_rules);
  std::array<unsigned char, sizeof(circuit_breaker)> before;
  std::memcpy(before.data(), at, before.size());
  REQUIRE(healthy_calls(*breaker, 200'000) == 200'000);
  std::array<unsigned char, sizeof(circuit_breaker)> after;
  std::memcpy(after.data(), at, after.size());
  const auto first = std::mismatch(before.begin(), before.end(), after.begin()).first - before.begin();
  const auto last = before.rend() - std::mismatch(before.rbegin(), before.rend(), after.rbegin()).first;
  const auto up = [](std::ptrdiff_t n) {
    return (static_cast<std::size_t>(n) + line_pair - 1) / line_pair * line_pair;
  };
  return {static_cast<std::size_t>(first) / line_pair * line_pair, up(last)};
}

// A breaker whose byte `border` is the first of a page, and the pages before it or from it on cannot be written: healthy
// calls there, or the process ends. How many were as they should be.
enum class read_only : std::uint8_t { before_border, after_border };
std::uint64_t calls_beside_read_only(std::size_t border, read_only which, std::uint64_t calls) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t half = (sizeof(circuit_breaker) + page - 1) / page * page;
  void* const region = ::mmap(nullptr, 2 * half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(region != MAP_FAILED);
  auto* const middle = static_cast<unsigned char*>(region) + half;
  auto* const breaker = ::new (middle - border) circuit_breaker(watched_rules);
  unsigned char* const guarded = which == read_only::before_border ? middle - half : middle;
  REQUIRE(::mprotect(guarded, half, PROT_READ) == 0);
  // The guard is there: not even the kernel may write the byte beside the border.
  unsigned char* const beside = which == read_only::before_border ? middle - 1 : middle;
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  REQUIRE(::write(ends[1], "x", 1) == 1);
  CHECK(::read(ends[0], beside, 1) == -1);
  CHECK(errno == EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
  const std::uint64_t good = healthy_calls(*breaker, calls);
  REQUIRE(::mprotect(guarded, half, PROT_READ | PROT_WRITE) == 0);
  CHECK(breaker->snapshot(start).generation == 0);
  CHECK(::munmap(region, 2 * half) == 0);
  return good;
}

}  // namespace

TEST_CASE("I6: while nothing is wrong a call writes its thread's own lines and not a byte beside them",
          "[circuit_breaker]") {
  static constexpr std::uint64_t calls = 1'000'000;
  const auto watch = [] {
    const stretch own = changed_by_calls();
    CHECK(own.to - own.from == 2 * line_pair);
    // The state, the rules, the counters and the places of other threads lie on both sides.
    REQUIRE(own.from > 0);
    REQUIRE(own.to < sizeof(circuit_breaker));
    CHECK(calls_beside_read_only(own.from, read_only::before_border, calls) == calls);
    CHECK(calls_beside_read_only(own.to, read_only::after_border, calls) == calls);
    return own;
  };
  const stretch mine = watch();
  stretch other;
  std::thread([&] { other = watch(); }).join();
  CHECK((other.from >= mine.to || other.to <= mine.from));
}

// ---- options

TEST_CASE("wrong options are named with their value and limit", "[circuit_breaker]") {
  const auto wrong = [](void (*change)(circuit_breaker_options&)) {
    circuit_breaker_options o;
    change(o);
    return validate(o);
  };
  const auto rate = wrong([](auto& o) { o.failure_permille = 1001; });
  CHECK(rate.field == "failure_permille");
  CHECK(rate.value == 1001);
  CHECK(rate.limit == 1000);
  CHECK(wrong([](auto& o) { o.failure_permille = 0; }).field == "failure_permille");  // no rule at all
  CHECK_FALSE(wrong([](auto& o) { o.failure_permille = 0, o.consecutive_failures = 1; }));
  CHECK(wrong([](auto& o) { o.consecutive_failures = 512; }).field == "consecutive_failures");
  CHECK_FALSE(wrong([](auto& o) { o.failure_permille = 0, o.slow_permille = 1, o.slow_call = 1ns; }));
  CHECK(wrong([](auto& o) { o.slow_permille = 1001, o.slow_call = 1s; }).field == "slow_permille");
  const auto never_slow = wrong([](auto& o) { o.slow_permille = 500; });
  CHECK(never_slow.field == "slow_call");
  CHECK(never_slow.value == 0);
  CHECK(never_slow.limit == 1);
  CHECK(wrong([](auto& o) { o.slow_call = -1ns; }).field == "slow_call");
  CHECK(wrong([](auto& o) { o.slow_call = 1h + 1ns; }).field == "slow_call");
  CHECK_FALSE(wrong([](auto& o) { o.slow_call = 1h; }));
  CHECK(wrong([](auto& o) { o.min_calls = 0; }).field == "min_calls");
  CHECK(wrong([](auto& o) { o.window = 0s; }).field == "window");
  CHECK(wrong([](auto& o) { o.window = -1s; }).field == "window");
  CHECK(wrong([](auto& o) { o.window = 2h; }).field == "window");
  CHECK_FALSE(wrong([](auto& o) { o.failure_permille = 0, o.last_calls = 50, o.last_failure_permille = 1; }));
  CHECK_FALSE(wrong([](auto& o) { o.last_calls = 1024, o.last_failure_permille = 1000, o.last_min_calls = 1024; }));
  const auto too_many = wrong([](auto& o) { o.last_calls = 1025, o.last_failure_permille = 500; });
  CHECK(too_many.field == "last_calls");
  CHECK(too_many.value == 1025);
  CHECK(too_many.limit == 1024);
  CHECK(wrong([](auto& o) { o.last_failure_permille = 500; }).field == "last_calls");
  CHECK(wrong([](auto& o) { o.last_slow_permille = 500, o.slow_call = 1s; }).field == "last_calls");
  CHECK(wrong([](auto& o) { o.last_calls = 50; }).field == "last_failure_permille");
  CHECK(wrong([](auto& o) { o.last_calls = 50, o.last_failure_permille = 1001; }).field == "last_failure_permille");
  CHECK(wrong([](auto& o) { o.last_calls = 50, o.last_slow_permille = 1001, o.slow_call = 1s; }).field ==
        "last_slow_permille");
  CHECK(wrong([](auto& o) { o.last_calls = 50, o.last_slow_permille = 500; }).field == "slow_call");
  const auto never_full =
      wrong([](auto& o) { o.last_calls = 50, o.last_failure_permille = 500, o.last_min_calls = 51; });
  CHECK(never_full.field == "last_min_calls");
  CHECK(never_full.value == 51);
  CHECK(never_full.limit == 50);
  CHECK(wrong([](auto& o) { o.last_min_calls = 0; }).field == "last_min_calls");
  CHECK(wrong([](auto& o) { o.probes = 0; }).field == "probes");
  CHECK(wrong([](auto& o) { o.probes = 32; }).field == "probes");
  CHECK(wrong([](auto& o) { o.probe_lease = 0s; }).field == "probe_lease");
  CHECK(wrong([](auto& o) { o.probe_lease = 2h; }).field == "probe_lease");
  CHECK(wrong([](auto& o) { o.open_base = -1s; }).field == "open_base");
  CHECK(wrong([](auto& o) { o.open_max = 500ms; }).field == "open_max");  // below open_base
  CHECK(wrong([](auto& o) { o.open_max = 25h; }).field == "open_max");
  CHECK(wrong([](auto& o) { o.open_max = duration::max(); }).field == "open_max");
  CHECK(wrong([](auto& o) { o.jitter_permille = 1001; }).field == "jitter_permille");
  CHECK(wrong([](auto& o) { o.healthy_decay = 0s; }).field == "healthy_decay");
  CHECK(wrong([](auto& o) { o.on_lease_over = static_cast<lease_expiry>(2); }).field == "on_lease_over");
  STATIC_REQUIRE_FALSE(validate(circuit_breaker_options{.window = std::chrono::seconds(30)}));
  STATIC_REQUIRE(validate(circuit_breaker_options{.probes = 32}));
}

TEST_CASE("the extremes of valid options work", "[circuit_breaker]") {
  const circuit_breaker_options small{.consecutive_failures = 1,
                                      .failure_permille = 1,
                                      .min_calls = 1,
                                      .window = 100ms,
                                      .probes = 1,
                                      .probe_lease = 2ms,
                                      .open_base = 2ms,
                                      .open_max = 2ms,
                                      .jitter_permille = 1000,
                                      .healthy_decay = 2ms};
  const circuit_breaker_options large{.consecutive_failures = 511,
                                      .failure_permille = 1000,
                                      .min_calls = 600,
                                      .window = 1h,
                                      .probes = 31,
                                      .probe_lease = 1h,
                                      .open_base = 24h,
                                      .open_max = 24h,
                                      .jitter_permille = 1000,
                                      .healthy_decay = 24h};
  for (const auto& o : {small, large}) {
    REQUIRE_FALSE(validate(o));
    circuit_breaker breaker(o);
    auto now = start;
    for (int round = 0; round < 20; ++round) {
      open_it(breaker, now);
      if (const auto refused = breaker.admit(now); !refused) {
        CHECK(refused.refusal.retry_after <= 2 * o.open_max + 2 * tick);
        now += refused.refusal.retry_after;
      }
      for (int i = 0; i < o.probes; ++i) call(breaker, verdict::ok, now);
      CHECK(breaker.state() == state::closed);
    }
  }
}

// ---- many threads

namespace {

// All begin together, as far as the machine has cores for them.
class start_line {
 public:
  explicit start_line(std::uint32_t threads) : missing_(threads) {}
  void wait() {
    if (missing_.fetch_sub(1, mo::acq_rel) == 1) {  // [H1] acq_rel, pairs with [H2]: all are here
      missing_.notify_all();
      return;
    }
    // [H2] acquire, pairs with [H1]: all are here
    for (auto seen = missing_.load(mo::acquire); seen != 0; seen = missing_.load(mo::acquire))
      missing_.wait(seen, mo::acquire);
  }

 private:
  atomic<std::uint32_t> missing_;
};

}  // namespace

TEST_CASE("I1: of ten thousand callers at the end of the open time exactly the probes get through (P12)",
          "[circuit_breaker]") {
  constexpr int threads = 4;
  constexpr int callers = 10'000;
  for (int round = 0; round < 12; ++round) {
    circuit_breaker breaker(with([](auto& o) { o.probes = 7; }));
    open_it(breaker, start);
    const auto later = open_until(breaker, start);
    start_line line(threads);
    std::array<std::vector<permit>, threads> probes;
    std::array<int, threads> transitions{};
    std::array<int, threads> refused{};
    std::vector<std::thread> herd;
    for (std::size_t t = 0; t < threads; ++t) {
      herd.emplace_back([&, t] {
        line.wait();
        for (int i = 0; i < callers / threads; ++i) {
          auto a = breaker.admit(later);
          if (a.transition) ++transitions[t];
          if (a) {
            probes[t].push_back(std::move(a.ticket));
          } else {
            ++refused[t];
          }
        }
      });
    }
    for (auto& t : herd) t.join();
    std::size_t through = 0;
    int made = 0;
    int turned_away = 0;
    for (std::size_t t = 0; t < threads; ++t) {
      through += probes[t].size();
      made += transitions[t];
      turned_away += refused[t];
    }
    CHECK(through == 7);
    CHECK(made == 1);
    CHECK(turned_away == callers - 7);
    CHECK(breaker.snapshot(later).rejected == std::uint64_t{callers} - 7 + 1);  // one by open_until
  }
}

TEST_CASE("no count is lost, with more threads than owned places", "[circuit_breaker]") {
  constexpr std::uint32_t threads = breaker_window::slots + 12;
  struct counts {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
    std::uint64_t slow = 0;
  };
  for (const state kind : {state::closed, state::metrics_only}) {
    circuit_breaker breaker(with([](auto& o) {
      o.failure_permille = 1000;
      o.slow_call = 1s;
      o.slow_permille = 1000;
      o.min_calls = 1'000'000'000;
    }));
    if (kind == state::metrics_only) breaker.metrics_only(start);
    start_line line(threads);
    std::vector<counts> made(threads);
    std::vector<std::thread> all;
    for (std::uint32_t t = 0; t < threads; ++t) {
      all.emplace_back([&, t, closed = kind == state::closed] {
        // Closed, every failure looks at the window, so there are few. Metrics-only, counting is all there is, and those
        // who share a place go on until they have met there.
        const bool shares = thread_slot::current() >= breaker_window::slots;
        const std::uint32_t calls = closed || !shares ? 1000 : 60'000;
        line.wait();
        for (std::uint32_t i = 0; i < calls; ++i) {
          const bool fails = (t + i) % (closed ? 500 : 2) == 0;
          auto a = breaker.admit(start);
          if (!a) continue;
          const bool slow = (t + i) % (closed ? 400 : 3) == 0;
          breaker.report(std::move(a.ticket), fails ? verdict::timeout : verdict::ok, start, slow ? 2s : 2ms);
          ++(fails ? made[t].failed : made[t].ok);
          made[t].slow += slow ? 1 : 0;
        }
      });
    }
    for (auto& t : all) t.join();
    counts sum;
    for (const auto& m : made) {
      sum.ok += m.ok;
      sum.failed += m.failed;
      sum.slow += m.slow;
    }
    const auto seen = breaker.snapshot(start);
    CHECK(seen.window_ok == sum.ok);
    CHECK(seen.window_failed == sum.failed);
    CHECK(seen.window_slow == sum.slow);
    CHECK(sum.ok + sum.failed >= std::uint64_t{threads} * 1000);
  }
}

TEST_CASE("a rule of shares opens at most as many calls late as threads report at once", "[circuit_breaker]") {
  constexpr int threads = 4;
  constexpr std::uint32_t limit = 50;
  for (int round = 0; round < 80; ++round) {
    const bool by_time = round % 2 == 1;
    circuit_breaker breaker(with([](auto& o) {
      o.failure_permille = 1000;
      o.slow_call = 1s;
      o.slow_permille = 1000;
      o.min_calls = limit;
    }));
    start_line line(threads);
    atomic<std::uint32_t> counted{0};
    atomic<int> opened{0};
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        line.wait();
        for (;;) {
          auto a = breaker.admit(start);
          if (!a) break;
          const auto r = by_time ? breaker.report(std::move(a.ticket), verdict::ok, start, 1s)
                                 : breaker.report(std::move(a.ticket), verdict::transient, start, 1ms);
          if (!r.dropped_stale) counted.fetch_add(1, mo::relaxed);  // counter:
          if (r.transition) opened.fetch_add(1, mo::relaxed);       // counter:
        }
      });
    }
    for (auto& t : all) t.join();
    CHECK(opened.load(mo::relaxed) == 1);       // counter: joined
    CHECK(counted.load(mo::relaxed) >= limit);  // counter: never early
    CHECK(counted.load(mo::relaxed) <= limit + threads);
  }
}

TEST_CASE("between threads the result that brings the last calls to their share opens, and no other",
          "[circuit_breaker]") {
  constexpr int threads = 4;
  constexpr std::uint32_t limit = 50;
  for (int round = 0; round < 80; ++round) {
    circuit_breaker breaker(last_ten([](auto& o) {
      o.last_calls = o.last_min_calls = limit;
      o.last_failure_permille = 1000;
    }));
    // One success between two stretches of failures: fifty failures follow it, and no failure before it counts.
    for (std::uint32_t i = 0; i + 1 < limit; ++i) REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
    REQUIRE_FALSE(call(breaker, verdict::ok, start).transition);
    start_line line(threads);
    atomic<std::uint32_t> counted{0};
    atomic<int> opened{0};
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        line.wait();
        for (;;) {
          auto a = breaker.admit(start);
          if (!a) break;
          const auto r = breaker.report(std::move(a.ticket), verdict::transient, start);
          if (!r.dropped_stale) counted.fetch_add(1, mo::relaxed);  // counter:
          if (r.transition) opened.fetch_add(1, mo::relaxed);       // counter:
        }
      });
    }
    for (auto& t : all) t.join();
    CHECK(opened.load(mo::relaxed) == 1);       // counter: joined
    CHECK(counted.load(mo::relaxed) >= limit);  // counter: never early
    // Whoever counts one more has seen the share, and opens it himself unless it is open by then.
    CHECK(counted.load(mo::relaxed) < limit + threads);
  }
}

TEST_CASE("the cause of an opening is its own, whatever the clocks of those who closed and opened it say",
          "[circuit_breaker]") {
  for (const duration behind : {duration(0ns), duration(1ms)}) {
    circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 1s, .jitter_permille = 0});
    auto fails = [&](time_point now) {
      auto a = breaker.admit(now);
      REQUIRE(a);
      breaker.report(std::move(a.ticket), verdict::transient, now);
    };
    fails(start);
    auto probe = breaker.admit(start + 2s);
    REQUIRE(probe);
    breaker.report(std::move(probe.ticket), verdict::ok, start + 2s);
    REQUIRE(breaker.state() == breaker_state::closed);
    fails(start + 2s - behind);  // read before the one who closed it
    REQUIRE(breaker.state() == breaker_state::open);
    CHECK(breaker.snapshot(start + 2s).cause == breaker_cause::consecutive_failures);
    const auto refused = breaker.admit(start + 2s);
    REQUIRE_FALSE(refused);
    CHECK(breaker.explain(refused.refusal, start + 2s).cause ==
          static_cast<std::uint8_t>(breaker_cause::consecutive_failures));
  }
}

// ---- other options while calls go on

TEST_CASE("I8: new shares judge the calls that the window holds, and the state stays", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.min_calls = 100; }));
  for (int i = 0; i < 6; ++i) REQUIRE_FALSE(call(breaker, verdict::ok, start).transition);
  for (int i = 0; i < 3; ++i) REQUIRE_FALSE(call(breaker, verdict::transient, start).transition);
  const auto before = breaker.snapshot(start);
  const auto done = breaker.reconfigure(with([](auto& o) { o.min_calls = 10, o.failure_permille = 400; }), start);
  REQUIRE(done);
  CHECK(done.window_kept);
  CHECK(done.last_kept);
  CHECK_FALSE(done.refused);
  CHECK_FALSE(done.busy);
  const auto after = breaker.snapshot(start);
  CHECK(after.state == state::closed);
  CHECK(after.generation == before.generation);
  CHECK(after.window_ok == 6);
  CHECK(after.window_failed == 3);
  CHECK(after.since == before.since);
  CHECK(breaker.options().min_calls == 10);
  const auto opened = call(breaker, verdict::transient, start);
  CHECK(opened.transition.cause == breaker_cause::failure_rate);
  CHECK(opened.transition.generation == 1);
}

TEST_CASE("I8: a rule that is new finds the calls that came before it, also by a success", "[circuit_breaker]") {
  const auto in_row_only =
      with([](auto& o) { o.failure_permille = 0, o.consecutive_failures = 500, o.min_calls = 10; });
  const auto by_share = with([](auto& o) { o.failure_permille = 500, o.min_calls = 10; });
  circuit_breaker breaker(in_row_only);
  for (int i = 0; i < 9; ++i) call(breaker, i % 2 == 0 ? verdict::transient : verdict::ok, start);
  REQUIRE(breaker.reconfigure(by_share, start).window_kept);
  CHECK(call(breaker, verdict::ok, start).transition.cause == breaker_cause::failure_rate);

  circuit_breaker timed(with([](auto& o) { o.slow_call = 1s, o.min_calls = 10; }));
  for (int i = 0; i < 9; ++i) call(timed, verdict::ok, start, i % 2 == 0 ? 1s : 0s);
  REQUIRE(timed.reconfigure(with([](auto& o) { o.slow_call = 1s, o.slow_permille = 500, o.min_calls = 10; }), start));
  CHECK(call(timed, verdict::ok, start, 0s).transition.cause == breaker_cause::slow_rate);
}

TEST_CASE("I8: fewer failures in a row open with the next one, more of them later", "[circuit_breaker]") {
  const auto in_row = [](std::uint16_t n) {
    circuit_breaker_options o = plain_rules;
    o.failure_permille = 0;
    o.consecutive_failures = n;
    return o;
  };
  circuit_breaker breaker(in_row(8));
  for (int i = 0; i < 4; ++i) call(breaker, verdict::transient, start);
  REQUIRE(breaker.reconfigure(in_row(6), start));
  CHECK(breaker.snapshot(start).failures_in_row == 4);
  CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  REQUIRE(breaker.reconfigure(in_row(2), start));
  CHECK(breaker.state() == state::closed);
  CHECK(call(breaker, verdict::transient, start).transition.cause == breaker_cause::consecutive_failures);
}

TEST_CASE("I4, I8: an open circuit stays open as long as it has said, the next opening is by the new options",
          "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.open_base = o.open_max = 24h, o.probes = 1; }));
  open_it(breaker, start);
  const auto until = open_until(breaker, start);
  REQUIRE(breaker.reconfigure(with([](auto& o) { o.open_base = o.open_max = 2s, o.probes = 1; }), start));
  for (const duration into : {duration(3s), duration(3h), duration(23h)}) {
    const auto refused = breaker.admit(start + into);
    REQUIRE_FALSE(refused);
    CHECK(refused.refusal.retry_after == until - (start + into));
    const error why = breaker.explain(refused.refusal, start + into);
    CHECK(why.cause == static_cast<std::uint8_t>(breaker_cause::failure_rate));
  }
  CHECK(breaker.report(take(breaker, until), verdict::transient, until).transition.to == state::open);
  CHECK(open_until(breaker, until) <= until + 2s + tick);
  // And the other way round: from seconds to a day.
  circuit_breaker longer(with([](auto& o) { o.open_base = o.open_max = 2ms; }));
  REQUIRE(longer.reconfigure(with([](auto& o) { o.open_base = o.open_max = 24h; }), start));
  open_it(longer, start);
  CHECK_FALSE(longer.admit(start + 23h));
  CHECK(longer.admit(start + 24h + tick));
}

TEST_CASE("I2, I8: permits that were out report as if nothing had happened", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.probes = 5, o.probe_lease = 1h; }));
  auto closed_era = take(breaker, start);
  REQUIRE(breaker.reconfigure(with([](auto& o) { o.probes = 5, o.probe_lease = 1h, o.window = 1s; }), start));
  CHECK_FALSE(breaker.report(std::move(closed_era), verdict::ok, start).dropped_stale);
  open_it(breaker, start);
  auto now = open_until(breaker, start);
  auto first = take(breaker, now);
  auto second = take(breaker, now + 50min);
  auto third = take(breaker, now + 100min);
  REQUIRE(breaker.reconfigure(with([](auto& o) { o.probes = 4, o.probe_lease = 2ms; }), now));
  CHECK(breaker.snapshot(now + 100min).probes_issued == 3);
  // Its lease ends long before that of the youngest by now, and it counts.
  const auto counted = breaker.report(std::move(first), verdict::ok, now + 100min);
  CHECK_FALSE(counted.dropped_stale);
  CHECK(breaker.snapshot(now + 100min).probes_ok == 1);
  CHECK(breaker.report(std::move(second), verdict::cancelled, now + 100min).dropped_stale == false);
  CHECK(breaker.snapshot(now + 100min).probes_issued == 2);
  CHECK(breaker.report(std::move(third), verdict::transient, now + 100min).transition.to == state::open);
}

TEST_CASE("I1, I3, I8: more probes than were are let through at once; of fewer, those that succeeded close",
          "[circuit_breaker]") {
  const auto probes = [](std::uint8_t n) {
    circuit_breaker_options o = plain_rules;
    o.probes = n;
    return o;
  };
  circuit_breaker breaker(probes(2));
  open_it(breaker, start);
  const auto now = open_until(breaker, start);
  auto first = take(breaker, now);
  auto second = take(breaker, now);
  REQUIRE_FALSE(breaker.admit(now));
  REQUIRE(breaker.reconfigure(probes(4), now));
  auto third = take(breaker, now);
  auto fourth = take(breaker, now);
  CHECK(breaker.admit(now).refusal.code == errc::probe_quota);
  breaker.report(std::move(first), verdict::ok, now);
  breaker.report(std::move(second), verdict::ok, now);
  REQUIRE(breaker.reconfigure(probes(1), now));
  CHECK(breaker.state() == state::half_open);
  // Two succeeded, one is asked for: the next caller finds it closed, whatever becomes of the others.
  auto next = breaker.admit(now);
  REQUIRE(next);
  CHECK(next.transition.to == state::closed);
  CHECK(next.transition.cause == breaker_cause::probes_passed);
  CHECK_FALSE(next.ticket.is_probe());
  CHECK_FALSE(breaker.report(std::move(next.ticket), verdict::ok, now).dropped_stale);
  CHECK(breaker.report(std::move(third), verdict::transient, now).dropped_stale);
  CHECK(breaker.snapshot(now).closes == 1);
  CHECK(breaker.state() == state::closed);
}

TEST_CASE("I8: a window of another length begins anew and says so, and no success is lost to it", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.window = 10min, o.min_calls = 1, o.failure_permille = 900; }));
  for (int i = 0; i < 1000; ++i) call(breaker, verdict::ok, start);
  call(breaker, verdict::transient, start);
  for (const duration window : {duration(20min), duration(100ms), duration(1h), duration(10s)}) {
    for (int i = 0; i < 50; ++i) call(breaker, verdict::ok, start);
    circuit_breaker_options o = with([](auto& rules) { rules.min_calls = 1; });
    o.window = window;
    const auto done = breaker.reconfigure(o, start);
    REQUIRE(done);
    CHECK_FALSE(done.window_kept);
    CHECK(done.last_kept);
    CHECK(breaker.state() == state::closed);
    CHECK(breaker.snapshot(start).window_ok == 0);
    CHECK(breaker.snapshot(start).window_failed == 0);
    // This thread counted on its hot path a moment ago, and does so again.
    for (int i = 0; i < 100; ++i) call(breaker, verdict::ok, start);
    CHECK(breaker.snapshot(start).window_ok == 100);
    CHECK_FALSE(call(breaker, verdict::transient, start).transition);
    CHECK(breaker.snapshot(start + window).window_ok == 100);
    CHECK(breaker.snapshot(start + window + window / 15 + 1ms).window_ok == 0);
  }
}

TEST_CASE("I8: another number of last calls begins anew and says so", "[circuit_breaker]") {
  circuit_breaker breaker(last_ten());
  for (int i = 0; i < 3; ++i) call(breaker, verdict::transient, start);
  // The same number: the counts stay, and the new share judges them.
  const auto kept =
      breaker.reconfigure(last_ten([](auto& o) { o.last_failure_permille = 1000, o.window = 1s; }), start);
  CHECK(kept.last_kept);
  CHECK_FALSE(kept.window_kept);
  CHECK(breaker.snapshot(start).last_failed == 3);
  // Any number of changes without a call between them.
  for (std::uint16_t calls = 11; calls < 60; ++calls) {
    circuit_breaker_options o = last_ten();
    o.last_calls = calls;
    const auto done = breaker.reconfigure(o, start);
    REQUIRE(done);
    CHECK_FALSE(done.last_kept);
    CHECK(done.window_kept == (calls != 11));
    CHECK(breaker.snapshot(start).last_calls == 0);
  }
  for (int i = 0; i < 3; ++i) CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK(call(breaker, verdict::transient, start).transition.cause == breaker_cause::failure_rate);
}

TEST_CASE("I8: the rule of the last calls comes and goes", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.min_calls = 1000; }));
  for (int i = 0; i < 100; ++i) call(breaker, verdict::ok, start);
  REQUIRE(breaker.reconfigure(last_ten(), start));
  for (int i = 0; i < 2; ++i) call(breaker, verdict::ok, start);
  CHECK(breaker.snapshot(start).last_calls == 2);
  CHECK(breaker.snapshot(start).window_ok == 102);
  REQUIRE(breaker.reconfigure(with([](auto& o) { o.min_calls = 1000; }), start));
  for (int i = 0; i < 20; ++i) CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK(breaker.snapshot(start).last_calls == 0);
  REQUIRE(breaker.reconfigure(last_ten(), start));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(call(breaker, verdict::transient, start).transition);
  CHECK(call(breaker, verdict::transient, start).transition);
}

TEST_CASE("I8: calls that were slow by other options are still in the window", "[circuit_breaker]") {
  circuit_breaker breaker(with([](auto& o) { o.slow_call = 1s, o.min_calls = 100; }));
  for (int i = 0; i < 5; ++i) call(breaker, i == 0 ? verdict::transient : verdict::ok, start, 1s);
  REQUIRE(breaker.reconfigure(with([](auto& o) { o.min_calls = 100; }), start));
  for (int i = 0; i < 5; ++i) call(breaker, verdict::ok, start, 1s);
  const auto seen = breaker.snapshot(start);
  CHECK(seen.window_ok == 9);
  CHECK(seen.window_failed == 1);
  CHECK(seen.window_slow == 5);
}

TEST_CASE("I8: options that are wrong are named and change nothing", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  for (int i = 0; i < 3; ++i) call(breaker, verdict::transient, start);
  circuit_breaker_options wrong = plain_rules;
  wrong.probes = 32;
  wrong.min_calls = 1;
  wrong.window = 1s;
  const auto refused = breaker.reconfigure(wrong, start);
  CHECK_FALSE(refused);
  CHECK(refused.refused.field == "probes");
  CHECK(refused.refused.value == 32);
  CHECK(refused.refused.limit == 31);
  CHECK_FALSE(refused.busy);
  CHECK(breaker.options().probes == plain_rules.probes);
  CHECK(breaker.options().min_calls == plain_rules.min_calls);
  CHECK(breaker.snapshot(start).window_failed == 3);
  CHECK(call(breaker, verdict::transient, start).transition);
}

TEST_CASE("I8: options come back as they were given", "[circuit_breaker]") {
  circuit_breaker breaker(plain_rules);
  const circuit_breaker_options given{.consecutive_failures = 511,
                                      .failure_permille = 1,
                                      .slow_call = 1h,
                                      .slow_permille = 1000,
                                      .min_calls = 1'000'000'000,
                                      .window = 1h,
                                      .last_calls = 1024,
                                      .last_failure_permille = 1000,
                                      .last_slow_permille = 999,
                                      .last_min_calls = 1023,
                                      .probes = 31,
                                      .probe_lease = 59min,
                                      .on_lease_over = lease_expiry::reopen,
                                      .open_base = 3ms,
                                      .open_max = 24h,
                                      .jitter_permille = 1000,
                                      .healthy_decay = 23h,
                                      .throttled_is_failure = true,
                                      .seed = ~std::uint64_t{0}};
  REQUIRE(breaker.reconfigure(given, start));
  const auto o = breaker.options();
  CHECK(o.consecutive_failures == 511);
  CHECK(o.failure_permille == 1);
  CHECK(o.slow_call == 1h);
  CHECK(o.slow_permille == 1000);
  CHECK(o.min_calls == 1'000'000'000);
  CHECK(o.window == 1h);
  CHECK(o.last_calls == 1024);
  CHECK(o.last_failure_permille == 1000);
  CHECK(o.last_slow_permille == 999);
  CHECK(o.last_min_calls == 1023);
  CHECK(o.probes == 31);
  CHECK(o.probe_lease == 59min);
  CHECK(o.on_lease_over == lease_expiry::reopen);
  CHECK(o.open_base == 3ms);
  CHECK(o.open_max == 24h);
  CHECK(o.jitter_permille == 1000);
  CHECK(o.healthy_decay == 23h);
  CHECK(o.throttled_is_failure);
  CHECK(o.seed == ~std::uint64_t{0});
}

TEST_CASE("I8: between threads a circuit opens by the one options or by the others, never by some of each",
          "[circuit_breaker]") {
  // By the one five failures in a row open it, for 10 s; by the other six, for 1,000 s.
  const auto one =
      with([](auto& o) { o.failure_permille = 0, o.consecutive_failures = 5, o.open_base = o.open_max = 10s; });
  const auto other = with([](auto& o) {
    o.failure_permille = 0, o.consecutive_failures = 6, o.open_base = o.open_max = 1000s, o.window = 1s;
    o.last_calls = 10, o.last_failure_permille = 1000, o.last_min_calls = 6;
  });
  circuit_breaker breaker(one);
  start_line line(3);
  atomic<bool> enough{false};
  atomic<std::uint64_t> opened{0};
  atomic<std::uint64_t> torn{0};
  std::vector<std::thread> all;
  for (int t = 0; t < 2; ++t) {
    all.emplace_back([&] {
      line.wait();
      while (!enough.load(mo::relaxed)) {  // hint: the main thread's
        auto a = breaker.admit(start);
        if (!a) {
          breaker.isolate(start);
          breaker.release(start);
          continue;
        }
        const auto r = breaker.report(std::move(a.ticket), verdict::transient, start);
        if (!r.transition) continue;
        opened.fetch_add(1, mo::relaxed);  // counter:
        const auto seen = breaker.snapshot(start);
        if (seen.generation != r.transition.generation) continue;
        const bool by_one = seen.open_remaining <= 10s + tick;
        const bool by_other = seen.open_remaining >= 1000s && seen.open_remaining <= 1000s + tick;
        if (!by_one && !by_other) torn.fetch_add(1, mo::relaxed);  // counter:
      }
    });
  }
  line.wait();
  std::uint64_t wrong = 0;
  std::uint64_t changes = 0;
  for (; changes < 20'000'000 && (changes < 5000 || opened.load(mo::relaxed) < 500); ++changes) {  // counter:
    const auto done = breaker.reconfigure(changes % 2 == 0 ? other : one, start);
    if (!done || done.window_kept || done.last_kept) ++wrong;
  }
  enough.store(true, mo::relaxed);  // hint: they will see it
  for (auto& t : all) t.join();
  CHECK(wrong == 0);
  CHECK(opened.load(mo::relaxed) >= 500);  // counter: joined
  CHECK(torn.load(mo::relaxed) == 0);      // counter: joined
}

// ---- against a reference written from the contract, one thread, plain containers, no packed word

TEST_CASE("I5, I7: random histories equal the reference step by step, and their transitions form a chain",
          "[circuit_breaker]") {
  covered seen;
  std::size_t transitions = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const auto all = compare<circuit_breaker>(seed, 3000, seen);
    auto at = state::closed;
    std::uint16_t generation = 0;
    for (const auto& made : all) {
      REQUIRE(made.from == at);
      REQUIRE(made.generation == static_cast<std::uint16_t>(generation + 1));
      at = made.to;
      generation = made.generation;
    }
    transitions += all.size();
    if (seed <= 5) {
      covered again;
      REQUIRE(compare<circuit_breaker>(seed, 3000, again) == all);
    }
  }
  // The histories go everywhere, or they would prove little.
  CHECK(transitions > 4000);
  CHECK(seen.stale > 500);
  CHECK(seen.refused > 10'000);
  CHECK(seen.kept > 500);
  CHECK(seen.anew > 200);
  for (const auto& wanted : {std::pair{breaker_cause::consecutive_failures, state::open},
                             {breaker_cause::failure_rate, state::open},
                             {breaker_cause::slow_rate, state::open},
                             {breaker_cause::open_time_over, state::half_open},
                             {breaker_cause::probe_failed, state::open},
                             {breaker_cause::probes_passed, state::closed},
                             {breaker_cause::lease_over, state::half_open},
                             {breaker_cause::lease_over, state::open},
                             {breaker_cause::manual, state::forced_open},
                             {breaker_cause::manual, state::metrics_only},
                             {breaker_cause::manual, state::half_open}})
    CHECK(seen.transitions.count(wanted) == 1);
}
