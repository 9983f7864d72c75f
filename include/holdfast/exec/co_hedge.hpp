// SPDX-License-Identifier: MIT
// co_hedge: one guarded call of a coroutine with several attempts beside each other: the first answer is the call's.
//
//   operation                                   caller           progress   allocates          note
//   co_await co_hedge(room, guard, how,         a coroutine, on  as `op`    its frame and one  goes on on the loop's thread
//                     context, loop, op, stop)  any thread                  an attempt, where
//                                                                           `room` is full
//
// In short: a coroutine on any thread | as the operation | its frames, where its arena is full | as `exec/hedge_machine`
//
//   task<> serve(run_loop& loop) {
//     frame_arena<2048> room;
//     const auto op = [&](const stoppable_attempt& a) { return query(id, a.context.until, a.stop); };
//     const outcome<row> got = co_await co_hedge<2>(room, rows, {.options = {.max_hedges = 2}, .usual = &latencies}, context,
//                                                   loop, op);
//
// For a pipeline with with::hedge there is exec/co_pipeline.hpp. exec/hedge_machine.hpp says when another attempt is begun and
// which result is the call's: H1 to H3 are its, with the delay of `how` from policy/hedge.hpp. Here the attempts are made:
//
//   H4 The call ends when its last attempt has ended, the losers too. When there is an answer, or `stop` has been asked for, those
//      under way are asked to stop, by stoppable_attempt::stop, a token of the call's own storage (core/inplace_stop.hpp); how long
//      the losers take to hear it is how long the answer waits.
//
// `op(const stoppable_attempt&)` returns anything that can be awaited for an outcome<T>. It is called on the loop's thread and may
// go on on any; it keeps to its attempt's deadline itself, and the sooner it hears a stop, the better. Attempts end in any
// order, so their own coroutines do not lie in `room`: where they have an arena, it is one for each attempt, by its number.
// What `op` throws comes out of co_await when all attempts have ended, and the call counts as cancelled; what a loser throws is
// dropped.
//
// A call that is stopped before its answer ends as cancelled, whatever its attempts come to. All of its steps are made on the
// loop's thread, one after the other. The guard's room, breaker and limits are for each attempt. Guard, sketch and policies outlive
// the call; op, clock and observer are copied into its frame.
//
// `Hedges` is how many the call's frame has room for: at least how.options.max_hedges.
//
// Memory: in `room` the frame, about 1,000 bytes and 100 for each hedge after the first, and 300 for each attempt, with what T and
// op take; they are given back when the call ends. An attempt begins in a step of the loop, which cannot fail: where its frame
// does not fit into `room`, and there is no other memory either, the program ends.
//
// Proof: unit/co_hedge_test.cpp (H1-H4), model/co_hedge_model.cpp, alloc/co_hedge_alloc_test.cpp, stress/co_hedge_stress.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/exec/attempt_run.hpp"
#include "holdfast/exec/co_call.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/frame_arena.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/exec/hedge_machine.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/policy/hedge.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/timer_heap.hpp"

namespace holdfast {

// A hedged call, as what its coroutine awaits.
template <std::size_t Hedges, class Op, timed_executor Loop, stoppable_token Stop, clock_source Clock, class Observer>
class hedged_call : timer, runnable {
 public:
  using result = await_result<std::invoke_result_t<Op&, const stoppable_attempt&>>;

  hedged_call(arena& room, const guard& protects, const hedge_policy& how, const call_context& context, Loop& loop,
              Op& op, const Stop& stop, const Clock& clock, Observer& observer) noexcept
      : timer(it_is_time),
        runnable(posted),
        machine_(protects, how.options, how.usual, context, observer),
        room_(room),
        loop_(loop),
        op_(op),
        stop_(stop),
        clock_(clock),
        context_(current_context()) {}
  hedged_call(const hedged_call&) = delete;
  hedged_call& operator=(const hedged_call&) = delete;
  ~hedged_call() = default;

  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_ = caller;
    loop_.post(*this);  // and touched no more: it may have been resumed and be gone
  }
  result await_resume() {
    if (thrower_ != nobody) runs_[thrower_].promise().rethrow();
    if (winner_ == nobody) return machine_.failure();
    return std::move(*runs_[winner_].promise().answer());
  }

  // ---- its attempts

