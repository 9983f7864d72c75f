// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "holdfast/queue/spsc_queue.hpp"

#include "model/deeds.hpp"
#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using item = plain<int>;

// A queue and what its header promises of it: first in, first out; refused only for a reason.
template <class Queue>
struct watched {
  explicit watched(std::uint64_t first = 0) : queue(first) {}

  // By each of the ways to push one, in turns.
  bool push() {
    pushes.begins();
    const int next = static_cast<int>(pushes.count()) + 1;
    const item mine(next);
    const bool done = next % 3 == 0   ? queue.try_push(mine)
                      : next % 3 == 1 ? queue.try_push(item(next))
                                      : queue.try_emplace(next);
    if (!done) {
      refused_push();
      return false;
    }
    pushes.done();
    return true;
  }
  // By each of the ways to pop one, in turns.
  bool pop() {
    pops.begins();
    item out(-1);
    bool done = false;
    if (pops.count() % 2 == 0) {
      done = queue.try_pop(out);
    } else if (const std::optional<item> one = queue.try_pop()) {
      out = *one;
      done = true;
    }
    if (!done) {
      MODEL_CHECK(out.get() == -1);
      refused_pop();
      return false;
    }
    popped(out);
    return true;
  }
  void refused_push() const { MODEL_CHECK(pushes.count() - pops.known() >= Queue::capacity()); }
  void refused_pop() const { MODEL_CHECK(pushes.known() <= pops.count()); }
  void popped(const item& out) {
    MODEL_CHECK(out.get() == static_cast<int>(pops.count()) + 1);
    pops.done();
    MODEL_CHECK(pops.count() <= pushes.count() + 1);  // the push may have published and not returned
  }
  // By one thread alone, that knows all.
  void drain() {
    MODEL_CHECK(queue.size_approx() >= pushes.count() - pops.count());
    while (pop()) {
    }
    MODEL_CHECK(pops.count() == pushes.count());
    MODEL_CHECK(queue.size_approx() == 0);
  }

  Queue queue;
  deeds pushes;
  deeds pops;
};

// Three through a queue of one, so that both sides meet a full and an empty queue and the slots are used again.
struct one_by_one {
  static constexpr unsigned threads = 2;
  watched<spsc_queue<item, 1>> w;

  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) static_cast<void>(thread == 0 ? w.push() : w.pop());
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", one_by_one, {});

// Nobody gives up: a freed slot is room for the producer in the end, and what is pushed reaches the consumer.
struct handed_over_in_order {
  static constexpr unsigned threads = 2;
  static constexpr unsigned count = 4;
  watched<spsc_queue<item, 2>> w{just_before_wrap - 1};

