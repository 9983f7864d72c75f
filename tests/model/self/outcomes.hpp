// SPDX-License-Identifier: MIT
// outcomes: the set of what a program's executions ended with. Adding takes no memory, since a scenario that adds is
// watched for leaks.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace holdfast_model {

using outcome = std::array<std::uint8_t, 24>;

class outcome_set {
 public:
  outcome_set() { used_.reserve(most); }

  void clear() noexcept {
    for (const std::size_t cell : used_) cells_[cell].full = false;
    used_.clear();
  }
  void add(const outcome& seen) {
    std::size_t at = home(seen);
    while (cells_[at].full && cells_[at].value != seen) at = (at + 1) % cells_.size();
    if (cells_[at].full) return;
    if (used_.size() == most) {
      std::fputs("model checker: a program with too many outcomes for its own tests\n", stderr);
      std::abort();
    }
    cells_[at] = {seen, true};
    used_.push_back(at);
  }
  [[nodiscard]] std::vector<outcome> sorted() const {
    std::vector<outcome> all;
    all.reserve(used_.size());
    for (const std::size_t cell : used_) all.push_back(cells_[cell].value);
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  struct slot {
    outcome value{};
    bool full = false;
  };
  static constexpr std::size_t most = 1U << 15U;

  [[nodiscard]] static std::size_t home(const outcome& of) noexcept {
    std::uint64_t mixed = 0;
    for (std::size_t i = 0; i < of.size(); i += sizeof(std::uint64_t)) {
      std::uint64_t part = 0;
      std::memcpy(&part, of.data() + i, sizeof part);
      mixed = (mixed ^ part) * 0x9E37'79B9'7F4A'7C15ULL;
      mixed ^= mixed >> 32U;
    }
    return static_cast<std::size_t>(mixed) % (2 * most);
  }

  std::vector<slot> cells_ = std::vector<slot>(2 * most);
  std::vector<std::size_t> used_;
};

}  // namespace holdfast_model
