// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "holdfast/queue/mpmc_queue.hpp"

#include "linearizability/queue_spec.hpp"
#include "model/engine/scenario.hpp"
#include "model/linearized.hpp"
#include "model/queue_scenarios.hpp"

using namespace holdfast;
using namespace holdfast_model;
using namespace holdfast_lin;
using namespace holdfast_model::queues;

namespace {

using two_push_one_pops_1 = two_push_one_pops<mpmc_queue<item, 1>>;
MODEL_SCENARIO("mpmc_queue", two_push_one_pops_1, {});
using two_push_one_pops_2 = two_push_one_pops<mpmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", two_push_one_pops_2, {});
using two_push_one_pops_mpsc = two_push_one_pops<mpsc_queue<item, 1>>;
MODEL_SCENARIO("mpmc_queue", two_push_one_pops_mpsc, {});
// With a seq_cst fence between a caller's operations the queue is the strict one; without, two that each publish and then
// look may both look too early, as with any queue of acquires and releases.
using two_push_one_pops_strict = two_push_one_pops<mpmc_queue<item, 1>, refusals::exact, true>;
MODEL_SCENARIO("mpmc_queue", two_push_one_pops_strict, {});

using one_pushes_two_pop_1 = one_pushes_two_pop<mpmc_queue<item, 1>>;
MODEL_SCENARIO("mpmc_queue", one_pushes_two_pop_1, {});
using one_pushes_two_pop_spmc = one_pushes_two_pop<spmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", one_pushes_two_pop_spmc, {});

// One item in a queue of two. A thread that pops before it pushes never fills it, and one that pushes before it pops never
// empties it: whoever meets the traces of the second step counts the first one, too.
template <class Queue>
struct refused_by_nobody {
  static constexpr unsigned threads = 2;
  Queue queue{just_before_wrap};
  const bool pops_first = choose(2) == 0;

  refused_by_nobody() { MODEL_CHECK(queue.try_push(item(1))); }
  void push() { MODEL_CHECK(queue.try_push(item(2)) != queue_op_status::full); }
  void pop() {
    item out;
    MODEL_CHECK(queue.try_pop(out) != queue_op_status::empty);
  }
  void run(unsigned thread) {
    if (pops_first) {
      if (thread == 0) pop();
      if (thread == 0 || Queue::producers == callers::many) push();
    } else {
      if (thread == 0) push();
      if (thread == 0 || Queue::consumers == callers::many) pop();
    }
  }
  void after() {}
};
using refused_by_nobody_many = refused_by_nobody<mpmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", refused_by_nobody_many, {});
using refused_by_nobody_mpsc = refused_by_nobody<mpsc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", refused_by_nobody_mpsc, {});
using refused_by_nobody_spmc = refused_by_nobody<spmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", refused_by_nobody_spmc, {});

// A thread that is in the middle of its operation holds its slot and not the queue: a second one that gets past it, and
// then comes to that slot, is told that it is held, and not that there is no room, or no item.
struct held_by_another {
  static constexpr unsigned threads = 2;
  mpmc_queue<item, 2> queue{just_before_wrap};
  const bool full = choose(2) == 0;

  held_by_another() {
    for (std::int64_t i = 1; full && i <= 2; ++i) MODEL_CHECK(queue.try_push(item(i)));
  }
  queue_result step(bool pushes) {
    item one(3);
    return pushes ? queue.try_push(std::move(one)) : queue.try_pop(one);
  }
  void run(unsigned thread) {
    MODEL_CHECK(step(!full));
    if (thread == 0) return;
    const queue_result second = step(full);
    MODEL_CHECK(second == queue_op_status::success || second == queue_op_status::busy);
  }
  void after() {}
};
MODEL_SCENARIO("mpmc_queue", held_by_another, {});

// Each pushes and then pops.
struct everyone_does_both {
  static constexpr unsigned threads = 3;
  judged<mpmc_queue<item, 2>> w;

  everyone_does_both() { w.push(1); }
  void run(unsigned thread) {
    if (thread == 2) {
      w.pop();
    } else {
      w.push(thread + 2);
      w.pop();
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("mpmc_queue", everyone_does_both, {});

using handed_over_many = handed_over<mpmc_queue<item, 1>>;
MODEL_SCENARIO("mpmc_queue", handed_over_many, {});

// A batch claims a run of cells at once: its items stay together in the order, and another thread's are before or after.
template <class Queue>
struct batches {
  static constexpr unsigned threads = 3;
  judged<Queue> w;

  void run(unsigned thread) {
    if (thread == 0) {
      push_many();
    } else if (thread == 1) {
      if (Queue::producers == callers::many) w.push(9);
    } else {
      pop_many();
    }
  }
  // As many as fit, from the front: the chain of its single pushes, and the reason why it ended.
  void push_many() {
    std::array<item, 3> items{item(1), item(2), item(3)};
    const std::size_t done = w.queue.try_push(std::span<item>(items));
    for (std::size_t i = done; i < items.size(); ++i) MODEL_CHECK(items[i].get() == static_cast<std::int64_t>(i) + 1);
    pushed = done;
  }
  void pop_many() {
    std::array<item, 3> out{item(-1), item(-1), item(-1)};
    const std::size_t done = w.queue.try_pop(std::span<item>(out));
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i < done) {
        saw(out[i].get());
      } else {
        MODEL_CHECK(out[i].get() == -1);
      }
    }
  }
  void saw(std::int64_t number) {
    if (number == 9) {
      MODEL_CHECK(!other);
      other = true;
    } else {
      MODEL_CHECK(number == ++last);
    }
  }
  void after() {
    w.queue.consume_all([&](item&& one) { saw(one.get()); });
    MODEL_CHECK(last == static_cast<std::int64_t>(pushed));
    MODEL_CHECK(w.queue.size_approx() == 0);
  }
  std::size_t pushed = 0;
  std::int64_t last = 0;
  bool other = false;
};
using batches_many = batches<mpmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", batches_many, {});
using batches_mpsc = batches<mpsc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", batches_mpsc, {});
using batches_slots = batches<spsc_slot_queue<item, 4>>;
MODEL_SCENARIO("mpmc_queue", batches_slots, {});
using batches_spmc = batches<spmc_queue<item, 4>>;
MODEL_SCENARIO("mpmc_queue", batches_spmc, {});

// Of an empty queue and of one with room for all, a batch takes all: there is nobody to refuse for.
struct two_batches {
  static constexpr unsigned threads = 2;
  mpmc_queue<item, 4> queue{just_before_wrap - 1};
  std::size_t popped = 0;

