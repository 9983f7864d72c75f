// SPDX-License-Identifier: MIT
// rate_limiter beside the token bucket that people write: a std::mutex around a number of tokens and the time of the last
// refill. Both are handed the same `now`, or both read the clock for each call, as the case says. The floors are what the
// machine wants for the least that such a call could do.
//
// The rate is so high (a permit a nanosecond, and four million at once) that whoever asks in real time is granted; only a
// thread that was made to sleep for more than 4 ms between its reading and its calls may be refused. Where no clock is
// measured, one reading serves 32 calls. The loops are tight and the lines warm: these are costs of
// throughput. 32 calls are one iteration of a sample. Results pass through an opaque value each time.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/contention_pause.hpp"
#include "holdfast/policy/rate_limiter.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using holdfast::duration;
using holdfast::steady_clock;
using holdfast::time_point;
using namespace std::chrono_literals;

constexpr int batch = 32;
constexpr std::uint32_t burst = 4'000'000;

// ---- the contenders: take(now) says whether the call may go on

struct ours {
  holdfast::rate_limiter limiter{{.permits = 1'000'000'000, .per = 1s, .burst = burst}};
  [[gnu::always_inline]] bool take(time_point now) { return static_cast<bool>(limiter.try_take(now)); }
};

// Nothing clever and nothing silly: what a careful programmer has after an hour. Like ours it says when to come again, and
// takes no reading that is older than one already seen.
class mutex_bucket {
 public:
  bool take(time_point now) { return ask(now) == duration::zero(); }

 private:
  duration ask(time_point now) {
    const std::lock_guard lock(mutex_);
    if (now > last_) {
      tokens_ = std::min<double>(burst, tokens_ + static_cast<double>((now - last_).count()) * per_nanosecond);
      last_ = now;
    }
    if (tokens_ < 1) return duration(static_cast<std::int64_t>((1 - tokens_) / per_nanosecond) + 1);
    tokens_ -= 1;
    return duration::zero();
  }

  static constexpr double per_nanosecond = 1;
  std::mutex mutex_;
  double tokens_ = burst;
  time_point last_{};
};

// The least that a take could be: one exchange of a shared word, tried again as ours is.
struct exchange_alone {
  holdfast::atomic<std::int64_t> word{0};
  [[gnu::always_inline]] bool take(time_point) {
    std::int64_t seen = word.load(mo::relaxed);  // hint: the exchange decides
    // own: the floor publishes nothing
    for (holdfast::contention_pause pause; !word.compare_exchange_weak(seen, seen + 1, mo::relaxed, mo::relaxed);)
      pause();
    return true;
  }
};
// The least that a refusal could be: one load of a shared word and a branch that is always predicted.
struct load_and_branch {
  holdfast::atomic<std::int64_t> word{0};
  [[gnu::always_inline]] bool take(time_point now) {
    return word.load(mo::relaxed) > now.time_since_epoch().count();  // hint: the floor is the cheapest load
  }
};

// ---- the cases

enum class clock_reading : std::uint8_t { each_batch, each_call };

template <class Contender, clock_reading Reading>
void accept(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& limiter = *bench::shared<Contender>::all[0];
  std::uint64_t refused = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    time_point now = steady_clock::now();
    for (int i = 0; i < batch; ++i) {
      if constexpr (Reading == clock_reading::each_call) now = steady_clock::now();
      benchmark::DoNotOptimize(now);
      if (!limiter.take(now)) [[unlikely]]
        ++refused;
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  const auto late = static_cast<std::uint64_t>(state.iterations()) / 100 + 1;  // batches, by a generous count
  if (refused > late * batch) bench::fail(state, "permits that were there were refused");
}

template <class Contender>
void refuse(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& limiter = *bench::shared<Contender>::all[0];
  time_point now{1000s};
  for (std::uint32_t i = 0; i < burst && limiter.take(now); ++i) {
  }
  std::uint64_t granted = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (limiter.take(now)) [[unlikely]]
        ++granted;
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (granted != 0) bench::fail(state, "more than the burst was granted while no time passed");
}

// ---- the rows

template <class Contender>
void row(const char* test_case, const char* contender, void (*function)(benchmark::State&), int threads = 1) {
  bench::add("rate_limiter", test_case, contender, function)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  using enum clock_reading;
  row<ours>("accept_1_thread", "holdfast", accept<ours, each_batch>);
  row<mutex_bucket>("accept_1_thread", "std_mutex", accept<mutex_bucket, each_batch>);
  row<exchange_alone>("accept_1_thread", "floor_exchange", accept<exchange_alone, each_batch>);
  row<ours>("accept_2_threads", "holdfast", accept<ours, each_batch>, 2);
  row<mutex_bucket>("accept_2_threads", "std_mutex", accept<mutex_bucket, each_batch>, 2);
  row<exchange_alone>("accept_2_threads", "floor_exchange", accept<exchange_alone, each_batch>, 2);

  row<ours>("accept_by_the_clock_1_thread", "holdfast", accept<ours, each_call>);
  row<mutex_bucket>("accept_by_the_clock_1_thread", "std_mutex", accept<mutex_bucket, each_call>);
  row<ours>("accept_by_the_clock_2_threads", "holdfast", accept<ours, each_call>, 2);
  row<mutex_bucket>("accept_by_the_clock_2_threads", "std_mutex", accept<mutex_bucket, each_call>, 2);

  row<ours>("refuse", "holdfast", refuse<ours>);
  row<mutex_bucket>("refuse", "std_mutex", refuse<mutex_bucket>);
  row<load_and_branch>("refuse", "floor_load_and_branch", refuse<load_and_branch>);
  return true;
}();

}  // namespace
