// SPDX-License-Identifier: MIT
// call_machine: one guarded call as a sequence of steps: attempt, wait, room, done. Whoever drives it makes the attempts.
//
//   operation   caller             progress    allocates   note
//   start       the call's owner   lock-free   never       once; says what to do next: attempt, wait or done
//   finish      the call's owner   lock-free   never       takes the attempt's result, says what next
//   answered    the call's owner   lock-free   never       finish for an attempt that was answered
//   resume      the call's owner   lock-free   never       the wait is over
//   entered     the call's owner   lock-free   never       the wait for a place in the room is over
//   cancel      the call's owner   lock-free   never       the caller went away; nobody is judged by it
//
// In short: one owner a call | lock-free | never | the last error, attempts made, the guard that ended them
//
// A machine is one call and has one owner at a time; it reads no clock, never sleeps and runs no foreign code: whoever
// drives it does. exec/call.hpp drives it with code that may block, exec/co_call.hpp with coroutines, and
// interop/asio_call.hpp on Boost.Asio. Its guard and its observer outlive it.
//
// The order, and why. The deadline is asked first: work whose answer nobody awaits is waste. Then what is asked once a
// call: the rate limiter at the door. Then, for each attempt: the bulkhead comes before the breaker, so that a scarce
// half-open probe is never taken by a call that the bulkhead then turns away; the attempts' rate limiter comes last,
// because what it hands out is used up. (A call that waits in the bulkhead's queue does so before it asks the others: what they
// say is of the moment at which it can be made.) What an inner policy refuses gives the outer permits back as abandoned. Retry is
// the loop around the attempt, so each attempt is admitted and counted anew, unless the guard says `whole_call`. An
// adaptive limit hears how each attempt ended, and the room gets the limit that it has found.
// Counting (the observer) comes before any fallback, so that a served fallback cannot hide a failure. An answer that
// comes after its attempt's deadline is still handed out, since it is there, but the breaker is told `timeout`: the
// callee did not do its job in time.
//
// The budget pays for a retry before its wait, and what it pays is for an attempt that is begun. While the bulkhead or
// the breaker turns the retry away and it waits again, the tokens stay with it; when the call ends, is cancelled or is
// dropped before the attempt begins, they go back, once. So what a budget has lost is what its dependency was sent.
//
// Layers do not multiply, and neither do their budgets add up. An attempt that is itself a repetition says so to calls made
// inside it (attempt::context), which then make one attempt. And a call that has repeated its attempt, or whose budget
// would not pay for that, ends with error::no_retry, so that nobody outside begins anew: pass it on with your answer. Of one
// call only one layer repeats, the innermost that can, and its budget pays. (Where calls differ in which layer that is, each of
// those budgets may be spent.) An operation that asks somebody else the next time, another host or a replica, clears
// error::no_retry: that is a failover, and the layer around it may go on. What a policy here has refused pass on as throttled
// (429): the circuits of those who ask would take a failure (503) for one of yours, and open anew with each of their probes that
// meets a circuit of yours that is still open (tests/sim/recovery_sim.cpp).
//
// Memory: all of it lies inside the machine; no step allocates, on any path.
// Proof: tests/unit/call_test.cpp (R1, D1, D2 for whole calls), tests/model/retry_budget_model.cpp and
// tests/stress/retry_budget_stress.cpp (calls that share a budget), tests/alloc/request_alloc_test.cpp, tests/sim (three
// layers in time).
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

enum class call_step : std::uint8_t {
  attempt,  // make one: current()
  wait,     // until wake_at(), then resume()
  room,     // wait in the queue of the guard's room, until wake_at() at the longest, then entered()
  done,
};

// Is a policy there? Known where a pipeline was composed, and asked of the guard where it is handed in.
enum class presence : std::uint8_t { asked, absent, present };

struct call_shape {
  presence rate = presence::asked;
  presence room = presence::asked;
  presence breaker = presence::asked;
  presence attempt_rate = presence::asked;
  presence budget = presence::asked;
  presence limit = presence::asked;

  friend constexpr bool operator==(const call_shape&, const call_shape&) noexcept = default;
};

