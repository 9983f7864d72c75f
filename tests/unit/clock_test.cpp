// SPDX-License-Identifier: MIT
#include "holdfast/time/clock.hpp"

#include <limits>

#include "holdfast/core/random.hpp"
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

TEST_CASE("a deadline saturates at both ends of time", "[deadline]") {
  for (const auto now : {time_point::min(), time_point{-5s}, time_point{}, time_point{5s}, time_point::max()}) {
    CAPTURE(now.time_since_epoch().count());
    CHECK(deadline::after(now, duration::max()) >= deadline(now));
    CHECK(deadline::after(now, duration::min()) <= deadline(now));
    CHECK(deadline::after(now, duration::min()).remaining(now) == 0s);
    CHECK(deadline::never().tightened(now, duration::min()).passed(now));
    CHECK(deadline(now).remaining(time_point::min()) >= 0s);
    CHECK(deadline(now).remaining(now) == (deadline(now).is_never() ? duration::max() : 0s));
  }
  CHECK(deadline(time_point{5s}).remaining(time_point::min()) == duration::max());
  CHECK(deadline(time_point{-1s}).remaining(time_point{-3s}) == 2s);
  CHECK(deadline::after(time_point{-5s}, 2s).at() == time_point{-3s});
}

TEST_CASE("a deadline goes to another process as the microseconds that are left", "[deadline]") {
  constexpr time_point now{100s};
  constexpr auto outer = deadline::after(now, 1500us);
  static_assert(outer.to_wire(now) == 1500);
  static_assert(deadline::from_wire(now, 1500) == outer);
  CHECK(outer.to_wire(now, 500us) == 1000);
  CHECK(outer.to_wire(now, 1500us) == 0);
  CHECK(outer.to_wire(now, 1h) == 0);
  CHECK(outer.to_wire(now, duration::max()) == 0);
  CHECK(outer.to_wire(now + 1h) == 0);
  // Rounded down: what is less than a microsecond is not worth a call.
  CHECK(outer.to_wire(now + 1ns) == 1499);
  CHECK(outer.to_wire(now + 1499us + 1ns) == 0);
  CHECK(outer.to_wire(now, 1ns) == 1499);
}

TEST_CASE("a deadline from the wire that is nothing or less has passed, and one beyond all time is never",
          "[deadline]") {
  constexpr time_point now{100s};
  for (const std::int64_t sent : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    CHECK(deadline::from_wire(now, sent).passed(now));
    CHECK(deadline::from_wire(now, sent) == deadline(now));
  }
  constexpr auto largest = std::numeric_limits<std::int64_t>::max();
  CHECK(deadline::from_wire(now, largest).is_never());
  CHECK(deadline::from_wire(now, largest / 1000 + 1).is_never());
  CHECK(deadline::from_wire(now, largest / 1000).is_never());  // from now on it is beyond the last instant
  CHECK_FALSE(deadline::from_wire(time_point{}, largest / 1000).is_never());
  CHECK(deadline::never().to_wire(now) == largest);
  CHECK(deadline::never().to_wire(now, 1h) == largest);
  CHECK(deadline::from_wire(now, deadline::never().to_wire(now)).is_never());
  // Whoever receives it has a limit of his own.
  CHECK(deadline::from_wire(now, largest).tightened(now, 2s) == deadline::after(now, 2s));
}

TEST_CASE("D1 an inner deadline is never later than the outer one, by whatever way it came", "[deadline]") {
  splitmix64 bits(11);
  const auto up_to = [&](std::int64_t most) {
    return duration(static_cast<std::int64_t>(uniform_up_to(bits, static_cast<std::uint64_t>(most))));
  };
  int went_over_the_wire = 0;
  for (int i = 0; i < 50'000; ++i) {
    time_point now{up_to(10'000'000'000)};
    deadline inner = i % 10 == 0 ? deadline::never() : deadline::after(now, up_to(3'000'000'000));
    for (int depth = 0; depth < 6; ++depth) {
      const deadline outer = inner;
      now += up_to(200'000'000);
      if (bits() % 2 == 0) {
        inner = outer.tightened(now, up_to(4'000'000'000) - 1s);
      } else {
        // Under way for as long as the sender reckoned with, or less.
        const duration slack = up_to(5'000'000);
        const std::int64_t sent = outer.to_wire(now, slack);
        const duration under_way = up_to(slack.count());
        now += under_way;
        inner = deadline::from_wire(now, sent);
        ++went_over_the_wire;
        REQUIRE(inner.remaining(now) <= outer.remaining(now - under_way));
      }
      if (!outer.passed(now)) REQUIRE(inner <= outer);
      if (outer.passed(now)) REQUIRE(inner.passed(now));
    }
  }
  CHECK(went_over_the_wire > 100'000);
}
