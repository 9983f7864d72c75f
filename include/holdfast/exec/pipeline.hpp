// SPDX-License-Identifier: MIT
// pipeline: the policies of one dependency in the order in which they are written, put together when it is compiled.
//
//   operation            caller       progress   allocates   note
//   pipe(context, op)    any thread   as `op`    never       one guarded call that may block; reads the clock twice if it succeeds
//   pipe.protects()      any thread   -          never       the same as a guard, for other drivers of calls
//
// In short: any thread | as the operation | never | the last error, attempts made, the guard that ended them
//
//   const pipeline orders("orders", with::deadline(800ms), with::rate(door), with::bulkhead(room),
//                         with::retry({.max_attempts = 3}, budget, with::idempotent), with::breaker(breaker),
//                         with::attempt_timeout(250ms));
//   outcome<order> got = orders(context, [&](const attempt& a) { return fetch(id, a.context.until); });
//
// A layer that is left out costs nothing: which ones there are is known to the compiler. They are written from the outside
// inwards, and an order that would not do what it says does not compile, with the reason:
//
//   fallback          outermost: what it answers is not counted, repeated or timed by others
//   deadline          of the whole call: before all that may take time of it
//   rate              before retry: charged once a call. Once more behind the breaker: for each attempt
//   bulkhead          before retry: one place for the whole call, its waits too; behind it: one for each attempt.
//                     with::adaptive_bulkhead(room, limit): how many places there are is found out from each attempt.
//                     Both take how long a call may wait in the room's queue for a place: with::bulkhead(room, 5ms)
//                     (not with a hedge, whose attempts are to begin now or not at all)
//   retry, or hedge   hedge: the next attempt begins beside the first, on coroutines alone; it wants each attempt to have its
//                     place in the bulkhead and to be judged by the breaker, so both come behind it
//   breaker           behind retry, so that it sees every attempt, or with::whole_call, before it; behind the bulkhead, which would
//                     otherwise turn away those that hold one of its few probes
//   attempt_timeout   innermost
//
// With with::fallback it returns served<T>: who answered, how old that is, and in `origin` why the first did not. A tier is
// a callable (const error& why, const call_context&) to outcome<T>, or to aged<T>, which says how old it is.
//
// Coroutines call it by exec/co_pipeline.hpp, those of Boost.Asio by interop/asio_pipeline.hpp. One with with::hedge is called by
// these alone: whoever blocks a thread has but one attempt at a time.
//
// Policies are referred to and outlive the pipeline; it is a value without state of its own. All calls share it.
//
// Sources: the order is that of Polly's standard handler (limiter, total timeout, retry, breaker, attempt timeout) but for the
// deadline, which there begins behind the limiter. Proof: unit/pipeline_test.cpp, contract/pipeline_orders.py (what does not
// compile), alloc/pipeline_alloc_test.cpp, bench/call_bench.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/exec/call_machine.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/exec/pipeline_layers.hpp"
#include "holdfast/exec/pipeline_order.hpp"
#include "holdfast/policy/fallback.hpp"
#include "holdfast/policy/hedge.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

template <class... Layers>
class pipeline {
  static constexpr std::array<layer_kind, sizeof...(Layers)> order{Layers::kind...};
  static constexpr pipeline_fault fault = order_fault(order);
  static_assert(fault != pipeline_fault::layer_twice, "a layer stands twice in the pipeline");
  static_assert(fault != pipeline_fault::fallback_inside,
                "with::fallback comes first: inside, what it answers would count as the dependency's own answer");
  static_assert(
      fault != pipeline_fault::deadline_inside,
      "with::deadline comes before all but with::fallback: inside, it would not bound what stands before it, or "
      "begin anew with each attempt");
  static_assert(fault != pipeline_fault::rate_behind_bulkhead,
                "with::rate comes before with::bulkhead: a call that is to be refused would take another's place");
  static_assert(fault != pipeline_fault::rate_behind_call_breaker,
                "with::rate comes before with::breaker(judge, with::whole_call), which charges each call, or behind "
                "with::retry, which charges each attempt");
  static_assert(fault != pipeline_fault::rate_before_bulkhead,
                "behind with::retry, with::rate comes after with::bulkhead: a full one would use up what it hands out");
  static_assert(
      fault != pipeline_fault::rate_before_breaker,
      "behind with::retry, with::rate comes after with::breaker: an open circuit would use up what it hands out");
  static_assert(
      fault != pipeline_fault::breaker_before_retry,
      "with::breaker comes after with::retry: before it, it would see one result for all attempts. If that is what "
      "you want, say with::breaker(judge, with::whole_call)");
  static_assert(fault != pipeline_fault::call_breaker_behind_retry,
                "a breaker for with::whole_call comes before with::retry");
  static_assert(
      fault != pipeline_fault::bulkhead_behind_breaker,
      "with::bulkhead comes before with::breaker: a call that it turns away would hold one of the breaker's probes");
  static_assert(
      fault != pipeline_fault::attempt_timeout_before_others,
      "with::attempt_timeout comes last: it is the time of one attempt. For the whole call there is with::deadline");
  static_assert(
      fault != pipeline_fault::hedge_beside_retry,
      "with::hedge and with::retry are for pipelines of their own, with one budget: a hedge is a retry that does "
      "not wait, and follows a failure at once");
  static_assert(fault != pipeline_fault::bulkhead_before_hedge,
                "with::bulkhead comes after with::hedge: its attempts are under way at once, and each takes a place");
  static_assert(fault != pipeline_fault::breaker_before_hedge,
                "with::breaker comes after with::hedge: before it, it would see one result for all attempts");
  static_assert(
      fault != pipeline_fault::call_breaker_with_hedge,
      "with::hedge goes with a breaker that judges each attempt, not with one for with::whole_call: several are "
      "under way at once");

