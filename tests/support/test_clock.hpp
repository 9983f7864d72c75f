// SPDX-License-Identifier: MIT
#pragma once

#include "holdfast/time/clock.hpp"

namespace test_support {

// A clock that the test moves, shared by copies.
struct test_clock {
  const holdfast::manual_clock* of;
  [[nodiscard]] holdfast::time_point now() const noexcept { return of->now(); }
};

}  // namespace test_support
