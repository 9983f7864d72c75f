// SPDX-License-Identifier: MIT
#include <cstdint>
#include <memory>

#include "holdfast/queue/mpmc_queue.hpp"

#include "crowd.hpp"

using namespace holdfast;
using namespace crowd;

TEST_CASE("mpmc_queue: single items of many threads arrive once, whole, each producer's in order",
          "[mpmc_queue][stress]") {
  hand_over<mpmc_queue<item, 1>, calls::single>(2, 2, 5'000);
  hand_over<mpmc_queue<item, 2>, calls::single>(3, 2, 10'000);
  hand_over<mpmc_queue<item, 64>, calls::single>(2, 2, 200'000);
  hand_over<mpmc_queue<item, 1024>, calls::single>(4, 4, 100'000);
}

TEST_CASE("mpmc_queue: batches of many threads arrive once, whole, each producer's in order", "[mpmc_queue][stress]") {
  hand_over<mpmc_queue<item, 4>, calls::batch>(2, 2, 20'000);
  hand_over<mpmc_queue<item, 64>, calls::batch>(3, 3, 200'000);
}

TEST_CASE("mpsc_queue: many producers and one consumer", "[mpmc_queue][stress]") {
  hand_over<mpsc_queue<item, 2>, calls::single>(3, 1, 10'000);
  hand_over<mpsc_queue<item, 256>, calls::single>(4, 1, 100'000);
  hand_over<mpsc_queue<item, 64>, calls::batch>(2, 1, 200'000);
}

TEST_CASE("spmc_queue: one producer and many consumers", "[mpmc_queue][stress]") {
  hand_over<spmc_queue<item, 2>, calls::single>(1, 3, 20'000);
  hand_over<spmc_queue<item, 256>, calls::single>(1, 4, 300'000);
  hand_over<spmc_queue<item, 64>, calls::batch>(1, 2, 300'000);
}

TEST_CASE("mpmc_queue: with one on each side it is a slower spsc_queue", "[mpmc_queue][stress]") {
  hand_over<spsc_slot_queue<item, 64>, calls::single>(1, 1, 200'000);
  hand_over<spsc_slot_queue<item, 64>, calls::batch>(1, 1, 200'000);
}

TEST_CASE("mpmc_queue: closing while many push loses nothing that was taken", "[mpmc_queue][stress]") {
  closed_while_pushing<mpmc_queue<std::unique_ptr<std::uint64_t>, 8>>();
}
