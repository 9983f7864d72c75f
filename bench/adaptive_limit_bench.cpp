// SPDX-License-Identifier: MIT
// adaptive_limit, and the latency_sketch under it, beside what people write: a std::mutex around two histograms that take turns,
// and one around the samples of a window, as in brpc's auto limiter (which takes but one sample in 100 us, so that the mutex
// does not show): whoever ends a call has the window for himself while he adds to it. The bucket
// arithmetic is the same for both, so the sharing alone is compared. All are handed the same `now`; one reading of the clock
// serves 32 calls. The floors are what the machine wants for the least that such a call could do.
//
// The loops are tight and the lines warm: these are costs of throughput. 32 calls are one iteration of a sample. The latencies
// are spread over 1 to 4 ms, some 32 buckets. Results pass through an opaque value each time.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/core/thread_slot.hpp"
#include "holdfast/policy/adaptive_limit.hpp"
#include "holdfast/policy/latency_sketch.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using holdfast::duration;
using holdfast::latency_counts;
using holdfast::steady_clock;
using holdfast::time_point;
using holdfast::verdict;
using namespace std::chrono_literals;

constexpr int batch = 32;
constexpr duration shortest = 1ms;
constexpr duration longest = 4ms;

std::array<duration, 256> spread_latencies() {
  holdfast::splitmix64 bits(1);
  std::array<duration, 256> all;
  for (auto& one : all)
    one = shortest + duration(static_cast<std::int64_t>(
                         uniform_up_to(bits, static_cast<std::uint64_t>((longest - shortest).count()))));
  return all;
}

// ---- the sketch: record(took, now), percentile(permille, now)

struct our_sketch {
  holdfast::latency_sketch sketch{{}};
  [[gnu::always_inline]] void record(duration took, time_point now) { sketch.record(took, now); }
  duration percentile(std::uint32_t permille, time_point now) { return sketch.percentile(permille, now); }
};

class mutex_sketch {
 public:
  void record(duration took, time_point now) {
    const std::lock_guard lock(mutex_);
    rotate(now);
    ++halves_[current_].counts[latency_counts::bucket_of(took)];
  }
  duration percentile(std::uint32_t permille, time_point now) {
    const std::lock_guard lock(mutex_);
    rotate(now);
    latency_counts all = halves_[0];
    for (std::size_t i = 0; i < all.counts.size(); ++i) all.counts[i] += halves_[1].counts[i];
    return all.percentile(permille);
  }

 private:
  void rotate(time_point now) {
    if (now < ends_) return;
    current_ = 1 - current_;
    halves_[current_] = {};
    ends_ = now + 10s;
  }
  std::mutex mutex_;
  std::array<latency_counts, 2> halves_{};
  std::size_t current_ = 0;
  time_point ends_{};
};

// A load and a store of a word that no other thread writes.
struct own_word {
  struct alignas(2 * holdfast::cache_line_size) place {
    holdfast::atomic<std::uint64_t> count;
  };
  std::array<place, 64> places{};
  [[gnu::always_inline]] void record(duration took, time_point) {
    auto& mine = places[holdfast::thread_slot::current() % places.size()].count;
    const auto more = static_cast<std::uint64_t>(took.count());
    mine.store(mine.load(mo::relaxed) + more, mo::relaxed);  // own: the floor
  }
  static duration percentile(std::uint32_t, time_point) { return shortest; }
};

// ---- the limit: call(took, now) makes a call that ends now

struct our_limit {
  holdfast::adaptive_limit_by<holdfast::vegas> limit{{}, {.probe_every = 0}};
  [[gnu::always_inline]] std::uint32_t call(duration took, time_point now) {
    auto ticket = limit.begin(now - took, 10);
    benchmark::ClobberMemory();  // here the call would be
    return limit.end(ticket, verdict::ok, now).limit;
  }
};

class mutex_limit {
 public:
  std::uint32_t call(duration took, time_point now) {
    const time_point begun = now - took;
    benchmark::ClobberMemory();  // here the call would be
    const std::lock_guard lock(mutex_);
    ++window_.counts[latency_counts::bucket_of(now - begun)];
    highest_ = std::max<std::uint64_t>(highest_, 10);
    if (now >= ends_) {
      if (const std::uint64_t n = window_.count(); n >= 50) {
        limit_ = how_.on_window({.min_rtt = window_.least(),
                                 .p50 = window_.percentile(500),
                                 .p90 = window_.percentile(900),
                                 .samples = n,
                                 .in_flight_max = highest_})
                     .limit;
        window_ = {};
        highest_ = 0;
      }
      ends_ = now + 1s;
    }
    return limit_;
  }

 private:
  std::mutex mutex_;
  latency_counts window_{};
  std::uint64_t highest_ = 0;
  time_point ends_{};
  holdfast::vegas how_{{.probe_every = 0}};
  std::uint32_t limit_ = 20;
};

// ---- the cases

template <class Contender>
void record(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& sketch = *bench::shared<Contender>::all[0];
  const auto latencies = spread_latencies();
  std::size_t next = 0;
  if (state.threads() > 1) regime.mark();
  time_point now{};
  for (auto _ : state) {
    now = steady_clock::now();
    for (int i = 0; i < batch; ++i) {
      duration took = latencies[next++ % latencies.size()];
      benchmark::DoNotOptimize(took);
      sketch.record(took, now);
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  const duration median = sketch.percentile(500, now);
  if (median < shortest || median > longest + longest / 16)
    bench::fail(state, "the median is not one of what was recorded");
}

// What was recorded by one thread.
template <class Contender>
void percentile(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& sketch = *bench::shared<Contender>::all[0];
  time_point now = steady_clock::now();
  for (const duration took : spread_latencies()) sketch.record(took, now);
  duration seen{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(now);
    seen = sketch.percentile(950, now);
    benchmark::DoNotOptimize(seen);
  }
  if (seen < shortest || seen > longest + longest / 16)
    bench::fail(state, "the percentile is not one of what was recorded");
}

template <class Contender>
void call(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& limit = *bench::shared<Contender>::all[0];
  const auto latencies = spread_latencies();
  std::size_t next = 0;
  std::uint32_t seen = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    time_point now = steady_clock::now();
    for (int i = 0; i < batch; ++i) {
      duration took = latencies[next++ % latencies.size()];
      benchmark::DoNotOptimize(took);
      benchmark::DoNotOptimize(now);
      seen = limit.call(took, now);
      benchmark::DoNotOptimize(seen);
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (seen < 20 || seen > 200) bench::fail(state, "the limit is out of its bounds");
}

// ---- the rows

template <class Contender>
void row(const char* test_case, const char* contender, void (*function)(benchmark::State&), int threads = 1) {
  bench::add("adaptive_limit", test_case, contender, function)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  for (const int threads : {1, 2}) {
    const char* const recorded = threads == 1 ? "record_1_thread" : "record_2_threads";
    row<our_sketch>(recorded, "holdfast", record<our_sketch>, threads);
    row<mutex_sketch>(recorded, "std_mutex", record<mutex_sketch>, threads);
    row<own_word>(recorded, "floor_own_word", record<own_word>, threads);
    const char* const called = threads == 1 ? "call_1_thread" : "call_2_threads";
    row<our_limit>(called, "holdfast", call<our_limit>, threads);
    row<mutex_limit>(called, "std_mutex", call<mutex_limit>, threads);
  }
  row<our_sketch>("percentile", "holdfast", percentile<our_sketch>);
  row<mutex_sketch>("percentile", "std_mutex", percentile<mutex_sketch>);
  return true;
}();

}  // namespace
