// SPDX-License-Identifier: MIT
// should_retry: may a failed operation be tried again, and after how long; a pure decision, taken by one function.
//
//   operation      progress                          cost   allocates   when refused
//   should_retry   wait-free; lock-free by budget    O(1)   never       {retry = false, why_not}
//
// In short: any thread | wait-free (lock-free with a budget) | never | which guard forbade it
//
//   guard, in this order             refused as                    note
//   1 the verdict                    errc{} (the error says it)    see the table of core/verdict.hpp
//   2 the callee's own word          errc::retry_forbidden         error::no_retry: it, or a layer in between, wants none
//   3 idempotency                    errc::not_idempotent          unsafe: only what certainly was not sent
//   4 attempts < max_attempts        errc::attempts_exhausted
//   5 the next attempt can end       errc::deadline_infeasible     at once: nobody sleeps towards a deadline in vain
//   6 the budget                     errc::retry_budget_exhausted  one atomic take, last, so no refusal wastes a token
//
//   verdict     retried                                  price in tokens
//   transient   yes                                      1
//   timeout     yes                                      2: the callee may still be working on it
//   throttled   yes, not before the hint                 2: it asked for less
//   rejected    bulkhead_full, bulkhead_timeout and      0: the callee was not bothered
//               rate_limited only; not before the hint
//   others      no
//
// The wait is the backoff's. A hint (error::retry_after) longer than it takes its place, cut to hint_max, plus a random
// part of hint_spread, because everybody was told the same second; the spread gives way where the deadline is near. A
// hint that ends past the deadline is refused at once, cut or not: the callee has said that it will not answer in time.
//
// Give hint_spread the time that the crowd needs: a second leaves a tenth of those who were told the same in each 100 ms, and
// 3 % take more than 4 s. Give min_attempt_time what an answer takes. Told to come when a circuit may be asked again, retries
// wake as late as their deadlines allow, those with the least time left first: with none, they are its probes and fail them.
// tests/sim shows both.
//
// The tokens are taken before the wait, so that nobody waits for a retry that the budget will not pay. Who then does not
// send it (a cancelled wait, a deadline that passed) gives retry_decision::paid back to the budget, once.
//
// When to use: exec/call.hpp runs the loop around this and knows the order of the other policies. Use it alone in a
// loop of your own. Retry at one layer of a call chain only, as exec/call_machine.hpp sees to: three layers of three attempts
// are 27.
// Memory: none. Sources: gRPC proposal A6 (pushback), AWS retry strategy (prices, hint), Finagle.
// Proof: unit/retry_test.cpp (every row of both tables; R2 no wait past the deadline), alloc/policy_alloc_test.cpp, tests/sim.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/backoff.hpp"
#include "holdfast/policy/budget_ref.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// What carrying an operation out twice does.
enum class idempotency : std::uint8_t {
  idempotent,           // the same as once: GET, PUT of a whole document, DELETE
  idempotent_with_key,  // the callee recognises the repetition by a key that is sent with it
  unsafe,               // it happens twice
};

constexpr std::string_view name_of(idempotency safety) noexcept {
  switch (safety) {
    case idempotency::idempotent: return "idempotent";
    case idempotency::idempotent_with_key: return "idempotent_with_key";
    case idempotency::unsafe: return "unsafe";
  }
  return "unknown";
}

struct retry_options {
  std::uint16_t max_attempts = 3;  // the first one included; 1: never retry
  backoff_options backoff{};
  duration min_attempt_time{0};                    // an attempt with less time left than this is not worth its start
  duration hint_max = std::chrono::seconds(30);    // a callee that asks for more is asked again after this
  duration hint_spread = std::chrono::seconds(1);  // on top of a hint, at random
};
static_assert(std::is_aggregate_v<retry_options>);

constexpr option_error validate(const retry_options& o) noexcept {
  constexpr duration day = std::chrono::hours(24);
  return first_of(at_least("max_attempts", o.max_attempts, 1), validate(o.backoff),
                  at_least("min_attempt_time", o.min_attempt_time.count(), 0),
                  at_most("min_attempt_time", o.min_attempt_time.count(), day.count()),
                  at_least("hint_max", o.hint_max.count(), 0), at_most("hint_max", o.hint_max.count(), day.count()),
                  at_least("hint_spread", o.hint_spread.count(), 0),
                  at_most("hint_spread", o.hint_spread.count(), day.count()));
}

