// SPDX-License-Identifier: MIT
// A hedged call allocates nothing, whichever attempt answers, none, or when it is refused or stopped: the frames of its attempts
// lie in the arena of the one that awaits it, and so do their stops.
#include <array>
#include <cstdint>
#include <memory>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/co_hedge.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"
#include "support/test_clock.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;
using test_support::test_clock;

namespace {

struct tally {
  int calls = 0;
  int answered = 0;
  int answered_by_a_hedge = 0;
  int refused = 0;
  int failed = 0;
  int cancelled = 0;
  int stopped = 0;                               // attempts
  inplace_stop_source* to_be_stopped = nullptr;  // soon, by the one who drives the loop
  std::uint64_t spilled = 0;
};

// An attempt's own coroutine lies in an arena of its number.
basic_task<outcome<int>, arena_frame> ask(arena& /*room*/, run_loop& loop, stoppable_attempt a, duration takes,
                                          bool outage, tally& seen) {
  const bool in_time = co_await co_sleep(loop, a.begun + takes, a.stop);
  if (!in_time) {
    ++seen.stopped;
    co_return errc::cancelled;
  }
  if (outage) co_return make_error(http_error(503));
  co_return static_cast<int>(a.number);
}

task<> many_calls(run_loop& loop, manual_clock& clock, latency_sketch& usual, tally& seen) {
  frame_arena<4096> room;
  std::array<frame_arena<512>, 3> inner;
  splitmix64 bits(3);
  bulkhead places({.limit = 2});
  circuit_breaker judge({.consecutive_failures = 8, .probes = 1, .open_base = 5ms, .open_max = 10ms});
  retry_budget budget({.ratio_permille = 500, .min_per_second = 100, .burst = 20});
  const guard protects{
      .total_timeout = 30ms, .room = &places, .breaker = &judge, .budget = &budget, .attempt_timeout = 5ms};
  const hedge_policy how{.options = {.max_hedges = 2, .permille = 700, .least = 300us, .most = 1ms}, .usual = &usual};
  for (int i = 0; i < 3'000; ++i) {
    const bool outage = i / 20 % 4 == 3;
    inplace_stop_source stop;
    if (i % 7 == 0) seen.to_be_stopped = &stop;
    const auto op = [&](const stoppable_attempt& a) {
      return ask(inner[a.number - 1U], loop, a, duration(bits() % 3 == 0 ? 4ms : 500us), outage, seen);
    };
    const outcome<int> got = co_await co_hedge<2>(room, protects, how, {.safety = idempotency::idempotent}, loop, op,
                                                  stop.get_token(), test_clock{&clock});
    seen.to_be_stopped = nullptr;
    ++seen.calls;
    if (got.ok()) {
      ++seen.answered;
      seen.answered_by_a_hedge += *got > 1 ? 1 : 0;
    } else if (got.error().code == errc::cancelled) {
      ++seen.cancelled;
    } else if (got.error().kind == verdict::rejected) {
      ++seen.refused;
    } else {
      ++seen.failed;
    }
    static_cast<void>(co_await co_sleep(loop, clock.now() + 200us));
  }
  seen.spilled = room.spilled();
  for (const arena& one : inner) seen.spilled += one.spilled();
}

}  // namespace

TEST_CASE("a coroutine's hedged calls allocate nothing, however they end", "[alloc][co_hedge]") {
  seed_shared_random(7);
  manual_clock clock;
  run_loop loop;
  tally seen;
  mark ended;
  const auto usual = std::make_unique<latency_sketch>(latency_sketch_options{});
  spawn(loop, many_calls(loop, clock, *usual, seen), ended);
  CHECK(allocations_in([&] {
          for (int most = 500'000; !ended.was_run() && most != 0; --most) {
            while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
            }
            clock.advance(100us);
            // Before the first answer, or while losers end.
            if (seen.to_be_stopped != nullptr && most % 3 == 0) seen.to_be_stopped->request_stop();
          }
        }) == 0);
  REQUIRE(ended.was_run());
  CHECK(seen.calls == 3'000);
  CHECK(seen.spilled == 0);
  CHECK(seen.answered > 500);
  CHECK(seen.answered_by_a_hedge > 100);
  CHECK(seen.stopped > 300);
  CHECK(seen.refused > 50);
  CHECK(seen.failed > 20);
  CHECK(seen.cancelled > 50);
}
