// SPDX-License-Identifier: MIT
// Windows of an mpmc_queue: one slot, and the smallest ring, in each form. Three threads on two cores meet by yielding,
// which is slow: they get a small share.
#include <array>
#include <cstdint>

#include "mpmc_part.hpp"
#include "parts.hpp"

namespace holdfast_lin {
namespace {
template <std::size_t Capacity, unsigned Threads>
constexpr auto many = run_part<mpmc_part<holdfast::mpmc_queue<std::int64_t, Capacity>, Threads>>;
}  // namespace

std::span<const window_part> mpmc_parts() noexcept {
  static constexpr std::array parts{
      window_part{"mpmc_queue/1", 45, many<1, 2>},
      window_part{"mpmc_queue/2", 45, many<2, 2>},
      window_part{"mpmc_queue/2 x3", 5, many<2, 3>},
      window_part{"mpsc_queue/2", 30, run_part<mpmc_part<holdfast::mpsc_queue<std::int64_t, 2>, 2>>},
      window_part{"spmc_queue/2", 30, run_part<mpmc_part<holdfast::spmc_queue<std::int64_t, 2>, 2>>},
  };
  return parts;
}

}  // namespace holdfast_lin
