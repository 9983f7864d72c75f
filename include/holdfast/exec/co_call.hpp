// SPDX-License-Identifier: MIT
// co_call: one guarded call of a coroutine: its attempts are awaited, and in the waits between them no thread is.
//
//   operation                                  caller            progress   allocates          note
//   co_await co_call(room, guard, context,     a coroutine, on   as `op`    its frame, where   begins on the caller's thread
//                    loop, op, stop)           any thread                   `room` is full
//
// In short: a coroutine on any thread | as the operation | its frame, where its arena is full | as `exec/call`
//
//   task<> serve(run_loop& loop) {
//     frame_arena<> room;
//     const outcome<row> got =
//         co_await co_call(room, rows, {}, loop, [&](const attempt& a) { return query(id, a.context.until); });
//
// For a pipeline in the guard's place there is exec/co_pipeline.hpp. `op(const attempt&)` returns anything that can be awaited
// for an outcome<T>. It keeps to its attempt's deadline itself, as in run(): a frame that somebody is still to resume cannot be
// left. `stop`, a std::stop_token or an inplace_stop_token, ends a wait between attempts at once; an attempt is expected to look
// at it, too, and one that then fails ends the call as cancelled, which no breaker counts.
// An operation that takes a stoppable_attempt is asked to stop at its attempt's deadline, and when `stop` is asked for, by
// stoppable_attempt::stop; it begins on the loop's thread, and the call goes on there (exec/co_timeout.hpp). What it fails with
// after its deadline is errc::attempt_timeout.
//
// Any coroutine type may await it that takes awaitables of others. The call goes on where its operation resumed it; after a wait
// that is the loop. What `op` throws comes out of co_await, and the permits go back as abandoned. Guard and policies outlive
// the call; op, clock and observer are copied into its frame, which lies in `room` (exec/frame_arena.hpp).
//
// Proof: unit/co_call_test.cpp, alloc/co_call_alloc_test.cpp, stress/co_call_stress.cpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/error.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/exec/awaiter.hpp"
#include "holdfast/exec/call_machine.hpp"
#include "holdfast/exec/co_bulkhead.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/co_timeout.hpp"
#include "holdfast/exec/frame_arena.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// Does it want to be told when to stop? Whatever takes an attempt takes one that can be stopped as well.
template <class Op>
inline constexpr bool hears_stops = !std::invocable<Op&, const attempt&>;
template <class Op>
using attempt_result = await_result<std::invoke_result_t<Op&, const stoppable_attempt&>>;

template <call_shape Shape = call_shape{}, class Op, timed_executor Loop, stoppable_token Stop = std::stop_token,
          clock_source Clock = steady_clock, class Observer = no_observer>
auto co_call(arena& room, const guard& protects, call_context context, Loop& loop, Op op, Stop stop = {},
             Clock clock = {}, Observer observer = {}) -> basic_task<attempt_result<Op>, arena_frame> {
  using result = attempt_result<Op>;
  static_assert(
      alignof(Op) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ && alignof(Observer) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ &&
          alignof(Clock) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ && alignof(result) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
      "coroutines' frames are aligned as operator new aligns");
  call_machine<Observer, Shape> machine(protects, context, observer);
  auto step = machine.start(clock.now());
  while (step != call_step::done) {
    if (step == call_step::attempt) {
      auto asked_by = stop_cause::none;
      std::optional<result> got;
      if constexpr (hears_stops<Op>) {
        const auto begin = [&](inplace_stop_token hears) { return op(stoppable_attempt{machine.current(), hears}); };
        auto timed = co_await co_timeout(room, loop, machine.current().context.until, begin, stop);
        asked_by = timed.asked_by;
        got.emplace(std::move(timed.value));
      } else {
        got.emplace(co_await op(machine.current()));
      }
      result& answer = *got;
      if (asked_by == stop_cause::deadline && !answer.ok()) {
        error late = errc::attempt_timeout;
        late.not_sent = answer.error().not_sent;
        answer = late;
      }
      if (answer.kind() == verdict::ok) {
        machine.answered(clock.now());
        co_return std::move(answer);
      }
      if (stop.stop_requested()) {
        machine.cancel(clock.now());
        break;
      }
      step = machine.finish(answer.kind(), answer.error(), clock.now());
    } else if (step == call_step::room) {
      if constexpr (Shape.room != presence::absent) {
        auto got = co_await co_wait_acquire(*protects.room, loop, deadline(machine.wake_at()), stop);
        step = machine.entered(std::move(got), clock.now());
      }
    } else {
      const bool in_time = co_await co_sleep(loop, machine.wake_at(), stop);
      if (!in_time) {
        machine.cancel(clock.now());
        break;
      }
      step = machine.resume(clock.now());
    }
  }
  co_return machine.failure();
}

}  // namespace holdfast
