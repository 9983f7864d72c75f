// SPDX-License-Identifier: MIT
// hedge: when a call that is still under way is worth a second attempt beside the first, and whether it may have one.
//
//   operation     caller       progress                         cost                      allocates   when refused
//   hedge_delay   any thread   wait-free                        a percentile of a sketch  never       -
//   may_hedge     any thread   wait-free; lock-free by budget   O(1)                      never       which guard forbade it
//
// In short: any thread | wait-free; lock-free by budget | never | which guard forbade it
//
//   guard, in this order             refused as                    note
//   1 fewer than max_hedges          errc::attempts_exhausted
//   2 idempotency                    errc::not_idempotent          it is carried out twice: unsafe operations never are
//   3 the layers outside             errc::retry_forbidden         the call is itself a repetition
//   4 the next attempt can end       errc::deadline_infeasible
//   5 the circuit is closed          errc::breaker_open            a dependency in doubt is not asked twice, nor probed twice
//   6 the budget                     errc::retry_budget_exhausted  one token; the same purse as the retries', taken last
//
// The delay is fixed, or what a share of the dependency's own calls did not exceed lately, between `least` and `most`; while
// nothing is known it is `most`. At the 95th percentile one call in twenty is hedged: that is the extra load in good times, and
// the budget bounds it in bad ones.
//
// exec/co_hedge.hpp makes such calls with coroutines, interop/asio_hedge.hpp on Boost.Asio, with::hedge in a pipeline.
//
// When to use: for reads whose slowest few percent hurt and do not come from the load itself. Not beside retries in the same
// layer for the same thing: a hedge is a retry that does not wait.
// Memory: none. Sources: Dean and Barroso, "The Tail at Scale", 2013; gRPC proposal A6 (hedging policy).
// Proof: unit/hedge_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/policy/budget_ref.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/latency_sketch.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

inline constexpr std::uint32_t most_hedges = 7;

struct hedge_options {
  std::uint32_t max_hedges = 1;  // attempts beside the first
  std::uint32_t permille = 950;  // of the latencies that a call should exceed before it is hedged
  duration delay{0};             // if not zero: that, whatever the latencies are
  duration least = std::chrono::milliseconds(1);
  duration most = std::chrono::seconds(1);
  duration min_attempt_time{0};  // an attempt with less time left than this is not worth its start
};
static_assert(std::is_aggregate_v<hedge_options>);

constexpr option_error validate(const hedge_options& o) noexcept {
  constexpr duration day = std::chrono::hours(24);
  return first_of(at_least("max_hedges", o.max_hedges, 1), at_most("max_hedges", o.max_hedges, most_hedges),
                  at_most("permille", o.permille, 1000), at_least("delay", o.delay.count(), 0),
                  at_most("delay", o.delay.count(), day.count()), at_least("least", o.least.count(), 0),
                  at_least("most", o.most.count(), o.least.count()), at_most("most", o.most.count(), day.count()),
                  at_least("min_attempt_time", o.min_attempt_time.count(), 0),
                  at_most("min_attempt_time", o.min_attempt_time.count(), day.count()));
}

// What the calls to one dependency are hedged by.
struct hedge_policy {
  hedge_options options{};
  latency_sketch* usual = nullptr;  // what its answers took; null: nothing is known, and nothing recorded
};
static_assert(std::is_aggregate_v<hedge_policy>);

// `usual` may be null: nothing is known.
[[nodiscard]] inline duration hedge_delay(const hedge_options& o, const latency_sketch* usual,
                                          time_point now) noexcept {
  HOLDFAST_ASSERT(!validate(o));
  if (o.delay > duration::zero()) return o.delay;
  const duration seen = usual == nullptr ? duration::zero() : usual->percentile(o.permille, now);
  return seen == duration::zero() ? o.most : std::clamp(seen, o.least, o.most);
}

// errc{}: it may, and a token has been taken for it. `hedges` were begun before it. breaker and budget may be null.
[[nodiscard]] inline errc may_hedge(const hedge_options& o, std::uint32_t hedges, idempotency safety, bool is_retry,
                                    time_point now, deadline until, const circuit_breaker* breaker,
                                    budget_ref budget) noexcept {
  HOLDFAST_ASSERT(!validate(o));
  if (hedges >= o.max_hedges) return errc::attempts_exhausted;
  if (safety == idempotency::unsafe) return errc::not_idempotent;
  if (is_retry) return errc::retry_forbidden;
  if (until.remaining(now) < std::max(o.min_attempt_time, duration(1))) return errc::deadline_infeasible;
  if (breaker != nullptr && breaker->state() != breaker_state::closed &&
      breaker->state() != breaker_state::forced_closed && breaker->state() != breaker_state::metrics_only)
    return errc::breaker_open;
  if (budget && !budget.try_take(now)) return errc::retry_budget_exhausted;
  return errc{};
}

}  // namespace holdfast
