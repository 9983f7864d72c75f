// SPDX-License-Identifier: MIT
#include <stdexcept>

#include "holdfast/queue/event_count.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("event_count: a condition that throws leaves nobody behind", "[event_count]") {
  event_count events(0);
  int looks = 0;
  const auto throws = [&]() -> bool {
    if (++looks == 2) throw std::runtime_error("at the second look");
    return false;
  };
  CHECK_THROWS_AS(events.wait(deadline::never(), throws), std::runtime_error);
  CHECK(events.sleepers() == 0);
}
