// SPDX-License-Identifier: MIT
// R1 under threads: with late clocks the purse is never overdrawn, and where nothing can be lost at its brim the books
// balance to the thousandth of a token.
#include <array>

#include "holdfast/policy/retry_budget.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::duration;
using holdfast::retry_budget;
using holdfast::time_point;

constexpr unsigned threads = 4;
constexpr std::uint64_t rounds = 50'000;
constexpr time_point start{std::chrono::hours(1)};

struct counts {
  alignas(64) std::uint64_t deposits = 0;
  std::uint64_t tokens = 0;
  std::uint64_t granted = 0;
  std::uint64_t denied = 0;
};

template <class Body>
counts run_threads(Body body) {
  std::array<counts, threads> each{};
  std::vector<std::function<void()>> bodies;
  for (unsigned t = 0; t < threads; ++t) bodies.emplace_back([&each, &body, t] { body(t, each[t]); });
  together(bodies);
  counts all;
  for (const auto& c : each) {
    all.deposits += c.deposits;
    all.tokens += c.tokens;
    all.granted += c.granted;
    all.denied += c.denied;
  }
  return all;
}

void take(retry_budget& budget, time_point now, std::uint32_t cost, counts& mine) {
  if (budget.try_take(now, cost)) {
    mine.tokens += cost;
    ++mine.granted;
  } else {
    ++mine.denied;
  }
}

void check_counters(run& r, const retry_budget& budget, const counts& all) {
  r.expect(budget.granted() == all.granted, "granted() is not what callers were granted");
  r.expect(budget.denied() == all.denied, "denied() is not what callers were denied");
  r.did(all.deposits + all.granted + all.denied);
}

void exact_books(run& r) {
  holdfast::splitmix64 random(r.round_seed());
  const holdfast::retry_budget_options options{
      .ratio_permille = 1 + static_cast<std::uint32_t>(uniform_up_to(random, 999)), .min_per_second = 0, .burst = 50};
  retry_budget budget(options);
  if (!budget.try_take(start, options.burst)) r.expect(false, "a full purse did not pay out");
  counts all = run_threads([&](unsigned t, counts& mine) {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      budget.on_first_attempt(start);
      ++mine.deposits;
      take(budget, start, 1, mine);
    }
    if (r.sabotage() && t == 0) ++mine.tokens;
  });
  // Every deposit is followed by a take, so the purse never fills up.
  r.expect(all.deposits * options.ratio_permille == all.tokens * 1000 + budget.balance_milli(start),
           "deposits are not takes and balance");
  ++all.granted;
  check_counters(r, budget, all);
}

void late_clocks(run& r) {
  holdfast::splitmix64 random(r.round_seed());
  const holdfast::retry_budget_options options{
      .ratio_permille = static_cast<std::uint32_t>(uniform_up_to(random, 300)),
      .min_per_second = 1 + static_cast<std::uint32_t>(uniform_up_to(random, 999)),
      .burst = 1 + static_cast<std::uint32_t>(uniform_up_to(random, 99))};
  retry_budget budget(options);
  const std::uint64_t seed = random();
  const counts all = run_threads([&](unsigned t, counts& mine) {
    holdfast::splitmix64 mine_only(seed + t);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      // A millisecond each ten steps, less up to 63 for those that have read the clock a while ago.
      const auto lag = static_cast<std::int64_t>(uniform_up_to(mine_only, 63));
      const time_point now = start + std::chrono::milliseconds(static_cast<std::int64_t>(i / 10) - lag);
      budget.on_first_attempt(now);
      ++mine.deposits;
      take(budget, now, 1 + static_cast<std::uint32_t>(i % 2), mine);
    }
    if (r.sabotage() && t == 0) mine.tokens += 1'000'000;
  });
  // The first reading may stand 64 ms before `start`; the purse is then full and earns nothing.
  const std::uint64_t earned =
      options.burst * 1000ULL + all.deposits * options.ratio_permille + options.min_per_second * (rounds / 10 + 64);
  r.expect(all.tokens * 1000 <= earned, "R1: more was taken than the purse held, was given and earned");
  r.expect(budget.balance_milli(start + std::chrono::hours(1)) <= options.burst * 1000, "the purse holds too much");
  check_counters(r, budget, all);
}

}  // namespace

void play_budget(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    if (kind % 2 == 0) {
      exact_books(r);
    } else {
      late_clocks(r);
    }
  }
}

}  // namespace soak
