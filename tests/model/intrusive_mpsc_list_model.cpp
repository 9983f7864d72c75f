// SPDX-License-Identifier: MIT
// The list as a whole is judged as a FIFO over all threads: a push is never refused, and a pop is empty or busy only with
// reason. What a node carries is race-checked, and so are the nodes that a thread makes and frees.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "holdfast/queue/intrusive_mpsc_list.hpp"

#include "linearizability/queue_spec.hpp"
#include "model/engine/scenario.hpp"
#include "model/linearized.hpp"

using namespace holdfast;
using namespace holdfast_model;
using namespace holdfast_lin;

namespace {

struct node : mpsc_hook {
  plain<std::int64_t> number;
};
using list = intrusive_mpsc_list<node>;

struct judged {
  using spec = queue_spec<8, 8, refusals::as_known>;

  void push(node& one, std::int64_t number) {
    answers.record([&] {
      one.number.set(number);
      nodes.push(one);
      return spec::push(number);
    });
  }
  // The node, or nullptr. Busy is excused by a push at the same time alone.
  node* pop() {
    node* out = nullptr;
    answers.record([&] {
      const queue_result answer = nodes.try_pop(out);
      MODEL_CHECK((out == nullptr) == !answer);
      if (answer == queue_op_status::busy) return spec::pop(queue_said::busy);
      MODEL_CHECK(answer || answer == queue_op_status::empty);
      return spec::pop(static_cast<bool>(answer), answer ? out->number.get() : 0);
    });
    return out;
  }
  // By one thread alone, that knows all: nothing is busy, and nothing is lost.
  void drain() {
    while (pop() != nullptr) {
    }
    MODEL_CHECK(nodes.empty());
    answers.judge();
  }

  list nodes;
  linearized<spec> answers;
};

// Two push twice each, and one pops.
struct two_push_one_pops {
  static constexpr unsigned threads = 3;
  std::array<node, 4> made;
  judged w;

