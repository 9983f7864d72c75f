// SPDX-License-Identifier: MIT
// Windows of a retry_budget. Three threads
// on two cores meet by yielding, which is slow: they get a small share.
#include <array>

#include "budget_part.hpp"
#include "parts.hpp"

namespace holdfast_lin {

std::span<const window_part> budget_parts() noexcept {
  static constexpr std::array parts{
      window_part{"retry_budget", 140, run_part<budget_part<holdfast::retry_budget, 2>>},
      window_part{"retry_budget x3", 5, run_part<budget_part<holdfast::retry_budget, 3>>},
  };
  return parts;
}

}  // namespace holdfast_lin
