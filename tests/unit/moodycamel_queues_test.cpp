// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/interop/moodycamel.hpp"
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

struct any_item {
  template <class T>
  static constexpr bool carries = true;
};
struct of_moodycamel : any_item {
  template <class T>
  using queue = moodycamel_queue<T, 100>;
};
struct of_moodycamel_of_one : any_item {
  template <class T>
  using queue = moodycamel_queue<T, 1, 1>;
};
struct of_moodycamel_unbounded : any_item {
  template <class T>
  using queue = moodycamel_queue<T, unbounded>;
};
struct of_moodycamel_spsc : any_item {
  template <class T>
  using queue = moodycamel_spsc_queue<T, 8>;
};
struct of_moodycamel_spsc_of_blocks : any_item {
  template <class T>
  using queue = moodycamel_spsc_queue<T, 1'500>;
};
struct of_moodycamel_spsc_unbounded : any_item {
  template <class T>
  using queue = moodycamel_spsc_queue<T, unbounded>;
};
struct of_waiting_moodycamel : any_item {
  template <class T>
  using queue = waiting_queue<moodycamel_queue<T, 64>>;
};
struct of_waiting_moodycamel_spsc : any_item {
  template <class T>
  using queue = waiting_queue<moodycamel_spsc_queue<T, 8>>;
};

deadline in(duration time) {
  return deadline::after(steady_clock::now(), time);
}

// On a thread that has not used the queue before.
template <class Work>
std::uint64_t allocations_in_a_new_thread(Work work) {
  std::uint64_t allocated = 0;
  std::thread fresh([&] { allocated = allocations_in(work); });
  fresh.join();
  return allocated;
}

template <class Queue>
std::uint64_t fill_and_empty(Queue& queue, std::uint64_t laps) {
  std::uint64_t popped = 0;
  for (std::uint64_t lap = 0; lap < laps; ++lap) {
    while (queue.try_push(std::uint64_t{lap})) {
    }
    if constexpr (batch_queue<Queue>) {
      std::array<std::uint64_t, 70> some{};
      popped += queue.try_pop(std::span<std::uint64_t>(some));
      popped -= queue.try_push(std::span<std::uint64_t>(some));
    }
    std::uint64_t out = 0;
    while (queue.try_pop(out)) ++popped;
  }
  return popped + queue.size_approx();
}

}  // namespace

TEMPLATE_TEST_CASE("every bridge to moodycamel's queues behaves as a bounded queue does", "[moodycamel_queues]",
                   of_moodycamel, of_moodycamel_of_one, of_moodycamel_unbounded, of_moodycamel_spsc,
                   of_moodycamel_spsc_of_blocks, of_moodycamel_spsc_unbounded, of_waiting_moodycamel,
                   of_waiting_moodycamel_spsc) {
  every_behaviour<TestType>();
}

TEST_CASE("a bridge to moodycamel says who may call it and in which order items come", "[moodycamel_queues]") {
  using many = moodycamel_queue<int, 8>;
  using one = moodycamel_spsc_queue<int, 8>;
  STATIC_REQUIRE(order_of<many> == item_order::per_producer);
  STATIC_REQUIRE_FALSE(fifo_queue<many>);
  STATIC_REQUIRE(keeps_producer_order<many>);
  STATIC_REQUIRE(many_producers<many>);
  STATIC_REQUIRE(many_consumers<many>);
  STATIC_REQUIRE(batch_queue<many>);
  STATIC_REQUIRE(fifo_queue<one>);
  STATIC_REQUIRE_FALSE(many_producers<one>);
  STATIC_REQUIRE_FALSE(batch_queue<one>);
  STATIC_REQUIRE(many::capacity() == 8);
  STATIC_REQUIRE(moodycamel_queue<int, unbounded>::capacity() == unbounded);
  STATIC_REQUIRE(moodycamel_spsc_queue<int, unbounded>::max_size() == unbounded);
}

TEST_CASE("moodycamel_queue: its capacity fits, however it is shared out among its producers", "[moodycamel_queues]") {
  constexpr std::size_t capacity = 100;
  constexpr std::size_t threads = 4;
  // Each thread has its share, and begins in the middle of a block, in an order that leaves every one of them half used.
  for (std::size_t begun : {0U, 1U, 31U, 32U, 33U}) {
    const auto queue = std::make_unique<moodycamel_queue<int, capacity, threads>>();
    const std::array<std::size_t, threads> shares{1, 2, 40, 57};
    std::array<std::size_t, threads> pushed{};
    std::array<atomic<int>, threads> stage{};
    std::vector<std::thread> producers;
    for (std::size_t t = 0; t < threads; ++t) {
      producers.emplace_back([&, t] {
        for (std::size_t i = 0; i < begun; ++i) static_cast<void>(queue->try_push(0));
        stage[t].store(1, mo::release);
        while (stage[t].load(mo::acquire) != 2) std::this_thread::yield();
        while (pushed[t] < shares[t] && queue->try_push(1)) ++pushed[t];
      });
      while (stage[t].load(mo::acquire) != 1) std::this_thread::yield();
      int out = -1;
      while (queue->try_pop(out)) {
      }
    }
    for (auto& one : stage) one.store(2, mo::release);
    for (std::thread& one : producers) one.join();
    CHECK(pushed == shares);
    CHECK(queue->size_approx() == capacity);
    std::size_t popped = 0;
    for (int out = -1; queue->try_pop(out);) ++popped;
    CHECK(popped == capacity);
  }
}

