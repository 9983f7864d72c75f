// SPDX-License-Identifier: MIT
// Circuit breakers allocate nothing, in either form and by key: not in any state, and not in a thread's first call either.
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "holdfast/policy/breaker_table.hpp"
#include "holdfast/policy/circuit_breaker.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;

TEST_CASE("a breaker calls, opens, refuses, probes, closes and is forced without an allocation", "[alloc]") {
  circuit_breaker breaker({.consecutive_failures = 8, .slow_call = 100ms, .slow_permille = 900, .probes = 2});
  time_point now{1h};
  int refused = 0;
  CHECK(allocations_in([&] {
          for (int round = 0; round < 20; ++round) {
            for (int i = 0; i < 100; ++i, now += 11ms) {
              auto a = breaker.admit(now);
              if (!a) {
                const error why = a.refusal;
                refused += why.kind == verdict::rejected ? 1 : 0;
                continue;
              }
              if (i % 9 == 0) continue;  // abandoned
              breaker.report(std::move(a.ticket), round % 2 == 0 ? verdict::ok : verdict::timeout, now, i % 7 * 20ms);
            }
            static_cast<void>(breaker.snapshot(now));
            if (round % 5 == 4) {
              breaker.isolate(now);
              breaker.release(now);
            }
          }
        }) == 0);
  CHECK(refused > 100);
  CHECK(breaker.snapshot(now).opens > 2);
}

TEST_CASE("a breaker that goes by the last calls counts, opens, closes and gets other options without an allocation",
          "[alloc]") {
  circuit_breaker breaker({.failure_permille = 0,
                           .slow_call = 100ms,
                           .last_calls = 1000,
                           .last_failure_permille = 600,
                           .last_slow_permille = 900,
                           .last_min_calls = 50,
                           .probes = 2});
  time_point now{1h};
  int changed = 0;
  CHECK(allocations_in([&] {
          for (int i = 0; i < 20'000; ++i, now += 3ms) {
            auto a = breaker.admit(now);
            if (!a) continue;
            const auto v = i / 1000 % 3 == 2 ? verdict::timeout : verdict::ok;
            breaker.report(std::move(a.ticket), v, now, i % 7 * 20ms);
            if (i % 100 == 0) static_cast<void>(breaker.snapshot(now));
            if (i % 500 == 0) {
              circuit_breaker_options o = breaker.options();
              o.window += i % 1000 == 0 ? 1s : -1s;
              changed += breaker.reconfigure(o, now) ? 1 : 0;
            }
          }
        }) == 0);
  CHECK(breaker.snapshot(now).opens > 2);
  CHECK(breaker.snapshot(now).closes > 2);
  CHECK(changed > 10);
}

TEST_CASE("a thread's first call through a breaker does not allocate", "[alloc]") {
  circuit_breaker breaker;
  std::uint64_t allocated = 1;
  std::thread([&] {
    allocated = allocations_in([&] {
      auto a = breaker.admit(time_point(1h));
      if (a) breaker.report(std::move(a.ticket), verdict::ok, time_point(1h));
    });
  }).join();
  CHECK(allocated == 0);
  CHECK(breaker.snapshot(time_point(1h)).window_ok == 1);
}

TEST_CASE("a table of breakers makes, finds, evicts, opens, overflows and forgets without an allocation", "[alloc]") {
  const auto memory = std::make_unique<breaker_table_memory<64>>();
  std::uint64_t refused = 0;
  std::uint64_t overflowed = 0;
  std::uint64_t evicted = 0;
  CHECK(allocations_in([&] {
          breaker_table table(*memory, {.breaker = {.rules = {.consecutive_failures = 3, .min_calls = 5}}});
          time_point now{1h};
          for (std::uint64_t i = 0; i < 20'000; ++i, now += i % 5000 == 0 ? duration(1min) : duration(1ms)) {
            auto a = i % 2 == 0 ? table.admit(table.key(i % 131), now) : table.admit("a host by its name:443", now);
            overflowed += a.overflowed ? 1U : 0U;
            if (!a) {
              const error why = a.refusal;
              refused += why.kind == verdict::rejected ? 1U : 0U;
              continue;
            }
            table.report(std::move(a.ticket), i % 131 < 40 ? verdict::timeout : verdict::ok, now, i % 7 * 20ms);
            if (i % 1000 == 0) {
              table.isolate(table.key(i % 131), now);
              table.release(table.key(i % 131), now);
              table.forget(table.key(i % 131));
              table.visit(now, [&](const breaker_table::entry& e) { refused += e.breaker.level; });
            }
          }
          evicted = table.totals().evicted;
        }) == 0);
  CHECK(overflowed > 0);
  CHECK(refused > 0);
  CHECK(evicted > 0);
}
