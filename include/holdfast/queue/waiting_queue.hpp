// SPDX-License-Identifier: MIT
// waiting_queue: a bounded queue whose callers may wait, until a deadline, for an item or for room.
//
//   operation                  caller      progress           allocates   when refused
//   try_push, try_pop,         as Queue    as Queue; then     never       as Queue; closed
//   batches                                wakes, if any
//                                          sleep
//   wait_push(value, until)    producers   blocking           never       full: the deadline has passed or a stop was asked for;
//                                                                         closed. The value is still the caller's
//   wait_pop(out, until)       consumers   blocking           never       empty: as above; closed: closed and drained. `out` is
//                                                                         as it was
//   close                      see below   lock-free          never       -
//   closed, size_approx,       anyone      wait-free          never       -
//   capacity
//
// In short: as the queue in it | as that queue, and wakes who sleeps; `wait_` sleeps until a deadline | never | full
// or empty: the deadline has passed; closed
//
// Nobody waits, nothing is paid but two loads and branches a call: no exchange, no system call (with a waiter_set a fence).
// wait_push and wait_pop look first, then pause or give way and look for a while, then sleep. A deadline that has passed makes
// them try and not wait. Each may be given a stop token as well, a std::stop_token or an inplace_stop_token
// (core/inplace_stop.hpp); a stop ends the wait, as the token's callbacks are told.
//
// close(): pushes are refused from then on, who waits to push is told, pops drain what is there and then are told closed. Where
// Queue can be closed (mpmc_queue, mpmc_lockfree_queue) that is its own close, and anybody may call it at any time. Where it
// cannot (spsc_queue, the bridges of interop/), it is called when no push is under way, one that waits included: by the one
// producer, or by the last of several, who know of each other's end (a count down with acq_rel, say). An item pushed beside it
// could be left behind. (Coroutines that wait to push on the loop of the one that closes are told, and may wait.)
//
// Busy: where another operation is mid-way in the slot in turn (queue_result.hpp) a waiting call neither sleeps, since a change
// could escape it, nor gives up: it gives its processor away, ever longer, to 1 ms, until the other one is through or the
// deadline has passed, which it then says as full or empty. A queue that answers with a bool is taken at its word: were a pop of
// it refused by chance, a thread could sleep beside an item.
//
// Items, Room: what is told of a new item, and of new room. event_count has threads sleep; event_fd, on the side of a thread with
// a loop of its own, makes a descriptor readable; waiter_set calls back who waits without a thread, coroutines
// (exec/co_queue.hpp); event_sources is two of these; silent, nothing: a side on which nobody ever waits saves its load.
//
// When to use it: between threads that may sleep when there is nothing to do. Where latency counts and a core is to spare,
// poll try_pop instead: a sleeping consumer costs tens of microseconds.
//
// Memory: Queue, and the two on lines of their own.
//
// Method: queue/event_count.hpp. Before it wakes a producer an spsc_queue tells of all room that it has, not in groups.
//
// Proof: model/waiting_queue_model.cpp (no wake-up is lost: pop, push, close, timeouts), unit/waiting_queue_test.cpp,
// stress/waiting_stress.cpp, linearizability/mpmc_windows.cpp, bench/waiting_bench.cpp.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/queue_result.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// Of a side on which nobody waits.
struct silent {
  static constexpr bool awaited() noexcept { return false; }
  static constexpr void wake(std::uint32_t /*looks*/) noexcept {}
  static constexpr void notify(std::uint32_t /*looks*/) noexcept {}
  static constexpr void notify_all() noexcept {}
};

// One that is asked after each change whether anybody waits for it.
template <class E>
concept event_source = requires(E& events, std::uint32_t looks) {
  { events.awaited() } -> std::same_as<bool>;
  events.wake(looks);
  events.notify(looks);
  events.notify_all();
};

// One that threads wait on.
template <class E>
concept waited_on = event_source<E> && requires(E& events) {
  events.wait(deadline(), [] { return true; });
};

template <bounded_queue Queue, event_source Items = event_count, event_source Room = event_count>
class waiting_queue {
  static constexpr bool closes_itself = requires(Queue & q, const Queue& seen) {
    q.close();
    { seen.closed() } -> std::convertible_to<bool>;
  };
  // Tells of its room in groups: asked to tell of all before somebody is woken for it.
  static constexpr bool tells_late = requires(Queue & q) { q.publish_pops(); };

 public:
  using value_type = typename Queue::value_type;
  static constexpr callers producers = Queue::producers;
  static constexpr callers consumers = Queue::consumers;
  static constexpr item_order order = order_of<Queue>;

  // The arguments are the queue's.
  template <class... Args>
    requires std::constructible_from<Queue, Args...>
  explicit waiting_queue(Args&&... args) noexcept(std::is_nothrow_constructible_v<Queue, Args...>)
      : queue_(std::forward<Args>(args)...) {}
  waiting_queue(const waiting_queue&) = delete;
  waiting_queue& operator=(const waiting_queue&) = delete;
  ~waiting_queue() = default;

