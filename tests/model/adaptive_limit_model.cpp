// SPDX-License-Identifier: MIT
// Who closes a window, what counts in it, and what is left of a call from an older epoch. Closing reads more than four hundred
// counters, so few threads meet here.
#include <array>
#include <chrono>
#include <cstdint>

#include "holdfast/policy/adaptive_limit.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr duration window = std::chrono::milliseconds(10);
constexpr time_point start{std::chrono::hours(1)};

// Counts what it is told in plain data, so that two that tell it at once are a race.
struct tally {
  struct options {
    bool cut = false;  // each window begins an epoch
  };
  constexpr explicit tally(const options& o) : cut(o.cut) {}
  [[nodiscard]] std::uint32_t limit() const noexcept { return 10; }
  limit_step on_window(const limit_window& w) noexcept {
    ++windows;
    return {.limit = 10 + windows + static_cast<std::uint32_t>(w.samples) * 100, .new_epoch = cut};
  }
  bool cut;
  std::uint32_t windows = 0;
};

struct limited {
  adaptive_limit_by<tally> limit;
  std::array<adaptive_limit::answer, 4> said{};
  explicit limited(bool cut = false) : limit({.window = window, .min_results = 1}, {.cut = cut}) {
    one_call(3, start);  // begins the first window, and is in it
  }
  void one_call(unsigned thread, time_point now, std::uint32_t in_flight = 1) {
    said[thread] = limit.end(limit.begin(now, in_flight), verdict::ok, now);
  }
};

// The window is over and two calls end: one of them closes it, and the other's is in it or not.
struct one_closes : limited {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) { one_call(thread, start + window, thread == 0 ? 5 : 9); }
  void after() {
    MODEL_CHECK(said[0].counted);
    MODEL_CHECK(said[1].counted);
    MODEL_CHECK(said[0].closed != said[1].closed);
    const auto s = limit.snapshot();
    MODEL_CHECK(s.windows == 1);
    MODEL_CHECK(s.last.samples == 2 || s.last.samples == 3);
    const std::uint64_t highest = s.last.in_flight_max;
    MODEL_CHECK(highest == 9 || (highest == 5 && said[0].closed));
    MODEL_CHECK(s.limit == 11 + s.last.samples * 100);
    for (const auto& a : {said[0], said[1]}) MODEL_CHECK(a.limit == s.limit || (!a.closed && a.limit == 10));
  }
};
MODEL_SCENARIO("adaptive_limit", one_closes, {.weak_failures = 0, .dies = false, .slots = 2});

// Who dies while it closes a window leaves the limit as it is, or as it has just made it; who counts goes on.
struct closes_and_dies : limited {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {  // a call that went away ends the window as well, and counts for nothing
      said[0] = limit.end(limit.begin(start + window, 1), verdict::cancelled, start + window);
    } else {
      one_call(1, start + window - duration(1));
    }
  }
  void after() {
    MODEL_CHECK(said[0].closed);
    MODEL_CHECK(!said[0].counted);
    MODEL_CHECK(limit.snapshot().windows == 1);
  }
  void after_death(unsigned dead) {
    const auto s = limit.snapshot();
    MODEL_CHECK(s.windows <= 1);
    MODEL_CHECK(s.limit == 10 || s.limit == 111 || s.limit == 211);
    MODEL_CHECK(dead == 1 || said[1].counted);
  }
};
MODEL_SCENARIO("adaptive_limit", closes_and_dies, {.weak_failures = 0, .slots = 2});

// With places of their own they lose nothing either; the next window finds what this one did not.
struct nothing_twice : limited {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) { one_call(thread, start + window - duration(thread == 0 ? 0 : 1)); }
  void after() {
    MODEL_CHECK(said[0].closed);
    const std::uint64_t first = limit.snapshot().last.samples;
    one_call(3, start + 2 * window);
    MODEL_CHECK(said[3].closed);
    const std::uint64_t second = limit.snapshot().last.samples;
    MODEL_CHECK(second >= 1);
    MODEL_CHECK(first + second <= 4);
    MODEL_CHECK(first + second >= 3);  // who counts while a window is read may be in neither
  }
};
MODEL_SCENARIO("adaptive_limit", nothing_twice, {.dies = false, .slots = 2});

// One is a window ahead of the other: both may close one, one after the other, and the algorithm is handed over. [V1] [V2]
struct two_windows : limited {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) { one_call(thread, start + (1 + thread) * window); }
  void after() {
    const unsigned closed = (said[0].closed ? 1U : 0U) + (said[1].closed ? 1U : 0U);
    MODEL_CHECK(closed >= 1);
    const auto s = limit.snapshot();
    MODEL_CHECK(s.windows == closed);
    MODEL_CHECK(s.limit == 10 + closed + s.last.samples * 100);
  }
};
MODEL_SCENARIO("adaptive_limit", two_windows, {.weak_failures = 0, .dies = false, .slots = 0});

// A1: a call from before the cut ends beside it: it is in the window that led to the cut, or it is told that it is not
// counted; in the first window of the new epoch it never is.
struct older_epoch : limited {
  static constexpr unsigned threads = 2;
  adaptive_limit::ticket before = limit.begin(start, 1);
  older_epoch() : limited(true) {}
  void run(unsigned thread) {
    if (thread == 0) {
      one_call(0, start + window);
    } else {
      said[1] = limit.end(before, verdict::ok, start + window - duration(1));
    }
  }
  void after() {
    MODEL_CHECK(said[0].closed);
    auto s = limit.snapshot();
    MODEL_CHECK(s.epoch == 1);
    MODEL_CHECK(s.stale == (said[1].counted ? 0U : 1U));
    MODEL_CHECK(s.last.samples == 2 || (s.last.samples == 3 && said[1].counted));
    one_call(2, start + 2 * window);
    s = limit.snapshot();
    MODEL_CHECK(s.windows == 2);
    MODEL_CHECK(s.last.samples == 1);
    MODEL_CHECK(s.epoch == 2);
  }
};
MODEL_SCENARIO("adaptive_limit", older_epoch, {.dies = false, .slots = 0});

// An observer's snapshot is one window's, not two halves.
struct observed : limited {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {
      one_call(0, start + window);
      return;
    }
    const auto s = limit.snapshot();
    MODEL_CHECK(s.windows <= 1);
    MODEL_CHECK(s.last.samples == 2 * s.windows);
    MODEL_CHECK((s.last.p50 == duration::zero()) == (s.windows == 0));
  }
  void after() { MODEL_CHECK(limit.snapshot().windows == 1); }
};
MODEL_SCENARIO("adaptive_limit", observed, {.dies = false, .slots = 0});

}  // namespace
