// SPDX-License-Identifier: MIT
// asio_hedge: drives a hedged call (exec/hedge_machine.hpp) with coroutines on Boost.Asio; its losers hold up nobody.
//
//   operation     caller              progress    allocates                        note
//   async_hedge   a coroutine on a    as `op`     coroutine frames and one block   ends at the call's deadline at the latest,
//                 strand                          a call                           whatever `op` does
//
// In short: a coroutine on a strand | as the operation | coroutine frames, one block a call | as `exec/hedge_machine`
//
// `op(const stoppable_attempt&) -> awaitable<outcome<T>>` is begun once an attempt, on the caller's executor. An answer is
// handed out at once: the attempts under way then get Asio's terminal cancellation (and their stoppable_attempt::stop), and run
// to their ends behind the call, each in its place in the bulkhead. An attempt whose deadline comes counts as a timeout and is
// left behind in the same way. So the guard, its policies and the sketch are used after the call, and so may `op` be, which
// owns what it uses (captures by value or shared_ptr, never a reference into the caller's frame). What `op` throws is an error
// like any other.
//
// The executor is a strand, or an io_context run by one thread. When the calling coroutine is cancelled the call ends with
// errc::cancelled, which no breaker counts. For a pipeline with with::hedge, and for completion tokens, there is
// interop/asio_pipeline.hpp. `Hedges` is how many there is room for: at least how.options.max_hedges.
//
// Proof: tests/unit/asio_hedge_test.cpp (H1-H4).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/catch_errors.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/exec/hedge_machine.hpp"
#include "holdfast/interop/boost_error.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/hedge.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// One call and its attempts, which share it: whoever ends last frees it.
template <class Result, std::size_t Hedges, class Op, class Observer>
class hedge_race {
 public:
  hedge_race(const boost::asio::any_io_executor& executor, const guard& protects, const hedge_policy& how,
             const call_context& context, Op op, Observer observer)
      : timer_(executor),
        op_(std::move(op)),
        observer_(std::move(observer)),
        machine_(protects, how.options, how.usual, context, observer_) {}
  hedge_race(const hedge_race&) = delete;
  hedge_race& operator=(const hedge_race&) = delete;
  // With attempts under way only where their executor has ended without them.
  ~hedge_race() {
    machine_.cancel();
    for (std::size_t i = 0; i < machine_.attempts(); ++i) {
      if (machine_.under_way(i)) machine_.finish(i, verdict::cancelled, errc::cancelled, steady_clock::now());
    }
  }

  [[nodiscard]] hedge_machine<Hedges, Observer>& machine() noexcept { return machine_; }
  [[nodiscard]] Op& op() noexcept { return op_; }
  [[nodiscard]] boost::asio::steady_timer& timer() noexcept { return timer_; }
  [[nodiscard]] boost::asio::cancellation_slot slot(std::size_t which) noexcept { return runs_[which].stop.slot(); }
  [[nodiscard]] stoppable_attempt attempt_of(std::size_t which) noexcept {
    return {machine_.current(which), losers_.get_token()};
  }

  // By an attempt's own coroutine, when it has ended.
  void ended(std::size_t which, Result answer) {
    run& one = runs_[which];
    one.room = {};
    if (!machine_.under_way(which)) return;  // left behind at its deadline
    if (machine_.over()) {
      machine_.finish(which, verdict::cancelled, errc::cancelled, steady_clock::now());
      return;
    }
    one.answer.emplace(std::move(answer));
    news_ = true;
    timer_.cancel();
  }

