// SPDX-License-Identifier: MIT
// co_pop, co_push: a coroutine waits for an item of a queue, or for room in it, and no thread does.
//
//   operation                                 caller                progress            allocates*  when refused
//   co_await co_pop(queue, out, where)        a coroutine, as one   as Queue's try_     never       closed: closed and drained
//                                             of Queue's consumers  and waiter_set
//   co_await co_push(queue, value, where)     as one of its         as above            never       closed. The value is still the
//                                             producers                                             caller's
//   either with a stop token                  as above              a stop as its       never       also empty or full: a stop was
//                                                                   token's callbacks   asked for
//
//   * what `where` does is its own
//
// In short: coroutines as the queue's callers | as the queue and waiter_set | never; as the executor | closed; with a stop
// token also empty or full
//
//   waiting_queue<mpmc_queue<job, 1024>, waiter_set<>, waiter_set<>> jobs;
//   task<> serve(run_loop& loop) {
//     job next;
//     while (co_await co_pop(jobs, next, loop)) handle(next);   // until it is closed and drained
//   }
//
// It looks first and goes on at once if it can. Otherwise it suspends until it has been told, and is resumed by `where`, an
// executor (exec/runnable.hpp), when the queue has given or taken: a coroutine that was told in vain is not resumed. Any coroutine
// type may await it that takes awaitables of others (boost::asio::awaitable does not). A queue for one thread on a side takes the
// coroutines of one loop there.
//
// A side whose waiters are coroutines has a waiter_set as its event source; one with threads that wait as well, event_sources
// of both. More coroutines than the set has places take turns in looking, through their executors, which costs their time. Where
// another operation is mid-way in the slot in turn (busy) they do the same. The token is a std::stop_token or an
// inplace_stop_token (core/inplace_stop.hpp).
//
// A suspended coroutine is not destroyed: it lies in the queue's set, or in an executor. Ask for a stop, or close the queue, and
// have it run to its end, on an executor that goes on until then. out and value outlive the wait; the queue and the executor
// outlive every call of others on the queue, since who tells a coroutine is still in its push, pop or close when that one goes on.
//
// Method: the awaiter is the waiter; it enters the set, looks once more, and only then suspends. Who tells it may be quicker than
// the suspension: of the two the second one goes on.
//
// Proof: model/co_queue_model.cpp, unit/co_queue_test.cpp, alloc/co_queue_alloc_test.cpp, stress/co_queue_stress.cpp,
// fuzz/co_queue_fuzz.cpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/queue/queue_result.hpp"
#include "holdfast/queue/waiter_set.hpp"

namespace holdfast {

// An event source that a waiter can enter.
template <class E>
concept entered_by_waiters = requires(E& events, waiter& who, std::size_t place) {
  { events.enter(who) } -> std::same_as<std::optional<std::size_t>>;
  { events.leave(place) } -> std::same_as<bool>;
  events.vacate(place);
};

// Awaits until `attempt` answers something else than `refusal`.
template <entered_by_waiters Events, executor Where, class Attempt, stoppable_token Stop = std::stop_token>
class [[nodiscard]] co_attempt : waiter, runnable {
 public:
  co_attempt(Events& events, Where& where, queue_op_status refusal, Stop stop, Attempt attempt) noexcept
      : waiter(told_so),
        runnable(look_again),
        events_(events),
        where_(where),
        attempt_(std::move(attempt)),
        stop_(std::move(stop)),
        refusal_(refusal),
        answer_(refusal) {}
  co_attempt(const co_attempt&) = delete;
  co_attempt& operator=(const co_attempt&) = delete;
  ~co_attempt() {
    // own: whoever has told it has handed it on
    HOLDFAST_ASSERT(phase_.load(mo::relaxed) != phase::suspended);  // destroyed while it waits
  }

  [[nodiscard]] bool await_ready() noexcept { return settled(); }
  [[nodiscard]] bool await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_.set(caller);
    if (stop_.stop_possible()) on_stop_.emplace(stop_, tell_all{events_});
    return suspends();
  }
  [[nodiscard]] queue_result await_resume() const noexcept { return answer_; }

