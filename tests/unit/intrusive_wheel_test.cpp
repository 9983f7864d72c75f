// SPDX-License-Identifier: MIT
#include "holdfast/time/intrusive_wheel.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

struct chime : wheel_timer {
  int number = 0;
};
using wheel_type = intrusive_wheel<chime>;
constexpr duration one_tick{1 << 20};
constexpr time_point tick(std::int64_t n) {
  return time_point(n * one_tick);
}
constexpr std::size_t all = 1'000'000;

template <std::size_t N>
struct chimes : std::array<chime, N> {
  chimes() {
    for (std::size_t i = 0; i < N; ++i) (*this)[i].number = static_cast<int>(i);
  }
};

std::vector<int> fired_by(wheel_type& wheel, time_point now, std::size_t most = all) {
  std::vector<int> seen;
  wheel.advance(now, most, [&](chime& one) { seen.push_back(one.number); });
  return seen;
}

}  // namespace

TEST_CASE("timers that lie in what waits fire in the order of their ticks, and of one tick as they were set",
          "[intrusive_wheel]") {
  wheel_type wheel(1100us, tick(0));
  CHECK(wheel.tick() == one_tick);
  CHECK(wheel.next_expiry() == time_point::max());
  chimes<6> a;
  wheel.schedule(a[0], tick(3));
  wheel.schedule(a[1], tick(70'000));
  wheel.schedule(a[2], tick(3) - 1ns);
  wheel.schedule(a[3], tick(2));
  wheel.schedule(a[4], tick(300));
  wheel.schedule(a[5], tick(3) + 1ns);
  CHECK(wheel.size() == 6);
  CHECK(wheel.next_expiry() == tick(2));
  CHECK(fired_by(wheel, tick(2) - 1ns).empty());
  CHECK(fired_by(wheel, tick(3)) == std::vector<int>{3, 0, 2});
  CHECK_FALSE(a[0].is_set());
  CHECK(a[5].is_set());
  CHECK(fired_by(wheel, tick(69'999)) == std::vector<int>{5, 4});
  CHECK(fired_by(wheel, tick(70'000)) == std::vector<int>{1});
  CHECK(wheel.size() == 0);
}

TEST_CASE("a timer is cancelled, moved and put off where it lies", "[intrusive_wheel]") {
  wheel_type wheel(1100us, tick(0));
  chimes<3> a;
  CHECK_FALSE(wheel.cancel(a[0]));
  for (chime& one : a) wheel.schedule(one, tick(5));
  CHECK(wheel.cancel(a[1]));
  CHECK_FALSE(wheel.cancel(a[1]));
  wheel.reschedule(a[0], tick(4));
  wheel.extend(a[2], tick(900));
  wheel.extend(a[2], tick(950));
  wheel.reschedule(a[1], tick(1'000));
  CHECK(fired_by(wheel, tick(949)) == std::vector<int>{0});
  CHECK(a[2].due() == tick(950));
  CHECK(fired_by(wheel, tick(950)) == std::vector<int>{2});
  wheel.extend(a[1], tick(951));
  CHECK(fired_by(wheel, tick(951)) == std::vector<int>{1});
}

TEST_CASE("a call sets its timer again, cancels its siblings and ends lives", "[intrusive_wheel]") {
  wheel_type wheel(1100us, tick(0));
  chimes<4> a;
  for (chime& one : a) wheel.schedule(one, tick(2));
  std::vector<int> seen;
  wheel.advance(tick(4), all, [&](chime& one) {
    seen.push_back(one.number);
    if (one.number != 0) return;
    wheel.cancel(a[1]);
    wheel.reschedule(a[3], tick(2));                    // not before the next tick
    if (seen.size() < 9) wheel.schedule(one, tick(0));  // once a tick
  });
  CHECK(seen == std::vector<int>{0, 2, 3, 0, 3, 0});
  CHECK(a[3].is_set());
  std::vector<int> left;
  wheel.drain([&](chime& one) { left.push_back(one.number); });
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<int>{0, 3});
}

TEST_CASE("a million timers of one slot do not keep the loop longer than the limit", "[intrusive_wheel]") {
  wheel_type wheel(1100us, tick(0));
  std::vector<chime> a(100'000);
  for (chime& one : a) wheel.schedule(one, tick(70'000));
  std::size_t fired = 0;
  std::size_t turns = 0;
  for (advance_result turn{.more = true}; turn.more; ++turns) {
    turn = wheel.advance(tick(70'000), 1'000, [&](chime&) { ++fired; });
    REQUIRE(turn.touched <= 1'000);
  }
  CHECK(fired == a.size());
  CHECK(turns >= 300);  // from level 2 to 1 to 0, and fired
}

TEST_CASE("timers beside a map of them: any times, jumps, limits and calls", "[intrusive_wheel]") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    splitmix64 bits(seed);
    time_point now = tick(seed % 2 == 0 ? -1'000'000 : 12'345);
    wheel_type wheel(1100us, now);
    chimes<100> a;
    using place = std::pair<std::int64_t, std::uint64_t>;  // tick, number
    std::map<place, int> expected;
    std::array<place, 100> places{};
    std::uint64_t number = 0;
    std::int64_t at = now.time_since_epoch() / one_tick;
    bool in_call = false;
    const auto tick_of = [](time_point due) {
      const std::int64_t ns = due.time_since_epoch().count();
      const std::int64_t down = ns >> 20;
      return down * one_tick.count() == ns ? down : down + 1;
    };
    const auto some_time = [&] {
      switch (bits() % 5) {
        case 0: return now - duration(bits() % 3'000'000);
        case 1: return now + duration(bits() % 9'000'000);
        case 2:
          return now + one_tick * static_cast<std::int64_t>((std::uint64_t{1} << (8 * (bits() % 4))) + bits() % 3 - 1);
        case 3: return now + one_tick * static_cast<std::int64_t>(bits() % 70'000);
        default: return now + one_tick * static_cast<std::int64_t>(bits() % 300);
      }
    };
    const auto change = [&] {
      chime& one = a[bits() % 100];
      const auto i = static_cast<std::size_t>(one.number);
      if (one.is_set()) expected.erase(places[i]);
      if (bits() % 3 == 0) {
        wheel.cancel(one);
        return;
      }
      const time_point due = some_time();
      wheel.reschedule(one, due);
      places[i] = {std::max(tick_of(due), in_call ? at + 1 : at), number++};
      expected[places[i]] = one.number;
    };
    for (int step = 0; step < 4'000; ++step) {
      for (std::uint64_t n = bits() % 5; n != 0; --n) change();
      REQUIRE(wheel.size() == expected.size());
      if (!expected.empty()) REQUIRE(tick_of(wheel.next_expiry()) <= expected.begin()->first.first);
      now += bits() % 9 == 0 ? duration(bits() % 90'000'000'000) : duration(bits() % 40'000'000);
      const std::size_t most = bits() % 3 == 0 ? 1 + bits() % 5 : all;
      for (bool more = true; more;) {
        const advance_result turn = wheel.advance(now, most, [&](chime& one) {
          REQUIRE(!expected.empty());
          const auto first = expected.begin();
          REQUIRE(first->second == one.number);
          REQUIRE(one.due() <= now);
          at = first->first.first;
          expected.erase(first);
          in_call = true;
          if (bits() % 3 == 0) change();
        });
        in_call = false;
        more = turn.more;
        REQUIRE(turn.touched <= most);
        if (!more) at = now.time_since_epoch().count() >> 20;
      }
      REQUIRE((expected.empty() || expected.begin()->first.first > at));
    }
    wheel.drain([](chime&) {});
    CHECK(wheel.size() == 0);
  }
}
