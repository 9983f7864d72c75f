// SPDX-License-Identifier: MIT
// circuit_breaker beside the breaker that people write: a std::mutex around a state, a ring of ten counting buckets and
// an open-until time point. Both have the same rule (half of at least 20 calls in 10 s), both are handed the same `now`,
// so no clock is measured: the mutex alone is compared. Breakers that are found in the wild read a clock of their own each
// time they are asked and told, and their users pay for it; std_mutex_own_clock is the same mutex_breaker used like that.
// shared_ema is a breaker without a lock, in the shape of brpc's: averages over a long and a short stretch of calls, which all
// threads share and each call that ends moves by an exchange each (support/shared_ema_breaker.hpp). It has no window, and its
// caller brings the latency.
// The floors are what the machine wants for the least that such a call could do.
//
// The loops are tight and the lines warm: these are costs of throughput. 32 calls are one iteration of a sample, so that
// the sample's own counting does not weigh as much as the call. Results pass through an opaque value each time.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/compact_breaker.hpp"

#include "support/bench.hpp"
#include "support/mutex_breaker.hpp"
#include "support/shared.hpp"
#include "support/shared_ema_breaker.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using bench::mutex_breaker;
using bench::shared_ema_breaker;
using holdfast::duration;
using holdfast::time_point;
using holdfast::verdict;
using namespace std::chrono_literals;

constexpr int batch = 32;
constexpr time_point start{1000s};

// ---- the contenders: admit(now) says whether the call may go on, call(now) makes one that succeeds, open(now) trips it

struct ours {
  holdfast::circuit_breaker breaker{{.failure_permille = 500, .min_calls = 20, .window = 10s, .open_max = 60s}};
  [[gnu::always_inline]] bool admit(time_point now) { return static_cast<bool>(breaker.admit(now)); }
  [[gnu::always_inline]] bool call(time_point now) {
    auto admission = breaker.admit(now);
    if (!admission) return false;
    benchmark::ClobberMemory();  // here the call would be
    return !breaker.report(std::move(admission.ticket), verdict::ok, now).transition;
  }
  void open(time_point now) {
    for (int i = 0; i < 20; ++i) {
      if (auto a = breaker.admit(now)) breaker.report(std::move(a.ticket), verdict::transient, now);
    }
  }
  std::uint64_t succeeded(time_point now) { return breaker.snapshot(now).window_ok; }
};

// The form for very many, which all threads share a line of.
struct compact {
  holdfast::compact_breaker_rules rules{{.rules = {.failure_permille = 500, .min_calls = 20, .window = 10s}}};
  holdfast::compact_breaker breaker;
  [[gnu::always_inline]] bool admit(time_point now) { return static_cast<bool>(breaker.admit(rules, now)); }
  [[gnu::always_inline]] bool call(time_point now) {
    auto admission = breaker.admit(rules, now);
    if (!admission) return false;
    benchmark::ClobberMemory();
    return !breaker.report(std::move(admission.ticket), verdict::ok, now).transition;
  }
  void open(time_point now) {
    for (int i = 0; i < 20; ++i) {
      if (auto a = breaker.admit(rules, now)) breaker.report(std::move(a.ticket), verdict::transient, now);
    }
  }
  std::uint64_t succeeded(time_point now) { return breaker.snapshot(rules, now).window_ok; }
};

// The same with a clock of its own: what it is handed is not looked at.
struct mutex_breaker_own_clock : mutex_breaker {
  bool call(time_point) {
    if (!admit(holdfast::steady_clock::now())) return false;
    benchmark::ClobberMemory();
    success(holdfast::steady_clock::now());
    return true;
  }
};

// Ours with the rule of slow calls, which wants to know how long each call took: two readings, which serve all else too.
struct ours_by_the_clock {
  holdfast::circuit_breaker breaker{
      {.failure_permille = 500, .slow_call = 1s, .slow_permille = 500, .min_calls = 20, .window = 10s}};
  [[gnu::always_inline]] bool call(time_point) {
    const time_point begun = holdfast::steady_clock::now();
    auto admission = breaker.admit(begun);
    if (!admission) return false;
    benchmark::ClobberMemory();
    const time_point ended = holdfast::steady_clock::now();
    return !breaker.report(std::move(admission.ticket), verdict::ok, ended, ended - begun).transition;
  }
  std::uint64_t succeeded(time_point) { return breaker.snapshot(holdfast::steady_clock::now()).window_ok; }
};
// The two readings alone.
struct two_readings {
  [[gnu::always_inline]] bool call(time_point) {
    const time_point begun = holdfast::steady_clock::now();
    benchmark::ClobberMemory();
    return holdfast::steady_clock::now() >= begun;
  }
  std::uint64_t succeeded(time_point) { return 1; }
};

