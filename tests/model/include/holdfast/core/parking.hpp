// SPDX-License-Identifier: MIT
// Stands in for include/holdfast/core/parking.hpp. A sleep that may end by the clock ends at once in some executions, and
// in the others only if it is woken: so a waker that forgets somebody is seen.
#pragma once

#include <chrono>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

#include "model/engine/scenario.hpp"

namespace holdfast {
inline namespace model {

using parking_time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

inline bool park(const atomic<std::uint64_t>& word, std::uint32_t expected, parking_time until,
                 model_detail::place at = model_detail::place::here()) {
  if (until != parking_time::max() && holdfast_model::choose(2) == 0) return false;
  word.park(expected, 0xFFFFFFFF, at);
  return true;
}
inline void unpark(const atomic<std::uint64_t>& word, std::uint32_t sleepers,
                   model_detail::place at = model_detail::place::here()) {
  if (sleepers >= holdfast_model::max_threads) return word.notify_all(at);
  for (std::uint32_t i = 0; i < sleepers; ++i) word.notify_one(at);
}

inline void give_way(model_detail::place at = model_detail::place::here()) {
  cpu_relax(at);
}
inline void doze(unsigned, model_detail::place at = model_detail::place::here()) {
  cpu_relax(at);
}

}  // namespace model
}  // namespace holdfast
