// SPDX-License-Identifier: MIT
// patience: a wait that yields and that gives up after a minute, so that a lost item fails a test and does not hang it.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

#include "holdfast/core/atomic.hpp"

namespace test_support {

class patience {
 public:
  [[nodiscard]] bool wait() {
    if (++rounds_ % 16 != 0) {
      holdfast::cpu_relax();
      return true;
    }
    std::this_thread::yield();
    return rounds_ % 4096 != 0 || std::chrono::steady_clock::now() < end_;
  }

 private:
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::uint64_t rounds_ = 0;
};

}  // namespace test_support
