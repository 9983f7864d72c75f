// SPDX-License-Identifier: MIT
// What every benchmark suite shares: the naming rule, pinning, the check of what was measured.
//
// A suite is one file, bench/<stem>_bench.cpp, and one executable, bench_<stem>. Each row is named
//
//     <stem>/<case>/<contender>          spsc_queue/u64_1024_stream/boost_fixed
//
//   case        what is done, the same for every contender; described in bench/suites.json
//   contender   holdfast or holdfast_<variant>: ours; floor_<what>: a limit of the machine or of the method, not a
//               rival; any other name: a peer, called as its package is
//   measure     SetItemsProcessed() given: items per second, more is better. Not given: time per iteration, less is
//               better. Counters ending in _ns (p99_ns) become measures of their own, less is better.
//   goal        a line in bench/goals.json
//
// The rules: peers are rows of the same process, registered beside ours with the same function template; what came out
// is checked in every sample (fail() makes the program end with 1); waiting loops yield; every loop is bounded by the
// benchmark's own iteration count. Registration is by add() inside one static registrar per file:
//
//     const bool registered = [] {
//       bench::add("circuit_breaker", "admit_closed_1_thread", "holdfast", admit<holdfast_breaker>);
//       bench::add("circuit_breaker", "admit_closed_2_threads", "std_mutex", admit<mutex_breaker>)->Threads(2);
//       return true;
//     }();
//
// Time is always wall time. Threads(n) gives n threads, whose `bench::pinned pin(state)` puts thread i on core i mod
// the number of cores; without it they go where the kernel likes. With more threads than cores the mean of the threads'
// own times says little, as some may be done before others begin: let them all wait for each other inside the timed loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "holdfast/core/atomic.hpp"

namespace holdfast::bench {

// The cores that pinned threads use, best ones first: HOLDFAST_BENCH_CORES=2,3 or the first allowed ones, one per
// physical core. Empty: this machine or this container does not let us pin, and why_not_pinned() says it.
const std::vector<int>& cores();
const std::string& why_not_pinned();

template <class Function>
benchmark::internal::Benchmark* add(std::string_view suite, std::string_view test_case, std::string_view contender,
                                    Function function) {
  std::string name;
  name.append(suite).append("/").append(test_case).append("/").append(contender);
  return benchmark::RegisterBenchmark(name.c_str(), function)->UseRealTime();
}

// Is this run only to see that all still works? (Samples of less than 5 ms are asked for: tools/bench --smoke, the tests.)
// What is large may be small then.
[[nodiscard]] bool only_a_trial();

// A sample whose result is wrong has no speed. Call it after the timed loop; the program will end with 1.
void fail(benchmark::State& state, const char* why);
[[nodiscard]] int failures();

// Pins the calling thread for its lifetime, or leaves it where it is when the machine cannot pin.
class pinned {
 public:
  explicit pinned(const benchmark::State& state);
  explicit pinned(unsigned place);
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;
  ~pinned();

 private:
  void pin(unsigned place);

  std::vector<std::uint8_t> before_{};  // the affinity mask to give back
};

// How a thread waits for another one in a benchmark, the same for every contender. An eager wait looks again after one
// pause: for round trips. A patient one doubles its pauses up to 32: for streams, where whoever looks at every
// moment takes the line away from the one that it waits for. With how many it begins, each thread learns: with more where
// the first look after them finds what it waits for, with fewer where it does not. Both give the core away in the end. A
// crowded one gives it away each time once its pauses are that long: for more threads than cores, where the one that it
// waits for may well be waiting for this core.
class waiter {
 public:
  enum class manner : std::uint8_t { eager, patient, crowded };
  explicit waiter(manner how = manner::eager) noexcept
      : longest_(how == manner::eager ? 1 : 32), crowded_(how == manner::crowded) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;
  ~waiter() {
    if (rounds_ != 0) learn();
  }

  // Apart, as is all that happens while nothing is to be done: so the contenders are compiled as they would be without it.
  void operator()() noexcept;
  // It has waited for so long (ten seconds) that nothing will come: something is broken.
  [[nodiscard]] bool in_vain() const noexcept { return in_vain_; }

 private:
  void learn() noexcept;
  void give_way() noexcept;
  std::int64_t begun_ns_ = 0;
  unsigned longest_;
  unsigned pauses_ = 1;
  unsigned rounds_ = 0;
  bool crowded_;
  bool in_vain_ = false;
};
// Until `ready()`; false if it was waited for in vain.
template <class Ready>
[[nodiscard]] bool waited(waiter::manner how, Ready&& ready) {
  waiter wait(how);
  while (!ready()) {
    wait();
    if (wait.in_vain()) return false;
  }
  return true;
}
// Patient or crowded, by how many threads the benchmark has for its cores.
waiter::manner manner_for(const benchmark::State& state);

// Two virtual cores may be siblings of one core now and not a minute later, which changes every two-thread figure
// several times over. All threads of a Threads(n) benchmark call mark() before and after the timed loop: the first two
// play ping-pong over one cache line and report the undisturbed round trip as counter regime_ns, and by how much the
// two differ as regime_drift; by these the report keeps only samples of one kind. The others go on to where Google
// Benchmark lets them sleep until all have come, or end, so that they disturb nobody.
class regime {
 public:
  explicit regime(benchmark::State& state) noexcept : state_(state) {}
  void mark();
  void report();

 private:
  benchmark::State& state_;
  double lowest_ns_ = 0;
  double highest_ns_ = 0;
  unsigned marks_ = 0;
};

}  // namespace holdfast::bench
