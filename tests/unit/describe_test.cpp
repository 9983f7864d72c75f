// SPDX-License-Identifier: MIT
#include "holdfast/policy/describe.hpp"

#include <string>
#include <string_view>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/call.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

std::string said(const error& why, std::string_view of = "orders") {
  return std::string(describe(of, why).view());
}

error open_for(duration age, duration retry_after, breaker_cause cause = breaker_cause::failure_rate) {
  error e(errc::breaker_open, retry_after);
  e.age = coarse_age(age);
  e.cause = static_cast<std::uint8_t>(cause) & 7U;
  return e;
}

}  // namespace

TEST_CASE("a refusal says which policy, why, since when and when to come back", "[describe]") {
  CHECK(said(open_for(1'200ms, 3'800ms)) ==
        "orders: circuit_breaker refused: open for 1.2 s (failure_rate), come back in 3.8 s");
  CHECK(said(open_for(90s, 3'801ms, breaker_cause::slow_rate)) ==
        "orders: circuit_breaker refused: open for 1 min 30 s (slow_rate), come back in 3.9 s");
  CHECK(said(open_for(5ms, 1ns, breaker_cause::none)) ==
        "orders: circuit_breaker refused: open for 5 ms, come back in 1 us");
  error quota(errc::probe_quota, 5s);
  quota.age = coarse_age(20ms);
  CHECK(said(quota) ==
        "orders: circuit_breaker refused: half-open for 20 ms (all its probes are out), come back in 5.0 s");
  error isolated(errc::breaker_isolated);
  isolated.age = coarse_age(3h);
  CHECK(said(isolated) == "orders: circuit_breaker refused: isolated by hand for 3 h 0 min");
  CHECK(said(error(errc::bulkhead_full)) == "orders: bulkhead refused: bulkhead is full");
  CHECK(said(error(errc::rate_limited, 20ms)) ==
        "orders: rate_limiter refused: rate limit reached, come back in 20 ms");
  CHECK(said(error(errc::breaker_open), "") == "circuit_breaker refused: open");
}

TEST_CASE("a failure says what it was, how often it was tried, and what forbade another attempt", "[describe]") {
  error e(http_error(503), verdict::transient);
  CHECK(said(e) == "orders: failed, transient: http:503");
  e.attempts = 1;
  CHECK(said(e) == "orders: failed, transient: http:503 after 1 attempt");
  e.attempts = 3;
  e.stopped_by = errc::attempts_exhausted;
  CHECK(said(e) == "orders: failed, transient: http:503 after 3 attempts, no further one: all attempts failed");
  error throttled(http_error(429), verdict::throttled, 2min);
  throttled.stopped_by = errc::deadline_infeasible;
  CHECK(said(throttled) ==
        "orders: failed, throttled: http:429, no further one: the next attempt could not end before the "
        "deadline, come back in 2 min 0 s");
  CHECK(said(error(errc::deadline_exceeded)) == "orders: failed, timeout: deadline exceeded");
  CHECK(said(error(errc::closed)) == "orders: failed, rejected: closed");
}

TEST_CASE("times to come back are rounded up, and a unit is left before its number is full", "[describe]") {
  const auto back_in = [](duration d) {
    const std::string all = said(error(errc::breaker_open, d));
    return all.substr(all.rfind(" in ") + 4);
  };
  CHECK(back_in(999us) == "999 us");
  CHECK(back_in(999us + 1ns) == "1 ms");
  CHECK(back_in(999ms) == "999 ms");
  CHECK(back_in(999ms + 1ns) == "1.0 s");
  CHECK(back_in(59'900ms) == "59.9 s");
  CHECK(back_in(59'900ms + 1ns) == "1 min 0 s");
  CHECK(back_in(59min + 59s) == "59 min 59 s");
  CHECK(back_in(59min + 59s + 1ns) == "1 h 0 min");
  CHECK(back_in(47h + 59min) == "47 h 59 min");
  CHECK(back_in(47h + 59min + 1ns) == "2 d 0 h");
  CHECK(back_in(duration::max()) == "106752 d 0 h");
}

TEST_CASE("a text that is too long is cut and says so", "[describe]") {
  const std::string long_name(300, 'x');
  const error_text text = describe(long_name, error(errc::breaker_open));
  CHECK(text.truncated());
  CHECK(text.view() == std::string(199, 'x'));
  CHECK_FALSE(describe("orders", error(errc::breaker_open)).truncated());
  // Not in the middle of a character.
  std::string umlauts;
  for (int i = 0; i < 120; ++i) umlauts += "\xC3\xB6";
  CHECK(describe(umlauts, error(errc::breaker_open)).view() == umlauts.substr(0, 198));
}

TEST_CASE("each reason of a policy names its policy, and every one has words", "[describe]") {
  CHECK(policy_of(errc::breaker_open) == "circuit_breaker");
  CHECK(policy_of(errc::rate_infeasible) == "rate_limiter");
  CHECK(policy_of(errc::bulkhead_timeout) == "bulkhead");
  CHECK(policy_of(errc::retry_budget_exhausted) == "retry_budget");
  CHECK(policy_of(errc::not_idempotent) == "retry");
  CHECK(policy_of(errc::attempt_timeout) == "deadline");
  CHECK(policy_of(errc::hedge_lost) == "hedge");
  CHECK(policy_of(errc::fallback_exhausted) == "fallback");
  CHECK(policy_of(errc::ring_corrupt).empty());
  for (int i = 1; i <= static_cast<int>(errc::segment_corrupt); ++i)
    CHECK(message_of(static_cast<errc>(i)) != "unknown holdfast error");
}

TEST_CASE("an age keeps to a thousandth, from a microsecond to fifty days", "[describe]") {
  static_assert(coarse_age{}.value() == 0ns && !coarse_age{});
  CHECK(coarse_age(499ns).value() == 0ns);
  CHECK(coarse_age(2'047'999us).value() == 2'048ms);
  CHECK(coarse_age(-1s).value() == 0ns);
  CHECK(coarse_age(1us).value() == 1us);
  CHECK(coarse_age(duration::max()).value() == coarse_age::longest);
  CHECK(coarse_age::longest > 24h * 50);
  for (duration d = 1us; d < coarse_age::longest; d += d / 777 + 1us) {
    const duration off = std::chrono::abs(coarse_age(d).value() - d);
    if (off > d / 2'000 + 500ns) {
      CAPTURE(d.count(), off.count());
      REQUIRE(off <= d / 2'000 + 500ns);
    }
  }
}

TEST_CASE("a call that an open breaker refused says for how long it has been open, and by which rule",
          "[describe][call]") {
  manual_clock clock(start);
  circuit_breaker breaker({.consecutive_failures = 2, .open_base = 5s, .open_max = 5s, .jitter_permille = 0});
  const guard g{.name = "orders", .breaker = &breaker};
  const auto call = [&](outcome<int> answer) { return run(g, {}, clock, [&](const attempt&) { return answer; }); };
  const error reset = make_error(std::make_error_code(std::errc::connection_reset));
  CHECK(call(reset).error().age.value() == 0ns);
  CHECK_FALSE(call(reset).ok());
  for (const duration age : {duration(0), duration(1ms), duration(1'200ms), duration(4'990ms)}) {
    clock.set(start + age);
    const error refused = call(7).error();
    REQUIRE(refused.code == errc::breaker_open);
    CHECK(refused.age);
    CHECK(refused.age.value() <= age + 3ms);
    CHECK(refused.age.value() + 3ms >= age);
    CHECK(refused.cause == static_cast<std::uint8_t>(breaker_cause::consecutive_failures));
  }
  clock.set(start + 1'201ms);
  CHECK(said(call(7).error()) ==
        "orders: circuit_breaker refused: open for 1.2 s (consecutive_failures), come back in 3.8 s");
  CHECK(breaker.snapshot(clock.now()).cause == breaker_cause::consecutive_failures);
}

TEST_CASE("an isolated and a half-open breaker say since when, too, also to a caller whose clock lags", "[describe]") {
  circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 1s, .jitter_permille = 0});
  breaker.isolate(start);
  auto refused = breaker.admit(start + 3min);
  REQUIRE_FALSE(refused);
  error why = breaker.explain(refused.refusal, start + 3min);
  CHECK(why.code == errc::breaker_isolated);
  CHECK(said(why) == "orders: circuit_breaker refused: isolated by hand for 3 min 0 s");
  refused = breaker.admit(start - 1s);
  REQUIRE_FALSE(refused);
  CHECK(breaker.explain(refused.refusal, start - 1s).age.value() == 1us);
  breaker.release(start + 4min, breaker_state::half_open);
  const auto probe = breaker.admit(start + 4min);
  REQUIRE(probe);
  refused = breaker.admit(start + 4min + 1s);
  REQUIRE_FALSE(refused);
  why = breaker.explain(refused.refusal, start + 4min + 1s);
  CHECK(why.code == errc::probe_quota);
  CHECK(why.age.value() > 990ms);
  CHECK(why.age.value() <= 1s + 1us);
  CHECK(why.retry_after == refused.refusal.retry_after);
}

TEST_CASE("a circuit that opens again says for how long since then, jittered and doubled as it is", "[describe]") {
  circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 1s, .open_max = 60s, .seed = 9});
  time_point now = start;
  for (int openings = 1; openings <= 20; ++openings) {
    auto permit = breaker.admit(now);
    REQUIRE(permit);
    static_cast<void>(breaker.report(std::move(permit.ticket), verdict::transient, now));
    for (const duration age : {duration(0), duration(300ms), duration(890ms)}) {
      const auto refused = breaker.admit(now + age);
      REQUIRE_FALSE(refused);
      const error why = breaker.explain(refused.refusal, now + age);
      CHECK(why.age.value() <= age + 2ms);
      CHECK(why.age.value() + 2ms >= age);
      CHECK(why.cause == static_cast<std::uint8_t>(openings == 1 ? breaker_cause::consecutive_failures
                                                                 : breaker_cause::probe_failed));
    }
    now += breaker.snapshot(now).open_remaining;
  }
}
