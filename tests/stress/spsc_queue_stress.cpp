// SPDX-License-Identifier: MIT
// Two threads hand items over while a third looks on: every item arrives, once, whole and in order.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"
#include "support/sized_queue.hpp"

using holdfast::spsc_queue;
using test_support::patience;
using test_support::sized_queue;
namespace mo = holdfast::mo;

namespace {

// Thousands of laps of a ring, and short enough for ThreadSanitizer: in the smallest rings each item may cost a turn of
// the scheduler on a busy machine.
constexpr std::uint64_t items_for(std::size_t capacity) {
  return std::min<std::uint64_t>(1'000'000, 20'000 * capacity);
}

// An item that shows when a part of it comes from another time.
template <std::size_t Words>
struct whole {
  std::array<std::uint64_t, Words> words{};
  whole() = default;
  explicit whole(std::uint64_t n) {
    for (std::size_t i = 0; i < Words; ++i) words[i] = n * 0x9E3779B97F4A7C15ULL + i;
  }
  friend bool operator==(const whole&, const whole&) = default;
};

struct start_line {
  holdfast::atomic<int> ready{0};
  void wait(int threads) {
    // [S1] acq_rel, pairs with [S2]: all are here
    ready.fetch_add(1, mo::acq_rel);
    // [S2] acquire, pairs with [S1]: all are here
    while (ready.load(mo::acquire) < threads) std::this_thread::yield();
  }
};

struct outcome {
  std::uint64_t expected = 0;
  std::uint64_t received = 0;
  std::uint64_t wrong = 0;
  std::uint64_t impossible_sizes = 0;
  bool gave_up = false;
};

template <class Queue, class Produce, class Consume>
outcome run(Queue& queue, Produce produce, Consume consume) {
  constexpr std::uint64_t item_count = items_for(Queue::capacity());
  outcome result;
  result.expected = item_count;
  start_line start;
  holdfast::atomic<bool> over{false};
  bool producer_gave_up = false;
  std::thread producer([&] {
    start.wait(3);
    patience patience;
    for (std::uint64_t next = 0; next < item_count;) {
      const std::uint64_t pushed = produce(next);
      next += pushed;
      if (pushed == 0 && !patience.wait()) {
        producer_gave_up = true;
        return;
      }
    }
  });
  std::thread observer([&] {
    start.wait(3);
    // hint: only says that the others have ended
    while (!over.load(mo::relaxed)) {
      if (queue.size_approx() > queue.max_size()) ++result.impossible_sizes;
      std::this_thread::yield();
    }
  });
  start.wait(3);
  patience patience;
  while (result.received < item_count) {
    const std::uint64_t before = result.received;
    consume(result);
    if (result.received == before && !patience.wait()) {
      result.gave_up = true;
      break;
    }
  }
  producer.join();
  // hint: only says that the others have ended
  over.store(true, mo::relaxed);
  observer.join();
  result.gave_up = result.gave_up || producer_gave_up;
  return result;
}

void check(const outcome& result) {
  CHECK_FALSE(result.gave_up);
  CHECK(result.received == result.expected);
  CHECK(result.wrong == 0);
  CHECK(result.impossible_sizes == 0);
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("single items arrive once, whole and in order", "[spsc_queue][stress]",
                       ((typename T, std::size_t Capacity), T, Capacity), (whole<1>, 1), (whole<1>, 2), (whole<1>, 64),
                       (whole<8>, 64), (whole<9>, 1024), (whole<33>, 16)) {
  const auto queue = std::make_unique<spsc_queue<T, Capacity>>();
  check(run(
      *queue, [&](std::uint64_t next) { return queue->try_push(T(next)) ? 1U : 0U; },
      [&](outcome& result) {
        T item;
        if (!queue->try_pop(item)) return;
        if (!(item == T(result.received))) ++result.wrong;
        ++result.received;
      }));
}

TEMPLATE_TEST_CASE_SIG("batches arrive once, whole and in order", "[spsc_queue][stress]",
                       ((typename T, std::size_t Capacity), T, Capacity), (whole<1>, 4), (whole<1>, 256),
                       (whole<8>, 64)) {
  const auto queue = std::make_unique<spsc_queue<T, Capacity>>(~std::uint64_t{0} - 1000);
  std::array<T, 32> in;
  std::array<T, 19> out;
  check(run(
      *queue,
      [&](std::uint64_t next) {
        const std::size_t count =
            static_cast<std::size_t>(std::min<std::uint64_t>(next % 32 + 1, items_for(Capacity) - next));
        for (std::size_t i = 0; i < count; ++i) in[i] = T(next + i);
        return queue->try_push(std::span(in).first(count));
      },
      [&](outcome& result) {
        const std::size_t count = queue->try_pop(std::span(out).first(result.received % 19 + 1));
        for (std::size_t i = 0; i < count; ++i) {
          if (!(out[i] == T(result.received))) ++result.wrong;
          ++result.received;
        }
      }));
}

TEMPLATE_TEST_CASE("items written and read in place arrive once, whole and in order", "[spsc_queue][stress]",
                   (spsc_queue<whole<1>, 1>), (spsc_queue<whole<1>, 4>), (spsc_queue<whole<1>, 1024>),
                   (spsc_queue<whole<8>, 64>), (spsc_queue<whole<9>, 16>), (sized_queue<whole<1>, 256>)) {
  using T = typename TestType::value_type;
  const auto queue = std::make_unique<TestType>(~std::uint64_t{0} - 1000);
  check(run(
      *queue,
      [&](std::uint64_t next) {
        const std::uint64_t left = items_for(TestType::capacity()) - next;
        const std::span<T> slots =
            queue->reserve(static_cast<std::size_t>(std::min<std::uint64_t>(next % 32 + 1, left)));
        for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = T(next + i);
        const std::size_t first = slots.size() / 2;  // the rest is committed by itself, or now and then forgotten
        queue->commit(first);
        if (first != 0 && next % 7 == 0) return first;
        queue->commit(slots.size() - first);
        return slots.size();
      },
      [&](outcome& result) {
        const std::span<T> items = queue->peek(result.received % 19 + 1);
        for (std::size_t i = 0; i < items.size(); ++i) {
          if (!(items[i] == T(result.received + i))) ++result.wrong;
          items[i] = T();  // the slot is the consumer's until it is released
        }
        const std::size_t done = result.received % 5 == 0 ? (items.size() + 1) / 2 : items.size();
        queue->release(done);
        result.received += done;
        // What is left was spoilt: it is looked at no more.
        for (std::size_t i = done; i < items.size(); ++i) {
          T rest;
          if (!queue->try_pop(rest) || !(rest == T())) ++result.wrong;
          ++result.received;
        }
      }));
}

TEMPLATE_TEST_CASE("a queue sized at run time hands over as one that the compiler sized", "[spsc_queue][stress]",
                   (sized_queue<whole<1>, 1>), (sized_queue<whole<1>, 64>), (sized_queue<whole<9>, 1024>)) {
  using T = typename TestType::value_type;
  const auto queue = std::make_unique<TestType>();
  check(run(
      *queue, [&](std::uint64_t next) { return queue->try_push(T(next)) ? 1U : 0U; },
      [&](outcome& result) {
        T item;
        if (!queue->try_pop(item)) return;
        if (!(item == T(result.received))) ++result.wrong;
        ++result.received;
      }));
}

TEST_CASE("a watched queue counts what each side saw, while others read the counts", "[spsc_queue][stress]") {
  const auto queue = std::make_unique<spsc_queue<whole<1>, 16, holdfast::watched>>();
  std::uint64_t refused_pushes = 0;
  std::uint64_t refused_pops = 0;
  holdfast::atomic<bool> over{false};
  std::uint64_t shrunk = 0;
  std::thread observer([&] {
    std::uint64_t pushes = 0;
    std::uint64_t pops = 0;
    std::size_t most = 0;
    // hint: only says that the others have ended
    while (!over.load(mo::relaxed)) {
      if (queue->refused_pushes() < pushes || queue->refused_pops() < pops || queue->high_water() < most) ++shrunk;
      pushes = queue->refused_pushes();
      pops = queue->refused_pops();
      most = queue->high_water();
      std::this_thread::yield();
    }
  });
  check(run(
      *queue,
      [&](std::uint64_t next) {
        if (queue->try_push(whole<1>(next))) return 1U;
        ++refused_pushes;
        return 0U;
      },
      [&](outcome& result) {
        whole<1> item;
        if (!queue->try_pop(item)) {
          ++refused_pops;
          return;
        }
        if (!(item == whole<1>(result.received))) ++result.wrong;
        ++result.received;
      }));
  // hint: only says that the others have ended
  over.store(true, mo::relaxed);
  observer.join();
  CHECK(shrunk == 0);
  CHECK(queue->refused_pushes() == refused_pushes);
  CHECK(queue->refused_pops() == refused_pops);
  CHECK(queue->high_water() >= 1);
  CHECK(queue->high_water() <= queue->max_size());
}

TEST_CASE("owning items pass from thread to thread without a leak or a double end", "[spsc_queue][stress]") {
  const auto queue = std::make_unique<spsc_queue<std::unique_ptr<std::uint64_t>, 32>>();
  check(run(
      *queue, [&](std::uint64_t next) { return queue->try_push(std::make_unique<std::uint64_t>(next)) ? 1U : 0U; },
      [&](outcome& result) {
        queue->consume_all([&](std::unique_ptr<std::uint64_t>&& item) {
          if (*item != result.received) ++result.wrong;
          ++result.received;
        });
      }));
}

TEST_CASE("a value and its answer go to and fro through two queues", "[spsc_queue][stress]") {
  constexpr std::uint64_t rounds = 20'000;
  spsc_queue<std::uint64_t, 16> there;
  spsc_queue<std::uint64_t, 16> back;
  bool echo_gave_up = false;
  std::thread echo([&] {
    patience patience;
    for (std::uint64_t i = 0; i < rounds;) {
      std::uint64_t value = 0;
      if (there.try_pop(value)) {
        if (!back.try_push(value + 1)) echo_gave_up = true;
        ++i;
      } else if (!patience.wait()) {
        echo_gave_up = true;
        return;
      }
    }
  });
  std::uint64_t wrong = 0;
  patience patience;
  bool gave_up = false;
  for (std::uint64_t i = 0; i < rounds && !gave_up; ++i) {
    if (!there.try_push(i)) ++wrong;
    std::uint64_t answer = 0;
    while (!back.try_pop(answer) && !gave_up) gave_up = !patience.wait();
    if (!gave_up && answer != i + 1) ++wrong;
  }
  echo.join();
  CHECK_FALSE(gave_up);
  CHECK_FALSE(echo_gave_up);
  CHECK(wrong == 0);
}
