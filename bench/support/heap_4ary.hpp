// SPDX-License-Identifier: MIT
// heap_4ary: the timer heap that people write when they have read about heaps: four children a node, dense, the keys in it, and
// for each timer where it lies, so that it can be cancelled at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::bench {

class heap_4ary {
 public:
  explicit heap_4ary(std::size_t timers) : place_of_(timers) { heap_.reserve(timers); }

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::int64_t first_due() const { return heap_[0].due; }
  [[nodiscard]] std::uint32_t first() const { return heap_[0].timer; }

  void insert(std::uint32_t timer, std::int64_t due) {
    heap_.push_back({});
    rise(heap_.size() - 1, {due, timer});
  }
  void remove(std::uint32_t timer) {
    const std::size_t hole = place_of_[timer];
    const entry last = heap_.back();
    heap_.pop_back();
    if (hole != heap_.size()) settle(hole, last);
  }
  void move(std::uint32_t timer, std::int64_t due) { settle(place_of_[timer], {due, timer}); }

 private:
  struct entry {
    std::int64_t due = 0;
    std::uint32_t timer = 0;
  };

  void put(std::size_t at, entry one) {
    heap_[at] = one;
    place_of_[one.timer] = static_cast<std::uint32_t>(at);
  }
  void settle(std::size_t hole, entry one) {
    if (hole > 0 && one.due < heap_[(hole - 1) / 4].due) {
      rise(hole, one);
    } else {
      sink(hole, one);
    }
  }
  void rise(std::size_t hole, entry one) {
    while (hole > 0) {
      const std::size_t parent = (hole - 1) / 4;
      if (heap_[parent].due <= one.due) break;
      put(hole, heap_[parent]);
      hole = parent;
    }
    put(hole, one);
  }
  void sink(std::size_t hole, entry one) {
    for (std::size_t child = 4 * hole + 1; child < heap_.size(); child = 4 * hole + 1) {
      const std::size_t end = std::min(child + 4, heap_.size());
      std::size_t least = child;
      while (++child < end) {
        if (heap_[child].due < heap_[least].due) least = child;
      }
      if (one.due <= heap_[least].due) break;
      put(hole, heap_[least]);
      hole = least;
    }
    put(hole, one);
  }

  std::vector<entry> heap_{};
  std::vector<std::uint32_t> place_of_;
};

}  // namespace holdfast::bench
