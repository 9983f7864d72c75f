// SPDX-License-Identifier: MIT
// mutex_breaker: the breaker that people write. Nothing clever and nothing silly: what a careful programmer has after an
// afternoon, with a std::mutex around a state, a ring of ten counting buckets and an open-until time point.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include <benchmark/benchmark.h>

#include "holdfast/time/clock.hpp"

namespace holdfast::bench {

using namespace std::chrono_literals;

class mutex_breaker {
 public:
  bool admit(time_point now) {
    const std::lock_guard lock(mutex_);
    switch (state_) {
      case state::closed: return true;
      case state::open:
        if (now < open_until_) return false;
        state_ = state::half_open;
        probes_ = passed_ = 0;
        [[fallthrough]];
      case state::half_open:
        if (probes_ == 3) return false;
        ++probes_;
        return true;
    }
    return true;
  }
  void success(time_point now) {
    const std::lock_guard lock(mutex_);
    if (state_ == state::half_open) {
      if (++passed_ == 3) {
        state_ = state::closed;
        buckets_ = {};
      }
      return;
    }
    ++bucket_at(now).ok;
  }
  void failure(time_point now) {
    const std::lock_guard lock(mutex_);
    if (state_ == state::half_open) return trip(now);
    ++bucket_at(now).failed;
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
    const auto epoch = now.time_since_epoch() / 1s;
    for (const auto& b : buckets_) {
      if (epoch - b.epoch < 10) {
        ok += b.ok;
        failed += b.failed;
      }
    }
    if (ok + failed >= 20 && failed * 2 >= ok + failed) trip(now);
  }

  bool call(time_point now) {
    if (!admit(now)) return false;
    benchmark::ClobberMemory();  // here the call would be
    success(now);
    return true;
  }
  void open(time_point now) {
    for (int i = 0; i < 20; ++i) failure(now);
  }
  std::uint64_t succeeded(time_point) {
    std::uint64_t ok = 0;
    for (const auto& b : buckets_) ok += b.ok;
    return ok;
  }

 private:
  enum class state { closed, open, half_open };
  struct bucket {
    std::int64_t epoch = 0;
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
  };
  bucket& bucket_at(time_point now) {
    const auto epoch = now.time_since_epoch() / 1s;
    bucket& b = buckets_[static_cast<std::size_t>(epoch % 10)];
    if (b.epoch != epoch) b = {.epoch = epoch};
    return b;
  }
  void trip(time_point now) {
    state_ = state::open;
    open_until_ = now + 1s;
  }

  std::mutex mutex_;
  state state_ = state::closed;
  int probes_ = 0;
  int passed_ = 0;
  time_point open_until_{};
  std::array<bucket, 10> buckets_{};
};

}  // namespace holdfast::bench
