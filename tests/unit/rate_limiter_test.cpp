// SPDX-License-Identifier: MIT
#include "holdfast/policy/rate_limiter.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/retry.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};

// A permit each millisecond, unless said otherwise.
constexpr rate_limiter_options each_ms(std::uint32_t burst) {
  return {.permits = 1'000, .per = 1s, .burst = burst};
}

unsigned drain(rate_limiter& limiter, time_point now) {
  unsigned taken = 0;
  while (taken < 10'000'000 && limiter.try_take(now)) ++taken;
  return taken;
}

// The permits that may be used at a time.
struct used {
  time_point at;
  std::int64_t permits;
};

// G1 over every interval that begins and ends with a use: those are the worst ones.
void keeps_to_the_rate(std::vector<used> all, std::uint32_t burst, duration period) {
  std::sort(all.begin(), all.end(), [](const used& a, const used& b) { return a.at < b.at; });
  for (std::size_t a = 0; a < all.size(); ++a) {
    std::int64_t permits = 0;
    for (std::size_t b = a; b < all.size(); ++b) {
      permits += all[b].permits;
      const std::int64_t most = burst + (all[b].at - all[a].at) / period;
      if (permits > most) {
        CAPTURE(a, b, all[a].at.time_since_epoch().count(), all[b].at.time_since_epoch().count());
        REQUIRE(permits <= most);
      }
    }
  }
}
}  // namespace

TEST_CASE("a burst, then one each period", "[rate_limiter]") {
  rate_limiter limiter(each_ms(5));
  CHECK(limiter.snapshot(start).available == 5);
  CHECK(drain(limiter, start) == 5);
  CHECK(limiter.snapshot(start).available == 0);
  CHECK(limiter.snapshot(start).full_in == 5ms);
  for (int ms = 1; ms <= 100; ++ms) {
    CHECK(drain(limiter, start + ms * 1ms - 1ns) == 0);
    CHECK(drain(limiter, start + ms * 1ms) == 1);
  }
  CHECK(drain(limiter, start + 103ms) == 3);
  CHECK(drain(limiter, start + 24h) == 5);  // more than a burst is not kept
  CHECK(limiter.snapshot(start + 48h).available == 5);
  CHECK(limiter.snapshot(start + 48h).full_in == 0ns);
}

