// SPDX-License-Identifier: MIT
// What the long stress programs share: a run is a sequence of rounds, each with a seed of its own and a known number of
// operations, until the time or the operations that were asked for are used up or a check has failed.
//
// A round is repeated by the run's seed and its number, because both are all that its traffic is made from; how the
// threads meet in it is up to the machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"

#include "support/patience.hpp"

namespace soak {

namespace mo = holdfast::mo;

struct options {
  double seconds = 10;
  std::uint64_t operations = ~std::uint64_t{0};
  std::uint64_t seed = 1;
  bool sabotage = false;  // each suite does one thing wrong, to show that its checks see it
};

// One suite's run. The round's owner calls everything but what says that any thread may.
class run {
 public:
  run(std::string_view suite, const options& chosen) : suite_(suite), chosen_(chosen), next_seed_(chosen.seed) {}

  // Begins the next round, if there is to be one.
  bool next_round();
  std::uint64_t round_seed() const { return round_seed_; }
  // `wanted` operations, or as many as are left to do.
  std::uint64_t at_most(std::uint64_t wanted) const;
  void did(std::uint64_t operations, std::uint64_t batched = 0);
  // For rounds whose threads wait for each other, which can take long on a busy machine: end it where it is. Any thread.
  bool time_is_over() const { return !chosen_.sabotage && seconds() >= chosen_.seconds; }
  bool sabotage() const { return chosen_.sabotage; }

  // Counts a failure and says which, if `holds` is false. Any thread.
  void expect(bool holds, std::string_view what);

  std::uint64_t operations() const { return operations_; }
  std::uint64_t batched() const { return batched_; }
  std::uint64_t failures() const { return failures_; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count(); }

 private:
  std::string_view suite_;
  options chosen_;
  holdfast::splitmix64 next_seed_;
  std::uint64_t round_seed_ = 0;
  std::uint64_t rounds_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t batched_ = 0;
  std::mutex failing_;
  std::uint64_t failures_ = 0;
  double said_ = 0;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

// Runs all of them at once and joins them.
void together(const std::vector<std::function<void()>>& bodies);

using test_support::patience;

struct suite {
  std::string_view name;
  std::string_view operation;  // what counts as one
  void (*play)(run&);
};

void play_breaker(run& r);
void play_broadcast(run& r);
void play_budget(run& r);
void play_bulkhead(run& r);
void play_cache(run& r);
void play_log(run& r);
void play_metrics(run& r);
void play_queue(run& r);
void play_rate(run& r);
void play_ring(run& r);
void play_waiting(run& r);

}  // namespace soak
