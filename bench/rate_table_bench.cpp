// SPDX-License-Identifier: MIT
// rate_table beside the registry that people write: a std::mutex around an std::unordered_map from key to token bucket. 100,000
// keys, asked for in random order: the cost is that of finding the bucket and of the lines that are not in any near cache. All
// contenders are handed the same time, which no bucket is ever short of. (A number is its own hash in libstdc++'s map, and these
// are in a row: the best case for it, and not one in which strangers choose the keys. Ours hashes them.) floor_one_line: what the
// machine wants for a random word of as many, with an exchange on it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/rate_table.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using holdfast::duration;
using holdfast::splitmix64;
using holdfast::steady_clock;
using holdfast::time_point;
using namespace std::chrono_literals;

constexpr std::size_t keys = 100'000;
constexpr std::size_t cells = 125'000;
constexpr std::uint32_t burst = 4'000'000;
constexpr int batch = 32;

// As long as an address of IPv6.
std::string text_of(std::uint64_t n) {
  return "2001:db8:85a3::8a2e:" + std::to_string(100'000 + n);
}
const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> made;
    for (std::uint64_t n = 0; n < keys; ++n) made.push_back(text_of(n));
    return made;
  }();
  return all;
}

struct by_number {
  using key = std::uint64_t;
  static key of(std::uint64_t n) { return n; }
  using stored = std::uint64_t;
};
struct by_text {
  using key = std::string_view;
  static key of(std::uint64_t n) { return texts()[n]; }
  using stored = std::string;
};

template <class Key>
struct ours {
  static constexpr holdfast::rate_limiter_options rate{.permits = 1'000'000'000, .per = 1s, .burst = burst};
  std::unique_ptr<holdfast::rate_table_memory<cells>> memory = std::make_unique<holdfast::rate_table_memory<cells>>();
  holdfast::rate_table table{*memory, {.each = rate, .overflow = rate, .secret = {1, 2}}};
  ours() {
    const time_point now = steady_clock::now();
    for (std::uint64_t n = 0; n < keys; ++n) take(n, now);
  }
  bool take(std::uint64_t n, time_point now) { return static_cast<bool>(table.try_take(table.key(Key::of(n)), now)); }
};

// As in rate_limiter_bench: it says when to come again, and takes no reading that is older than one already seen.
template <class Key>
struct mutex_map {
  struct bucket {
    double tokens = burst;
    time_point last{};
  };
  struct hash {
    using is_transparent = void;
    std::size_t operator()(typename Key::key k) const { return std::hash<typename Key::key>{}(k); }
  };
  std::mutex mutex;
  std::unordered_map<typename Key::stored, bucket, hash, std::equal_to<>> buckets;
  mutex_map() {
    const time_point now = steady_clock::now();
    for (std::uint64_t n = 0; n < keys; ++n) take(n, now);
  }
  bool take(std::uint64_t n, time_point now) { return ask(Key::of(n), now) == duration::zero(); }
  duration ask(typename Key::key key, time_point now) {
    const std::lock_guard lock(mutex);
    const auto found = buckets.find(key);
    bucket& b = found != buckets.end() ? found->second : buckets[typename Key::stored(key)];
    if (now > b.last) {
      b.tokens = std::min<double>(burst, b.tokens + static_cast<double>((now - b.last).count()));
      b.last = now;
    }
    if (b.tokens < 1) return duration(static_cast<std::int64_t>(1 - b.tokens) + 1);
    b.tokens -= 1;
    return duration::zero();
  }
};

struct one_line {
  struct alignas(16) word {
    holdfast::atomic<std::uint64_t> name;
    holdfast::atomic<std::int64_t> time;
  };
  std::vector<word> words = std::vector<word>(cells);
  bool take(std::uint64_t n, time_point) {
    word& at = words[n];
    if (at.name.load(mo::relaxed) != 0) return false;  // hint: the floor is the cheapest load
    std::int64_t seen = at.time.load(mo::relaxed);     // hint: the exchange decides
    // own: the floor publishes nothing
    while (!at.time.compare_exchange_weak(seen, seen + 1, mo::relaxed, mo::relaxed)) {
    }
    return true;
  }
};

template <class Contender>
void take_random(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& table = *bench::shared<Contender>::all[0];
  splitmix64 random(static_cast<std::uint64_t>(state.thread_index()));
  std::uint64_t refused = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    time_point now = steady_clock::now();
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (!table.take(holdfast::uniform_up_to(random, keys - 1), now)) [[unlikely]]
        ++refused;
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  // A thread that was made to sleep behind its reading of the clock may be refused.
  const auto late = static_cast<std::uint64_t>(state.iterations()) / 100 + 1;
  if (refused > late * batch) bench::fail(state, "permits that were there were refused");
}

template <class Contender>
void row(const char* test_case, const char* contender, int threads) {
  bench::add("rate_table", test_case, contender, take_random<Contender>)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  for (const int threads : {1, 2}) {
    const bool one = threads == 1;
    row<ours<by_number>>(one ? "take_by_number_1_thread" : "take_by_number_2_threads", "holdfast", threads);
    row<mutex_map<by_number>>(one ? "take_by_number_1_thread" : "take_by_number_2_threads", "std_mutex_map", threads);
    row<one_line>(one ? "take_by_number_1_thread" : "take_by_number_2_threads", "floor_one_line", threads);
    row<ours<by_text>>(one ? "take_by_text_1_thread" : "take_by_text_2_threads", "holdfast", threads);
    row<mutex_map<by_text>>(one ? "take_by_text_1_thread" : "take_by_text_2_threads", "std_mutex_map", threads);
  }
  return true;
}();

}  // namespace