  void run(unsigned thread) {
    if (thread == 0) {
      while (w.pushes.count() < count) {
        if (!w.push()) spin();
      }
    } else {
      while (w.pops.count() < count) {
        if (!w.pop()) spin();
      }
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", handed_over_in_order, {});

// Across the end of the positions, and once more across the end of the slots.
struct over_the_wrap {
  static constexpr unsigned threads = 2;
  watched<spsc_queue<item, 2>> w{just_before_wrap - 1};

  void run(unsigned thread) {
    for (int i = 0; i < 7; ++i) static_cast<void>(thread == 0 ? w.push() : w.pop());
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", over_the_wrap, {});

// The consumer tells of freed slots in groups of two; the queue stands one item below its capacity when they begin.
struct in_groups {
  using queue_type = spsc_queue<item, 16>;
  static_assert(queue_type::publish_every() == 2 && queue_type::max_size() == 17);
  static constexpr unsigned threads = 2;
  watched<queue_type> w{just_before_wrap - 16};

  in_groups() {
    for (int i = 0; i < 15; ++i) MODEL_CHECK(w.push());
  }
  void run(unsigned thread) {
    for (int i = 0; i < 4; ++i) static_cast<void>(thread == 0 ? w.push() : w.pop());
  }
  void after() {
    MODEL_CHECK(w.pushes.count() - w.pops.count() <= queue_type::max_size());
    w.drain();
  }
};
MODEL_SCENARIO("spsc_queue", in_groups, {});

// An observer never sees fewer than none, nor more than were pushed; across the wrap.
struct observed {
  static constexpr unsigned threads = 3;
  watched<spsc_queue<item, 4>> w{just_before_wrap};

  void run(unsigned thread) {
    if (thread == 2) {
      for (int i = 0; i < 2; ++i) {
        const unsigned pushed = w.pushes.known(), popped = w.pops.known();
        const unsigned may_be_gone = std::min(pushed, w.pops.count() + 1);
        const std::size_t size = w.queue.size_approx();
        MODEL_CHECK(size >= pushed - may_be_gone);
        MODEL_CHECK(size + popped <= w.pushes.count() + 1);
      }
      return;
    }
    for (int i = 0; i < 3; ++i) static_cast<void>(thread == 0 ? w.push() : w.pop());
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", observed, {});

// The producer's and the consumer's own look at the size.
struct sized_by_its_users {
  static constexpr unsigned threads = 2;
  watched<spsc_queue<item, 2>> w{just_before_wrap};

  void run(unsigned thread) {
    for (int i = 0; i < 2; ++i) {
      if (thread == 0) {
        if (!w.push()) MODEL_CHECK(w.queue.size_approx() <= 2);
      } else if (!w.pop()) {
        MODEL_CHECK(w.queue.size_approx() <= w.pushes.count() + 1 - w.pops.count());
      }
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", sized_by_its_users, {});

// Batches of three into a queue of two, out in twos: the rest is still the caller's. Across the wrap.
struct in_batches {
  static constexpr unsigned threads = 2;
  watched<spsc_queue<item, 2>> w{just_before_wrap};

  void run(unsigned thread) {
    for (int turn = 0; turn < 2; ++turn) {
      if (thread == 0) {
        const int first = static_cast<int>(w.pushes.count());
        std::array<item, 3> values{item(first + 1), item(first + 2), item(first + 3)};
        w.pushes.begins();
        const std::size_t done = choose(2) == 0 ? w.queue.try_push(std::span<item>(values))
                                                : w.queue.try_push(std::span<const item>(values));
        w.pushes.done(done);
        if (done < values.size()) w.refused_push();
        for (std::size_t i = done; i < values.size(); ++i)
          MODEL_CHECK(values[i].get() == first + 1 + static_cast<int>(i));
      } else {
        std::array<item, 2> out{item(-1), item(-1)};
        w.pops.begins();
        const std::size_t done = w.queue.try_pop(std::span<item>(out));
        for (std::size_t i = 0; i < done; ++i) {
          MODEL_CHECK(out[i].get() == static_cast<int>(w.pops.count() + i) + 1);
        }
        w.pops.done(done);
        for (std::size_t i = done; i < out.size(); ++i) MODEL_CHECK(out[i].get() == -1);
        if (done < out.size()) w.refused_pop();
      }
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", in_batches, {});

// What is copied as bytes goes round the end of the slots in two runs. (Its bytes are not race-checked; the positions
// that publish them are the same as above.)
struct batches_of_bytes {
  static constexpr unsigned threads = 2;
  spsc_queue<int, 4> queue{just_before_wrap - 1};
  int pushed = 0, popped = 0;

  void run(unsigned thread) {
    for (int turn = 0; turn < 2; ++turn) {
      if (thread == 0) {
        const std::array<int, 3> values{pushed + 1, pushed + 2, pushed + 3};
        pushed += static_cast<int>(queue.try_push(std::span<const int>(values)));
      } else {
        take();
      }
    }
  }
  std::size_t take() {
    std::array<int, 3> out{-1, -1, -1};
    const std::size_t done = queue.try_pop(std::span<int>(out));
    for (std::size_t i = 0; i < done; ++i) MODEL_CHECK(out[i] == ++popped);
    for (std::size_t i = done; i < out.size(); ++i) MODEL_CHECK(out[i] == -1);
    return done;
  }
  void after() {
    while (take() != 0) {
    }
    MODEL_CHECK(popped == pushed);
  }
};
MODEL_SCENARIO("spsc_queue", batches_of_bytes, {});

// consume_all takes what was there when it was called, not more; items are made in their slots.
struct consumed_whole {
  static constexpr unsigned threads = 2;
  watched<spsc_queue<item, 2>> w{just_before_wrap};

  void run(unsigned thread) {
    if (thread == 0) {
      for (int i = 0; i < 3; ++i) {
        w.pushes.begins();
        if (w.queue.try_emplace(static_cast<int>(w.pushes.count()) + 1)) {
          w.pushes.done();
        } else {
          w.refused_push();
        }
      }
      return;
    }
    for (int i = 0; i < 2; ++i) {
      const unsigned known = w.pushes.known(), before = w.pops.count();
      w.pops.begins();
      unsigned most = before;  // what could be there when it looked
      const std::size_t count = w.queue.consume_all([&](item&& one) {
        if (most == before) most = w.pushes.count() + 1;
        w.popped(one);
      });
      MODEL_CHECK(w.pops.count() <= most);
      MODEL_CHECK(before + count == w.pops.count());
      MODEL_CHECK(w.pops.count() >= known);
    }
  }
  void after() { w.drain(); }
};
MODEL_SCENARIO("spsc_queue", consumed_whole, {});

// For a T that cannot be assigned to.
struct into_an_optional {
  static constexpr unsigned threads = 2;
  struct fixed {
    explicit fixed(int v) : value(v) {}
    fixed(fixed&& other) noexcept : value(other.value.get()) {}
    fixed& operator=(fixed&&) = delete;
    ~fixed() = default;
    item value;
  };
  spsc_queue<fixed, 1> queue{just_before_wrap};
  deeds pushes, pops;

  bool pop() {
    pops.begins();
    const std::optional<fixed> out = queue.try_pop();
    if (!out) {
      MODEL_CHECK(pushes.known() <= pops.count());
      return false;
    }
    pops.done();
    MODEL_CHECK(out->value.get() == static_cast<int>(pops.count()));
    return true;
  }
  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) {
      if (thread == 1) {
        static_cast<void>(pop());
        continue;
      }
      pushes.begins();
      if (queue.try_push(fixed(static_cast<int>(pushes.count()) + 1))) {
        pushes.done();
      } else {
        MODEL_CHECK(pushes.count() - pops.known() >= queue.capacity());
      }
    }
  }
  void after() {
    while (pop()) {
    }
    MODEL_CHECK(pops.count() == pushes.count());
  }
};
MODEL_SCENARIO("spsc_queue", into_an_optional, {});

// Items with memory of their own: made by one thread and freed by the other, or by the queue's destructor.
struct with_memory {
  static constexpr unsigned threads = 2;
  using owner = std::unique_ptr<item>;
  spsc_queue<owner, 2> queue{just_before_wrap};
  int taken = 0;

  void run(unsigned thread) {
    if (thread == 0) {
      for (int i = 1; i <= 2; ++i) {
        owner mine = std::make_unique<item>(i);
        if (!queue.try_push(std::move(mine))) MODEL_CHECK(mine->get() == i);  // refused: still the caller's
      }
      std::array<owner, 2> two{std::make_unique<item>(3), std::make_unique<item>(4)};
      const std::size_t done = queue.try_push(std::span<owner>(two));
      for (std::size_t i = 0; i < two.size(); ++i) MODEL_CHECK((two[i] == nullptr) == (i < done));
      return;
    }
    take();
    std::array<owner, 2> out;
    const std::size_t done = queue.try_pop(std::span<owner>(out));
    for (std::size_t i = 0; i < done; ++i) saw(*out[i]);
    queue.consume_all([&](owner&& one) { saw(*one); });
  }
  void take() {
    owner out;
    if (queue.try_pop(out)) saw(*out);
  }
  void saw(const item& one) {
    MODEL_CHECK(one.get() > taken);
    taken = one.get();
  }
  void after() {}  // what is left goes with the queue, and a leak fails
};
MODEL_SCENARIO("spsc_queue", with_memory, {});

// Wait-free: one side dies at any of its steps and the other one goes on. What was pushed is there; of the dead one's own
// call at most one item is in doubt.
struct death {
  static constexpr unsigned threads = 2;
  watched<spsc_queue<item, 2>> w{just_before_wrap - 1};

  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) static_cast<void>(thread == 0 ? w.push() : w.pop());
  }
  void after() { w.drain(); }
  void after_death(unsigned dead) {
    if (dead == 0) {  // a new consumer finds all that was pushed, and perhaps what was being pushed
      const unsigned returned = w.pushes.count();
      for (;;) {
        item out;
        if (!w.queue.try_pop(out)) break;
        w.popped(out);
      }
      MODEL_CHECK(w.pops.count() == returned || w.pops.count() == returned + 1);
    } else {  // the producer may fill the queue: the dead one held at most the slot it was emptying
      unsigned in_queue = w.pushes.count() - w.pops.count();
      for (; w.queue.try_push(item(0)); ++in_queue) {
      }
      MODEL_CHECK(in_queue == w.queue.capacity() || in_queue == w.queue.capacity() + 1);
    }
  }
};
MODEL_SCENARIO("spsc_queue", death, {});

}  // namespace
