// SPDX-License-Identifier: MIT
#include "holdfast/interop/moodycamel.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "bridge_crowd.hpp"

using namespace holdfast;
using namespace crowd;

TEST_CASE("moodycamel_queue: all that many threads push comes out, each producer's in order, once",
          "[moodycamel_queues][stress]") {
  cross<moodycamel_queue<item, 1, 2>>(2, 2, 30'000);
  cross<moodycamel_queue<item, 64, 3>>(3, 3, 50'000);
  cross<moodycamel_queue<item, 1024, 4>>(4, 2, 50'000);
}

TEST_CASE("moodycamel_queue: batches of many threads come out, each producer's in order, once",
          "[moodycamel_queues][stress]") {
  cross<moodycamel_queue<item, 64, 3>, calls::batch>(3, 3, 100'000);
}

TEST_CASE("moodycamel_queue without a limit: nothing is lost as it grows", "[moodycamel_queues][stress]") {
  cross<moodycamel_queue<item, unbounded>>(3, 2, 50'000);
  cross<moodycamel_queue<item, unbounded>, calls::batch>(3, 2, 50'000);
}

TEST_CASE("moodycamel_spsc_queue: all that one thread pushes comes to the other, in order, once",
          "[moodycamel_queues][stress]") {
  cross<moodycamel_spsc_queue<item, 1>>(1, 1, 5'000);
  cross<moodycamel_spsc_queue<item, 64>>(1, 1, 200'000);
  cross<moodycamel_spsc_queue<item, 2'000>>(1, 1, 200'000);
  cross<moodycamel_spsc_queue<item, unbounded>>(1, 1, 100'000);
}

TEST_CASE("waiting_queue over the queues of moodycamel: many sleep and wake, and nothing is lost",
          "[moodycamel_queues][stress]") {
  cross_asleep<moodycamel_spsc_queue<item, 4>>(1, 1, 20'000);
  cross_asleep<moodycamel_queue<item, 4, 3>>(3, 3, 20'000);
  cross_asleep<moodycamel_queue<item, unbounded, 3>>(3, 3, 20'000);
}