  [[nodiscard]] stoppable_attempt attempt_of(std::size_t which) noexcept {
    return {machine_.current(which), losers_.get_token()};
  }
  [[nodiscard]] Op& op() noexcept { return op_; }
  void post(runnable& run) noexcept { loop_.post(run); }
  void finished(std::size_t which, const std::optional<result>& answer) noexcept {
    const time_point now = clock_.now();
    step([&] {
      if (!answer.has_value()) {
        if (!machine_.over()) thrower_ = which;
        machine_.cancel();
        machine_.finish(which, verdict::cancelled, errc::cancelled, now);
      } else if (answer->ok()) {
        take(machine_.finish(which, verdict::ok, {}, now));
      } else {
        take(machine_.finish(which, answer->kind(), answer->error(), now));
      }
    });
  }

 private:
  static constexpr std::size_t nobody = Hedges + 1;

  struct tell {
    hedged_call& who;
    void operator()() const noexcept {
      who.told_ = true;
      who.loop_.post(who);
    }
  };

  // Posted to begin, and once more by a stop. All of it is run on the loop's thread, one after the other, but for tell.
  static void posted(runnable& self) noexcept {
    auto& me = static_cast<hedged_call&>(self);
    me.step([&me] {
      if (me.begun_) {
        me.heard_ = true;
        me.machine_.cancel();
        return;
      }
      me.begun_ = true;
      if (me.stop_.stop_requested()) {
        me.machine_.cancel();
        return;
      }
      if (me.stop_.stop_possible()) me.on_stop_.emplace(me.stop_, tell{me});
      me.take(me.machine_.start(me.clock_.now()));
    });
  }
  static void it_is_time(timer& self) noexcept {
    auto& me = static_cast<hedged_call&>(self);
    // By the loop's clock it is that time, and a clock that is behind it would have the timer set again and again.
    me.step([&me] { me.take(me.machine_.on_time(std::max(me.clock_.now(), me.machine_.next_at()))); });
  }

  template <class What>
  void step(What what) noexcept {
    {
      const context_scope scope(context_);
      what();
    }
    go_on();
  }

  void take(const hedge_action& next) noexcept {
    if (next.step == hedge_step::begin) {
      attempt_run<hedged_call>& run = runs_[next.which];
      run = run_attempt_of(room_, *this, next.which);
      run.begin();  // comes back through the loop, however soon it ends
    } else if (next.step == hedge_step::won && runs_[next.which].promise().answer()->ok()) {
      winner_ = next.which;
    }
  }
  // The last of each step: the call may be gone.
  void go_on() noexcept {
    const time_point next = machine_.next_at();
    if (pending() && due() != next) loop_.cancel(*this);
    if (!pending() && next != time_point::max()) loop_.run_at(*this, next);
    if (!machine_.over()) return;
    if (machine_.under_way() != 0) {
      losers_.request_stop();
      return;
    }
    on_stop_.reset();  // waits for the one who tells, who is still in post
    // If it was told, it has been posted for it, which has to be run first.
    if (told_ == heard_) caller_.resume();
  }

  hedge_machine<Hedges, Observer> machine_;
  inplace_stop_source losers_;
  // Destroyed as frames are given back that await one another: the newest first.
  std::array<attempt_run<hedged_call>, Hedges + 1> runs_{};
  arena& room_;
  Loop& loop_;
  Op& op_;
  const Stop& stop_;
  const Clock& clock_;
  const holdfast::context context_;  // of the request: its attempts begin, and are judged, on the loop
  std::optional<stop_callback_for<Stop, tell>> on_stop_;
  std::coroutine_handle<> caller_;
  std::size_t winner_ = nobody;   // whose answer is ok
  std::size_t thrower_ = nobody;  // whose exception ended the call
  bool begun_ = false;
  bool told_ = false;   // of a stop; written by who asks for it, before it posts
  bool heard_ = false;  // of it, on the loop
};

template <std::size_t Hedges = 1, class Op, timed_executor Loop, stoppable_token Stop = std::stop_token,
          clock_source Clock = steady_clock, class Observer = no_observer>
auto co_hedge(arena& room, const guard& protects, hedge_policy how, call_context context, Loop& loop, Op op,
              Stop stop = {}, Clock clock = {}, Observer observer = {})
    -> basic_task<await_result<std::invoke_result_t<Op&, const stoppable_attempt&>>, arena_frame> {
  using call = hedged_call<Hedges, Op, Loop, Stop, Clock, Observer>;
  using result = typename call::result;
  static_assert(alignof(call) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ && alignof(Op) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ &&
                    alignof(Observer) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ &&
                    alignof(Clock) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ &&
                    alignof(result) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
                "coroutines' frames are aligned as operator new aligns");
  call attempts(room, protects, how, context, loop, op, stop, clock, observer);
  result answer = co_await attempts;
  co_return answer;
}

}  // namespace holdfast
