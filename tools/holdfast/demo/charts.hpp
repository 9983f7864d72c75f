// SPDX-License-Identifier: MIT
// The report's picture: all charts of a demonstration, one below the other on one time axis, with the fault periods
// shaded through all of them.
#pragma once

#include <string>
#include <vector>

#include "demo/run_record.hpp"

namespace holdfast::demo {

// An <svg> element, 1000 wide. `off` is null when there was no run without policies.
std::string draw_charts(const run_record& on, const run_record* off);

// Where the plots begin and end in it, for the page's own pointer.
inline constexpr double plot_left = 64;
inline constexpr double plot_right = 988;

}  // namespace holdfast::demo
