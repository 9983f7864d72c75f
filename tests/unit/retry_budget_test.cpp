// SPDX-License-Identifier: MIT
#include "holdfast/policy/retry_budget.hpp"

#include <cstdint>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};

unsigned drain(retry_budget& budget, time_point now) {
  unsigned taken = 0;
  while (taken < 1'000'000 && budget.try_take(now)) ++taken;
  return taken;
}
}  // namespace

TEST_CASE("a purse starts full and is drained exactly", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 100, .min_per_second = 0, .burst = 7});
  CHECK(budget.balance_milli(start) == 7'000);
  CHECK(drain(budget, start) == 7);
  CHECK(budget.balance_milli(start) == 0);
  CHECK(budget.granted() == 7);
  CHECK(budget.denied() == 1);
  CHECK(drain(budget, start + 24h) == 0);  // no reserve: time alone earns nothing
}

TEST_CASE("ten first attempts pay for one retry at a ratio of one in ten", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 100, .min_per_second = 0, .burst = 5});
  drain(budget, start);
  for (int i = 0; i < 9; ++i) budget.on_first_attempt(start);
  CHECK_FALSE(budget.try_take(start));
  budget.on_first_attempt(start);
  CHECK(budget.try_take(start));
  CHECK_FALSE(budget.try_take(start));
}

TEST_CASE("deposits end at the burst", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 900, .min_per_second = 0, .burst = 2});
  CHECK(budget.try_take(start));
  for (int i = 0; i < 100; ++i) budget.on_first_attempt(start);
  CHECK(budget.balance_milli(start) == 2'000);
  CHECK(drain(budget, start) == 2);
}