// `Random` is where the random part of its waits comes from. A simulation hands in its own, and its seed repeats them.
template <class Observer = no_observer, call_shape Shape = call_shape{}, random_bits Random = shared_random_bits>
class call_machine {
 public:
  call_machine(const guard& protects, const call_context& context, Observer& observer, Random bits = Random()) noexcept
      : guard_(protects), context_(context), observer_(observer), bits_(std::move(bits)) {
    HOLDFAST_ASSERT(!validate(protects));
  }
  call_machine(const call_machine&) = delete;
  call_machine& operator=(const call_machine&) = delete;
  ~call_machine() {
    return_tokens();
    if (in_budget_ && in_attempt_) leave_attempt(verdict::cancelled);
    leave_budget();
  }

  // The first step, once.
  [[gnu::always_inline]] call_step start(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    begun_ = now;
    context_.until = guard_.until(now, context_);
    if (has(Shape.rate, guard_.rate) && !context_.until.passed(now)) {
      auto admitted = guard_.rate->admit(now, context_.cost);
      if (!admitted) return refused(admitted.refusal, policy_scope::whole_call, now);
      entry_ = std::move(admitted.ticket);
    }
    return try_attempt(now);
  }

  // After `attempt`: what came of it. `why` is read only when `kind` is not ok.
  [[gnu::noinline]] call_step finish(verdict kind, const error& why, time_point now) noexcept {
    if (kind == verdict::ok) return answered(now);
    [[maybe_unused]] const auto watched = watch_step();
    sent_ = sent_ || !why.not_sent;
    end_attempt(kind, now);
    return after_failure(why, now);
  }
  [[gnu::always_inline]] call_step answered(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    end_attempt(attempt_.context.until.passed(now) ? verdict::timeout : verdict::ok, now);
    end_call(now);
    return call_step::done;
  }

  // After `wait`: it is wake_at() or later.
  [[gnu::noinline]] call_step resume(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    return try_attempt(now);
  }

  // After `room`: what came of it.
  [[gnu::noinline]] call_step entered(bulkhead::admission got, time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    if (got.refusal == errc::cancelled) return end_cancelled(now);
    if (context_.until.passed(now)) return give_up(errc::deadline_exceeded, now);
    if (!got) return refused(got.refusal, guard_.room_for, now);
    room_ = std::move(got.place);
    return admit(now);
  }

  // The caller went away, during an attempt or a wait: neutral for the breaker, never a failure of the callee.
  void cancel(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    if (in_attempt_) end_attempt(verdict::cancelled, now);
    end_cancelled(now);
  }

  // Valid after `attempt`.
  [[nodiscard]] const attempt& current() const noexcept { return attempt_; }
  // Valid after `wait` and `room`.
  [[nodiscard]] time_point wake_at() const noexcept { return wake_at_; }
  // Valid after a `done` that no answer caused: the last error, with the attempts made and the guard that ended them.
  [[nodiscard]] const error& failure() const noexcept {
    HOLDFAST_ASSERT(failure_.has_value());
    return *failure_;
  }
  [[nodiscard]] std::uint16_t attempts() const noexcept { return attempts_; }
  [[nodiscard]] duration elapsed(time_point now) const noexcept { return now - begun_; }

  // An operation that outlives its attempt still uses the dependency: its driver takes the room over before finish()
  // and gives it back when the operation has really ended. Without this a hanging dependency, attempt by attempt, would
  // take every thread and connection there is. (Where the room is for the whole call, the next attempt needs another.)
  [[nodiscard]] bulkhead::permit detach_room() noexcept { return std::move(room_); }

 private:
  struct unwatched {};
  auto watch_step() noexcept {
    if constexpr (requires { observer_.watch_step(); }) {
      return observer_.watch_step();
    } else {
      return unwatched{};
    }
  }

