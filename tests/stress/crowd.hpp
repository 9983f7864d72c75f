// SPDX-License-Identifier: MIT
// crowd: many threads hand items over while another looks on: every item arrives, once, whole, and each producer's in its
// order, until the queue is closed.
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
#include "holdfast/queue/queue_result.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

namespace crowd {

using namespace holdfast;
using test_support::patience;

// Whose it is, which one, and a check over both, so that one that is torn or made up shows.
struct item {
  std::uint64_t producer = 0;
  std::uint64_t number = 0;
  std::uint64_t check = 0;
  item() = default;
  item(std::uint64_t p, std::uint64_t n) noexcept : producer(p), number(n), check(mixed(p, n)) {}
  [[nodiscard]] bool whole() const noexcept { return check == mixed(producer, number); }
  static std::uint64_t mixed(std::uint64_t p, std::uint64_t n) noexcept { return (n * 8 + p) * 0x9E3779B97F4A7C15ULL; }
};

// What a consumer saw.
class seen_by_one {
 public:
  explicit seen_by_one(std::size_t producers) : next_(producers) {}
  void saw(const item& one) {
    if (!one.whole() || one.producer >= next_.size() || one.number < next_[one.producer]) {
      ++wrong;
      return;
    }
    next_[one.producer] = one.number + 1;
    ++count;
    sum += one.number;
  }
  std::uint64_t wrong = 0;
  std::uint64_t count = 0;
  std::uint64_t sum = 0;

 private:
  std::vector<std::uint64_t> next_;  // no younger item of a producer comes before an older one
};

enum class calls : std::uint8_t { single, batch };

// Each producer pushes `each` items; the last one out closes, and consumers take until it says so.
template <class Queue, calls Calls>
void hand_over(unsigned producers, unsigned consumers, std::uint64_t each) {
  const auto queue = std::make_unique<Queue>(~std::uint64_t{0} / 2 - each);  // over the wrap of the positions
  atomic<unsigned> still_pushing{producers};
  atomic<bool> over{false};
  atomic<std::uint64_t> gave_up{0};
  std::uint64_t impossible_sizes = 0;
  std::vector<seen_by_one> seen(consumers, seen_by_one(producers));
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      patience patience;
      std::array<item, 20> some;
      for (std::uint64_t next = 0; next < each;) {
        std::size_t done = 0;
        if (Calls == calls::single) {
          done = queue->try_push(item(p, next)) ? 1U : 0U;
        } else {
          const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(next % some.size() + 1, each - next));
          for (std::size_t i = 0; i < count; ++i) some[i] = item(p, next + i);
          done = queue->try_push(std::span(some).first(count));
        }
        next += done;
        if (done == 0 && !patience.wait()) {
          gave_up.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
          break;
        }
      }
      // [S1] acq_rel, pairs with [S1]: the last one closes after all have pushed
      if (still_pushing.fetch_sub(1, mo::acq_rel) == 1) queue->close();
    });
  }
  for (unsigned c = 0; c < consumers; ++c) {
    threads.emplace_back([&, c] {
      patience patience;
      std::array<item, 13> some;
      for (;;) {
        std::size_t done = 0;
        if (Calls == calls::batch) done = queue->try_pop(std::span(some));
        if (done == 0) {
          const queue_result answer = queue->try_pop(some[0]);
          if (answer == queue_op_status::closed) return;
          done = answer ? 1U : 0U;
        }
        for (std::size_t i = 0; i < done; ++i) seen[c].saw(some[i]);
        if (done == 0 && !patience.wait()) {
          gave_up.fetch_add(1, mo::relaxed);  // counter: as above
          return;
        }
      }
    });
  }
  std::thread observer([&] {
    while (!over.load(mo::relaxed)) {  // hint: only says that the others have ended
      if (queue->size_approx() > queue->capacity()) ++impossible_sizes;
      std::this_thread::yield();
    }
  });
  for (std::thread& t : threads) t.join();
  over.store(true, mo::relaxed);  // hint: as above
  observer.join();
  std::uint64_t wrong = 0, count = 0, sum = 0;
  for (const seen_by_one& s : seen) {
    wrong += s.wrong;
    count += s.count;
    sum += s.sum;
  }
  CHECK(gave_up.load(mo::relaxed) == 0);  // counter: joined
  CHECK(wrong == 0);
  CHECK(count == producers * each);
  CHECK(sum == producers * (each * (each - 1) / 2));
  CHECK(impossible_sizes == 0);
  item out;
  CHECK(queue->try_pop(out) == queue_op_status::closed);
}

// Closed in the middle: what was taken arrives.
template <class Queue>
void closed_while_pushing() {
  for (int round = 0; round < 200; ++round) {
    Queue queue;
    atomic<std::uint64_t> taken{0};
    atomic<std::uint64_t> received{0};
    std::vector<std::thread> threads;
    for (int p = 0; p < 2; ++p) {
      threads.emplace_back([&] {
        patience patience;
        for (std::uint64_t i = 0;; ++i) {
          const queue_result answer = queue.try_push(std::make_unique<std::uint64_t>(i));
          if (answer == queue_op_status::closed) return;
          if (answer) taken.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
          if (!answer && !patience.wait()) return;
        }
      });
      threads.emplace_back([&] {
        patience patience;
        std::unique_ptr<std::uint64_t> out;
        for (;;) {
          const queue_result answer = queue.try_pop(out);
          if (answer == queue_op_status::closed) return;
          // counter: as above
          if (answer && received.fetch_add(1, mo::relaxed) == 20) queue.close();
          if (!answer && !patience.wait()) return;
        }
      });
    }
    for (std::thread& t : threads) t.join();
    REQUIRE(taken.load(mo::relaxed) == received.load(mo::relaxed));  // counter: joined
    REQUIRE(received.load(mo::relaxed) >= 21);                       // counter: joined
    REQUIRE(queue.size_approx() == 0);
  }
}

}  // namespace crowd
