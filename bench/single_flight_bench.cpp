// SPDX-License-Identifier: MIT
// get_or_fetch over an swr_cache beside what people write: a std::mutex around a std::unordered_map of entries, and a
// std::condition_variable for those who wait. Both keep a value's time, serve a stale one while somebody refreshes it, and make
// one fetch for all who want a key; only ours has leases, bounded memory and failures. Both are handed the same time.
//
// Where nobody waits, 32 reads are one iteration of a sample, over 64 warm keys in turn. In `herd` all threads want a key that
// nobody has fetched, once an iteration, and begin together; the fetch gives its processor away ten times, so that others come
// to wait; each iteration is checked to have made one fetch.
#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/exec/cached_call.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using holdfast::duration;
using holdfast::time_point;
using namespace std::chrono_literals;

constexpr int batch = 32;
constexpr std::uint64_t keys = 64;
// Leases are of the time in which followers sleep.
const time_point start = holdfast::steady_clock::now();
constexpr duration fresh_for = 1s;
constexpr duration stale_for = 60s;

// The time that both are handed.
struct given_time {
  time_point at;
  [[nodiscard]] time_point now() const noexcept { return at; }
};

// ---- the contenders: read(key, at, fetch) -> a value

class ours {
 public:
  template <class Fetch>
  [[gnu::always_inline]] std::uint64_t read(std::uint64_t key, time_point at, Fetch fetch) {
    const given_time clock{at};
    return holdfast::get_or_fetch(cache_, key, {}, clock, [&](const auto&) { return answer(fetch()); }).result.value();
  }
  // Keeps the right to refresh it, and does not.
  void refresh_without_end(std::uint64_t key, time_point at) { refreshing_.at(key) = cache_.ask(key, at).mine; }

 private:
  using cache = holdfast::swr_cache<std::uint64_t, std::uint64_t>;
  using answer = holdfast::outcome<std::uint64_t>;
  cache cache_{{.capacity = 4096, .fresh_for = fresh_for, .stale_for = stale_for, .lease = 1h}};
  std::array<cache::lead, keys> refreshing_;
};

class mutex_and_map {
 public:
  template <class Fetch>
  std::uint64_t read(std::uint64_t key, time_point at, Fetch fetch) {
    std::unique_lock lock(mutex_);
    entry& e = entries_[key];
    for (;;) {
      if (e.has_value && at - e.stored_at < fresh_for) return e.value;
      if (e.has_value && at - e.stored_at < fresh_for + stale_for && e.fetching) return e.value;
      if (!e.fetching) break;
      landed_.wait(lock);
    }
    e.fetching = true;
    lock.unlock();
    const std::uint64_t value = fetch();
    lock.lock();
    e = {value, at, true, false};
    landed_.notify_all();
    return value;
  }
  void refresh_without_end(std::uint64_t key, time_point) {
    const std::lock_guard lock(mutex_);
    entries_[key].fetching = true;
  }

 private:
  struct entry {
    std::uint64_t value = 0;
    time_point stored_at{};
    bool has_value = false;
    bool fetching = false;
  };
  std::mutex mutex_;
  std::condition_variable landed_;
  std::unordered_map<std::uint64_t, entry> entries_;  // references to its entries stay good
};

// ---- the cases

enum class kept : std::uint8_t { fresh, stale };

template <class Contender, kept Kept>
void hit(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& cache = *bench::shared<Contender>::all[0];
  const time_point at = Kept == kept::fresh ? start : start + 10s;
  if (state.thread_index() == 0) {
    for (std::uint64_t key = 0; key < keys; ++key) {
      static_cast<void>(cache.read(key, start, [key] { return key * 3; }));
      if (Kept == kept::stale) cache.refresh_without_end(key, at);
    }
  }
  std::uint64_t wrong = 0;
  if (state.threads() > 1) regime.mark();
  std::uint64_t key = static_cast<std::uint64_t>(state.thread_index());
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      key = (key + 1) % keys;
      if (cache.read(key, at, [] { return std::uint64_t{1}; }) != key * 3) [[unlikely]]
        ++wrong;
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (wrong != 0) bench::fail(state, "a value that was kept was not served");
}

// Nothing that is kept may be served any more: each read fetches, alone.
template <class Contender>
void miss(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& cache = *bench::shared<Contender>::all[0];
  time_point at = start;
  std::uint64_t fetches = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      at += fresh_for + stale_for;
      benchmark::DoNotOptimize(cache.read(static_cast<std::uint64_t>(i), at, [&fetches] { return ++fetches; }));
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (fetches != static_cast<std::uint64_t>(state.iterations()) * batch) bench::fail(state, "a miss was not fetched");
}

struct herd_state {
  holdfast::atomic<std::uint64_t> arrived{0};
  holdfast::atomic<std::uint64_t> fetches{0};
};
template <class Contender>
struct herd_of : Contender, herd_state {};

template <class Contender>
void herd(benchmark::State& state) {
  const bench::pinned pin(state);
  auto& cache = *bench::shared<herd_of<Contender>>::all[0];
  const auto threads = static_cast<std::uint64_t>(state.threads());
  std::uint64_t round = 0;
  std::uint64_t wrong = 0;
  bool in_vain = false;
  for (auto _ : state) {
    ++round;
    cache.arrived.fetch_add(1, mo::acq_rel);
    in_vain = in_vain || !bench::waited(bench::manner_for(state),
                                        [&] { return cache.arrived.load(mo::acquire) >= round * threads; });
    const std::uint64_t got = cache.read(round % 2048, start + fresh_for * 100 * static_cast<std::int64_t>(round), [&] {
      cache.fetches.fetch_add(1, mo::relaxed);
      for (int i = 0; i < 10; ++i) holdfast::give_way();
      return round * 3;
    });
    if (got != round * 3) ++wrong;
  }
  if (in_vain) bench::fail(state, "a thread did not come");
  if (wrong != 0) bench::fail(state, "a wrong value");
  if (state.thread_index() == 0 && cache.fetches.load(mo::acquire) != round) bench::fail(state, "not one fetch a herd");
}

// ---- the rows

template <class Contender>
void row(const char* test_case, const char* contender, void (*function)(benchmark::State&), int threads = 1) {
  bench::add("single_flight", test_case, contender, function)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  row<ours>("hit_1_thread", "holdfast", hit<ours, kept::fresh>);
  row<mutex_and_map>("hit_1_thread", "std_mutex", hit<mutex_and_map, kept::fresh>);
  row<ours>("hit_2_threads", "holdfast", hit<ours, kept::fresh>, 2);
  row<mutex_and_map>("hit_2_threads", "std_mutex", hit<mutex_and_map, kept::fresh>, 2);
  row<ours>("stale_1_thread", "holdfast", hit<ours, kept::stale>);
  row<mutex_and_map>("stale_1_thread", "std_mutex", hit<mutex_and_map, kept::stale>);
  row<ours>("stale_2_threads", "holdfast", hit<ours, kept::stale>, 2);
  row<mutex_and_map>("stale_2_threads", "std_mutex", hit<mutex_and_map, kept::stale>, 2);
  row<ours>("miss_1_thread", "holdfast", miss<ours>);
  row<mutex_and_map>("miss_1_thread", "std_mutex", miss<mutex_and_map>);
  row<herd_of<ours>>("herd_4_threads", "holdfast", herd<ours>, 4);
  row<herd_of<mutex_and_map>>("herd_4_threads", "std_mutex", herd<mutex_and_map>, 4);
  return true;
}();

}  // namespace
