// SPDX-License-Identifier: MIT
#include "holdfast/exec/co_bulkhead.hpp"

#include <array>
#include <cstddef>
#include <exception>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// What a coroutine got, and holds until it is let go.
struct visit {
  bool over = false;
  bulkhead::admission got{};
};

task<> enter(bulkhead& room, run_loop& loop, visit& into, deadline until = {}, std::stop_token stop = {}) {
  into.got = co_await co_acquire(room, loop, until, std::move(stop));
  into.over = true;
}

}  // namespace

TEST_CASE("co_acquire: a place that is there is taken at once, and no executor is asked", "[co_bulkhead]") {
  struct none {
    static void post(runnable& /*what*/) noexcept { std::terminate(); }
  } nowhere;
  bulkhead room({.limit = 1});
  co_acquire wants(room, nowhere);
  CHECK(wants.await_ready());
  const auto got = wants.await_resume();
  CHECK(got);
  CHECK(room.in_flight() == 1);
}

TEST_CASE("co_acquire: resumed by its executor, and not by who leaves", "[co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 1});
  run_loop loop;
  mark ended;
  visit mine;
  auto inside = room.try_acquire();
  spawn(loop, enter(room, loop, mine), ended);
  CHECK(loop.run_ready() == 1);
  CHECK(room.waiting() == 1);
  inside.release();
  CHECK(room.in_flight() == 1);  // its own already
  CHECK_FALSE(mine.over);
  CHECK(loop.run_ready() == 1);
  CHECK(mine.over);
  CHECK(mine.got);
  CHECK(loop.run_ready() == 1);
  CHECK(ended.was_run());
}

TEST_CASE("B4 co_acquire: with no room to wait it is refused at once", "[co_bulkhead]") {
  bulkhead room({.limit = 1});
  run_loop loop;
  visit mine;
  const auto inside = room.try_acquire();
  run(loop, enter(room, loop, mine));
  CHECK_FALSE(mine.got);
  CHECK(mine.got.refusal == errc::bulkhead_full);
  CHECK(room.refused() == 1);
}

TEST_CASE("co_acquire: a deadline ends the wait when the loop says what time it is", "[co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 2});
  run_loop loop;
  manual_clock clock;
  std::array<mark, 2> ended;
  std::array<visit, 2> visits;
  auto inside = room.try_acquire();
  for (std::size_t i = 0; i < 2; ++i)
    spawn(loop, enter(room, loop, visits[i], deadline::after(clock.now(), (i + 1) * 1ms)), ended[i]);
  CHECK(loop.run_ready() == 2);
  CHECK(room.expire(clock.now()) == 0);
  clock.advance(1ms);
  CHECK(room.expire(clock.now()) == 1);
  static_cast<void>(loop.run_ready());
  CHECK(visits[0].got.refusal == errc::bulkhead_timeout);
  CHECK_FALSE(visits[1].over);
  inside.release();
  clock.advance(1ms);
  CHECK(room.expire(clock.now()) == 0);  // the place came first
  while (loop.run_ready() != 0) continue;
  CHECK(visits[1].got);
  CHECK(ended[1].was_run());
}

TEST_CASE("co_acquire: a stop ends the wait, before or within it, and of the others none", "[co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 3});
  run_loop loop;
  std::array<mark, 2> ended;
  std::array<visit, 2> visits;
  std::stop_source stop;
  auto inside = room.try_acquire();
  for (std::size_t i = 0; i < 2; ++i)
    spawn(loop, enter(room, loop, visits[i], {}, i == 0 ? stop.get_token() : std::stop_token()), ended[i]);
  CHECK(loop.run_ready() == 2);
  stop.request_stop();
  while (loop.run_ready() != 0) continue;
  CHECK(visits[0].got.refusal == errc::cancelled);
  CHECK_FALSE(visits[1].over);
  visit late;
  run(loop, enter(room, loop, late, {}, stop.get_token()));
  CHECK(late.got.refusal == errc::cancelled);
  inside.release();
  while (loop.run_ready() != 0) continue;
  CHECK(visits[1].got);
  run(loop, enter(room, loop, late, {}, stop.get_token()));
  CHECK(late.got.refusal == errc::cancelled);
  visits[1].got = {};
  run(loop, enter(room, loop, late, {}, stop.get_token()));
  CHECK(late.got);  // what is free is taken
}

TEST_CASE("embassy 6964: a coroutine that is stopped with a place in hand hands it on", "[co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 2});
  run_loop loop;
  std::array<mark, 2> ended;
  std::array<visit, 2> visits;
  std::stop_source stop;
  auto inside = room.try_acquire();
  for (std::size_t i = 0; i < 2; ++i)
    spawn(loop, enter(room, loop, visits[i], {}, i == 0 ? stop.get_token() : std::stop_token()), ended[i]);
  CHECK(loop.run_ready() == 2);
  inside.release();     // the first one has it
  stop.request_stop();  // and is stopped before it goes on
  while (loop.run_ready() != 0) continue;
  REQUIRE(visits[0].got);
  CHECK_FALSE(visits[1].over);
  visits[0].got = {};
  while (loop.run_ready() != 0) continue;
  CHECK(visits[1].got);
}