  static constexpr bool has(presence known, const void* policy) noexcept {
    return known == presence::present || (known == presence::asked && policy != nullptr);
  }
  [[nodiscard]] bool has_budget() const noexcept {
    return Shape.budget == presence::present || (Shape.budget == presence::asked && guard_.budget);
  }
  [[nodiscard]] bool has_room() const noexcept { return has(Shape.room, guard_.room); }
  [[nodiscard]] bool has_limit() const noexcept { return has(Shape.limit, guard_.limit); }
  [[nodiscard]] bool has_breaker() const noexcept { return has(Shape.breaker, guard_.breaker); }

  // The order of an attempt, all of it.
  [[gnu::always_inline]] call_step try_attempt(time_point now) noexcept {
    if (context_.until.passed(now)) return give_up(errc::deadline_exceeded, now);
    ++tries_;
    if (has_room() && !room_) {
      if (has_limit()) guard_.take_limit(guard_.limit->limit());
      room_ = guard_.room->try_take();
      if (!room_) return found_full(now);
    }
    return admit(now);
  }
  [[gnu::noinline]] call_step found_full(time_point now) noexcept {
    if (guard_.room_wait > duration::zero()) {
      wake_at_ = context_.until.tightened(now, guard_.room_wait).at();
      return call_step::room;
    }
    room_ = guard_.room->try_acquire();  // which counts the refusal
    return room_ ? admit(now) : refused(errc::bulkhead_full, guard_.room_for, now);
  }
  // What is asked behind the room.
  [[gnu::always_inline]] call_step admit(time_point now) noexcept {
    if (has_breaker() && !ticket_) {
      auto admitted = guard_.breaker->admit(now);
      if (admitted.transition) observer_.on_transition(guard_, admitted.transition);
      if (!admitted) return refused(guard_.breaker->explain(admitted.refusal, now), guard_.breaker_for, now);
      ticket_ = std::move(admitted.ticket);
    }
    if (has(Shape.attempt_rate, guard_.attempt_rate)) {
      const rate_answer paid = guard_.attempt_rate->try_take(now, context_.cost);
      if (!paid) return refused(paid, policy_scope::each_attempt, now);
    }
    entry_.keep();
    // Here and not in start(): who is turned away has sent nothing that a retry could be a share of.
    if (has_budget() && attempts_ == 0 && !context_.is_retry) {
      guard_.budget.on_first_attempt(now);
      in_budget_ = guard_.budget.hears_ends();
    }
    ++attempts_;
    in_attempt_ = true;
    used_tokens_ = std::exchange(unused_tokens_, 0);
    // Member by member: written as a whole and copied, each piece would wait until it has been stored.
    attempt_.number = attempts_;
    attempt_.begun = now;
    attempt_.context.until = guard_.attempt_until(now, context_.until);
    attempt_.context.safety = context_.safety;
    attempt_.context.is_retry = context_.is_retry || attempts_ > 1;
    attempt_.context.cost = context_.cost;
    attempt_.generation = ticket_.generation();
    attempt_.probe = ticket_.is_probe();
    if (has_limit()) sampled_ = guard_.limit->begin(now, guard_.room->in_flight());
    return call_step::attempt;
  }

  [[gnu::always_inline]] void end_attempt(verdict kind, time_point now) noexcept {
    in_attempt_ = false;
    last_ = kind;
    if (has_budget() && guard_.budget.hears_ends()) [[unlikely]]
      leave_attempt(kind);
    if (has_breaker() && guard_.breaker_for == policy_scope::each_attempt) report(kind, now, attempt_.begun);
    if (has_limit()) adapt(kind, now);
    if (guard_.room_for == policy_scope::each_attempt) room_ = {};
    observer_.on_attempt(guard_, attempt_, kind, now - attempt_.begun);
  }

  [[gnu::noinline]] void adapt(verdict kind, time_point now) noexcept {
    guard_.take_limit(guard_.limit->end(sampled_, kind, now).limit);
  }

