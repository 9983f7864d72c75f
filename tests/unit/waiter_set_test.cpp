// SPDX-License-Identifier: MIT
#include "holdfast/queue/waiter_set.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/event_sources.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/deadline.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

namespace {

// Notes when it is told.
struct noting : holdfast::waiter {
  noting() noexcept : waiter(note) {}
  static void note(waiter& self) noexcept { ++static_cast<noting&>(self).times; }
  int times = 0;
};

std::vector<int> times_of(const auto& all) {
  std::vector<int> times;
  for (const noting& one : all) times.push_back(one.times);
  return times;
}

}  // namespace

TEST_CASE("waiter_set: nobody is told before entering, nor after leaving", "[waiter_set]") {
  holdfast::waiter_set<> set;
  noting one;
  set.notify(1);
  CHECK_FALSE(set.awaited());
  const std::optional<std::size_t> place = set.enter(one);
  REQUIRE(place);
  CHECK(set.awaited());
  CHECK(set.leave(*place));
  CHECK_FALSE(set.awaited());
  set.notify_all();
  CHECK(one.times == 0);
}

TEST_CASE("waiter_set: who was told is out, and cannot leave any more", "[waiter_set]") {
  holdfast::waiter_set<> set;
  noting one;
  const std::optional<std::size_t> place = set.enter(one);
  REQUIRE(place);
  set.notify(1);
  CHECK(one.times == 1);
  CHECK_FALSE(set.awaited());
  CHECK_FALSE(set.leave(*place));
  set.vacate(*place);
  set.notify_all();
  CHECK(one.times == 1);
}

TEST_CASE("waiter_set: a notify tells as many as it says, and all if those are fewer", "[waiter_set]") {
  holdfast::waiter_set<> set;
  std::array<noting, 5> all;
  for (noting& one : all) REQUIRE(set.enter(one));
  set.notify(2);
  CHECK(times_of(all) == std::vector{1, 1, 0, 0, 0});
  set.notify(0);
  CHECK(times_of(all) == std::vector{1, 1, 0, 0, 0});
  set.notify(100);
  CHECK(times_of(all) == std::vector{1, 1, 1, 1, 1});
}

TEST_CASE("waiter_set: the round goes on where it was, so that nobody is passed over", "[waiter_set]") {
  holdfast::waiter_set<> set;
  std::array<noting, 3> all;
  for (noting& one : all) REQUIRE(set.enter(one));
  for (int round = 1; round <= 4; ++round) {
    for (std::size_t turn = 0; turn < all.size(); ++turn) {
      set.notify(1);
      CHECK(all[turn].times == round);
      set.vacate(turn);
      CHECK(set.enter(all[turn]) == turn);  // it wants more, and the others still come first
    }
  }
  set.notify_all();
  CHECK(times_of(all) == std::vector{5, 5, 5});
}

TEMPLATE_TEST_CASE("waiter_set: where all places are taken the next is not let in, until one is free again",
                   "[waiter_set]", (holdfast::waiter_set<64, 2>), (holdfast::waiter_set<128, 2>)) {
  TestType set;
  std::array<noting, 3> all;
  const std::optional<std::size_t> first = set.enter(all[0]);
  REQUIRE(first);
  REQUIRE(set.enter(all[1]));
  CHECK_FALSE(set.enter(all[2]));
  CHECK(set.leave(*first));
  CHECK(set.enter(all[2]) == first);
  set.notify_all();
  CHECK(times_of(all) == std::vector{0, 1, 1});
  CHECK_FALSE(set.enter(all[0]));  // who has been told has a place until it says otherwise
  set.vacate(*first);
  CHECK(set.enter(all[0]) == first);
  set.notify_all();
}

TEST_CASE("waiter_set: one of several groups tells each once, wherever the round begins", "[waiter_set]") {
  constexpr std::size_t many = 192;
  holdfast::waiter_set<many> set;
  std::vector<noting> all(many);
  noting one_more;
  for (std::size_t begin = 0; begin < many; begin += 37) {
    for (noting& one : all) REQUIRE(set.enter(one));
    CHECK_FALSE(set.enter(one_more));
    set.notify(static_cast<std::uint32_t>(begin + 1));
    set.notify_all();
    CHECK(times_of(all) == std::vector<int>(many, static_cast<int>(begin / 37) + 1));
    for (std::size_t place = 0; place < many; ++place) set.vacate(place);
  }
  CHECK(one_more.times == 0);
}

TEST_CASE("event_sources: each side is told, and either counts as awaited", "[waiter_set]") {
  holdfast::event_sources<holdfast::event_count, holdfast::waiter_set<>> both;
  noting one;
  CHECK_FALSE(both.awaited());
  CHECK(both.enter(one));
  CHECK(both.awaited());
  int looks = 0;
  // A thread on the other side sleeps until a condition holds, as without waiters.
  CHECK(both.wait(holdfast::deadline::never(), [&] { return ++looks == 3; }));
  both.notify(1);
  CHECK(one.times == 1);
  both.vacate(0);
  const std::optional<std::size_t> place = both.enter(one);
  REQUIRE(place);
  CHECK(both.leave(*place));
  CHECK(both.enter(one));
  both.notify_all();
  CHECK(one.times == 2);
}

TEST_CASE("event_sources: a thread that sleeps is awaited as a waiter is", "[waiter_set]") {
  holdfast::event_sources<holdfast::event_count, holdfast::waiter_set<>> both;
  holdfast::atomic<bool> there{false};
  bool found = false;
  std::thread sleeper(
      [&] { found = both.wait(holdfast::deadline::never(), [&] { return there.load(holdfast::mo::acquire); }); });
  for (test_support::patience waiting; !both.awaited();) REQUIRE(waiting.wait());
  there.store(true, holdfast::mo::release);
  both.notify(1);
  sleeper.join();
  CHECK(found);
  CHECK_FALSE(both.awaited());
}

TEST_CASE("waiter_set: a waiting_queue tells those who wait for items, for room, and of its end", "[waiter_set]") {
  holdfast::waiting_queue<holdfast::mpmc_queue<int, 2>, holdfast::waiter_set<>, holdfast::waiter_set<>> queue;
  noting item;
  noting room;
  REQUIRE(queue.items().enter(item));
  REQUIRE(queue.room().enter(room));
  CHECK(queue.try_push(1));
  CHECK(item.times == 1);
  CHECK(room.times == 0);
  int out = 0;
  CHECK(queue.try_pop(out));
  CHECK(room.times == 1);
  REQUIRE(queue.items().enter(item));
  REQUIRE(queue.room().enter(room));
  queue.close();
  CHECK(item.times == 2);
  CHECK(room.times == 2);
}