 private:
  // It may be told as soon as it has entered, and be run by its executor, while it still looks. The second of the two to come
  // here goes on.
  enum class phase : std::uint8_t { looking, suspended, told };
  struct tell_all {
    Events& events;
    void operator()() const noexcept { events.notify_all(); }
  };

  // One look. Is that the end of it?
  bool settled() noexcept {
    answer_ = attempt_();
    for (unsigned i = 0; answer_ == queue_op_status::busy && i < looks_at_busy; ++i) {
      cpu_relax();
      answer_ = attempt_();
    }
    if (answer_ != refusal_ && answer_ != queue_op_status::busy) return true;
    if (!stop_.stop_requested()) return false;
    // It may have been told of the item behind the one that is under way: somebody else has to look for it.
    if (answer_ == queue_op_status::busy) events_.notify(1);
    answer_ = refusal_;
    return true;
  }

  // Enters, and looks once more. False: settled, there is nothing to wait for. True: suspended, and perhaps resumed and gone by
  // now.
  bool suspends() noexcept {
    for (;;) {
      phase_.store(phase::looking, mo::relaxed);  // init: nobody else knows of this round yet
      place_.set(events_.enter(*this));
      settled_.set(settled());
      if (!place_.get()) {
        if (settled_.get()) return false;
        look_by_itself();
        return true;
      }
      if (settled_.get()) {
        if (events_.leave(*place_.get())) return false;
        events_.notify(1);  // told of what it will not look for any more: somebody else does
      } else if (answer_ == queue_op_status::busy && events_.leave(*place_.get())) {
        place_.set(std::nullopt);
        look_by_itself();
        return true;
      }
      phase expected = phase::looking;
      // [CQ1] release, pairs with [CQ2]: the caller, and what is known of this round. On failure
      // [CQ3] acquire, pairs with [CQ2]: what it was told of
      if (phase_.compare_exchange_strong(expected, phase::suspended, mo::release, mo::acquire)) return true;
      events_.vacate(*place_.get());
      if (settled_.get()) return false;
    }
  }
  void look_by_itself() noexcept {
    phase_.store(phase::suspended, mo::relaxed);  // own: the executor hands it on
    where_.post(*this);
  }

  static void told_so(waiter& self) noexcept {
    auto& me = static_cast<co_attempt&>(self);
    me.where_.post(me);
  }
  static void look_again(runnable& self) noexcept {
    auto& me = static_cast<co_attempt&>(self);
    // [CQ2] acq_rel, pairs with [CQ1] and [CQ3]: as said there. Where it still looks, it sees that it was told
    if (me.phase_.exchange(phase::told, mo::acq_rel) == phase::looking) return;
    if (me.place_.get()) me.events_.vacate(*me.place_.get());
    if (me.settled_.get() || me.settled() || !me.suspends()) me.caller_.get().resume();
  }

  static constexpr unsigned looks_at_busy = 64;

  Events& events_;
  Where& where_;
  Attempt attempt_;
  Stop stop_;
  std::optional<stop_callback_for<Stop, tell_all>> on_stop_;
  plain<std::coroutine_handle<>> caller_;
  const queue_op_status refusal_;
  queue_result answer_;
  plain<std::optional<std::size_t>> place_;
  plain<bool> settled_;
  atomic<phase> phase_{phase::looking};
};

// An exception of a look on the executor's side would have no coroutine to go to.
template <class Queue, executor Where, stoppable_token Stop = std::stop_token>
  requires std::is_nothrow_move_assignable_v<typename Queue::value_type>
auto co_pop(Queue& queue, typename Queue::value_type& out, Where& where, Stop stop = {}) noexcept {
  auto attempt = [&queue, &out]() noexcept { return queue_result(queue.try_pop(out)); };
  return co_attempt(queue.items(), where, queue_op_status::empty, std::move(stop), attempt);
}
template <class Queue, executor Where, stoppable_token Stop = std::stop_token>
  requires std::is_nothrow_move_constructible_v<typename Queue::value_type>
auto co_push(Queue& queue, typename Queue::value_type&& value, Where& where, Stop stop = {}) noexcept {
  auto attempt = [&queue, &value]() noexcept { return queue_result(queue.try_push(std::move(value))); };
  return co_attempt(queue.room(), where, queue_op_status::full, std::move(stop), attempt);
}

}  // namespace holdfast