TEST_CASE("B3 co_acquire: threads and coroutines stand in one line", "[co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 4});
  run_loop loop;
  mark ended;
  std::vector<int> order;  // by who is inside
  auto inside = room.try_acquire();
  const auto await_waiting = [&room](std::uint32_t count) {
    test_support::patience waiting;
    while (room.waiting() != count) REQUIRE(waiting.wait());
  };
  std::thread first([&] {
    const auto got = room.wait_acquire(deadline::never());
    order.push_back(1);
  });
  await_waiting(1);
  struct body {
    static task<> run(bulkhead& room, run_loop& loop, std::vector<int>& order) {
      const auto got = co_await co_acquire(room, loop);
      order.push_back(2);
    }
  };
  spawn(loop, body::run(room, loop, order), ended);
  CHECK(loop.run_ready() == 1);
  std::thread third([&] {
    const auto got = room.wait_acquire(deadline::never());
    order.push_back(3);
  });
  await_waiting(3);
  inside.release();
  loop.run_until([&ended] { return ended.was_run(); });
  first.join();
  third.join();
  CHECK(order == std::vector{1, 2, 3});
}

namespace {

task<> wait_in(bulkhead& room, run_loop& loop, visit& into, deadline until = {}, std::stop_token stop = {}) {
  into.got = co_await co_wait_acquire(room, loop, until, std::move(stop));
  into.over = true;
}
void run_all(run_loop& loop, const manual_clock& clock) {
  while (loop.run_ready() + loop.run_due(clock.now()) != 0) continue;
}

}  // namespace

TEST_CASE("co_wait_acquire: its deadline is kept by its loop's timers, and nobody else's wait ends with it",
          "[co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 2});
  run_loop loop;
  manual_clock clock;
  std::array<mark, 2> ended;
  std::array<visit, 2> visits;
  auto inside = room.try_acquire();
  for (std::size_t i = 0; i < 2; ++i)
    spawn(loop, wait_in(room, loop, visits[i], deadline::after(clock.now(), (i + 1) * 1ms)), ended[i]);
  run_all(loop, clock);
  CHECK(room.waiting() == 2);
  clock.advance(1ms);
  run_all(loop, clock);
  CHECK(visits[0].got.refusal == errc::bulkhead_timeout);
  CHECK_FALSE(visits[1].over);
  inside.release();
  run_all(loop, clock);
  CHECK(visits[1].got);
  CHECK(ended[1].was_run());
  // Its timer is gone.
  clock.advance(1h);
  CHECK(loop.run_due(clock.now()) == 0);
}

TEST_CASE(
    "co_wait_acquire: a place is taken at once if it is there, refused if there is no room to wait, as by co_acquire",
    "[co_bulkhead]") {
  bulkhead room({.limit = 1});
  run_loop loop;
  visit mine;
  visit next;
  run(loop, wait_in(room, loop, mine));
  CHECK(mine.got);
  run(loop, wait_in(room, loop, next));
  CHECK(next.got.refusal == errc::bulkhead_full);
  CHECK(room.refused() == 1);
}

TEST_CASE("co_wait_acquire: a place that comes in the same moment as the deadline or a stop is had or handed on",
          "[co_bulkhead]") {
  enum class first { release, time, stop };
  const auto order = GENERATE(std::array{first::release, first::time}, std::array{first::time, first::release},
                              std::array{first::release, first::stop}, std::array{first::stop, first::release},
                              std::array{first::time, first::stop}, std::array{first::stop, first::time});
  bulkhead room({.limit = 1, .queue = 1});
  run_loop loop;
  manual_clock clock;
  mark ended;
  visit mine;
  std::stop_source stop;
  auto inside = room.try_acquire();
  spawn(loop, wait_in(room, loop, mine, deadline::after(clock.now(), 1ms), stop.get_token()), ended);
  run_all(loop, clock);
  for (const first what : order) {
    if (what == first::release) inside.release();
    if (what == first::stop) stop.request_stop();
    if (what == first::time) {
      clock.advance(1ms);
      static_cast<void>(loop.run_due(clock.now()));
    }
  }
  run_all(loop, clock);
  REQUIRE(ended.was_run());
  CHECK(static_cast<bool>(mine.got) == (order[0] == first::release));
  if (order[0] == first::time) CHECK(mine.got.refusal == errc::bulkhead_timeout);
  if (order[0] == first::stop) CHECK(mine.got.refusal == errc::cancelled);
  mine.got = {};
  inside.release();
  CHECK(room.in_flight() == 0);
  CHECK(room.waiting() == 0);
}
