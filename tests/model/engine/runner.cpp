// SPDX-License-Identifier: MIT
#include "model/engine/runner.hpp"

#include <cstdio>

#include "model/engine/engine.hpp"

namespace holdfast_model {

run_summary run_with_deaths(const scenario& s) {
  run_summary all;
  const auto good = [](const search_result& r, const search_options& o) {
    return !r.failed && (r.complete || o.random != 0 || o.executions != 0);
  };
  const auto add = [&](const search_result& r) {
    all.executions += r.executions;
    all.seconds += r.seconds;
    all.last = r;
  };
  add(engine::instance().explore(s, s.options));
  all.good = s.options.refutes ? all.last.failed : good(all.last, s.options);
  if (s.after_death == nullptr || !s.options.dies || s.options.refutes) return all;
  for (thread_id t = 1; t <= s.threads && all.good; ++t) {
    // Up to the first step that the thread does not live to in any execution.
    for (unsigned steps = 1; all.good; ++steps) {
      search_options o = s.options;
      o.victim = t;
      o.victim_steps = steps;
      add(engine::instance().explore(s, o));
      all.good = good(all.last, o);
      if (!all.good) {
        all.victim = t;
        all.victim_steps = steps;
      }
      if (!all.last.victim_died) break;
      ++all.deaths;
    }
  }
  return all;
}

const scenario* first_to_fail(const std::vector<const scenario*>& scenarios, effort most, run_summary& failure) {
  for (const effort e : {effort::at_random, effort::without_deaths, effort::whole}) {
    if (e > most) break;
    for (const scenario* s : scenarios) {
      scenario tried = *s;
      if (e == effort::at_random) {
        if (tried.options.refutes) continue;
        tried.options.random = 2'000;
      }
      if (e != effort::whole) tried.options.dies = false;
      failure = run_with_deaths(tried);
      if (!failure.good) return s;
    }
  }
  return nullptr;
}

void tell(const scenario& s, const run_summary& r) {
  const char* const how = s.options.refutes ? (r.good ? "refuted" : "NOT REFUTED")
                          : r.last.failed   ? "FAILED"
                          : r.last.complete ? "complete"
                          : r.good          ? "ran"
                                            : "NOT COMPLETE";
  std::printf("%-12s %-18s %-34s %9llu executions", how, s.part, s.name, static_cast<unsigned long long>(r.executions));
  if (r.deaths != 0) std::printf(", %u deaths", r.deaths);
  std::printf("  %.2f s\n", r.seconds);
  if (r.good || !r.last.failed) return;
  std::printf("  %s\n%s  again: --replay %s %s", r.last.why.c_str(), r.last.trace.c_str(), r.last.replay.c_str(),
              s.name);
  if (r.victim != 0) std::printf("  (with T%u dying after %u steps)", r.victim, r.victim_steps);
  std::printf("\n");
}

}  // namespace holdfast_model
