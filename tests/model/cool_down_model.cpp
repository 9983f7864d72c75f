// SPDX-License-Identifier: MIT
#include <cstdint>

#include "holdfast/time/cool_down.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr duration tick = cool_down::tick;
constexpr time_point at(std::int64_t ticks) {
  return time_point(1'000'000 * tick + ticks * tick);
}

// A cool-down of ten ticks, and what those who asked were told.
struct watched_cool_down {
  cool_down notice;
  std::uint64_t asked = 0, granted = 0, reported = 0;

  bool ask(time_point now) {
    ++asked;
    const cool_down_claim claim = notice.try_claim(now, 10 * tick);
    if (!claim) return false;
    ++granted;
    reported += claim.held_back;
    return true;
  }
  void must_add_up() const { MODEL_CHECK(granted + reported + notice.held_back() == asked); }  // E3
};

// E1 Three who ask at once: one gets it, and the others are counted.
struct three_at_once : watched_cool_down {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    ask(at(thread));
    if (thread == 0) ask(at(9));
  }
  void after() {
    MODEL_CHECK(granted == 1);
    must_add_up();
    MODEL_CHECK(notice.held_back() == 3);
  }
  // Who dies has asked or not; nobody else notices.
  void after_death(unsigned dead) {
    MODEL_CHECK(granted + notice.held_back() + 2 >= asked);
    if (dead != 0) MODEL_CHECK(granted <= 1);
    MODEL_CHECK(!ask(at(1)) || granted == 1);
  }
};
MODEL_SCENARIO("cool_down", three_at_once, {});

// E1, E2 One cool-down is over for those with a newer reading of the clock, and not for one that lags behind: whoever of the first
// two begins the next one, there is exactly one, and what was held back is reported once.
struct the_next_one : watched_cool_down {
  static constexpr unsigned threads = 3;

  the_next_one() {
    MODEL_CHECK(ask(at(0)));
    MODEL_CHECK(!ask(at(5)));
  }
  void run(unsigned thread) {
    if (thread < 2) {
      ask(at(10 + thread));
    } else {
      MODEL_CHECK(!ask(at(9)));
      MODEL_CHECK(!ask(at(-9)));
    }
  }
  void after() {
    MODEL_CHECK(granted == 2);
    must_add_up();
    MODEL_CHECK(asked == 6);
  }
};
MODEL_SCENARIO("cool_down", the_next_one, {});

// A length that is no whole number of ticks ends with the tick after it.
struct ends_with_a_tick : watched_cool_down {
  static constexpr unsigned threads = 2;

  ends_with_a_tick() { MODEL_CHECK(ask(at(0) + duration(1))); }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(!ask(at(10)));
    } else {
      ask(at(11));
    }
  }
  void after() {
    MODEL_CHECK(granted == 2);
    must_add_up();
  }
};
MODEL_SCENARIO("cool_down", ends_with_a_tick, {});

}  // namespace
