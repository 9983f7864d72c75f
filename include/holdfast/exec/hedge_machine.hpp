// SPDX-License-Identifier: MIT
// hedge_machine: one call of which several attempts may be under way at once, as a sequence of steps. Whoever drives it makes
// the attempts and stops those that have lost.
//
//   operation   caller             progress    allocates   note
//   start       the call's owner   lock-free   never       once; the first attempt is to be begun, or it is done
//   on_time     the call's owner   lock-free   never       it is next_at() or later: perhaps another attempt is to be begun
//   finish      the call's owner   lock-free   never       takes an attempt's result, of losers too
//   cancel      the call's owner   wait-free   never       the caller went away: nothing more is begun, nobody is judged by it
//
// In short: one owner a call | lock-free | never | the last error, attempts made, the guard that ended them
//
//   H1 One result of a call is taken: the first answer (ok or permanent), or the last failure. All others are told `lost`.
//   H2 An attempt beside the first is paid for by the guard's retry budget. What is paid for and not begun goes back.
//   H3 Once there is an answer, or the caller has gone, no attempt is begun.
//   H4 Every attempt that was begun is finished, losers too: each keeps its place in the bulkhead until then, so that what hangs
//      is counted. The machine outlives them: destroyed earlier it asserts.
//
// An attempt that fails is followed by the next one at once, without waiting for its time (but not before the callee's hint, and
// not at all if it wants none); a refusal of a hedge is no failure of the call. A loser is neutral for the breaker, unless it had
// already been slow when it lost: then it counts as a slow answer.
// The retry options of the guard are not used: a hedge is a retry that does not wait. Its room and its breaker are for each
// attempt. exec/co_hedge.hpp drives it with coroutines, and interop/asio_hedge.hpp on Boost.Asio.
//
// Like call_machine it reads no clock, never waits and runs no foreign code. Memory: all of it lies inside the machine.
// Source: gRPC proposal A6. Proof: unit/hedge_machine_test.cpp (H1-H4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/policy/adaptive_limit.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/hedge.hpp"
#include "holdfast/policy/latency_sketch.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

enum class hedge_step : std::uint8_t {
  begin,   // the attempt `which` is to be begun
  wait,    // for a result, or for next_at()
  won,     // the result of `which` is the call's; what is still under way is to be stopped
  lost,    // the result of `which` is not wanted
  failed,  // the call has failed: failure()
};

struct hedge_action {
  hedge_step step = hedge_step::wait;
  std::size_t which = 0;
};

template <std::size_t Hedges = 1, class Observer = no_observer>
class hedge_machine {
  static_assert(Hedges >= 1 && Hedges <= most_hedges);

 public:
  // `usual` may be null; if it is not, the latencies of answers are recorded in it.
  hedge_machine(const guard& protects, const hedge_options& options, latency_sketch* usual, const call_context& context,
                Observer& observer) noexcept
      : guard_(protects), options_(options), usual_(usual), context_(context), observer_(observer) {
    HOLDFAST_ASSERT(!validate(protects));
    HOLDFAST_ASSERT(!validate(options));
    HOLDFAST_ASSERT(options.max_hedges <= Hedges);
    // Several attempts are under way at once: each has its place, and each is judged.
    HOLDFAST_ASSERT(protects.room == nullptr || protects.room_for == policy_scope::each_attempt);
    HOLDFAST_ASSERT(protects.room_wait == duration::zero());  // who would wait for a place does better without a hedge
    HOLDFAST_ASSERT(protects.breaker == nullptr || protects.breaker_for == policy_scope::each_attempt);
  }
  hedge_machine(const hedge_machine&) = delete;
  hedge_machine& operator=(const hedge_machine&) = delete;
  ~hedge_machine() { HOLDFAST_ASSERT(under_way_ == 0); }

  hedge_action start(time_point now) noexcept {
    context_.until = guard_.until(now, context_);
    if (context_.until.passed(now)) return fail(errc::deadline_exceeded);
    rate_limiter::permit entry;
    if (guard_.rate != nullptr) {
      auto admitted = guard_.rate->admit(now, context_.cost);
      if (!admitted) return refuse(admitted.refusal);
      entry = std::move(admitted.ticket);
    }
    error why;
    if (!begin(now, why)) return refuse(why);
    entry.keep();
    if (guard_.budget && !context_.is_retry) {
      guard_.budget.on_first_attempt(now);
      in_budget_ = true;
    }
    next_at_ = now + hedge_delay(options_, usual_, now);
    return {hedge_step::begin, 0};
  }

