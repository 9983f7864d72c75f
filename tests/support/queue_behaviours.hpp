// SPDX-License-Identifier: MIT
// queue_behaviours: what every bounded queue does, ours or a bridged peer's, as one list of sections.
//
//   struct of_mpmc {                                              // how a kind of queue is told
//     template <class T>
//     using queue = mpmc_queue<T, 8>;
//     template <class T>
//     static constexpr bool carries = true;                       // which T it takes
//   };
//   TEMPLATE_TEST_CASE("...", "[...]", of_mpmc, ...) { every_behaviour<TestType>(); }
//
// One thread at a time uses a queue here, but for the pipeline at the end; crowds of threads are in tests/stress.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/queue_result.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/patience.hpp"
#include "support/sleepers.hpp"

namespace test_support {

// Counts its lives as `counted` does, and may be copied.
class counted_copy {
 public:
  explicit counted_copy(int number) noexcept : number_(number) { ++alive; }
  counted_copy(const counted_copy& other) noexcept : number_(other.number_) { ++alive; }
  counted_copy& operator=(const counted_copy& other) noexcept = default;
  ~counted_copy() { --alive; }
  [[nodiscard]] int number() const { return number_; }
  static inline int alive = 0;

 private:
  int number_;
};

// Larger than a word and aligned to a line.
struct alignas(64) wide {
  std::uint64_t number = 0;
  std::uint64_t copy = 0;
};

// Which of many items comes out next: what the queue's order says, for one thread.
template <class Q>
int take_next(std::deque<int>& model) {
  const bool newest = holdfast::order_of<Q> == holdfast::item_order::lifo;
  const int next = newest ? model.back() : model.front();
  newest ? model.pop_back() : model.pop_front();
  return next;
}

// At most so many, where a queue without a limit would go on.
template <class Q>
std::size_t some_of(const Q& queue) {
  return std::min<std::size_t>(queue.capacity(), 1'000);
}

template <class Q>
constexpr bool grows(const Q& queue) {
  return queue.capacity() == holdfast::unbounded;
}

// Is it so many at rest? A queue whose consumer tells of its pops in groups may count the ones not told of.
template <class Q>
bool says_its_size(const Q& queue, std::size_t items) {
  std::size_t untold = 0;
  if constexpr (requires { queue.publish_every(); }) untold = queue.publish_every() - 1;
  return queue.size_approx() >= items && queue.size_approx() <= items + untold;
}

template <class Q>
void keeps_its_order() {
  const auto queue = std::make_unique<Q>();
  holdfast::splitmix64 random(7);
  std::deque<int> model;
  int next = 0;
  std::uint64_t wrong = 0;
  std::uint64_t refused = 0;
  std::uint64_t moved = 0;
  for (int turn = 0; turn < 2'000; ++turn) {
    const auto wanted = static_cast<std::size_t>(random() % (some_of(*queue) + 3));
    if (random() % 2 == 0) {
      for (std::size_t i = 0; i < wanted; ++i) {
        if (queue->try_push(int{next})) {
          model.push_back(next++);
        } else {
          ++refused;
          wrong += model.size() < queue->capacity() ? 1U : 0U;
          break;
        }
      }
    } else {
      for (std::size_t i = 0; i < wanted; ++i) {
        int out = -1;
        if (queue->try_pop(out)) {
          ++moved;
          wrong += model.empty() || out != take_next<Q>(model) ? 1U : 0U;
        } else {
          ++refused;
          wrong += !model.empty() || out != -1 ? 1U : 0U;
          break;
        }
      }
    }
    wrong += says_its_size(*queue, model.size()) ? 0U : 1U;
  }
  CHECK(wrong == 0);
  CHECK(refused > 10);
  CHECK(moved > 300);
}

template <class Q>
void takes_its_capacity() {
  const auto queue = std::make_unique<Q>();
  const std::size_t capacity = some_of(*queue);
  int out = -1;
  for (std::size_t begin = 0; begin < 3 * capacity; begin += 1 + capacity / 9) {
    for (std::size_t i = 0; i < begin; ++i) {
      REQUIRE(queue->try_push(7));
      REQUIRE(queue->try_pop(out));
    }
    std::size_t pushed = 0;
    while (pushed < capacity && queue->try_push(8)) ++pushed;
    REQUIRE(pushed == capacity);
    REQUIRE(says_its_size(*queue, capacity));
    if (!grows(*queue)) {
      while (pushed < 100 * capacity && queue->try_push(8)) ++pushed;
      REQUIRE_FALSE(queue->try_push(8));
      REQUIRE(says_its_size(*queue, pushed));
      if constexpr (requires { queue->max_size(); }) REQUIRE(pushed <= queue->max_size());
    }
    for (std::size_t i = 0; i < pushed; ++i) REQUIRE(queue->try_pop(out));
    REQUIRE_FALSE(queue->try_pop(out));
  }
}

template <class Q>
void refuses_and_touches_nothing() {
  using item = typename Q::value_type;
  {
    const auto queue = std::make_unique<Q>();
    item out(-7);
    CHECK_FALSE(queue->try_pop(out));
    CHECK(out.number() == -7);
    if (!grows(*queue)) {
      int number = 0;
      bool taken = true;
      while (taken) {
        item value(number);
        taken = static_cast<bool>(queue->try_push(std::move(value)));
        if (!taken) CHECK(value.number() == number);  // NOLINT(bugprone-use-after-move): refused, it is still ours
        ++number;
      }
      CHECK(static_cast<std::size_t>(number) > queue->capacity());
    }
  }
  CHECK(item::alive == 0);
}

template <class Q>
void ends_each_life_once() {
  using item = typename Q::value_type;
  {
    const auto queue = std::make_unique<Q>();
    const auto count = static_cast<int>(some_of(*queue));
    std::deque<int> model;
    for (int lap = 0; lap < 5; ++lap) {
      for (int i = 0; i < count; ++i) {
        REQUIRE(queue->try_push(item(i)));
        model.push_back(i);
      }
      REQUIRE(item::alive == count);
      item out(-1);
      for (int i = 0; i < count; ++i) {
        REQUIRE(queue->try_pop(out));
        REQUIRE(out.number() == take_next<Q>(model));
        REQUIRE(item::alive == count - i);  // those in the queue, and `out`
      }
    }
    for (int i = 0; i < count; i += 2) REQUIRE(queue->try_push(item(i)));
    CHECK(item::alive == (count + 1) / 2);
  }
  CHECK(item::alive == 0);  // what was left went with the queue
}

template <class Q>
void carries_what_is_owned() {
  const auto queue = std::make_unique<Q>();
  for (int i = 0; i < 3; ++i) REQUIRE(queue->try_push(std::make_unique<int>(i)));
  typename Q::value_type out;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(queue->try_pop(out));
    CHECK(*out == i);
  }
  REQUIRE(queue->try_push(std::make_unique<int>(9)));
}

template <class Q>
void carries_what_is_wide() {
  const auto queue = std::make_unique<Q>();
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    wrong += queue->try_push(wide{i, ~i}) ? 0U : 1U;
    wide out;
    wrong += queue->try_pop(out) && out.number == i && out.copy == ~i ? 0U : 1U;
  }
  CHECK(wrong == 0);
}

