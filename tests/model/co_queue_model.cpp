// SPDX-License-Identifier: MIT
// Coroutines that wait for a queue: each is resumed once for each item, room, or the end, however quickly it is told.
#include <cstdint>
#include <utility>

#include "holdfast/exec/co_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "model/engine/scenario.hpp"
#include "model/lone_coroutine.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using item = plain<std::int64_t>;

template <class Queue>
coroutine pop_all(Queue& queue, own_thread& where, std::int64_t& sum, bool& ended) {
  for (item next(0); co_await co_pop(queue, next, where);) sum += next.get();
  ended = true;
}
template <class Queue>
coroutine push_all(Queue& queue, own_thread& where, std::int64_t count, bool& ended) {
  for (std::int64_t i = 1; i <= count; ++i) {
    const queue_result answer = co_await co_push(queue, item(i), where);
    MODEL_CHECK(answer);
  }
  queue.close();
  ended = true;
}

// A coroutine takes what a thread pushes, up to the end.
template <class Queue, int Items>
struct popped_by_a_coroutine {
  static constexpr unsigned threads = 2;
  waiting_queue<Queue, waiter_set<>, silent> queue;
  own_thread where;
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::int64_t i = 1; i <= Items; ++i) MODEL_CHECK(queue.try_push(item(i)));
      queue.close();
      return;
    }
    std::int64_t sum = 0;
    bool ended = false;
    pop_all(queue, where, sum, ended);
    where.run(ended);
    MODEL_CHECK(sum == Items * (Items + 1) / 2);
  }
  void after() { MODEL_CHECK(queue.items().waiting() == 0); }
};
using one_item_to_a_coroutine = popped_by_a_coroutine<spsc_queue<item, 2>, 1>;
using two_items_to_a_coroutine = popped_by_a_coroutine<spsc_queue<item, 2>, 2>;
MODEL_SCENARIO("co_queue", one_item_to_a_coroutine, {});
MODEL_SCENARIO("co_queue", two_items_to_a_coroutine, {.preemptions = 3, .weak_failures = 0});

// A coroutine that one thread begins goes on in the thread that pushes, which may come while it still looks.
template <int Items>
struct goes_on_elsewhere {
  static constexpr unsigned threads = 2;
  waiting_queue<spsc_queue<item, 2>, waiter_set<>, silent> queue;
  own_thread where;
  std::int64_t sum = 0;
  bool ended = false;
  void run(unsigned thread) {
    if (thread == 1) {
      pop_all(queue, where, sum, ended);
      return;
    }
    for (std::int64_t i = 1; i <= Items; ++i) {
      MODEL_CHECK(queue.try_push(item(i)));
      where.run_what_is_there();
    }
    queue.close();
    where.run_what_is_there();
  }
  void after() {
    MODEL_CHECK(ended);
    MODEL_CHECK(sum == Items * (Items + 1) / 2);
    MODEL_CHECK(queue.items().waiting() == 0);
  }
};
using one_item_goes_on_elsewhere = goes_on_elsewhere<1>;
using two_items_go_on_elsewhere = goes_on_elsewhere<2>;
MODEL_SCENARIO("co_queue", one_item_goes_on_elsewhere, {});
MODEL_SCENARIO("co_queue", two_items_go_on_elsewhere, {.preemptions = 3, .weak_failures = 0});

// Both sides are coroutines, in a queue of one slot: each waits for the other again and again.
template <class Queue>
struct coroutines_there_and_over {
  static constexpr unsigned threads = 2;
  waiting_queue<Queue, waiter_set<>, waiter_set<>> queue;
  own_thread where[threads];
  void run(unsigned thread) {
    constexpr std::int64_t items = 2;
    std::int64_t sum = 0;
    bool ended = false;
    if (thread == 0) {
      push_all(queue, where[thread], items, ended);
    } else {
      pop_all(queue, where[thread], sum, ended);
    }
    where[thread].run(ended);
    MODEL_CHECK(sum == (thread == 0 ? 0 : items * (items + 1) / 2));
  }
  void after() {
    MODEL_CHECK(queue.items().waiting() == 0);
    MODEL_CHECK(queue.room().waiting() == 0);
  }
};
using one_slot_spsc = coroutines_there_and_over<spsc_queue<item, 1>>;
using one_slot_mpmc = coroutines_there_and_over<mpmc_queue<item, 1>>;
MODEL_SCENARIO("co_queue", one_slot_spsc, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("co_queue", one_slot_mpmc, {.preemptions = 2, .weak_failures = 0});

// Tokens that one thread adds; each of the two others has a coroutine that takes one. Whoever finds one when it has entered, and
// is told of the next one before it is out, has the other one look.
struct one_token_each {
  static constexpr unsigned threads = 3;
  waiter_set<> events;
  atomic<int> there{0};
  own_thread where[threads];

  coroutine take(own_thread& here, bool& ended) {
    const auto look = [this]() noexcept -> queue_result {
      int seen = there.load(mo::relaxed);
      while (seen > 0) {
        if (there.compare_exchange_strong(seen, seen - 1, mo::relaxed, mo::relaxed)) return queue_op_status::success;
      }
      return queue_op_status::empty;
    };
    const queue_result answer = co_await co_attempt(events, here, queue_op_status::empty, {}, look);
    MODEL_CHECK(answer);
    ended = true;
  }
  void run(unsigned thread) {
    if (thread == 0) {
      for (int i = 0; i < 2; ++i) {
        there.fetch_add(1, mo::relaxed);
        events.notify(1);
      }
      return;
    }
    bool ended = false;
    take(where[thread], ended);
    where[thread].run(ended);
  }
  void after() {
    MODEL_CHECK(there.load(mo::relaxed) == 0);
    MODEL_CHECK(events.waiting() == 0);
  }
};
MODEL_SCENARIO("co_queue", one_token_each, {.preemptions = 2, .weak_failures = 0});

// Two coroutines of two threads wait for what a third one pushes: one gets it, and both the end.
struct two_coroutines_share {
  static constexpr unsigned threads = 3;
  waiting_queue<mpmc_queue<item, 2>, waiter_set<>, silent> queue;
  own_thread where[threads];
  std::int64_t sums[threads]{};
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(queue.try_push(item(3)));
      queue.close();
      return;
    }
    bool ended = false;
    pop_all(queue, where[thread], sums[thread], ended);
    where[thread].run(ended);
  }
  void after() {
    MODEL_CHECK(sums[1] + sums[2] == 3);
    MODEL_CHECK(queue.items().waiting() == 0);
  }
};
MODEL_SCENARIO("co_queue", two_coroutines_share, {.preemptions = 0, .weak_failures = 0});

}  // namespace
