// SPDX-License-Identifier: MIT
// parts: the tables of what there are windows of; each table in its own source, so that they build side by side.
#pragma once

#include <span>

#include "windows.hpp"

namespace holdfast_lin {

struct window_part {
  const char* name;
  unsigned share;  // of all windows, in proportion to the others
  window_totals (*run)(const char* name, const window_options&, const stamp_clock&);
};

template <class Part>
window_totals run_part(const char* name, const window_options& options, const stamp_clock& clock) {
  return window_run<Part>(name, options, clock).run();
}

// The library's.
std::span<const window_part> queue_parts() noexcept;
std::span<const window_part> mpmc_parts() noexcept;
std::span<const window_part> bulkhead_parts() noexcept;
std::span<const window_part> budget_parts() noexcept;
std::span<const window_part> rate_parts() noexcept;
std::span<const window_part> breaker_parts() noexcept;
std::span<const window_part> cache_parts() noexcept;
std::span<const window_part> broadcast_parts() noexcept;
// Ones with a fault, that the windows must find.
std::span<const window_part> faulty_parts() noexcept;

}  // namespace holdfast_lin