template <holdfast::batch_queue Q>
void moves_batches() {
  const auto queue = std::make_unique<Q>();
  holdfast::splitmix64 random(11);
  std::deque<int> model;
  int next = 0;
  std::uint64_t wrong = 0;
  std::uint64_t cut = 0;
  std::vector<int> some(some_of(*queue) + 70);
  for (int turn = 0; turn < 1'000; ++turn) {
    const std::span<int> batch = std::span<int>(some).first(static_cast<std::size_t>(random() % (some.size() + 1)));
    if (random() % 2 == 0) {
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i] = next + static_cast<int>(i);
      const std::size_t count = queue->try_push(batch);
      wrong += count > batch.size() ? 1U : 0U;
      // As much as fits, from the front, and no more than was always promised is refused.
      wrong += count < batch.size() && model.size() + count < queue->capacity() ? 1U : 0U;
      for (std::size_t i = 0; i < count; ++i) model.push_back(next++);
      for (std::size_t i = count; i < batch.size(); ++i)
        wrong += batch[i] != next + static_cast<int>(i - count) ? 1U : 0U;
      cut += count < batch.size() ? 1U : 0U;
    } else {
      std::fill(batch.begin(), batch.end(), -1);
      const std::size_t count = queue->try_pop(batch);
      wrong += count != std::min(batch.size(), model.size()) ? 1U : 0U;
      for (std::size_t i = 0; i < count; ++i) wrong += batch[i] != take_next<Q>(model) ? 1U : 0U;
      for (std::size_t i = count; i < batch.size(); ++i) wrong += batch[i] != -1 ? 1U : 0U;
      cut += count < batch.size() ? 1U : 0U;
    }
    wrong += says_its_size(*queue, model.size()) ? 0U : 1U;
  }
  CHECK(wrong == 0);
  CHECK(cut > 0);
}

