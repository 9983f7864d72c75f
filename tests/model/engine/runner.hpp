// SPDX-License-Identifier: MIT
// runner: a scenario in all of its runs: whole, and with each of its threads dying after each of its steps.
#pragma once

#include <cstdint>

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
void tell(const scenario& s, const run_summary& r);

}  // namespace holdfast_model
