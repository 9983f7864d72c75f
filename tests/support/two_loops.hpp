// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <stop_token>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

namespace test_support {

// Has `callers` tasks run to their ends on each of two loops with threads of their own; every second one is asked to stop after a
// time. A loop goes on until all have ended, so a task may have its answers come from the other one.
// begin(number, mine, elsewhere, stop) makes a task; they are numbered from 0 over both loops.
template <class Begin>
void on_two_loops(std::size_t callers, std::chrono::microseconds stop_after, Begin begin) {
  namespace mo = holdfast::mo;
  std::array<holdfast::run_loop, 2> loops;
  std::array<std::vector<holdfast::mark>, 2> ended{std::vector<holdfast::mark>(callers),
                                                   std::vector<holdfast::mark>(callers)};
  std::stop_source stop;
  holdfast::atomic<std::size_t> running{2 * callers};
  const auto on_loop = [&](std::size_t which) {
    holdfast::run_loop& mine = loops[which];
    for (std::size_t i = 0; i < callers; ++i) {
      spawn(mine, begin(which * callers + i, mine, loops[1 - which], i % 2 == 0 ? stop.get_token() : std::stop_token{}),
            ended[which][i]);
    }
    for (const holdfast::mark& one : ended[which]) {
      mine.run_until([&one] { return one.was_run(); });
      // [1] acq_rel, pairs with [1]: the last one lets both go
      if (running.fetch_sub(1, mo::acq_rel) == 1) {
        for (holdfast::run_loop& each : loops) each.stop();
      }
    }
    mine.run();
  };
  std::thread other(on_loop, 1);
  std::thread stopper([&] {
    std::this_thread::sleep_for(stop_after);
    stop.request_stop();
  });
  on_loop(0);
  other.join();
  stopper.join();
}

}  // namespace test_support
