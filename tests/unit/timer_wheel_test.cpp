// SPDX-License-Identifier: MIT
#include "holdfast/time/timer_wheel.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <set>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/timer_trial.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::tick_ruler;

namespace {

using wheel = timer_wheel<int>;
using expired = expired_timer<int>;

constexpr duration tick(1'048'576);  // a power of two, so that the wheel's is the same
constexpr std::size_t no_limit = ~std::size_t{0};
constexpr time_point start{tick * 1'000'000};

constexpr time_point at(std::int64_t ticks) {
  return start + ticks * tick;
}
// What fires, in order.
std::vector<int> fired_by(wheel& of, time_point now, std::size_t most = no_limit) {
  std::vector<int> numbers;
  static_cast<void>(of.advance(now, most, [&](const expired& what) { numbers.push_back(what.what); }));
  return numbers;
}
std::vector<int> up_to(int end, int begin = 0) {
  std::vector<int> numbers;
  for (int i = begin; i < end; ++i) numbers.push_back(i);
  return numbers;
}
// Distances on each level, at its ends and beside them.
std::vector<std::int64_t> distances() {
  std::vector<std::int64_t> all{0, 2, 100};
  for (unsigned bits = 0; bits <= 40; bits += 8) {
    for (const std::int64_t more : {-1, 0, 1}) all.push_back((std::int64_t{1} << bits) + more);
  }
  return all;
}
// Where a wheel may stand: inside each level, and just before its ends; before a clock's zero, too.
std::vector<time_point> places() {
  std::vector<time_point> all{start, time_point(), time_point(-1ns), time_point(-tick), time_point::min()};
  const tick_ruler ruler(tick);
  for (unsigned bits = 8; bits <= 40; bits += 8) {
    const std::uint64_t boundary = ((ruler.at(start) >> bits) + 1) << bits;
    for (const std::uint64_t before : {2U, 1U, 0U}) all.push_back(ruler.begin_of(boundary - before));
  }
  return all;
}

struct fails_test {
  void operator()(bool holds, const char* what) const {
    if (!holds) FAIL(what);
  }
};
template <class T>
std::uint64_t trial_of(std::uint64_t seed, std::size_t capacity, duration asked, std::uint64_t choices) {
  test_support::random_choices chosen(seed, choices);
  const time_point now(duration(static_cast<std::int64_t>(chosen.number(8))) / (seed % 2 == 0 ? 1 : 1'000'000));
  timer_wheel<T> under_test({.capacity = capacity, .tick = asked}, now);
  test_support::timer_trial<T, test_support::random_choices, fails_test> trial(under_test, now, chosen, {});
  while (!chosen.empty()) trial.step();
  if (seed % 3 != 0) trial.drain();
  if constexpr (std::is_same_v<T, counted>) CHECK(static_cast<std::size_t>(counted::alive) == trial.set());
  return trial.operations();
}

}  // namespace

// ---- when