TEST_CASE("moodycamel_queue: each producer's items come in its order, not all in one", "[moodycamel_queues]") {
  moodycamel_queue<int, 64, 2> queue;
  for (int i = 0; i < 10; ++i) REQUIRE(queue.try_push(int{i}));
  std::thread other([&] {
    for (int i = 100; i < 130; ++i) static_cast<void>(queue.try_push(int{i}));
  });
  other.join();
  int own = 0;
  int others = 100;
  bool overtaken = false;
  for (int out = -1; queue.try_pop(out);) {
    overtaken = overtaken || (out >= 100 && own < 10);
    CHECK(out == (out >= 100 ? others++ : own++));
  }
  CHECK(own == 10);
  CHECK(others == 130);
  CHECK(overtaken);  // pushed later and out earlier: what per_producer does not promise
}

TEST_CASE("moodycamel_queue: a batch that does not fit as a whole goes as far as it fits", "[moodycamel_queues]") {
  for (std::size_t before : {0U, 1U, 31U, 32U, 50U}) {
    moodycamel_queue<std::unique_ptr<int>, 64, 1> queue;
    for (std::size_t i = 0; i < before; ++i) REQUIRE(queue.try_push(std::make_unique<int>(-1)));
    std::vector<std::unique_ptr<int>> batch(200);
    for (std::size_t i = 0; i < batch.size(); ++i) batch[i] = std::make_unique<int>(static_cast<int>(i));
    const std::size_t count = queue.try_push(std::span<std::unique_ptr<int>>(batch));
    CHECK(before + count >= 64);
    CHECK(before + count == queue.max_size());  // one producer from the start on: all of the slots
    CHECK(queue.try_push(std::span<std::unique_ptr<int>>(batch).subspan(count)) == 0);
    for (std::size_t i = 0; i < batch.size(); ++i) REQUIRE((batch[i] == nullptr) == (i < count));
    std::vector<std::unique_ptr<int>> out(300);
    REQUIRE(queue.try_pop(std::span<std::unique_ptr<int>>(out)) == before + count);
    for (std::size_t i = 0; i < count; ++i) REQUIRE(*out[before + i] == static_cast<int>(i));
    CHECK(queue.try_pop(std::span<std::unique_ptr<int>>(out)) == 0);
    CHECK(queue.try_pop(std::span<std::unique_ptr<int>>()) == 0);
  }
}

TEST_CASE("moodycamel_queue: a pop in vain is empty where nothing is left to claim, and busy where something is",
          "[moodycamel_queues]") {
  using queue = moodycamel_queue<int, 64>;
  for (std::size_t unclaimed : {0U, 1U, 2U}) {
    CHECK(queue::refusal(unclaimed) == (unclaimed == 0 ? queue_op_status::empty : queue_op_status::busy));
  }
  queue q;
  int out = -1;
  CHECK(q.try_pop(out) == queue_op_status::empty);
  REQUIRE(q.try_push(1));
  REQUIRE(q.try_pop(out));
  CHECK(q.try_pop(out) == queue_op_status::empty);
  CHECK(out == 1);
}

TEST_CASE("moodycamel_queue: a batch of constants is copied", "[moodycamel_queues]") {
  moodycamel_queue<int, 64> queue;
  std::vector<int> numbers(40);
  std::iota(numbers.begin(), numbers.end(), 0);
  CHECK(queue.try_push(std::span<const int>(numbers)) == 40);
  CHECK(queue.size_approx() == 40);
}