 public:
  static constexpr call_shape shape =
      shape_of(order, (with::is_budgeted<Layers> || ...), (with::is_adaptive<Layers> || ...));
  static constexpr bool falls_back = order_has(order, layer_kind::fallback);
  // How many attempts a call has room for beside its first; 0 without with::hedge.
  static constexpr std::size_t hedges = (with::hedges_of<Layers> + ... + std::size_t{0});

  constexpr explicit pipeline(std::string_view name,
                              Layers... layers) noexcept((std::is_nothrow_move_constructible_v<Layers> && ...))
      : guard_(guard_of(name, layers...)), layers_(std::move(layers)...) {
    HOLDFAST_ASSERT(!validate(guard_));
    HOLDFAST_ASSERT(hedges == 0 || guard_.room_wait == duration::zero());  // a hedged call does not wait for a place
    if constexpr (falls_back) {
      plan_ = tiers().plan(name);
      HOLDFAST_ASSERT(!validate(plan_));
      HOLDFAST_ASSERT(plan_.size() == tiers().count + 1);  // a tier without a name
    }
  }

  // One call. `op(const attempt&) -> outcome<T>` keeps to the attempt's deadline itself; wait and observer as in run().
  template <class Op, clock_source Clock = steady_clock, class Wait = sleep_on_this_thread,
            class Observer = no_observer>
  auto operator()(call_context context, Op&& op, const Clock& clock = {}, Wait&& wait = {},
                  Observer&& observer = {}) const {
    static_assert(hedges == 0,
                  "a call that blocks its thread cannot be hedged: co_await co_call(...) of exec/co_pipeline.hpp can");
    judge(context);
    const time_point begun = clock.now();
    if constexpr (!falls_back) {
      return run_from<shape>(begun, guard_, context, clock, op, wait, observer);
    } else {
      context.until = guard_.until(begun, context);  // the tiers have what is left of the same time
      auto first = run_from<shape>(begun, guard_, context, clock, op, wait, observer);
      return first.ok() ? answered(std::move(first)) : after_failure(std::move(first), context, clock);
    }
  }

  template <class T>
  [[nodiscard]] served<T> answered(outcome<T> by_itself) const noexcept {
    return {std::move(by_itself), 0, guard_.name, {}, {}};
  }
  // For drivers: the answer to a call that the tiers know nothing of yet. The context's deadline is that of the whole call.
  template <class T, clock_source Clock>
  [[gnu::noinline]] served<T> after_failure(outcome<T> failed, const call_context& context,
                                            const Clock& clock) const requires falls_back {
    fallback_walk walk(plan_, clock.now(), context.until);
    for (error why = failed.error(); walk.has_tier() && walk.failed(why, clock.now());) {
      aged<T> answer = tiers().template ask<T>(walk.tier(), why, context);
      if (answer.result.ok()) return walk.template answered<T>(std::move(answer.result), answer.age);
      why = answer.result.error();
    }
    return walk.template exhausted<T>();
  }

  // For drivers that are handed a guard. What with::retry and with::hedge say of the operations is in judge(), when a hedge
  // begins is in hedging(), and what with::fallback does is in none of them.
  [[nodiscard]] constexpr const guard& protects() const noexcept { return guard_; }
  static constexpr void judge(call_context& context) noexcept { (with::judge<Layers>(context), ...); }
  [[nodiscard]] constexpr const hedge_policy& hedging() const noexcept requires(hedges != 0) {
    constexpr auto which =
        static_cast<std::size_t>(std::find(order.begin(), order.end(), layer_kind::hedge) - order.begin());
    return std::get<which>(layers_).policy();
  }

 private:
  static constexpr guard guard_of(std::string_view name, const Layers&... layers) noexcept {
    guard made{.name = name};
    [[maybe_unused]] bool inside = false;
    ((layers.enter(made, inside), inside = inside || goes_inside(Layers::kind)), ...);
    return made;
  }
  constexpr const auto& tiers() const noexcept { return std::get<0>(layers_); }

  guard guard_;
  std::tuple<Layers...> layers_;
  std::conditional_t<falls_back, fallback_plan, std::tuple<>> plan_{};
};
template <class... Layers>
pipeline(std::string_view, Layers...) -> pipeline<Layers...>;

}  // namespace holdfast
