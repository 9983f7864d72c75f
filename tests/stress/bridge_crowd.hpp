// SPDX-License-Identifier: MIT
// bridge_crowd: many threads hand items over through a queue that need not be able to close, while another looks on. Each item
// arrives once and whole; each producer's in its order, if that is promised; and the size is exact in the end.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/queue_result.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/deadline.hpp"

#include "crowd.hpp"
#include "support/catch.hpp"
#include "support/patience.hpp"

namespace crowd {

template <class Queue>
std::uint64_t most_held(const Queue& queue) {
  if constexpr (requires { queue.max_size(); }) return queue.max_size();
  return queue.capacity();
}

// What came to each consumer, in its order: every item once, and in each of these no older one of a producer after a younger.
template <class Queue>
void check_arrivals(const std::vector<std::vector<item>>& arrived, unsigned producers, std::uint64_t each) {
  std::vector<std::vector<std::uint8_t>> times(producers, std::vector<std::uint8_t>(each, 0));
  std::uint64_t torn = 0;
  std::uint64_t out_of_order = 0;
  for (const std::vector<item>& of_one : arrived) {
    std::vector<std::uint64_t> next(producers, 0);
    for (const item& one : of_one) {
      if (!one.whole() || one.producer >= producers || one.number >= each) {
        ++torn;
        continue;
      }
      if (times[one.producer][one.number] < 2) ++times[one.producer][one.number];
      out_of_order += one.number < next[one.producer] ? 1U : 0U;
      next[one.producer] = one.number + 1;
    }
  }
  std::uint64_t lost = 0;
  std::uint64_t doubled = 0;
  for (const auto& of_one : times) {
    lost += static_cast<std::uint64_t>(std::count(of_one.begin(), of_one.end(), 0));
    doubled += static_cast<std::uint64_t>(std::count(of_one.begin(), of_one.end(), 2));
  }
  CHECK(torn == 0);
  CHECK(lost == 0);
  CHECK(doubled == 0);
  if (holdfast::keeps_producer_order<Queue>) CHECK(out_of_order == 0);
}

template <class Queue, calls Calls = calls::single>
void cross(unsigned producers, unsigned consumers, std::uint64_t each) {
  const auto queue = std::make_unique<Queue>();
  const std::uint64_t all = producers * each;
  atomic<std::uint64_t> popped{0};
  atomic<std::uint64_t> gave_up{0};
  atomic<bool> over{false};
  std::vector<std::vector<item>> arrived(consumers);
  for (auto& of_one : arrived) of_one.reserve(all);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      patience patience;
      [[maybe_unused]] std::array<item, 90> some;
      for (std::uint64_t next = 0; next < each;) {
        std::size_t done = 0;
        if constexpr (Calls == calls::batch) {
          const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(next % some.size() + 1, each - next));
          for (std::size_t i = 0; i < count; ++i) some[i] = item(p, next + i);
          done = queue->try_push(std::span<item>(some).first(count));
        } else {
          done = queue->try_push(item(p, next)) ? 1U : 0U;
        }
        next += done;
        if (done == 0 && !patience.wait()) {
          gave_up.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
          return;
        }
      }
    });
  }
  for (unsigned c = 0; c < consumers; ++c) {
    threads.emplace_back([&, c] {
      patience patience;
      std::array<item, 70> some;
      while (popped.load(mo::relaxed) < all) {  // counter: only says when to stop
        std::size_t done = 0;
        if constexpr (Calls == calls::batch) {
          done = queue->try_pop(std::span<item>(some));
        } else {
          done = queue->try_pop(some[0]) ? 1U : 0U;
        }
        arrived[c].insert(arrived[c].end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(done));
        if (done != 0) popped.fetch_add(done, mo::relaxed);  // counter: as above
        if (done == 0 && !patience.wait()) {
          gave_up.fetch_add(1, mo::relaxed);  // counter: as above
          return;
        }
      }
    });
  }
  std::uint64_t impossible_sizes = 0;
  std::thread observer([&] {
    while (!over.load(mo::relaxed)) {  // hint: only says that the others have ended
      impossible_sizes += queue->size_approx() > most_held(*queue) ? 1U : 0U;
      std::this_thread::yield();
    }
  });
  for (std::thread& one : threads) one.join();
  over.store(true, mo::relaxed);  // hint: as above
  observer.join();
  CHECK(gave_up.load(mo::relaxed) == 0);  // counter: joined
  CHECK(impossible_sizes == 0);
  CHECK(queue->size_approx() == 0);
  item out;
  CHECK_FALSE(queue->try_pop(out));
  check_arrivals<Queue>(arrived, producers, each);
}

// So few pauses that most waits end up asleep.
struct sleepy : event_count {
  sleepy() : event_count(holdfast::before_sleep{.pauses = 4, .yields = 0}) {}
};

// The same with threads that sleep until they are told, and no deadline to save one that was not.
template <class Queue>
void cross_asleep(unsigned producers, unsigned consumers, std::uint64_t each) {
  const auto queue = std::make_unique<waiting_queue<Queue, sleepy, sleepy>>();
  const std::uint64_t all = producers * each;
  atomic<std::uint64_t> taken{0};
  std::vector<std::vector<item>> arrived(consumers);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (std::uint64_t i = 0; i < each; ++i) {
        if (!queue->wait_push(item(p, i), deadline::never())) return;
      }
    });
  }
  for (unsigned c = 0; c < consumers; ++c) {
    threads.emplace_back([&, c] {
      // Each takes a place among all items before it waits for one, so that none waits for an item that cannot come.
      while (taken.fetch_add(1, mo::relaxed) < all) {  // counter: publishes nothing
        item out;
        if (!queue->wait_pop(out, deadline::never())) return;
        arrived[c].push_back(out);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(queue->size_approx() == 0);
  CHECK(queue->items().sleepers() == 0);
  CHECK(queue->room().sleepers() == 0);
  check_arrivals<Queue>(arrived, producers, each);
}

}  // namespace crowd
