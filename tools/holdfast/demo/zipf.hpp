// SPDX-License-Identifier: MIT
// zipf_numbers: which profile a request asks for. A few are asked for often, most are asked for seldom.
//
// Number k of n has the weight 1 / k^s. The cumulative weights are laid out once (8 bytes a number), a draw is a binary
// search. The numbers are then scattered, so that the popular ones are not neighbours in the database.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "holdfast/core/random.hpp"

namespace holdfast::demo {

class zipf_numbers {
 public:
  zipf_numbers(std::uint32_t count, double exponent, std::uint64_t seed) : cumulative_(count), number_(count) {
    double sum = 0;
    for (std::uint32_t k = 0; k < count; ++k) {
      sum += 1.0 / std::pow(k + 1.0, exponent);
      cumulative_[k] = sum;
      number_[k] = k + 1;
    }
    splitmix64 bits(seed);
    for (std::uint32_t k = count; k > 1; --k) std::swap(number_[k - 1], number_[uniform_up_to(bits, k - 1)]);
  }

  // 1 to count.
  template <random_bits G>
  [[nodiscard]] std::uint32_t operator()(G& bits) const {
    const double u = static_cast<double>(bits() >> 11U) * 0x1.0p-53 * cumulative_.back();
    const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, u);
    return number_[static_cast<std::size_t>(at - cumulative_.begin())];
  }

 private:
  std::vector<double> cumulative_;
  std::vector<std::uint32_t> number_;
};

}  // namespace holdfast::demo
