// SPDX-License-Identifier: MIT
// simulated_callee: a service with so many workers and a queue before them (M/M/c), asked by a crowd that does not care how it
// goes: calls come at random at a rate, are let in while fewer than a limit are under way, and are given up after a timeout
// while the callee works on. Time is virtual and the seed repeats a run to the nanosecond.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/adaptive_limit.hpp"

namespace test_support {

struct callee_options {
  unsigned workers = 40;
  double work_ms = 20;  // of a call, on average; exponential
  double calls_a_second = 1000;
  double timeout_ms = 1'000;
  std::uint64_t seed = 1;
};

class simulated_callee {
 public:
  simulated_callee(const callee_options& o, holdfast::adaptive_limit& limit)
      : options(o), limit_(limit), bits_(o.seed), free_at_(o.workers, 0), room_(limit.limit()) {
    next_call_ = draw(1e3 / options.calls_a_second);
  }

  // Goes on for so long.
  void run(holdfast::duration span) {
    const std::int64_t until = now_ + span.count();
    while (std::min(next_call_, next_end()) <= until) {
      if (next_call_ < next_end()) {
        now_ = next_call_;
        next_call_ = now_ + draw(1e3 / options.calls_a_second);
        begin();
      } else {
        now_ = next_end();
        end();
      }
    }
    now_ = until;
  }

  [[nodiscard]] holdfast::time_point now() const { return holdfast::time_point(start + holdfast::duration(now_)); }

  callee_options options;  // may change between runs
  std::uint64_t answered = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t refused = 0;
  std::uint64_t uncounted = 0;
  std::uint32_t lowest = ~0U;  // limits that were set
  std::uint32_t highest = 0;

 private:
  static constexpr holdfast::duration start = std::chrono::hours(1);
  struct call {
    std::int64_t ends;
    bool in_time;
    holdfast::adaptive_limit::ticket ticket;
    friend bool operator<(const call& a, const call& b) { return a.ends > b.ends; }  // the first to end on top
  };

  std::int64_t draw(double mean_ms) {
    const double uniform = (static_cast<double>(bits_() >> 11U) + 1) * 0x1p-53;
    return 1 + static_cast<std::int64_t>(-std::log(uniform) * mean_ms * 1e6);
  }
  [[nodiscard]] std::int64_t next_end() const { return calls_.empty() ? INT64_MAX : calls_.top().ends; }

  void begin() {
    if (calls_.size() >= room_) {
      ++refused;
      return;
    }
    auto worker = std::min_element(free_at_.begin(), free_at_.end());
    *worker = std::max(*worker, now_) + draw(options.work_ms);
    const std::int64_t given_up = now_ + static_cast<std::int64_t>(options.timeout_ms * 1e6);
    const auto in_flight = static_cast<std::uint32_t>(calls_.size() + 1);
    calls_.push({std::min(*worker, given_up), *worker <= given_up, limit_.begin(now(), in_flight)});
  }
  void end() {
    const call over = calls_.top();
    calls_.pop();
    ++(over.in_time ? answered : timed_out);
    const auto said = limit_.end(over.ticket, over.in_time ? holdfast::verdict::ok : holdfast::verdict::timeout, now());
    if (!said.counted) ++uncounted;
    room_ = said.limit;
    lowest = std::min(lowest, room_);
    highest = std::max(highest, room_);
  }

  holdfast::adaptive_limit& limit_;
  holdfast::splitmix64 bits_;
  std::vector<std::int64_t> free_at_;  // when each worker will be
  std::priority_queue<call> calls_;
  std::int64_t now_ = 0;
  std::int64_t next_call_ = 0;
  std::uint32_t room_;
};

}  // namespace test_support
