// SPDX-License-Identifier: MIT
// How long single calls of a closed circuit take where there are eight times as many threads as cores: what users see of a lock
// whose holder has lost its core. Each call, asking and reporting a success, is timed by itself; `floor_stamps` is the same with
// nothing between the two stamps, so what every row has of the clock and of being preempted is seen there.
//
// One iteration of a sample is 16 threads that each make 200,000 calls, all begun at once, so that each has lost its core a few
// times before it has ended; the measures are over all calls of a sample. Threads go where the kernel likes: pinned, they would
// not get in each other's way as they do in a service.
#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/log_buckets.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/time/clock.hpp"

#include "support/bench.hpp"
#include "support/mutex_breaker.hpp"
#include "support/shared_ema_breaker.hpp"

namespace {

namespace bench = holdfast::bench;
using bench::mutex_breaker;
using holdfast::time_point;
using holdfast::verdict;
using namespace std::chrono_literals;

constexpr std::size_t threads = 16;
constexpr int calls = 200'000;
constexpr time_point start{1000s};

// To a thirty-second of a value; up to four seconds.
using buckets = holdfast::log_buckets<5, 32>;
using counts = std::array<std::uint64_t, buckets::count>;

struct ours {
  holdfast::circuit_breaker breaker{{.failure_permille = 500, .min_calls = 20, .window = 10s}};
  [[gnu::always_inline]] bool call(time_point now) {
    auto admission = breaker.admit(now);
    if (!admission) return false;
    benchmark::ClobberMemory();  // here the call would be
    return !breaker.report(std::move(admission.ticket), verdict::ok, now).transition;
  }
};
struct with_mutex {
  mutex_breaker breaker;
  bool call(time_point now) {
    if (!breaker.admit(now)) return false;
    benchmark::ClobberMemory();
    breaker.success(now);
    return true;
  }
};
struct shared_ema {
  bench::shared_ema_breaker breaker;
  [[gnu::always_inline]] bool call(time_point now) { return breaker.call(now); }
};
struct stamps {
  [[gnu::always_inline]] static bool call(time_point) { return true; }
};

std::uint64_t value_at(const counts& all, std::uint64_t total, double share) {
  const auto rank = static_cast<std::uint64_t>(static_cast<double>(total) * share);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    seen += all[i];
    if (seen > rank) return buckets::upper_bound(i);
  }
  return buckets::upper_bound(all.size() - 1);
}

template <class Contender>
void tail(benchmark::State& state) {
  const auto all = std::make_unique<counts>();
  std::uint64_t refused = 0;
  for (auto _ : state) {
    const auto shared = std::make_unique<Contender>();
    std::vector<counts> mine(threads);
    std::array<std::uint64_t, threads> wrong{};
    std::barrier begin(static_cast<std::ptrdiff_t>(threads));
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        begin.arrive_and_wait();
        for (int i = 0; i < calls; ++i) {
          const auto before = holdfast::steady_clock::now();
          const bool good = shared->call(start);
          const auto took = holdfast::steady_clock::now() - before;
          wrong[t] += good ? 0 : 1;
          ++mine[t][buckets::index_of(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)))];
        }
      });
    }
    for (auto& worker : workers) worker.join();
    for (std::size_t t = 0; t < threads; ++t) {
      refused += wrong[t];
      for (std::size_t i = 0; i < buckets::count; ++i) (*all)[i] += mine[t][i];
    }
  }
  const std::uint64_t total = static_cast<std::uint64_t>(state.iterations()) * threads * calls;
  if (refused != 0) bench::fail(state, "a closed circuit refused a call");
  std::uint64_t counted = 0;
  for (const std::uint64_t n : *all) counted += n;
  if (counted != total) bench::fail(state, "calls are missing");
  state.counters["p50_ns"] = static_cast<double>(value_at(*all, total, 0.5));
  state.counters["p99_ns"] = static_cast<double>(value_at(*all, total, 0.99));
  state.counters["p999_ns"] = static_cast<double>(value_at(*all, total, 0.999));
  state.counters["p9999_ns"] = static_cast<double>(value_at(*all, total, 0.9999));
  state.SetItemsProcessed(static_cast<std::int64_t>(total));
}

const bool registered = [] {
  constexpr auto named = "call_16_threads";
  bench::add("breaker_tail", named, "holdfast", tail<ours>);
  bench::add("breaker_tail", named, "std_mutex", tail<with_mutex>);
  bench::add("breaker_tail", named, "shared_ema", tail<shared_ema>);
  bench::add("breaker_tail", named, "floor_stamps", tail<stamps>);
  return true;
}();

}  // namespace
