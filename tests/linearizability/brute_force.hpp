// SPDX-License-Identifier: MIT
// brute_force: the same question as wgl's, answered by trying every permutation: slow, and too simple to be wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <vector>

#include "history.hpp"

namespace holdfast_lin {

template <class Spec>
[[nodiscard]] bool linearizable_by_brute_force(history& h, const Spec& start) {
  Spec::prepare(h);
  std::vector<std::size_t> order(h.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  do {
    Spec state = start;
    op_mask done = 0;
    std::size_t accepted = 0;
    for (; accepted < order.size(); ++accepted) {
      const operation& op = h[order[accepted]];
      if ((op.before & ~done) != 0 || !state.step(op)) break;
      done |= op_mask{1} << op.id;
    }
    if (accepted == order.size()) return true;
    // The last permutation with this beginning: the next one has another, and all between would fail at the same place.
    std::sort(order.begin() + static_cast<std::ptrdiff_t>(accepted) + 1, order.end(), std::greater<>());
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

}  // namespace holdfast_lin