// Two stages, written once for all queues: numbers go through the first queue, are doubled, and through the second one.
template <holdfast::bounded_queue First, holdfast::bounded_queue Second>
std::vector<int> doubled_in_two_stages(int count) {
  const auto first = std::make_unique<First>();
  const auto second = std::make_unique<Second>();
  const auto push = [](auto& queue, int value) {
    patience waiting;
    while (!queue.try_push(int{value})) {
      if (!waiting.wait()) return false;
    }
    return true;
  };
  const auto pop = [](auto& queue, int& out) {
    patience waiting;
    while (!queue.try_pop(out)) {
      if (!waiting.wait()) return false;
    }
    return true;
  };
  std::thread source([&] {
    for (int i = 0; i < count && push(*first, i); ++i) {
    }
  });
  std::thread stage([&] {
    int value = -1;
    for (int i = 0; i < count && pop(*first, value) && push(*second, 2 * value); ++i) {
    }
  });
  std::vector<int> arrived;
  int value = -1;
  while (static_cast<int>(arrived.size()) < count && pop(*second, value)) arrived.push_back(value);
  source.join();
  stage.join();
  return arrived;
}

template <class First, class Second>
void moves_through_a_pipeline() {
  constexpr int count = 5'000;
  std::vector<int> arrived = doubled_in_two_stages<First, Second>(count);
  REQUIRE(arrived.size() == count);
  if constexpr (!holdfast::keeps_producer_order<First> || !holdfast::keeps_producer_order<Second>) {
    std::sort(arrived.begin(), arrived.end());
  }
  int wrong = 0;
  for (int i = 0; i < count; ++i) wrong += arrived[static_cast<std::size_t>(i)] != 2 * i ? 1 : 0;
  CHECK(wrong == 0);
}

