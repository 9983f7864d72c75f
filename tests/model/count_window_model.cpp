// SPDX-License-Identifier: MIT
// The window of the last calls: results in one order, what leaves it is what came in, eras that end while results are counted,
// and threads that die between the steps of a count.
#include <array>
#include <cstdint>

#include "holdfast/policy/count_window.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using era = count_window::era;
using sums = count_window::sums;
constexpr auto lasts = [] { return true; };

// What is in the sums leaves them result by result, and then nothing is left: a result that was put away wrongly, or not,
// would be taken out as what it was not.
template <unsigned Calls>
void check_comes_out_even(count_window& window, era its) {
  std::uint32_t failed = window.counts(its, Calls).failed;
  MODEL_CHECK(failed <= Calls);
  for (unsigned i = 0; i < Calls; ++i) {
    const sums s = window.count(its, Calls, false, false, lasts);
    MODEL_CHECK(s.failed <= failed);
    MODEL_CHECK(failed - s.failed <= 1);
    failed = s.failed;
  }
  MODEL_CHECK(failed == 0);
}

// Two threads count two results each in a window that is full before they come: sums of one order, whatever it is.
template <unsigned Calls>
struct two_count {
  static constexpr unsigned threads = 2;
  count_window window;
  std::array<std::array<sums, 2>, 2> told{};
  two_count() {
    for (unsigned i = 0; i < Calls; ++i) window.count({}, Calls, i % 2 == 0, false, lasts);
  }
  void run(unsigned thread) {
    told[thread][0] = window.count({}, Calls, thread == 0, false, lasts);
    told[thread][1] = window.count({}, Calls, thread == 1, false, lasts);
  }
  void after() {
    for (const auto& mine : told) {
      for (const sums& s : mine) {
        MODEL_CHECK(s.calls == Calls);
        MODEL_CHECK(s.failed <= Calls);
      }
    }
    // Each has a failure of its own in its sums when it has just counted it.
    MODEL_CHECK(told[0][0].failed >= 1);
    MODEL_CHECK(told[1][1].failed >= 1);
    check_comes_out_even<Calls>(window, {});
  }
  void after_death(unsigned) { check_comes_out_even<Calls>(window, {}); }
};
struct two_count_the_last_one : two_count<1> {};
struct two_count_the_last_two : two_count<2> {};
MODEL_SCENARIO("count_window", two_count_the_last_one, {});
MODEL_SCENARIO("count_window", two_count_the_last_two, {});

// Three failures, each of its own thread: the sums that they are told are those after one, two and three.
struct three_count {
  static constexpr unsigned threads = 3;
  count_window window;
  std::array<sums, 3> told{};
  void run(unsigned thread) { told[thread] = window.count({}, 3, true, thread == 0, lasts); }
  void after() {
    std::array<bool, 4> seen{};
    for (const sums& s : told) {
      MODEL_CHECK(s.calls == s.failed);
      MODEL_CHECK(s.calls >= 1);
      MODEL_CHECK(s.calls <= 3);
      MODEL_CHECK(!seen.at(s.calls));
      seen.at(s.calls) = true;
    }
    MODEL_CHECK(told[0].slow == 1);
    MODEL_CHECK((window.counts({}, 3) == sums{3, 3, 1}));
    check_comes_out_even<3>(window, {});
  }
};
MODEL_SCENARIO("count_window", three_count, {.dies = false});

// A state ends while one of its results is counted: the next one's window holds what was counted for it and nothing else.
// [N1] [N5]
struct an_era_ends {
  static constexpr unsigned threads = 2;
  static constexpr std::uint32_t calls = 2;
  atomic<std::uint64_t> state{1};
  count_window window;
  bool late = false;
  an_era_ends() {
    window.count({.generation = 1}, calls, true, false, lasts);
    window.count({.generation = 1}, calls, false, false, lasts);
  }
  sums count_now(bool failed) {
    const std::uint64_t seen = state.load(mo::relaxed);
    return window.count({.generation = static_cast<std::uint16_t>(seen)}, calls, failed, false,
                        [&] { return state.load(mo::relaxed) == seen; });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      state.store(2, mo::relaxed);
      count_now(true);
      return;
    }
    const std::uint64_t seen = state.load(mo::relaxed);
    const sums s = count_now(true);
    late = seen == 2 && s.calls != 0;
  }
  void after() {
    const sums s = window.counts({.generation = 2}, calls);
    MODEL_CHECK(s.calls == s.failed);
    MODEL_CHECK(s.calls >= 1);
    if (late) MODEL_CHECK(s.calls == 2);
    check_comes_out_even<calls>(window, {.generation = 2});
  }
};
MODEL_SCENARIO("count_window", an_era_ends, {});

// One thread puts away the last result of an era while another has begun the next one, whose first result has the same place:
// it stays as the next era has it. [N2] [N4]
struct a_place_changes_hands {
  static constexpr unsigned threads = 2;
  static constexpr std::uint32_t calls = 2;
  atomic<std::uint64_t> state{1};
  count_window window;
  a_place_changes_hands() { window.count({.generation = 1}, calls, true, false, lasts); }
  void run(unsigned thread) {
    if (thread == 0) {
      state.store(2, mo::relaxed);
      window.count({.generation = 2}, calls, false, false, lasts);
      window.count({.generation = 2}, calls, true, false, lasts);
    } else {
      window.count({.generation = 1}, calls, true, false, [&] { return state.load(mo::relaxed) == 1; });
    }
  }
  void after() {
    MODEL_CHECK((window.counts({.generation = 2}, calls) == sums{2, 1, 0}));
    MODEL_CHECK((window.count({.generation = 2}, calls, false, false, lasts) == sums{2, 1, 0}));
    check_comes_out_even<calls>(window, {.generation = 2});
  }
  void after_death(unsigned dead) {
    if (dead == 1) after();
  }
};
MODEL_SCENARIO("count_window", a_place_changes_hands, {});

}  // namespace
