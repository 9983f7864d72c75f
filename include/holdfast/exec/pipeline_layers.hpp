// SPDX-License-Identifier: MIT
// pipeline_layers: what a pipeline is written with, in the namespace `with`.
//
// Each layer is a value that refers to its policy, which outlives it, and knows what it means in a guard.
//
// Proof: unit/pipeline_test.cpp.
#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/exec/pipeline_order.hpp"
#include "holdfast/policy/adaptive_limit.hpp"
#include "holdfast/policy/budget_ref.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/fallback.hpp"
#include "holdfast/policy/hedge.hpp"
#include "holdfast/policy/latency_sketch.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast::with {

class deadline {
 public:
  static constexpr layer_kind kind = layer_kind::deadline;
  constexpr explicit deadline(duration total) noexcept : total_(total) {}
  constexpr void enter(guard& g, bool /*inside*/) const noexcept { g.total_timeout = total_; }

 private:
  duration total_;
};

class rate {
 public:
  static constexpr layer_kind kind = layer_kind::rate;
  constexpr explicit rate(rate_limiter& limiter) noexcept : limiter_(&limiter) {}
  constexpr void enter(guard& g, bool inside) const noexcept { (inside ? g.attempt_rate : g.rate) = limiter_; }

 private:
  rate_limiter* limiter_;
};

class bulkhead {
 public:
  static constexpr layer_kind kind = layer_kind::bulkhead;
  // A call that finds it full may wait so long in its queue.
  constexpr explicit bulkhead(holdfast::bulkhead& room, duration wait = {}) noexcept : room_(&room), wait_(wait) {}
  constexpr void enter(guard& g, bool inside) const noexcept {
    g.room = room_;
    g.room_wait = wait_;
    g.room_for = inside ? policy_scope::each_attempt : policy_scope::whole_call;
  }

 private:
  holdfast::bulkhead* room_;
  duration wait_;
};

// One whose limit is found out from each attempt.
class adaptive_bulkhead : public bulkhead {
 public:
  static constexpr bool adaptive = true;
  constexpr adaptive_bulkhead(holdfast::bulkhead& room, adaptive_limit& limit, duration wait = {}) noexcept
      : bulkhead(room, wait), limit_(&limit) {}
  constexpr void enter(guard& g, bool inside) const noexcept {
    bulkhead::enter(g, inside);
    g.limit = limit_;
  }

 private:
  adaptive_limit* limit_;
};

// What the operations of this pipeline are. Without one, what each call's context says.
template <idempotency Safety>
struct safety_tag {
  static constexpr idempotency value = Safety;
};
inline constexpr safety_tag<idempotency::idempotent> idempotent{};
inline constexpr safety_tag<idempotency::idempotent_with_key> idempotent_with_key{};
inline constexpr safety_tag<idempotency::unsafe> unsafe{};
struct safety_of_the_call {};

// Retries without a budget multiply the load of what is failing; whoever wants that says so.
struct no_budget_tag {};
inline constexpr no_budget_tag no_budget{};

template <class Safety = safety_of_the_call, bool Budgeted = true>
class retry {
 public:
  static constexpr layer_kind kind = layer_kind::retry;
  static constexpr bool budgeted = Budgeted;
  template <retry_payer Budget>
  requires Budgeted constexpr retry(const retry_options& how, Budget& paid_by, Safety /*operations*/ = {}) noexcept
      : options_(how), budget_(&paid_by) {}
  constexpr retry(const retry_options& how, no_budget_tag /*of any*/, Safety /*operations*/ = {}) noexcept
      requires(!Budgeted)
      : options_(how) {}
  constexpr void enter(guard& g, bool /*inside*/) const noexcept {
    g.retry = options_;
    g.budget = budget_;
  }
  static constexpr void judge(call_context& context) noexcept {
    if constexpr (!std::is_same_v<Safety, safety_of_the_call>) context.safety = Safety::value;
  }

