// SPDX-License-Identifier: MIT
#include "holdfast/exec/pipeline.hpp"

#include <array>
#include <string>
#include <vector>

#include "holdfast/core/error_domain.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

const error reset = make_error(std::make_error_code(std::errc::connection_reset));
const error not_found = make_error(http_error(404));

// The policies of one dependency, and answers that are written down beforehand.
struct dependency {
  manual_clock clock;
  rate_limiter door{rate_limiter_options{.permits = 1, .per = 10min, .burst = 100}};
  rate_limiter pace{rate_limiter_options{.permits = 1, .per = 10min, .burst = 100}};
  bulkhead room{bulkhead_options{.limit = 1}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 3}};
  retry_budget budget{retry_budget_options{}};
  std::vector<outcome<int>> answers;
  std::vector<attempt> seen;

  auto op() {
    return [this](const attempt& a) -> outcome<int> {
      seen.push_back(a);
      clock.advance(1ms);
      REQUIRE(seen.size() <= answers.size());
      return answers[seen.size() - 1];
    };
  }
  auto wait() {
    return [this](time_point until) {
      clock.set(until);
      return true;
    };
  }
};

constexpr retry_options three_times{.max_attempts = 3, .backoff = {.base = 10ms, .cap = 100ms}};
constexpr auto nobody = [](const error&, const call_context&) -> outcome<int> { return errc::closed; };

using kind = layer_kind;
template <class... Kinds>
constexpr pipeline_fault order_of(Kinds... kinds) {
  return order_fault(std::array<kind, sizeof...(Kinds)>{kinds...});
}

}  // namespace

TEST_CASE("all layers in their order: each policy is asked, and the operation knows its deadline", "[pipeline]") {
  dependency d;
  d.answers = {reset, 7};
  const pipeline pipe("orders", with::deadline(800ms), with::rate(d.door), with::bulkhead(d.room),
                      with::retry(three_times, d.budget, with::idempotent), with::breaker(d.judge), with::rate(d.pace),
                      with::attempt_timeout(250ms));
  const time_point begun = d.clock.now();
  const outcome<int> got = pipe({}, d.op(), d.clock, d.wait());
  REQUIRE(got.ok());
  CHECK(*got == 7);
  REQUIRE(d.seen.size() == 2);
  CHECK(d.seen[0].context.until == deadline(begun + 250ms));
  CHECK(d.seen[1].context.is_retry);
  CHECK(d.door.snapshot(d.clock.now()).available == 99);
  CHECK(d.pace.snapshot(d.clock.now()).available == 98);
  CHECK(d.judge.snapshot(d.clock.now()).window_failed == 1);
  CHECK(d.judge.snapshot(d.clock.now()).window_ok == 1);
  CHECK(d.room.in_flight() == 0);
  CHECK(pipe.protects().name == "orders");
  CHECK(pipe.protects().room_for == policy_scope::whole_call);
}

TEST_CASE("a pipeline does what its guard does: every refusal and every end is the same", "[pipeline]") {
  for (const std::vector<outcome<int>>& answers : std::vector<std::vector<outcome<int>>>{
           {7}, {reset, 7}, {reset, reset, reset}, {not_found}, {errc::attempt_timeout, 7}}) {
    for (const bool full : {false, true}) {
      for (const bool isolated : {false, true}) {
        for (const bool late : {false, true}) {
          const auto ends = [&](bool composed) {
            dependency d;
            d.answers = answers;
            const auto held = full ? d.room.try_acquire() : bulkhead::permit{};
            if (isolated) d.judge.isolate(d.clock.now());
            const pipeline pipe("x", with::retry(three_times, d.budget, with::idempotent), with::bulkhead(d.room),
                                with::breaker(d.judge), with::attempt_timeout(1s));
            const call_context context{.until = deadline(d.clock.now() + (late ? 0ns : 10s)),
                                       .safety = idempotency::idempotent};
            const outcome<int> got = composed ? pipe(context, d.op(), d.clock, d.wait())
                                              : run(pipe.protects(), context, d.clock, d.op(), d.wait());
            CHECK(d.room.in_flight() == (full ? 1 : 0));
            return std::pair(got.ok() ? error{} : got.error(), d.seen.size());
          };
          CHECK(ends(true) == ends(false));
        }
      }
    }
  }
}

