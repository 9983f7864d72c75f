// SPDX-License-Identifier: MIT
// Windows of a bulkhead. Three threads
// on two cores meet by yielding, which is slow: they get a small share.
#include <array>

#include "bulkhead_part.hpp"
#include "parts.hpp"

namespace holdfast_lin {

std::span<const window_part> bulkhead_parts() noexcept {
  static constexpr std::array parts{
      window_part{"bulkhead", 93, run_part<bulkhead_part<holdfast::bulkhead, 2>>},
      window_part{"bulkhead x3", 5, run_part<bulkhead_part<holdfast::bulkhead, 3>>},
      window_part{"bulkhead all set", 50, run_part<bulkhead_part<holdfast::bulkhead, 2, limit_setters::all>>},
      window_part{"bulkhead all set x3", 2, run_part<bulkhead_part<holdfast::bulkhead, 3, limit_setters::all>>},
  };
  return parts;
}

}  // namespace holdfast_lin