  hedge_action on_time(time_point now) noexcept {
    if (over_ || now < next_at_) return {};
    const hedge_action next = another(now);
    return next.step == hedge_step::begin ? next : rest();
  }

  // `why` is read only when `kind` is not ok.
  hedge_action finish(std::size_t which, verdict kind, const error& why, time_point now) noexcept {
    HOLDFAST_ASSERT(which < begun_attempts_);
    run& one = runs_[which];
    HOLDFAST_ASSERT(one.under_way);
    sent_ = sent_ || kind == verdict::ok || !why.not_sent;
    if (over_) {
      end(one, lost_as(one), now);
      return {hedge_step::lost, which};
    }
    const bool late = kind == verdict::ok && one.what.context.until.passed(now);
    end(one, late ? verdict::timeout : kind, now);
    if (kind == verdict::ok || kind == verdict::permanent) return answer(which, kind, why, now);
    last_ = why;
    if (!is_retriable(why) || why.no_retry) {
      next_at_ = time_point::max();
    } else if (const time_point soonest = deadline::after(now, why.retry_after).at(); soonest > now) {
      // Not before the callee's hint, which may be never; and nobody waits for what will be forbidden.
      stopped_by_ = soonest == time_point::max()
                        ? errc::deadline_infeasible
                        : may_hedge(options_, begun_attempts_ - 1U, context_.safety, context_.is_retry, soonest,
                                    context_.until, nullptr, nullptr);
      next_at_ = stopped_by_ == errc{} ? soonest : time_point::max();
    } else if (const hedge_action next = another(now); next.step == hedge_step::begin) {
      return next;
    }
    return rest();
  }

  // What is under way is to be stopped, and finished.
  void cancel() noexcept {
    if (!over_) fail(errc::cancelled);
  }

  [[nodiscard]] const attempt& current(std::size_t which) const noexcept {
    HOLDFAST_ASSERT(which < begun_attempts_);
    return runs_[which].what;
  }
  [[nodiscard]] bool under_way(std::size_t which) const noexcept { return runs_[which].under_way; }
  // As by call_machine: of an operation that outlives its attempt, before finish().
  [[nodiscard]] bulkhead::permit detach_room(std::size_t which) noexcept { return std::move(runs_[which].room); }
  [[nodiscard]] std::size_t under_way() const noexcept { return under_way_; }
  // When on_time() has something to do; never: time_point::max().
  [[nodiscard]] time_point next_at() const noexcept { return over_ ? time_point::max() : next_at_; }
  [[nodiscard]] std::uint16_t attempts() const noexcept { return begun_attempts_; }
  [[nodiscard]] bool over() const noexcept { return over_; }
  // Of a call that has failed, or whose answer is `permanent`.
  [[nodiscard]] const error& failure() const noexcept {
    HOLDFAST_ASSERT(failure_.has_value());
    return *failure_;
  }

 private:
  struct run {
    bulkhead::permit room{};
    circuit_breaker::permit ticket{};
    attempt what{};
    adaptive_limit::ticket sample{};
    bool under_way = false;
  };

  // An attempt, if all that an attempt needs is there; `why` if it is not.
  bool begin(time_point now, error& why) noexcept {
    run& one = runs_[begun_attempts_];
    if (guard_.limit != nullptr) guard_.take_limit(guard_.limit->limit());
    if (guard_.room != nullptr && !(one.room = guard_.room->try_acquire())) {
      why = errc::bulkhead_full;
      return false;
    }
    if (guard_.breaker != nullptr) {
      auto admitted = guard_.breaker->admit(now);
      if (admitted.transition) observer_.on_transition(guard_, admitted.transition);
      if (!admitted) {
        why = guard_.breaker->explain(admitted.refusal, now);
        one.room = {};
        return false;
      }
      one.ticket = std::move(admitted.ticket);
    }
    if (guard_.attempt_rate != nullptr) {
      if (const rate_answer paid = guard_.attempt_rate->try_take(now, context_.cost); !paid) {
        why = paid;
        one.ticket = {};
        one.room = {};
        return false;
      }
    }
    ++begun_attempts_;
    ++under_way_;
    one.under_way = true;
    one.what = {.number = begun_attempts_,
                .begun = now,
                .context = context_,
                .generation = one.ticket.generation(),
                .probe = one.ticket.is_probe()};
    one.what.context.is_retry = context_.is_retry || begun_attempts_ > 1;
    one.what.context.until = guard_.attempt_until(now, context_.until);
    if (guard_.limit != nullptr) one.sample = guard_.limit->begin(now, guard_.room->in_flight());
    return true;
  }