TEST_CASE("layers that are left out are not asked, and none at all is one attempt", "[pipeline]") {
  dependency d;
  d.answers = {reset, 7};
  const pipeline bare("bare");
  CHECK(bare({.safety = idempotency::idempotent}, d.op(), d.clock, d.wait()).error().code == reset.code);
  CHECK(*bare({}, d.op(), d.clock, d.wait()) == 7);
  constexpr auto none = presence::absent;
  static_assert(decltype(bare)::shape == call_shape{none, none, none, none, none, none});
  using alone = decltype(pipeline("x", with::retry({}, with::no_budget), with::breaker(d.judge)));
  static_assert(alone::shape.breaker == presence::present);
  static_assert(alone::shape.budget == presence::absent && alone::shape.room == presence::absent);
}

TEST_CASE("where rate stands decides what it charges: the call, or each attempt", "[pipeline]") {
  dependency d;
  d.answers = {reset, reset, 7, 7};
  const pipeline behind("x", with::retry(three_times, with::no_budget, with::idempotent), with::rate(d.pace));
  CHECK(behind({}, d.op(), d.clock, d.wait()).ok());
  CHECK(d.pace.snapshot(d.clock.now()).available == 97);
  const pipeline before("x", with::rate(d.door), with::breaker(d.judge));
  CHECK(before({.cost = 5}, d.op(), d.clock, d.wait()).ok());
  CHECK(d.door.snapshot(d.clock.now()).available == 95);
}

TEST_CASE("where bulkhead stands decides whether a wait takes a place", "[pipeline]") {
  dependency d;
  d.answers = {reset, 7, reset, 7};
  unsigned held = 0;
  const auto wait = [&](time_point until) {
    held += d.room.in_flight();
    d.clock.set(until);
    return true;
  };
  const pipeline behind("x", with::retry(three_times, d.budget, with::idempotent), with::bulkhead(d.room));
  CHECK(behind({}, d.op(), d.clock, wait).ok());
  CHECK(held == 0);
  const pipeline before("x", with::bulkhead(d.room), with::retry(three_times, d.budget, with::idempotent));
  CHECK(before({}, d.op(), d.clock, wait).ok());
  CHECK(held == 1);
}

TEST_CASE("with::adaptive_bulkhead: how many places there are is found out from each attempt", "[pipeline]") {
  dependency d;
  d.answers = {errc::attempt_timeout, errc::attempt_timeout, 7, 7};
  adaptive_limit_by<aimd> limit({.min_results = 3}, {.bounds = {.initial = 5, .smallest = 5, .largest = 9}});
  const pipeline pipe("x", with::retry(three_times, with::no_budget, with::idempotent),
                      with::adaptive_bulkhead(d.room, limit));
  static_assert(decltype(pipe)::shape.limit == presence::present);
  CHECK(pipe({}, d.op(), d.clock, d.wait()).ok());
  CHECK(d.room.limit() == 5);
  d.clock.advance(1s);
  CHECK(pipe({}, d.op(), d.clock, d.wait()).ok());
  CHECK(limit.snapshot().windows == 1);
  CHECK(limit.snapshot().drops == 2);
  CHECK(limit.snapshot().last.samples == 2);
  const pipeline fixed("x", with::bulkhead(d.room));
  static_assert(decltype(fixed)::shape.limit == presence::absent);
}

TEST_CASE("with::retry says what the operations are; without a word of it the call does", "[pipeline]") {
  dependency d;
  d.answers = {reset, reset, 7};
  const pipeline careful("x", with::retry(three_times, d.budget, with::unsafe));
  CHECK(careful({.safety = idempotency::idempotent}, d.op(), d.clock, d.wait()).error().stopped_by ==
        errc::not_idempotent);
  const pipeline asks("x", with::retry(three_times, d.budget));
  CHECK(asks({.safety = idempotency::idempotent_with_key}, d.op(), d.clock, d.wait()).ok());
  CHECK(d.seen.back().context.safety == idempotency::idempotent_with_key);
}

TEST_CASE("a breaker with whole_call sees one result a call", "[pipeline]") {
  dependency d;
  d.answers.assign(6, reset);
  const pipeline pipe("x", with::breaker(d.judge, with::whole_call),
                      with::retry(three_times, with::no_budget, with::idempotent));
  CHECK_FALSE(pipe({}, d.op(), d.clock, d.wait()).ok());
  CHECK_FALSE(pipe({}, d.op(), d.clock, d.wait()).ok());
  CHECK(d.seen.size() == 6);
  CHECK(d.judge.snapshot(d.clock.now()).failures_in_row == 2);
}