  // Of those that are for the whole call. A breaker that is hears what the last attempt came to.
  [[gnu::always_inline]] void end_call(time_point now) noexcept {
    if (has_breaker() && ticket_ && attempts_ > 0) report(last_, now, begun_);
    if (in_budget_) [[unlikely]]
      leave_budget();
    abandon();
  }
  void report(verdict kind, time_point now, time_point begun) noexcept {
    const auto reported = guard_.breaker->report(std::move(ticket_), kind, now, now - begun);
    if (reported.transition) observer_.on_transition(guard_, reported.transition);
  }
  void abandon() noexcept {
    ticket_ = {};
    room_ = {};
    entry_ = {};
  }

  [[gnu::noinline]] call_step refused(const error& why, policy_scope asked_for, time_point now) noexcept {
    if (guard_.breaker_for == policy_scope::each_attempt) ticket_ = {};
    if (guard_.room_for == policy_scope::each_attempt) room_ = {};
    observer_.on_refusal(guard_, why);
    return asked_for == policy_scope::whole_call ? give_up(why, now) : after_failure(why, now);
  }

  [[gnu::noinline]] call_step after_failure(const error& why, time_point now) noexcept {
    if (context_.is_retry) return give_up(why, now);
    const auto next = should_retry(guard_.retry, why, tries_, context_.safety, now, context_.until, guard_.budget,
                                   previous_delay_, bits_);
    if (!next.retry) {
      if constexpr (requires { observer_.on_budget_exhausted(guard_, why, next.held_back); }) {
        if (next.gives_notice) observer_.on_budget_exhausted(guard_, why, next.held_back);
      }
      error last = why;
      last.stopped_by = next.why_not;
      return give_up(last, now);
    }
    // More than once when it was turned away in between: that costs nothing, and what was paid before still pays.
    unused_tokens_ += next.paid;
    previous_delay_ = next.delay;
    wake_at_ = now + next.delay;
    observer_.on_retry(guard_, why, tries_, next.delay);
    return call_step::wait;
  }

  call_step end_cancelled(time_point now) noexcept {
    last_ = verdict::cancelled;
    return give_up(errc::cancelled, now);
  }
  [[gnu::noinline]] call_step give_up(error why, time_point now) noexcept {
    return_tokens();
    end_call(now);
    why.attempts = attempts_;
    // This layer has repeated it, or its budget would not pay for that: the layers outside are not to begin anew.
    // So is one whose repetition was turned away here: that it costs nothing is true of it, but not of what was sent.
    const bool turned_away_later = sent_ && why.not_sent;
    why.not_sent = why.not_sent && !sent_;
    why.no_retry = why.no_retry || attempts_ > 1 || turned_away_later || why.stopped_by == errc::retry_budget_exhausted;
    failure_ = why;
    observer_.on_give_up(guard_, *failure_);
    return call_step::done;
  }

  // For a retry that is not made.
  void return_tokens() noexcept {
    if (unused_tokens_ != 0) guard_.budget.give_back(std::exchange(unused_tokens_, 0));
  }
  // Of the budgets that count what is under way, or what came of it.
  [[gnu::noinline]] void leave_attempt(verdict kind) noexcept {
    guard_.budget.on_attempt_end(kind, std::exchange(used_tokens_, 0));
  }
  void leave_budget() noexcept {
    if (std::exchange(in_budget_, false)) guard_.budget.on_call_end();
  }

  const guard& guard_;
  call_context context_;
  Observer& observer_;
  [[no_unique_address]] Random bits_;
  rate_limiter::permit entry_{};  // until the first attempt begins
  bulkhead::permit room_{};
  circuit_breaker::permit ticket_{};
  adaptive_limit::ticket sampled_{};
  attempt attempt_{};
  std::optional<error> failure_{};
  time_point begun_{};
  time_point wake_at_{};
  duration previous_delay_{};
  std::uint32_t unused_tokens_ = 0;  // paid for the retry that is waited for
  std::uint32_t used_tokens_ = 0;    // paid for the attempt under way
  std::uint16_t tries_ = 0;          // admissions asked for: what max_attempts bounds
  std::uint16_t attempts_ = 0;       // operations begun
  verdict last_{};                   // of the last attempt
  bool in_attempt_ = false;
  bool in_budget_ = false;  // it counts this call as under way
  bool sent_ = false;       // an attempt may have reached the callee
};

}  // namespace holdfast
