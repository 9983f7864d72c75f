// SPDX-License-Identifier: MIT
// A guarded call that succeeds: pipeline with all of its layers, and run() with a guard that is handed in, beside what such a
// call cannot do without, and beside the policies that people write, one around the other, each with a std::mutex and a
// clock of its own (a token bucket, a semaphore, a breaker with a ring of buckets).
//
// Both of ours read the clock when the call begins and when it has ended; their callee does nothing. The floor is those two
// readings, the two exchanges that take a permit and a place, and the addition that gives the place back. The loops are tight
// and the lines warm. Results pass through an opaque value each time.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <semaphore>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/pipeline.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
namespace with = holdfast::with;
using holdfast::attempt;
using holdfast::call_context;
using holdfast::duration;
using holdfast::outcome;
using holdfast::steady_clock;
using holdfast::time_point;
using namespace std::chrono_literals;

[[gnu::always_inline]] inline outcome<int> callee(const attempt& /*which*/) {
  benchmark::ClobberMemory();  // here the call would be
  return 1;
}

// ---- the contenders: call() makes one

struct policies {
  // So many permits that nobody is refused.
  holdfast::rate_limiter door{{.permits = 1'000'000'000, .burst = 4'000'000}};
  holdfast::bulkhead room{{.limit = 8}};
  holdfast::circuit_breaker judge{{.failure_permille = 500, .min_calls = 20, .window = 10s}};
  holdfast::retry_budget budget{holdfast::retry_budget_options{}};
  holdfast::retry_options retry{.max_attempts = 3};
};

struct composed : policies {
  holdfast::pipeline<with::deadline, with::rate, with::bulkhead,
                     with::retry<with::safety_tag<holdfast::idempotency::idempotent>>, with::breaker<>,
                     with::attempt_timeout>
      pipe{"orders",
           with::deadline(800ms),
           with::rate(door),
           with::bulkhead(room),
           {retry, budget, with::idempotent},
           with::breaker(judge),
           with::attempt_timeout(250ms)};
  [[gnu::always_inline]] bool call() { return pipe({}, callee).ok(); }
};

struct handed_in : policies {
  holdfast::guard protects{.name = "orders",
                           .total_timeout = 800ms,
                           .rate = &door,
                           .room = &room,
                           .breaker = &judge,
                           .budget = &budget,
                           .retry = retry,
                           .attempt_timeout = 250ms};
  steady_clock clock;
  [[gnu::always_inline]] bool call() {
    return run(protects, {.safety = holdfast::idempotency::idempotent}, clock, callee).ok();
  }
};

struct least {
  std::array<holdfast::atomic<std::uint64_t>, 2> words{};
  [[gnu::always_inline]] bool call() {
    benchmark::DoNotOptimize(steady_clock::now());
    for (auto& word : words) {
      std::uint64_t seen = word.load(mo::relaxed);  // hint: the exchange decides
      // own: the floor publishes nothing
      while (!word.compare_exchange_weak(seen, seen + 1, mo::acquire, mo::relaxed)) {
      }
    }
    benchmark::ClobberMemory();
    words[1].fetch_sub(1, mo::release);
    benchmark::DoNotOptimize(steady_clock::now());
    return true;
  }
};

// Nothing clever and nothing silly: each policy guards its own state, and reads the clock when it needs it.
class mutex_policies {
 public:
  bool call() {
    if (!take_permit()) return false;
    if (!room_.try_acquire()) return false;
    const bool admitted = admit();
    if (admitted) {
      benchmark::ClobberMemory();  // here the call would be
      succeeded();
    }
    room_.release();
    return admitted;
  }

 private:
  bool take_permit() {
    const time_point now = steady_clock::now();
    const std::lock_guard lock(bucket_);
    tokens_ = std::min(4e6, tokens_ + static_cast<double>((now - refilled_).count()));
    refilled_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  bool admit() {
    const std::lock_guard lock(breaker_);
    return !open_ || steady_clock::now() >= open_until_;
  }
  void succeeded() {
    const std::int64_t second = steady_clock::now().time_since_epoch() / 1s;
    const std::lock_guard lock(breaker_);
    auto& [of, ok] = buckets_[static_cast<std::size_t>(second) % buckets_.size()];
    if (of != second) {
      of = second;
      ok = 0;
    }
    ++ok;
  }

  std::mutex bucket_;
  double tokens_ = 4e6;
  time_point refilled_ = steady_clock::now();
  std::counting_semaphore<1024> room_{8};
  std::mutex breaker_;
  bool open_ = false;
  time_point open_until_{};
  struct bucket {
    std::int64_t of = 0;
    std::uint64_t ok = 0;
  };
  std::array<bucket, 10> buckets_{};
};

// ---- the case

template <class Contender>
void succeeds(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& contender = *bench::shared<Contender>::all[0];
  std::uint64_t failed = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    if (!contender.call()) [[unlikely]]
      ++failed;
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations());
  // A thread that was made to sleep for more than 4 ms between its reading of the clock and its permit is refused.
  const auto late = static_cast<std::uint64_t>(state.iterations()) / 100 + 10;
  if (failed > late) bench::fail(state, "calls that should succeed were refused");
}

template <class Contender>
void rows(const char* contender) {
  for (const int threads : {1, 2}) {
    bench::add("call", threads == 1 ? "succeeds_1_thread" : "succeeds_2_threads", contender, succeeds<Contender>)
        ->Setup(bench::shared<Contender>::make)
        ->Teardown(bench::shared<Contender>::drop)
        ->Threads(threads);
  }
}

[[maybe_unused]] const bool registered = [] {
  rows<composed>("holdfast");
  rows<handed_in>("holdfast_guard");
  rows<mutex_policies>("std_mutex");
  rows<least>("floor_clocks_and_exchanges");
  return true;
}();

}  // namespace
