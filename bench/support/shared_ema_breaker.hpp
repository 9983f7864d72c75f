// SPDX-License-Identifier: MIT
// shared_ema_breaker: a breaker of atomics alone, in the shape in which brpc has one, written for this bench. No lock, and no
// window: moving averages over a long and a short stretch of calls, of what a call takes and of what failures cost, which
// all threads share. Each call that succeeds moves both averages of what it takes, by a compare-and-swap each; what failures
// cost is written only while there are any. It is what "lock-free" costs where all threads write the same words.
//
// A failure costs what it took, at most twice what calls take; the circuit opens when the cost in one of the stretches is above
// its share of what all calls take there. As in brpc, the caller brings the latency and no clock is read.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>

#include <benchmark/benchmark.h>

#include "holdfast/core/atomic.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast::bench {

class shared_ema_breaker {
 public:
  bool admit(time_point now) const {
    return now.time_since_epoch().count() >= open_until_.load(mo::relaxed);  // hint: each word stands for itself
  }
  // `latency` in microseconds.
  void success(std::int64_t latency) {
    for (stretch& s : stretches_) s.success(latency);
  }
  void failure(std::int64_t latency, time_point now) {
    bool healthy = true;
    for (stretch& s : stretches_) healthy = s.failure(latency) && healthy;
    if (healthy) return;
    for (stretch& s : stretches_) s.forget();
    open_until_.store((now + std::chrono::seconds(1)).time_since_epoch().count(), mo::relaxed);  // hint: as above
  }

  bool call(time_point now) {
    if (!admit(now)) return false;
    std::int64_t latency = 1000;
    benchmark::DoNotOptimize(latency);  // here the call would be
    success(latency);
    return true;
  }
  void open(time_point now) {
    for (int i = 0; i < 3000 && admit(now); ++i) failure(1000, now);
  }
  // It keeps no count: an average of what was reported, or nothing.
  std::uint64_t succeeded(time_point) { return static_cast<std::uint64_t>(stretches_[0].usual()); }

 private:
  class stretch {
   public:
    stretch(double calls, double share) : keep_(std::pow(0.02, 1 / calls)), most_(calls * share) {}
    [[nodiscard]] std::int64_t usual() const { return usual_.load(mo::relaxed); }  // hint: as above
    void success(std::int64_t latency) {
      exchange(usual_, [&](std::int64_t seen) { return seen == 0 ? latency : moved(seen, latency); });
      if (cost_.load(mo::relaxed) == 0) return;  // hint: as above
      exchange(cost_, [&](std::int64_t seen) { return moved(seen, 0); });
    }
    bool failure(std::int64_t latency) {
      const std::int64_t of_all = usual();
      const std::int64_t cost = of_all == 0 ? latency : std::min(latency, 2 * of_all);
      const std::int64_t before = cost_.fetch_add(cost, mo::relaxed);  // counter:
      return static_cast<double>(before + cost) <= static_cast<double>(of_all) * most_;
    }
    void forget() { cost_.store(0, mo::relaxed); }  // hint: as above

   private:
    [[nodiscard]] std::int64_t moved(std::int64_t seen, std::int64_t to) const {
      return static_cast<std::int64_t>(static_cast<double>(seen) * keep_ + static_cast<double>(to) * (1 - keep_));
    }
    template <class Next>
    static void exchange(atomic<std::int64_t>& word, Next next) {
      std::int64_t seen = word.load(mo::relaxed);  // hint: the exchange decides
      // counter: a failure is tried again
      while (!word.compare_exchange_weak(seen, next(seen), mo::relaxed, mo::relaxed)) {
      }
    }

    double keep_;
    double most_;
    atomic<std::int64_t> usual_{0};
    atomic<std::int64_t> cost_{0};
  };

  atomic<std::int64_t> open_until_{0};
  std::array<stretch, 2> stretches_{stretch{3000, 0.05}, stretch{1500, 0.10}};
};

}  // namespace holdfast::bench
