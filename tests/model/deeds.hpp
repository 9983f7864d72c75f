// SPDX-License-Identifier: MIT
// deeds: what one side of a queue has done, and how much of that is known to whoever asks; for scenarios.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "model/engine/scenario.hpp"

namespace holdfast_model {

inline constexpr std::uint64_t just_before_wrap = ~std::uint64_t{0};  // the position after it is 0

// What one side has done, and how much of that is known to whoever asks.
class deeds {
 public:
  void begins() { before_ = now(); }
  // Of a batch the first is known to whoever knows of anything in it; the others, at the latest, to whoever knows of the
  // next deed.
  void done(std::size_t count = 1) {
    for (std::size_t i = 0; i < count; ++i) each_[count_++] = i == 0 ? before_ : now();
  }
  [[nodiscard]] unsigned count() const { return count_; }
  [[nodiscard]] unsigned known() const {
    unsigned n = 0;
    for (unsigned i = 0; i < count_; ++i) {
      if (happened_before_now(each_[i])) ++n;
    }
    return n;
  }

 private:
  moment before_{};
  std::array<moment, 32> each_{};
  unsigned count_ = 0;
};

}  // namespace holdfast_model
