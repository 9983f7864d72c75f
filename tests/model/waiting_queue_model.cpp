// SPDX-License-Identifier: MIT
// Queues that are waited for: whoever waits is woken for an item, for room, and for the end.
#include <cstdint>
#include <utility>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// In an execution nobody pauses first: that is one more look, which the last one before the sleep stands for as well.
struct event_count_at_once : event_count {
  event_count_at_once() : event_count(sleep_at_once) {}
};
template <class Queue>
using waited_for = waiting_queue<Queue, event_count_at_once, event_count_at_once>;

using item = plain<std::int64_t>;

// Everything goes through, in order, although either side has to wait for the other one again and again; then the end.
template <class Queue, int Items, bool Membarrier>
struct there_and_over {
  static constexpr unsigned threads = 2;
  waited_for<Queue> queue;

  there_and_over() { has_membarrier = Membarrier; }
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::int64_t i = 1; i <= Items; ++i) MODEL_CHECK(queue.wait_push(item(i), deadline::never()));
      queue.close();
      item more(9);
      MODEL_CHECK(queue.wait_push(std::move(more), deadline::never()) == queue_op_status::closed);
      MODEL_CHECK(more.get() == 9);
      return;
    }
    item out(0);
    for (std::int64_t i = 1; i <= Items; ++i) {
      MODEL_CHECK(queue.wait_pop(out, deadline::never()));
      MODEL_CHECK(out.get() == i);
    }
    MODEL_CHECK(queue.wait_pop(out, deadline::never()) == queue_op_status::closed);
  }
  void after() {
    MODEL_CHECK(queue.items().sleepers() == 0);
    MODEL_CHECK(queue.room().sleepers() == 0);
  }
};
using spsc_one_slot = there_and_over<spsc_queue<item, 1>, 2, false>;
using spsc_one_slot_interrupting = there_and_over<spsc_queue<item, 1>, 2, true>;
using mpmc_one_slot = there_and_over<mpmc_queue<item, 1>, 2, false>;
using mpmc_one_slot_interrupting = there_and_over<mpmc_queue<item, 1>, 2, true>;
MODEL_SCENARIO("waiting_queue", spsc_one_slot, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("waiting_queue", spsc_one_slot_interrupting, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("waiting_queue", mpmc_one_slot, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("waiting_queue", mpmc_one_slot_interrupting, {.preemptions = 1, .weak_failures = 0});

// Two wait for what two push. One of them may be told of the second item while the first one is still being pushed: busy. If it
// slept on that, the telling of the first item might reach it again, and the other one would sleep beside the second item.
struct two_push_two_wait {
  static constexpr unsigned threads = 3;
  waited_for<mpmc_queue<item, 2>> queue;

  two_push_two_wait() { has_membarrier = false; }
  void run(unsigned thread) {
    if (thread < 2) MODEL_CHECK(queue.try_push(item(thread + 1)));
    if (thread == 0) return;
    item out(0);
    MODEL_CHECK(queue.wait_pop(out, deadline::never()));
  }
  void after() {
    MODEL_CHECK(queue.items().sleepers() == 0);
    MODEL_CHECK(queue.size_approx() == 0);
  }
};
MODEL_SCENARIO("waiting_queue", two_push_two_wait, {.preemptions = 1, .weak_failures = 0});

// The end wakes everybody who waits.
struct closed_on_two {
  static constexpr unsigned threads = 3;
  waited_for<mpmc_queue<item, 1>> queue;

  closed_on_two() { has_membarrier = false; }
  void run(unsigned thread) {
    if (thread == 0) {
      queue.close();
    } else {
      item out(0);
      MODEL_CHECK(queue.wait_pop(out, deadline::never()) == queue_op_status::closed);
    }
  }
  void after() { MODEL_CHECK(queue.items().sleepers() == 0); }
};
MODEL_SCENARIO("waiting_queue", closed_on_two, {.preemptions = 1, .weak_failures = 0});

// A queue without a close of its own, which the last one of its producers closes behind all of them, as the last worker of a
// stage does with the next stage's: whoever is told closed has been told of every item.
struct no_close {
  using value_type = item;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::one;
  queue_result try_push(item&& value) { return queue.try_push(std::move(value)); }
  queue_result try_pop(item& out) { return queue.try_pop(out); }
  std::size_t size_approx() const { return queue.size_approx(); }
  static constexpr std::size_t capacity() { return 2; }
  mpsc_queue<item, 2> queue;
};
struct closed_by_the_last {
  static constexpr unsigned threads = 3;
  waiting_queue<no_close, event_count_at_once, silent> queue;
  atomic<int> pushing{2};

  closed_by_the_last() { has_membarrier = false; }
  void run(unsigned thread) {
    if (thread != 0) {
      MODEL_CHECK(queue.try_push(item(thread)));
      if (pushing.fetch_sub(1, mo::acq_rel) == 1) queue.close();
      return;
    }
    std::int64_t sum = 0;
    item out(0);
    while (queue.wait_pop(out, deadline::never())) sum += out.get();
    MODEL_CHECK(sum == 3);
    MODEL_CHECK(queue.try_pop(out) == queue_op_status::closed);
  }
  void after() { MODEL_CHECK(queue.items().sleepers() == 0); }
};
MODEL_SCENARIO("waiting_queue", closed_by_the_last, {.preemptions = 0, .weak_failures = 0});

}  // namespace
