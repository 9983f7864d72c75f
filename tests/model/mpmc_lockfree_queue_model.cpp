// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "holdfast/queue/index_ring.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"

#include "model/engine/scenario.hpp"
#include "model/queue_scenarios.hpp"

using namespace holdfast;
using namespace holdfast_model;
using namespace holdfast_model::queues;

namespace {

// The rings have the countdown of the paper, with a thread a number: a longer one is more of the same.

// One number, which is put once and looked for by two; one that finds it puts it back or keeps it. Data beside it belong to
// whoever has the number. Two entries, of which a take looks at up to three.
template <bool PutsBack>
struct one_number {
  static constexpr unsigned threads = 3;
  using ring = index_ring<1, 1>;
  ring numbers{ring::holds::none};
  plain<int> data{0};
  int taken = 0;

  void run(unsigned thread) {
    if (thread == 0) {
      data.set(10);
      MODEL_CHECK(numbers.put(0));
    } else if (numbers.take() == 0) {
      data.ref() += 1;
      if (PutsBack) MODEL_CHECK(numbers.put(0));
    }
  }
  void after() {
    const bool there = numbers.take() == 0;
    taken = data.get() - 10;
    MODEL_CHECK(taken >= 0 && taken <= (PutsBack ? 2 : 1));
    MODEL_CHECK(there == (PutsBack || taken == 0));
    MODEL_CHECK(numbers.take() == ring::none);
  }
};
using taken_once = one_number<false>;
MODEL_SCENARIO("mpmc_lockfree_queue", taken_once, {});
using put_back = one_number<true>;
MODEL_SCENARIO("mpmc_lockfree_queue", put_back, {});

// An entry whose number is still in it when a take of the next lap comes by becomes unsafe; a put that then gets that
// take's ticket must not use it, for nobody will look there any more.
struct passed_by {
  static constexpr unsigned threads = 2;
  using ring = index_ring<1, 1>;
  ring numbers{ring::holds::all};
  bool kept = false;

  void run(unsigned thread) {
    if (thread == 0) {
      if (numbers.take() == 0) MODEL_CHECK(numbers.put(0));
    } else {
      for (int i = 0; i < 2 && !kept; ++i) kept = numbers.take() == 0;
    }
  }
  void after() { MODEL_CHECK((numbers.take() == 0) == !kept); }
};
MODEL_SCENARIO("mpmc_lockfree_queue", passed_by, {});

// One goes round the ring twice and past another who has drawn his ticket and not looked yet: the put of the next lap finds
// his number still there, leaves the entry alone, and whoever comes by makes it unsafe. Once he is done, a put of a later lap
// may use it, but only if no take has gone past.
struct lapped {
  static constexpr unsigned threads = 2;
  using ring = index_ring<2, 2>;
  ring numbers{ring::holds::all};
  std::uint64_t kept = ring::none;

  void run(unsigned thread) {
    if (thread == 0) {
      kept = numbers.take();
    } else {
      for (int round = 0; round < 8; ++round) {
        if (const std::uint64_t number = numbers.take(); number != ring::none) MODEL_CHECK(numbers.put(number));
      }
    }
  }
  void after() {
    std::array<unsigned, 2> seen{};
    for (std::uint64_t number = kept; number != ring::none; number = numbers.take()) ++seen[number];
    MODEL_CHECK(seen[0] == 1);
    MODEL_CHECK(seen[1] == 1);
  }
};
MODEL_SCENARIO("mpmc_lockfree_queue", lapped, {});

// Takes in vain count down how many more there may be, and a put fills that up: whatever it sees of the counting, its number
// is found afterwards.
struct counted_down {
  static constexpr unsigned threads = 2;
  using ring = index_ring<1, 1>;
  ring numbers{ring::holds::all};
  bool kept = false;

  counted_down() { MODEL_CHECK(numbers.take() == 0); }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(numbers.put(0));
    } else {
      for (int i = 0; i < 3 && !kept; ++i) kept = numbers.take() == 0;
    }
  }
  void after() { MODEL_CHECK((numbers.take() == 0) == !kept); }
};
MODEL_SCENARIO("mpmc_lockfree_queue", counted_down, {});

// The end is seen with all that was done before it, by who asks and by who is refused.
struct closed_with_a_note {
  static constexpr unsigned threads = 2;
  index_ring<1, 1> numbers{index_ring<1, 1>::holds::none};
  plain<int> note{0};

  void run(unsigned thread) {
    if (thread == 0) {
      note.set(7);
      numbers.close();
    } else if (choose(2) == 0 ? numbers.closed() : !numbers.put(0)) {
      MODEL_CHECK(note.get() == 7);
    }
  }
  void after() { MODEL_CHECK(numbers.closed()); }
};
MODEL_SCENARIO("mpmc_lockfree_queue", closed_with_a_note, {});