  // One attempt more, if nothing forbids it. From the first that does, there is none any more.
  hedge_action another(time_point now) noexcept {
    stopped_by_ = may_hedge(options_, begun_attempts_ - 1U, context_.safety, context_.is_retry, now, context_.until,
                            guard_.breaker, guard_.budget);
    next_at_ = time_point::max();
    if (stopped_by_ != errc{}) return {};
    error why;
    if (!begin(now, why)) {
      guard_.budget.give_back(1);
      observer_.on_refusal(guard_, why);
      return {};
    }
    next_at_ = now + hedge_delay(options_, usual_, now);
    return {hedge_step::begin, begun_attempts_ - 1U};
  }

  hedge_action answer(std::size_t which, verdict kind, const error& why, time_point now) noexcept {
    over_ = true;
    lost_at_ = now;
    leave_budget();
    if (usual_ != nullptr) usual_->record(now - runs_[which].what.begun, now);
    if (kind != verdict::ok) give_up(why);
    return {hedge_step::won, which};
  }
  // Nothing more is to be begun now. If nothing is under way and nothing will be begun later, that was all.
  hedge_action rest() noexcept {
    if (under_way_ != 0 || next_at_ != time_point::max()) return {};
    error last = *last_;
    if (last.stopped_by == errc{}) last.stopped_by = last.no_retry ? errc::retry_forbidden : stopped_by_;
    return fail(last);
  }
  hedge_action refuse(const error& why) noexcept {
    observer_.on_refusal(guard_, why);
    return fail(why);
  }
  hedge_action fail(const error& why) noexcept {
    over_ = true;
    leave_budget();
    give_up(why);
    return {hedge_step::failed, 0};
  }
  void give_up(const error& why) noexcept {
    failure_ = why;
    failure_->attempts = begun_attempts_;
    failure_->not_sent = why.not_sent && !sent_;
    // As by call_machine: who has repeated it tells the layers outside.
    failure_->no_retry = why.no_retry || begun_attempts_ > 1 || why.stopped_by == errc::retry_budget_exhausted;
    observer_.on_give_up(guard_, *failure_);
  }

  void leave_budget() noexcept {
    if (std::exchange(in_budget_, false)) guard_.budget.on_call_end();
  }

  // By when it lost, and not by how long it took to hear of it.
  [[nodiscard]] verdict lost_as(const run& one) const noexcept {
    if (guard_.breaker == nullptr || !lost_at_) return verdict::cancelled;
    const duration slow = guard_.breaker->options().slow_call;
    return slow > duration::zero() && *lost_at_ - one.what.begun >= slow && !one.what.probe ? verdict::ok
                                                                                            : verdict::cancelled;
  }
  void end(run& one, verdict kind, time_point now) noexcept {
    const duration took = now - one.what.begun;
    one.under_way = false;
    --under_way_;
    // Each but the first was paid for. A loser says nothing of its dependency, slow or not: nobody waited for its answer.
    guard_.budget.on_attempt_end(over_ ? verdict::cancelled : kind, one.what.number > 1 ? 1U : 0U);
    if (guard_.breaker != nullptr) {
      const auto reported = guard_.breaker->report(std::move(one.ticket), kind, now, took);
      if (reported.transition) observer_.on_transition(guard_, reported.transition);
    }
    if (guard_.limit != nullptr) guard_.take_limit(guard_.limit->end(one.sample, kind, now).limit);
    one.room = {};
    observer_.on_attempt(guard_, one.what, kind, took);
  }

  const guard& guard_;
  const hedge_options options_;
  latency_sketch* const usual_;
  call_context context_;
  Observer& observer_;
  std::array<run, Hedges + 1> runs_{};
  std::optional<error> last_{};
  std::optional<error> failure_{};
  time_point next_at_ = time_point::max();
  std::optional<time_point> lost_at_{};  // when the answer came, if there is one
  errc stopped_by_{};
  std::uint16_t begun_attempts_ = 0;
  std::uint16_t under_way_ = 0;
  bool over_ = false;
  bool in_budget_ = false;  // it counts this call as under way
  bool sent_ = false;       // an attempt may have reached the callee
};

}  // namespace holdfast
