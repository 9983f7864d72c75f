// SPDX-License-Identifier: MIT
// G1 and G4 under threads: while no time passes the books balance to the permit, and with late clocks no interval has more
// than the burst and what it earned.
#include <algorithm>
#include <array>
#include <limits>

#include "holdfast/policy/rate_limiter.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::duration;
using holdfast::gcra;
using holdfast::rate_limiter;
using holdfast::rate_limiter_options;
using holdfast::time_point;

constexpr unsigned threads = 4;
constexpr std::uint64_t rounds = 20'000;
constexpr time_point start{std::chrono::hours(1)};

struct use {
  std::int64_t at;
  std::int64_t permits;
};
struct alignas(64) thread_books {
  std::int64_t permits = 0;
  std::int64_t given_back = 0;
  std::uint64_t asked = 0;
  std::vector<use> uses;
};

template <class Body>
std::array<thread_books, threads> run_threads(Body body) {
  std::array<thread_books, threads> each;
  std::vector<std::function<void()>> bodies;
  for (unsigned t = 0; t < threads; ++t) bodies.emplace_back([&each, &body, t] { body(t, each[t]); });
  together(bodies);
  return each;
}

// No time passes: what is owed is what was taken and not given back, and the burst is given out to the last permit.
void exact_books(run& r) {
  holdfast::splitmix64 random(r.round_seed());
  const rate_limiter_options options{.permits = 1,
                                     .per = std::chrono::milliseconds(1),
                                     .burst = 1 + static_cast<std::uint32_t>(uniform_up_to(random, 60'000))};
  rate_limiter limiter(options);
  const std::uint64_t seed = random();
  const auto each = run_threads([&](unsigned t, thread_books& mine) {
    holdfast::splitmix64 mine_only(seed + t);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      const auto cost = static_cast<std::uint32_t>(1 + uniform_up_to(mine_only, std::min(options.burst, 3U) - 1));
      holdfast::rate_reservation taken = limiter.reserve(start, {}, cost);
      ++mine.asked;
      if (!taken) continue;
      mine.permits += cost;
      if (i % 4 == 0 && limiter.give_back(taken)) {
        mine.permits -= cost;
        ++mine.given_back;
      }
    }
    if (r.sabotage() && t == 0) ++mine.permits;
  });
  std::int64_t permits = 0;
  std::uint64_t asked = 0;
  for (const auto& mine : each) {
    permits += mine.permits;
    asked += mine.asked;
  }
  const auto owed = limiter.snapshot(start).full_in / options.per;
  r.expect(owed == permits, "what is owed is not what was taken and kept");
  r.expect(owed <= options.burst, "more than the burst was granted");
  std::int64_t rest = 0;
  while (limiter.try_take(start)) ++rest;
  r.expect(owed + rest == options.burst, "the burst was not granted to the last permit");
  r.did(asked);
}

void late_clocks(run& r) {
  holdfast::splitmix64 random(r.round_seed());
  const rate_limiter_options options{.permits = 1 + static_cast<std::uint32_t>(uniform_up_to(random, 999'999)),
                                     .per = std::chrono::seconds(1),
                                     .burst = 1 + static_cast<std::uint32_t>(uniform_up_to(random, 99))};
  const std::int64_t period = gcra(options).period();
  rate_limiter limiter(options);
  const std::uint64_t seed = random();
  const auto each = run_threads([&](unsigned t, thread_books& mine) {
    holdfast::splitmix64 mine_only(seed + t);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      // A third of a period a step, less up to twenty periods for those that have read the clock a while ago.
      const auto lag = static_cast<std::int64_t>(uniform_up_to(mine_only, static_cast<std::uint64_t>(20 * period)));
      const time_point now = start + duration(static_cast<std::int64_t>(i) * period / 3 - lag);
      const auto cost = static_cast<std::uint32_t>(1 + uniform_up_to(mine_only, std::min(options.burst, 3U) - 1));
      holdfast::rate_reservation taken = limiter.reserve(now, duration(i % 2 == 0 ? 0 : 5 * period), cost);
      ++mine.asked;
      if (!taken || (i % 8 == 0 && limiter.give_back(taken))) continue;
      mine.uses.push_back({(taken.starts_at - start).count(), cost});
    }
    if (r.sabotage() && t == 0) mine.uses.push_back({0, options.burst + 1});
  });
  std::vector<use> uses;
  std::uint64_t asked = 0;
  for (const auto& mine : each) {
    uses.insert(uses.end(), mine.uses.begin(), mine.uses.end());
    asked += mine.asked;
  }
  std::sort(uses.begin(), uses.end(), [](const use& a, const use& b) { return a.at < b.at; });
  std::int64_t before = 0;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::int64_t worst = 0;
  for (const use& u : uses) {
    least = std::min(least, before * period - u.at);
    before += u.permits;
    worst = std::max(worst, before * period - u.at - least);
  }
  r.expect(worst <= options.burst * period, "G1: an interval has more than the burst and what it earned");
  r.expect(before >= static_cast<std::int64_t>(rounds) / 10, "far less was granted than time earned");
  r.did(asked);
}

}  // namespace

void play_rate(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    if (kind % 2 == 0) {
      exact_books(r);
    } else {
      late_clocks(r);
    }
  }
}

}  // namespace soak
