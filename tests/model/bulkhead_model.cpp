// SPDX-License-Identifier: MIT
// The word of a bulkhead is changed by read-modify-writes alone, so it has one value at any moment of an execution; who is
// inside is counted beside it in the same turn, and B1 and B5 can be checked at that moment.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "holdfast/policy/bulkhead.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

struct watched_room {
  explicit watched_room(std::uint32_t limit) : room(bulkhead_options{limit}), limit_now(limit), least_limit(limit) {}

  bulkhead room;
  std::uint32_t limit_now;  // as of the last set_limit that has returned
  std::uint32_t least_limit;
  unsigned inside = 0;
  unsigned got = 0, refused = 0;
  std::array<moment, 8> left{};  // when each of those who are out again had still been inside
  unsigned out_again = 0;

  // `while_inside` is called with the permit held.
  template <class Function>
  bool visit(Function while_inside) {
    const unsigned known_out = known_to_be_out();
    bulkhead::permit mine = room.try_acquire();
    if (!mine) {
      ++refused;
      MODEL_CHECK(got - known_out >= least_limit);  // not refused for nothing, as far as this thread could know
      return false;
    }
    ++inside;
    ++got;
    MODEL_CHECK(inside <= limit_now);  // B1, B5
    // Whoever gave a place back before is seen to have done so.
    for (unsigned i = 0; i < out_again; ++i) MODEL_CHECK(happened_before_now(left[i]));
    while_inside();
    const moment still_inside = now();
    mine.release();
    --inside;
    left[out_again++] = still_inside;
    return true;
  }
  bool visit() {
    return visit([] {});
  }
  void set(std::uint32_t limit) {
    least_limit = std::min(least_limit, limit);
    room.set_limit(limit);
    limit_now = limit;
  }
  [[nodiscard]] unsigned known_to_be_out() const {
    unsigned n = 0;
    for (unsigned i = 0; i < out_again; ++i) {
      if (happened_before_now(left[i])) ++n;
    }
    return n;
  }
  // B2, and that no place was lost or made up.
  void all_places_are_free() {
    MODEL_CHECK(inside == 0);
    MODEL_CHECK(room.in_flight() == 0);
    MODEL_CHECK(room.limit() == limit_now);
    MODEL_CHECK(room.refused() == refused);
    std::vector<bulkhead::permit> permits;
    for (std::uint32_t i = 0; i < limit_now; ++i) {
      permits.push_back(room.try_acquire());
      MODEL_CHECK(permits.back());
      MODEL_CHECK(room.in_flight() == i + 1);
    }
    MODEL_CHECK(!room.try_acquire());
  }
};

// One place for three: what is done inside is done by one at a time, and seen by the next.
struct one_place : watched_room {
  static constexpr unsigned threads = 3;
  plain<int> guarded{0};

  one_place() : watched_room(1) {}
  void run(unsigned thread) {
    for (int i = thread == 0 ? 0 : 1; i < 2; ++i) visit([&] { guarded.set(guarded.get() + 1); });
  }
  void after() {
    MODEL_CHECK(got >= 1);
    MODEL_CHECK(guarded.get() == static_cast<int>(got));
    all_places_are_free();
  }
};
MODEL_SCENARIO("bulkhead", one_place, {});

// Two places for three; a place is used again. (Exchanges that fail without a reason are in the other scenarios.)
struct two_places : watched_room {
  static constexpr unsigned threads = 3;

  two_places() : watched_room(2) {}
  void run(unsigned thread) {
    for (int i = thread == 0 ? 0 : 1; i < 2; ++i) visit();
  }
  void after() {
    MODEL_CHECK(got >= 2);
    all_places_are_free();
  }
};
MODEL_SCENARIO("bulkhead", two_places, {.weak_failures = 0});

// Who is refused while a place is free was refused too often: with as many places as callers nobody is.
struct nobody_is_refused_for_nothing : watched_room {
  static constexpr unsigned threads = 3;

