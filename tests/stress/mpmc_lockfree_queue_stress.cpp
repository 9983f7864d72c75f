// SPDX-License-Identifier: MIT
#include <cstdint>
#include <memory>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"

#include "crowd.hpp"

using namespace holdfast;
using namespace crowd;

TEST_CASE("mpmc_lockfree_queue: single items of many threads arrive once, whole, each producer's in order",
          "[mpmc_lockfree_queue][stress]") {
  hand_over<mpmc_lockfree_queue<item, 1>, calls::single>(2, 2, 5'000);
  hand_over<mpmc_lockfree_queue<item, 2>, calls::single>(3, 2, 10'000);
  hand_over<mpmc_lockfree_queue<item, 64>, calls::single>(2, 2, 100'000);
  hand_over<mpmc_lockfree_queue<item, 1024>, calls::single>(4, 4, 50'000);
}

TEST_CASE("mpmc_lockfree_queue: batches of many threads arrive once, whole, each producer's in order",
          "[mpmc_lockfree_queue][stress]") {
  hand_over<mpmc_lockfree_queue<item, 4>, calls::batch>(2, 2, 20'000);
  hand_over<mpmc_lockfree_queue<item, 64>, calls::batch>(3, 3, 50'000);
}

TEST_CASE("mpmc_lockfree_queue: closing while many push loses nothing that was taken",
          "[mpmc_lockfree_queue][stress]") {
  closed_while_pushing<mpmc_lockfree_queue<std::unique_ptr<std::uint64_t>, 8>>();
}
