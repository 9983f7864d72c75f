// SPDX-License-Identifier: MIT
// Budgets of gRPC's and of Envoy's kind, by themselves and in whole calls, hedges and pipelines.
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/exec/call_machine.hpp"
#include "holdfast/exec/hedge_machine.hpp"
#include "holdfast/exec/pipeline.hpp"
#include "holdfast/policy/budget_ref.hpp"
#include "holdfast/policy/flight_budget.hpp"
#include "holdfast/policy/retry_throttle.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
const error broken(std::make_error_code(std::errc::connection_reset), verdict::transient);
constexpr retry_options three_times{.max_attempts = 3, .backoff = {.base = 10ms, .cap = 10ms}};
constexpr call_context repeatable{.safety = idempotency::idempotent};

using machine = call_machine<no_observer>;

}  // namespace

// ---- gRPC

TEST_CASE("gRPC: it begins full, and a retry is allowed while there is more than half", "[retry_throttle]") {
  retry_throttle t({.max_tokens = 10, .ratio_permille = 100});
  CHECK(t.balance_milli() == 10'000);
  for (int failures = 1; failures <= 4; ++failures) {
    t.on_result(verdict::transient);
    CHECK(t.balance_milli() == 10'000U - 1'000U * static_cast<std::uint32_t>(failures));
    CHECK(t.try_take(start));
  }
  t.on_result(verdict::timeout);
  CHECK(t.balance_milli() == 5'000);
  CHECK_FALSE(t.try_take(start));  // half is not more than half
  CHECK(t.granted() == 4);
  CHECK(t.denied() == 1);
}

TEST_CASE("gRPC: a success puts a ratio back, up to the beginning", "[retry_throttle]") {
  retry_throttle t({.max_tokens = 10, .ratio_permille = 100});
  for (int i = 0; i < 5; ++i) t.on_result(verdict::transient);
  CHECK_FALSE(t.try_take(start));
  t.on_result(verdict::ok);
  CHECK(t.balance_milli() == 5'100);
  CHECK(t.try_take(start));
  for (int i = 0; i < 100; ++i) t.on_result(verdict::ok);
  CHECK(t.balance_milli() == 10'000);
  // A ratio with three decimals, and one of more than a token.
  retry_throttle fine({.max_tokens = 1, .ratio_permille = 1});
  fine.on_result(verdict::transient);
  fine.on_result(verdict::ok);
  CHECK(fine.balance_milli() == 1);
  retry_throttle coarse({.max_tokens = 4, .ratio_permille = 2'500});
  for (int i = 0; i < 4; ++i) coarse.on_result(verdict::transient);
  coarse.on_result(verdict::ok);
  CHECK(coarse.balance_milli() == 2'500);
}

TEST_CASE("gRPC: there are never less than no tokens", "[retry_throttle]") {
  retry_throttle t({.max_tokens = 3, .ratio_permille = 600});
  for (int i = 0; i < 10; ++i) t.on_result(verdict::throttled);
  CHECK(t.balance_milli() == 0);
  for (int i = 0; i < 2; ++i) t.on_result(verdict::ok);
  CHECK(t.balance_milli() == 1'200);
  CHECK_FALSE(t.try_take(start));
  t.on_result(verdict::ok);
  CHECK(t.try_take(start));
}

TEST_CASE("gRPC: what is final, cancelled or turned away says nothing", "[retry_throttle]") {
  retry_throttle t({.max_tokens = 10});
  t.on_result(verdict::transient);
  for (const verdict v : {verdict::permanent, verdict::cancelled, verdict::rejected, verdict::stale}) t.on_result(v);
  CHECK(t.balance_milli() == 9'000);
}

TEST_CASE("R5: of what a throttle denies one a cool-down gives notice, with how many did not", "[retry_throttle]") {
  retry_throttle t({.max_tokens = 1, .notice_every = 1min});
  t.on_result(verdict::transient);
  CHECK(t.try_take(start).gives_notice);
  for (int i = 0; i < 5; ++i) CHECK_FALSE(t.try_take(start + 1s).gives_notice);
  CHECK(t.snapshot().held_back == 5);
  const auto again = t.try_take(start + 61s);
  CHECK(again.gives_notice);
  CHECK(again.held_back == 5);
  CHECK(t.try_take(start, 0));
  CHECK(t.denied() == 7);
  CHECK(t.snapshot().burst == 1);
}

// ---- Envoy

TEST_CASE("Envoy: of a hundred calls under way a share may be retries", "[flight_budget]") {
  flight_budget b({.percent = 25, .min_concurrency = 3});
  for (int i = 0; i < 100; ++i) b.on_first_attempt();
  for (int i = 0; i < 25; ++i) CHECK(b.try_take(start));
  CHECK_FALSE(b.try_take(start));
  CHECK(b.retries() == 25);
  CHECK(b.calls() == 100);
  b.give_back();
  CHECK(b.try_take(start));
  CHECK_FALSE(b.try_take(start));
  CHECK(b.granted() == 26);
  CHECK(b.denied() == 2);
}

TEST_CASE("Envoy: so many retries at once are allowed however few calls there are, and no fewer are taken back",
          "[flight_budget]") {
  flight_budget b({.percent = 20, .min_concurrency = 3});
  b.on_first_attempt();
  for (int i = 0; i < 3; ++i) CHECK(b.try_take(start));
  CHECK_FALSE(b.try_take(start));
  // Fewer calls, and the retries that are under way go on.
  flight_budget shrinking({.percent = 50, .min_concurrency = 0});
  for (int i = 0; i < 10; ++i) shrinking.on_first_attempt();
  for (int i = 0; i < 5; ++i) CHECK(shrinking.try_take(start));
  for (int i = 0; i < 8; ++i) shrinking.on_call_end();
  CHECK(shrinking.retries() == 5);
  for (int i = 0; i < 4; ++i) {
    CHECK_FALSE(shrinking.try_take(start));
    shrinking.give_back();
  }
  CHECK_FALSE(shrinking.try_take(start));  // one of two
  shrinking.give_back();
  CHECK(shrinking.try_take(start));
}

TEST_CASE("Envoy: a share of nothing, and of a fraction, is none", "[flight_budget]") {
  flight_budget none({.percent = 0, .min_concurrency = 0});
  for (int i = 0; i < 1000; ++i) none.on_first_attempt();
  CHECK_FALSE(none.try_take(start));
  flight_budget rounded({.percent = 20, .min_concurrency = 0});
  for (int i = 0; i < 4; ++i) rounded.on_first_attempt();
  CHECK_FALSE(rounded.try_take(start));
  rounded.on_first_attempt();
  CHECK(rounded.try_take(start));
  CHECK(rounded.most(99) == 19);
}

TEST_CASE("a flight budget's snapshot tells what a person asks", "[flight_budget]") {
  flight_budget b({.percent = 50, .min_concurrency = 1});
  for (int i = 0; i < 4; ++i) b.on_first_attempt();
  CHECK(b.try_take(start));
  CHECK(b.try_take(start));
  CHECK_FALSE(b.try_take(start));
  CHECK_FALSE(b.try_take(start));
  const auto seen = b.snapshot();
  CHECK(seen.calls == 4);
  CHECK(seen.retries == 2);
  CHECK(seen.most == 2);
  CHECK(seen.granted == 2);
  CHECK(seen.denied == 2);
  CHECK(seen.held_back == 1);
  b.give_back(2);
  for (int i = 0; i < 4; ++i) b.on_call_end();
  CHECK(b.snapshot().calls == 0);
}

TEST_CASE("R5: of what a flight budget denies one a cool-down gives notice", "[flight_budget]") {
  flight_budget b({.percent = 0, .min_concurrency = 0, .notice_every = 1min});
  CHECK(b.try_take(start).gives_notice);
  CHECK_FALSE(b.try_take(start + 1s).gives_notice);
  CHECK(b.try_take(start + 61s).held_back == 1);
  CHECK(b.try_take(start, 0));
}

TEST_CASE("budgets' options are refused by the name of their field", "[retry_throttle][flight_budget]") {
  CHECK(validate(retry_throttle_options{.max_tokens = 0}).field == "max_tokens");
  CHECK(validate(retry_throttle_options{.max_tokens = 1001}).field == "max_tokens");
  CHECK(validate(retry_throttle_options{.ratio_permille = 0}).field == "ratio_permille");
  CHECK(validate(retry_throttle_options{.notice_every = 0s}).field == "notice_every");
  CHECK(validate(flight_budget_options{.percent = 101}).field == "percent");
  CHECK(validate(flight_budget_options{.min_concurrency = 2'000'000}).field == "min_concurrency");
  CHECK(validate(flight_budget_options{.notice_every = 25h}).field == "notice_every");
}

// ---- whole calls

TEST_CASE("a reference to no budget allows everything, and hears of nothing", "[budget_ref]") {
  const budget_ref none = nullptr;
  CHECK_FALSE(none);
  CHECK_FALSE(budget_ref(static_cast<flight_budget*>(nullptr)));
  CHECK(none.try_take(start, 100));
  CHECK_FALSE(none.hears_ends());
  none.on_first_attempt(start);
  none.on_attempt_end(verdict::transient, 0);
  none.on_call_end();
  none.give_back(3);
}

TEST_CASE("a throttle hears of each attempt of a call, and ends its retries", "[retry_throttle][call]") {
  retry_throttle throttle({.max_tokens = 4, .ratio_permille = 500});
  const guard g{.budget = &throttle, .retry = three_times};
  no_observer quiet;
  machine call(g, repeatable, quiet);
  REQUIRE(call.start(start) == call_step::attempt);
  REQUIRE(call.finish(verdict::transient, broken, start) == call_step::wait);
  CHECK(throttle.balance_milli() == 3'000);
  REQUIRE(call.resume(call.wake_at()) == call_step::attempt);
  REQUIRE(call.finish(verdict::transient, broken, start + 20ms) == call_step::done);  // half is left
  CHECK(call.failure().stopped_by == errc::retry_budget_exhausted);
  CHECK(throttle.balance_milli() == 2'000);

  machine good(g, repeatable, quiet);
  REQUIRE(good.start(start + 30ms) == call_step::attempt);
  REQUIRE(good.answered(start + 31ms) == call_step::done);
  CHECK(throttle.balance_milli() == 2'500);
  machine final(g, repeatable, quiet);
  REQUIRE(final.start(start + 40ms) == call_step::attempt);
  REQUIRE(final.finish(verdict::permanent, error(std::make_error_code(std::errc::invalid_argument), verdict::permanent),
                       start + 41ms) == call_step::done);
  CHECK(throttle.balance_milli() == 2'500);
  machine cancelled(g, repeatable, quiet);
  REQUIRE(cancelled.start(start + 50ms) == call_step::attempt);
  cancelled.cancel(start + 51ms);
  CHECK(throttle.balance_milli() == 2'500);
}

TEST_CASE("a flight budget counts a call and its retry from their beginning to their end", "[flight_budget][call]") {
  flight_budget flights({.percent = 0, .min_concurrency = 1});
  const guard g{.budget = &flights, .retry = three_times};
  no_observer quiet;
  std::optional<machine> first(std::in_place, g, repeatable, quiet);
  REQUIRE(first->start(start) == call_step::attempt);
  CHECK(flights.calls() == 1);
  REQUIRE(first->finish(verdict::transient, broken, start) == call_step::wait);
  CHECK(flights.retries() == 1);

  machine second(g, repeatable, quiet);
  REQUIRE(second.start(start) == call_step::attempt);
  CHECK(flights.calls() == 2);
  REQUIRE(second.finish(verdict::transient, broken, start) == call_step::done);  // the other one's retry is under way
  CHECK(second.failure().stopped_by == errc::retry_budget_exhausted);
  CHECK(flights.calls() == 1);

  REQUIRE(first->resume(first->wake_at()) == call_step::attempt);
  CHECK(flights.retries() == 1);
  SECTION("its retry fails, and the next one has room again") {
    // Costs two elsewhere: here one retry is one.
    REQUIRE(first->finish(verdict::timeout, error(std::make_error_code(std::errc::timed_out), verdict::timeout),
                          start + 20ms) == call_step::wait);
    CHECK(flights.retries() == 1);
    REQUIRE(first->resume(first->wake_at()) == call_step::attempt);
    REQUIRE(first->answered(start + 40ms) == call_step::done);
  }
  SECTION("it is answered") {
    REQUIRE(first->answered(start + 20ms) == call_step::done);
  }
  SECTION("it is cancelled") {
    first->cancel(start + 20ms);
  }
  SECTION("it is dropped in its attempt") {
    first.reset();
  }
  SECTION("it is dropped in its wait") {
    REQUIRE(first->finish(verdict::transient, broken, start + 20ms) == call_step::wait);
    first.reset();
  }
  CHECK(flights.retries() == 0);
  CHECK(flights.calls() == 0);
}

TEST_CASE("a call that is turned away, or is a layer's repetition, is not under way for a flight budget",
          "[flight_budget][call]") {
  flight_budget flights({.percent = 100, .min_concurrency = 1});
  no_observer quiet;
  bulkhead room({.limit = 1});
  auto place = room.try_acquire();
  const guard full{.room = &room, .budget = &flights};
  machine away(full, repeatable, quiet);
  REQUIRE(away.start(start) == call_step::done);
  CHECK(flights.calls() == 0);
  const guard g{.budget = &flights, .retry = three_times};
  machine again(g, {.safety = idempotency::idempotent, .is_retry = true}, quiet);
  REQUIRE(again.start(start) == call_step::attempt);
  CHECK(flights.calls() == 0);
  REQUIRE(again.finish(verdict::transient, broken, start) == call_step::done);
  CHECK(flights.calls() == 0);
  CHECK(flights.retries() == 0);
}

TEST_CASE("hedges are paid by a budget of any kind, and their ends are heard of", "[budget_ref][hedge]") {
  const hedge_options options{.max_hedges = 1, .delay = 10ms};
  no_observer quiet;
  SECTION("flights") {
    flight_budget flights({.percent = 0, .min_concurrency = 1});
    const guard g{.budget = &flights};
    hedge_machine<1> call(g, options, nullptr, repeatable, quiet);
    REQUIRE(call.start(start).step == hedge_step::begin);
    CHECK(flights.calls() == 1);
    REQUIRE(call.on_time(start + 10ms).step == hedge_step::begin);
    CHECK(flights.retries() == 1);
    hedge_machine<1> other(g, options, nullptr, repeatable, quiet);
    REQUIRE(other.start(start).step == hedge_step::begin);
    CHECK(other.on_time(start + 10ms).step != hedge_step::begin);  // one at once
    REQUIRE(call.finish(0, verdict::ok, {}, start + 20ms).step == hedge_step::won);
    CHECK(flights.calls() == 1);
    CHECK(flights.retries() == 1);  // the loser is still at it
    REQUIRE(call.finish(1, verdict::cancelled, {}, start + 21ms).step == hedge_step::lost);
    CHECK(flights.retries() == 0);
    REQUIRE(other.finish(0, verdict::ok, {}, start + 22ms).step == hedge_step::won);
    CHECK(flights.calls() == 0);
  }
  SECTION("a throttle") {
    retry_throttle throttle({.max_tokens = 2, .ratio_permille = 100});
    const guard g{.budget = &throttle};
    hedge_machine<1> call(g, options, nullptr, repeatable, quiet);
    REQUIRE(call.start(start).step == hedge_step::begin);
    REQUIRE(call.on_time(start + 10ms).step == hedge_step::begin);
    call.finish(1, verdict::transient, broken, start + 15ms);
    CHECK(throttle.balance_milli() == 1'000);
    REQUIRE(call.finish(0, verdict::ok, {}, start + 20ms).step == hedge_step::won);
    CHECK(throttle.balance_milli() == 1'100);
    // One that lost and was slow counts for the breaker, and puts nothing back.
    circuit_breaker judge({.slow_call = 5ms, .slow_permille = 1000});
    const guard judged{.breaker = &judge, .budget = &throttle};
    hedge_machine<1> slow(judged, options, nullptr, repeatable, quiet);
    throttle.on_result(verdict::ok);
    REQUIRE(throttle.balance_milli() == 1'200);
    REQUIRE(slow.start(start + 20ms).step == hedge_step::begin);
    REQUIRE(slow.on_time(start + 30ms).step == hedge_step::begin);
    REQUIRE(slow.finish(1, verdict::ok, {}, start + 31ms).step == hedge_step::won);
    CHECK(throttle.balance_milli() == 1'300);
    REQUIRE(slow.finish(0, verdict::cancelled, {}, start + 32ms).step == hedge_step::lost);
    CHECK(judge.snapshot(start + 32ms).window_slow == 1);
    CHECK(throttle.balance_milli() == 1'300);
    throttle.on_result(verdict::transient);
    hedge_machine<1> none(g, options, nullptr, repeatable, quiet);
    REQUIRE(none.start(start + 30ms).step == hedge_step::begin);
    CHECK(none.on_time(start + 40ms).step != hedge_step::begin);
    none.finish(0, verdict::ok, {}, start + 41ms);
  }
}

TEST_CASE("a pipeline takes a budget of any kind", "[budget_ref][pipeline]") {
  retry_throttle throttle({.max_tokens = 4});
  flight_budget flights({.percent = 100, .min_concurrency = 2});
  manual_clock clock(start);
  const auto failing = [](const attempt&) -> outcome<int> { return broken; };
  const auto wait = [&](time_point until) {
    clock.set(until);
    return true;
  };
  auto throttled = pipeline("a", with::deadline(1s), with::retry(three_times, throttle, with::idempotent));
  auto counted = pipeline("b", with::deadline(1s), with::retry(three_times, flights, with::idempotent));
  CHECK_FALSE(throttled({}, failing, clock, wait).ok());
  CHECK(throttle.balance_milli() == 2'000);
  CHECK(throttle.granted() == 1);
  CHECK_FALSE(counted({}, failing, clock, wait).ok());
  CHECK(flights.granted() == 2);
  CHECK(flights.retries() == 0);
  CHECK(flights.calls() == 0);
}