using one_slot = mpmc_lockfree_queue<item, 1, 1>;
using two_slots = mpmc_lockfree_queue<item, 2, 2>;
template <class T>
using queue_of_one = mpmc_lockfree_queue<T, 1, 1>;

// Each thread does what its line says: '+' pushes, '-' pops, '!' closes.
template <class Queue, unsigned Threads>
struct script {
  static constexpr unsigned threads = Threads;
  explicit script(std::array<const char*, Threads> lines, int before = 0) : lines_(lines) {
    for (int i = 0; i < before; ++i) MODEL_CHECK(w.push(100 + i) == queue_said::done);
  }
  void run(unsigned thread) {
    std::int64_t next = 10 * thread + 1;
    for (const char* c = lines_[thread]; *c != 0; ++c) {
      if (*c == '+') w.push(next++);
      if (*c == '-') w.pop();
      if (*c == '!') w.close();
    }
  }
  void after() { w.drain(); }
  judged<Queue> w;

 private:
  std::array<const char*, Threads> lines_;
};
struct twice_and_once : script<one_slot, 2> {
  twice_and_once() : script({"++", "-"}) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", twice_and_once, {});
struct to_and_fro : script<one_slot, 2> {
  to_and_fro() : script({"+-", "-"}) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", to_and_fro, {});
struct two_look : script<one_slot, 3> {
  two_look() : script({"+", "-", "-"}) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", two_look, {});
struct freed_and_filled : script<one_slot, 2> {
  freed_and_filled() : script({"-", "+"}, 1) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", freed_and_filled, {});
struct one_of_two : script<two_slots, 2> {
  one_of_two() : script({"+-", "-+"}, 1) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", one_of_two, {});
struct three_slots_in_hand : script<two_slots, 3> {
  three_slots_in_hand() : script({"+", "+", "-"}) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", three_slots_in_hand, {});
struct closed_between : script<one_slot, 3> {
  closed_between() : script({"+", "!", "-"}) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", closed_between, {});
struct closed_and_drained : script<two_slots, 2> {
  closed_and_drained() : script({"++", "!--"}) {}
};
MODEL_SCENARIO("mpmc_lockfree_queue", closed_and_drained, {});
// Items with memory of their own: made by one thread and freed by another, by who was refused, or by the queue.
struct owners {
  static constexpr unsigned threads = 2;
  using owner = std::unique_ptr<item>;
  mpmc_lockfree_queue<owner, 1, 1> queue;

  void run(unsigned thread) {
    if (thread == 1) {
      if (const std::optional<owner> one = queue.try_pop()) MODEL_CHECK((*one)->get() == 1);
      queue.close();
      return;
    }
    for (std::int64_t i = 1; i <= 2; ++i) {
      owner mine = std::make_unique<item>(i);
      // Also where it had been moved into a slot before the queue turned out to be closed.
      if (!queue.try_push(std::move(mine))) MODEL_CHECK(mine->get() == i);
    }
  }
  void after() {}  // what is left goes with the queue, and a leak fails
};
MODEL_SCENARIO("mpmc_lockfree_queue", owners, {});

// A thread dies at any of its steps. Nobody is held up by it: the others push and pop as before, through all slots but the
// one that the dead one may have had in its hands, and nothing that was pushed is lost.
struct lockfree_death {
  static constexpr unsigned threads = 2;
  mpmc_lockfree_queue<item, 2, 2> queue;
  std::int64_t pushed = 0;
  std::int64_t popped = 0;

  void run(unsigned thread) {
    if (thread == 0) {
      if (queue.try_push(item(pushed + 1))) ++pushed;
    } else {
      item out(-1);
      if (queue.try_pop(out)) MODEL_CHECK(out.get() == ++popped);
    }
  }
  void after() {}
  void after_death(unsigned) {
    std::int64_t last = popped;
    item out(-1);
    while (queue.try_pop(out)) MODEL_CHECK(out.get() == ++last);
    MODEL_CHECK(last <= pushed + 1);
    for (std::int64_t lap = 1; lap <= 3; ++lap) {
      std::int64_t more = 0;
      while (queue.try_push(item(10 * lap + more))) ++more;
      MODEL_CHECK(more == 2 || more == 1);
      for (std::int64_t i = 0; queue.try_pop(out);) {
        if (out.get() == 1) {
          MODEL_CHECK(i == 0 && ++last == 1);  // what the dead one was pushing: it becomes visible with the next push
        } else {
          MODEL_CHECK(out.get() == 10 * lap + i++);
          MODEL_CHECK(i <= more);
        }
      }
      MODEL_CHECK(queue.try_pop(out) == queue_op_status::empty);
      MODEL_CHECK(out.get() == 10 * lap + more - 1);
    }
    MODEL_CHECK(last >= pushed || last == popped);
  }
};
MODEL_SCENARIO("mpmc_lockfree_queue", lockfree_death, {});

}  // namespace
