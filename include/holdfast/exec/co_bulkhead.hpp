// SPDX-License-Identifier: MIT
// co_acquire: a coroutine waits for a place in a bulkhead, in one line with the threads that wait there, and no thread does.
//
//   operation                                caller        progress            allocates*  when refused
//   co_await co_acquire(room, where)         a coroutine   as try_acquire,     never       bulkhead_full
//                                                          enter and collect
//   with a deadline                          as above      as above            never       also bulkhead_timeout
//   with a stop token                        as above      a stop as its       never       also cancelled
//                                                          token's callbacks
//
//   co_await co_wait_acquire(room, loop,     as above      as co_acquire, and  never       as with both
//     until, a stop token)                                 the loop's timers
//
//   * what `where` does is its own
//
// In short: any coroutine | as bulkhead; nobody sleeps | never; as the executor | why, in the admission
//
//   task<> ask(bulkhead& room, run_loop& loop) {
//     const auto inside = co_await co_acquire(room, loop);
//     if (!inside) co_return log(inside.refusal);
//     ...                                               // leaves with `inside`
//   }
//
// It takes a place that is there and goes on at once. Otherwise it stands in line and suspends. It is resumed by `where`, an
// executor (exec/runnable.hpp), when it has been handed a place, its deadline has passed or it was asked to stop (by a
// std::stop_token or an inplace_stop_token): the first of these counts. Any coroutine type may await it that takes awaitables of
// others (boost::asio::awaitable does not).
//
// co_wait_acquire goes by way of the loop if there is no place, and keeps its deadline itself, by the loop's timers.
// co_acquire has none: its deadline is kept by whoever calls bulkhead::expire() now and then, as a loop's thread may:
//
//   while (!loop.run_until(done, deadline::after(steady_clock::now(), 5ms))) room.expire(steady_clock::now());
//
// A suspended coroutine is not destroyed: it stands in the line, or lies in an executor. Ask for a stop and have it run to its
// end, on an executor that goes on until then. Room and executor outlive every call of others on the room, since who serves a
// coroutine is still in its release when that one goes on.
//
// Method: the awaiter is the waiter. Who tells it may be quicker than the suspension: of the two the second one goes on.
//
// Proof: model/bulkhead_wait_model.cpp, unit/co_bulkhead_test.cpp, alloc/bulkhead_wait_alloc_test.cpp, stress/bulkhead_stress.cpp.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/waiter.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/time/deadline.hpp"
#include "holdfast/time/timer_heap.hpp"

namespace holdfast {

template <executor Where, stoppable_token Stop = std::stop_token>
class [[nodiscard]] co_acquire : waiter, runnable {
 public:
  co_acquire(bulkhead& room, Where& where, deadline until = {}, Stop stop = {}) noexcept
      : waiter(told_so), runnable(go_on), room_(room), where_(where), until_(until), stop_(std::move(stop)) {}
  co_acquire(const co_acquire&) = delete;
  co_acquire& operator=(const co_acquire&) = delete;
  ~co_acquire() {
    // own: whoever has told it has handed it on
    HOLDFAST_ASSERT(phase_.load(mo::relaxed) != phase::suspended);  // destroyed while it waits
  }

  [[nodiscard]] bool await_ready() noexcept {
    at_once_ = room_.try_take();
    return static_cast<bool>(at_once_);
  }
  [[nodiscard]] bool await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_.set(caller);
    mine_ = room_.enter(*this, until_);
    if (!mine_) return false;
    if (stop_.stop_possible()) on_stop_.emplace(stop_, give_up{room_, *mine_});
    phase expected = phase::entering;
    // [CA1] release, pairs with [CA2]: the caller, and where it stands. On failure
    // [CA3] acquire, pairs with [CA2]: whoever ran it is done with it
    return phase_.compare_exchange_strong(expected, phase::suspended, mo::release, mo::acquire);
  }
  bulkhead::admission await_resume() noexcept {
    if (at_once_) return {std::move(at_once_)};
    if (!mine_) return {.refusal = errc::bulkhead_full};
    return room_.collect(*mine_);
  }

