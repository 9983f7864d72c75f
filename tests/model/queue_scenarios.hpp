// SPDX-License-Identifier: MIT
// Scenarios that hold for every bounded queue between many threads; each model file names those that it takes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/queue_result.hpp"

#include "linearizability/queue_spec.hpp"
#include "model/engine/scenario.hpp"
#include "model/linearized.hpp"

namespace holdfast_model::queues {

using namespace holdfast;
using namespace holdfast_lin;

using item = plain<std::int64_t>;

inline constexpr std::uint64_t just_before_wrap = ~std::uint64_t{0} / 2;  // the position after it is 0

inline queue_said said(queue_result answer) {
  switch (answer.status()) {
    case queue_op_status::success: return queue_said::done;
    case queue_op_status::busy: return queue_said::busy;
    case queue_op_status::closed: return queue_said::closed;
    default: return queue_said::refused;
  }
}

// A queue whose every answer is judged: FIFO over all threads, full, empty and closed only with reason, busy only while
// another operation is under way.
template <class Queue, refusals Refusals = refusals::as_known>
struct judged {
  using spec = queue_spec<Queue::capacity(), Queue::capacity(), Refusals>;
  explicit judged(std::uint64_t first = just_before_wrap) : queue(first) {}

  queue_said push(std::int64_t number) {
    queue_said answer{};
    answers.record([&] {
      item mine(number);
      answer = said(queue.try_push(std::move(mine)));
      if (answer != queue_said::done) MODEL_CHECK(mine.get() == number);
      return spec::push(number, answer);
    });
    return answer;
  }
  queue_said pop() {
    queue_said answer{};
    answers.record([&] {
      item out(-1);
      answer = said(queue.try_pop(out));
      MODEL_CHECK((out.get() == -1) == (answer != queue_said::done));
      return spec::pop(answer, out.get());
    });
    return answer;
  }
  void close() {
    answers.record([&] {
      queue.close();
      return spec::close();
    });
  }
  // By one thread alone, that knows all: nobody is under way, so nothing is busy, and nothing is lost.
  void drain() {
    for (;;) {
      const queue_said answer = pop();
      MODEL_CHECK(answer != queue_said::busy);
      if (answer != queue_said::done) break;
    }
    MODEL_CHECK(queue.size_approx() == 0);
    answers.judge();
  }

  Queue queue;
  linearized<spec> answers;
};

// Two push and one pops, through one cell.
template <class Queue, refusals Refusals = refusals::as_known, bool Fences = false>
struct two_push_one_pops {
  static constexpr unsigned threads = 3;
  judged<Queue, Refusals> w;

  void step() {
    if (Fences) fence(mo::seq_cst);
  }
  void run(unsigned thread) {
    if (thread < 2) {
      w.push(thread * 2 + 1);
      step();
      if (thread == 0) w.push(2);
    } else {
      w.pop();
      step();
      w.pop();
    }
  }
  void after() { w.drain(); }
};
// One pushes and two pop.
template <class Queue>
struct one_pushes_two_pop {
  static constexpr unsigned threads = 3;
  judged<Queue> w;

  void run(unsigned thread) {
    if (thread == 0) {
      for (std::int64_t i = 1; i <= 3; ++i) w.push(i);
    } else {
      w.pop();
      if (thread == 1) w.pop();
    }
  }
  void after() { w.drain(); }
};
// Nobody gives up: what is pushed arrives, and a freed cell is room in the end.
template <class Queue>
struct handed_over {
  static constexpr unsigned threads = 2;
  judged<Queue> w;

  void run(unsigned thread) {
    for (std::int64_t i = 1; i <= 2;) {
      if ((thread == 0 ? w.queue.try_push(item(i)) : pop(i)) == queue_op_status::success) {
        ++i;
      } else {
        spin();
      }
    }
  }
  queue_result pop(std::int64_t number) {
    item out(-1);
    const queue_result answer = w.queue.try_pop(out);
    if (answer) MODEL_CHECK(out.get() == number);
    return answer;
  }
  void after() { w.drain(); }
};
// Closing while one pushes and one pops: what was taken comes out, and then it says closed.
template <class Queue>
struct closed_by_a_third {
  static constexpr unsigned threads = 3;
  judged<Queue> w;

  void run(unsigned thread) {
    if (thread == 0) {
      if (w.push(1) == queue_said::done) w.push(2);
    } else if (thread == 1) {
      w.close();
      w.push(3);
    } else {
      w.pop();
      w.pop();
    }
  }
  void after() {
    MODEL_CHECK(w.queue.closed());
    MODEL_CHECK(w.push(4) == queue_said::closed);
    w.drain();
    MODEL_CHECK(w.pop() == queue_said::closed);
  }
};
// The end is seen with all that was done before it; nobody need be told in another way.
template <class Queue>
struct drained_until_closed {
  static constexpr unsigned threads = 2;
  Queue queue{just_before_wrap};
  item note{0};

  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(queue.try_push(item(1)));
      note.set(7);
      queue.close();
      MODEL_CHECK(queue.try_push(item(2)) == queue_op_status::closed);
      return;
    }
    std::int64_t last = 0;
    for (;;) {
      item out;
      const queue_result answer = queue.try_pop(out);
      if (answer) {
        MODEL_CHECK(out.get() == ++last);
      } else if (answer == queue_op_status::closed) {
        break;
      } else {
        spin();
      }
    }
    MODEL_CHECK(last == 1);
    MODEL_CHECK(note.get() == 7);
  }
  void after() { MODEL_CHECK(queue.closed()); }
};
// Items with memory of their own: made by one thread and freed by another, or by the queue's destructor.
template <template <class> class Queue>
struct with_memory {
  static constexpr unsigned threads = 3;
  using owner = std::unique_ptr<item>;
  Queue<owner> queue{just_before_wrap};
  std::array<bool, 4> seen{};

  void run(unsigned thread) {
    if (thread < 2) {
      owner mine = std::make_unique<item>(thread);
      if (!queue.try_push(std::move(mine))) MODEL_CHECK(mine->get() == thread);  // refused: still the caller's
    } else {
      owner out;
      if (queue.try_pop(out)) saw(*out);
      if (const std::optional<owner> one = queue.try_pop()) saw(**one);
    }
  }
  void saw(const item& one) { MODEL_CHECK(!std::exchange(seen.at(static_cast<std::size_t>(one.get())), true)); }
  void after() {}  // what is left goes with the queue, and a leak fails
};

}  // namespace holdfast_model::queues
