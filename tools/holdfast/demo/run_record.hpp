// SPDX-License-Identifier: MIT
// Everything that was seen of one run of the timeline; the checks, the summary and the report are made from it alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "demo/client_counts.hpp"
#include "demo/load.hpp"
#include "demo/log_check.hpp"
#include "demo/server_view.hpp"
#include "demo/timeline.hpp"

namespace holdfast::demo {

// What the service was told about the guards of every dependency, so that the checks know what to hold it to.
struct guard_rules {
  std::uint32_t consecutive_failures = 10;
  std::uint32_t failure_permille = 500;
  std::uint32_t slow_permille = 0;
  milliseconds slow_call{0};
  std::uint32_t min_calls = 20;
  std::uint32_t probes = 3;
  std::uint32_t budget_permille = 100;
  std::uint32_t budget_min_per_second = 10;
  breaker_times times{};
};

struct sample {
  milliseconds at{};  // since the start of the run, when it was taken
  milliseconds span{};
  client_counts client;  // within the span
  server_view server;
};

struct event {
  milliseconds at{};  // when it was begun, really
  fault what{};
  bool begins = true;
};

struct run_record {
  bool policies = true;
  timeline plan;
  guard_rules rules;
  std::vector<sample> samples;
  std::vector<event> events;
  std::vector<request_fate> fates;
  std::string id_prefix;
  std::int64_t wall_start_ms = 0;  // wall time of the run's start, to place log lines on its time axis
  milliseconds ready_after{};      // from starting the process to its ready line
  int exit_code = -1;
  milliseconds drained_in{};
  std::string log_file;
  log_facts log;
  std::string trouble;  // what kept the run from being one; empty: nothing
};

struct window {
  milliseconds from{};
  milliseconds to{};
};
inline constexpr window whole_run{milliseconds::min(), milliseconds::max()};

inline milliseconds time_of(const run_record& run, fault what, bool begins, milliseconds otherwise) {
  for (const event& e : run.events) {
    if (e.what == what && e.begins == begins) return e.at;
  }
  return otherwise;
}
inline window before_faults(const run_record& run) {
  return {run.plan.judged_from, run.events.empty() ? run.plan.first_fault() : run.events.front().at};
}
inline window during_faults(const run_record& run) {
  return {run.events.empty() ? run.plan.first_fault() : run.events.front().at,
          run.events.empty() ? run.plan.last_heal() : run.events.back().at};
}
// All samples that lie in the window wholly.
inline client_counts counts_in(const run_record& run, window w) {
  client_counts sum;
  for (const sample& s : run.samples) {
    if (s.at - s.span >= w.from && s.at <= w.to) sum.add(s.client);
  }
  return sum;
}

}  // namespace holdfast::demo