// A waiting_queue over one without a close: its consumers sleep, the last of its producers closes it, and what was pushed comes.
template <class Queue>
void waits_and_is_closed_by_the_last_producer() {
  using namespace std::chrono_literals;
  constexpr std::size_t producers = Queue::producers == holdfast::callers::one ? 1 : 3;
  constexpr std::size_t consumers = Queue::consumers == holdfast::callers::one ? 1 : 2;
  constexpr int each = 100;
  holdfast::waiting_queue<Queue> q;
  std::array<std::vector<int>, consumers> arrived;
  std::vector<holdfast::queue_result> last(consumers, holdfast::queue_op_status::busy);
  std::array<std::thread, consumers> taking;
  for (std::size_t c = 0; c < consumers; ++c) {
    taking[c] = std::thread([&, c] {
      int out = -1;
      while ((last[c] = q.wait_pop(out, holdfast::deadline::never()))) arrived[c].push_back(out);
    });
  }
  await_sleepers(q.items(), consumers);
  const auto in_a_minute = holdfast::deadline::after(holdfast::steady_clock::now(), 60s);
  holdfast::atomic<int> pushing(static_cast<int>(producers));
  holdfast::atomic<int> refused(0);
  std::array<std::thread, producers> pushes;
  for (std::size_t p = 0; p < producers; ++p) {
    pushes[p] = std::thread([&, p] {
      for (int i = 0; i < each; ++i) {
        // counter: read when all have been joined
        if (!q.wait_push(static_cast<int>(p) * each + i, in_a_minute)) refused.fetch_add(1, holdfast::mo::relaxed);
      }
      // acq_rel: the last one closes behind what all of them have pushed
      if (pushing.fetch_sub(1, holdfast::mo::acq_rel) == 1) q.close();
    });
  }
  for (std::thread& one : pushes) one.join();
  for (std::thread& one : taking) one.join();
  CHECK(refused.load(holdfast::mo::relaxed) == 0);
  CHECK(q.try_push(-1) == holdfast::queue_op_status::closed);
  std::vector<int> all;
  for (std::size_t c = 0; c < consumers; ++c) {
    CHECK(last[c] == holdfast::queue_op_status::closed);
    all.insert(all.end(), arrived[c].begin(), arrived[c].end());
  }
  if (producers != 1 || consumers != 1) std::sort(all.begin(), all.end());
  REQUIRE(all.size() == producers * static_cast<std::size_t>(each));
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == static_cast<int>(i));
}

template <class Kind>
void every_behaviour() {
  using of_int = typename Kind::template queue<int>;
  STATIC_REQUIRE(holdfast::bounded_queue<of_int>);
  SECTION("it begins empty, with its capacity") {
    const auto queue = std::make_unique<of_int>();
    CHECK(queue->capacity() >= 1);
    CHECK(queue->size_approx() == 0);
    int out = -1;
    CHECK_FALSE(queue->try_pop(out));
    CHECK(out == -1);
  }
  SECTION("items come out in the order that it promises, and its size is exact at rest") {
    keeps_its_order<of_int>();
  }
  SECTION("so many items always fit, wherever it stands") {
    takes_its_capacity<of_int>();
  }
  SECTION("two stages with it in either place, or in both") {
    using ours = holdfast::spsc_queue<int, 16>;
    moves_through_a_pipeline<of_int, ours>();
    moves_through_a_pipeline<ours, of_int>();
    moves_through_a_pipeline<of_int, of_int>();
  }
  if constexpr (holdfast::batch_queue<of_int>) {
    SECTION("batches: the count that went, from the front") {
      moves_batches<of_int>();
    }
  }
  if constexpr (Kind::template carries<wide>) {
    SECTION("an item larger than a line arrives whole") {
      carries_what_is_wide<typename Kind::template queue<wide>>();
    }
  }
  if constexpr (Kind::template carries<counted_copy>) {
    SECTION("each copy ends once, those left with the queue") {
      ends_each_life_once<typename Kind::template queue<counted_copy>>();
    }
    SECTION("a refusal leaves a value and `out` as they were") {
      refuses_and_touches_nothing<typename Kind::template queue<counted_copy>>();
    }
  }
  if constexpr (Kind::template carries<counted>) {
    SECTION("an item that only moves ends once, those left with the queue") {
      ends_each_life_once<typename Kind::template queue<counted>>();
    }
    SECTION("a refusal leaves a value that only moves, and `out`, as they were") {
      refuses_and_touches_nothing<typename Kind::template queue<counted>>();
    }
    SECTION("what is owned arrives") {
      carries_what_is_owned<typename Kind::template queue<std::unique_ptr<int>>>();
    }
  }
}

}  // namespace test_support