TEST_CASE("G1 in every interval no more is accepted than the burst and what the time earned", "[rate_limiter]") {
  const rate_limiter_options options =
      GENERATE(rate_limiter_options{}, each_ms(1), each_ms(7), rate_limiter_options{7, 1s, 3},
               rate_limiter_options{1, 3s, 20}, rate_limiter_options{1'000'000'000, 1s, 4'000'000});
  const duration period(gcra(options).period());
  rate_limiter limiter(options);
  splitmix64 bits(options.burst);
  std::vector<used> all;
  std::vector<std::pair<rate_reservation, std::int64_t>> held;
  std::int64_t given_back = 0;
  time_point now = start;
  for (int i = 0; i < 3'000; ++i) {
    now += duration(static_cast<std::int64_t>(uniform_up_to(bits, static_cast<std::uint64_t>(2 * period.count()))));
    // One in four brings a reading that is up to ten periods old.
    const time_point mine = i % 4 == 3 ? now - duration(static_cast<std::int64_t>(uniform_up_to(
                                                   bits, static_cast<std::uint64_t>(10 * period.count()))))
                                       : now;
    const std::int64_t cost = i % 3 == 0 ? 1 + static_cast<std::int64_t>(uniform_up_to(bits, options.burst - 1)) : 1;
    const auto price = static_cast<std::uint32_t>(cost);
    if (i % 5 == 4) {
      rate_reservation r = limiter.reserve(mine, 3 * period, price);
      if (!r) continue;
      CHECK(r.starts_at >= mine);
      CHECK(r.starts_at <= mine + 3 * period);
      if (i % 2 == 0 && limiter.give_back(r)) {
        ++given_back;
      } else {
        all.push_back({r.starts_at, cost});
      }
    } else if (limiter.try_take(mine, price)) {
      all.push_back({mine, cost});
    }
  }
  keeps_to_the_rate(all, options.burst, period);
  CHECK(all.size() > 300);
  CHECK(given_back > 10);
}

TEST_CASE("G2 a refusal writes nothing: the limiter lies in a page that cannot be written", "[rate_limiter]") {
  constexpr std::size_t page_bytes = 4096;
  void* const page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  auto* const limiter = ::new (page) rate_limiter(each_ms(3));
  REQUIRE(drain(*limiter, start) == 3);
  REQUIRE(::mprotect(page, page_bytes, PROT_READ) == 0);
  unsigned refused = 0;
  unsigned infeasible = 0;
  unsigned free_of_charge = 0;
  unsigned not_returned = 0;
  for (int i = 0; i < 10'000; ++i) {
    const time_point now = start - 4ms + i * 500ns;  // up to the very moment of the next permit
    refused += limiter->try_take(now).code == errc::rate_limited ? 1U : 0U;
    refused += limiter->admit(now).refusal.code == errc::rate_limited ? 1U : 0U;
    rate_reservation none = limiter->reserve(now, 0ms);
    refused += none.code == errc::rate_limited ? 1U : 0U;
    not_returned += limiter->give_back(none) ? 0U : 1U;
    infeasible += limiter->try_take(now, 4).code == errc::rate_infeasible ? 1U : 0U;
    free_of_charge += limiter->try_take(now, 0) && limiter->reserve(now, 0ms, 0) && limiter->admit(now, 0) ? 1U : 0U;
    refused += limiter->snapshot(now).available == 0 ? 1U : 0U;
  }
  limiter->set_rate(start, each_ms(3));  // the same again
  REQUIRE(::mprotect(page, page_bytes, PROT_READ | PROT_WRITE) == 0);
  CHECK(refused == 40'000);
  CHECK(infeasible == 10'000);
  CHECK(free_of_charge == 10'000);
  CHECK(not_returned == 10'000);
  CHECK(limiter->try_take(start + 1ms));
  CHECK(::munmap(page, page_bytes) == 0);
}

TEST_CASE("G3 a clock that goes back grants nothing, one that jumps ahead grants one burst", "[rate_limiter]") {
  rate_limiter limiter(each_ms(5));
  CHECK(drain(limiter, start) == 5);
  CHECK(drain(limiter, start - 1ns) == 0);
  CHECK(drain(limiter, start - 1h) == 0);
  CHECK(drain(limiter, start) == 0);
  CHECK(drain(limiter, start + 24h) == 5);
  // Back where it was: until it is again as far as it had been, but for the burst.
  CHECK(drain(limiter, start + 1h) == 0);
  CHECK(limiter.try_take(start + 1h).retry_after == 23h + 1ms);
  CHECK(drain(limiter, start + 24h + 2ms) == 2);
  // From one end of time to the other.
  rate_limiter other(each_ms(2));
  CHECK(drain(other, time_point(duration(1 - (std::int64_t{1} << 61U)))) == 2);
  CHECK(drain(other, time_point{}) == 2);
  CHECK(drain(other, time_point(duration((std::int64_t{1} << 61U) - 1))) == 2);
  CHECK(drain(other, time_point{}) == 0);
}

TEST_CASE("no cycle's end lets twice the limit through (resilience4j)", "[rate_limiter]") {
  // A hundred a second, counted in seconds: a hundred at the end of one and a hundred at the beginning of the next.
  rate_limiter limiter({.permits = 100, .per = 1s, .burst = 100});
  for (int second = 1; second <= 5; ++second) {
    const time_point edge = start + second * 10s;
    CHECK(drain(limiter, edge - 1ns) == 100);
    CHECK(drain(limiter, edge) == 0);
    CHECK(drain(limiter, edge + 10ms) == 1);
  }
}

TEST_CASE("readings out of order make no permits (golang/go #56287)", "[rate_limiter]") {
  rate_limiter limiter(each_ms(10));
  CHECK(drain(limiter, start) == 10);
  // Two threads, one of which is always 5 ms behind: each reading is older than the one before, or newer by 5 ms.
  unsigned taken = 0;
  for (int i = 1; i <= 1'000; ++i) {
    taken += drain(limiter, start + i * 10us);
    taken += drain(limiter, start + i * 10us - 5ms);
  }
  CHECK(taken == 10);  // 10 ms have passed, not 5 s
}

TEST_CASE("an hour back adds no hour of tokens (aws-sdk-cpp)", "[rate_limiter]") {
  rate_limiter limiter({.permits = 1, .per = 1min, .burst = 60});
  CHECK(drain(limiter, start + 1h) == 60);
  CHECK(drain(limiter, start) == 0);
  CHECK(drain(limiter, start + 1h) == 0);
  CHECK(drain(limiter, start + 1h + 1min) == 1);
}

TEST_CASE("retry_after is exact: refused a nanosecond before, granted then", "[rate_limiter]") {
  splitmix64 bits(3);
  for (int i = 0; i < 2'000; ++i) {
    const auto burst = static_cast<std::uint32_t>(1 + uniform_up_to(bits, 9));
    rate_limiter limiter(
        {.permits = static_cast<std::uint32_t>(1 + uniform_up_to(bits, 999)), .per = 1s, .burst = burst});
    const auto some = [&] { return static_cast<std::uint32_t>(1 + uniform_up_to(bits, burst - 1)); };
    while (limiter.try_take(start, some())) {
    }
    const time_point now = start + duration(static_cast<std::int64_t>(uniform_up_to(bits, 999'999)));
    const std::uint32_t cost = some();
    const rate_answer refusal = limiter.try_take(now, cost);
    if (refusal) continue;
    REQUIRE(refusal.code == errc::rate_limited);
    REQUIRE(refusal.retry_after > 0ns);
    const error as_error = refusal;
    CHECK(as_error.kind == verdict::rejected);
    CHECK(as_error.retry_after == refusal.retry_after);
    CHECK(is_retriable(as_error));
    // A reservation is told the same, less what it would have waited.
    CHECK(limiter.reserve(now, refusal.retry_after / 3, cost).retry_after ==
          refusal.retry_after - refusal.retry_after / 3);
    REQUIRE_FALSE(limiter.try_take(now + refusal.retry_after - 1ns, cost));
    REQUIRE(limiter.try_take(now + refusal.retry_after, cost));
  }
}

TEST_CASE("a cost is taken whole; above the burst it is infeasible and costs nothing", "[rate_limiter]") {
  rate_limiter limiter(each_ms(5));
  CHECK(limiter.try_take(start, 3));
  const rate_answer refusal = limiter.try_take(start, 3);
  CHECK(refusal.code == errc::rate_limited);
  CHECK(refusal.retry_after == 1ms);
  CHECK(limiter.snapshot(start).available == 2);
  for (const std::uint32_t cost : {6U, 4'000'000'000U}) {
    const rate_answer never = limiter.try_take(start + 24h, cost);
    CHECK(never.code == errc::rate_infeasible);
    CHECK(never.retry_after == 0ns);
    const error as_error = never;
    CHECK(as_error.kind == verdict::rejected);
    CHECK(as_error.not_sent);
    CHECK_FALSE(is_retriable(as_error));
    CHECK(limiter.reserve(start, 24h, cost).code == errc::rate_infeasible);
    CHECK(limiter.admit(start, cost).refusal.code == errc::rate_infeasible);
  }
  CHECK(limiter.try_take(start, 2));
  CHECK(limiter.snapshot(start).available == 0);
  CHECK(limiter.try_take(start + 5ms, 5));
  CHECK_FALSE(limiter.try_take(start + 5ms));
}

TEST_CASE("reservations start a period apart and never past the longest wait", "[rate_limiter]") {
  rate_limiter limiter(each_ms(2));
  std::vector<duration> starts;
  rate_reservation refused;
  for (;;) {
    rate_reservation r = limiter.reserve(start, 4ms);
    if (!r) {
      refused = r;
      break;
    }
    starts.push_back(r.starts_at - start);
  }
  CHECK(starts == std::vector<duration>{0ms, 0ms, 1ms, 2ms, 3ms, 4ms});
  CHECK(refused.code == errc::rate_limited);
  CHECK(refused.retry_after == 1ms);
  CHECK_FALSE(limiter.try_take(start + 4ms));  // who takes at once comes after those who have reserved
  CHECK(limiter.try_take(start + 5ms));
  // A cost of two begins when both are earned.
  rate_limiter paced(each_ms(2));
  CHECK(paced.reserve(start, 1h, 2).starts_at == start);
  CHECK(paced.reserve(start, 1h, 2).starts_at == start + 2ms);
  CHECK(paced.reserve(start, 1h, 1).starts_at == start + 3ms);
  CHECK(paced.reserve(start, 1h, 0).starts_at == start);
  // A wait of more than a day is one of a day, and one that is over is none.
  rate_limiter slow({.permits = 1, .per = 1h, .burst = 1});
  unsigned granted = 0;
  while (granted < 100 && slow.reserve(start, duration::max())) ++granted;
  CHECK(granted == 25);
  CHECK(slow.reserve(start + 24h, duration::min()).code == errc::rate_limited);
  CHECK(slow.reserve(start + 25h, duration::min()).starts_at == start + 25h);
}

TEST_CASE("a reservation that is given back is free again, once", "[rate_limiter]") {
  rate_limiter limiter(each_ms(1));
  rate_reservation now_one = limiter.reserve(start, 1h);
  rate_reservation next = limiter.reserve(start, 1h);
  CHECK(next.starts_at == start + 1ms);
  CHECK(limiter.give_back(next));
  CHECK_FALSE(limiter.give_back(next));
  rate_reservation again = limiter.reserve(start, 1h);
  CHECK(again.starts_at == start + 1ms);
  CHECK_FALSE(limiter.give_back(next));  // it is another's by now
  CHECK(limiter.snapshot(start).full_in == 2ms);
  // Last in, first out.
  CHECK(limiter.give_back(again));
  CHECK(limiter.give_back(now_one));
  CHECK(limiter.snapshot(start).available == 1);
}

TEST_CASE("a reservation given back lets nobody begin beside one that waits (golang x/time/rate, CancelAt)",
          "[rate_limiter]") {
  rate_limiter limiter(each_ms(1));
  std::vector<rate_reservation> all;
  for (int i = 0; i < 4; ++i) all.push_back(limiter.reserve(start, 1h));
  CHECK(all.back().starts_at == start + 3ms);
  CHECK_FALSE(limiter.give_back(all[1]));  // others have reserved after it
  CHECK(limiter.reserve(start, 1h).starts_at == start + 4ms);
}

TEST_CASE("a permit that is given back leaves the limiter as if nobody had asked, for earlier readings too",
          "[rate_limiter]") {
  rate_limiter limiter(each_ms(1));
  rate_reservation r = limiter.reserve(start + 1h, 0ms);
  CHECK(limiter.try_take(start).code == errc::rate_limited);
  CHECK(limiter.give_back(r));
  CHECK(limiter.try_take(start));
}

TEST_CASE("readings 73 years before and after the clock's zero are compared", "[rate_limiter]") {
  const time_point first{-(duration::max() / 4)};
  const time_point last{duration::max() / 4};
  rate_limiter limiter(each_ms(2));
  CHECK(drain(limiter, first) == 2);
  CHECK(limiter.snapshot(first).full_in == 2ms);
  CHECK(drain(limiter, last) == 2);
  const rate_answer early = limiter.try_take(first);
  CHECK(early.code == errc::rate_limited);
  CHECK(early.retry_after == last - first + 1ms);
  CHECK(limiter.reserve(first, 24h).retry_after == last - first + 1ms - 24h);
  CHECK(limiter.snapshot(first).available == 0);
  limiter.set_rate(first, each_ms(3));  // a debt of so long is cut
  CHECK(drain(limiter, first + 1s) == 3);
}

TEST_CASE("what was given back is not more than the burst", "[rate_limiter]") {
  rate_limiter limiter(each_ms(5));
  for (int round = 0; round < 20; ++round) {
    rate_reservation r = limiter.reserve(start, 0ms, 3);
    REQUIRE(r);
    REQUIRE(limiter.give_back(r));
  }
  CHECK(drain(limiter, start) == 5);
  // Nor when time has earned meanwhile what is given back.
  rate_reservation late = limiter.reserve(start + 5ms, 0ms, 5);
  REQUIRE(late);
  CHECK(limiter.give_back(late));
  CHECK(drain(limiter, start + 1h) == 5);
}

TEST_CASE("a permit dropped before use gives back, a kept one does not", "[rate_limiter]") {
  rate_limiter limiter(each_ms(2));
  {
    auto a = limiter.admit(start, 2);
    REQUIRE(a);
    CHECK(limiter.admit(start).refusal.code == errc::rate_limited);
    CHECK(limiter.admit(start).refusal.retry_after == 1ms);
  }
  CHECK(limiter.snapshot(start).available == 2);
  limiter.admit(start).ticket.keep();
  CHECK(limiter.snapshot(start).available == 1);
  {
    auto a = limiter.admit(start);
    rate_limiter::permit moved(std::move(a.ticket));
    CHECK_FALSE(a.ticket);  // NOLINT(bugprone-use-after-move): empty, as it promises
    CHECK(moved);
    rate_limiter::permit to;
    to = std::move(moved);
    CHECK(limiter.snapshot(start).available == 0);
    to = rate_limiter::permit();  // what it held goes back
    CHECK_FALSE(to);
    CHECK(limiter.snapshot(start).available == 1);
  }
  CHECK(limiter.snapshot(start).available == 1);
  // Once others have taken after it, it counts as used.
  {
    const auto a = limiter.admit(start);
    CHECK(limiter.try_take(start + 1ms));
  }
  CHECK(limiter.snapshot(start + 1ms).available == 0);
}

TEST_CASE("a new rate holds for the next call", "[rate_limiter]") {
  rate_limiter limiter(each_ms(10));
  CHECK(drain(limiter, start) == 10);
  limiter.set_rate(start, {.permits = 100, .per = 1s, .burst = 3});
  CHECK(limiter.snapshot(start).period == 10ms);
  CHECK(limiter.snapshot(start).burst == 3);
  // What was owed is owed still, in time, and the nanosecond of a change.
  CHECK(limiter.snapshot(start).full_in == 10ms + 1ns);
  CHECK(drain(limiter, start) == 1);
  CHECK(limiter.try_take(start).retry_after == 1ns);
  CHECK(limiter.try_take(start + 1ns));
  CHECK(drain(limiter, start + 1h) == 3);
  CHECK(limiter.try_take(start + 1h, 4).code == errc::rate_infeasible);
  limiter.set_rate(start + 1h, each_ms(4));
  CHECK(limiter.try_take(start + 2h, 4));
}

TEST_CASE("a faster rate does not wait for what a slow one has given out", "[rate_limiter]") {
  rate_limiter limiter({.permits = 1, .per = 10min, .burst = 100});
  CHECK(drain(limiter, start) == 100);
  CHECK(limiter.try_take(start).retry_after == 10min);
  limiter.set_rate(start, each_ms(5));
  // A nanosecond is the price of a change.
  CHECK(limiter.try_take(start).retry_after == 1ms + 1ns);
  CHECK(drain(limiter, start + 5ms + 1ns) == 5);
  // However often it is changed while the clock stands still.
  for (const std::uint32_t burst : {5U, 4U, 5U, 4U, 5U, 4U, 5U}) limiter.set_rate(start + 1h, each_ms(burst));
  CHECK(limiter.snapshot(start + 1h).full_in <= 7ns);
  CHECK(drain(limiter, start + 1h + 7ns) == 5);
  for (const std::uint32_t burst : {3U, 2U, 3U, 2U, 3U, 2U, 3U}) limiter.set_rate(start + 1h, each_ms(burst));
  CHECK(limiter.snapshot(start + 1h).full_in <= 2ms + 8ns);
}

TEST_CASE("what is out when the rate changes cannot be given back", "[rate_limiter]") {
  rate_limiter limiter(each_ms(2));
  rate_reservation r = limiter.reserve(start, 0ms);
  limiter.set_rate(start, {.permits = 500, .per = 1s, .burst = 2});
  CHECK_FALSE(limiter.give_back(r));
  // Nor where the clock stands still, and a debt that is cut would end where a permit of the old rate did.
  rate_limiter round(each_ms(10));
  rate_reservation first = round.reserve(start, 0ms);
  CHECK(drain(round, start) == 9);
  round.set_rate(start, {.permits = 2'000, .per = 1s, .burst = 2});
  CHECK_FALSE(round.give_back(first));
  // The same rate again is no change.
  rate_reservation other = limiter.reserve(start + 1h, 1h, 2);
  rate_reservation later = limiter.reserve(start + 1h, 1h, 2);
  CHECK(later.starts_at == start + 1h + 4ms);
  limiter.set_rate(start + 1h, {.permits = 500, .per = 1s, .burst = 2});
  CHECK(limiter.give_back(later));
  CHECK(limiter.give_back(other));
}

TEST_CASE("periods are rounded up: three a second are never four", "[rate_limiter]") {
  static_assert(gcra(rate_limiter_options{.permits = 3}).period() == 333'333'334);
  static_assert(gcra(rate_limiter_options{.permits = 1'000'000'000, .burst = 1}).period() == 1);
  static_assert(gcra(rate_limiter_options{.permits = 999'999'999}).period() == 2);
  rate_limiter limiter({.permits = 3, .per = 1s, .burst = 1});
  unsigned taken = 0;
  for (duration at = 0ns; at < 1'000s; at += 1ms) taken += limiter.try_take(start + at) ? 1U : 0U;
  CHECK(taken <= 3'000);
  CHECK(taken >= 2'990);  // asked each millisecond
}

TEST_CASE("a rate lies in one word and comes out as it went in", "[rate_limiter]") {
  for (const std::uint32_t permits : {1U, 20U, 1'000'000'000U}) {
    for (const duration per : {duration(1'000'000'000), duration(1h), duration(24h)}) {
      for (const std::uint32_t burst : {1U, 1'000U, gcra::largest_burst}) {
        const rate_limiter_options o{.permits = permits, .per = per, .burst = burst};
        if (validate(o)) continue;
        const gcra rate(gcra(o).word());
        CHECK(rate.period() == (per.count() + permits - 1) / permits);
        CHECK(rate.burst() == burst);
        CHECK(rate.full() <= gcra::longest_full);
      }
    }
  }
}

TEST_CASE("rate options name what is wrong", "[rate_limiter]") {
  using o = rate_limiter_options;
  static_assert(!validate(o{}));
  static_assert(validate(o{.permits = 0}).field == "permits" && validate(o{.permits = 0}).limit == 1);
  static_assert(validate(o{.permits = 1'000'000'001}).limit == 1'000'000'000);
  static_assert(validate(o{.per = 0ns}).field == "per" && validate(o{.per = -1s}).field == "per");
  static_assert(validate(o{.permits = 100, .per = 99ns}).limit == 100);
  static_assert(validate(o{.per = 24h + 1ns}).field == "per" && validate(o{.per = duration::max()}).field == "per");
  static_assert(validate(o{.per = duration::min()}).relation == "at least");
  // A period is below 2^42 ns, 73 minutes.
  static_assert(!validate(o{.permits = 1, .per = duration(gcra::longest_period), .burst = 19}));
  static_assert(validate(o{.permits = 1, .per = duration(gcra::longest_period + 1)}).field == "per");
  static_assert(validate(o{.permits = 19, .per = 24h, .burst = 1}).limit == 19 * gcra::longest_period);
  static_assert(!validate(o{.permits = 20, .per = 24h, .burst = 20}));
  static_assert(validate(o{.burst = 0}).field == "burst" && validate(o{.burst = 0}).limit == 1);
  static_assert(!validate(o{.permits = 1'000'000, .burst = gcra::largest_burst}));
  static_assert(validate(o{.permits = 1'000'000, .burst = gcra::largest_burst + 1}).limit == 4'194'303);
  // A whole burst is earned within a day.
  static_assert(!validate(o{.permits = 1, .per = 1min, .burst = 1'440}));
  static_assert(validate(o{.permits = 1, .per = 1min, .burst = 1'441}).value == 1'441);
  static_assert(validate(o{.permits = 1, .per = 1min, .burst = 1'441}).limit == 1'440);
  // What is read from a file is refused as what is a constant.
  for (const std::uint32_t permits : {0U, 1'000'000'001U, 4'294'967'295U})
    CHECK(validate(o{.permits = permits}).field == "permits");
}
