// SPDX-License-Identifier: MIT
// call: one guarded call, from its deadline to its outcome: attempts behind a bulkhead and a breaker, and the retries
// around them.
//
//   operation               caller             progress    allocates   note
//   call_machine::start     the call's owner   lock-free   never       says what to do next: attempt, wait or done
//   call_machine::finish    the call's owner   lock-free   never       takes the attempt's result, says what next
//   call_machine::resume    the call's owner   lock-free   never       the wait is over
//   call_machine::cancel    the call's owner   lock-free   never       the caller went away; nobody is judged by it
//   run                     any thread         as `op`     never       drives a machine with a blocking callable
//
// In short: one owner a call | lock-free | never | the last error, attempts made, the guard that ended them
//
// A guard is what protects one dependency and is shared by all calls to it. A machine is one call and has one owner at
// a time; it reads no clock, never sleeps and runs no foreign code: whoever drives it does. `run` is the driver for
// code that may block, interop/asio_call.hpp the one for coroutines on Boost.Asio. A callee that throws is wrapped by
// exec/catch_errors.hpp.
//
// The order, and why. The deadline is asked first: work whose answer nobody awaits is waste. The bulkhead comes before
// the breaker, so that a scarce half-open probe is never taken by a call that the bulkhead then turns away; what an
// inner policy refuses gives the outer permits back as abandoned. Retry is the loop around the attempt, so each attempt
// is admitted and counted anew. Counting (the observer) comes before any fallback, so that a served fallback cannot
// hide a failure. An answer that comes after its attempt's deadline is still handed out, since it is there, but the
// breaker is told `timeout`: the callee did not do its job in time.
//
// The budget pays for a retry before its wait, and what it pays is for an attempt that is begun. While the bulkhead or
// the breaker turns the retry away and it waits again, the tokens stay with it; when the call ends, is cancelled or is
// dropped before the attempt begins, they go back, once. So what a budget has lost is what its dependency was sent.
//
// Memory: all of it lies inside the machine; no step allocates, on any path.
// Proof: tests/unit/call_test.cpp (R1, D1, D2 for whole calls), tests/model/retry_budget_model.cpp and
// tests/stress/retry_budget_stress.cpp (calls that share a budget), tests/alloc/request_alloc_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "holdfast/core/error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// What a call inherits from its caller.
struct call_context {
  deadline until{};
  // May it be carried out twice? The default is the careful answer: only what was certainly not sent is repeated.
  idempotency safety = idempotency::unsafe;
  // An outer layer is already repeating: this one makes a single attempt, so that layers do not multiply (3 x 3 x 3 =
  // 27).
  bool is_retry = false;
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

// What protects one dependency. Null means: without that policy. The policies outlive every call.
struct guard {
  std::string_view name{};
  bulkhead* room = nullptr;
  circuit_breaker* breaker = nullptr;
  retry_budget* budget = nullptr;
  retry_options retry{.max_attempts = 1};
  duration attempt_timeout{};  // zero: an attempt may last as long as the call
};

// Hears what happens to a call, to count and log it. One of your own has these members, noexcept; they are called on the
// call's own thread between policies, never inside one.
// It may have one more, watch_step(): what that returns lives as long as one step of the machine runs, with its
// policies and what the observer does in it, for those who trace or measure what a step costs.
struct no_observer {
  static void on_attempt(const guard&, const attempt&, verdict, duration) noexcept {}    // an attempt has ended
  static void on_refusal(const guard&, const error&) noexcept {}                         // turned away before the call
  static void on_transition(const guard&, const breaker_transition&) noexcept {}         // this call moved the breaker
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}  // will try again after so long
  static void on_give_up(const guard&, const error&) noexcept {}  // the call ends with this error
};

enum class call_step : std::uint8_t { attempt, wait, done };

template <class Observer = no_observer>
class call_machine {
 public:
  call_machine(const guard& protects, const call_context& context, Observer& observer) noexcept
      : guard_(protects), context_(context), observer_(observer) {}
  call_machine(const call_machine&) = delete;
  call_machine& operator=(const call_machine&) = delete;
  ~call_machine() { return_tokens(); }

  // The first step, once.
  call_step start(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    begun_ = now;
    if (guard_.budget != nullptr && !context_.is_retry) guard_.budget->on_first_attempt(now);
    return try_attempt(now);
  }

  // After `attempt`: what came of it. `why` is read only when `kind` is not ok.
  call_step finish(verdict kind, const error& why, time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    const bool late = kind == verdict::ok && attempt_.context.until.passed(now);
    end_attempt(late ? verdict::timeout : kind, now);
    return kind == verdict::ok ? call_step::done : after_failure(why, now);
  }

  // After `wait`: it is wake_at() or later.
  call_step resume(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    return try_attempt(now);
  }

  // The caller went away, during an attempt or a wait: neutral for the breaker, never a failure of the callee.
  void cancel(time_point now) noexcept {
    [[maybe_unused]] const auto watched = watch_step();
    if (in_attempt_) end_attempt(verdict::cancelled, now);
    give_up(error(errc::cancelled));
  }

