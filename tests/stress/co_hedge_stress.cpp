// SPDX-License-Identifier: MIT
// Hedged calls on two loops, whose attempts go on and are stopped on the other thread, and a thread that asks their callers to
// stop at any moment: each call ends once, after all of its attempts, and all that it held comes back.
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/co_hedge.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"
#include "support/two_loops.hpp"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::on_two_loops;

struct policies {
  bulkhead room{bulkhead_options{.limit = 12}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 20, .open_base = 2ms, .open_max = 4ms}};
  retry_budget budget{retry_budget_options{.ratio_permille = 1000, .burst = 1000}};
  // Of all calls together.
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
  std::uint64_t by_a_hedge = 0;
  std::uint64_t without = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t early = 0;  // ended before its attempts had
};

// What the attempts of one call write; not atomic: the end of each comes before the end of the call.
struct marks {
  std::array<int, 3> ended{};
};

task<outcome<int>> ask(policies& with_all, run_loop& here, run_loop& elsewhere, stoppable_attempt a, std::uint64_t bits,
                       marks& on) {
  with_all.begun.fetch_add(1, mo::relaxed);  // counter:
  bool in_time = true;
  // Half of them sleep on the other thread, which is where their stop is heard, and where they end.
  if (bits % 8 != 0) {
    run_loop& where = bits % 2 == 0 ? here : elsewhere;
    in_time = co_await co_sleep(where, a.begun + std::chrono::microseconds(bits / 8 % 200), a.stop);
  }
  on.ended[a.number - 1U] = 1;
  if (!in_time) co_return errc::cancelled;
  if (bits / 2048 % 4 == 0) co_return errc::attempt_timeout;
  co_return static_cast<int>(a.number);
}

task<> caller(policies& with_all, run_loop& mine, run_loop& elsewhere, std::stop_token stop, std::uint64_t seed,
              int calls, ends& seen) {
  frame_arena<4096> room;
  splitmix64 bits(seed);
  const guard protects{.room = &with_all.room, .breaker = &with_all.judge, .budget = &with_all.budget};
  const hedge_policy how{.options = {.max_hedges = 2, .delay = 20us}};
  for (int i = 0; i < calls; ++i) {
    marks on;
    std::uint16_t most = 0;
    const auto op = [&](const stoppable_attempt& a) {
      most = a.number;
      return ask(with_all, mine, elsewhere, a, bits(), on);
    };
    const outcome<int> got = co_await co_hedge<2>(room, protects, how, {.safety = idempotency::idempotent}, mine, op,
                                                  stop, steady_clock{}, witness{&with_all});
    for (std::uint16_t n = 0; n < most; ++n) seen.early += on.ended[n] == 0 ? 1U : 0U;
    if (got.ok()) {
      ++seen.answered;
      seen.by_a_hedge += *got > 1 ? 1U : 0U;
    } else {
      ++seen.without;
      seen.cancelled += got.error().code == errc::cancelled ? 1U : 0U;
    }
    if (room.in_use() != 0 || room.spilled() != 0) ++seen.early;
  }
}

}  // namespace

TEST_CASE("H1, H4 hedged calls whose attempts end on two threads end once each, after all of them",
          "[stress][co_hedge]") {
  constexpr int calls = 60;
  constexpr std::size_t callers = 4;
  ends over_all;
  for (std::uint64_t round = 0; round < 30; ++round) {
    const auto shared = std::make_unique<policies>();
    std::array<ends, 2 * callers> seen{};
    on_two_loops(callers, std::chrono::microseconds(200 * (round % 20)),
                 [&](std::size_t number, run_loop& mine, run_loop& elsewhere, std::stop_token stop) {
                   return caller(*shared, mine, elsewhere, std::move(stop), round * 16 + number, calls, seen[number]);
                 });
    std::uint64_t without = 0;
    for (const ends& one : seen) {
      without += one.without;
      over_all.answered += one.answered;
      over_all.by_a_hedge += one.by_a_hedge;
      over_all.cancelled += one.cancelled;
      over_all.early += one.early;
    }
    // counter: both loops have ended
    CHECK(shared->attempts.load(mo::relaxed) == shared->begun.load(mo::relaxed));
    CHECK(shared->given_up.load(mo::relaxed) == without);  // counter:
    CHECK(shared->room.in_flight() == 0);
    const auto judged = shared->judge.snapshot(steady_clock::now());
    CHECK((judged.state != breaker_state::half_open || judged.probes_issued == judged.probes_ok));
  }
  CHECK(over_all.early == 0);
  CHECK(over_all.answered > 0);
  CHECK(over_all.by_a_hedge > 0);
  CHECK(over_all.cancelled > 0);
}
