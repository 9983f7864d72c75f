// SPDX-License-Identifier: MIT
#include "holdfast/policy/retry.hpp"

#include <iterator>
#include <optional>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/policy/retry_after.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point now{1h};
constexpr retry_options steady{.max_attempts = 3,
                               .backoff = {.kind = backoff_kind::constant, .base = 100ms, .cap = 1s}};

error failed(verdict kind, duration hint = {}) {
  return {std::make_error_code(std::errc::io_error), kind, hint};
}

retry_decision decide(const error& last, std::uint16_t made = 1, idempotency safety = idempotency::idempotent,
                      deadline until = {}, retry_budget* budget = nullptr, const retry_options& options = steady) {
  splitmix64 bits(1);
  return should_retry(options, last, made, safety, now, until, budget, bits);
}
}  // namespace

TEST_CASE("each verdict is retried as its row says, at its price", "[retry]") {
  struct row {
    verdict kind;
    bool retried;
    std::uint32_t price_milli;
  };
  for (const row r :
       {row{verdict::ok, false, 0}, row{verdict::transient, true, 1'000}, row{verdict::throttled, true, 2'000},
        row{verdict::timeout, true, 2'000}, row{verdict::permanent, false, 0}, row{verdict::cancelled, false, 0},
        row{verdict::rejected, false, 0}, row{verdict::stale, false, 0}}) {
    CAPTURE(name_of(r.kind));
    retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
    const auto next = decide(failed(r.kind), 1, idempotency::idempotent, {}, &budget);
    CHECK(next.retry == r.retried);
    CHECK(next.why_not == errc{});
    CHECK(next.delay == (r.retried ? 100ms : 0ms));
    CHECK(budget.balance_milli(now) == 10'000 - r.price_milli);
  }
}

TEST_CASE("of what a policy refused, only a full bulkhead and a rate limit are asked again, free of charge",
          "[retry]") {
  for (int i = 1; i <= static_cast<int>(errc::segment_corrupt); ++i) {
    const auto code = static_cast<errc>(i);
    if (verdict_of(code) != verdict::rejected) continue;
    const bool again = code == errc::bulkhead_full || code == errc::bulkhead_timeout || code == errc::rate_limited;
    CAPTURE(make_error_code(code).message());
    retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
    const auto next = decide(error(code, 300ms), 1, idempotency::idempotent, {}, &budget);
    CHECK(next.retry == again);
    CHECK(budget.balance_milli(now) == 10'000);
    if (again) CHECK(next.delay >= 300ms);
  }
}

TEST_CASE("an unsafe operation is repeated only when it certainly was not sent", "[retry]") {
  for (const auto kind : {verdict::transient, verdict::throttled, verdict::timeout}) {
    error last = failed(kind);
    CHECK(decide(last, 1, idempotency::unsafe).why_not == errc::not_idempotent);
    CHECK_FALSE(decide(last, 1, idempotency::unsafe).retry);
    last.not_sent = true;
    CHECK(decide(last, 1, idempotency::unsafe).retry);
    last.not_sent = false;
    CHECK(decide(last, 1, idempotency::idempotent_with_key).retry);
    CHECK(decide(last, 1, idempotency::idempotent).retry);
  }
  CHECK(decide(error(errc::bulkhead_full), 1, idempotency::unsafe).retry);  // refused before the call: not sent
}

TEST_CASE("attempts end at max_attempts, the first included", "[retry]") {
  CHECK(decide(failed(verdict::transient), 1).retry);
  CHECK(decide(failed(verdict::transient), 2).retry);
  CHECK(decide(failed(verdict::transient), 3).why_not == errc::attempts_exhausted);
  CHECK(decide(failed(verdict::transient), 65'535).why_not == errc::attempts_exhausted);
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, {}, nullptr, {.max_attempts = 1}).why_not ==
        errc::attempts_exhausted);
}

TEST_CASE("R2 a retry that could not end before the deadline is refused at once", "[retry]") {
  retry_options o = steady;
  o.min_attempt_time = 50ms;
  const auto with = [&](duration left) {
    return decide(failed(verdict::transient), 1, idempotency::idempotent, deadline(now + left), nullptr, o);
  };
  CHECK(with(150ms).retry);
  CHECK(with(150ms - 1ns).why_not == errc::deadline_infeasible);
  CHECK(with(0ns).why_not == errc::deadline_infeasible);
  CHECK(with(-1s).why_not == errc::deadline_infeasible);
  // With no minimum, and a wait of zero, an attempt exactly at the deadline is still none.
  o.min_attempt_time = 0ns;
  o.backoff = {.kind = backoff_kind::constant, .base = 0ns, .cap = 0ns};
  CHECK(with(1ns).retry);
  CHECK(with(0ns).why_not == errc::deadline_infeasible);
}

TEST_CASE("R2 no decision ever waits past its deadline, whatever it was given", "[retry]") {
  splitmix64 bits(5);
  const auto up_to = [&](std::int64_t most) {
    return duration(static_cast<std::int64_t>(uniform_up_to(bits, static_cast<std::uint64_t>(most))));
  };
  int retried = 0;
  for (int i = 0; i < 200'000; ++i) {
    retry_options o{.max_attempts = 10};
    o.backoff.kind = static_cast<backoff_kind>(uniform_up_to(bits, 7));
    o.backoff.cap = up_to(2'000'000'000);
    o.backoff.base = up_to(o.backoff.cap.count());
    o.min_attempt_time = up_to(200'000'000);
    o.hint_max = up_to(3'000'000'000);
    o.hint_spread = up_to(1'000'000'000);
    const error last = failed(verdict::throttled, up_to(3'000'000'000));
    const deadline until(now + up_to(4'000'000'000));
    const auto made = static_cast<std::uint16_t>(1 + uniform_up_to(bits, 8));
    const auto next =
        should_retry(o, last, made, idempotency::idempotent, now, until, nullptr, up_to(2'000'000'000), bits);
    if (!next.retry) {
      REQUIRE(next.why_not == errc::deadline_infeasible);
      continue;
    }
    ++retried;
    REQUIRE(next.delay >= 0ns);
    REQUIRE(now + next.delay + o.min_attempt_time <= until.at());
    REQUIRE(next.delay >= std::min(last.retry_after, o.hint_max));
  }
  CHECK(retried > 10'000);
}

TEST_CASE("nobody waits for an attempt that could only begin at the deadline itself", "[retry]") {
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, deadline(now + 100ms + 1ns)).retry);
  CHECK_FALSE(decide(failed(verdict::transient), 1, idempotency::idempotent, deadline(now + 100ms)).retry);
}

TEST_CASE("a hint is waited for, spread, and cut to hint_max", "[retry]") {
  retry_options o = steady;
  o.hint_max = 5s;
  o.hint_spread = 1s;
  duration least = duration::max();
  duration most{};
  splitmix64 bits(3);
  for (int i = 0; i < 10'000; ++i) {
    const auto next =
        should_retry(o, failed(verdict::throttled, 2s), 1, idempotency::idempotent, now, {}, nullptr, bits);
    REQUIRE(next.retry);
    least = std::min(least, next.delay);
    most = std::max(most, next.delay);
  }
  CHECK(least >= 2s);
  CHECK(least < 2010ms);
  CHECK(most <= 3s);
  CHECK(most > 2990ms);
  const auto cut = should_retry(o, failed(verdict::throttled, 1h), 1, idempotency::idempotent, now, {}, nullptr, bits);
  CHECK(cut.retry);
  CHECK(cut.delay >= 5s);
  CHECK(cut.delay <= 6s);
  // Shorter than the backoff: the backoff's wait, not the hint's.
  CHECK(decide(failed(verdict::transient, 40ms)).delay == 100ms);
  // A hint that nobody could mean.
  CHECK(decide(failed(verdict::throttled, duration::max())).delay <= 31s);
  CHECK(decide(failed(verdict::throttled, duration::min())).delay == 100ms);
}

TEST_CASE("a Retry-After beyond the deadline fails at once and costs nothing", "[retry]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
  retry_options o = steady;
  o.hint_max = 1s;  // cutting the hint would fit: the callee would still not be ready
  const auto next = decide(failed(verdict::throttled, 10s), 1, idempotency::idempotent, deadline(now + 5s), &budget, o);
  CHECK(next.why_not == errc::deadline_infeasible);
  CHECK(budget.balance_milli(now) == 10'000);
  CHECK(budget.denied() == 0);
  // The spread gives way to a near deadline; the hint does not.
  for (int i = 0; i < 100; ++i) {
    const auto tight =
        decide(failed(verdict::throttled, 900ms), 1, idempotency::idempotent, deadline(now + 950ms), nullptr, o);
    REQUIRE(tight.retry);
    REQUIRE(tight.delay >= 900ms);
    REQUIRE(tight.delay <= 950ms);
  }
}

TEST_CASE("what the callee forbids to try again is not tried again, whatever else would allow it", "[retry]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
  for (const auto kind : {verdict::transient, verdict::throttled, verdict::timeout}) {
    for (const auto safety : {idempotency::idempotent, idempotency::idempotent_with_key, idempotency::unsafe}) {
      error last = failed(kind, 10ms);
      last.not_sent = true;
      REQUIRE(decide(last, 1, safety).retry);
      last.no_retry = true;
      const auto next = decide(last, 1, safety, {}, &budget);
      CHECK_FALSE(next.retry);
      CHECK(next.why_not == errc::retry_forbidden);
      CHECK(next.paid == 0);
    }
  }
  CHECK(budget.balance_milli(now) == 10'000);
  CHECK(budget.denied() == 0);
  // Its word comes before the other guards, and after the verdict, which says it already.
  error last = failed(verdict::transient);
  last.no_retry = true;
  CHECK(decide(last, 9, idempotency::unsafe, deadline(now - 1s)).why_not == errc::retry_forbidden);
  last.kind = verdict::permanent;
  CHECK(decide(last).why_not == errc{});
}

TEST_CASE("a pushback is waited for as a Retry-After is, and one beyond the deadline fails at once", "[retry]") {
  const auto told = [](std::string_view trailer) {
    const auto pushback = parse_retry_pushback(trailer);
    error last = failed(verdict::transient, pushback.retry_after);
    last.no_retry = pushback.never;
    return last;
  };
  retry_options exact = steady;
  exact.hint_spread = 0ns;
  const auto after = [&](std::string_view trailer, duration left) {
    return decide(told(trailer), 1, idempotency::idempotent, deadline(now + left), nullptr, exact);
  };
  CHECK(after("700", 1s).delay == 700ms);
  CHECK(after("0", 1s).delay == 100ms);  // not before the backoff: it is what spreads the crowd
  CHECK(after("1000", 1s).why_not == errc::deadline_infeasible);
  CHECK(after("999", 1s).retry);
  CHECK(after("2147483647", 1h).why_not == errc::deadline_infeasible);
  CHECK(after("-1", 1h).why_not == errc::retry_forbidden);
  CHECK(after("soon", 1h).why_not == errc::retry_forbidden);
}

TEST_CASE("a decision says what it took from the budget", "[retry]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 3});
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, {}, &budget).paid == 1);
  CHECK(decide(failed(verdict::timeout), 1, idempotency::idempotent, {}, &budget).paid == 2);
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, {}, &budget).paid == 0);  // refused
  CHECK(decide(error(errc::bulkhead_full), 1, idempotency::idempotent, {}, &budget).paid == 0);
  CHECK(decide(failed(verdict::transient)).paid == 0);  // without a budget
  CHECK(budget.balance_milli(now) == 0);
}

TEST_CASE("the budget is asked last, so that no other refusal wastes a token", "[retry]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 1});
  const auto ask = [&](verdict kind, std::uint16_t made, idempotency safety, deadline until) {
    return decide(failed(kind), made, safety, until, &budget).why_not;
  };
  ask(verdict::permanent, 1, idempotency::idempotent, {});
  CHECK(ask(verdict::transient, 1, idempotency::unsafe, {}) == errc::not_idempotent);
  CHECK(ask(verdict::transient, 3, idempotency::idempotent, {}) == errc::attempts_exhausted);
  CHECK(ask(verdict::transient, 1, idempotency::idempotent, deadline(now)) == errc::deadline_infeasible);
  CHECK(budget.balance_milli(now) == 1'000);
  CHECK(budget.denied() == 0);
  CHECK(ask(verdict::timeout, 1, idempotency::idempotent, {}) == errc::retry_budget_exhausted);  // costs two
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, {}, &budget).retry);
  CHECK(ask(verdict::transient, 1, idempotency::idempotent, {}) == errc::retry_budget_exhausted);
}

TEST_CASE("guards are asked in their order when several would refuse", "[retry]") {
  retry_budget empty({.ratio_permille = 0, .min_per_second = 0, .burst = 1});
  REQUIRE(empty.try_take(now));
  const deadline over(now - 1s);
  CHECK(decide(failed(verdict::permanent), 9, idempotency::unsafe, over, &empty).why_not == errc{});
  CHECK(decide(failed(verdict::transient), 9, idempotency::unsafe, over, &empty).why_not == errc::not_idempotent);
  CHECK(decide(failed(verdict::transient), 9, idempotency::idempotent, over, &empty).why_not ==
        errc::attempts_exhausted);
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, over, &empty).why_not ==
        errc::deadline_infeasible);
  CHECK(decide(failed(verdict::transient), 1, idempotency::idempotent, {}, &empty).why_not ==
        errc::retry_budget_exhausted);
}

TEST_CASE("under total failure a budget holds the extra traffic to its ratio", "[retry]") {
  retry_budget budget({.ratio_permille = 100, .min_per_second = 0, .burst = 20});
  int attempts = 0;
  constexpr int calls = 10'000;
  for (int call = 0; call < calls; ++call) {
    budget.on_first_attempt(now);
    for (std::uint16_t made = 1;; ++made) {
      ++attempts;
      if (!decide(failed(verdict::transient), made, idempotency::idempotent, {}, &budget).retry) break;
    }
  }
  CHECK(attempts <= calls + calls / 10 + 20);
  CHECK(attempts >= calls + calls / 10 - 1);
}

TEST_CASE("retry options name what is wrong", "[retry]") {
  static_assert(!validate(retry_options{}));
  static_assert(validate(retry_options{.max_attempts = 0}).field == "max_attempts");
  static_assert(validate(retry_options{.backoff = {.base = -1ns}}).field == "base");
  static_assert(validate(retry_options{.min_attempt_time = -1ns}).field == "min_attempt_time");
  static_assert(validate(retry_options{.hint_max = 25h}).field == "hint_max");
  static_assert(validate(retry_options{.hint_spread = -1s}).value == -1'000'000'000);
}

TEST_CASE("what repeating does has a name, and a verdict that nobody knows is not retried", "[retry]") {
  constexpr std::string_view names[] = {"idempotent", "idempotent_with_key", "unsafe", "unknown"};
  for (std::size_t i = 0; i < std::size(names); ++i) CHECK(name_of(static_cast<idempotency>(i)) == names[i]);
  static_assert(name_of(idempotency::unsafe) == "unsafe");
  CHECK_FALSE(is_retriable(failed(static_cast<verdict>(99))));
}