 private:
  retry_options options_;
  budget_ref budget_{};
};
template <retry_payer Budget>
retry(const retry_options&, Budget&) -> retry<safety_of_the_call, true>;
retry(const retry_options&, no_budget_tag)->retry<safety_of_the_call, false>;
template <retry_payer Budget, idempotency Safety>
retry(const retry_options&, Budget&, safety_tag<Safety>) -> retry<safety_tag<Safety>, true>;
template <idempotency Safety>
retry(const retry_options&, no_budget_tag, safety_tag<Safety>) -> retry<safety_tag<Safety>, false>;

// Where with::retry would stand, for a call with several attempts beside each other: with::hedge makes one.
template <class Safety, std::size_t Hedges>
class hedge_layer {
 public:
  static constexpr layer_kind kind = layer_kind::hedge;
  static constexpr bool budgeted = true;
  static constexpr std::size_t hedges = Hedges;
  constexpr hedge_layer(const hedge_policy& how, retry_budget& paid_by) noexcept : how_(how), budget_(&paid_by) {
    HOLDFAST_ASSERT(!validate(how.options));
    HOLDFAST_ASSERT(how.options.max_hedges <= Hedges);
  }
  constexpr void enter(guard& g, bool /*inside*/) const noexcept { g.budget = budget_; }
  static constexpr void judge(call_context& context) noexcept { context.safety = Safety::value; }
  [[nodiscard]] constexpr const hedge_policy& policy() const noexcept { return how_; }

 private:
  hedge_policy how_;
  retry_budget* budget_;
};

// `Hedges` is how many its calls have room for: at least how.max_hedges. With `usual`, answers are recorded there, and where no
// delay is fixed it says how long to wait. The budget is the one that the retries of the same dependency have.
template <std::size_t Hedges = 1, idempotency Safety>
constexpr auto hedge(const hedge_options& how, retry_budget& paid_by, safety_tag<Safety> /*operations*/) noexcept {
  static_assert(Safety != idempotency::unsafe,
                "with::hedge is not for unsafe operations: two attempts at once carry them out twice");
  return hedge_layer<safety_tag<Safety>, Hedges>({.options = how}, paid_by);
}
template <std::size_t Hedges = 1, idempotency Safety>
constexpr auto hedge(const hedge_options& how, latency_sketch& usual, retry_budget& paid_by,
                     safety_tag<Safety> /*operations*/) noexcept {
  static_assert(Safety != idempotency::unsafe,
                "with::hedge is not for unsafe operations: two attempts at once carry them out twice");
  return hedge_layer<safety_tag<Safety>, Hedges>({.options = how, .usual = &usual}, paid_by);
}
// What is left out is said here, so that the compiler says why.
template <std::size_t Hedges = 1, class... Others>
constexpr auto hedge(const hedge_options& how, Others&&... /*no budget, or no tag*/) noexcept {
  constexpr bool budgeted = (std::is_same_v<std::remove_cvref_t<Others>, retry_budget> || ...);
  static_assert(budgeted, "with::hedge has a budget, the one of the dependency's retries: hedges add to the load");
  static_assert(!budgeted || sizeof...(Others) == 0,
                "with::hedge says with::idempotent or with::idempotent_with_key: its operations are carried out twice");
  return how;
}

struct whole_call_tag {};
inline constexpr whole_call_tag whole_call{};

template <bool WholeCall = false>
class breaker {
 public:
  static constexpr layer_kind kind = WholeCall ? layer_kind::call_breaker : layer_kind::breaker;
  constexpr explicit breaker(circuit_breaker& asked) noexcept : judge_(&asked) {}
  constexpr breaker(circuit_breaker& asked, whole_call_tag /*once a call*/) noexcept : judge_(&asked) {}
  constexpr void enter(guard& g, bool /*inside*/) const noexcept {
    g.breaker = judge_;
    g.breaker_for = WholeCall ? policy_scope::whole_call : policy_scope::each_attempt;
  }