// Of the last hundred calls half may fail, whenever they were: a window that has one order of all results, so that whoever
// keeps it writes where the others do. One call in four fails in the mixed case, which keeps the circuit closed.
struct last_calls {
  holdfast::circuit_breaker breaker{
      {.failure_permille = 0, .last_calls = 100, .last_failure_permille = 500, .last_min_calls = 20}};
  [[gnu::always_inline]] bool call(time_point now, verdict v = verdict::ok) {
    auto admission = breaker.admit(now);
    if (!admission) return false;
    benchmark::ClobberMemory();
    return !breaker.report(std::move(admission.ticket), v, now).transition;
  }
  std::uint64_t succeeded(time_point now) {
    const auto seen = breaker.snapshot(now);
    return seen.last_calls - seen.last_failed;
  }
};
// The same with a std::mutex around a state, a ring of the last hundred results and how many of them failed.
class mutex_last_calls {
 public:
  bool call(time_point now, verdict v = verdict::ok) {
    if (!admit(now)) return false;
    benchmark::ClobberMemory();
    return report(v != verdict::ok, now);
  }
  std::uint64_t succeeded(time_point) { return held_ - failed_; }

 private:
  bool admit(time_point now) {
    const std::lock_guard lock(mutex_);
    return !open_ || now >= open_until_;
  }
  bool report(bool failed, time_point now) {
    const std::lock_guard lock(mutex_);
    if (held_ == results_.size()) {
      failed_ -= results_[next_] ? 1U : 0U;
    } else {
      ++held_;
    }
    results_[next_] = failed;
    next_ = next_ + 1 == results_.size() ? 0 : next_ + 1;
    failed_ += failed ? 1U : 0U;
    if (held_ < 20 || failed_ * 2 < held_) return true;
    open_ = true;
    open_until_ = now + 1s;
    return false;
  }

  std::mutex mutex_;
  bool open_ = false;
  time_point open_until_{};
  std::array<bool, 100> results_{};
  std::size_t next_ = 0;
  std::size_t held_ = 0;
  std::size_t failed_ = 0;
};

// The least that asking could be: one relaxed load of a shared word and a branch that is always predicted.
struct load_and_branch {
  holdfast::atomic<std::uint64_t> word{0};
  [[gnu::always_inline]] bool admit(time_point) {
    return word.load(mo::relaxed) < std::uint64_t{1} << 61U;  // hint: the floor is the cheapest load
  }
};
// The least that counting could be: the same, and a load and a store of a line that is the thread's own.
struct load_branch_and_own_store {
  struct alignas(2 * holdfast::cache_line_size) place {
    holdfast::atomic<std::uint64_t> count{0};
  };
  holdfast::atomic<std::uint64_t> word{0};
  std::array<place, holdfast::breaker_window::slots> places{};
  [[gnu::always_inline]] bool call(time_point) {
    if (word.load(mo::relaxed) >= std::uint64_t{1} << 61U) return false;  // hint: as above
    benchmark::ClobberMemory();
    auto& mine = places[holdfast::thread_slot::current() % holdfast::breaker_window::slots].count;
    mine.store(mine.load(mo::relaxed) + 1, mo::relaxed);  // own: the thread's own line
    return true;
  }
  void open(time_point) {}
  std::uint64_t succeeded(time_point) {
    std::uint64_t sum = 0;
    for (auto& p : places) sum += p.count.load(mo::relaxed);  // counter: after the threads have ended
    return sum;
  }
};
// What the same breaker wants to let a call through: the measure of a refusal.
struct closed_admission : ours {
  void open(time_point) {}
};

// ---- the cases

