// SPDX-License-Identifier: MIT
// A coroutine's call allocates nothing, answered, repeated after a wait, refused, stopped or answered by a tier: its frames lie
// in the arena of the one that awaits it.
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/co_pipeline.hpp"
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
  int by_tier = 0;
  int refused = 0;
  int cancelled = 0;
  std::stop_source* to_be_stopped = nullptr;  // soon, by the one who drives the loop
  std::uint64_t spilled = 0;
};

// An operation's own coroutine can lie in an arena, too.
basic_task<outcome<int>, arena_frame> ask(arena& /*room*/, run_loop& loop, time_point until, bool outage) {
  static_cast<void>(co_await co_sleep(loop, until));
  if (outage) co_return make_error(http_error(503));
  co_return 2;
}

task<> many_calls(run_loop& loop, manual_clock& clock, std::vector<std::stop_source>& stops, tally& seen) {
  frame_arena<2048> room;
  frame_arena<512> inner;
  bulkhead places({.limit = 1});
  circuit_breaker judge({.consecutive_failures = 4, .probes = 1, .open_base = 5ms, .open_max = 10ms});
  retry_budget budget({.ratio_permille = 200, .min_per_second = 10, .burst = 20});
  const pipeline pipe("orders",
                      with::fallback(with::tier("cache",
                                                [&](const error& why, const call_context&) -> aged<int> {
                                                  seen.refused += why.kind == verdict::rejected ? 1 : 0;
                                                  ++seen.by_tier;
                                                  return {1, 10s};
                                                })),
                      with::deadline(30ms), with::bulkhead(places),
                      with::retry({.max_attempts = 3, .backoff = {.base = 1ms, .cap = 4ms}}, budget, with::idempotent),
                      with::breaker(judge), with::attempt_timeout(5ms));
  for (int i = 0; i < 3'000; ++i) {
    const bool outage = i / 20 % 2 == 1;
    std::stop_token stop;
    if (i % 7 == 0) {
      seen.to_be_stopped = &stops[static_cast<std::size_t>(i / 7)];
      stop = seen.to_be_stopped->get_token();
    }
    const auto op = [&](const attempt&) { return ask(inner, loop, clock.now() + 100us, outage); };
    const auto got = co_await co_call(room, pipe, {}, loop, op, stop, test_clock{&clock});
    seen.to_be_stopped = nullptr;
    ++seen.calls;
    seen.answered += got.ok() && !got.degraded() ? 1 : 0;
    seen.cancelled += !got.ok() && got.result.error().code == errc::cancelled ? 1 : 0;
    static_cast<void>(co_await co_sleep(loop, clock.now() + 200us));
  }
  seen.spilled = room.spilled() + inner.spilled();
}

}  // namespace

TEST_CASE("a coroutine's calls allocate nothing, however they end", "[alloc][co_call]") {
  seed_shared_random(7);
  manual_clock clock;
  run_loop loop;
  tally seen;
  mark ended;
  std::vector<std::stop_source> stops(430);
  spawn(loop, many_calls(loop, clock, stops, seen), ended);
  CHECK(allocations_in([&] {
          for (int most = 500'000; !ended.was_run() && most != 0; --most) {
            while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
            }
            clock.advance(100us);
            // In its attempt, or in the wait behind it.
            if (seen.to_be_stopped != nullptr && most % 3 == 0) seen.to_be_stopped->request_stop();
          }
        }) == 0);
  REQUIRE(ended.was_run());
  CHECK(seen.calls == 3'000);
  CHECK(seen.spilled == 0);
  CHECK(seen.answered > 200);
  CHECK(seen.by_tier > 500);
  CHECK(seen.refused > 300);
  CHECK(seen.cancelled > 5);
}