  void run(unsigned thread) {
    std::array<item, 2> items{item(10 * thread + 1), item(10 * thread + 2)};
    MODEL_CHECK(queue.try_push(std::span<item>(items)) == 2);
  }
  void after() {
    std::array<item, 4> out;
    MODEL_CHECK(queue.try_pop(std::span<item>(out)) == 4);
    const bool first = out[0].get() == 1;
    MODEL_CHECK(out[0].get() == (first ? 1 : 11) && out[1].get() == (first ? 2 : 12));  // a run is claimed as one
    MODEL_CHECK(out[2].get() == (first ? 11 : 1) && out[3].get() == (first ? 12 : 2));
  }
};
MODEL_SCENARIO("mpmc_queue", two_batches, {});

using closed_by_a_third_many = closed_by_a_third<mpmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", closed_by_a_third_many, {});
using closed_by_a_third_mpsc = closed_by_a_third<mpsc_queue<item, 1>>;
MODEL_SCENARIO("mpmc_queue", closed_by_a_third_mpsc, {});

using drained_until_closed_many = drained_until_closed<mpmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", drained_until_closed_many, {});
using drained_until_closed_spmc = drained_until_closed<spmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", drained_until_closed_spmc, {});
using drained_until_closed_slots = drained_until_closed<spsc_slot_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", drained_until_closed_slots, {});

// Whoever asks whether it is closed sees what went before, too.
struct asked_whether_closed {
  static constexpr unsigned threads = 2;
  mpmc_queue<item, 2> many;
  spsc_slot_queue<item, 2> one;
  item note{0};

  void run(unsigned thread) {
    const bool first = choose(2) == 0;
    if (thread == 0) {
      note.set(7);
      first ? many.close() : one.close();
    } else if (first ? many.closed() : one.closed()) {
      MODEL_CHECK(note.get() == 7);
    } else {
      // A refused push sees it as well.
      if (first && many.try_push(item(1)) == queue_op_status::closed) MODEL_CHECK(note.get() == 7);
    }
  }
  void after() {}
};
MODEL_SCENARIO("mpmc_queue", asked_whether_closed, {});

template <class T>
using queue_of_two = mpmc_queue<T, 2>;
using with_memory_many = with_memory<queue_of_two>;
MODEL_SCENARIO("mpmc_queue", with_memory_many, {});

// A thread dies at any of its steps. The others never wait, and nothing false is said: what was pushed before the hole
// comes out in order, and beyond it the answer is busy, not empty. In the places where it held no cell all goes on.
template <class Queue>
struct death {
  static constexpr unsigned threads = 2;
  Queue queue{just_before_wrap};
  std::int64_t pushed = 0;
  std::int64_t popped = 0;

  void run(unsigned thread) {
    for (int i = 0; i < 2; ++i) {
      if (thread == 0) {
        if (queue.try_push(item(pushed + 1))) ++pushed;
      } else {
        item out(-1);
        if (queue.try_pop(out)) MODEL_CHECK(out.get() == ++popped);
      }
    }
  }
  void after() {}
  void after_death(unsigned dead) {
    if (dead == 0) {
      // A new item behind what the dead one may have held. With one producer nobody may take its place.
      const bool more = Queue::producers == callers::many && queue.try_push(item(9));
      std::int64_t last = popped;
      bool got = false;
      for (;;) {
        item out(-1);
        const queue_result answer = queue.try_pop(out);
        if (answer && out.get() == 9) {
          got = true;
          continue;
        }
        if (answer) {
          MODEL_CHECK(out.get() == ++last);
          continue;
        }
        // Not empty while there is something behind the cell that the dead one had claimed and not filled.
        if (more) MODEL_CHECK(answer == (got ? queue_op_status::empty : queue_op_status::busy));
        if (Queue::producers == callers::one) MODEL_CHECK(answer == queue_op_status::empty);
        break;
      }
      MODEL_CHECK(last == pushed || last == pushed + 1);
    } else {
      // The dead one may have held one cell: the others are free to use, until the positions come to it.
      std::size_t in_queue = 0;
      queue_result answer = queue_op_status::success;
      while ((answer = queue.try_push(item(0)))) {
        ++in_queue;
        MODEL_CHECK(in_queue <= Queue::capacity());
      }
      MODEL_CHECK(answer == queue_op_status::full || answer == queue_op_status::busy);
      if (Queue::consumers == callers::one) MODEL_CHECK(answer == queue_op_status::full);
    }
  }
};
using death_many = death<mpmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", death_many, {});
using death_spmc = death<spmc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", death_spmc, {});
using death_mpsc = death<mpsc_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", death_mpsc, {});
using death_slots = death<spsc_slot_queue<item, 2>>;
MODEL_SCENARIO("mpmc_queue", death_slots, {});

}  // namespace