TEST_CASE("with::fallback: tiers answer in turn, and it stays visible who, how old and why", "[pipeline]") {
  dependency d;
  int asked = 0;
  const auto cached = [&](const error& why, const call_context& context) -> aged<int> {
    ++asked;
    CHECK(context.until == deadline(d.clock.now() - 1ms + 800ms));
    if (why.code == errc::attempt_timeout) return {errc::closed};
    return {8, 30s};
  };
  const auto constant = [](const error& why, const call_context&) -> outcome<int> {
    CHECK(why.code == errc::closed);
    return 9;
  };
  const pipeline pipe(
      "orders",
      with::fallback(
          with::tier(fallback_tier{.name = "cache", .falls_through = verdict_mask(verdict::rejected)}, cached),
          with::tier("constant", constant)),
      with::deadline(800ms), with::breaker(d.judge));
  d.answers = {7, reset, errc::attempt_timeout, not_found};

  served<int> got = pipe({}, d.op(), d.clock, d.wait());
  REQUIRE(got.ok());
  CHECK(*got.result == 7);
  CHECK_FALSE(got.degraded());
  CHECK(got.tier_name == "orders");
  CHECK(asked == 0);

  got = pipe({}, d.op(), d.clock, d.wait());
  REQUIRE(got.ok());
  CHECK(*got.result == 8);
  CHECK(got.tier_name == "cache");
  CHECK(got.age == 30s);
  CHECK(got.origin.code == reset.code);

  got = pipe({}, d.op(), d.clock, d.wait());
  REQUIRE(got.ok());
  CHECK(*got.result == 9);
  CHECK(got.tier == 2);
  CHECK(got.age == 0ns);
  CHECK(got.origin.code == errc::attempt_timeout);

  // An answer is an answer.
  got = pipe({}, d.op(), d.clock, d.wait());
  CHECK(got.result.error().code == http_error(404));
  CHECK(asked == 2);
}

TEST_CASE("F3 when no tier answers the last error comes back, never an empty answer", "[pipeline]") {
  dependency d;
  d.answers = {reset, not_found};
  const pipeline pipe(
      "x", with::fallback(verdict_mask(verdict::transient), with::tier("a", nobody), with::tier("b", nobody)));
  const served<int> got = pipe({}, d.op(), d.clock, d.wait());
  REQUIRE_FALSE(got.ok());
  CHECK(got.result.error().code == errc::closed);
  CHECK(got.result.error().stopped_by == errc::fallback_exhausted);
  CHECK(got.origin.code == reset.code);
  CHECK(got.tier_name == "b");
  const served<int> final_word = pipe({}, d.op(), d.clock, d.wait());
  CHECK(final_word.result.error().code == http_error(404));
  CHECK(final_word.tier == 0);
}

TEST_CASE("what was repeated before a tier missed stays repeated for the layers outside", "[pipeline]") {
  dependency d;
  d.answers.assign(9, reset);
  const pipeline pipe("x", with::fallback(with::tier("empty", nobody)),
                      with::retry(three_times, with::no_budget, with::idempotent));
  const auto outer = run(
      guard{.retry = three_times}, {.safety = idempotency::idempotent}, d.clock,
      [&](const attempt&) -> outcome<int> { return pipe({}, d.op(), d.clock, d.wait()).result; }, d.wait());
  CHECK(d.seen.size() == 3);
  CHECK(outer.error().no_retry);
}

TEST_CASE("a tier that needs more time than is left is passed over", "[pipeline]") {
  dependency d;
  d.answers = {reset};
  const pipeline pipe(
      "x",
      with::fallback(with::tier("slow", nobody, 500ms),
                     with::tier("quick", [](const error&, const call_context&) -> outcome<int> { return 1; })),
      with::deadline(100ms));
  const served<int> got = pipe({}, d.op(), d.clock, d.wait());
  CHECK(got.ok());
  CHECK(got.tier_name == "quick");
}

TEST_CASE("a pipeline reads the clock once in and once out", "[pipeline]") {
  struct counted_clock {
    mutable int reads = 0;
    [[nodiscard]] time_point now() const noexcept {
      ++reads;
      return time_point(1s);
    }
  };
  dependency d;
  const auto op = [](const attempt&) -> outcome<int> { return 1; };
  const counted_clock clock;
  const pipeline pipe("x", with::deadline(1s), with::rate(d.door), with::bulkhead(d.room),
                      with::retry(three_times, d.budget, with::idempotent), with::breaker(d.judge), with::rate(d.pace),
                      with::attempt_timeout(250ms));
  CHECK(pipe({}, op, clock).ok());
  CHECK(clock.reads == 2);
  const counted_clock other;
  const pipeline tiered("x", with::fallback(with::tier("a", nobody)), with::deadline(1s));
  CHECK(tiered({}, op, other).ok());
  CHECK(other.reads == 2);
}

