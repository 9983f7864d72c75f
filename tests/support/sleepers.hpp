// SPDX-License-Identifier: MIT
// await_sleepers: until so many threads wait on an event_count. They are about to sleep then, and not surely asleep: whoever
// tells them after it reaches them all the same.
#pragma once

#include <cstdint>

#include "support/catch.hpp"
#include "support/patience.hpp"

namespace test_support {

template <class Events>
void await_sleepers(const Events& events, std::uint32_t count) {
  patience waiting;
  while (events.sleepers() != count) REQUIRE(waiting.wait());
}

}  // namespace test_support
