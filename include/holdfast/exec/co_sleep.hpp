// SPDX-License-Identifier: MIT
// co_sleep: a coroutine waits for a time, and no thread does.
//
//   operation                          caller              progress                 allocates   note
//   co_await co_sleep(loop, until)     a coroutine, on     as the loop's post and   never       true
//                                      any thread          its timers
//   the same with a stop token         as above            a stop as its token's    never       false: a stop was asked for
//                                                          callbacks
//
// In short: a coroutine on any thread | as the loop | never | false: stopped
//
// It is resumed by the loop, on its thread, not before `until`, or soon after a stop was asked for. A time that has passed
// takes the way over the loop as well: so it is a place where others get their turn, and where a coroutine that came from
// elsewhere is on the loop again. Once it has begun it must not be destroyed until it has resumed; the loop goes on until then.
//
// Keep what it returns in a variable: g++ 12 loses a coroutine whose condition awaits something made of a moved parameter.
//
// The token is a std::stop_token, or an inplace_stop_token (core/inplace_stop.hpp), whose source allocates nothing.
//
// A loop is anything with post() as an executor's, and run_at() and cancel() for timers, which are called on its own thread:
// exec/run_loop.hpp is one.
//
// Proof: unit/co_sleep_test.cpp, stress/co_call_stress.cpp, alloc/co_call_alloc_test.cpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/timer_heap.hpp"

namespace holdfast {

template <class L>
concept timed_executor = executor<L> && requires(L& loop, timer& one, time_point due) {
  { loop.run_at(one, due) }
  noexcept;
  { loop.cancel(one) }
  noexcept->std::same_as<bool>;
};

template <timed_executor Loop, stoppable_token Stop = std::stop_token>
class [[nodiscard]] co_sleep : timer, runnable {
 public:
  co_sleep(Loop& loop, time_point until, Stop stop = {}) noexcept
      : timer(it_is_time), runnable(posted), loop_(loop), until_(until), stop_(std::move(stop)) {}
  co_sleep(const co_sleep&) = delete;
  co_sleep& operator=(const co_sleep&) = delete;

  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_ = caller;
    loop_.post(*this);  // and touched no more: it may have been resumed and be gone
  }
  [[nodiscard]] bool await_resume() const noexcept { return in_time_; }

 private:
  // Posted to begin, and once more by a stop. All of it is run on the loop's thread, one after the other, but for tell.
  enum class phase : std::uint8_t { begins, waits, over };
  struct tell {
    co_sleep& who;
    void operator()() const noexcept {
      who.told_ = true;
      who.loop_.post(who);
    }
  };

  static void posted(runnable& self) noexcept {
    auto& me = static_cast<co_sleep&>(self);
    if (me.phase_ == phase::begins) {
      me.phase_ = phase::waits;
      me.loop_.run_at(me, me.until_);
      if (me.stop_.stop_possible()) me.on_stop_.emplace(me.stop_, tell{me});
      return;
    }
    if (me.phase_ == phase::waits) me.loop_.cancel(me);
    me.on_stop_.reset();  // waits for the one who tells, who is still in post
    me.caller_.resume();
  }
  static void it_is_time(timer& self) noexcept {
    auto& me = static_cast<co_sleep&>(self);
    me.phase_ = phase::over;
    me.in_time_ = true;
    me.on_stop_.reset();
    // Whoever told has ended or never will: what it wrote is seen. If it did, it has posted this, which has to be run first.
    if (!me.told_) me.caller_.resume();
  }

  Loop& loop_;
  const time_point until_;
  Stop stop_;
  std::optional<stop_callback_for<Stop, tell>> on_stop_;
  std::coroutine_handle<> caller_;
  phase phase_ = phase::begins;
  bool told_ = false;  // written by who asks for the stop, before it posts
  bool in_time_ = false;
};

}  // namespace holdfast
