// SPDX-License-Identifier: MIT
// runner: a scenario in all of its runs: whole, and with each of its threads dying after each of its steps.
#pragma once

#include <cstdint>
#include <vector>

#include "model/engine/scenario.hpp"

namespace holdfast_model {

struct run_summary {
  bool good = false;
  std::uint64_t executions = 0;
  unsigned deaths = 0;   // runs with a thread that dies
  thread_id victim = 0;  // of the run that failed
  unsigned victim_steps = 0;
  double seconds = 0;
  search_result last;
};

run_summary run_with_deaths(const scenario& s);
// Of scenarios that some mistake was seeded into: the one that notices, or null. Most notice in a few executions at random,
// so that comes first for all of them; only what that leaves takes whole searches, and last those with deaths.
enum class effort : std::uint8_t { at_random, without_deaths, whole };
const scenario* first_to_fail(const std::vector<const scenario*>& scenarios, effort most, run_summary& failure);
void tell(const scenario& s, const run_summary& r);

}  // namespace holdfast_model
