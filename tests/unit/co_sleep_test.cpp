// SPDX-License-Identifier: MIT
#include "holdfast/exec/co_sleep.hpp"

#include <cstdint>
#include <stop_token>
#include <vector>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// A loop whose clock is the test's: run_until is not used, and so no real time.
struct stepped {
  run_loop loop;
  time_point now{1000s};
  void run() {
    while (loop.run_ready() + loop.run_due(now) != 0) {
    }
  }
  void advance(duration by) {
    now += by;
    run();
  }
};

task<> sleeps(run_loop& loop, time_point until, std::stop_token stop, std::vector<int>& log, int id) {
  log.push_back(co_await co_sleep(loop, until, std::move(stop)) ? id : -id);
}

}  // namespace

TEST_CASE("a coroutine sleeps until its time, and no longer", "[co_sleep]") {
  stepped on;
  std::vector<int> log;
  mark ended[3];
  spawn(on.loop, sleeps(on.loop, on.now + 20ms, {}, log, 1), ended[0]);
  spawn(on.loop, sleeps(on.loop, on.now + 10ms, {}, log, 2), ended[1]);
  spawn(on.loop, sleeps(on.loop, on.now - 1s, {}, log, 3), ended[2]);
  on.run();
  CHECK(log == std::vector<int>{3});
  on.advance(10ms - 1ns);
  CHECK(log == std::vector<int>{3});
  on.advance(1ns);
  CHECK(log == std::vector<int>{3, 2});
  on.advance(1h);
  CHECK(log == std::vector<int>{3, 2, 1});
  CHECK(ended[0].was_run());
}

TEST_CASE("a stop wakes a sleeper, and one that was asked for before it sleeps lets it go at once", "[co_sleep]") {
  stepped on;
  std::vector<int> log;
  mark ended[2];
  std::stop_source stop;
  spawn(on.loop, sleeps(on.loop, on.now + 1h, stop.get_token(), log, 1), ended[0]);
  on.run();
  CHECK(log.empty());
  stop.request_stop();
  CHECK(log.empty());  // nobody's code is run by who asks for a stop
  on.run();
  CHECK(log == std::vector<int>{-1});
  spawn(on.loop, sleeps(on.loop, on.now + 1h, stop.get_token(), log, 2), ended[1]);
  on.run();
  CHECK(log == std::vector<int>{-1, -2});
  on.advance(2h);
  CHECK(log.size() == 2);
}

TEST_CASE("a stop of a source in its owner's storage wakes a sleeper as well", "[co_sleep][inplace_stop]") {
  stepped on;
  std::vector<int> log;
  mark ended[3];
  inplace_stop_source stop;
  const auto sleep = [&](duration how_long, inplace_stop_token token, int id) -> task<> {
    log.push_back(co_await co_sleep(on.loop, on.now + how_long, token) ? id : -id);
  };
  spawn(on.loop, sleep(1h, stop.get_token(), 1), ended[0]);
  spawn(on.loop, sleep(10ms, {}, 2), ended[1]);
  on.run();
  stop.request_stop();
  CHECK(log.empty());
  on.run();
  CHECK(log == std::vector<int>{-1});
  on.advance(10ms);
  CHECK(log == std::vector<int>{-1, 2});
  spawn(on.loop, sleep(1h, stop.get_token(), 3), ended[2]);
  on.run();
  CHECK(log == std::vector<int>{-1, 2, -3});
}

TEST_CASE("a stop that comes when it is time changes nothing", "[co_sleep]") {
  stepped on;
  std::vector<int> log;
  mark ended;
  std::stop_source stop;
  spawn(on.loop, sleeps(on.loop, on.now + 10ms, stop.get_token(), log, 1), ended);
  on.run();
  stop.request_stop();
  on.now += 10ms;
  CHECK(on.loop.run_due(on.now) == 1);  // the timer comes first
  CHECK(log.empty());
  on.run();
  CHECK(log == std::vector<int>{1});
  CHECK(ended.was_run());
}

TEST_CASE("run_until runs timers by the steady clock", "[co_sleep][run_loop]") {
  run_loop loop;
  std::vector<int> log;
  mark ended;
  const time_point begun = steady_clock::now();
  spawn(loop, sleeps(loop, begun + 2ms, {}, log, 1), ended);
  CHECK(loop.run_until([&] { return ended.was_run(); }, deadline(begun + 1min)));
  CHECK(steady_clock::now() >= begun + 2ms);
  CHECK(log == std::vector<int>{1});
  // A deadline before the timer.
  spawn(loop, sleeps(loop, steady_clock::now() + 1h, {}, log, 2), ended);
  CHECK_FALSE(loop.run_until([] { return false; }, deadline(steady_clock::now() + 1ms)));
  CHECK(loop.run_due(steady_clock::now() + 2h) == 1);
  loop.run_ready();
  CHECK(log.size() == 2);
}

TEST_CASE("timers are not kept waiting by what is posted all the time", "[co_sleep][run_loop]") {
  struct forever : runnable {
    explicit forever(run_loop& where) noexcept
        : runnable([](runnable& self) noexcept {
            auto& me = static_cast<forever&>(self);
            ++me.times;
            me.loop.post(me);
          }),
          loop(where) {}
    run_loop& loop;
    std::uint64_t times = 0;
  };
  run_loop loop;
  forever busy(loop);
  std::vector<int> log;
  mark ended;
  loop.post(busy);
  spawn(loop, sleeps(loop, steady_clock::now() + 1ms, {}, log, 1), ended);
  CHECK(loop.run_until([&] { return ended.was_run(); }, deadline(steady_clock::now() + 1min)));
  CHECK(log == std::vector<int>{1});
  CHECK(busy.times > 1);
}
