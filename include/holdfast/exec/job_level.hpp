// SPDX-License-Identifier: MIT
// job_level: what waits at one level of a job_scheduler: jobs in the order in which they came, jobs with deadlines, and runnables.
//
// Three kinds, each in an order of its own; which comes first is the picker's rule (job_scheduler.hpp). Runnables have no slot
// and no limit: they lie where they are, and one worker at a time takes from their list; who finds another one at it passes on.
//
// Proof: unit/job_scheduler_test.cpp, model/job_ring_model.cpp, model/job_deadlines_model.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/high_mark.hpp"
#include "holdfast/exec/job_deadlines.hpp"
#include "holdfast/exec/job_options.hpp"
#include "holdfast/exec/job_ring.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"
#include "holdfast/telemetry/histogram.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// Where no job has a deadline.
struct no_job_deadlines {
  explicit no_job_deadlines(time_point /*origin*/) noexcept {}
  static bool ready() noexcept { return false; }
  static bool pop(std::uint32_t& /*number*/) noexcept { return false; }
};
// Where nothing is measured.
struct no_job_times {};
struct job_times {
  high_mark<std::uint64_t> most;
  histogram waited;
  histogram ran;
};

// A list of runnables that many put in and one at a time takes from.
class posted_jobs {
 public:
  void push(runnable& what) noexcept {
    posts_.fetch_add(1, mo::relaxed);  // counter: before it is there, so that none is run that is not counted
    list_.push(what);
  }
  // The oldest one; null: there is none, or another thread is at it, or a push is under way.
  [[nodiscard]] runnable* pop() noexcept {
    if (list_.empty()) return nullptr;
    // [PJ1] acquire, pairs with [PJ2]: what the last one left of the list
    if (taken_.exchange(true, mo::acquire)) return nullptr;
    runnable* what = nullptr;
    static_cast<void>(list_.try_pop(what));
    taken_.store(false, mo::release);  // [PJ2] release, pairs with [PJ1]: as there
    return what;
  }
  [[nodiscard]] bool ready() const noexcept { return !list_.empty(); }
  [[nodiscard]] std::uint64_t posts() const noexcept { return posts_.load(mo::relaxed); }  // counter: see drain

 private:
  intrusive_mpsc_list<runnable> list_;
  alignas(cache_line_size) atomic<bool> taken_{false};
  atomic<std::uint64_t> posts_{0};
};

template <job_shape Shape>
struct job_level {
  explicit job_level(time_point origin) : timely(origin) {}

  [[nodiscard]] bool ready() const noexcept { return fifo.ready() || posted.ready() || timely.ready(); }

  // Or is something under way? To be asked by who has said that he searches no more.
  [[nodiscard]] bool any() const noexcept { return timely.ready() || posted.ready() || fifo.any(); }

  job_ring<Shape.jobs> fifo;
  std::conditional_t<Shape.deadlines, job_deadlines<Shape.jobs>, no_job_deadlines> timely;
  posted_jobs posted;

  // By whoever does it.
  alignas(cache_line_size) atomic<std::uint64_t> with_deadline{0};
  atomic<std::uint64_t> cancelled{0};
  atomic<std::uint64_t> shed{0};
  atomic<std::uint64_t> refused{0};
  [[no_unique_address]] std::conditional_t<Shape.measured, job_times, no_job_times> times;
};

}  // namespace holdfast
