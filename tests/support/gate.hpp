// SPDX-License-Identifier: MIT
// gate: holds up whoever comes until it is opened, so that a test knows where threads are. Nobody waits for ever.
#pragma once

#include "holdfast/core/atomic.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

namespace test_support {

class gate {
 public:
  void pass() noexcept {
    arrived_.fetch_add(1, holdfast::mo::release);
    test_support::patience waiting;
    while (!open_.load(holdfast::mo::acquire) && waiting.wait()) {
    }
  }
  void await(int arrived) {
    test_support::patience waiting;
    while (arrived_.load(holdfast::mo::acquire) < arrived) REQUIRE(waiting.wait());
  }
  void open() { open_.store(true, holdfast::mo::release); }

 private:
  holdfast::atomic<bool> open_{false};
  holdfast::atomic<int> arrived_{0};
};

}  // namespace test_support
