// SPDX-License-Identifier: MIT
// The counters under the latency sketch, two of them, so that a reader beside the writers can be looked at.
#include <cstdint>

#include "holdfast/policy/window_counts.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr std::uint32_t now = 0xFF'FFFF;  // the next window's number has wrapped in its word

struct counted {
  window_counts<2> counts;
  [[nodiscard]] std::uint64_t in(std::uint32_t window, std::size_t counter = 0) const {
    window_counts<2>::sums sums{};
    counts.read_one(window, sums);
    return sums[counter];
  }
  [[nodiscard]] std::uint64_t recent(std::uint32_t window) const {
    window_counts<2>::sums sums{};
    counts.read_last_two(window, sums);
    return sums[0];
  }
};

// L3: all that was counted is there, and who reads meanwhile finds no more than that.
struct all_there : counted {
  static constexpr unsigned threads = 3;
  void run(unsigned thread) {
    if (thread < 2) {
      counts.add(0, now);
      counts.add(0, now);
      counts.add(1, now);
      return;
    }
    MODEL_CHECK(in(now) <= 4);
  }
  void after() {
    MODEL_CHECK(in(now) == 4);
    MODEL_CHECK(in(now, 1) == 2);
    MODEL_CHECK(in(now + 1) == 0);
    MODEL_CHECK(recent(now + 1) == 4);
    MODEL_CHECK(recent(now + 2) == 0);
  }
  void after_death(unsigned dead) {
    const std::uint64_t least = dead < 2 ? 2 : 4;
    MODEL_CHECK(in(now) >= least);
    MODEL_CHECK(in(now) <= 4);
  }
};
struct all_there_own : all_there {};
struct all_there_one_shares : all_there {};
// Two that share a place, without a reader.
struct all_there_both_share : counted {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    counts.add(0, now);
    counts.add(thread, now);
  }
  void after() {
    MODEL_CHECK(in(now) == 3);
    MODEL_CHECK(in(now, 1) == 1);
  }
  void after_death(unsigned dead) {
    MODEL_CHECK(in(now) >= (dead == 0 ? 1U : 2U));
    MODEL_CHECK(in(now, 1) >= (dead == 1 ? 0U : 1U));
  }
};
MODEL_SCENARIO("latency_sketch", all_there_own, {.slots = 2});
MODEL_SCENARIO("latency_sketch", all_there_one_shares, {.slots = 1});
MODEL_SCENARIO("latency_sketch", all_there_both_share, {.weak_failures = 0, .slots = 0});

// L2: one counts in the next window while others are late in this one; each count is where it belongs, whoever was first.
struct window_ends : counted {
  static constexpr unsigned threads = 3;
  window_ends() { counts.add(0, now - 1); }
  void run(unsigned thread) {
    counts.add(0, now + (thread == 0 ? 1 : 0));
    if (thread == 1) counts.add(0, now + 1);
  }
  void after() {
    MODEL_CHECK(in(now + 1) == 2);
    MODEL_CHECK(in(now) == 2);
    MODEL_CHECK(recent(now + 1) == 4);
    MODEL_CHECK(recent(now + 2) == 2);
    MODEL_CHECK(recent(now + 3) == 0);
  }
};
struct window_ends_own : window_ends {};
struct window_ends_shared : window_ends {};
MODEL_SCENARIO("latency_sketch", window_ends_own, {.slots = 4});
MODEL_SCENARIO("latency_sketch", window_ends_shared, {.weak_failures = 0, .slots = 0});

// Two windows late is nobody's: it takes away nothing of the window that is.
struct too_late : counted {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) { counts.add(0, now + (thread == 0 ? 2 : 0)); }
  void after() {
    MODEL_CHECK(in(now + 2) == 1);
    MODEL_CHECK(in(now + 1) == 0);
    MODEL_CHECK(recent(now + 2) == 1);
  }
};
MODEL_SCENARIO("latency_sketch", too_late, {.slots = 0});

}  // namespace
