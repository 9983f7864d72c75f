// SPDX-License-Identifier: MIT
// Windows of a cache. Three threads
// on two cores meet by yielding, which is slow: they get a small share.
#include <array>

#include "cache_part.hpp"
#include "parts.hpp"

namespace holdfast_lin {

using cache_of_pairs = holdfast::cache<std::uint64_t, cached_pair>;

std::span<const window_part> cache_parts() noexcept {
  static constexpr std::array parts{
      window_part{"cache", 95, run_part<cache_part<cache_of_pairs, 2>>},
      window_part{"cache x3", 5, run_part<cache_part<cache_of_pairs, 3>>},
  };
  return parts;
}

}  // namespace holdfast_lin
