// SPDX-License-Identifier: MIT
// co_pipeline: a pipeline called by a coroutine.
//
//   operation                               caller                  progress   allocates
//   co_await co_call(room, pipe, context,   a coroutine, on any     as `op`    its frames, where `room` is full
//                    loop, op, stop)        thread
//
// In short: a coroutine on any thread | as the operation | its frames, where its arena is full | as `exec/pipeline`
//
// As exec/co_call.hpp, with the pipeline's own knowledge of what is there; with with::hedge as exec/co_hedge.hpp, where `op` is
// handed a stoppable_attempt, which is an attempt as well, and a stop ends the call as cancelled. With with::fallback it returns
// served<T>; its tiers are callables that do not wait, as in a call that blocks. The pipeline outlives the call.
//
// Proof: unit/co_call_test.cpp, unit/co_hedge_test.cpp, alloc/co_call_alloc_test.cpp.
#pragma once

#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/co_call.hpp"
#include "holdfast/exec/co_hedge.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/frame_arena.hpp"
#include "holdfast/exec/pipeline.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// What comes before the tiers, if there are any.
template <class... Layers, class Op, timed_executor Loop, stoppable_token Stop, clock_source Clock, class Observer>
auto co_call_itself(arena& room, const pipeline<Layers...>& pipe, const call_context& context, Loop& loop, Op op,
                    Stop stop, Clock clock, Observer observer) {
  if constexpr (pipeline<Layers...>::hedges != 0) {
    return co_hedge<pipeline<Layers...>::hedges>(room, pipe.protects(), pipe.hedging(), context, loop, std::move(op),
                                                 std::move(stop), std::move(clock), std::move(observer));
  } else {
    return co_call<pipeline<Layers...>::shape>(room, pipe.protects(), context, loop, std::move(op), std::move(stop),
                                               std::move(clock), std::move(observer));
  }
}

template <class... Layers, class Op, timed_executor Loop, stoppable_token Stop = std::stop_token,
          clock_source Clock = steady_clock, class Observer = no_observer>
  requires(!pipeline<Layers...>::falls_back)
auto co_call(arena& room, const pipeline<Layers...>& pipe, call_context context, Loop& loop, Op op, Stop stop = {},
             Clock clock = {}, Observer observer = {}) {
  pipe.judge(context);
  return co_call_itself(room, pipe, context, loop, std::move(op), std::move(stop), std::move(clock),
                        std::move(observer));
}

template <class... Layers, class Op, timed_executor Loop, stoppable_token Stop = std::stop_token,
          clock_source Clock = steady_clock, class Observer = no_observer>
requires pipeline<Layers...>::falls_back auto co_call(arena& room, const pipeline<Layers...>& pipe,
                                                      call_context context, Loop& loop, Op op, Stop stop = {},
                                                      Clock clock = {}, Observer observer = {})
    -> basic_task<served<typename attempt_result<Op>::value_type>, arena_frame> {
  pipe.judge(context);
  context.until = pipe.protects().until(clock.now(), context);
  auto first =
      co_await co_call_itself(room, pipe, context, loop, std::move(op), std::move(stop), clock, std::move(observer));
  if (first.ok()) co_return pipe.answered(std::move(first));
  co_return pipe.after_failure(std::move(first), context, clock);
}

}  // namespace holdfast