TEST_CASE("orders that do what they say are accepted", "[pipeline]") {
  static_assert(order_of() == pipeline_fault::none);
  static_assert(order_of(kind::fallback, kind::deadline, kind::rate, kind::bulkhead, kind::retry, kind::breaker,
                         kind::rate, kind::attempt_timeout) == pipeline_fault::none);
  static_assert(order_of(kind::deadline, kind::retry, kind::bulkhead, kind::breaker) == pipeline_fault::none);
  static_assert(order_of(kind::call_breaker, kind::retry) == pipeline_fault::none);
  static_assert(order_of(kind::rate, kind::bulkhead, kind::call_breaker, kind::retry, kind::rate) ==
                pipeline_fault::none);
  static_assert(order_of(kind::breaker, kind::rate) == pipeline_fault::none);
  static_assert(order_of(kind::fallback, kind::deadline, kind::rate, kind::hedge, kind::bulkhead, kind::breaker,
                         kind::rate, kind::attempt_timeout) == pipeline_fault::none);
  static_assert(order_of(kind::hedge, kind::rate) == pipeline_fault::none);
}

TEST_CASE("orders that would not are named", "[pipeline]") {
  static_assert(order_of(kind::retry, kind::retry) == pipeline_fault::layer_twice);
  static_assert(order_of(kind::rate, kind::rate, kind::retry) == pipeline_fault::layer_twice);
  static_assert(order_of(kind::retry, kind::rate, kind::rate) == pipeline_fault::layer_twice);
  static_assert(order_of(kind::call_breaker, kind::retry, kind::breaker) == pipeline_fault::layer_twice);
  static_assert(order_of(kind::deadline, kind::fallback) == pipeline_fault::fallback_inside);
  static_assert(order_of(kind::rate, kind::deadline) == pipeline_fault::deadline_inside);
  static_assert(order_of(kind::retry, kind::deadline) == pipeline_fault::deadline_inside);
  static_assert(order_of(kind::bulkhead, kind::rate) == pipeline_fault::rate_behind_bulkhead);
  static_assert(order_of(kind::retry, kind::rate, kind::breaker) == pipeline_fault::rate_before_breaker);
  static_assert(order_of(kind::retry, kind::rate, kind::bulkhead) == pipeline_fault::rate_before_bulkhead);
  static_assert(order_of(kind::call_breaker, kind::rate, kind::retry) == pipeline_fault::rate_behind_call_breaker);
  static_assert(order_of(kind::breaker, kind::retry) == pipeline_fault::breaker_before_retry);
  static_assert(order_of(kind::retry, kind::call_breaker) == pipeline_fault::call_breaker_behind_retry);
  static_assert(order_of(kind::breaker, kind::bulkhead) == pipeline_fault::bulkhead_behind_breaker);
  static_assert(order_of(kind::call_breaker, kind::retry, kind::bulkhead) == pipeline_fault::bulkhead_behind_breaker);
  static_assert(order_of(kind::attempt_timeout, kind::retry) == pipeline_fault::attempt_timeout_before_others);
  static_assert(order_of(kind::deadline, kind::attempt_timeout, kind::retry) ==
                pipeline_fault::attempt_timeout_before_others);
  static_assert(order_of(kind::hedge, kind::hedge) == pipeline_fault::layer_twice);
  static_assert(order_of(kind::retry, kind::hedge) == pipeline_fault::hedge_beside_retry);
  static_assert(order_of(kind::hedge, kind::breaker, kind::retry) == pipeline_fault::hedge_beside_retry);
  static_assert(order_of(kind::bulkhead, kind::hedge) == pipeline_fault::bulkhead_before_hedge);
  static_assert(order_of(kind::breaker, kind::hedge) == pipeline_fault::breaker_before_hedge);
  static_assert(order_of(kind::call_breaker, kind::hedge) == pipeline_fault::call_breaker_with_hedge);
  static_assert(order_of(kind::hedge, kind::call_breaker) == pipeline_fault::call_breaker_with_hedge);
  static_assert(order_of(kind::hedge, kind::rate, kind::breaker) == pipeline_fault::rate_before_breaker);
  static_assert(order_of(kind::hedge, kind::rate, kind::bulkhead) == pipeline_fault::rate_before_bulkhead);
  static_assert(order_of(kind::hedge, kind::deadline) == pipeline_fault::deadline_inside);
}
