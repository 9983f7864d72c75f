// SPDX-License-Identifier: MIT
#include "holdfast/exec/timer_lanes.hpp"

#include <poll.h>

#include <array>
#include <memory_resource>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/queue/event_fd.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

using lanes_type = timer_lanes<int>;
constexpr duration one_tick{1 << 20};
constexpr time_point tick(std::int64_t n) {
  return time_point(n * one_tick);
}
constexpr timer_lanes_options small{.lanes = 2, .timers_a_lane = 4, .shared_timers = 3, .tick = 1100us};
constexpr std::size_t all = 1'000;

struct firing {
  int what;
  time_point due;
  friend bool operator==(const firing&, const firing&) = default;
};

// What a turn at that time fires.
template <class Lanes>
std::vector<firing> fired_by(Lanes& lanes, time_point now) {
  std::vector<firing> seen;
  lanes.run(now, all, [&](auto& timer) { seen.push_back({timer.what, timer.due}); });
  return seen;
}
void adds_up(const timer_counts& counts, std::uint64_t set) {
  CHECK(counts.scheduled == counts.fired - counts.again + counts.cancelled + counts.closed + set);
}

}  // namespace

TEST_CASE("timers of several lanes and of none fire in the order of their times, and none before it", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto first = lanes.join();
  auto second = lanes.join();
  CHECK(first.schedule(tick(7), 1));
  CHECK(second.schedule(tick(5), 2));
  CHECK(lanes.schedule(tick(6), 3));
  CHECK(first.schedule(tick(70'000), 4));
  CHECK(fired_by(lanes, tick(5) - 1ns).empty());
  CHECK(fired_by(lanes, tick(5)) == std::vector<firing>{{2, tick(5)}});
  CHECK(fired_by(lanes, tick(69'999)) == std::vector<firing>{{3, tick(6)}, {1, tick(7)}});
  CHECK(fired_by(lanes, tick(70'000)) == std::vector<firing>{{4, tick(70'000)}});
  CHECK(lanes.next_work() == time_point::max());
  adds_up(lanes.counts(), 0);
}

TEST_CASE("as many timers are set from a lane, and by all without one, as there are places", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  std::vector<shared_timer_id> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(lane.schedule(tick(9), i));
  CHECK_FALSE(lane.schedule(tick(9), 4));
  for (int i = 0; i < 3; ++i) CHECK(lanes.schedule(tick(9), i));
  CHECK_FALSE(lanes.schedule(tick(9), 3));
  CHECK(lanes.counts().refused == 2);
  CHECK(lane.cancel(ids[2]) == timer_cancel::cancelled);
  CHECK(lane.schedule(tick(9), 5));
  CHECK_FALSE(lane.schedule(tick(9), 6));
  CHECK(fired_by(lanes, tick(9)).size() == 7);
  for (int i = 0; i < 4; ++i) CHECK(lane.schedule(tick(20), i));
  adds_up(lanes.counts(), 4);
}

TEST_CASE("a cancel says whether it was in time, and an id is that of one timer alone", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  const shared_timer_id id = lane.schedule(tick(5), 1);
  CHECK(lane.cancel(id) == timer_cancel::cancelled);
  CHECK(lane.cancel(id) == timer_cancel::gone);
  const shared_timer_id next = lane.schedule(tick(5), 2);
  CHECK_FALSE(next == id);
  CHECK(lane.cancel(id) == timer_cancel::gone);
  shared_timer_id stale = id;
  CHECK_FALSE(lane.reschedule(stale, tick(6)));
  CHECK(fired_by(lanes, tick(5)) == std::vector<firing>{{2, tick(5)}});
  CHECK(lane.cancel(next) == timer_cancel::gone);
  CHECK(lane.cancel(shared_timer_id()) == timer_cancel::gone);
  CHECK(lanes.await_end(next, deadline::never()));
}

TEST_CASE("a timer set from a lane is cancelled from outside it, and its place comes back", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  for (int round = 0; round < 100; ++round) {
    std::array<shared_timer_id, 4> ids;
    for (int i = 0; i < 4; ++i) {
      ids[static_cast<std::size_t>(i)] = lane.schedule(tick(round + 5), i);
      REQUIRE(ids[static_cast<std::size_t>(i)]);
    }
    for (const shared_timer_id id : ids) CHECK(lanes.cancel(id) == timer_cancel::cancelled);
  }
  CHECK(fired_by(lanes, tick(1'000)).empty());
}

TEST_CASE("a timer is moved to a later or an earlier time, under another id", "[timer_lanes]") {
  const bool in_wheel = GENERATE(false, true);
  const bool from_outside = GENERATE(false, true);
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  const auto move = [&](shared_timer_id& id, std::int64_t to) {
    return from_outside ? lanes.reschedule(id, tick(to)) : lane.reschedule(id, tick(to));
  };
  shared_timer_id later = lane.schedule(tick(10), 1);
  shared_timer_id earlier = lane.schedule(tick(10), 2);
  const shared_timer_id before = later;
  if (in_wheel) {
    CHECK(lane.schedule(tick(1), 3));
    CHECK(fired_by(lanes, tick(1)).size() == 1);
  }
  CHECK(move(later, 400));
  CHECK(move(earlier, 4));
  CHECK(lane.cancel(before) == timer_cancel::gone);
  CHECK(fired_by(lanes, tick(3)).empty());
  CHECK(fired_by(lanes, tick(399)) == std::vector<firing>{{2, tick(4)}});
  CHECK(move(later, 401));
  CHECK(fired_by(lanes, tick(400)).empty());
  CHECK(fired_by(lanes, tick(401)) == std::vector<firing>{{1, tick(401)}});
  CHECK_FALSE(move(later, 402));
}

TEST_CASE("a timeout that is cancelled in time and set again for later costs the wheel's thread nothing",
          "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  shared_timer_id id = lane.schedule(tick(1'000), 0);
  CHECK(fired_by(lanes, tick(1)).empty());
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(lane.cancel(id) == timer_cancel::cancelled);
    id = lane.schedule(tick(1'000 + i), i);
    fired_by(lanes, tick(1 + i / 20));
  }
  CHECK(lanes.counts().notes <= 2);
  CHECK(lanes.cancel(id) == timer_cancel::cancelled);
  CHECK(fired_by(lanes, tick(30'000)).empty());
}

TEST_CASE("a place whose note was read while it was free fires its next timer in time", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  const auto late = lane.schedule(tick(100), 1);
  lane.schedule(tick(5), 2);
  CHECK(fired_by(lanes, tick(5)) == std::vector<firing>{{2, tick(5)}});  // the wheel has the place, for 100
  CHECK(lane.cancel(late) == timer_cancel::cancelled);
  CHECK(lane.cancel(lane.schedule(tick(50), 3)) == timer_cancel::cancelled);  // the same place, with a note
  CHECK(fired_by(lanes, tick(50)).empty());
  CHECK(lane.schedule(tick(70), 4));
  CHECK(fired_by(lanes, tick(70)) == std::vector<firing>{{4, tick(70)}});
  CHECK(fired_by(lanes, tick(100)).empty());
  adds_up(lanes.counts(), 0);
}

TEST_CASE("a timer that has a note of its lane is moved to an earlier time from outside", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  auto id = lane.schedule(tick(100), 1);
  CHECK(lanes.reschedule(id, tick(50)));
  CHECK(fired_by(lanes, tick(50)) == std::vector<firing>{{1, tick(50)}});
  id = lane.schedule(tick(200), 2);
  CHECK(lanes.reschedule(id, tick(150)));
  CHECK(lane.reschedule(id, tick(120)));
  CHECK(fired_by(lanes, tick(120)) == std::vector<firing>{{2, tick(120)}});
  id = lane.schedule(tick(300), 3);
  CHECK(lanes.reschedule(id, tick(250)));
  CHECK(lanes.cancel(id) == timer_cancel::cancelled);
  CHECK(fired_by(lanes, tick(400)).empty());
  for (int i = 0; i < 4; ++i) CHECK(lane.schedule(tick(500), i));  // all its places are there
  CHECK(fired_by(lanes, tick(500)).size() == 4);
  adds_up(lanes.counts(), 0);
}

TEST_CASE("timers fire in the order of their times where a turn ends before all notes are read", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto first = lanes.join();
  auto second = lanes.join();
  first.schedule(tick(100), 1);
  first.schedule(tick(7), 2);
  second.schedule(tick(5), 3);
  std::vector<int> seen;
  for (int turns = 0; turns < 9; ++turns) lanes.run(tick(10), 1, [&](auto& timer) { seen.push_back(timer.what); });
  CHECK(seen == std::vector<int>{3, 2});
}

TEST_CASE("one that says again fires under its id, with its value, until it is cancelled", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  const shared_timer_id id = lanes.schedule(tick(2), 10);
  std::vector<firing> seen;
  for (std::int64_t now = 0; now <= 8; ++now) {
    lanes.run(tick(now), all, [&](lanes_type::fired_timer& timer) {
      CHECK(timer.id == id);
      seen.push_back({timer.what++, timer.due});
      timer.again(timer.due + 3 * one_tick);
    });
  }
  CHECK(seen == std::vector<firing>{{10, tick(2)}, {11, tick(5)}, {12, tick(8)}});
  CHECK(lanes.counts().again == 3);
  CHECK(lanes.cancel(id) == timer_cancel::cancelled);
  CHECK(fired_by(lanes, tick(100)).empty());
  adds_up(lanes.counts(), 0);
}

TEST_CASE("who is cancelled in its own call does not fire again", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  const shared_timer_id id = lane.schedule(tick(2), 1);
  lanes.run(tick(2), all, [&](lanes_type::fired_timer& timer) {
    timer.again(tick(3));
    CHECK(lanes.cancel(id) == timer_cancel::firing);
    CHECK(lane.cancel(id) == timer_cancel::firing);
    shared_timer_id same = id;
    CHECK_FALSE(lane.reschedule(same, tick(9)));
  });
  CHECK(fired_by(lanes, tick(100)).empty());
  CHECK(lane.cancel(id) == timer_cancel::gone);
  adds_up(lanes.counts(), 0);
}

TEST_CASE("a call sets, cancels and moves other timers, of the same tick too", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  CHECK(lane.schedule(tick(5), 1));
  const shared_timer_id sibling = lane.schedule(tick(5), 2);
  shared_timer_id moved = lane.schedule(tick(5), 3);
  std::vector<int> seen;
  lanes.run(tick(5), all, [&](lanes_type::fired_timer& timer) {
    seen.push_back(timer.what);
    if (timer.what != 1) return;
    CHECK(lanes.cancel(sibling) == timer_cancel::cancelled);
    CHECK(lane.reschedule(moved, tick(6)));
    CHECK(lanes.schedule(tick(4), 4));
  });
  CHECK(seen == std::vector<int>{1});
  CHECK(fired_by(lanes, tick(6)) == std::vector<firing>{{4, tick(4)}, {3, tick(6)}});
}

TEST_CASE("a turn touches no more timers than it may, and says if others are due", "[timer_lanes]") {
  lanes_type lanes({.lanes = 1, .timers_a_lane = 500, .shared_timers = 500, .tick = 1100us}, tick(0));
  auto lane = lanes.join();
  for (int i = 0; i < 500; ++i) {
    REQUIRE(lane.schedule(tick(300), i));
    REQUIRE(lanes.schedule(tick(300), 500 + i));
  }
  std::vector<int> seen(1'000);
  int turns = 0;
  for (advance_result turn{.more = true}; turn.more; ++turns) {
    turn =
        lanes.run(tick(300), 7, [&](lanes_type::fired_timer& timer) { ++seen[static_cast<std::size_t>(timer.what)]; });
    REQUIRE(turn.touched <= 7);
    REQUIRE((turn.more || lanes.next_work() == time_point::max()));
  }
  CHECK(seen == std::vector<int>(1'000, 1));
  CHECK(turns >= 2'000 / 7);
}

TEST_CASE("more threads than lanes share what is left, and a lane that is left is taken by another one",
          "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto one = lanes.join();
  auto two = lanes.join();
  auto none = lanes.join();
  CHECK(one);
  CHECK(two);
  CHECK_FALSE(none);
  CHECK(one.schedule(tick(3), 1));
  for (int i = 0; i < 3; ++i) CHECK(none.schedule(tick(4), 2));
  CHECK_FALSE(none.schedule(tick(4), 3));
  one = {};
  none = lanes.join();
  REQUIRE(none);
  for (int i = 0; i < 3; ++i) CHECK(none.schedule(tick(5), 4));
  CHECK_FALSE(none.schedule(tick(5), 5));  // the timer of who had it before has its place still
  CHECK(fired_by(lanes, tick(3)) == std::vector<firing>{{1, tick(3)}});
  CHECK(none.schedule(tick(5), 6));
}

TEST_CASE("at the end each timer that is set is handed back once, and none can be set any more", "[timer_lanes]") {
  lanes_type lanes(small, tick(0));
  auto lane = lanes.join();
  CHECK(lane.schedule(tick(1), 1));
  CHECK(fired_by(lanes, tick(1)).size() == 1);
  const shared_timer_id noted = lane.schedule(tick(30), 2);
  CHECK(lane.cancel(lane.schedule(tick(30), 3)) == timer_cancel::cancelled);
  CHECK(lanes.schedule(time_point::max(), 4));
  std::vector<firing> back;
  lanes.close([&](int what, time_point due) { back.push_back({what, due}); });
  CHECK(back == std::vector<firing>{{2, tick(30)}, {4, time_point::max()}});
  CHECK(lanes.closed());
  CHECK_FALSE(lane.schedule(tick(40), 5));
  CHECK_FALSE(lanes.schedule(tick(40), 6));
  CHECK(lane.cancel(noted) == timer_cancel::gone);
  CHECK(fired_by(lanes, tick(1'000)).empty());
  adds_up(lanes.counts(), 0);
}

TEST_CASE("the first and the last time there are, and a clock that goes back", "[timer_lanes]") {
  lanes_type lanes(small, time_point::min());
  CHECK(lanes.schedule(time_point::max(), 1));
  CHECK(lanes.schedule(time_point::min(), 2));
  CHECK(fired_by(lanes, time_point::min()) == std::vector<firing>{{2, time_point::min()}});
  CHECK(fired_by(lanes, tick(5)).empty());
  CHECK(lanes.schedule(tick(3), 3));
  CHECK(fired_by(lanes, tick(4)).empty());  // a turn of an earlier time fires nothing
  CHECK(fired_by(lanes, tick(5)) == std::vector<firing>{{3, tick(3)}});
  CHECK(fired_by(lanes, time_point::max()).empty());
}

TEST_CASE("who sleeps for a later timer, or for none, is woken by an earlier one and by stir", "[timer_lanes]") {
  const bool from_lane = GENERATE(false, true);
  const bool far_one = GENERATE(false, true);
  lanes_type lanes(small, steady_clock::now());
  atomic<int> fired{0};
  if (far_one) CHECK(lanes.schedule(steady_clock::now() + 24h, 2));
  std::thread wheel([&] {
    while (fired.load(mo::relaxed) == 0) {
      lanes.run(steady_clock::now(), all, [&](lanes_type::fired_timer&) { fired.store(1, mo::relaxed); });
      if (fired.load(mo::relaxed) == 0) lanes.sleep();
    }
    lanes.sleep();
  });
  test_support::patience patience;
  while (lanes.counts().sleeps == 0 && patience.wait()) {
  }
  auto lane = lanes.join();
  CHECK((from_lane ? lane.schedule(steady_clock::now(), 1) : lanes.schedule(steady_clock::now(), 1)));
  while (fired.load(mo::relaxed) == 0 && patience.wait()) {
  }
  CHECK(fired.load(mo::relaxed) == 1);
  lanes.stir();
  wheel.join();
}

TEST_CASE("a loop of one's own sleeps on a descriptor, which an earlier timer makes readable", "[timer_lanes]") {
  timer_lanes<int, event_fd> lanes(small, tick(0));
  REQUIRE_FALSE(lanes.news().error());
  const auto readable = [&] {
    pollfd one{lanes.news().descriptor(), POLLIN, 0};
    return ::poll(&one, 1, 0) == 1;
  };
  CHECK(lanes.schedule(tick(50), 1));
  CHECK(fired_by(lanes, tick(1)).empty());
  CHECK(lanes.arm());
  CHECK_FALSE(readable());
  CHECK(lanes.schedule(tick(60), 2));
  CHECK_FALSE(readable());  // not for a later one
  CHECK(lanes.schedule(tick(40), 3));
  CHECK(readable());
  lanes.news().clear();
  CHECK(lanes.next_work() <= tick(40));
  CHECK(fired_by(lanes, tick(40)) == std::vector<firing>{{3, tick(40)}});
  CHECK(lanes.arm());
  lanes.stir();
  CHECK(readable());
  CHECK_FALSE(lanes.arm());  // it was stirred
}

TEST_CASE("timer_lanes says which option is wrong", "[timer_lanes]") {
  constexpr std::uint32_t huge = ~std::uint32_t{0};
  STATIC_REQUIRE(validate(timer_lanes_options{.lanes = huge, .timers_a_lane = huge, .shared_timers = huge}).field ==
                 std::string_view("lanes"));
  CHECK_FALSE(validate(timer_lanes_options{}));
  CHECK(validate(timer_lanes_options{.lanes = 257}).field == std::string_view("lanes"));
  CHECK(validate(timer_lanes_options{.timers_a_lane = 0}).field == std::string_view("timers_a_lane"));
  CHECK(validate(timer_lanes_options{.shared_timers = 0}).field == std::string_view("shared_timers"));
  CHECK(validate(timer_lanes_options{.lanes = 200, .timers_a_lane = 2'000'000}).field == std::string_view("timers"));
  CHECK(validate(timer_lanes_options{.tick = 999ns}).field == std::string_view("tick"));
  CHECK(validate(timer_lanes_options{.tick = 2h}).field == std::string_view("tick"));
}