namespace {

// Awaited as it is, without a coroutine of its own.
class asks_until_stopped {
 public:
  asks_until_stopped(run_loop& loop, time_point until, inplace_stop_token stop) noexcept : sleeps_(loop, until, stop) {}
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept { sleeps_.await_suspend(caller); }
  [[nodiscard]] outcome<int> await_resume() const noexcept {
    if (sleeps_.await_resume()) return 1;
    return errc::cancelled;
  }

 private:
  co_sleep<run_loop, inplace_stop_token> sleeps_;
};

struct visits {
  int answered = 0;
  int timed_out = 0;
  std::uint64_t spilled = 0;
};

task<> visit_often(bulkhead& places, run_loop& loop, manual_clock& clock, duration stays, visits& seen) {
  frame_arena<2048> room;
  frame_arena<512> inner;
  const pipeline pipe("orders", with::bulkhead(places, 1ms));
  for (int i = 0; i < 1'000; ++i) {
    const auto op = [&](const attempt&) {
      return ask(inner, loop, clock.now() + (i % 5 == 0 ? 3 * stays : stays), false);
    };
    const auto got = co_await co_call(room, pipe, {}, loop, op, {}, test_clock{&clock});
    seen.answered += got.ok() ? 1 : 0;
    seen.timed_out += !got.ok() && got.error().code == errc::bulkhead_timeout ? 1 : 0;
  }
  seen.spilled = room.spilled() + inner.spilled();
}

}  // namespace

TEST_CASE("coroutines' calls that wait for a place allocate nothing, whether it comes or not", "[alloc][co_call]") {
  manual_clock clock;
  run_loop loop;
  visits seen[3];
  mark ended[3];
  bulkhead places({.limit = 1, .queue = 2});
  for (std::size_t i = 0; i < 3; ++i) spawn(loop, visit_often(places, loop, clock, (i + 1) * 200us, seen[i]), ended[i]);
  CHECK(allocations_in([&] {
          for (int most = 500'000; !(ended[0].was_run() && ended[1].was_run() && ended[2].was_run()) && most != 0;
               --most) {
            while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
            }
            clock.advance(100us);
          }
        }) == 0);
  int timed_out = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(ended[i].was_run());
    CHECK(seen[i].spilled == 0);
    CHECK(seen[i].answered > 100);
    CHECK(seen[i].answered + seen[i].timed_out == 1'000);
    timed_out += seen[i].timed_out;
  }
  CHECK(timed_out > 10);
  CHECK(places.snapshot().served > 300);
}

TEST_CASE("attempts of coroutines' calls that are stopped at their deadline allocate nothing",
          "[alloc][co_call][co_timeout]") {
  manual_clock clock;
  run_loop loop;
  mark ended;
  int answered = 0;
  int late = 0;
  std::uint64_t spilled = 0;
  const auto body = [&]() -> task<> {
    frame_arena<2048> room;
    const pipeline pipe("orders",
                        with::retry({.max_attempts = 2, .backoff = {.base = 1ms, .cap = 1ms}}, with::no_budget),
                        with::attempt_timeout(1ms));
    for (int i = 0; i < 2'000; ++i) {
      const auto op = [&](const stoppable_attempt& a) {
        const bool hangs = i % 3 == 0 || (i % 3 == 1 && a.number == 1);
        return asks_until_stopped(loop, clock.now() + (hangs ? 1s : 300us), a.stop);
      };
      const auto got =
          co_await co_call(room, pipe, {.safety = idempotency::idempotent}, loop, op, {}, test_clock{&clock});
      answered += got.ok() ? 1 : 0;
      late += !got.ok() && got.error().code == errc::attempt_timeout ? 1 : 0;
    }
    spilled = room.spilled();
  };
  spawn(loop, body(), ended);
  CHECK(allocations_in([&] {
          for (int most = 500'000; !ended.was_run() && most != 0; --most) {
            while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
            }
            clock.advance(100us);
          }
        }) == 0);
  REQUIRE(ended.was_run());
  CHECK(answered == 1'333);
  CHECK(late == 667);
  CHECK(spilled == 0);
}
