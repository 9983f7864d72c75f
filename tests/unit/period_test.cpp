// SPDX-License-Identifier: MIT
#include "holdfast/time/period.hpp"

#include <array>
#include <cstdint>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
constexpr period skips{.every = 10ms, .missed = missed_times::skip};
constexpr period coalesces{.every = 10ms, .missed = missed_times::coalesce};
constexpr period bursts{.every = 10ms, .missed = missed_times::burst};
constexpr std::array all{skips, coalesces, bursts};

}  // namespace

TEST_CASE("a period that was not missed: the next time is a period after the last one, however late its call",
          "[period]") {
  for (const period& p : all) {
    for (const duration late : {-5ms, 0ms, 1ms, 9ms}) CHECK(p.next(start, start + late) == start + 10ms);
    CHECK(p.next(start, start + 10ms - 1ns) == start + 10ms);
    CHECK(p.next(start, time_point::min()) == start + 10ms);
    CHECK(p.missed_by(start, start + 10ms - 1ns) == 0);
    CHECK(p.missed_by(start, start + 10ms) == 1);
  }
}

TEST_CASE("times that were missed are skipped, made up for by one call, or by one each", "[period]") {
  STATIC_REQUIRE(skips.next(start, start + 10ms) == start + 20ms);
  STATIC_REQUIRE(skips.next(start, start + 35ms) == start + 40ms);
  STATIC_REQUIRE(coalesces.next(start, start + 10ms) == start + 10ms);
  STATIC_REQUIRE(coalesces.next(start, start + 35ms) == start + 30ms);
  STATIC_REQUIRE(bursts.next(start, start + 10ms) == start + 10ms);
  STATIC_REQUIRE(bursts.next(start, start + 35ms) == start + 10ms);
  STATIC_REQUIRE(skips.missed_by(start, start + 35ms) == 3);
}

TEST_CASE("without drift: every next time is a whole number of periods after the first one, on any clock", "[period]") {
  splitmix64 bits(1);
  for (const time_point first : {start, time_point(), time_point(-1ns), time_point(-3h), time_point::min()}) {
    for (const period& of : all) {
      const period p{.every = duration(7'777'777), .missed = of.missed};
      time_point due = first;
      for (int i = 0; i < 10'000; ++i) {
        const time_point now = due + duration(static_cast<std::int64_t>(uniform_up_to(bits, 30'000'000)));
        const time_point next = p.next(due, now);
        REQUIRE(next > due);
        REQUIRE((next - first) % p.every == 0ns);
        switch (p.missed) {
          case missed_times::skip:
            REQUIRE(next > now);
            REQUIRE(next - now <= p.every);
            break;
          case missed_times::coalesce: REQUIRE((next - now <= p.every && now - next < p.every)); break;
          default: REQUIRE(next == due + p.every);
        }
        due = next;
      }
    }
  }
}

TEST_CASE("behind the last time there is none: the next one is time_point::max()", "[period]") {
  for (const period& p : all) {
    CHECK(p.next(time_point::max(), start) == time_point::max());
    CHECK(p.next(time_point::max() - 9ms, start) == time_point::max());
    CHECK(p.next(time_point::max() - 10ms, start) == time_point::max());
    CHECK(p.next(time_point::max() - 11ms, start) == time_point::max() - 1ms);
  }
  STATIC_REQUIRE(skips.next(time_point::min(), time_point::max()) == time_point::max());
  STATIC_REQUIRE(coalesces.next(time_point::min(), time_point::max()) > time_point::max() - 10ms);
  STATIC_REQUIRE(bursts.next(time_point::min(), time_point::max()) == time_point::min() + 10ms);
  constexpr period longest{.every = duration::max(), .missed = missed_times::skip};
  STATIC_REQUIRE(longest.next(time_point::min(), time_point::min()) == time_point(-1ns));
  STATIC_REQUIRE(longest.next(time_point(-1ns), time_point::max()) == time_point::max());
  constexpr period shortest{.every = 1ns, .missed = missed_times::skip};
  STATIC_REQUIRE(shortest.missed_by(time_point::min(), time_point::max()) == ~std::uint64_t{0});
  STATIC_REQUIRE(shortest.next(time_point::min(), time_point::max()) == time_point::max());
}

TEST_CASE("a period of nothing is refused by validate", "[period]") {
  STATIC_REQUIRE(!validate(period{}));
  CHECK(validate(period{.every = 0ns}).field == "every");
  CHECK(validate(period{.every = -1s}).field == "every");
}

TEST_CASE("a wheel's timer of a period after a suspend: none, one or all of the calls that were missed", "[period]") {
  constexpr duration tick(1'048'576);
  for (const period& of : all) {
    const period p{.every = 10 * tick, .missed = of.missed};
    timer_wheel<int> wheel({.tick = tick}, time_point());
    wheel.schedule(time_point() + p.every, 0);
    int calls = 0;
    const auto advance = [&](time_point now) {
      calls = 0;
      wheel.advance(now, ~std::size_t{0}, [&](const expired_timer<int>& e) {
        ++calls;
        wheel.reschedule(e.id, p.next(e.due, now));
      });
    };
    advance(time_point() + p.every);
    CHECK(calls == 1);
    advance(time_point() + 10 * p.every + tick);
    CHECK(calls == (p.missed == missed_times::skip ? 1 : p.missed == missed_times::coalesce ? 2 : 9));
    advance(time_point() + 11 * p.every - tick);
    CHECK(calls == 0);
    advance(time_point() + 11 * p.every);
    CHECK(calls == 1);
  }
}