TEST_CASE("the tick is the largest power of two of nanoseconds that is not longer than the one asked for",
          "[timer_wheel]") {
  CHECK(wheel({.tick = 1ms}, start).tick() == 524'288ns);
  CHECK(wheel({.tick = 1us}, start).tick() == 512ns);
  CHECK(wheel({.tick = 1'024ns}, start).tick() == 1'024ns);
  CHECK(wheel({.tick = 1'025ns}, start).tick() == 1'024ns);
  CHECK(wheel({.tick = 1h}, start).tick() == duration(std::int64_t{1} << 41U));
}

TEST_CASE("a timer never fires before its time, and by the first advance at the next tick after it", "[timer_wheel]") {
  const tick_ruler ruler(tick);
  for (const time_point now : places()) {
    for (const std::int64_t distance : distances()) {
      for (const duration part : {0ns, 1ns, tick / 2, tick - 1ns}) {
        const time_point due = ruler.begin_of(ruler.at(now) + static_cast<std::uint64_t>(distance)) + part;
        const time_point next = ruler.begin_of(ruler.when_due(due));
        CAPTURE(now.time_since_epoch().count(), distance, part.count());
        // In one jump.
        wheel jumps({.capacity = 1, .tick = tick}, now);
        REQUIRE(jumps.schedule(due, 1));
        if (distance != 0) {
          REQUIRE(fired_by(jumps, due - 1ns).empty());
          REQUIRE(fired_by(jumps, next - 1ns).empty());
        }
        REQUIRE(fired_by(jumps, next) == std::vector<int>{1});
        // Whenever there is something to do.
        wheel steps({.capacity = 1, .tick = tick}, now);
        REQUIRE(steps.schedule(due, 1));
        int wakes = 0;
        for (; steps.size() != 0; ++wakes) {
          REQUIRE(wakes <= 6);
          const time_point wake = steps.next_expiry();
          REQUIRE(wake <= next);
          const bool fires = !fired_by(steps, wake).empty();
          REQUIRE(fires == (wake == next));
        }
      }
    }
  }
}

TEST_CASE("a time that has passed, or is in the tick where the wheel is, is due at once", "[timer_wheel]") {
  wheel of({.tick = tick}, start + tick / 2);
  CHECK(of.now() == start);
  of.schedule(time_point::min(), 0);
  of.schedule(start - 1h, 1);
  of.schedule(start, 2);
  of.schedule(start + 1ns, 3);
  CHECK(of.next_expiry() == start);
  CHECK(fired_by(of, start + tick / 2) == up_to(3));
  CHECK(fired_by(of, at(1) - 1ns).empty());
  CHECK(fired_by(of, at(1)) == std::vector<int>{3});
}

TEST_CASE("the first and the last time_point are times as all others, but no tick begins behind the last one",
          "[timer_wheel]") {
  wheel of({.tick = tick}, time_point::min());
  CHECK(of.now() == time_point::min());
  const timer_id first = of.schedule(time_point::min(), 0);
  const timer_id last = of.schedule(time_point::max(), 1);
  const timer_id last_tick = of.schedule(time_point(time_point::max().time_since_epoch() / tick * tick), 2);
  CHECK(first);
  CHECK(last);
  CHECK(fired_by(of, time_point::min()) == std::vector<int>{0});
  CHECK(fired_by(of, time_point::max() - tick).empty());
  CHECK(of.is_set(last_tick));
  CHECK(fired_by(of, time_point::max()) == std::vector<int>{2});
  CHECK(of.next_expiry() == time_point::max());
  CHECK(of.is_set(last));  // it is never late by less than its tick, and that has not come
  CHECK(of.cancel(last));
  CHECK(of.size() == 0);
}

TEST_CASE("a jump costs as much as the timers that it makes due, not the time that it passes", "[timer_wheel]") {
  wheel of({.tick = 1us}, start);
  const duration step = of.tick();
  std::vector<int> expected;
  for (int i = 0; i < 40; ++i) {
    of.schedule(start + step * (std::int64_t{1} << i), i);
    expected.push_back(i);
  }
  std::vector<int> fired;
  const advance_result done = of.advance(start + step * (std::int64_t{1} << 42), no_limit,
                                         [&](const expired& what) { fired.push_back(what.what); });
  CHECK(fired == expected);
  CHECK(done.touched <= 40 * wheel_levels::levels);
  CHECK_FALSE(done.more);
  CHECK(of.advance(start + step * (std::int64_t{1} << 43), no_limit, [](const expired&) {}).touched == 0);
}

TEST_CASE("an earlier now fires nothing, and is counted", "[timer_wheel]") {
  wheel of({.tick = tick}, start);
  of.schedule(at(10), 1);
  CHECK(fired_by(of, at(9)).empty());
  of.schedule(at(5), 2);  // has passed
  CHECK(fired_by(of, at(8)).empty());
  CHECK(fired_by(of, time_point::min()).empty());
  CHECK(of.counts().backward == 2);
  CHECK(of.now() == at(9));
  CHECK(fired_by(of, at(9)) == std::vector<int>{2});
  CHECK(fired_by(of, at(10)) == std::vector<int>{1});
  CHECK(of.counts().backward == 2);
}

// ---- in which order

TEST_CASE("timers fire in the order of their ticks, whatever the order in which they were set", "[timer_wheel]") {
  splitmix64 bits(1);
  wheel of({.capacity = 2'000, .tick = tick}, start);
  std::vector<std::pair<std::int64_t, int>> set;
  for (int i = 0; i < 2'000; ++i) {
    const auto ticks = static_cast<std::int64_t>(uniform_up_to(bits, (std::uint64_t{1} << (i % 30)) - 1));
    of.schedule(at(ticks), i);
    set.emplace_back(ticks, i);
  }
  std::stable_sort(set.begin(), set.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<int> expected;
  for (const auto& [ticks, i] : set) expected.push_back(i);
  CHECK(fired_by(of, at(std::int64_t{1} << 30)) == expected);
}

TEST_CASE("timers of one tick fire in the order in which they were set, from however far each was", "[timer_wheel]") {
  for (const time_point now : places()) {
    const tick_ruler ruler(tick);
    const std::uint64_t due = ruler.at(now) + (std::uint64_t{1} << 33U) + 77;
    wheel of({.capacity = 1'000, .tick = tick}, now);
    int next = 0;
    std::vector<timer_id> ids;
    for (std::uint64_t far = std::uint64_t{1} << 33U; far != 0; far /= 2) {
      fired_by(of, ruler.begin_of(due - far));
      for (int i = 0; i < 9; ++i) ids.push_back(of.schedule(ruler.begin_of(due) - duration(i), next++));
    }
    // Those that are set anew go to the end.
    std::vector<int> expected = up_to(next);
    for (int i = 0; i < next; i += 5) {
      REQUIRE(of.reschedule(ids[static_cast<std::size_t>(i)], ruler.begin_of(due)));
      expected.erase(std::find(expected.begin(), expected.end(), i));
      expected.push_back(i);
    }
    CAPTURE(now.time_since_epoch().count());
    REQUIRE(fired_by(of, ruler.begin_of(due)) == expected);
  }
}

TEST_CASE("order is kept where a walk is interrupted, and timers are set for its ticks meanwhile", "[timer_wheel]") {
  for (const std::int64_t distance : {std::int64_t{0}, std::int64_t{5}, std::int64_t{300}, std::int64_t{70'000}}) {
    for (const std::size_t most : {std::size_t{1}, std::size_t{2}, std::size_t{12}, std::size_t{13}, std::size_t{14}}) {
      wheel of({.capacity = 1'000, .tick = tick}, start);
      const time_point due = at(distance);
      int next = 0;
      for (; next < 40; ++next) of.schedule(due, next);
      std::vector<int> fired;
      bool more = true;
      while (more) {
        const advance_result done = of.advance(due, most, [&](const expired& what) { fired.push_back(what.what); });
        REQUIRE(done.touched <= most);
        more = done.more;
        if (more && next < 60) {
          REQUIRE(of.next_expiry() <= due);
          of.schedule(due, next++);
        }
      }
      CAPTURE(distance, most);
      REQUIRE(fired == up_to(next));
    }
  }
}

TEST_CASE("an interrupted walk goes on when all that was left of it is cancelled or moved", "[timer_wheel]") {
  for (const bool cancels : {true, false}) {
    wheel of({.capacity = 100, .tick = tick}, start);
    std::vector<timer_id> ids;
    for (int i = 0; i < 30; ++i) ids.push_back(of.schedule(at(65'536 + i), i));
    of.schedule(at(65'536 * 2 + 3), 1'000);
    CHECK(of.advance(at(65'600), 10, [](const expired&) { FAIL("they are moved first"); }).more);
    for (std::size_t i = 10; i < 30; ++i) {
      CHECK((cancels ? of.cancel(ids[i]) : of.reschedule(ids[i], at(65'540))));
    }
    of.schedule(at(65'537), 2'000);
    std::vector<int> expected{0, 1, 2'000, 2, 3, 4};
    for (int i = 10; i < 30 && !cancels; ++i) expected.push_back(i);
    for (int i = 5; i < 10; ++i) expected.push_back(i);
    CHECK(fired_by(of, at(65'600)) == expected);
    CHECK(fired_by(of, at(65'536 * 2 + 3)) == std::vector<int>{1'000});
  }
}

TEST_CASE("a million timers of one tick: each advance touches as many as it may, and everything is allowed between",
          "[timer_wheel]") {
  constexpr int count = 1'000'000;
  wheel of({.capacity = count + 1, .tick = tick}, start);
  for (int i = 0; i < count; ++i) of.schedule(at(1'000), i);
  std::size_t calls = 0;
  int next = 0;
  bool in_order = true;
  for (bool more = true; more;) {
    const advance_result done =
        of.advance(at(1'000), 1'000, [&](const expired& what) { in_order = in_order && what.what == next++; });
    ++calls;
    REQUIRE(done.touched == 1'000);
    more = done.more;
    const timer_id extra = of.schedule(at(1'001), -1);
    REQUIRE(extra);
    REQUIRE(of.cancel(extra));
  }
  CHECK(in_order);
  CHECK(next == count);
  CHECK(of.size() == 0);
  CHECK(of.counts().moved == count);  // once: from the second level to the first
  CHECK(calls == 2'000);
}

TEST_CASE("a limit of nothing does nothing, and says whether there is something to do", "[timer_wheel]") {
  wheel of({.tick = tick}, start);
  of.schedule(at(3), 1);
  CHECK_FALSE(of.advance(at(2), 0, [](const expired&) { FAIL("none is due"); }).more);
  const advance_result done = of.advance(at(3), 0, [](const expired&) { FAIL("none may be touched"); });
  CHECK(done.touched == 0);
  CHECK(done.more);
  CHECK(fired_by(of, at(3)) == std::vector<int>{1});
}

// ---- ids

TEST_CASE(
    "an id is refused after its timer has fired, was cancelled, taken or drained, and after others have its place",
    "[timer_wheel]") {
  timer_wheel<int> of({.capacity = 1, .tick = tick}, start);
  std::vector<timer_id> over{timer_id{}};
  const auto all_refused = [&] {
    for (const timer_id id : over) {
      if (of.is_set(id) || of.find(id) != nullptr || of.cancel(id) || of.take(id) || of.reschedule(id, start) ||
          of.extend(id, start))
        return false;
    }
    return true;
  };
  for (int i = 0; i < 100; ++i) {
    const timer_id id = of.schedule(start, i);
    REQUIRE(id);
    REQUIRE(of.is_set(id));
    REQUIRE(std::find(over.begin(), over.end(), id) == over.end());
    REQUIRE(all_refused());
    REQUIRE(*of.find(id) == i);
    switch (i % 4) {
      case 0: REQUIRE(fired_by(of, start) == std::vector<int>{i}); break;
      case 1: REQUIRE(of.cancel(id)); break;
      case 2: REQUIRE(of.take(id) == i); break;
      default: of.drain([&](timer_id which, time_point, int&&) { REQUIRE(which == id); });
    }
    over.push_back(id);
    REQUIRE(all_refused());
  }
}

TEST_CASE("ids are told apart where their generations wrap, and none is empty", "[timer_wheel]") {
  constexpr std::uint32_t last = ~std::uint32_t{0};
  for (const std::uint32_t first : {last, last - 1, last - 5}) {
    wheel of({.capacity = 1, .tick = tick}, start, std::pmr::get_default_resource(), first);
    std::vector<timer_id> ids;
    for (int i = 0; i < 20; ++i) {
      const timer_id id = of.schedule(start, i);
      REQUIRE(id);
      REQUIRE(std::find(ids.begin(), ids.end(), id) == ids.end());
      for (const timer_id old : ids) REQUIRE_FALSE(of.is_set(old));
      REQUIRE_FALSE(of.is_set(timer_id()));
      REQUIRE_FALSE(of.cancel(timer_id()));
      ids.push_back(id);
      if (i % 2 == 0) {
        // While it fires, too.
        of.advance(start, no_limit, [&](const expired& what) {
          CHECK(what.id == id);
          for (const timer_id old : ids) CHECK((of.find(old) != nullptr) == (old == id));
          CHECK(of.find(timer_id()) == nullptr);
          if (i % 4 == 0) CHECK(of.reschedule(id, start));
        });
        if (i % 4 == 0) CHECK(of.cancel(id));
      } else {
        REQUIRE(of.cancel(id));
      }
    }
  }
}

TEST_CASE("a place that was used often rests until no other one is free", "[timer_wheel]") {
  constexpr std::uint32_t turns = 1U << 16U;
  wheel of({.capacity = 3, .tick = tick}, start, std::pmr::get_default_resource(), turns - 2);
  const auto place_of = [](timer_id id) { return static_cast<std::uint32_t>(id.word()); };
  const auto use = [&] {
    const timer_id id = of.schedule(start, 0);
    REQUIRE(of.cancel(id));
    return place_of(id);
  };
  std::vector<std::uint32_t> used;
  for (int i = 0; i < 6; ++i) used.push_back(use());
  CHECK(used == std::vector<std::uint32_t>{0, 0, 1, 1, 2, 2});
  // All have rested, and none is lost.
  std::set<std::uint32_t> all;
  std::vector<timer_id> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(of.schedule(start, i));
  for (const timer_id id : ids) all.insert(place_of(id));
  CHECK(all.size() == 3);
  CHECK_FALSE(of.schedule(start, 3));
  // Then one place is used for as many times again.
  for (const timer_id id : ids) CHECK(of.cancel(id));
  const std::uint32_t one = use();
  bool same = true;
  for (std::uint32_t i = 2; i < turns; ++i) same = use() == one && same;
  CHECK(same);
  CHECK(use() != one);
}

TEST_CASE("an id in a word names the same timer, and the empty one none", "[timer_wheel]") {
  wheel of({.capacity = 4, .tick = tick}, start);
  CHECK_FALSE(timer_id());
  CHECK_FALSE(timer_id::of_word(0));
  CHECK(timer_id().word() == 0);
  CHECK_FALSE(of.is_set(timer_id()));
  const timer_id a = of.schedule(start, 1);
  const timer_id b = of.schedule(start, 2);
  CHECK(a != b);
  CHECK(a.word() != b.word());
  CHECK(timer_id::of_word(a.word()) == a);
  CHECK(of.cancel(timer_id::of_word(b.word())));
  CHECK_FALSE(of.cancel(timer_id::of_word(b.word())));
  CHECK_FALSE(of.cancel(timer_id()));
  CHECK(of.is_set(a));
}

// ---- fire

TEST_CASE("in fire() the timer may be set again by its id, and keeps it and its value; else it is gone afterwards",
          "[timer_wheel]") {
  timer_wheel<counted> of({.tick = tick}, start);
  const timer_id id = of.schedule(at(1), counted(7));
  int calls = 0;
  const auto fire = [&](expired_timer<counted>& what) {
    CHECK(what.id == id);
    CHECK(what.what.number() == 7);
    CHECK(what.due == at(1 + 300 * calls));
    CHECK_FALSE(of.is_set(id));
    CHECK_FALSE(of.cancel(id));
    CHECK_FALSE(of.take(id).has_value());
    CHECK(of.find(id) == &what.what);
    CHECK(of.size() == 1);
    ++calls;
    if (calls == 1) CHECK(of.reschedule(id, at(301)));
    if (calls == 2) CHECK(of.extend(id, at(601)));
    CHECK(of.is_set(id) == (calls < 3));
    CHECK(of.size() == 1);
  };
  for (int i = 0; i < 3; ++i) {
    CHECK(of.is_set(id));
    of.advance(at(1 + 300 * i), no_limit, fire);
  }
  CHECK(calls == 3);
  CHECK(of.find(id) == nullptr);
  CHECK(of.size() == 0);
  CHECK(counted::alive == 0);
  CHECK(of.counts().fired == 3);
  CHECK(of.counts().rearmed == 2);
}

TEST_CASE("in fire() a timer that was set again may be cancelled, taken and moved as any other one", "[timer_wheel]") {
  for (int how = 0; how < 3; ++how) {
    wheel of({.tick = tick}, start);
    const timer_id id = of.schedule(start, 7);
    of.advance(start, no_limit, [&](const expired&) {
      CHECK(of.reschedule(id, at(5)));
      switch (how) {
        case 0: CHECK(of.cancel(id)); break;
        case 1: CHECK(of.take(id) == 7); break;
        default: CHECK(of.reschedule(id, at(9)));
      }
    });
    CHECK(of.size() == (how == 2 ? 1 : 0));
    CHECK(of.is_set(id) == (how == 2));
    CHECK(fired_by(of, at(8)).empty());
    CHECK(fired_by(of, at(9)).size() == (how == 2 ? 1 : 0));
  }
}

TEST_CASE("fire() may cancel, move and set those of its own tick", "[timer_wheel]") {
  wheel of({.capacity = 100, .tick = tick}, start);
  std::vector<timer_id> ids;
  std::vector<int> expected;
  std::vector<int> expected_next;
  for (int i = 0; i < 60; ++i) {
    ids.push_back(of.schedule(at(4), i));
    if (i % 3 == 0) expected.push_back(i);       // 3 n cancels 3 n + 1, and moves 3 n + 2
    if (i % 3 == 2) expected_next.push_back(i);  // which is of the next tick then
  }
  expected_next.insert(expected_next.begin() + 1, 100);
  std::vector<int> fired;
  of.advance(at(4), no_limit, [&](const expired& what) {
    fired.push_back(what.what);
    const auto me = static_cast<std::size_t>(what.what);
    CHECK(of.cancel(ids[me + 1]));
    CHECK(of.reschedule(ids[me + 2], at(4)));
    if (me == 0) of.schedule(at(4), 100);
  });
  CHECK(fired == expected);
  CHECK(of.size() == 21);
  CHECK(fired_by(of, at(5)) == expected_next);
}

TEST_CASE(
    "what fire() sets is not fired by its tick: one that sets itself again for a time that has passed fires once a "
    "tick",
    "[timer_wheel]") {
  wheel of({.capacity = 10, .tick = tick}, start);
  of.schedule(start, 1);
  std::vector<time_point> when;
  const auto fire = [&](const expired& what) {
    when.push_back(of.now());
    of.reschedule(what.id, what.due);
    if (when.size() == 1) of.schedule(start - 1h, 2);
  };
  of.advance(start, no_limit, fire);
  CHECK(when == std::vector<time_point>{start});
  of.advance(at(3), no_limit, fire);
  CHECK(when == std::vector<time_point>{start, at(1), at(1), at(2), at(2), at(3), at(3)});
}

TEST_CASE("order is kept where so many were cancelled that those that fire() sets make room among the others",
          "[timer_wheel]") {
  for (const std::int64_t distance : {std::int64_t{0}, std::int64_t{1'000}}) {
    for (const std::size_t left_of_16 : {std::size_t{1}, std::size_t{3}}) {
      wheel of({.capacity = 600'000, .tick = tick}, start);
      std::vector<timer_id> ids;
      for (int i = 0; i < 400'000; ++i) ids.push_back(of.schedule(at(distance), i));
      std::vector<int> expected;
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (i * 7 % 16 < left_of_16) {
          expected.push_back(static_cast<int>(i));
        } else {
          of.cancel(ids[i]);
        }
      }
      std::vector<int> fired;
      int later = 1'000'000;
      for (bool more = true; more;) {
        const advance_result done = of.advance(at(distance), 5'001, [&](const expired& what) {
          fired.push_back(what.what);
          // As many as look at every chunk, while this one is walked.
          for (int i = 0; i < 50'000 && later < 1'100'000; ++i) of.schedule(at(distance + 50'000), later++);
        });
        more = done.more;
      }
      CAPTURE(distance, left_of_16);
      CHECK(fired == expected);
      CHECK(fired_by(of, at(distance + 50'000)) == up_to(later, 1'000'000));
      CHECK(of.size() == 0);
    }
  }
}

TEST_CASE("what fire() sets for a time within the same advance fires in it", "[timer_wheel]") {
  wheel of({.capacity = 10, .tick = tick}, start);
  of.schedule(at(1), 0);
  of.schedule(at(600), 2);
  std::vector<int> fired;
  of.advance(at(1'000), no_limit, [&](const expired& what) {
    fired.push_back(what.what);
    if (what.what == 0) of.schedule(at(500), 1);
    if (what.what == 2) of.schedule(at(1'001), 3);
  });
  CHECK(fired == up_to(3));
  CHECK(of.size() == 1);
}

TEST_CASE("a periodic timer that is set again for its due time and a period does not drift", "[timer_wheel]") {
  constexpr duration period = 7'777'777ns;  // no multiple of a tick
  wheel of({.tick = tick}, start);
  of.schedule(start + period, 0);
  int times = 0;
  duration latest{};
  for (time_point now = start; times < 10'000;) {
    now = of.next_expiry();
    of.advance(now, no_limit, [&](const expired& what) {
      ++times;
      CHECK(what.due == start + times * period);
      latest = std::max(latest, now - what.due);
      of.reschedule(what.id, what.due + period);
    });
  }
  CHECK(latest < tick);
}

// ---- extend

TEST_CASE("extend only writes the new time down: the timer is moved when its old time comes, and fires at its new one",
          "[timer_wheel]") {
  wheel of({.tick = tick}, start);
  const timer_id id = of.schedule(at(10), 1);
  for (int i = 11; i <= 100; ++i) CHECK(of.extend(id, at(i)));
  CHECK(of.counts().moved == 0);
  CHECK(of.next_expiry() == at(10));
  CHECK(fired_by(of, at(99)).empty());
  CHECK(of.counts().moved == 1);
  CHECK(of.next_expiry() == at(100));
  CHECK(fired_by(of, at(100)) == std::vector<int>{1});
}

TEST_CASE("extend to an earlier time is a reschedule", "[timer_wheel]") {
  wheel of({.tick = tick}, start);
  const timer_id id = of.schedule(at(1'000), 1);
  of.schedule(at(4), 2);
  CHECK(of.extend(id, at(2'000)));
  CHECK(of.extend(id, at(1'500)));  // of what it was extended to
  CHECK(fired_by(of, at(1'499)) == std::vector<int>{2});
  CHECK(of.extend(id, at(1'499)));
  CHECK(fired_by(of, at(1'499)) == std::vector<int>{1});
}

TEST_CASE("of one tick, extended timers fire in the order in which their old times came", "[timer_wheel]") {
  wheel of({.tick = tick}, start);
  const timer_id later = of.schedule(at(20), 2);
  const timer_id sooner = of.schedule(at(10), 1);
  of.schedule(at(50), 0);
  CHECK(of.extend(later, at(50)));
  CHECK(of.extend(sooner, at(50)));
  CHECK(fired_by(of, at(50)) == up_to(3));
}

// ---- next_expiry, schedule_within

TEST_CASE("next_expiry is exact in the 256 ticks, from a multiple of 256 on, in which the wheel stands",
          "[timer_wheel]") {
  const tick_ruler ruler(tick);
  const std::uint64_t block = ruler.at(start) / 256 * 256;
  wheel of({.capacity = 300, .tick = tick}, ruler.begin_of(block));
  CHECK(of.next_expiry() == time_point::max());
  for (std::uint64_t i = 256; i-- > 0;) {
    of.schedule(ruler.begin_of(block + i), static_cast<int>(i));
    REQUIRE(of.next_expiry() == ruler.begin_of(block + i));
  }
  for (std::uint64_t i = 0; i < 256; ++i) {
    REQUIRE(of.next_expiry() == ruler.begin_of(block + i));
    REQUIRE(fired_by(of, of.next_expiry()).size() == 1);
  }
  CHECK(of.next_expiry() == time_point::max());
  // Of the next ones: when they begin.
  of.schedule(ruler.begin_of(block + 256 + 3), 0);
  CHECK(of.next_expiry() == ruler.begin_of(block + 256));
  CHECK(fired_by(of, ruler.begin_of(block + 256)).empty());
  CHECK(of.next_expiry() == ruler.begin_of(block + 256 + 3));
}

TEST_CASE("schedule_within takes a time between the two that saves moves", "[timer_wheel]") {
  splitmix64 bits(2);
  std::uint64_t moved_exact = 0;
  std::uint64_t moved_within = 0;
  for (int i = 0; i < 2'000; ++i) {
    const time_point now(duration(static_cast<std::int64_t>(bits() >> 2U)));
    const time_point earliest = now + duration(static_cast<std::int64_t>(bits() >> (64 - 20 - i % 20)));
    const time_point latest = earliest + (earliest - now) / 8;
    wheel exact({.capacity = 1, .tick = 1us}, now);
    wheel within({.capacity = 1, .tick = 1us}, now);
    exact.schedule(earliest, 0);
    within.schedule_within(earliest, latest, 0);
    time_point due;
    within.advance(latest + within.tick(), no_limit, [&](const expired& what) { due = what.due; });
    exact.advance(latest + within.tick(), no_limit, [&](const expired&) {});
    REQUIRE(due >= earliest);
    REQUIRE(due <= latest);
    moved_exact += exact.counts().moved;
    moved_within += within.counts().moved;
  }
  CHECK(moved_within * 4 < moved_exact * 3);
}

TEST_CASE("schedule_within of a time and itself, and of a latest before the earliest, takes the earliest",
          "[timer_wheel]") {
  wheel of({.tick = tick}, start);
  of.schedule_within(at(5) + 3ns, at(5) + 3ns, 0);
  of.schedule_within(at(7) + 3ns, at(4), 1);
  of.schedule_within(at(9) + 3ns, at(10) - 1ns, 2);
  std::vector<time_point> due;
  of.advance(at(100), no_limit, [&](const expired& what) { due.push_back(what.due); });
  CHECK(due == std::vector<time_point>{at(5) + 3ns, at(7) + 3ns, at(9) + 3ns});
  of.schedule_within(time_point::min(), time_point::max(), 3);
  of.schedule_within(time_point::max(), time_point::max(), 4);
  CHECK(of.size() == 2);
}

// ---- capacity, values, counts

TEST_CASE("as many timers are set as may be, and no more: one that fires has its place until it is over",
          "[timer_wheel]") {
  timer_wheel<counted> of({.capacity = 3, .tick = tick}, start);
  for (int i = 0; i < 3; ++i) CHECK(of.schedule(at(i), counted(i)));
  CHECK(of.capacity() == 3);
  CHECK_FALSE(of.schedule(start, counted(9)));
  CHECK_FALSE(of.schedule_within(start, start, counted(9)));
  CHECK(of.counts().refused == 2);
  CHECK(counted::alive == 3);
  of.advance(start, no_limit, [&](expired_timer<counted>&) { CHECK_FALSE(of.schedule(at(9), counted(9))); });
  CHECK(of.schedule(at(9), counted(9)));
  CHECK(of.size() == 3);
  CHECK(of.counts().refused == 3);
}

TEST_CASE("take gives the value back; cancel and the wheel's end destroy it, and fire nothing", "[timer_wheel]") {
  {
    timer_wheel<counted> of({.tick = tick}, start);
    const timer_id a = of.schedule(at(1), counted(1));
    const timer_id b = of.schedule(at(2), counted(2));
    of.schedule(at(3), counted(3));
    of.schedule(at(3'000), counted(4));
    {
      const std::optional<counted> value = of.take(a);
      REQUIRE(value);
      CHECK(value->number() == 1);
      CHECK(counted::alive == 4);
    }
    CHECK(counted::alive == 3);
    CHECK(of.cancel(b));
    CHECK(counted::alive == 2);
    CHECK(of.find(a) == nullptr);
    CHECK(of.counts().cancelled == 2);
  }
  CHECK(counted::alive == 0);
}

TEST_CASE("drain hands back each timer that is set, once, with its id and time; also in the middle of an advance",
          "[timer_wheel]") {
  for (const std::size_t most : {std::size_t{0}, std::size_t{25}, std::size_t{125}}) {
    timer_wheel<counted> of({.capacity = 200, .tick = tick}, start);
    std::vector<timer_id> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(of.schedule(at(300 + i % 50), counted(i)));
    for (int i = 100; i < 150; ++i) ids.push_back(of.schedule(at(std::int64_t{1} << (i - 100) % 40), counted(i)));
    std::set<int> seen;
    of.advance(at(330), most, [&](expired_timer<counted>& what) { seen.insert(what.what.number()); });
    const std::size_t fired = seen.size();
    of.drain([&](timer_id id, time_point due, counted&& value) {
      const int i = value.number();
      CHECK(seen.insert(i).second);
      CHECK(id == ids[static_cast<std::size_t>(i)]);
      CHECK(due == (i < 100 ? at(300 + i % 50) : at(std::int64_t{1} << (i - 100) % 40)));
      CHECK_FALSE(of.is_set(id));
    });
    CHECK(seen.size() == 150);
    CHECK(of.counts().drained == 150 - fired);
    CHECK(of.size() == 0);
    CHECK(of.next_expiry() == time_point::max());
    CHECK(counted::alive == 0);
    of.drain([](timer_id, time_point, counted&&) { FAIL("there is none"); });
    // As good as new.
    for (int i = 0; i < 200; ++i) CHECK(of.schedule(at(400 - i), counted(i)));
    std::vector<int> order;
    of.advance(at(500), no_limit, [&](expired_timer<counted>& what) { order.push_back(what.what.number()); });
    CHECK(order.size() == 200);
  }
}

TEST_CASE("drain hands back what its call sets, too", "[timer_wheel]") {
  wheel of({.capacity = 200, .tick = tick}, start);
  for (int i = 0; i < 100; ++i) of.schedule(at(i % 3), i);
  int next = 100;
  std::set<int> seen;
  of.drain([&](timer_id, time_point, int&& value) {
    CHECK(seen.insert(value).second);
    if (next < 1'000) CHECK(of.schedule(at(next % 7 - 3), next));
    ++next;
  });
  CHECK(seen.size() == 1'000);
  CHECK(of.size() == 0);
}

TEST_CASE("counts add up: scheduled are those that fired for good, were cancelled or drained, and those that are set",
          "[timer_wheel]") {
  wheel of({.capacity = 50, .tick = tick}, start);
  splitmix64 bits(3);
  std::vector<timer_id> ids;
  time_point now = start;
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 10; ++i) {
      const timer_id id = of.schedule(now + duration(static_cast<std::int64_t>(uniform_up_to(bits, 1'000'000'000))), i);
      if (id) ids.push_back(id);
    }
    for (int i = 0; i < 3; ++i) of.cancel(ids[uniform_up_to(bits, ids.size() - 1)]);
    now += 20ms;
    of.advance(now, no_limit, [&](const expired& what) {
      if (what.what == 3) of.reschedule(what.id, now + 10ms);
    });
    if (round % 100 == 99) of.drain([](timer_id, time_point, int&&) {});
    const timer_wheel_counts& c = of.counts();
    REQUIRE(c.scheduled == c.fired - c.rearmed + c.cancelled + c.drained + of.size());
  }
  CHECK(of.counts().rearmed > 0);
  CHECK(of.counts().refused > 0);
  CHECK(of.counts().cancelled > 0);
  CHECK(of.counts().drained > 0);
}

TEST_CASE("the end of a value may set, move and cancel other timers", "[timer_wheel]") {
  // As what closes a connection when it goes, and with it the connection's other timer.
  struct closes {
    closes(timer_wheel<closes>* where, timer_id* which) noexcept : wheel(where), other(which) {}
    closes(closes&& from) noexcept : wheel(std::exchange(from.wheel, nullptr)), other(from.other) {}
    closes& operator=(closes&&) = delete;
    ~closes() {
      if (wheel == nullptr) return;
      for (int i = 0; i < 40; ++i) wheel->schedule(at(500 + i), closes(nullptr, nullptr));
      if (other != nullptr) wheel->cancel(*other);
      for (int i = 0; i < 40; ++i) wheel->schedule(at(5), closes(nullptr, nullptr));
    }
    timer_wheel<closes>* wheel;
    timer_id* other;
  };
  for (int how = 0; how < 3; ++how) {
    timer_wheel<closes> of({.capacity = 400'000, .tick = tick}, start);
    std::vector<timer_id> ids(60'000);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ids[i] = of.schedule(at(3), closes(i % 16 == 0 ? &of : nullptr, i % 16 == 0 ? &ids[i + 1] : nullptr));
    }
    // Chunks that hold few: whoever sets a timer joins them.
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i % 16 > 2) CHECK(of.cancel(ids[i]));
    }
    for (std::size_t i = 0; i < ids.size(); i += 16) {
      switch (how) {
        case 0: REQUIRE(of.cancel(ids[i])); break;
        case 1: REQUIRE(of.take(ids[i])); break;
        default: REQUIRE(of.advance(at(3), 1, [](expired_timer<closes>&) {}).touched == 1);
      }
    }
    std::size_t fired = 0;
    of.advance(at(1'000), no_limit, [&](expired_timer<closes>& what) {
      what.what.wheel = nullptr;
      ++fired;
    });
    CHECK(of.size() == 0);
    const timer_wheel_counts& c = of.counts();
    CHECK(c.scheduled == c.fired - c.rearmed + c.cancelled + c.drained);
    CHECK(c.refused == 0);
  }
}

TEST_CASE("values of any size and alignment up to a line are where they should be", "[timer_wheel]") {
  struct alignas(64) line {
    std::array<char, 100> text;
  };
  timer_wheel<line> lines({.capacity = 5, .tick = tick}, start);
  for (int i = 0; i < 5; ++i) {
    const timer_id id = lines.schedule(start, line{});
    CHECK(reinterpret_cast<std::uintptr_t>(lines.find(id)) % 64 == 0);
  }
  struct nothing {};
  timer_wheel<nothing> none({.capacity = 5, .tick = tick}, start);
  CHECK(none.find(none.schedule(start, nothing{})) != nullptr);
}

TEST_CASE("what cannot be a wheel is refused by validate, by its name", "[timer_wheel]") {
  STATIC_REQUIRE(!validate(timer_wheel_options{}));
  CHECK(validate(timer_wheel_options{.capacity = 0}).field == "capacity");
  CHECK_FALSE(validate(timer_wheel_options{.capacity = 1}));
  CHECK_FALSE(validate(timer_wheel_options{.capacity = wheel_chunks::most_timers}));
  CHECK(validate(timer_wheel_options{.capacity = std::size_t{wheel_chunks::most_timers} + 1}).field == "capacity");
  CHECK(validate(timer_wheel_options{.capacity = ~std::size_t{0}}).field == "capacity");
  CHECK(validate(timer_wheel_options{.tick = 999ns}).field == "tick");
  CHECK(validate(timer_wheel_options{.tick = 0ns}).field == "tick");
  CHECK(validate(timer_wheel_options{.tick = -1ms}).field == "tick");
  CHECK_FALSE(validate(timer_wheel_options{.tick = 1us}));
  CHECK_FALSE(validate(timer_wheel_options{.tick = 1h}));
  CHECK(validate(timer_wheel_options{.tick = 1h + 1ns}).field == "tick");
}

TEST_CASE("a wheel does what a multimap does, over random steps of every kind", "[timer_wheel]") {
  std::uint64_t operations = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    constexpr std::array<std::size_t, 5> capacities{1, 7, 40, 300, 3'000};
    constexpr std::array<duration, 4> ticks{1us, 1ms, 1s, 1h};
    operations += seed % 2 == 0 ? trial_of<counted>(seed, capacities[seed % 5], ticks[seed % 4], 20'000)
                                : trial_of<int>(seed, capacities[seed % 5], ticks[seed % 4], 20'000);
    REQUIRE(counted::alive == 0);
  }
  CHECK(operations > 200'000);
}
