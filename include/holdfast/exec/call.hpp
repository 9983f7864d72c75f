// SPDX-License-Identifier: MIT
// run: one guarded call with an operation that may block, from its deadline to its outcome.
//
//   operation   caller       progress   allocates   note
//   run         any thread   as `op`    never       drives a call_machine on the calling thread
//
// In short: any thread | as the operation | never | the last error, attempts made, the guard that ended them
//
// exec/call_machine.hpp says in which order the guard's policies are asked. A callee that throws is wrapped by
// exec/catch_errors.hpp. For coroutines there are exec/co_call.hpp and interop/asio_call.hpp.
//
// The clock is read when the call begins and when an attempt or a wait has ended: twice for a call that succeeds.
//
// Memory: the machine, on the stack. Proof: tests/unit/call_test.cpp, tests/alloc/request_alloc_test.cpp.
#pragma once

#include <thread>
#include <type_traits>
#include <utility>

#include "holdfast/core/outcome.hpp"
#include "holdfast/exec/call_machine.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// Waits by sleeping on the calling thread. A wait is a callable from a time_point to bool; false means: cancelled.
struct sleep_on_this_thread {
  bool operator()(time_point until) const {
    std::this_thread::sleep_until(until);
    return true;
  }
};

// Waits in the line of a room that is full, by steady time; a wait that goes by another clock has enter(room, until) itself.
template <class Wait>
bulkhead::admission wait_for_room(Wait& wait, bulkhead& room, deadline until) {
  if constexpr (requires { wait.enter(room, until); }) {
    return wait.enter(room, until);
  } else {
    return room.wait_acquire(until);
  }
}

// `op(const attempt&) -> outcome<T>` keeps to the attempt's deadline itself: nothing here can stop it. The call began at
// `begun`.
template <call_shape Shape = call_shape{}, class Op, clock_source Clock, class Wait, class Observer>
auto run_from(time_point begun, const guard& protects, const call_context& context, const Clock& clock, Op&& op,
              Wait&& wait, Observer&& observer) -> std::invoke_result_t<Op&, const attempt&> {
  using result = std::invoke_result_t<Op&, const attempt&>;
  call_machine<std::remove_cvref_t<Observer>, Shape> machine(protects, context, observer);
  auto step = machine.start(begun);
  while (step != call_step::done) {
    if (step == call_step::attempt) {
      result answer = op(machine.current());
      if (answer.kind() == verdict::ok) {
        machine.answered(clock.now());
        return answer;
      }
      step = machine.finish(answer.kind(), answer.error(), clock.now());
    } else if (Shape.room != presence::absent && step == call_step::room) {
      auto got = wait_for_room(wait, *protects.room, deadline(machine.wake_at()));
      step = machine.entered(std::move(got), clock.now());
    } else if (wait(machine.wake_at())) {
      step = machine.resume(clock.now());
    } else {
      machine.cancel(clock.now());
      step = call_step::done;
    }
  }
  return machine.failure();
}
template <class Op, clock_source Clock, class Wait = sleep_on_this_thread, class Observer = no_observer>
auto run(const guard& protects, const call_context& context, const Clock& clock, Op&& op, Wait&& wait = {},
         Observer&& observer = {}) {
  return run_from(clock.now(), protects, context, clock, op, wait, observer);
}

}  // namespace holdfast
