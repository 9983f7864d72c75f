// SPDX-License-Identifier: MIT
// R1 under threads: what is taken equals what the purse held and was given, to the token.
#include <thread>
#include <vector>

#include "holdfast/policy/retry_budget.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("R1 four threads never overdraw the purse, and the counters are exact", "[retry_budget]") {
  constexpr unsigned threads = 4;
  constexpr unsigned rounds = 100'000;
  constexpr retry_budget_options options{.ratio_permille = 100, .min_per_second = 0, .burst = 50};
  retry_budget budget(options);
  constexpr time_point now{1h};
  std::vector<std::uint64_t> taken(threads, 0);
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      std::uint64_t mine = 0;
      for (unsigned i = 0; i < rounds; ++i) {
        budget.on_first_attempt(now);
        if (budget.try_take(now)) ++mine;
      }
      taken[t] = mine;
    });
  }
  for (auto& w : workers) w.join();
  std::uint64_t total = 0;
  for (const auto mine : taken) total += mine;
  CHECK(total == budget.granted());
  CHECK(budget.granted() + budget.denied() == std::uint64_t{threads} * rounds);
  // Drained all the time, so no deposit is lost at the brim: the books balance to the milli-token, but for what the few
  // deposits before the first take found full.
  const std::uint64_t in = options.burst * 1000ULL + std::uint64_t{threads} * rounds * options.ratio_permille;
  const std::uint64_t out = total * 1000 + budget.balance_milli(now);
  CHECK(out <= in);
  CHECK(in - out <= std::uint64_t{threads} * rounds * options.ratio_permille / 10);
}

TEST_CASE("R1 holds when threads bring clocks that lag behind each other", "[retry_budget]") {
  constexpr unsigned threads = 4;
  constexpr int steps = 40'000;  // a millisecond each
  constexpr int lag = 7;         // milliseconds between one thread's clock and the next one's
  constexpr retry_budget_options options{.ratio_permille = 0, .min_per_second = 500, .burst = 20};
  retry_budget budget(options);
  constexpr time_point start{1h};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (int i = 0; i < steps; ++i) {
        const time_point now = start + (i - static_cast<int>(t) * lag) * 1ms;
        budget.on_first_attempt(now);
        static_cast<void>(budget.try_take(now));
        if (i % 3 == 0) static_cast<void>(budget.try_take(now, 2));
      }
    });
  }
  for (auto& w : workers) w.join();
  // Tokens, not takes: a take of two is two. Every take costs at most two.
  // The interval begins at the oldest reading, which may be the first to come.
  constexpr std::uint64_t milliseconds = steps + (threads - 1) * lag;
  const std::uint64_t earned_milli = options.burst * 1000ULL + options.min_per_second * milliseconds;
  CHECK(budget.granted() * 1000 <= earned_milli);
  CHECK(budget.granted() * 2000 + options.burst * 1000ULL >= earned_milli / 2);  // and it did pay out
}
