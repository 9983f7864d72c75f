// SPDX-License-Identifier: MIT
// breaker_table beside the registry that people write: a std::mutex around an std::unordered_map from key to breaker, whose
// breakers have a mutex each (support/mutex_breaker.hpp). 100,000 keys that are there, asked for in random order: the cost is
// that of finding the breaker and of the lines that are not in any near cache. All contenders are handed the same time.
// floor_one_line: what the machine wants for a random line of as many, with a load and an exchange on it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/breaker_table.hpp"

#include "support/bench.hpp"
#include "support/mutex_breaker.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using holdfast::splitmix64;
using holdfast::time_point;
using holdfast::verdict;
using namespace std::chrono_literals;

constexpr std::size_t keys = 100'000;
constexpr std::size_t slots = 109'920;
constexpr time_point start{1000s};
constexpr int batch = 32;

// As long as a host's name and port.
std::string text_of(std::uint64_t n) {
  return "host-" + std::to_string(100'000 + n) + ".example.org:443";
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
  std::unique_ptr<holdfast::breaker_table_memory<slots>> memory =
      std::make_unique<holdfast::breaker_table_memory<slots>>();
  holdfast::breaker_table table{*memory, {.breaker = {.rules = {.min_calls = 20, .window = 10s}}, .secret = {1, 2}}};
  ours() {
    for (std::uint64_t n = 0; n < keys; ++n) call(n, start);
  }
  bool call(std::uint64_t n, time_point now) {
    auto admission = table.admit(table.key(Key::of(n)), now);
    if (!admission) return false;
    benchmark::ClobberMemory();  // here the call would be
    return !table.report(std::move(admission.ticket), verdict::ok, now).transition;
  }
};

template <class Key>
struct mutex_map {
  struct hash {
    using is_transparent = void;
    std::size_t operator()(typename Key::key k) const { return std::hash<typename Key::key>{}(k); }
  };
  std::mutex mutex;
  std::unordered_map<typename Key::stored, bench::mutex_breaker, hash, std::equal_to<>> breakers;
  mutex_map() {
    for (std::uint64_t n = 0; n < keys; ++n) call(n, start);
  }
  bench::mutex_breaker& find(typename Key::key key) {
    const std::lock_guard lock(mutex);
    const auto found = breakers.find(key);
    return found != breakers.end() ? found->second : breakers[typename Key::stored(key)];
  }
  bool call(std::uint64_t n, time_point now) { return find(Key::of(n)).call(now); }
};

struct one_line {
  struct alignas(holdfast::cache_line_size) line {
    holdfast::atomic<std::uint64_t> word;
    holdfast::atomic<std::uint64_t> count;
  };
  std::vector<line> lines = std::vector<line>(slots);
  bool call(std::uint64_t n, time_point) {
    line& at = lines[n];
    if (at.word.load(mo::relaxed) != 0) return false;  // hint: the floor is the cheapest load
    benchmark::ClobberMemory();
    at.count.fetch_add(1, mo::relaxed);  // counter:
    return true;
  }
};

template <class Contender>
void call_random(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& table = *bench::shared<Contender>::all[0];
  splitmix64 random(static_cast<std::uint64_t>(state.thread_index()));
  time_point now = start;
  std::uint64_t refused = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (!table.call(holdfast::uniform_up_to(random, keys - 1), now)) [[unlikely]]
        ++refused;
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (refused != 0) bench::fail(state, "a closed circuit refused a call");
}

template <class Contender>
void row(const char* test_case, const char* contender, int threads) {
  bench::add("breaker_table", test_case, contender, call_random<Contender>)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  for (const int threads : {1, 2}) {
    const bool one = threads == 1;
    row<ours<by_number>>(one ? "call_by_number_1_thread" : "call_by_number_2_threads", "holdfast", threads);
    row<mutex_map<by_number>>(one ? "call_by_number_1_thread" : "call_by_number_2_threads", "std_mutex_map", threads);
    row<one_line>(one ? "call_by_number_1_thread" : "call_by_number_2_threads", "floor_one_line", threads);
    row<ours<by_text>>(one ? "call_by_text_1_thread" : "call_by_text_2_threads", "holdfast", threads);
    row<mutex_map<by_text>>(one ? "call_by_text_1_thread" : "call_by_text_2_threads", "std_mutex_map", threads);
  }
  return true;
}();

}  // namespace
