// SPDX-License-Identifier: MIT
// queue_size: how many items are in a queue that does not say so itself, counted beside it.
//
//   operation     caller                          progress    cost                       allocates   when refused
//   pushed(n)     a producer, after its push      wait-free   below                      never       -
//   popped(n)     a consumer, after its pop       wait-free   below                      never       -
//   approx(most)  anyone                          wait-free   a load or eight a side     never       -
//
// In short: as the queue that it counts | wait-free | never | -
//
// A side of one thread has a word on a line of its own and pays a plain load and store; a side of many has a counter
// (telemetry/counter.hpp) and pays a fetch_add on the thread's stripe. Nothing is published through either, so the queue is
// neither slower to hand over nor ordered otherwise than without.
//
// approx() is exact for whoever has seen all callers stop. Meanwhile it is stale by what is under way: an item counts from the
// end of its push to the end of its pop, and one that a consumer is quicker to take than its producer to count makes the size
// too low by one until then. It reads the pops first, so that what happens between the two reads makes it too high and not too
// low, and never gives less than 0 or more than `most`.
//
// Memory: 64 bytes for a side of one thread, 512 for one of many.
//
// Proof: unit/queue_behaviours_test.cpp, unit/boost_queues_test.cpp, stress/boost_queues_stress.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/telemetry/counter.hpp"

namespace holdfast {

// The calls of one thread.
class single_count {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(mo::relaxed) + n, mo::relaxed);  // own: nobody else writes it
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(mo::relaxed); }  // counter: publishes nothing

 private:
  alignas(cache_line_size) atomic<std::uint64_t> value_{0};
};

template <callers Side>
struct count_of_side {
  using type = counter;
};
template <>
struct count_of_side<callers::one> {
  using type = single_count;
};

template <callers Producers, callers Consumers>
class queue_size {
 public:
  void pushed(std::uint64_t n = 1) noexcept { pushed_.add(n); }
  void popped(std::uint64_t n = 1) noexcept { popped_.add(n); }
  [[nodiscard]] std::size_t approx(std::size_t most) const noexcept {
    const std::uint64_t popped = popped_.value();
    const auto between = static_cast<std::int64_t>(pushed_.value() - popped);
    return std::min(static_cast<std::size_t>(std::max<std::int64_t>(between, 0)), most);
  }

 private:
  typename count_of_side<Producers>::type pushed_;  // by producers
  typename count_of_side<Consumers>::type popped_;  // by consumers
};

}  // namespace holdfast
