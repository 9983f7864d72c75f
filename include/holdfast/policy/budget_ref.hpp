// SPDX-License-Identifier: MIT
// budget_ref: a budget for retries and hedges of any kind, or none, as a guard or a pipeline refers to it; not by itself.
//
// retry_payer<B> is what a budget is: it is asked by try_take whether a retry may be made, as the last guard of all, and
// hears, where it has a function for that, of calls that begin and end (on_first_attempt, on_call_end), of what attempts came to
// (on_result), and of retries that were paid and not made, or are over (give_back). retry_budget, retry_throttle and
// flight_budget are such; each is one word and makes check and take one step.
//
// Guarantee: wait-free beside what the budget does; allocates nothing. Which kind it is, is a branch that is always the same.
// Proof: unit/budget_kinds_test.cpp (whole calls, with each kind).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/flight_budget.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/policy/retry_throttle.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

template <class B>
concept retry_payer = requires(B& budget, time_point now, std::uint32_t cost) {
  { budget.try_take(now, cost) }
  noexcept->std::same_as<budget_answer>;
  { budget.granted() }
  noexcept->std::same_as<std::uint64_t>;
  { budget.denied() }
  noexcept->std::same_as<std::uint64_t>;
};
static_assert(retry_payer<retry_budget> && retry_payer<retry_throttle> && retry_payer<flight_budget>);

class budget_ref {
 public:
  constexpr budget_ref() noexcept = default;
  constexpr budget_ref(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): none
  // Of what outlives it; null: none.
  constexpr budget_ref(retry_budget* b) noexcept  // NOLINT(google-explicit-constructor)
      : kind_(b == nullptr ? kind::none : kind::tokens), tokens_(b) {}
  constexpr budget_ref(retry_throttle* b) noexcept  // NOLINT(google-explicit-constructor)
      : kind_(b == nullptr ? kind::none : kind::throttle), throttle_(b) {}
  constexpr budget_ref(flight_budget* b) noexcept  // NOLINT(google-explicit-constructor)
      : kind_(b == nullptr ? kind::none : kind::flights), flights_(b) {}

  [[nodiscard]] constexpr explicit operator bool() const noexcept { return kind_ != kind::none; }

  // A call that is not itself a retry is sent for the first time.
  void on_first_attempt(time_point now) const noexcept {
    if (kind_ == kind::tokens) [[likely]] {
      tokens_->on_first_attempt(now);
    } else if (kind_ == kind::flights) {
      flights_->on_first_attempt();
    }
  }
  // May a retry be made? What was `taken` for it is to be told when it is over, or not made.
  budget_answer try_take(time_point now, std::uint32_t cost = 1) const noexcept {
    switch (kind_) {
      case kind::tokens: return tokens_->try_take(now, cost);
      case kind::throttle: return throttle_->try_take(now, cost);
      case kind::flights: return flights_->try_take(now, cost);
      case kind::none: break;
    }
    return {.granted = true};
  }
  // For a retry that was paid and not made.
  void give_back(std::uint32_t taken) const noexcept {
    if (kind_ == kind::tokens) tokens_->give_back(taken);
    if (kind_ == kind::flights) flights_->give_back(taken);
  }

  // Does it want to hear of the two below?
  [[nodiscard]] bool hears_ends() const noexcept { return kind_ == kind::throttle || kind_ == kind::flights; }
  // An attempt, for which so much was taken, came to this.
  void on_attempt_end(verdict v, std::uint32_t taken) const noexcept {
    if (kind_ == kind::throttle) throttle_->on_result(v);
    if (kind_ == kind::flights && taken != 0) flights_->give_back(taken);
  }
  // A call of which on_first_attempt was told is over.
  void on_call_end() const noexcept {
    if (kind_ == kind::flights) flights_->on_call_end();
  }

 private:
  enum class kind : std::uint8_t { none, tokens, throttle, flights };

  kind kind_ = kind::none;
  union {
    retry_budget* tokens_ = nullptr;
    retry_throttle* throttle_;
    flight_budget* flights_;
  };
};

}  // namespace holdfast