TEST_CASE("time earns the reserve to the millisecond, in small steps as in one", "[retry_budget]") {
  const unsigned per_second = GENERATE(1U, 3U, 10U, 999U, 1'000'000U);
  retry_budget budget({.ratio_permille = 0, .min_per_second = per_second, .burst = 60'000});
  drain(budget, start);
  for (int ms = 1; ms <= 50; ++ms) budget.on_first_attempt(start + ms * 1ms);
  CHECK(budget.balance_milli(start + 50ms) == std::min(50U * per_second, 60'000'000U));
}

TEST_CASE("a cost is taken whole or not at all, and nothing costs nothing", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 3});
  CHECK(budget.try_take(start, 2));
  CHECK_FALSE(budget.try_take(start, 2));
  CHECK(budget.balance_milli(start) == 1'000);
  CHECK(budget.try_take(start, 0));
  CHECK_FALSE(budget.try_take(start, 4'000'000'000U));
  CHECK(budget.granted() == 1);
  CHECK(budget.denied() == 2);
  budget.give_back(start, 2);
  CHECK(budget.balance_milli(start) == 3'000);
  budget.give_back(start, 4'000'000'000U);
  CHECK(budget.balance_milli(start) == 3'000);
}

TEST_CASE("what is given back without a clock makes the purse as full as with one", "[retry_budget]") {
  splitmix64 bits(17);
  for (int i = 0; i < 2'000; ++i) {
    const retry_budget_options options{.ratio_permille = 300, .min_per_second = 7, .burst = 5};
    retry_budget timed(options);
    retry_budget untimed(options);
    time_point now = start;
    for (int step = 0; step < 20; ++step) {
      now += duration(static_cast<std::int64_t>(uniform_up_to(bits, 500'000'000)));
      const auto cost = static_cast<std::uint32_t>(bits() % 4);
      switch (bits() % 3) {
        case 0: REQUIRE(timed.try_take(now, cost) == untimed.try_take(now, cost)); break;
        case 1:
          timed.give_back(now, cost);
          untimed.give_back(cost);
          break;
        default:
          timed.on_first_attempt(now);
          untimed.on_first_attempt(now);
          break;
      }
      REQUIRE(timed.balance_milli(now) == untimed.balance_milli(now));
    }
  }
}

TEST_CASE("what is given back without a clock does not move time, and fills no further than the brim",
          "[retry_budget]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 1'000, .burst = 10});
  CHECK(drain(budget, start) == 10);
  budget.give_back(3);
  CHECK(budget.balance_milli(start) == 3'000);
  CHECK(budget.balance_milli(start + 2ms) == 5'000);  // time earns as if nothing had come back
  budget.give_back(0);
  CHECK(budget.balance_milli(start) == 3'000);
  budget.give_back(4'000'000'000U);
  CHECK(budget.balance_milli(start) == 10'000);
  budget.give_back(1);
  CHECK(budget.balance_milli(start) == 10'000);
}

TEST_CASE("a clock reading older than one already seen earns nothing, and nothing twice", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 1'000, .burst = 100});
  CHECK(drain(budget, start) == 100);
  // A thread that read its clock 100 ms ago finds nothing, and does not set the time back for the others.
  CHECK(drain(budget, start - 100ms) == 0);
  CHECK(drain(budget, start) == 0);
  CHECK(drain(budget, start + 50ms) == 50);
  CHECK(drain(budget, start - 1h) == 0);
  CHECK(drain(budget, start + 50ms) == 0);

  // The trap: full again through a deposit, emptied by the late thread, and then the same time earned once more.
  budget.give_back(start + 100ms, 100);
  REQUIRE(budget.balance_milli(start + 100ms) == 100'000);
  CHECK(drain(budget, start) == 100);
  CHECK(drain(budget, start + 100ms) == 0);
}

TEST_CASE("a purse left alone for months is neither stuck nor overfull", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 1, .burst = 10});
  time_point now{};
  for (const auto idle : {1h, 24h, 24h * 30, 24h * 50, 24h * 365, 24h * 1000}) {
    drain(budget, now);
    CHECK(drain(budget, now + 1s) == 1);
    now += idle;
    CHECK(drain(budget, now) == 10);
    now += 1s;
    CHECK(drain(budget, now) == 1);  // the clock of the purse is neither behind nor ahead
  }
}

TEST_CASE("R1 in every interval the tokens taken stay within burst, ratio and reserve", "[retry_budget]") {
  const retry_budget_options options = GENERATE(retry_budget_options{}, retry_budget_options{500, 1, 3},
                                                retry_budget_options{0, 200, 1}, retry_budget_options{10'000, 0, 2});
  retry_budget budget(options);
  splitmix64 bits(options.burst);
  struct event {
    time_point at;
    unsigned first = 0;
    unsigned taken = 0;
  };
  std::vector<event> events;
  time_point now = start;
  for (int i = 0; i < 1'500; ++i) {
    now += duration(static_cast<std::int64_t>(uniform_up_to(bits, 20'000'000)));
    event e{now};
    const auto firsts = uniform_up_to(bits, 6);
    for (std::uint64_t k = 0; k < firsts; ++k) budget.on_first_attempt(now);
    e.first = static_cast<unsigned>(firsts);
    const auto wanted = uniform_up_to(bits, 8);
    for (std::uint64_t k = 0; k < wanted; ++k) e.taken += budget.try_take(now) ? 1U : 0U;
    events.push_back(e);
  }
  std::uint64_t total = 0;
  for (std::size_t a = 0; a < events.size(); ++a) {
    std::uint64_t first = 0;
    std::uint64_t taken = 0;
    for (std::size_t b = a; b < events.size(); ++b) {
      first += events[b].first;
      taken += events[b].taken;
      const auto ms = static_cast<std::uint64_t>((events[b].at - events[a].at) / 1ms) + 1;
      const std::uint64_t bound_milli =
          options.burst * 1000ULL + first * options.ratio_permille + options.min_per_second * ms;
      if (taken * 1000 > bound_milli) {
        CAPTURE(a, b, taken, first, ms);
        REQUIRE(taken * 1000 <= bound_milli);
      }
    }
    total += events[a].taken;
  }
  CHECK(total == budget.granted());
  CHECK(total > options.burst);
}

TEST_CASE("R5 an exhausted budget gives one notice a cool-down, and it says how many were denied without",
          "[retry_budget]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 2, .notice_every = 10s});
  CHECK_FALSE(budget.try_take(start).gives_notice);  // granted: nothing to tell
  CHECK_FALSE(budget.try_take(start).gives_notice);
  const budget_answer first = budget.try_take(start + 1s);
  CHECK_FALSE(first.granted);
  CHECK(first.gives_notice);
  CHECK(first.held_back == 0);
  for (int i = 0; i < 1'000; ++i) {
    const budget_answer next = budget.try_take(start + 1s + i * 9ms);
    REQUIRE_FALSE(next.granted);
    REQUIRE_FALSE(next.gives_notice);
  }
  // In between it pays again; that does not end the cool-down.
  budget.give_back(start + 10s);
  CHECK(budget.try_take(start + 10s));
  CHECK_FALSE(budget.try_take(start + 10s).gives_notice);
  const budget_answer second = budget.try_take(start + 12s);
  CHECK(second.gives_notice);
  CHECK(second.held_back == 1'001);
  CHECK(budget.denied() == 1'003);
  CHECK_FALSE(budget.try_take(start + 13s));
  const retry_budget_snapshot s = budget.snapshot(start + 13s);
  CHECK(s.balance_milli == 0);
  CHECK(s.burst == 2);
  CHECK(s.granted == 3);
  CHECK(s.denied == 1'004);
  CHECK(s.held_back == 1);
}

TEST_CASE("what was granted stays counted when it is given back", "[retry_budget]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 5});
  CHECK(budget.try_take(start, 2));
  budget.give_back(start, 2);
  CHECK(budget.try_take(start, 2));
  budget.give_back(2);
  CHECK(budget.granted() == 2);
  CHECK(budget.balance_milli(start) == 5'000);
}

TEST_CASE("retry budget options name what is wrong", "[retry_budget]") {
  static_assert(!validate(retry_budget_options{}));
  static_assert(validate(retry_budget_options{.ratio_permille = 10'001}).field == "ratio_permille");
  static_assert(validate(retry_budget_options{.min_per_second = 1'000'001}).field == "min_per_second");
  static_assert(validate(retry_budget_options{.burst = 0}).limit == 1);
  static_assert(validate(retry_budget_options{.burst = 67'001}).field == "burst");
  static_assert(validate(retry_budget_options{.notice_every = 0s}).field == "notice_every");
  static_assert(validate(retry_budget_options{.notice_every = 25h}).limit == duration(24h).count());
}