  // When there is something to do without news.
  [[nodiscard]] time_point next_at() const noexcept {
    time_point next = machine_.next_at();
    for (std::size_t i = 0; i < machine_.attempts(); ++i) {
      if (machine_.under_way(i)) next = std::min(next, machine_.current(i).context.until.at());
    }
    return next;
  }
  [[nodiscard]] bool has_news() const noexcept { return news_; }
  // One step: `begin(which)` for each attempt that is to be begun.
  template <class Begin>
  void step(time_point now, Begin&& begin) {
    news_ = false;
    for (std::size_t i = 0; i < machine_.attempts() && !machine_.over(); ++i) {
      if (!machine_.under_way(i)) continue;
      run& one = runs_[i];
      if (one.answer.has_value()) {
        take(one.answer->ok() ? machine_.finish(i, verdict::ok, {}, now)
                              : machine_.finish(i, one.answer->kind(), one.answer->error(), now),
             begin);
      } else if (machine_.current(i).context.until.passed(now)) {
        one.room = machine_.detach_room(i);
        take(machine_.finish(i, verdict::timeout, errc::attempt_timeout, now), begin);
        one.stop.emit(boost::asio::cancellation_type::terminal);
      }
    }
    if (!machine_.over() && machine_.next_at() <= now) take(machine_.on_time(now), begin);
  }
  template <class Begin>
  void take(const hedge_action& next, Begin&& begin) {
    if (next.step == hedge_step::begin) begin(next.which);
    if (next.step == hedge_step::won && runs_[next.which].answer->ok()) winner_ = next.which;
  }
  // Asks those under way to stop; what the call came to.
  Result end() {
    losers_.request_stop();
    for (std::size_t i = 0; i < machine_.attempts(); ++i) {
      if (machine_.under_way(i)) runs_[i].stop.emit(boost::asio::cancellation_type::terminal);
    }
    if (winner_ == nobody) return machine_.failure();
    return std::move(*runs_[winner_].answer);
  }

 private:
  static constexpr std::size_t nobody = Hedges + 1;
  struct run {
    boost::asio::cancellation_signal stop{};
    std::optional<Result> answer{};
    bulkhead::permit room{};  // taken over when its deadline has come
  };

  boost::asio::steady_timer timer_;
  Op op_;
  Observer observer_;
  inplace_stop_source losers_;
  hedge_machine<Hedges, Observer> machine_;
  std::array<run, Hedges + 1> runs_{};
  std::size_t winner_ = nobody;  // whose answer is ok
  bool news_ = false;            // an attempt has ended, and the call has not seen it yet
};

template <class Result, class Race>
boost::asio::awaitable<void> run_of_hedge(std::shared_ptr<Race> race, std::size_t which) {
  const stoppable_attempt mine = race->attempt_of(which);
  std::optional<Result> answer;
  try {
    answer.emplace(co_await race->op()(mine));
  } catch (...) {
    answer.emplace(error_of_current_exception(boost_translator{}));
  }
  race->ended(which, std::move(*answer));
}

template <class Result, class Race>
boost::asio::awaitable<Result> drive_hedge(std::shared_ptr<Race> race) {
  namespace asio = boost::asio;
  const auto executor = co_await asio::this_coro::executor;
  const auto begin = [&](std::size_t which) {
    // The handler's copy keeps the race until Asio has left the slot for the last time, which is after run_of_hedge's end.
    asio::co_spawn(executor, run_of_hedge<Result>(race, which),
                   asio::bind_cancellation_slot(race->slot(which), [race](const std::exception_ptr&) {}));
  };
  race->take(race->machine().start(steady_clock::now()), begin);
  while (!race->machine().over()) {
    if (!race->has_news()) {
      race->timer().expires_at(race->next_at());
      co_await race->timer().async_wait(asio::as_tuple(asio::use_awaitable));
    }
    const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
    if (caller.cancelled() != asio::cancellation_type::none) {
      race->machine().cancel();
      break;
    }
    race->step(steady_clock::now(), begin);
  }
  co_return race->end();
}

// `protects`, the policies behind it and the sketch outlive all attempts; `op` and `observer` are copied.
template <std::size_t Hedges = 1, class Op, class Observer = no_observer>
auto async_hedge(const guard& protects, hedge_policy how, call_context context, Op op, Observer observer = {})
    -> std::invoke_result_t<Op&, const stoppable_attempt&> {
  namespace asio = boost::asio;
  using result = typename std::invoke_result_t<Op&, const stoppable_attempt&>::value_type;
  // A cancelled call is an outcome like any other, not an exception; the caller's own setting comes back afterwards.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto executor = co_await asio::this_coro::executor;
  auto race = std::make_shared<hedge_race<result, Hedges, Op, Observer>>(executor, protects, how, context,
                                                                         std::move(op), std::move(observer));
  result answer = co_await drive_hedge<result>(std::move(race));
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return answer;
}

}  // namespace holdfast