  // ---- producers

  [[nodiscard]] auto try_push(value_type&& value) { return told_of_item(push(std::move(value))); }
  [[nodiscard]] auto try_push(const value_type& value) requires std::copy_constructible<value_type> {
    return told_of_item(push(value));
  }
  [[nodiscard]] std::size_t try_push(std::span<value_type> values) requires batch_queue<Queue> {
    if constexpr (!closes_itself) {
      if (closed_.load(mo::relaxed)) return 0;  // own: as in push
    }
    const std::size_t count = queue_.try_push(values);
    if (count != 0) items_.notify(static_cast<std::uint32_t>(count));
    return count;
  }

  [[nodiscard]] queue_result wait_push(value_type&& value, deadline until) requires waited_on<Room> {
    return push_until(value, until, no_one);
  }
  template <stoppable_token Stop>
    requires waited_on<Room>
  [[nodiscard]] queue_result wait_push(value_type&& value, deadline until, const Stop& stop) {
    return push_until(value, until, stop);
  }

  // Nothing is pushed from now on, and everybody who waits is told.
  void close() noexcept {
    if constexpr (closes_itself) {
      queue_.close();
    } else {
      closed_.store(true, mo::release);  // [WQ1] release, pairs with [WQ2]: all pushes came before
    }
    items_.notify_all();
    room_.notify_all();
  }

  // ---- consumers

  [[nodiscard]] auto try_pop(value_type& out) { return told_of_room(pop(out)); }
  [[nodiscard]] std::size_t try_pop(std::span<value_type> out) requires batch_queue<Queue> {
    const std::size_t count = queue_.try_pop(out);
    if (count != 0) tell_of_room(static_cast<std::uint32_t>(count));
    return count;
  }

  [[nodiscard]] queue_result wait_pop(value_type& out, deadline until) requires waited_on<Items> {
    return pop_until(out, until, no_one);
  }
  template <stoppable_token Stop>
    requires waited_on<Items>
  [[nodiscard]] queue_result wait_pop(value_type& out, deadline until, const Stop& stop) {
    return pop_until(out, until, stop);
  }

  // ---- anyone

