// SPDX-License-Identifier: MIT
// job_metrics: what became of the jobs of a level; job_watch: which workers have been at one job for long. See job_scheduler.hpp.
//
// Proof: unit/job_scheduler_test.cpp.
//
// accepted == run + cancelled + shed + expired + waiting, and those that run just now.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/job_idle.hpp"
#include "holdfast/telemetry/histogram.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

struct job_metrics {
  std::uint64_t accepted = 0;
  std::uint64_t run = 0;  // to their end, well or not
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t shed = 0;
  std::uint64_t expired = 0;
  std::uint64_t refused = 0;
  std::uint64_t resumed = 0;  // runnables
  std::uint64_t waiting = 0;
  // Of a shape that is measured.
  std::uint64_t most_waiting = 0;
  histogram_snapshot waited{};
  histogram_snapshot ran{};
};

// What a worker counts of a level; written by it alone.
struct job_counts {
  atomic<std::uint64_t> begun{0};
  atomic<std::uint64_t> run{0};
  atomic<std::uint64_t> failed{0};
  atomic<std::uint64_t> expired{0};
  atomic<std::uint64_t> resumed{0};
  atomic<std::uint64_t> local{0};  // submitted to its own lane
};

// An observer's memory of what the workers were at. It is asked from time to time: to it, a job that began since the last time is
// not older than that.
class job_watch {
 public:
  // Since when this worker has been seen at this; nothing: it is at nothing.
  std::optional<time_point> look(unsigned worker, std::uint64_t at, time_point now) noexcept {
    seen& last = seen_[worker];
    if (at != last.at) last = {at, now};
    if (at == 0) return std::nullopt;
    return last.since;
  }

 private:
  struct seen {
    std::uint64_t at = 0;
    time_point since{};
  };
  std::array<seen, job_idle::most_workers> seen_{};
};

}  // namespace holdfast
