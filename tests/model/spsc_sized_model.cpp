// SPDX-License-Identifier: MIT
// spsc_queue<T>: the same algorithm with numbers that are read at run time, in memory that is asked for.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>

#include "holdfast/queue/spsc_queue.hpp"

#include "model/deeds.hpp"
#include "model/engine/scenario.hpp"
#include "support/sized_queue.hpp"

using namespace holdfast;
using namespace holdfast_model;
using test_support::sized_queue;

namespace {

using item = plain<int>;

template <class Queue>
struct promised {
  template <class... Args>
  explicit promised(Args... args) : queue(args...) {}

  bool push() {
    pushes.begins();
    if (!queue.try_emplace(static_cast<int>(pushes.count()) + 1)) {
      MODEL_CHECK(pushes.count() - pops.known() >= queue.capacity());
      return false;
    }
    pushes.done();
    return true;
  }
  bool pop() {
    pops.begins();
    item out(-1);
    if (!queue.try_pop(out)) {
      MODEL_CHECK(pushes.known() <= pops.count());
      return false;
    }
    pops.done();
    MODEL_CHECK(out.get() == static_cast<int>(pops.count()));
    return true;
  }
  void drain() {
    while (pop()) {
    }
    MODEL_CHECK(pops.count() == pushes.count());
    MODEL_CHECK(queue.size_approx() == 0);
  }

  Queue queue;
  deeds pushes;
  deeds pops;
};

// Across the end of the positions.
struct sized_over_the_wrap {
  static constexpr unsigned threads = 2;
  promised<sized_queue<item, 2>> p{just_before_wrap - 1};

  void run(unsigned thread) {
    for (int i = 0; i < 5; ++i) static_cast<void>(thread == 0 ? p.push() : p.pop());
  }
  void after() { p.drain(); }
};
MODEL_SCENARIO("spsc_sized", sized_over_the_wrap, {});

// The consumer tells of freed slots in groups of two; the queue stands one item below its capacity when they begin.
struct sized_in_groups {
  static constexpr unsigned threads = 2;
  promised<sized_queue<item, 16>> p{just_before_wrap - 16};

  sized_in_groups() {
    for (int i = 0; i < 15; ++i) MODEL_CHECK(p.push());
  }
  void run(unsigned thread) {
    for (int i = 0; i < 4; ++i) static_cast<void>(thread == 0 ? p.push() : p.pop());
  }
  void after() {
    MODEL_CHECK(p.pushes.count() - p.pops.count() <= p.queue.max_size());
    p.drain();
  }
};
MODEL_SCENARIO("spsc_sized", sized_in_groups, {});

struct sized_death {
  static constexpr unsigned threads = 2;
  promised<sized_queue<item, 2>> p{just_before_wrap - 1};

  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) static_cast<void>(thread == 0 ? p.push() : p.pop());
  }
  void after() { p.drain(); }
  void after_death(unsigned dead) {
    if (dead == 0) {  // a new consumer finds all that was pushed, and perhaps what was being pushed
      const unsigned returned = p.pushes.count();
      for (item out; p.queue.try_pop(out);) {
        p.pops.done();
        MODEL_CHECK(out.get() == static_cast<int>(p.pops.count()));
      }
      MODEL_CHECK(p.pops.count() == returned || p.pops.count() == returned + 1);
    } else {  // the producer may fill the queue: the dead one held at most the slot it was emptying
      unsigned in_queue = p.pushes.count() - p.pops.count();
      for (; p.queue.try_emplace(0); ++in_queue) {
      }
      MODEL_CHECK(in_queue == p.queue.capacity() || in_queue == p.queue.capacity() + 1);
    }
  }
};
MODEL_SCENARIO("spsc_sized", sized_death, {});

// What is left is destroyed, and then the memory goes back; a leak fails, and so does an item without its memory.
struct in_memory_asked_for {
  static constexpr unsigned threads = 2;
  using owner = std::unique_ptr<item>;
  spsc_queue<owner> queue{2, std::pmr::new_delete_resource(), just_before_wrap};
  int taken = 0;

  void run(unsigned thread) {
    for (int i = 1; i <= 3; ++i) {
      if (thread == 0) {
        static_cast<void>(queue.try_push(std::make_unique<item>(i)));
      } else {
        for (const owner& one : queue.peek(1)) {
          MODEL_CHECK(one->get() > taken);
          taken = one->get();
          queue.release(1);
        }
      }
    }
  }
  void after() {}
};
MODEL_SCENARIO("spsc_sized", in_memory_asked_for, {});

// A mistake of configuration is noticed.
struct not_a_power_of_two {
  static constexpr unsigned threads = 1;
  void run(unsigned) { const spsc_queue<item> queue(3, std::pmr::new_delete_resource()); }
  void after() {}
};
MODEL_SCENARIO("spsc_sized", not_a_power_of_two, {.refutes = true});

struct storage_too_small {
  static constexpr unsigned threads = 1;
  alignas(64) std::array<std::byte, 64> storage{};
  void run(unsigned) { const spsc_queue<item> queue(32, storage); }
  void after() {}
};
MODEL_SCENARIO("spsc_sized", storage_too_small, {.refutes = true});

}  // namespace