  [[nodiscard]] bool closed() const noexcept {
    if constexpr (closes_itself) {
      return queue_.closed();
    } else {
      return closed_.load(mo::acquire);  // [WQ2] acquire, pairs with [WQ1]: nothing comes after what is there then
    }
  }
  [[nodiscard]] std::size_t size_approx() const noexcept { return queue_.size_approx(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return queue_.capacity(); }
  // What it holds has to say besides: the counts of a watched one, say.
  [[nodiscard]] const Queue& queue() const noexcept { return queue_; }
  // For a loop of one's own: what is told of new items and of new room.
  [[nodiscard]] Items& items() noexcept { return items_; }
  [[nodiscard]] Room& room() noexcept { return room_; }

 private:
  struct nobody {};  // in the place of a stop token: nobody can stop it
  static constexpr nobody no_one{};

  // An item that a register holds is handed to the wait as a copy: the address of the caller's variable, taken for that, would
  // keep it in memory where nobody waits as well.
  static constexpr bool in_a_register = std::is_trivial_v<value_type> && std::is_copy_constructible_v<value_type> &&
                                        std::is_copy_assignable_v<value_type> && sizeof(value_type) <= sizeof(void*);

  // A queue that can be closed answers for itself, why included. Of one that says yes or no, this says why.
  template <class Value>
  auto push(Value&& value) {
    if constexpr (closes_itself) {
      return queue_.try_push(std::forward<Value>(value));
    } else {
      // own: a producer closes it, when no other one pushes
      if (closed_.load(mo::relaxed)) return queue_result(queue_op_status::closed);
      return told(queue_.try_push(std::forward<Value>(value)), queue_op_status::full);
    }
  }
  auto pop(value_type& out) {
    if constexpr (closes_itself) {
      return queue_.try_pop(out);
    } else {
      const queue_result first = told(queue_.try_pop(out), queue_op_status::empty);
      if (first != queue_op_status::empty || !closed()) return first;
      return told(queue_.try_pop(out), queue_op_status::closed);
    }
  }
  // What the queue answered: done, mid-way, or else.
  template <class Answer>
  static queue_result told(const Answer& answer, queue_op_status otherwise) noexcept {
    if (static_cast<bool>(answer)) return queue_op_status::success;
    if constexpr (std::convertible_to<const Answer&, queue_result>) {
      if (queue_result(answer) == queue_op_status::busy) return queue_op_status::busy;
    }
    return otherwise;
  }

  template <class Answer>
  Answer told_of_item(Answer answer) noexcept {
    if (answer) items_.notify(1);
    return answer;
  }
  template <class Answer>
  Answer told_of_room(Answer answer) noexcept {
    if (answer) tell_of_room(1);
    return answer;
  }
  void tell_of_room(std::uint32_t slots) noexcept {
    if (room_.awaited()) [[unlikely]] {
      if constexpr (tells_late) queue_.publish_pops();
      room_.wake(slots);
    }
  }

  static constexpr bool stopped(nobody /*stop*/) noexcept { return false; }
  template <stoppable_token Stop>
  static bool stopped(const Stop& stop) noexcept {
    return stop.stop_requested();
  }

  // One look: does the wait end? It does not at `refusal`; and a slot that another one holds is worth a short wait of its own.
  template <class Stop, class Attempt>
  static bool settles(queue_result& answer, deadline until, queue_op_status refusal, const Stop& stop,
                      Attempt& attempt) {
    answer = attempt();
    for (unsigned turn = 0; answer == queue_op_status::busy; ++turn, answer = attempt()) {
      if (stopped(stop) || (!until.is_never() && until.passed(steady_clock::now()))) return true;
      doze(turn);
    }
    return answer != refusal || stopped(stop);
  }

  // `attempt` until it is something else than `refusal`. Apart from the first attempt, which is nearly always the last.
  template <class Events, class Stop, class Attempt, class Left>
  queue_result wait(Events& events, deadline until, queue_op_status refusal, const Stop& stop, Attempt attempt,
                    Left left) {
    queue_result answer = refusal;
    const auto settled = [&] { return settles(answer, until, refusal, stop, attempt); };
    // What the events may learn from: whether there was much more than this thread waited for.
    const auto plenty = [&](std::uint32_t apart) { return answer == queue_op_status::success && left() >= apart / 4; };
    const auto look = [&] {
      if constexpr (requires { events.wait(until, settled, plenty); }) {
        static_cast<void>(events.wait(until, settled, plenty));
      } else {
        static_cast<void>(events.wait(until, settled));
      }
    };
    if constexpr (std::same_as<Stop, nobody>) {
      look();
    } else if (!settled()) {
      const auto wake = [&events] { events.notify_all(); };
      const stop_callback_for<Stop, decltype(wake)> woken(stop, wake);
      look();
    }
    if (answer != queue_op_status::busy) return answer;
    // It may have been told of the item behind the one that is under way: somebody else has to look for it.
    events.notify(1);
    return refusal;
  }
  template <class Stop>
  queue_result push_until(value_type& value, deadline until, const Stop& stop) {
    if (try_push(std::move(value))) [[likely]]
      return queue_op_status::success;
    // NOLINTBEGIN(bugprone-use-after-move): refused, it is as it was
    if constexpr (in_a_register) {
      return push_waiting_for(value, until, stop);
    } else {
      return push_waiting(value, until, stop);
    }
    // NOLINTEND(bugprone-use-after-move)
  }
  // What follows stands apart, so that where nobody waits no register is saved for it.
  template <class Stop>
  [[gnu::noinline]] queue_result push_waiting_for(value_type copy, deadline until, const Stop& stop) {
    return push_waiting(copy, until, stop);
  }
  template <class Stop>
  [[gnu::noinline]] queue_result push_waiting(value_type& value, deadline until, const Stop& stop) {
    const auto again = [&] { return queue_result(push(std::move(value))); };
    const auto room = [&] { return capacity() - std::min(size_approx(), capacity()); };
    return told_of_item(wait(room_, until, queue_op_status::full, stop, again, room));
  }
  template <class Stop>
  queue_result pop_until(value_type& out, deadline until, const Stop& stop) {
    // Whether it is closed is asked by the wait: here nothing is looked at that does not have to be.
    if (told_of_room(queue_.try_pop(out))) [[likely]]
      return queue_op_status::success;
    if constexpr (in_a_register) {
      const auto [answer, got] = pop_waiting_for(until, stop);
      if (answer) out = got;
      return answer;
    } else {
      return pop_waiting(out, until, stop);
    }
  }
  struct popped {
    queue_result answer;
    value_type value;
  };
  template <class Stop>
  [[gnu::noinline]] popped pop_waiting_for(deadline until, const Stop& stop) {
    value_type got{};
    const queue_result answer = pop_waiting(got, until, stop);
    return {answer, got};
  }
  template <class Stop>
  [[gnu::noinline]] queue_result pop_waiting(value_type& out, deadline until, const Stop& stop) {
    const auto again = [&] { return queue_result(pop(out)); };
    return told_of_room(wait(items_, until, queue_op_status::empty, stop, again, [&] { return size_approx(); }));
  }

  Queue queue_;
  alignas(cache_line_size) Items items_;  // told by producers, waited on by consumers
  alignas(cache_line_size) Room room_;    // the other way round
  atomic<bool> closed_{false};            // where Queue has no close
};

}  // namespace holdfast
