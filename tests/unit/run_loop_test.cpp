// SPDX-License-Identifier: MIT
#include "holdfast/exec/run_loop.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

namespace {

using namespace std::chrono_literals;

struct writing : holdfast::runnable {
  writing(std::vector<int>& into, int what) : runnable(write), text(into), number(what) {}
  static void write(runnable& self) noexcept {
    auto& me = static_cast<writing&>(self);
    me.text.push_back(me.number);
    if (me.again != nullptr) me.again->post(me);
    me.again = nullptr;
    if (me.done != nullptr) me.done->store(true, holdfast::mo::release);
  }
  std::vector<int>& text;
  int number;
  holdfast::run_loop* again = nullptr;
  holdfast::atomic<bool>* done = nullptr;
};

}  // namespace

TEST_CASE("run_loop: runs what was posted, in its order, and says how many", "[run_loop]") {
  holdfast::run_loop loop;
  std::vector<int> text;
  writing one(text, 1);
  writing two(text, 2);
  loop.post(one);
  loop.post(two);
  CHECK(text.empty());
  CHECK(loop.run_ready() == 2);
  CHECK(text == std::vector{1, 2});
  CHECK(loop.run_ready() == 0);
}

TEST_CASE("run_loop: what is posted while it runs comes next time", "[run_loop]") {
  holdfast::run_loop loop;
  std::vector<int> text;
  writing one(text, 1);
  one.again = &loop;
  loop.post(one);
  CHECK(loop.run_ready() == 1);
  CHECK(text == std::vector{1});
  CHECK(loop.run_ready() == 1);
  CHECK(text == std::vector{1, 1});
}

TEST_CASE("run_loop: runs until the condition holds, and no further", "[run_loop]") {
  holdfast::run_loop loop;
  std::vector<int> text;
  writing one(text, 1);
  writing two(text, 2);
  loop.post(one);
  loop.post(two);
  CHECK(loop.run_until([&] { return text.size() == 1; }));
  CHECK(text == std::vector{1});
  CHECK(loop.run_until([&] { return text.size() == 2; }));
}

TEST_CASE("run_loop: a condition that takes something is asked no more when it has it", "[run_loop]") {
  holdfast::run_loop loop;
  int there = 1;
  CHECK(loop.run_until([&] { return there-- == 1; }));
  CHECK(there == 0);
}

TEST_CASE("run_loop: a deadline ends it where there is always something to run", "[run_loop]") {
  struct again : holdfast::runnable {
    explicit again(holdfast::run_loop& where) noexcept : runnable(post), loop(where) {}
    static void post(runnable& self) noexcept {
      auto& me = static_cast<again&>(self);
      if (++me.times < 1'000'000'000) me.loop.post(me);
    }
    holdfast::run_loop& loop;
    int times = 0;
  };
  holdfast::run_loop loop;
  again forever(loop);
  loop.post(forever);
  CHECK_FALSE(loop.run_until([] { return false; }, holdfast::deadline::after(holdfast::steady_clock::now(), 1ms)));
  CHECK(forever.times >= 1);
  CHECK(loop.run_until([&] { return forever.times > 1; }));
  forever.times = 1'000'000'000;
  CHECK(loop.run_ready() == 1);
}

TEST_CASE("run_loop: what is left when it is stopped stays, and is run by whoever runs it on", "[run_loop]") {
  holdfast::run_loop loop;
  std::vector<int> text;
  writing one(text, 1);
  loop.stop();
  loop.post(one);
  loop.run();
  CHECK(text.empty());
  CHECK(loop.run_ready() == 1);
  CHECK(text == std::vector{1});
}

TEST_CASE("run_loop: a deadline ends it where the condition does not", "[run_loop]") {
  holdfast::run_loop loop;
  const auto past = holdfast::deadline::after(holdfast::steady_clock::now(), -1ms);
  CHECK_FALSE(loop.run_until([] { return false; }, past));
}

TEST_CASE("run_loop: asleep, it is woken by a post, and by a stop", "[run_loop]") {
  holdfast::run_loop loop;
  std::vector<int> text;
  writing one(text, 1);
  std::thread runs([&] { loop.run(); });
  const auto falls_asleep = [&] {
    for (test_support::patience waiting; !loop.asleep();) REQUIRE(waiting.wait());
  };
  falls_asleep();
  holdfast::atomic<bool> done(false);
  one.done = &done;
  loop.post(one);
  for (test_support::patience waiting; !done.load(holdfast::mo::acquire);) REQUIRE(waiting.wait());
  CHECK(text == std::vector{1});
  falls_asleep();
  loop.stop();
  runs.join();
  loop.run();  // stopped: returns
}
