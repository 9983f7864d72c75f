// SPDX-License-Identifier: MIT
// asio_call: drives a guarded call (exec/call_machine.hpp) with coroutines on Boost.Asio; no thread waits, for an attempt or
// for a retry.
//
//   operation    caller                  progress    allocates               note
//   async_call   a coroutine on a        as `op`     coroutine frames and    ends at the call's deadline at the latest,
//                strand                              one block an attempt    whatever `op` does
//
// In short: a coroutine on a strand | as the operation | coroutine frames, one block an attempt | as `exec/call`
//
// `op(attempt) -> awaitable<outcome<T>>` is begun once an attempt, on the caller's executor. At the attempt's deadline
// the call goes on without it: `op` gets Asio's terminal cancellation, its late result is dropped, and its bulkhead
// permit stays taken until it has really ended. So an operation may outlive the call: it owns what it uses (captures by
// value or shared_ptr, never a reference into the caller's frame). What `op` throws is an error like any other.
//
// The executor is a strand, or an io_context run by one thread: the attempt and its timer must not run at once. An io_context
// on which calls wait for a place in a bulkhead (guard::room_wait) is not destroyed while others use that bulkhead.
// When the calling coroutine is cancelled the call ends with errc::cancelled, which no breaker counts.
//
// Proof: tests/unit/asio_call_test.cpp.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/core/waiter.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/exec/catch_errors.hpp"
#include "holdfast/interop/boost_error.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// One attempt racing its deadline. The operation and the one who waits for it share it; whoever ends last frees it.
template <class Result, class Op>
struct attempt_race {
  attempt_race(const boost::asio::any_io_executor& executor, const Op& operation) : timer(executor), op(operation) {}

  boost::asio::steady_timer timer;
  boost::asio::cancellation_signal stop{};
  std::optional<Result> answer{};
  bulkhead::permit room{};  // taken over when the deadline wins
  Op op;
};

template <class Result, class Op>
boost::asio::awaitable<void> run_attempt(std::shared_ptr<attempt_race<Result, Op>> race, attempt which) {
  try {
    race->answer.emplace(co_await race->op(which));
  } catch (...) {
    race->answer.emplace(error_of_current_exception(boost_translator{}));
  }
  race->room = {};
  race->timer.cancel();
}

template <class Result, class Op, class Observer>
boost::asio::awaitable<Result> attempt_until_deadline(call_machine<Observer>& machine, const Op& op) {
  namespace asio = boost::asio;
  const auto executor = co_await asio::this_coro::executor;
  auto race = std::make_shared<attempt_race<Result, Op>>(executor, op);
  const attempt which = machine.current();
  // The handler's copy keeps the race until Asio has left the slot for the last time, which is after run_attempt's end.
  asio::co_spawn(executor, run_attempt(race, which),
                 asio::bind_cancellation_slot(race->stop.slot(), [race](const std::exception_ptr&) {}));
  if (!race->answer) {
    race->timer.expires_at(which.context.until.at());
    co_await race->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (race->answer) co_return std::move(*race->answer);
  race->room = machine.detach_room();
  race->stop.emit(asio::cancellation_type::terminal);
  co_return errc::attempt_timeout;
}

// Waits in the queue of a room that is full. Its executor is the call's own, a strand.
inline boost::asio::awaitable<bulkhead::admission> enter_room(bulkhead& room, deadline until) {
  namespace asio = boost::asio;
  struct bell : waiter {
    explicit bell(const asio::any_io_executor& where) : waiter(told_so), timer(where) {}
    // By whoever ends the wait, on any thread.
    static void told_so(waiter& self) noexcept {
      auto& me = static_cast<bell&>(self);
      asio::post(me.timer.get_executor(), [&me] {
        me.rung = true;
        me.timer.cancel();
      });
    }
    asio::steady_timer timer;
    bool rung = false;
  };
  // Where its io_context is destroyed under it, it leaves the line; nobody else may be about to serve it then.
  struct stand {
    bulkhead& in;
    std::optional<bulkhead::waiting_place> place;
    ~stand() {
      if (!place) return;
      static_cast<void>(in.cancel(*place));
      static_cast<void>(in.collect(*place));
    }
  };
  bell mine(co_await asio::this_coro::executor);
  stand here{room, room.enter(mine, until)};
  if (!here.place) co_return bulkhead::admission{.refusal = errc::bulkhead_full};
  mine.timer.expires_at(until.at());
  while (!mine.rung) {
    const auto [stopped] = co_await mine.timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (mine.rung) break;
    // Whether by this or before, it is told; and nothing else is waited for now.
    static_cast<void>(stopped ? room.cancel(*here.place) : room.time_out(*here.place));
    mine.timer.expires_at(time_point::max());
  }
  const auto had = *std::exchange(here.place, std::nullopt);
  co_return room.collect(had);
}

template <class Result, class Op, class Observer>
boost::asio::awaitable<Result> drive_call(const guard& protects, const call_context& context, const Op& op,
                                          Observer& observer) {
  namespace asio = boost::asio;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  call_machine<Observer> machine(protects, context, observer);
  auto step = machine.start(steady_clock::now());
  while (step != call_step::done) {
    if (step == call_step::attempt) {
      Result answer = co_await attempt_until_deadline<Result>(machine, op);
      const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
      if (!answer.ok() && caller.cancelled() != asio::cancellation_type::none) {
        machine.cancel(steady_clock::now());
        break;
      }
      step = machine.finish(answer.kind(), answer.ok() ? error{} : answer.error(), steady_clock::now());
      if (answer.kind() == verdict::ok) co_return answer;
    } else if (step == call_step::room) {
      auto got = co_await enter_room(*protects.room, deadline(machine.wake_at()));
      step = machine.entered(std::move(got), steady_clock::now());
    } else {
      timer.expires_at(machine.wake_at());
      const auto [stopped] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
      if (stopped) {
        machine.cancel(steady_clock::now());
        break;
      }
      step = machine.resume(steady_clock::now());
    }
  }
  co_return machine.failure();
}

// `protects` and the policies behind it outlive the call; `op` and `observer` are copied.
template <class Op, class Observer = no_observer>
auto async_call(const guard& protects, call_context context, Op op, Observer observer = {})
    -> std::invoke_result_t<Op&, const attempt&> {
  namespace asio = boost::asio;
  using result = typename std::invoke_result_t<Op&, const attempt&>::value_type;
  // A cancelled call is an outcome like any other, not an exception; the caller's own setting comes back afterwards.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  result answer = co_await drive_call<result>(protects, context, op, observer);
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return answer;
}

}  // namespace holdfast
