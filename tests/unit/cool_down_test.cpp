// SPDX-License-Identifier: MIT
#include "holdfast/time/cool_down.hpp"

#include <cstdint>
#include <optional>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};
}  // namespace

TEST_CASE("the first to ask gets a claim, whatever time it is", "[cool_down]") {
  for (const time_point now : {time_point{}, start, time_point{-1h}, time_point{24h * 365 * 40}, time_point{1ns}}) {
    cool_down c;
    const auto claim = c.try_claim(now, 10s);
    CHECK(claim.granted);
    CHECK(claim.held_back == 0);
    CHECK_FALSE(c.try_claim(now, 10s));
  }
}

TEST_CASE("E1, E2 the next claim is granted when the length is over, at most a tick later", "[cool_down]") {
  const duration length = GENERATE(duration(1), duration(1ms), duration(999'999'999), duration(60s), duration(24h));
  const duration offset = GENERATE(duration(0), duration(1), cool_down::tick - duration(1), duration(777'777));
  const time_point first = start + offset;
  cool_down c;
  CHECK(c.try_claim(first, length));
  CHECK_FALSE(c.try_claim(first, length));
  CHECK_FALSE(c.try_claim(first + length - 1ns, length));
  CHECK(c.held_back() == 2);
  const auto next = c.try_claim(first + length + cool_down::tick - 1ns, length);
  CHECK(next.granted);
  CHECK(next.held_back == 2);
  CHECK(c.held_back() == 0);
}

TEST_CASE("E1 a clock that goes back never gets a second claim", "[cool_down]") {
  cool_down c;
  CHECK(c.try_claim(start, 10s));
  for (const duration back : {duration(1ns), duration(1s), duration(1h), duration(24h * 365)}) {
    CHECK_FALSE(c.try_claim(start - back, 10s));
    CHECK_FALSE(c.try_claim(start + 5s, 10s));
  }
  // A claim at the end of one, by a thread that lags behind the one before it.
  CHECK(c.try_claim(start + 11s, 10s));
  CHECK_FALSE(c.try_claim(start + 10s, 10s));
}

TEST_CASE("a claim that is under way keeps the length it began with", "[cool_down]") {
  cool_down c;
  CHECK(c.try_claim(start, 10s));
  CHECK_FALSE(c.try_claim(start + 5s, 1ms));
  CHECK(c.try_claim(start + 11s, 1ms));
  CHECK(c.try_claim(start + 12s, 1ms));
}

TEST_CASE("one that was left alone for years grants at once", "[cool_down]") {
  cool_down c;
  time_point now = start;
  for (const duration idle : {duration(24h), duration(24h * 365), duration(24h * 365 * 8)}) {
    CHECK(c.try_claim(now, 1min));
    now += idle;
    CHECK(c.try_claim(now, 1min));
    now += 2min;
  }
}

TEST_CASE("E1, E3 against a list of all claims, by clocks that jump about", "[cool_down]") {
  splitmix64 bits(7);
  for (int round = 0; round < 300; ++round) {
    cool_down c;
    const duration length = duration(1) + duration(static_cast<std::int64_t>(uniform_up_to(bits, 50'000'000)));
    time_point now = start;
    std::vector<time_point> claims;
    std::uint64_t asked = 0;
    std::uint64_t told = 0;
    for (int i = 0; i < 400; ++i) {
      now += duration(static_cast<std::int64_t>(uniform_up_to(bits, 10'000'000)) - 2'000'000);
      const auto claim = c.try_claim(now, length);
      ++asked;
      if (!claim) {
        CHECK(claim.held_back == 0);
        continue;
      }
      told += 1 + claim.held_back;
      for (const time_point before : claims) REQUIRE(now - before >= length);
      claims.push_back(now);
    }
    CHECK(told + c.held_back() == asked);
    CHECK(claims.size() >= 2);
  }
}
