// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "holdfast/interop/boost_lockfree.hpp"
#include "holdfast/interop/queue_size.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/clock.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"
#include "support/queue_behaviours.hpp"
#include "support/sleepers.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using namespace test_support;

namespace {

struct of_boost_spsc {
  template <class T>
  using queue = boost_spsc_queue<T, 8>;
  template <class T>
  static constexpr bool carries = true;
};
struct of_boost_queue {
  template <class T>
  using queue = boost_queue<T, 7>;
  template <class T>
  static constexpr bool carries = std::is_trivially_destructible_v<T>;
};
struct of_boost_stack {
  template <class T>
  using queue = boost_stack<T, 5>;
  template <class T>
  static constexpr bool carries = std::is_copy_constructible_v<T>;
};
struct of_boost_queue_of_one {
  template <class T>
  using queue = boost_queue<T, 1>;
  template <class T>
  static constexpr bool carries = std::is_trivially_destructible_v<T>;
};
struct of_waiting_boost_spsc {
  template <class T>
  using queue = waiting_queue<boost_spsc_queue<T, 8>>;
  template <class T>
  static constexpr bool carries = true;
};

deadline in(duration time) {
  return deadline::after(steady_clock::now(), time);
}

}  // namespace

TEMPLATE_TEST_CASE("every bridge to Boost.Lockfree behaves as a bounded queue does", "[boost_queues]", of_boost_spsc,
                   of_boost_queue, of_boost_stack, of_boost_queue_of_one, of_waiting_boost_spsc) {
  every_behaviour<TestType>();
}

TEST_CASE("a bridge to Boost.Lockfree says who may call it and in which order items come", "[boost_queues]") {
  STATIC_REQUIRE(fifo_queue<boost_spsc_queue<int, 8>>);
  STATIC_REQUIRE(batch_queue<boost_spsc_queue<int, 8>>);
  STATIC_REQUIRE_FALSE(many_producers<boost_spsc_queue<int, 8>>);
  STATIC_REQUIRE_FALSE(many_consumers<boost_spsc_queue<int, 8>>);
  STATIC_REQUIRE(fifo_queue<boost_queue<int, 8>>);
  STATIC_REQUIRE(many_producers<boost_queue<int, 8>>);
  STATIC_REQUIRE(many_consumers<boost_queue<int, 8>>);
  STATIC_REQUIRE(order_of<boost_stack<int, 8>> == item_order::lifo);
  STATIC_REQUIRE_FALSE(keeps_producer_order<boost_stack<int, 8>>);
  STATIC_REQUIRE(many_producers<boost_stack<int, 8>>);
}