 private:
  circuit_breaker* judge_;
};
breaker(circuit_breaker&)->breaker<false>;
breaker(circuit_breaker&, whole_call_tag)->breaker<true>;

class attempt_timeout {
 public:
  static constexpr layer_kind kind = layer_kind::attempt_timeout;
  constexpr explicit attempt_timeout(duration longest) noexcept : longest_(longest) {}
  constexpr void enter(guard& g, bool /*inside*/) const noexcept { g.attempt_timeout = longest_; }

 private:
  duration longest_;
};

// Who answers when those before do not: `answer(why, context)`. policy/fallback.hpp says what falls through.
template <class Answer>
struct tier {
  constexpr tier(std::string_view name, Answer answer, duration needs = {})
      : options{.name = name, .needs = needs}, answer_with(std::move(answer)) {}
  constexpr tier(const fallback_tier& how, Answer answer) : options(how), answer_with(std::move(answer)) {}

  fallback_tier options;
  Answer answer_with;
};

template <class... Tiers>
class fallback {
 public:
  static constexpr layer_kind kind = layer_kind::fallback;
  static constexpr std::size_t count = sizeof...(Tiers);
  constexpr explicit fallback(Tiers... tiers) : tiers_(std::move(tiers)...) {}
  // What of the pipeline's own errors goes on to the tiers.
  constexpr fallback(verdict_mask falls_through, Tiers... tiers) : first_(falls_through), tiers_(std::move(tiers)...) {}
  static constexpr void enter(guard& /*knows nothing of it*/, bool /*inside*/) noexcept {}

  [[nodiscard]] constexpr fallback_plan plan(std::string_view first) const noexcept {
    static_assert(sizeof...(Tiers) >= 1 && sizeof...(Tiers) < most_tiers, "with::fallback takes one to seven tiers");
    fallback_plan made;
    made.tiers[0] = {.name = first, .falls_through = first_};
    std::size_t n = 0;
    std::apply([&](const auto&... each) { ((made.tiers[++n] = each.options), ...); }, tiers_);
    return made;
  }
  // What tier `which` says, counted from 1.
  template <class T>
  [[nodiscard]] aged<T> ask(std::size_t which, const error& why, const call_context& context) const {
    aged<T> answer{errc::fallback_exhausted};
    std::size_t n = 0;
    std::apply(
        [&](const auto&... each) {
          ((++n == which ? static_cast<void>(answer = aged_by<T>(each.answer_with(why, context))) : void()), ...);
        },
        tiers_);
    return answer;
  }

 private:
  template <class T>
  static aged<T> aged_by(outcome<T> fresh) noexcept {
    return {std::move(fresh)};
  }
  template <class T>
  static aged<T> aged_by(aged<T> kept) noexcept {
    return kept;
  }

  verdict_mask first_ = fallback_tier{}.falls_through;
  std::tuple<Tiers...> tiers_;
};
template <class Answer, class... More>
fallback(tier<Answer>, More...) -> fallback<tier<Answer>, More...>;
template <class... Tiers>
fallback(verdict_mask, Tiers...) -> fallback<Tiers...>;

template <class Layer>
inline constexpr bool is_budgeted = requires {
  requires Layer::budgeted;
};
template <class Layer>
inline constexpr bool is_adaptive = requires {
  requires Layer::adaptive;
};
template <class Layer>
inline constexpr std::size_t hedges_of = 0;
template <class Safety, std::size_t Hedges>
inline constexpr std::size_t hedges_of<hedge_layer<Safety, Hedges>> = Hedges;
// What a layer knows of all calls.
template <class Layer>
constexpr void judge([[maybe_unused]] call_context& context) noexcept {
  if constexpr (requires { Layer::judge(context); }) Layer::judge(context);
}

}  // namespace holdfast::with