  void run(unsigned thread) {
    if (thread < 2) {
      for (std::size_t i = 0; i < 2; ++i)
        w.push(made.at(2 * thread + i), static_cast<std::int64_t>(2 * thread + i + 1));
    } else {
      for (int i = 0; i < 3; ++i) w.pop();
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("intrusive_mpsc_list", two_push_one_pops, {});

// The list has a node, and becomes empty while others push: the last node is exchanged for the stub, or it is not the last.
struct last_one_out {
  static constexpr unsigned threads = 3;
  std::array<node, 3> made;
  judged w;

  last_one_out() { w.push(made[0], 1); }
  void run(unsigned thread) {
    if (thread < 2) {
      w.push(made.at(thread + 1), thread + 2);
    } else {
      for (int i = 0; i < 3; ++i) w.pop();
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("intrusive_mpsc_list", last_one_out, {});

// Who gets a node pushes it again at once, with another number; two others push as well.
struct pushed_again {
  static constexpr unsigned threads = 3;
  std::array<node, 3> made;
  judged w;

  pushed_again() { w.push(made[0], 1); }
  void run(unsigned thread) {
    if (thread < 2) {
      w.push(made.at(thread + 1), thread + 2);
      return;
    }
    for (int i = 0; i < 3; ++i) {
      if (node* const mine = w.pop(); mine != nullptr) w.push(*mine, 10 + i);
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("intrusive_mpsc_list", pushed_again, {});

// The consumer gives the node back to its producer, which pushes it again while another one pushes behind it.
struct handed_back {
  static constexpr unsigned threads = 3;
  std::array<node, 2> made;
  judged w;
  atomic<bool> free{false};

  handed_back() { w.push(made[0], 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      if (free.load(mo::acquire)) w.push(made[0], 3);
    } else if (thread == 1) {
      w.push(made[1], 2);
    } else {
      if (w.pop() == made.data()) free.store(true, mo::release);
      w.pop();
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("intrusive_mpsc_list", handed_back, {});

// Nodes made by one thread and freed by another as soon as they are out: nobody touches them any more.
struct made_and_freed {
  static constexpr unsigned threads = 3;
  list nodes;
  std::int64_t seen = 0;
  std::int64_t last_of_first = 0;

  static node* make(std::int64_t number) {
    auto mine = std::make_unique<node>();
    mine->number.set(number);
    return mine.release();
  }
  void take() {
    node* out = nullptr;
    if (!nodes.try_pop(out)) return;
    ++seen;
    const std::unique_ptr<node> owner(out);
    const std::int64_t number = owner->number.get();
    if (number < 10) MODEL_CHECK(number == ++last_of_first);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      nodes.push(*make(1));
      nodes.push(*make(2));
    } else if (thread == 1) {
      nodes.push(*make(10));
    } else {
      take();
      take();
    }
  }
  void after() {
    while (!nodes.empty()) take();
    MODEL_CHECK(seen == 3);
  }
};
MODEL_SCENARIO("intrusive_mpsc_list", made_and_freed, {});

// Nobody gives up: what is pushed arrives, in the order of its producer.
struct all_arrive {
  static constexpr unsigned threads = 3;
  std::array<node, 3> made;
  list nodes;

  void run(unsigned thread) {
    if (thread < 2) {
      made.at(thread).number.set(thread + 1);
      nodes.push(made.at(thread));
      return;
    }
    for (int count = 0; count < 2;) {
      node* out = nullptr;
      if (nodes.try_pop(out)) {
        MODEL_CHECK(out == &made.at(static_cast<std::size_t>(out->number.get() - 1)));
        ++count;
      } else {
        spin();
      }
    }
    MODEL_CHECK(nodes.empty());
  }
  void after() { MODEL_CHECK(nodes.empty()); }
};
MODEL_SCENARIO("intrusive_mpsc_list", all_arrive, {});

// consume_all takes those that it knows of, ends, and misses none, though its function pushes them again.
struct consumed_at_once {
  static constexpr unsigned threads = 2;
  std::array<node, 3> made;
  list nodes;
  std::int64_t pushed_before = 2;

  consumed_at_once() {
    for (std::size_t i = 0; i < 2; ++i) {
      made.at(i).number.set(static_cast<std::int64_t>(i) + 1);
      nodes.push(made.at(i));
    }
  }
  void run(unsigned thread) {
    if (thread == 0) {
      made[2].number.set(3);
      nodes.push(made[2]);
      return;
    }
    std::int64_t last = 0;
    const std::size_t count = nodes.consume_all([&](node& one) {
      MODEL_CHECK(one.number.get() == ++last);
      one.number.set(one.number.get() + 10);
      nodes.push(one);
    });
    // The first comes for certain; the second unless the third is just being tied to it.
    MODEL_CHECK(count >= 1);
    MODEL_CHECK(count <= 3);
  }
  void after() {
    std::array<bool, 3> seen{};
    const std::size_t count = nodes.consume_all([&](node& one) {
      const auto at = static_cast<std::size_t>(&one - made.data());
      MODEL_CHECK(!seen.at(at));
      seen.at(at) = true;
      MODEL_CHECK(one.number.get() % 10 == static_cast<std::int64_t>(at) + 1);
    });
    MODEL_CHECK(count == 3);
    MODEL_CHECK(nodes.empty());
  }
};
MODEL_SCENARIO("intrusive_mpsc_list", consumed_at_once, {});

// Whoever knows of a node that nobody has taken is told that the list is not empty.
struct asked_whether_empty {
  static constexpr unsigned threads = 2;
  std::array<node, 2> made;
  list nodes;

  void run(unsigned thread) {
    if (thread == 0) {
      nodes.push(made[0]);
      MODEL_CHECK(!nodes.empty());
      return;
    }
    nodes.push(made[1]);
    MODEL_CHECK(!nodes.empty());
  }
  void after() {
    for (node* out = nullptr; !nodes.empty();) MODEL_CHECK(nodes.try_pop(out));
    node* out = nullptr;
    MODEL_CHECK(nodes.try_pop(out) == queue_op_status::empty);
  }
};
MODEL_SCENARIO("intrusive_mpsc_list", asked_whether_empty, {});

// A thread dies at any of its steps. Of the nodes that were pushed before, all come out but the one that the dead one was
// going to link to its own; then the answer is busy, and never empty. If the consumer dies, nobody notices.
struct death {
  static constexpr unsigned threads = 2;
  std::array<node, 5> made;
  list nodes;
  std::int64_t pushing = 0;  // the number whose push has begun
  std::int64_t pushed = 0;
  std::int64_t popped = 0;

  death() { push(1); }
  void push(std::int64_t number) {
    node& one = made.at(static_cast<std::size_t>(number - 1));
    one.number.set(number);
    pushing = number;
    nodes.push(one);
    pushed = number;
  }
  queue_result pop() {
    node* out = nullptr;
    const queue_result answer = nodes.try_pop(out);
    if (answer) MODEL_CHECK(out->number.get() == ++popped);
    return answer;
  }
  void run(unsigned thread) {
    if (thread == 0) {
      push(2);
      push(3);
    } else {
      static_cast<void>(pop());
      static_cast<void>(pop());
    }
  }
  void after() {
    while (pop()) {
    }
    MODEL_CHECK(popped == 3);
  }
  void after_death(unsigned dead) {
    if (dead == 1) {
      MODEL_CHECK(pushed == 3);
      push(4);  // a producer is never in anybody's hands
      return;
    }
    // A new node behind what the dead one may have left.
    const std::int64_t before = pushed;
    const bool under_way = pushing != pushed;
    made[4].number.set(5);
    nodes.push(made[4]);
    for (;;) {
      node* out = nullptr;
      const queue_result answer = nodes.try_pop(out);
      if (answer && out == &made[4]) {
        // It was not between its two steps: all that it pushed has come, and perhaps the one that it was about to.
        MODEL_CHECK(popped == before || (under_way && popped == before + 1));
        MODEL_CHECK(nodes.empty());
        return;
      }
      if (answer) {
        MODEL_CHECK(out->number.get() == ++popped);
        continue;
      }
      MODEL_CHECK(answer == queue_op_status::busy);
      MODEL_CHECK(under_way);
      MODEL_CHECK(popped >= before - 1);  // all but the one directly before the gap
      MODEL_CHECK(popped <= before);
      return;
    }
  }
};
MODEL_SCENARIO("intrusive_mpsc_list", death, {});

}  // namespace
