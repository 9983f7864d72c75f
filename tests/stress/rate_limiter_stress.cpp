// SPDX-License-Identifier: MIT
// G1 and G4 under threads: what many are granted together is what one would be, to the permit.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/rate_limiter.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};

// All begin when all are there: what a thread does here takes less time than to start one.
template <class Body>
void together(unsigned threads, Body body) {
  atomic<unsigned> ready{0};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      ready.fetch_add(1, mo::acq_rel);
      while (ready.load(mo::acquire) != threads) std::this_thread::yield();
      body(t);
    });
  }
  for (auto& w : workers) w.join();
}
}  // namespace

TEST_CASE("G4 thirty-two threads are granted exactly what one would be", "[rate_limiter]") {
  constexpr unsigned threads = 32;
  constexpr std::int64_t burst = 2'000'000;
  constexpr std::int64_t steps = 500'000;
  rate_limiter limiter({.permits = 1'000, .per = 1s, .burst = burst});
  std::vector<std::int64_t> granted(threads, 0);
  const auto sum = [&] {
    std::int64_t all = 0;
    for (const auto mine : granted) all += mine;
    return all;
  };
  // Each asks until it is refused, while no time passes.
  together(threads, [&](unsigned t) {
    while (limiter.try_take(start)) ++granted[t];
  });
  CHECK(sum() == burst);
  CHECK(limiter.snapshot(start).full_in == burst * 1ms);
  // Each goes through the periods one by one, asking once in each, as far before or behind the others as it comes: of
  // each period one permit is granted, to whoever was there first or, if that one found it gone, to another.
  together(threads, [&](unsigned t) {
    for (std::int64_t i = 1; i <= steps; ++i) granted[t] += limiter.try_take(start + i * 1ms) ? 1 : 0;
  });
  CHECK(sum() == burst + steps);
  CHECK(limiter.snapshot(start).full_in == (burst + steps) * 1ms);
}

TEST_CASE("G1 holds when threads bring clocks that lag behind each other, reserve and give back", "[rate_limiter]") {
  constexpr unsigned threads = 4;
  constexpr int steps = 1'000'000;
  constexpr rate_limiter_options options{.permits = 100'000, .per = 1s, .burst = 20};
  const std::int64_t period = gcra(options).period();
  rate_limiter limiter(options);
  struct use {
    time_point at;
    std::int64_t permits;
  };
  struct thread_uses {
    std::vector<use> kept;
    std::vector<rate_span> owned;
    std::int64_t given_back = 0;
    std::int64_t too_late = 0;
  };
  std::vector<thread_uses> each(threads);
  together(threads, [&](unsigned t) {
    splitmix64 bits(t + 1);
    thread_uses& mine = each[t];
    for (int i = 0; i < steps; ++i) {
      // The threads together ask for several times what time earns; a reading may be 64 us old.
      const auto lag = duration(static_cast<std::int64_t>(uniform_up_to(bits, 64'000)));
      const time_point now = start + i * 10us - lag;
      const auto cost = static_cast<std::uint32_t>(1 + uniform_up_to(bits, 2));
      rate_reservation r = limiter.reserve(now, i % 4 == 0 ? 30us : 0us, cost);
      if (!r) continue;
      if (i % 3 == 0) {
        if (limiter.give_back(r)) {
          ++mine.given_back;
          continue;
        }
        ++mine.too_late;
        mine.kept.push_back({r.starts_at, cost});  // so it counts, although its span is not known any more
        continue;
      }
      mine.kept.push_back({r.starts_at, cost});
      mine.owned.push_back(r.taken);
    }
  });
  std::vector<use> kept;
  std::vector<rate_span> owned;
  std::int64_t given_back = 0;
  for (const auto& mine : each) {
    kept.insert(kept.end(), mine.kept.begin(), mine.kept.end());
    owned.insert(owned.end(), mine.owned.begin(), mine.owned.end());
    given_back += mine.given_back;
  }
  // No two own the same time.
  std::sort(owned.begin(), owned.end(), [](const rate_span& a, const rate_span& b) { return a.from < b.from; });
  std::uint64_t overlaps = 0;
  for (std::size_t i = 1; i < owned.size(); ++i) overlaps += owned[i].from < owned[i - 1].until ? 1U : 0U;
  CHECK(overlaps == 0);
  // permits in [a, b] <= burst + (b - a) / period for all a <= b: one pass, with the best beginning so far.
  std::sort(kept.begin(), kept.end(), [](const use& a, const use& b) { return a.at < b.at; });
  std::int64_t before = 0;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::int64_t worst = 0;
  for (const use& u : kept) {
    const std::int64_t ns = (u.at - start).count();
    least = std::min(least, before * period - ns);
    before += u.permits;
    worst = std::max(worst, before * period - ns - least);
  }
  CHECK(worst <= std::int64_t{options.burst} * period);
  // And it did pay out: all that time earned, but for what was given back too late or found nobody.
  CHECK(before >= steps / 2);
  CHECK(given_back > 0);
}

TEST_CASE("a permit that is dropped before others take is there for them, whoever holds it", "[rate_limiter]") {
  constexpr unsigned threads = 4;
  constexpr int rounds = 1'000'000;
  rate_limiter limiter({.permits = 1'000, .per = 1s, .burst = 4'000'000});
  std::vector<std::int64_t> kept(threads, 0);
  std::vector<std::int64_t> refused(threads, 0);
  together(threads, [&](unsigned t) {
    for (int i = 0; i < rounds; ++i) {
      auto a = limiter.admit(start);
      if (!a) {
        ++refused[t];
      } else if (i % 2 == 0) {
        a.ticket.keep();
        ++kept[t];
      }
    }
  });
  std::int64_t used = 0;
  for (unsigned t = 0; t < threads; ++t) {
    used += kept[t];
    CHECK(refused[t] == 0);
  }
  CHECK(used == std::int64_t{threads} * rounds / 2);
  const std::int64_t owed = limiter.snapshot(start).full_in / 1ms;
  CHECK(owed >= used);
  CHECK(owed < std::int64_t{threads} * rounds);  // some came in time
}

TEST_CASE("the rate changes beside takers: none goes by a rate that is over", "[rate_limiter]") {
  constexpr unsigned threads = 4;  // the first changes the rate
  constexpr int changes = 500'000;
  constexpr std::uint64_t enough = 30'000;
  // A burst of the slow rate is hours, one of the fast rate 5 us.
  constexpr rate_limiter_options slow{.permits = 1, .per = 10min, .burst = 100};
  constexpr rate_limiter_options fast{.permits = 1'000'000, .per = 1s, .burst = 5};
  rate_limiter limiter(slow);
  atomic<std::int64_t> clock{0};
  atomic<bool> over{false};
  std::uint64_t stuck = 0;
  atomic<std::uint64_t> granted{0};
  together(threads, [&](unsigned t) {
    if (t != 0) {
      for (std::uint64_t asked = 0; !over.load(mo::acquire); ++asked) {
        const time_point now = start + duration(clock.load(mo::relaxed));
        rate_reservation r = limiter.reserve(now, 0ns);
        if (r) granted.fetch_add(1, mo::relaxed);
        if (asked % 4 == 0) limiter.give_back(r);
      }
      return;
    }
    test_support::patience patience;
    for (int i = 0; i < changes || (granted.load(mo::relaxed) < enough && patience.wait()); ++i) {
      const time_point now = start + duration(clock.fetch_add(7'000, mo::relaxed));
      limiter.set_rate(now, fast);
      // Those who take meanwhile owe 5 us at most, counted from a reading that may be 7 us newer than this one; a span of
      // the slow rate would be ten minutes.
      if (limiter.snapshot(now).full_in > 13us) ++stuck;
      limiter.set_rate(now, slow);
    }
    over.store(true, mo::release);
  });
  CHECK(stuck == 0);
  CHECK(granted.load(mo::relaxed) >= enough);
}
