// SPDX-License-Identifier: MIT
// job_shape, job_options, job_order: how large a job_scheduler is, how it picks, and what is said of one job.
//
// See job_scheduler.hpp. Proof: unit/job_scheduler_test.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "holdfast/core/option_error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/exec/job_idle.hpp"
#include "holdfast/exec/job_slots.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// Known when it is compiled, as a template's argument: job_scheduler<job_shape{.jobs = 4096, .levels = 4}>.
struct job_shape {
  std::size_t jobs = 1024;  // how many may wait or run at the same time, of all levels together: a power of two
  unsigned levels = 8;      // 2 to 64; level 0 comes first
  std::size_t bytes = 48;   // of a callable: with 48 a job is a line
  bool deadlines = false;   // jobs with deadlines come first, the earliest of them first
  bool measured = false;    // how long jobs wait and run, and the highest depth: costs two looks at the clock a job
};
constexpr option_error validate(const job_shape& s) noexcept {
  const auto jobs = static_cast<std::int64_t>(s.jobs);
  return first_of(at_least("jobs", jobs, 2), at_most("jobs", jobs, std::int64_t{1} << 24U),
                  std::has_single_bit(s.jobs) ? option_error{} : option_error{"jobs", jobs, "a power of two", 0},
                  at_least("levels", s.levels, 2), at_most("levels", s.levels, 64),
                  at_least("bytes", static_cast<std::int64_t>(s.bytes), 8),
                  at_most("bytes", static_cast<std::int64_t>(s.bytes), 4096));
}

// What became of a job, other than that it ran well or was cancelled by its handle.
enum class job_end : std::uint8_t {
  failed,    // it threw, or returned an error
  shed,      // it made room for one of a higher level
  expired,   // its deadline had passed before its turn came
  cancelled  // by cancel_all or at the end of the scheduler
};
struct job_news {
  job_handle job{};
  unsigned level = 0;
  job_end what = job_end::failed;
  error why{};  // of a failed one
};
// Told once for each, on the thread on which it happened, from the middle of a pick or a submit: so it only notes it down.
struct job_listener {
  void (*tell)(void* context, const job_news& news) noexcept = nullptr;
  void* context = nullptr;
};

enum class job_overload : std::uint8_t {
  refuse,      // whoever finds it full is told so, or waits
  shed_lowest  // the oldest job of the lowest level below his makes room
};

struct job_options {
  std::string_view name = "job";  // of the threads
  unsigned workers = 2;
  unsigned ageing =
      16;  // every so many picks of a worker one is offered to a lower level; 0: never, which lets them starve
  job_overload overload = job_overload::refuse;
  bool local =
      false;  // jobs submitted by a job to its own level go to its worker's own lane, and not behind all others
  bool run_late = true;                // a job whose deadline has passed: is run, or dropped and told of
  std::array<std::size_t, 64> most{};  // how many of a level may wait; 0: as many as there is room for
  job_listener listener{};
};
constexpr option_error validate(const job_options& o) noexcept {
  return first_of(at_least("workers", o.workers, 1), at_most("workers", o.workers, job_idle::most_workers),
                  at_most("ageing", o.ageing, 1'000'000));
}

// What is said of one job beside its callable.
struct job_order {
  unsigned level = 0;
  deadline until{};  // never: in the order in which it came
};

enum class job_refusal : std::uint8_t { none, full, level_full, closed };

// Of a job that was accepted, its handle; else why it was not, and it is still the caller's.
struct [[nodiscard]] job_receipt {
  job_handle job{};
  job_refusal why = job_refusal::none;
  constexpr explicit operator bool() const noexcept { return why == job_refusal::none; }
};

}  // namespace holdfast
