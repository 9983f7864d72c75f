// SPDX-License-Identifier: MIT
// Windows of a circuit_breaker. Three threads
// on two cores meet by yielding, which is slow: they get a small share.
#include <array>

#include "breaker_part.hpp"
#include "parts.hpp"

namespace holdfast_lin {

std::span<const window_part> breaker_parts() noexcept {
  static constexpr std::array parts{
      window_part{"circuit_breaker", 100, run_part<breaker_part<holdfast::circuit_breaker, 2>>},
      window_part{"circuit_breaker x3", 5, run_part<breaker_part<holdfast::circuit_breaker, 3>>},
  };
  return parts;
}

}  // namespace holdfast_lin
