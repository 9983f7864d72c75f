// SPDX-License-Identifier: MIT
#include <cstdint>
#include <limits>

#include "holdfast/telemetry/counter.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr std::uint64_t one_before_wrap = ~std::uint64_t{0};

// What is known to have been added is in the value, which never goes down (but for the wrap).
struct watched_counter {
  counter c;
  std::uint64_t begun = 0;  // of all threads, in this execution's order
  moment added[8]{};
  std::uint64_t amounts[8]{};
  unsigned adds = 0;

  void add(std::uint64_t n) {
    const moment before = now();
    begun += n;
    c.add(n);
    added[adds] = before;
    amounts[adds++] = n;
  }
  std::uint64_t value(std::uint64_t start = 0) {
    std::uint64_t known = 0;
    for (unsigned i = 0; i < adds; ++i) {
      if (happened_before_now(added[i])) known += amounts[i];
    }
    const std::uint64_t value = c.value() - start;
    MODEL_CHECK(value >= known);
    MODEL_CHECK(value <= begun);
    return value;
  }
};

// Two count on lines of their own, and a third looks.
struct two_count_one_looks : watched_counter {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    if (thread < 2) {
      add(1);
      add(10);
      value();
    } else {
      const std::uint64_t first = value();
      MODEL_CHECK(value() >= first);
    }
  }
  void after() {
    MODEL_CHECK(c.value() == begun);
    MODEL_CHECK(begun == 22);
  }
};
MODEL_SCENARIO("counter", two_count_one_looks, {});

// Threads without a number share a stripe, here with what stands just before the wrap.
struct shared_stripe_wraps : watched_counter {
  static constexpr unsigned threads = 3;

  shared_stripe_wraps() { c.add(one_before_wrap); }
  void run(unsigned thread) {
    add(thread + 1);
    value(one_before_wrap);
    if (thread == 0) add(4);
  }
  void after() { MODEL_CHECK(c.value() == 9); }
};
MODEL_SCENARIO("counter", shared_stripe_wraps, {.slots = 0});

// Wait-free: who dies has counted or not.
struct death_of_a_counting : watched_counter {
  static constexpr unsigned threads = 3;

  void run(unsigned) {
    add(1);
    add(1);
  }
  void after() { MODEL_CHECK(c.value() == 6); }
  void after_death(unsigned) {
    MODEL_CHECK(c.value() <= begun);
    MODEL_CHECK(c.value() >= adds);
  }
};
MODEL_SCENARIO("counter", death_of_a_counting, {.slots = 1});

// A set beside two adds.
struct set_beside_adds {
  static constexpr unsigned threads = 3;
  gauge g;

  void run(unsigned thread) {
    switch (thread) {
      case 0:
        g.set(100);
        MODEL_CHECK(g.value() >= 100 - 2);
        break;
      case 1: g.add(10); break;
      default:
        g.add(-2);
        static_cast<void>(g.value());
        break;
    }
  }
  // The last set() wins: what was added before it is gone, the rest is on top of it.
  void after() {
    const std::int64_t v = g.value();
    MODEL_CHECK(v == 100 || v == 110 || v == 98 || v == 108);
  }
};
MODEL_SCENARIO("gauge", set_beside_adds, {});

// Adds alone lose nothing, also across the end of the numbers; two sets leave one of the two.
struct adds_wrap {
  static constexpr unsigned threads = 3;
  static constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  gauge g, level;

  adds_wrap() { g.set(most); }
  void run(unsigned thread) {
    g.add(thread + 1);
    if (thread < 2) {
      level.set(thread + 5);
    } else {
      const std::int64_t seen = level.value();
      MODEL_CHECK(seen == 0 || seen == 5 || seen == 6);
    }
  }
  void after() {
    MODEL_CHECK(g.value() == std::numeric_limits<std::int64_t>::min() + 5);
    MODEL_CHECK(level.value() == 5 || level.value() == 6);
  }
};
MODEL_SCENARIO("gauge", adds_wrap, {});

}  // namespace
