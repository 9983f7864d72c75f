// SPDX-License-Identifier: MIT
// Coroutines that call and sleep on loops of their own, operations that resume them on another thread, and a thread that asks
// them to stop at any moment: each call ends once, and all that it held comes back.
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/co_pipeline.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"
#include "support/on_thread_of.hpp"
#include "support/two_loops.hpp"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::on_thread_of;
using test_support::on_two_loops;

struct policies {
  bulkhead room{bulkhead_options{.limit = 3, .queue = 2}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 20, .open_base = 2ms, .open_max = 4ms}};
  retry_budget budget{retry_budget_options{.ratio_permille = 1000, .burst = 1000}};
  // Of all calls together: what was begun, what of it has ended, and which calls have given up.
  atomic<std::uint64_t> begun{0};
  atomic<std::uint64_t> attempts{0};
  atomic<std::uint64_t> given_up{0};
};

struct witness {
  policies* of;
  void on_attempt(const guard&, const attempt&, verdict, duration) const noexcept {
    of->attempts.fetch_add(1, mo::relaxed);  // counter:
  }
  void on_give_up(const guard&, const error&) const noexcept { of->given_up.fetch_add(1, mo::relaxed); }  // counter:
  static void on_refusal(const guard&, const error&) noexcept {}
  static void on_transition(const guard&, const breaker_transition&) noexcept {}
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}
};

struct ends {
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t refused = 0;
};

task<outcome<int>> ask(run_loop& elsewhere, std::uint64_t bits) {
  if (bits % 2 == 0) co_await on_thread_of(elsewhere);
  if (bits % 3 == 0) co_return errc::attempt_timeout;
  co_return 1;
}

task<> caller(policies& with_all, run_loop& mine, run_loop& elsewhere, std::stop_token stop, std::uint64_t seed,
              int calls, ends& seen) {
  frame_arena<2048> room;
  splitmix64 bits(seed);
  const pipeline pipe(
      "x", with::retry({.max_attempts = 4, .backoff = {.base = 20us, .cap = 100us}}, with_all.budget, with::idempotent),
      with::bulkhead(with_all.room, 50us), with::breaker(with_all.judge));
  for (int i = 0; i < calls; ++i) {
    const auto op = [&](const attempt&) {
      with_all.begun.fetch_add(1, mo::relaxed);  // counter:
      return ask(elsewhere, bits());
    };
    const outcome<int> got = co_await co_call(room, pipe, {}, mine, op, stop, steady_clock{}, witness{&with_all});
    if (got.ok()) {
      ++seen.answered;
    } else if (got.error().code == errc::cancelled) {
      ++seen.cancelled;
    } else if (got.error().kind == verdict::rejected) {
      ++seen.refused;
    } else {
      ++seen.failed;
    }
    static_cast<void>(co_await co_sleep(mine, steady_clock::now() + 1us, stop));
  }
}

}  // namespace

TEST_CASE("calls of coroutines on two loops end once each, stopped at any moment or not", "[stress][co_call]") {
  constexpr int calls = 60;
  constexpr std::size_t callers = 4;
  ends over_all;
  std::uint64_t served = 0;
  for (std::uint64_t round = 0; round < 30; ++round) {
    const auto shared = std::make_unique<policies>();
    std::array<ends, 2 * callers> seen{};
    on_two_loops(callers, std::chrono::microseconds(100 * (round % 20)),
                 [&](std::size_t number, run_loop& mine, run_loop& elsewhere, std::stop_token stop) {
                   return caller(*shared, mine, elsewhere, std::move(stop), round * 16 + number, calls, seen[number]);
                 });
    std::uint64_t without_answer = 0;
    for (const ends& one : seen) {
      without_answer += one.failed + one.cancelled + one.refused;
      over_all.answered += one.answered;
      over_all.failed += one.failed;
      over_all.cancelled += one.cancelled;
      over_all.refused += one.refused;
    }
    // counter: both loops have ended
    CHECK(shared->attempts.load(mo::relaxed) == shared->begun.load(mo::relaxed));
    CHECK(shared->given_up.load(mo::relaxed) == without_answer);  // counter:
    CHECK(shared->room.in_flight() == 0);
    CHECK(shared->room.waiting() == 0);
    served += shared->room.snapshot().served;
    const auto judged = shared->judge.snapshot(steady_clock::now());
    CHECK((judged.state != breaker_state::half_open || judged.probes_issued == judged.probes_ok));
  }
  CHECK(over_all.answered > 0);
  CHECK(over_all.cancelled > 0);
  CHECK(over_all.refused > 0);
  CHECK(served > 0);
}
