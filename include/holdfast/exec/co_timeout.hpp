// SPDX-License-Identifier: MIT
// co_timeout: awaits something for so long, and then asks it to stop.
//
//   operation                                caller           progress   allocates               note
//   co_await co_timeout(room, loop, until,   a coroutine, on  as `op`    a frame, where `room`   goes on on the loop's thread
//                       op, stop)            any thread                  is full
//
// In short: a coroutine on any thread | as the operation | a frame, where its arena is full | what its operation made of it
//
//   const auto pop = [&](inplace_stop_token stop) { return co_pop(jobs, next, loop, stop); };
//   const auto got = co_await co_timeout(room, loop, deadline::after(now, 50ms), pop);
//   if (got.asked_by == stop_cause::deadline) ...
//
// `op(inplace_stop_token)` returns anything that can be awaited. It is called on the loop's thread and may go on on any. At
// `until`, or when `stop` is asked for, its token says so; it ends then as soon as it can, and this with it: nothing goes on
// behind the caller's back, and what it has got in that very moment is not lost. `asked_by` says who was the first to ask; who
// was not asked comes with stop_cause::none. What `op` throws comes out of co_await.
//
// An operation of co_call that takes a stoppable_attempt is awaited by this (exec/co_call.hpp). Nothing can be done here about
// one that does not look at its token. Once it has begun it must not be destroyed until it has resumed; the loop goes on until
// then.
//
// Memory: in `room` a frame of about 400 bytes where a task is awaited, and the result. Method: folly::coro::timeout, Kotlin's
// withTimeout, without their exceptions. Proof: unit/co_timeout_test.cpp, stress/co_timeout_stress.cpp,
// alloc/co_call_alloc_test.cpp.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/attempt_run.hpp"
#include "holdfast/exec/awaiter.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/frame_arena.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/time/deadline.hpp"
#include "holdfast/time/timer_heap.hpp"

namespace holdfast {

// Who asked an operation to stop.
enum class stop_cause : std::uint8_t { none, deadline, stop };

template <class T>
struct timed_result {
  T value;
  stop_cause asked_by = stop_cause::none;
};

template <class Op, timed_executor Loop, stoppable_token Stop = std::stop_token>
class [[nodiscard]] co_timeout : timer, runnable {
 public:
  using result = await_result<std::invoke_result_t<Op&, inplace_stop_token>>;

  co_timeout(arena& room, Loop& loop, deadline until, Op op, Stop stop = {})
      : timer(it_is_time),
        runnable(begins),
        room_(room),
        loop_(loop),
        until_(until),
        op_(std::move(op)),
        stop_(std::move(stop)),
        context_(current_context()) {}
  co_timeout(const co_timeout&) = delete;
  co_timeout& operator=(const co_timeout&) = delete;
  ~co_timeout() = default;

  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_ = caller;
    loop_.post(*this);  // and touched no more: it may have been resumed and be gone
  }
  timed_result<result> await_resume() {
    run_.promise().rethrow();
    return {std::move(*run_.promise().answer()), asked_by_};
  }

  // ---- its one attempt

  [[nodiscard]] inplace_stop_token attempt_of(std::size_t /*which*/) noexcept { return asks_.get_token(); }
  [[nodiscard]] Op& op() noexcept { return op_; }
  void post(runnable& run) noexcept { loop_.post(run); }
  void finished(std::size_t /*which*/, const std::optional<result>& /*answer*/) noexcept {
    if (pending()) loop_.cancel(*this);
    on_stop_.reset();  // waits for the one who tells
    caller_.resume();
  }

 private:
  struct tell {
    co_timeout& who;
    void operator()() const noexcept { who.ask(stop_cause::stop); }
  };

  // On the loop's thread, as all but tell.
  static void begins(runnable& self) noexcept {
    auto& me = static_cast<co_timeout&>(self);
    if (!me.until_.is_never()) me.loop_.run_at(me, me.until_.at());
    if (me.stop_.stop_possible()) me.on_stop_.emplace(me.stop_, tell{me});
    const context_scope of_the_caller(me.context_);
    me.run_ = run_attempt_of(me.room_, me, 0);
    me.run_.begin();  // ends by way of the loop, however soon
  }
  static void it_is_time(timer& self) noexcept { static_cast<co_timeout&>(self).ask(stop_cause::deadline); }
  // One of those who ask is the first, and says why; it has said so before its callback, or the timer's turn, has ended.
  void ask(stop_cause why) noexcept {
    if (asked_.exchange(true, mo::relaxed)) return;  // own: of the two one is first, and nothing else is said by it
    asked_by_ = why;
    asks_.request_stop();
  }

  arena& room_;
  Loop& loop_;
  const deadline until_;
  Op op_;
  Stop stop_;
  const context context_;  // of the request: the operation begins on the loop
  inplace_stop_source asks_;
  attempt_run<co_timeout> run_;
  std::optional<stop_callback_for<Stop, tell>> on_stop_;
  std::coroutine_handle<> caller_;
  atomic<bool> asked_{false};
  stop_cause asked_by_ = stop_cause::none;
};

}  // namespace holdfast
