// SPDX-License-Identifier: MIT
// Windows of an spsc_queue: the smallest rings, and the smallest whose consumer tells of freed slots in groups.
#include <array>

#include "parts.hpp"
#include "queue_part.hpp"

namespace holdfast_lin {

std::span<const window_part> queue_parts() noexcept {
  static constexpr std::array parts{
      window_part{"spsc_queue/1", 35, run_part<spsc_part<1, queue_calls::single>>},
      window_part{"spsc_queue/2", 45, run_part<spsc_part<2, queue_calls::single>>},
      window_part{"spsc_queue/4", 35, run_part<spsc_part<4, queue_calls::single>>},
      window_part{"spsc_queue/16", 30, run_part<spsc_part<16, queue_calls::single>>},
      window_part{"spsc_queue/2 batches", 60, run_part<spsc_part<2, queue_calls::batch>>},
      window_part{"spsc_queue/16 batches", 40, run_part<spsc_part<16, queue_calls::batch>>},
      window_part{"spsc_queue/2 in place", 60, run_part<spsc_part<2, queue_calls::in_place>>},
      window_part{"spsc_queue/16 in place", 40, run_part<spsc_part<16, queue_calls::in_place>>},
      window_part{"spsc_queue/2 sized", 40, run_part<sized_part<2, queue_calls::single>>},
      window_part{"spsc_queue/16 sized", 40, run_part<sized_part<16, queue_calls::single>>},
  };
  return parts;
}

}  // namespace holdfast_lin
