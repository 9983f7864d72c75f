// SPDX-License-Identifier: MIT
#include "holdfast/time/clock.hpp"

#include "holdfast/time/deadline.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("clocks of this machine never go backwards", "[clock]") {
  const tsc_clock tsc;
  auto steady = steady_clock::now();
  auto coarse = coarse_clock::now();
  auto counter = tsc.now();
  for (int i = 0; i < 100'000; ++i) {
    const auto s = steady_clock::now();
    const auto c = coarse_clock::now();
    const auto t = tsc.now();
    REQUIRE(s >= steady);
    REQUIRE(c >= coarse);
    REQUIRE(t >= counter);
    steady = s;
    coarse = c;
    counter = t;
  }
}

TEST_CASE("the counter's clock stays near steady time and does not step back when it is recalibrated", "[clock]") {
  tsc_clock tsc;
  for (int i = 0; i < 50; ++i) {
    const auto before = tsc.now();
    tsc.recalibrate();
    CHECK(tsc.now() >= before);
  }
  // A bracket, so that a preempted test cannot fail: steady time is read on both sides of the counter.
  const auto low = steady_clock::now();
  const auto read = tsc.now();
  const auto high = steady_clock::now();
  CHECK(read >= low - 1ms);
  CHECK(read <= high + 1ms);
}

TEST_CASE("a stamp is converted later to the time at which it was taken", "[clock]") {
  const tsc_clock tsc;
  const auto low = tsc.now();
  const auto stamp = tsc.ticks();
  const auto high = tsc.now();
  CHECK(tsc.at(stamp) >= low);
  CHECK(tsc.at(stamp) <= high);
}

TEST_CASE("a manual clock moves only when told, backwards too", "[clock]") {
  manual_clock clock;
  const auto start = clock.now();
  CHECK(clock.now() == start);
  clock.advance(5ms);
  CHECK(clock.now() - start == 5ms);
  clock.set(start - 1s);
  CHECK(clock.now() == start - 1s);
}

TEST_CASE("the coarse clock names a resolution that is a tick, not zero", "[clock]") {
  CHECK(coarse_clock::resolution() > 0ns);
  CHECK(coarse_clock::resolution() <= 10ms);
}

TEST_CASE("deadlines are ordered as their instants are", "[deadline]") {
  const deadline early(time_point(1s));
  const deadline late(time_point(2s));
  CHECK(early < late);
  CHECK(late > early);
  CHECK((early <=> deadline(time_point(1s))) == std::strong_ordering::equal);
  CHECK(late < deadline::never());
}

TEST_CASE("a deadline only gets nearer and never overflows", "[deadline]") {
  const time_point now{100s};
  CHECK(deadline::never().remaining(now) == duration::max());
  CHECK(deadline::after(now, duration::max()).is_never());
  const auto outer = deadline::after(now, 5s);
  CHECK(outer.tightened(now, 10s) == outer);
  CHECK(outer.tightened(now, 2s).remaining(now) == 2s);
  CHECK(outer.remaining(now + 6s) == 0s);
  CHECK(outer.passed(now + 5s));
  CHECK_FALSE(outer.passed(now + 5s - 1ns));
  CHECK(deadline::after(time_point{-5s}, duration::max()).is_never());
}
