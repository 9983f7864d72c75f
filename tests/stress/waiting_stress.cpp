// SPDX-License-Identifier: MIT
// Threads that wait for each other through a queue, at every pace: all that is pushed arrives, and all of them end.
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

// So few pauses that most waits end up asleep.
struct sleepy : event_count {
  sleepy() : event_count(holdfast::before_sleep{.pauses = 4, .yields = 0}) {}
};
// Waits that give up often: what they were told must not be lost with them.
deadline soon() {
  return deadline::after(steady_clock::now(), std::chrono::microseconds(20));
}

template <class Queue>
void wait_for_each_other(unsigned producers, unsigned consumers, std::uint64_t each) {
  const auto queue = std::make_unique<waiting_queue<Queue, sleepy, sleepy>>();
  atomic<std::uint64_t> sum{0};
  atomic<std::uint64_t> count{0};
  atomic<unsigned> pushing{producers};
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (std::uint64_t i = 0; i < each; ++i) {
        std::uint64_t item = p * each + i;
        while (!queue->wait_push(std::move(item), i % 2 == 0 ? deadline::never() : soon())) {
        }
      }
      if (pushing.fetch_sub(1, mo::acq_rel) == 1) queue->close();
    });
  }
  for (unsigned c = 0; c < consumers; ++c) {
    threads.emplace_back([&] {
      std::uint64_t item = 0;
      for (std::uint64_t i = 0;; ++i) {
        const queue_result answer = queue->wait_pop(item, i % 3 != 0 ? deadline::never() : soon());
        if (answer == queue_op_status::closed) break;
        if (!answer) continue;
        sum.fetch_add(item, mo::relaxed);
        count.fetch_add(1, mo::relaxed);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  const std::uint64_t items = producers * each;
  CHECK(count.load(mo::relaxed) == items);
  CHECK(sum.load(mo::relaxed) == items * (items - 1) / 2);
  CHECK(queue->items().sleepers() == 0);
  CHECK(queue->room().sleepers() == 0);
}

}  // namespace

TEST_CASE("waiting_queue: one waits for one, and nothing is lost", "[waiting_queue][stress]") {
  wait_for_each_other<spsc_queue<std::uint64_t, 1>>(1, 1, 20'000);
  wait_for_each_other<spsc_queue<std::uint64_t, 64>>(1, 1, 100'000);
}

TEST_CASE("waiting_queue: many wait for many, and nothing is lost", "[waiting_queue][stress]") {
  wait_for_each_other<mpmc_queue<std::uint64_t, 1>>(2, 2, 10'000);
  wait_for_each_other<mpmc_queue<std::uint64_t, 4>>(4, 4, 10'000);
  wait_for_each_other<mpmc_queue<std::uint64_t, 256>>(3, 2, 50'000);
  wait_for_each_other<mpmc_lockfree_queue<std::uint64_t, 4>>(3, 3, 10'000);
}
