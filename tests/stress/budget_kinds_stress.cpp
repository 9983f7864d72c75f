// SPDX-License-Identifier: MIT
// R6 and R7 under threads: how many retries a throttle allows between two successes, and how many a flight budget has under way
// beside how many calls, by themselves and in whole calls that are dropped, cancelled and answered.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/call_machine.hpp"
#include "holdfast/policy/flight_budget.hpp"
#include "holdfast/policy/retry_throttle.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t threads = 4;
constexpr time_point now{1000s};

template <class Body>
void on_threads(Body body) {
  atomic<std::uint32_t> ready{0};
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      ready.fetch_add(1, mo::relaxed);                         // counter: a meeting
      while (ready.load(mo::relaxed) != threads) cpu_relax();  // counter: as above
      body(t);
    });
  }
  for (auto& t : all) t.join();
}

}  // namespace

TEST_CASE("R6: however many threads fail at once, half of the tokens are retries", "[retry_throttle][stress]") {
  for (int round = 0; round < 300; ++round) {
    retry_throttle t({.max_tokens = 40, .ratio_permille = 100});
    atomic<std::uint64_t> allowed{0};
    on_threads([&](std::uint32_t) {
      for (int i = 0; i < 30; ++i) {
        t.on_result(verdict::transient);
        if (t.try_take(now)) allowed.fetch_add(1, mo::relaxed);  // counter:
      }
    });
    REQUIRE(allowed.load(mo::relaxed) <= 19);  // counter: joined. The twentieth failure leaves half
    REQUIRE(allowed.load(mo::relaxed) >= 20 - threads);
    REQUIRE(t.balance_milli() == 0);
    REQUIRE(t.granted() + t.denied() == threads * 30);
  }
}

TEST_CASE("R6: what successes put back is what is there", "[retry_throttle][stress]") {
  retry_throttle t({.max_tokens = 1000, .ratio_permille = 7});
  for (int i = 0; i < 1000; ++i) t.on_result(verdict::transient);
  on_threads([&](std::uint32_t) {
    for (int i = 0; i < 20'000; ++i) t.on_result(verdict::ok);
  });
  CHECK(t.balance_milli() == 7 * 20'000 * threads);
}

TEST_CASE("R7: retries under way are a share of the calls under way, and all are given back",
          "[flight_budget][stress]") {
  flight_budget b({.percent = 50, .min_concurrency = 2});
  atomic<std::int64_t> under_way{0};
  atomic<std::uint64_t> wrong{0};
  // Calls are only begun in the first half, so that the share at the end is the largest there was.
  constexpr std::int64_t calls = 10;
  for (std::int64_t i = 0; i < calls; ++i) b.on_first_attempt();
  on_threads([&](std::uint32_t t) {
    splitmix64 random(t);
    std::uint32_t mine = 0;
    for (int i = 0; i < 50'000; ++i) {
      if (mine != 0 && uniform_up_to(random, 1) == 0) {
        under_way.fetch_sub(1, mo::relaxed);  // counter:
        b.give_back();
        --mine;
      } else if (b.try_take(now)) {
        ++mine;
        const std::int64_t there = under_way.fetch_add(1, mo::relaxed) + 1;  // counter:
        if (there > calls / 2) wrong.fetch_add(1, mo::relaxed);              // counter:
      }
    }
    under_way.fetch_sub(mine, mo::relaxed);  // counter:
    if (mine != 0) b.give_back(mine);
  });
  CHECK(wrong.load(mo::relaxed) == 0);  // counter: joined
  CHECK(b.retries() == 0);
  CHECK(b.calls() == calls);
  CHECK(b.denied() > 1'000);
}

TEST_CASE("R7: whatever happens to calls, none and no retry is left under way", "[flight_budget][stress]") {
  flight_budget b({.percent = 20, .min_concurrency = 1});
  const guard g{.budget = &b, .retry = {.max_attempts = 4, .backoff = {.base = 1ms, .cap = 1ms}}};
  const error broken(std::make_error_code(std::errc::connection_reset), verdict::transient);
  // Each thread has several calls under way, so that the budget is asked for more than it has, whichever thread runs.
  constexpr std::size_t at_once = 4;
  constexpr std::uint32_t most = std::max<std::uint32_t>(1, threads * at_once * 20 / 100);
  atomic<std::uint64_t> wrong{0};
  on_threads([&](std::uint32_t t) {
    splitmix64 random(100 + t);
    no_observer quiet;
    struct one {
      std::optional<call_machine<no_observer>> call{};
      call_step step{};
    };
    std::array<one, at_once> mine;
    for (int i = 0; i < 80'000; ++i) {
      auto& [call, step] = mine.at(uniform_up_to(random, at_once - 1));
      if (!call) {
        call.emplace(g, call_context{.safety = idempotency::idempotent}, quiet);
        step = call->start(now);
      }
      const std::uint64_t fate = uniform_up_to(random, 9);
      if (fate == 0) {  // dropped
        call.reset();
      } else if (fate == 1) {
        call->cancel(now);
        call.reset();
      } else if (step == call_step::wait) {
        step = call->resume(call->wake_at());
      } else {
        step = fate < 4 ? call->answered(now) : call->finish(verdict::transient, broken, now);
      }
      if (call && step == call_step::done) call.reset();
      if (b.retries() > most) wrong.fetch_add(1, mo::relaxed);  // counter:
    }
  });
  CHECK(wrong.load(mo::relaxed) == 0);  // counter: joined
  CHECK(b.calls() == 0);
  CHECK(b.retries() == 0);
  CHECK(b.granted() > 1'000);
  CHECK(b.denied() > 1'000);
}