  nobody_is_refused_for_nothing() : watched_room(3) {}
  void run(unsigned) { MODEL_CHECK(visit()); }
  void after() {
    MODEL_CHECK(got == 3);
    all_places_are_free();
  }
};
MODEL_SCENARIO("bulkhead", nobody_is_refused_for_nothing, {});

// A smaller limit holds for every call after it.
struct smaller_limit : watched_room {
  static constexpr unsigned threads = 3;

  smaller_limit() : watched_room(2) {}
  void run(unsigned thread) {
    if (thread == 2) {
      set(1);
    } else {
      visit();
      if (thread == 0) visit();
    }
  }
  void after() { all_places_are_free(); }
};
MODEL_SCENARIO("bulkhead", smaller_limit, {});

// A limit below what is out, from the largest one: those inside finish, and until enough have, nobody gets in.
struct limit_below_what_is_out : watched_room {
  static constexpr unsigned threads = 3;
  std::array<bulkhead::permit, 2> held;

  limit_below_what_is_out() : watched_room(largest_bulkhead) {
    for (auto& p : held) p = room.try_acquire();
    inside = got = 2;
  }
  void leave(unsigned place) {
    const moment still_inside = now();
    held[place].release();
    --inside;
    left[out_again++] = still_inside;
  }
  void run(unsigned thread) {
    if (thread == 0) {
      set(1);
      leave(0);
    } else if (thread == 1) {
      leave(1);
    } else {
      visit();
      visit();
    }
  }
  void after() { all_places_are_free(); }
};
MODEL_SCENARIO("bulkhead", limit_below_what_is_out, {});

// Two change the limit at the same time: one of the two holds in the end, and no place is lost or made up.
struct two_limits : watched_room {
  static constexpr unsigned threads = 3;

  two_limits() : watched_room(2) {}
  void run(unsigned thread) {
    if (thread == 2) {
      visit([&] { MODEL_CHECK(room.in_flight() == 1); });
      MODEL_CHECK(room.in_flight() == 0);
      MODEL_CHECK(room.refused() == refused);
    } else {
      set(thread == 0 ? 1 : largest_bulkhead);
    }
  }
  void after() {
    const std::uint32_t limit = room.limit();
    MODEL_CHECK(limit == 1 || limit == largest_bulkhead);
    set(2);
    all_places_are_free();
  }
};
MODEL_SCENARIO("bulkhead", two_limits, {});

// What observers see is a number that there was.
struct watched_from_outside : watched_room {
  static constexpr unsigned threads = 3;

  watched_from_outside() : watched_room(1) {}
  void run(unsigned thread) {
    if (thread < 2) {
      visit();
      return;
    }
    std::uint64_t refusals = 0;
    for (int i = 0; i < 2; ++i) {
      MODEL_CHECK(room.in_flight() <= 1);
      MODEL_CHECK(room.limit() == 1);
      const std::uint64_t again = room.refused();
      MODEL_CHECK(again >= refusals);
      MODEL_CHECK(again <= 1);
      refusals = again;
    }
  }
  void after() { all_places_are_free(); }
};
MODEL_SCENARIO("bulkhead", watched_from_outside, {});

// Lock-free: one dies at any of its steps, and the others lose at most the place that it held.
struct death_inside : watched_room {
  static constexpr unsigned threads = 3;

  death_inside() : watched_room(2) {}
  void run(unsigned thread) {
    if (thread == 2) {
      set(3);
    } else {
      visit();
    }
  }
  void after() { all_places_are_free(); }
  void after_death(unsigned dead) {
    const std::uint32_t held = dead == 2 ? 0 : inside;
    MODEL_CHECK(held <= 1);
    MODEL_CHECK(room.in_flight() == held || (dead == 2 && limit_now == 2));
    std::vector<bulkhead::permit> permits;
    for (bulkhead::permit p = room.try_acquire(); p; p = room.try_acquire()) permits.push_back(std::move(p));
    const auto free = static_cast<std::uint32_t>(permits.size());
    // Who dies while changing the limit has changed it or not.
    MODEL_CHECK(free + held == room.limit() || (dead == 2 && (free == 2 || free == 3)));
  }
};
MODEL_SCENARIO("bulkhead", death_inside, {});

}  // namespace