TEMPLATE_TEST_CASE("a bridge to Boost.Lockfree holds its capacity and not one more", "[boost_queues]",
                   (boost_spsc_queue<int, 8>), (boost_queue<int, 8>), (boost_stack<int, 8>), (boost_queue<int, 65'534>),
                   (boost_stack<int, 65'535>)) {
  const auto queue = std::make_unique<TestType>();
  std::size_t pushed = 0;
  while (queue->try_push(1)) ++pushed;
  CHECK(pushed == queue->capacity());
  CHECK(queue->max_size() == queue->capacity());
  CHECK(queue->size_approx() == pushed);
}

TEST_CASE("boost_spsc_queue: batches of what only moves, and of constants", "[boost_queues]") {
  const auto queue = std::make_unique<boost_spsc_queue<std::unique_ptr<int>, 3>>();
  std::array<std::unique_ptr<int>, 4> some;
  for (std::size_t i = 0; i < some.size(); ++i) some[i] = std::make_unique<int>(static_cast<int>(i));
  CHECK(queue->try_push(std::span<std::unique_ptr<int>>(some)) == 3);
  REQUIRE(some[3]);
  CHECK(*some[3] == 3);
  CHECK_FALSE(some[2]);
  std::array<std::unique_ptr<int>, 4> out;
  CHECK(queue->try_pop(std::span<std::unique_ptr<int>>(out).first(2)) == 2);
  CHECK(queue->try_pop(std::span<std::unique_ptr<int>>(out).subspan(2)) == 1);
  for (std::size_t i = 0; i < 3; ++i) CHECK(*out[i] == static_cast<int>(i));
  CHECK_FALSE(out[3]);
  CHECK(queue->size_approx() == 0);

  const auto numbers = std::make_unique<boost_spsc_queue<int, 3>>();
  const std::array<int, 5> constants{1, 2, 3, 4, 5};
  CHECK(numbers->try_push(std::span<const int>(constants)) == 3);
  CHECK(numbers->try_push(std::span<const int>(constants)) == 0);
  CHECK(numbers->size_approx() == 3);
}

TEST_CASE("boost_stack: who owns together may go through it", "[boost_queues]") {
  const auto owned = std::make_shared<int>(7);
  {
    const auto stack = std::make_unique<boost_stack<std::shared_ptr<int>, 4>>();
    REQUIRE(stack->try_push(owned));
    REQUIRE(stack->try_push(owned));
    std::shared_ptr<int> out;
    REQUIRE(stack->try_pop(out));
    CHECK(out == owned);
    CHECK(owned.use_count() == 3);  // here, in `out`, and one left in the stack
  }
  CHECK(owned.use_count() == 1);
}

TEMPLATE_TEST_CASE("a bridge to Boost.Lockfree allocates nothing, in its constructor neither, in a new thread neither",
                   "[boost_queues][alloc]", (boost_spsc_queue<std::uint64_t, 64>), (boost_queue<std::uint64_t, 64>),
                   (boost_stack<std::uint64_t, 64>)) {
  const auto use = [](TestType& queue) {
    std::uint64_t popped = 0;
    for (std::uint64_t lap = 0; lap < 50; ++lap) {
      while (queue.try_push(lap)) {
      }
      if constexpr (batch_queue<TestType>) {
        std::array<std::uint64_t, 40> some{};
        popped += queue.try_pop(std::span<std::uint64_t>(some));
        popped -= queue.try_push(std::span<std::uint64_t>(some));
      }
      std::uint64_t out = 0;
      while (queue.try_pop(out)) ++popped;
    }
    return popped + queue.size_approx();
  };
  std::uint64_t popped = 0;
  const auto memory = std::make_unique<std::byte[]>(sizeof(TestType) + alignof(TestType));
  void* place = memory.get();
  std::size_t room = sizeof(TestType) + alignof(TestType);
  REQUIRE(std::align(alignof(TestType), sizeof(TestType), place, room) != nullptr);
  {
    const no_alloc_scope scope("a bridge to Boost.Lockfree");
    auto* const queue = ::new (place) TestType;
    popped = use(*queue);
    std::destroy_at(queue);
  }
  CHECK(popped == 50 * 64);

  const auto queue = std::make_unique<TestType>();
  std::uint64_t allocated = 1;
  std::thread fresh([&] { allocated = allocations_in([&] { popped = use(*queue); }); });
  fresh.join();
  CHECK(allocated == 0);
  CHECK(popped == 50 * 64);
}

TEMPLATE_TEST_CASE("waiting_queue over a queue from Boost: waits, is closed by the last producer, and is drained",
                   "[boost_queues]", (boost_spsc_queue<int, 4>), (boost_queue<int, 4>), (boost_stack<int, 4>)) {
  waits_and_is_closed_by_the_last_producer<TestType>();
}

TEMPLATE_TEST_CASE("waiting_queue over a queue of many from Boost: waits for items and for room", "[boost_queues]",
                   (boost_queue<int, 2>), (boost_stack<int, 2>)) {
  waiting_queue<TestType> q;
  int out = -1;
  CHECK(q.wait_pop(out, in(1ms)) == queue_op_status::empty);
  std::thread consumer([&] { static_cast<void>(q.wait_pop(out, deadline::never())); });
  await_sleepers(q.items(), 1);
  REQUIRE(q.try_push(3));
  consumer.join();
  CHECK(out == 3);
  while (q.try_push(4)) {
  }
  CHECK(q.wait_push(5, in(1ms)) == queue_op_status::full);
  queue_result pushed = queue_op_status::busy;
  std::thread producer([&] { pushed = q.wait_push(5, deadline::never()); });
  await_sleepers(q.room(), 1);
  REQUIRE(q.try_pop(out));
  producer.join();
  CHECK(pushed == queue_op_status::success);
  CHECK(q.size_approx() == 2);
}

TEMPLATE_TEST_CASE_SIG("queue_size: exact at rest, and never below nothing or above the most", "[boost_queues]",
                       ((callers Producers, callers Consumers), Producers, Consumers), (callers::one, callers::one),
                       (callers::one, callers::many), (callers::many, callers::one), (callers::many, callers::many)) {
  queue_size<Producers, Consumers> size;
  CHECK(size.approx(8) == 0);
  size.pushed(5);
  size.popped();
  CHECK(size.approx(8) == 4);
  CHECK(size.approx(3) == 3);
  size.popped(6);  // quicker than the producer that counts them
  CHECK(size.approx(8) == 0);
  size.pushed(2);
  CHECK(size.approx(8) == 0);
  size.pushed();
  CHECK(size.approx(8) == 1);
}
