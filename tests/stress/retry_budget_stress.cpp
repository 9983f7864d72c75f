// SPDX-License-Identifier: MIT
// R1 under threads: what is taken equals what the purse held and was given, to the token.
#include <algorithm>
#include <thread>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/exec/call.hpp"
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

TEST_CASE("R5 four threads at an empty purse: no two notices in one cool-down, and every denial is told or counted",
          "[retry_budget]") {
  constexpr unsigned threads = 4;
  constexpr int steps = 40'000;  // a tenth of a millisecond each
  constexpr int lag = 37;        // steps between one thread's clock and the next one's
  constexpr duration every = 100ms;
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 1, .notice_every = every});
  constexpr time_point start{1h};
  REQUIRE(budget.try_take(start));
  struct notice {
    time_point at;
    std::uint32_t held_back;
  };
  std::vector<std::vector<notice>> each(threads);
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (int i = 0; i < steps; ++i) {
        const time_point now = start + (i - static_cast<int>(t) * lag) * 100us;
        const budget_answer answer = budget.try_take(now);
        if (answer.gives_notice) each[t].push_back({now, answer.held_back});
      }
    });
  }
  for (auto& w : workers) w.join();
  std::vector<notice> all;
  for (const auto& mine : each) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end(), [](const notice& a, const notice& b) { return a.at < b.at; });
  std::uint64_t told = all.size();
  for (std::size_t i = 0; i < all.size(); ++i) {
    told += all[i].held_back;
    if (i != 0) CHECK(all[i].at - all[i - 1].at >= every);
  }
  // The rest comes with the next one.
  const budget_answer last = budget.try_take(start + 1h);
  REQUIRE(last.gives_notice);
  CHECK(told + 1 + last.held_back == budget.denied());
  CHECK(budget.denied() == std::uint64_t{threads} * steps + 1);
  CHECK(all.size() >= 35);  // about one in each of forty cool-downs, a tick late each
}

TEST_CASE("R1 four threads of calls, cancelled, dropped and turned away: the budget pays for what is sent",
          "[retry_budget]") {
  constexpr unsigned threads = 4;
  constexpr unsigned rounds = 10'000;
  constexpr retry_budget_options options{.ratio_permille = 0, .min_per_second = 0, .burst = 67'000};
  retry_budget budget(options);
  bulkhead room({.limit = 2});  // narrower than the threads: some are turned away
  const guard protects{
      .room = &room,
      .budget = &budget,
      .retry = {.max_attempts = 4, .backoff = {.kind = backoff_kind::constant, .base = 1ms, .cap = 1ms}}};
  constexpr time_point start{1h};
  struct alignas(64) books {
    std::uint64_t sent = 0;     // retries that reached the callee
    std::uint64_t unsent = 0;   // retries that were paid for and then given up
    std::uint64_t refused = 0;  // turned away by the room
  };
  std::vector<books> each(threads);
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      books mine;
      splitmix64 bits(t);
      for (unsigned i = 0; i < rounds; ++i) {
        no_observer nobody;
        call_machine machine(protects, {.safety = idempotency::idempotent}, nobody);
        auto step = machine.start(start);
        while (step != call_step::done) {
          const std::uint64_t choice = bits() % 8;
          if (step == call_step::attempt) {
            if (machine.attempts() > 1) ++mine.sent;
            const bool fails = choice < 5;
            const error why(errc::attempt_timeout);
            step = machine.finish(fails ? verdict::transient : verdict::ok, error(why.code, verdict::transient), start);
          } else if (choice == 0) {
            if (machine.attempts() != 0) ++mine.unsent;
            machine.cancel(start);
            step = call_step::done;
          } else if (choice == 1) {
            if (machine.attempts() != 0) ++mine.unsent;
            break;  // dropped
          } else {
            step = machine.resume(machine.wake_at());
            if (step != call_step::attempt) ++mine.refused;
          }
        }
      }
      each[t] = mine;
    });
  }
  for (auto& w : workers) w.join();
  books all;
  for (const auto& b : each) all = {all.sent + b.sent, all.unsent + b.unsent, all.refused + b.refused};
  REQUIRE(all.sent < options.burst);  // the purse was never full again, nor empty
  CHECK(budget.denied() == 0);
  CHECK(budget.balance_milli(start) == 1000 * (options.burst - all.sent));
  CHECK(budget.granted() >= all.sent + all.unsent);
  CHECK(all.unsent > 0);
  CHECK(room.in_flight() == 0);
}