  // Valid after `attempt`.
  [[nodiscard]] const attempt& current() const noexcept { return attempt_; }
  // Valid after `wait`.
  [[nodiscard]] time_point wake_at() const noexcept { return wake_at_; }
  // Valid after a `done` that no answer caused: the last error, with the attempts made and the guard that ended them.
  [[nodiscard]] const error& failure() const noexcept { return failure_; }
  [[nodiscard]] std::uint16_t attempts() const noexcept { return attempts_; }
  [[nodiscard]] duration elapsed(time_point now) const noexcept { return now - begun_; }

  // An operation that outlives its attempt still uses the dependency: its driver takes the room over before finish()
  // and gives it back when the operation has really ended. Without this a hanging dependency, attempt by attempt, would
  // take every thread and connection there is.
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

  // The order of an attempt, all of it.
  call_step try_attempt(time_point now) noexcept {
    if (context_.until.passed(now)) return give_up(errc::deadline_exceeded);
    ++tries_;
    if (guard_.room != nullptr) {
      room_ = guard_.room->try_acquire();
      if (!room_) return refused(errc::bulkhead_full, now);
    }
    if (guard_.breaker != nullptr) {
      auto admitted = guard_.breaker->admit(now);
      if (admitted.transition) observer_.on_transition(guard_, admitted.transition);
      if (!admitted) {
        room_ = {};
        return refused(admitted.refusal, now);
      }
      ticket_ = std::move(admitted.ticket);
    }
    ++attempts_;
    in_attempt_ = true;
    unused_tokens_ = 0;
    attempt_ = {.number = attempts_,
                .begun = now,
                .context = context_,
                .generation = ticket_.generation(),
                .probe = ticket_.is_probe()};
    attempt_.context.is_retry = context_.is_retry || attempts_ > 1;
    if (guard_.attempt_timeout > duration::zero()) {
      attempt_.context.until = context_.until.tightened(now, guard_.attempt_timeout);
    }
    return call_step::attempt;
  }

  void end_attempt(verdict kind, time_point now) noexcept {
    in_attempt_ = false;
    if (guard_.breaker != nullptr) {
      const auto reported = guard_.breaker->report(std::move(ticket_), kind, now, now - attempt_.begun);
      if (reported.transition) observer_.on_transition(guard_, reported.transition);
    }
    room_ = {};
    observer_.on_attempt(guard_, attempt_, kind, now - attempt_.begun);
  }

  call_step refused(const error& why, time_point now) noexcept {
    observer_.on_refusal(guard_, why);
    return after_failure(why, now);
  }

  call_step after_failure(const error& why, time_point now) noexcept {
    if (context_.is_retry) return give_up(why);
    const auto next = should_retry(guard_.retry, why, tries_, context_.safety, now, context_.until, guard_.budget,
                                   previous_delay_, shared_random);
    if (!next.retry) {
      error last = why;
      last.stopped_by = next.why_not;
      return give_up(last);
    }
    // More than once when it was turned away in between: that costs nothing, and what was paid before still pays.
    unused_tokens_ += next.paid;
    previous_delay_ = next.delay;
    wake_at_ = now + next.delay;
    observer_.on_retry(guard_, why, tries_, next.delay);
    return call_step::wait;
  }

  call_step give_up(error why) noexcept {
    return_tokens();
    why.attempts = attempts_;
    failure_ = why;
    observer_.on_give_up(guard_, failure_);
    return call_step::done;
  }

  // For a retry that is not made.
  void return_tokens() noexcept {
    if (unused_tokens_ != 0) guard_.budget->give_back(std::exchange(unused_tokens_, 0));
  }

  const guard& guard_;
  const call_context context_;
  Observer& observer_;
  bulkhead::permit room_{};
  circuit_breaker::permit ticket_{};
  attempt attempt_{};
  error failure_{};
  time_point begun_{};
  time_point wake_at_{};
  duration previous_delay_{};
  std::uint32_t unused_tokens_ = 0;  // paid for the retry that is waited for
  std::uint16_t tries_ = 0;          // admissions asked for: what max_attempts bounds
  std::uint16_t attempts_ = 0;       // operations begun
  bool in_attempt_ = false;
};

// Waits by sleeping on the calling thread. A wait is a callable from a time_point to bool; false means: cancelled.
struct sleep_on_this_thread {
  bool operator()(time_point until) const {
    std::this_thread::sleep_until(until);
    return true;
  }
};

// Drives one call with a blocking operation, `op(const attempt&) -> outcome<T>`, which keeps to the attempt's deadline
// itself: nothing here can stop it.
template <class Op, clock_source Clock, class Wait = sleep_on_this_thread, class Observer = no_observer>
auto run(const guard& protects, const call_context& context, const Clock& clock, Op&& op, Wait&& wait = {},
         Observer&& observer = {}) -> std::invoke_result_t<Op&, const attempt&> {
  using result = std::invoke_result_t<Op&, const attempt&>;
  call_machine<std::remove_cvref_t<Observer>> machine(protects, context, observer);
  auto step = machine.start(clock.now());
  while (step != call_step::done) {
    if (step == call_step::attempt) {
      result answer = op(machine.current());
      step = machine.finish(answer.kind(), answer.ok() ? error{} : answer.error(), clock.now());
      if (answer.ok()) return answer;
    } else if (wait(machine.wake_at())) {
      step = machine.resume(clock.now());
    } else {
      machine.cancel(clock.now());
      step = call_step::done;
    }
  }
  return machine.failure();
}

}  // namespace holdfast