template <class Contender>
void admit_closed(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& breaker = *bench::shared<Contender>::all[0];
  time_point now = start;
  std::uint64_t refused = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (!breaker.admit(now)) [[unlikely]]
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
void call_closed(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& breaker = *bench::shared<Contender>::all[0];
  time_point now = start;
  std::uint64_t refused = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (!breaker.call(now)) [[unlikely]]
        ++refused;
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (refused != 0) bench::fail(state, "a closed circuit refused a call");
  if (breaker.succeeded(now) == 0) bench::fail(state, "no success was counted");
}

// One call in four fails.
template <class Contender>
void call_mixed(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& breaker = *bench::shared<Contender>::all[0];
  time_point now = start;
  std::uint64_t refused = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (!breaker.call(now, i % 4 == 3 ? verdict::transient : verdict::ok)) [[unlikely]]
        ++refused;
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (refused != 0) bench::fail(state, "a closed circuit refused a call");
  const auto held = std::min<std::int64_t>(state.iterations() * batch, 100);
  if (breaker.succeeded(now) != static_cast<std::uint64_t>(held * 3 / 4))
    bench::fail(state, "the last calls are not what they were");
}

template <class Contender>
void ask_open(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& breaker = *bench::shared<Contender>::all[0];
  time_point now = start;
  breaker.open(now);
  const bool expected = breaker.admit(now);
  if (expected != std::is_same_v<Contender, closed_admission>) bench::fail(state, "the circuit is not as it should be");
  std::uint64_t wrong = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (breaker.admit(now) != expected) [[unlikely]]
        ++wrong;
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (wrong != 0) bench::fail(state, "the circuit changed its mind");
}

// ---- the rows

template <class Contender>
void row(const char* test_case, const char* contender, void (*function)(benchmark::State&), int threads = 1) {
  bench::add("circuit_breaker", test_case, contender, function)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  row<ours>("admit_closed_1_thread", "holdfast", admit_closed<ours>);
  row<compact>("admit_closed_1_thread", "holdfast_compact", admit_closed<compact>);
  row<mutex_breaker>("admit_closed_1_thread", "std_mutex", admit_closed<mutex_breaker>);
  row<load_and_branch>("admit_closed_1_thread", "floor_load_and_branch", admit_closed<load_and_branch>);
  row<ours>("admit_closed_2_threads", "holdfast", admit_closed<ours>, 2);
  row<compact>("admit_closed_2_threads", "holdfast_compact", admit_closed<compact>, 2);
  row<mutex_breaker>("admit_closed_2_threads", "std_mutex", admit_closed<mutex_breaker>, 2);
  row<load_and_branch>("admit_closed_2_threads", "floor_load_and_branch", admit_closed<load_and_branch>, 2);

  row<ours>("call_closed_1_thread", "holdfast", call_closed<ours>);
  row<compact>("call_closed_1_thread", "holdfast_compact", call_closed<compact>);
  row<mutex_breaker>("call_closed_1_thread", "std_mutex", call_closed<mutex_breaker>);
  row<mutex_breaker_own_clock>("call_closed_1_thread", "std_mutex_own_clock", call_closed<mutex_breaker_own_clock>);
  row<shared_ema_breaker>("call_closed_1_thread", "shared_ema", call_closed<shared_ema_breaker>);
  row<load_branch_and_own_store>("call_closed_1_thread", "floor_own_line", call_closed<load_branch_and_own_store>);
  row<ours>("call_closed_2_threads", "holdfast", call_closed<ours>, 2);
  row<compact>("call_closed_2_threads", "holdfast_compact", call_closed<compact>, 2);
  row<mutex_breaker>("call_closed_2_threads", "std_mutex", call_closed<mutex_breaker>, 2);
  row<mutex_breaker_own_clock>("call_closed_2_threads", "std_mutex_own_clock", call_closed<mutex_breaker_own_clock>, 2);
  row<shared_ema_breaker>("call_closed_2_threads", "shared_ema", call_closed<shared_ema_breaker>, 2);
  row<load_branch_and_own_store>("call_closed_2_threads", "floor_own_line", call_closed<load_branch_and_own_store>, 2);

  for (const int threads : {1, 2}) {
    const char* const name = threads == 1 ? "call_by_the_clock_1_thread" : "call_by_the_clock_2_threads";
    row<ours_by_the_clock>(name, "holdfast", call_closed<ours_by_the_clock>, threads);
    row<mutex_breaker_own_clock>(name, "std_mutex", call_closed<mutex_breaker_own_clock>, threads);
    row<two_readings>(name, "floor_two_readings", call_closed<two_readings>, threads);
  }

  row<last_calls>("last_calls_1_thread", "holdfast", call_closed<last_calls>);
  row<mutex_last_calls>("last_calls_1_thread", "std_mutex", call_closed<mutex_last_calls>);
  row<last_calls>("last_calls_2_threads", "holdfast", call_closed<last_calls>, 2);
  row<mutex_last_calls>("last_calls_2_threads", "std_mutex", call_closed<mutex_last_calls>, 2);
  row<last_calls>("last_calls_mixed", "holdfast", call_mixed<last_calls>);
  row<mutex_last_calls>("last_calls_mixed", "std_mutex", call_mixed<mutex_last_calls>);

  row<ours>("refuse_open", "holdfast", ask_open<ours>);
  row<compact>("refuse_open", "holdfast_compact", ask_open<compact>);
  row<mutex_breaker>("refuse_open", "std_mutex", ask_open<mutex_breaker>);
  row<shared_ema_breaker>("refuse_open", "shared_ema", ask_open<shared_ema_breaker>);
  row<closed_admission>("refuse_open", "floor_admit_closed", ask_open<closed_admission>);
  return true;
}();

}  // namespace
