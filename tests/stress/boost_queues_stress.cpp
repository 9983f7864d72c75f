// SPDX-License-Identifier: MIT
#include "holdfast/interop/boost_lockfree.hpp"

#include "bridge_crowd.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace crowd;

TEST_CASE("boost_spsc_queue: all that one thread pushes comes to the other, in order, once", "[boost_queues][stress]") {
  cross<boost_spsc_queue<item, 1>>(1, 1, 5'000);
  cross<boost_spsc_queue<item, 64>>(1, 1, 200'000);
}

TEST_CASE("boost_queue: all that many threads push comes out, each producer's in order, once",
          "[boost_queues][stress]") {
  cross<boost_queue<item, 1>>(2, 2, 5'000);
  cross<boost_queue<item, 64>>(3, 3, 30'000);
  cross<boost_queue<item, 1024>>(4, 2, 30'000);
}

TEST_CASE("boost_stack: all that many threads push comes out, once", "[boost_queues][stress]") {
  cross<boost_stack<item, 1>>(2, 2, 5'000);
  cross<boost_stack<item, 64>>(3, 3, 30'000);
}

TEST_CASE("waiting_queue over the queues of Boost: many sleep and wake, and nothing is lost",
          "[boost_queues][stress]") {
  cross_asleep<boost_spsc_queue<item, 4>>(1, 1, 20'000);
  cross_asleep<boost_queue<item, 4>>(2, 2, 10'000);
  cross_asleep<boost_stack<item, 4>>(2, 2, 10'000);
}