 private:
  // It may be told as soon as it has entered, and be run by its executor, while it is still about to suspend. The second of the
  // two to come here goes on.
  enum class phase : std::uint8_t { entering, suspended, told };
  // Once its wait has ended otherwise, and even when its place is another one's, this does nothing.
  struct give_up {
    bulkhead& room;
    bulkhead::waiting_place mine;
    void operator()() const noexcept { static_cast<void>(room.cancel(mine)); }
  };

  static void told_so(waiter& self) noexcept {
    auto& me = static_cast<co_acquire&>(self);
    me.where_.post(me);
  }
  static void go_on(runnable& self) noexcept {
    auto& me = static_cast<co_acquire&>(self);
    // [CA2] acq_rel, pairs with [CA1] and [CA3]: as said there
    if (me.phase_.exchange(phase::told, mo::acq_rel) == phase::suspended) me.caller_.get().resume();
  }

  bulkhead& room_;
  Where& where_;
  const deadline until_;
  Stop stop_;
  std::optional<stop_callback_for<Stop, give_up>> on_stop_;
  bulkhead::permit at_once_;
  std::optional<bulkhead::waiting_place> mine_;
  plain<std::coroutine_handle<>> caller_;
  atomic<phase> phase_{phase::entering};
};

template <timed_executor Loop, stoppable_token Stop = std::stop_token>
class [[nodiscard]] co_wait_acquire : waiter, runnable, timer {
 public:
  co_wait_acquire(bulkhead& room, Loop& loop, deadline until, Stop stop = {}) noexcept
      : waiter(told_so),
        runnable(posted),
        timer(it_is_time),
        room_(room),
        loop_(loop),
        until_(until),
        stop_(std::move(stop)) {}
  co_wait_acquire(const co_wait_acquire&) = delete;
  co_wait_acquire& operator=(const co_wait_acquire&) = delete;

  [[nodiscard]] bool await_ready() noexcept {
    at_once_ = room_.try_take();
    return static_cast<bool>(at_once_);
  }
  void await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_ = caller;
    loop_.post(*this);  // and touched no more: it may have been resumed and be gone
  }
  bulkhead::admission await_resume() noexcept {
    if (at_once_) return {std::move(at_once_)};
    if (!mine_) return {.refusal = errc::bulkhead_full};
    return room_.collect(*mine_);
  }

 private:
  struct give_up {
    bulkhead& room;
    bulkhead::waiting_place mine;
    void operator()() const noexcept { static_cast<void>(room.cancel(mine)); }
  };

  // Posted to begin, and once more when its wait has ended, in whatever way. All of it is run on the loop's thread but for told_so.
  static void posted(runnable& self) noexcept {
    auto& me = static_cast<co_wait_acquire&>(self);
    if (!me.begun_) {
      me.begun_ = true;
      me.mine_ = me.room_.enter(me, me.until_);
      if (!me.mine_) return me.caller_.resume();
      // It may have been told by now, and even be posted: that is run later, here.
      if (!me.until_.is_never()) {
        me.loop_.run_at(me, me.until_.at());
        me.has_timer_ = true;
      }
      if (me.stop_.stop_possible()) me.on_stop_.emplace(me.stop_, give_up{me.room_, *me.mine_});
      return;
    }
    if (me.has_timer_) me.loop_.cancel(me);
    me.on_stop_.reset();  // waits for one who gives up for it, and comes too late
    me.caller_.resume();
  }
  static void it_is_time(timer& self) noexcept {
    auto& me = static_cast<co_wait_acquire&>(self);
    me.has_timer_ = false;
    static_cast<void>(me.room_.time_out(*me.mine_));  // whether by this or before, it is told
  }
  static void told_so(waiter& self) noexcept {
    auto& me = static_cast<co_wait_acquire&>(self);
    me.loop_.post(me);
  }

  bulkhead& room_;
  Loop& loop_;
  const deadline until_;
  Stop stop_;
  std::optional<stop_callback_for<Stop, give_up>> on_stop_;
  bulkhead::permit at_once_;
  std::optional<bulkhead::waiting_place> mine_;
  std::coroutine_handle<> caller_;
  bool begun_ = false;
  bool has_timer_ = false;
};

}  // namespace holdfast