TEST_CASE("moodycamel_queue: what is allocated after its constructor is a thread's first push, or its prepare_thread",
          "[moodycamel_queues][alloc]") {
  moodycamel_queue<std::uint64_t, 1'000, 4> queue;
  std::uint64_t popped = 0;
  CHECK(allocations_in([&] { static_cast<void>(queue.try_push(1)); }) == 2);
  {
    const no_alloc_scope scope("moodycamel_queue, after a thread's first push");
    popped += fill_and_empty(queue, 50);
  }
  CHECK(popped >= 50'000);
  bool done = false;
  CHECK(allocations_in_a_new_thread([&] { done = queue.prepare_thread(); }) == 2);
  CHECK(done);
  std::uint64_t later = 1;
  std::thread prepared([&] {
    done = queue.prepare_thread();
    later = allocations_in([&] {
      popped += fill_and_empty(queue, 50);
      done = done && queue.prepare_thread();
    });
  });
  prepared.join();
  CHECK(done);
  CHECK(later == 0);
  CHECK(popped >= 100'000);
  // Who only pops has no queue.
  CHECK(allocations_in_a_new_thread([&] {
          std::uint64_t out = 0;
          while (queue.try_pop(out)) {
          }
        }) == 0);
}

TEST_CASE("moodycamel_queue: to be prepared pushes nothing, and may be done again at any time", "[moodycamel_queues]") {
  moodycamel_queue<int, 64> queue;
  CHECK(queue.prepare_thread());
  CHECK(queue.prepare_thread());
  CHECK(queue.size_approx() == 0);
  int out = -1;
  CHECK(queue.try_pop(out) == queue_op_status::empty);
  for (int i = 0; i < 64; ++i) {
    REQUIRE(queue.try_push(int{i}));
    REQUIRE(queue.prepare_thread());
  }
  CHECK(queue.size_approx() == 64);
  for (int i = 0; i < 64; ++i) {
    REQUIRE(queue.try_pop(out));
    CHECK(out == i);
  }
}

TEST_CASE("moodycamel_spsc_queue allocates nothing after its constructor", "[moodycamel_queues][alloc]") {
  moodycamel_spsc_queue<std::uint64_t, 100> one_block;
  moodycamel_spsc_queue<std::uint64_t, 3'000> blocks;
  std::uint64_t popped = 0;
  {
    const no_alloc_scope scope("moodycamel_spsc_queue");
    popped = fill_and_empty(one_block, 50) + fill_and_empty(blocks, 50);
  }
  CHECK(popped >= 50 * 3'100);
}

TEST_CASE("unbounded, a queue of moodycamel's refuses nothing and allocates as it grows",
          "[moodycamel_queues][alloc]") {
  const auto many = std::make_unique<moodycamel_queue<std::uint64_t, unbounded>>();
  const auto one = std::make_unique<moodycamel_spsc_queue<std::uint64_t, unbounded>>();
  std::uint64_t pushed = 0;
  const auto grow = [&pushed](auto& queue) {
    return allocations_in([&] {
      for (std::uint64_t i = 0; i < 100'000; ++i) pushed += queue.try_push(std::uint64_t{i}) ? 1U : 0U;
    });
  };
  CHECK(grow(*many) > 100);
  CHECK(grow(*one) > 10);
  CHECK(pushed == 200'000);
  CHECK(many->size_approx() == 100'000);
  CHECK(one->size_approx() == 100'000);
  std::vector<std::uint64_t> batch(100);
  CHECK(many->try_push(std::span<std::uint64_t>(batch)) == 100);
}

TEMPLATE_TEST_CASE("waiting_queue over a queue from moodycamel: waits, is closed by the last producer, and is drained",
                   "[moodycamel_queues]", (moodycamel_spsc_queue<int, 4>), (moodycamel_queue<int, 96, 3>)) {
  waits_and_is_closed_by_the_last_producer<TestType>();
}

TEST_CASE("waiting_queue over moodycamel_queue: waits for items, and for room as it comes by the block",
          "[moodycamel_queues]") {
  using queue = waiting_queue<moodycamel_queue<int, 32, 1>>;
  queue q;
  int out = -1;
  CHECK(q.wait_pop(out, in(1ms)) == queue_op_status::empty);
  std::thread consumer([&] { static_cast<void>(q.wait_pop(out, deadline::never())); });
  await_sleepers(q.items(), 1);
  REQUIRE(q.try_push(3));
  consumer.join();
  CHECK(out == 3);
  int pushed = 0;
  while (q.try_push(int{pushed})) ++pushed;
  REQUIRE(pushed >= 32);
  CHECK(q.wait_push(-1, in(1ms)) == queue_op_status::full);
  std::thread taker([&] {
    await_sleepers(q.room(), 1);
    for (int i = 0; i < 32; ++i) static_cast<void>(q.try_pop(out));
  });
  CHECK(q.wait_push(int{pushed}, deadline::never()));
  taker.join();
  for (int next = 32; next <= pushed; ++next) {
    REQUIRE(q.try_pop(out));
    CHECK(out == next);
  }
}

TEST_CASE("waiting_queue over a queue without a limit: nobody waits for room", "[moodycamel_queues]") {
  waiting_queue<moodycamel_queue<int, unbounded>, event_count, silent> q;
  for (int i = 0; i < 1'000; ++i) REQUIRE(q.try_push(int{i}));
  int out = -1;
  REQUIRE(q.wait_pop(out, deadline::never()));
  CHECK(out == 0);
  CHECK(q.capacity() == unbounded);
}
