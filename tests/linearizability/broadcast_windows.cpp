// SPDX-License-Identifier: MIT
// Windows of the broadcast ring: the smallest, in which each write takes what a reader may be at, and one with some room.
#include <array>

#include "broadcast_part.hpp"
#include "parts.hpp"

namespace holdfast_lin {

template <std::size_t Capacity, unsigned Threads>
using ring_part = broadcast_part<holdfast::broadcast_ring<broadcast_pair, Capacity>, Capacity, Threads>;

std::span<const window_part> broadcast_parts() noexcept {
  static constexpr std::array parts{
      window_part{"broadcast_ring/1", 30, run_part<ring_part<1, 2>>},
      window_part{"broadcast_ring/2", 40, run_part<ring_part<2, 2>>},
      window_part{"broadcast_ring/4", 25, run_part<ring_part<4, 2>>},
      window_part{"broadcast_ring/2 x3", 5, run_part<ring_part<2, 3>>},
  };
  return parts;
}

}  // namespace holdfast_lin
