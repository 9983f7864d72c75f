// SPDX-License-Identifier: MIT
// stop_signal: SIGINT, SIGTERM and SIGHUP become a flag that is looked at, so that what was broken is mended and every
// process that was started ends, whenever the user has seen enough.
#pragma once

#include "demo/options.hpp"

namespace holdfast::demo {

class stop_signal {
 public:
  stop_signal();
  ~stop_signal();
  stop_signal(const stop_signal&) = delete;
  stop_signal& operator=(const stop_signal&) = delete;

  // 0, or the signal that came.
  [[nodiscard]] static int which() noexcept;
  // Sleeps, or returns early when one comes.
  static void sleep(std::chrono::nanoseconds time) noexcept;
};

}  // namespace holdfast::demo
