// SPDX-License-Identifier: MIT
// Windows of a rate_limiter. Three threads on two cores meet by yielding, which is slow: they get a small share.
#include <array>

#include "parts.hpp"
#include "rate_part.hpp"

namespace holdfast_lin {

std::span<const window_part> rate_parts() noexcept {
  static constexpr std::array parts{
      window_part{"rate_limiter", 100, run_part<rate_part<holdfast::rate_limiter, 2>>},
      window_part{"rate_limiter x3", 5, run_part<rate_part<holdfast::rate_limiter, 3>>},
  };
  return parts;
}

}  // namespace holdfast_lin
