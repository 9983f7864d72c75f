// SPDX-License-Identifier: MIT
// guard: what protects one dependency, and what one call to it inherits from its caller.
//
// A guard points at policies that all calls to the dependency share; it and they outlive every call. Null means: without
// that policy. exec/pipeline.hpp makes one from a list of layers and refuses orders that make no sense;
// exec/call_machine.hpp says in which order the policies are asked.
//
// Proof: unit/call_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "holdfast/core/error.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/adaptive_limit.hpp"
#include "holdfast/policy/budget_ref.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

static_assert(largest_limit == largest_bulkhead, "a room takes every limit that an algorithm may find");

// What a call inherits from its caller.
struct call_context {
  deadline until{};
  // May it be carried out twice? The default is the careful answer: only what was certainly not sent is repeated.
  idempotency safety = idempotency::unsafe;
  // An outer layer is already repeating: this one makes a single attempt.
  bool is_retry = false;
  std::uint32_t cost = 1;  // permits that it takes of a rate limiter
};

// One attempt: what its operation is handed.
struct attempt {
  std::uint16_t number = 0;  // 1 for the first
  time_point begun{};
  call_context context{};  // for calls made inside it: the attempt's own deadline, and whether it is a repetition
  // By the breaker that admitted it, for those who count what a generation of the breaker saw:
  std::uint16_t generation = 0;
  bool probe = false;  // one of the few that a half-open breaker lets through
};

// One of several attempts of a call that may be under way at once: another one's answer stops it.
struct stoppable_attempt : attempt {
  inplace_stop_token stop{};
};

// What a policy is asked for.
enum class policy_scope : std::uint8_t {
  each_attempt,  // anew for each attempt, and told of each result
  whole_call,    // once, before the first attempt, for as long as the call lasts; what it refuses is not tried again
};

struct guard {
  std::string_view name{};
  duration total_timeout{};      // zero: a call may last as long as its context says
  rate_limiter* rate = nullptr;  // charged once a call, however often it is repeated
  bulkhead* room = nullptr;
  duration room_wait{};             // zero: who finds it full is refused; else so long may a call wait in its queue
  adaptive_limit* limit = nullptr;  // finds out from each attempt how many the room should take
  circuit_breaker* breaker = nullptr;
  rate_limiter* attempt_rate = nullptr;  // charged for each attempt
  budget_ref budget{};                   // of any kind
  retry_options retry{.max_attempts = 1};
  duration attempt_timeout{};  // zero: an attempt may last as long as the call
  policy_scope room_for = policy_scope::each_attempt;
  policy_scope breaker_for = policy_scope::each_attempt;

  // The end of a call that begins now.
  [[nodiscard]] constexpr deadline until(time_point now, const call_context& context) const noexcept {
    return total_timeout > duration::zero() ? context.until.tightened(now, total_timeout) : context.until;
  }
  // The end of an attempt that begins now, of a call that ends `by` then.
  [[nodiscard]] constexpr deadline attempt_until(time_point now, deadline by) const noexcept {
    return attempt_timeout > duration::zero() ? by.tightened(now, attempt_timeout) : by;
  }
  // The room gets what the adaptive limit has found. Whoever finds another one on it sets it, so that one who was late with an
  // older one is soon set right. There are both.
  void take_limit(std::uint32_t found) const noexcept {
    found = std::clamp<std::uint32_t>(found, 1, largest_bulkhead);  // an algorithm may be somebody's own
    if (room->limit() != found) room->set_limit(found);
  }
};
static_assert(std::is_aggregate_v<guard>);

constexpr option_error validate(const guard& g) noexcept {
  return first_of(
      at_least("total_timeout", g.total_timeout.count(), 0), at_least("attempt_timeout", g.attempt_timeout.count(), 0),
      at_least("room_wait", g.room_wait.count(), 0), validate(g.retry),
      g.room_wait > duration::zero() && (g.room == nullptr || g.room->queue() == 0)
          ? option_error{"room_wait", g.room_wait.count(), "zero, without a room that has a queue", 0}
          : option_error{},
      g.limit != nullptr && g.room == nullptr ? option_error{"limit", 1, "only with a room", 0} : option_error{});
}

// Hears what happens to a call, to count and log it. One of your own has these members, noexcept; they are called on the
// call's own thread between policies, never inside one.
// It may have two more. watch_step(): what that returns lives as long as one step of the machine runs, with its
// policies and what the observer does in it, for those who trace or measure what a step costs.
// on_budget_exhausted(const guard&, const error&, std::uint32_t held_back): the budget paid for no retry after this error, for
// the first time in its cool-down; so many were told nothing since the last one (R5 of retry_budget). Where guards share a
// budget, all their observers have it, or none: whoever asks the budget uses the notice up.
struct no_observer {
  static void on_attempt(const guard&, const attempt&, verdict, duration) noexcept {}    // an attempt has ended
  static void on_refusal(const guard&, const error&) noexcept {}                         // turned away before the call
  static void on_transition(const guard&, const breaker_transition&) noexcept {}         // this call moved the breaker
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}  // will try again after so long
  static void on_give_up(const guard&, const error&) noexcept {}  // the call ends with this error
};

}  // namespace holdfast
