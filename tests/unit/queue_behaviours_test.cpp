// SPDX-License-Identifier: MIT
// The queues of this library under the list that the bridges run under too (boost_queues_test.cpp, moodycamel_queues_test.cpp).
#include "support/queue_behaviours.hpp"

#include <cstddef>

#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/fan_in.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/queue/watched_queue.hpp"

#include "support/catch.hpp"
#include "support/sized_queue.hpp"

using namespace holdfast;
using namespace test_support;

namespace {

struct ours {
  template <class T>
  static constexpr bool carries = true;
};
struct of_spsc : ours {
  template <class T>
  using queue = spsc_queue<T, 16>;
};
struct of_spsc_sized : ours {
  template <class T>
  using queue = sized_queue<T, 8>;
};
struct of_mpmc : ours {
  template <class T>
  using queue = mpmc_queue<T, 8>;
};
struct of_mpsc : ours {
  template <class T>
  using queue = mpsc_queue<T, 8>;
};
struct of_spmc : ours {
  template <class T>
  using queue = spmc_queue<T, 8>;
};
struct of_mpmc_lockfree : ours {
  template <class T>
  using queue = mpmc_lockfree_queue<T, 8>;
};
struct of_waiting_spsc : ours {
  template <class T>
  using queue = waiting_queue<spsc_queue<T, 8>>;
};
struct of_waiting_mpmc : ours {
  template <class T>
  using queue = waiting_queue<mpmc_queue<T, 8>>;
};

struct of_watched_spsc : ours {
  template <class T>
  using queue = watched_queue<spsc_queue<T, 8>>;
};
struct of_watched_mpmc : ours {
  template <class T>
  using queue = watched_queue<mpmc_queue<T, 8>>;
};

// One that says in which order, and is otherwise nothing but that.
template <item_order Order>
struct in_order : mpmc_queue<int, 2> {
  static constexpr item_order order = Order;
};

}  // namespace

TEMPLATE_TEST_CASE("every queue of ours behaves as a bounded queue does", "[queue_behaviours]", of_spsc, of_spsc_sized,
                   of_mpmc, of_mpsc, of_spmc, of_mpmc_lockfree, of_waiting_spsc, of_waiting_mpmc, of_watched_spsc,
                   of_watched_mpmc) {
  every_behaviour<TestType>();
}

TEST_CASE("a queue that says nothing of its order is a fifo; one that does is what it says, in a waiting_queue too",
          "[queue_behaviours]") {
  STATIC_REQUIRE(order_of<mpmc_queue<int, 2>> == item_order::fifo);
  STATIC_REQUIRE(order_of<fan_in<int, 2, 8>> == item_order::per_producer);
  STATIC_REQUIRE(fifo_queue<spsc_queue<int, 2>>);
  STATIC_REQUIRE(keeps_producer_order<spsc_queue<int, 2>>);
  STATIC_REQUIRE_FALSE(fifo_queue<in_order<item_order::per_producer>>);
  STATIC_REQUIRE(keeps_producer_order<in_order<item_order::per_producer>>);
  STATIC_REQUIRE_FALSE(fifo_queue<in_order<item_order::lifo>>);
  STATIC_REQUIRE_FALSE(keeps_producer_order<in_order<item_order::lifo>>);
  STATIC_REQUIRE(order_of<waiting_queue<in_order<item_order::lifo>>> == item_order::lifo);
  STATIC_REQUIRE(fifo_queue<waiting_queue<spsc_queue<int, 2>>>);
  STATIC_REQUIRE(order_of<watched_queue<in_order<item_order::lifo>>> == item_order::lifo);
}