struct retry_decision {
  bool retry = false;
  duration delay{0};       // before the next attempt, when `retry`
  errc why_not{};          // the guard that refused; errc{} when the verdict itself did
  std::uint32_t paid = 0;  // tokens taken from the budget for it
  // retry_budget_exhausted: to be told to people, and how many were not since the last one that was (R5 of retry_budget)
  bool gives_notice = false;
  std::uint32_t held_back = 0;
};

// Guard 1, for callers that only want to know whether an error is of the kind that may pass.
[[nodiscard]] inline bool is_retriable(const error& last) noexcept {
  switch (last.kind) {
    case verdict::transient:
    case verdict::throttled:
    case verdict::timeout: return true;
    case verdict::rejected:
      return last.code == errc::bulkhead_full || last.code == errc::bulkhead_timeout || last.code == errc::rate_limited;
    case verdict::ok:
    case verdict::permanent:
    case verdict::cancelled:
    case verdict::stale: return false;
  }
  return false;
}

// Tokens that a retry after this verdict takes from the budget.
[[nodiscard]] constexpr std::uint32_t retry_cost(verdict kind) noexcept {
  switch (kind) {
    case verdict::throttled:
    case verdict::timeout: return 2;
    case verdict::rejected: return 0;
    default: return 1;
  }
}

// `attempts_made` counts the one that just failed. `budget` may be null: unlimited. `previous_delay` is what the last
// decision returned, zero at first.
template <class G>
  requires random_bits<G>
[[nodiscard]] retry_decision should_retry(const retry_options& o, const error& last, std::uint16_t attempts_made,
                                          idempotency safety, time_point now, deadline until, budget_ref budget,
                                          duration previous_delay, G&& bits) noexcept {
  HOLDFAST_ASSERT(!validate(o));
  HOLDFAST_ASSERT(attempts_made >= 1);
  if (!is_retriable(last)) return {};
  if (last.no_retry) return {.why_not = errc::retry_forbidden};
  if (safety == idempotency::unsafe && !last.not_sent) return {.why_not = errc::not_idempotent};
  if (attempts_made >= o.max_attempts) return {.why_not = errc::attempts_exhausted};

  const duration left = until.remaining(now);
  const duration needed = std::max(o.min_attempt_time, duration(1));  // an attempt at the deadline itself is none
  if (left < needed || last.retry_after > left - needed) return {.why_not = errc::deadline_infeasible};
  const duration usable = left - needed;
  duration wait = delay(o.backoff, attempts_made - 1U, previous_delay, bits);
  if (last.retry_after > wait) {
    const duration hint = std::max(wait, std::min(last.retry_after, o.hint_max));
    const duration room = std::min(o.hint_spread, std::max(usable - hint, duration::zero()));
    wait = hint + duration(static_cast<std::int64_t>(uniform_up_to(bits, static_cast<std::uint64_t>(room.count()))));
  }
  if (wait > usable) return {.why_not = errc::deadline_infeasible};
  if (!budget) return {.retry = true, .delay = wait};
  const budget_answer answer = budget.try_take(now, retry_cost(last.kind));
  if (!answer) {
    return {
        .why_not = errc::retry_budget_exhausted, .gives_notice = answer.gives_notice, .held_back = answer.held_back};
  }
  return {.retry = true, .delay = wait, .paid = answer.taken};
}

// The form for a loop that keeps no previous wait: right for every backoff but decorrelated.
template <class G>
  requires random_bits<G>
[[nodiscard]] retry_decision should_retry(const retry_options& o, const error& last, std::uint16_t attempts_made,
                                          idempotency safety, time_point now, deadline until, budget_ref budget,
                                          G&& bits) noexcept {
  return should_retry(o, last, attempts_made, safety, now, until, budget, duration::zero(), bits);
}

}  // namespace holdfast
