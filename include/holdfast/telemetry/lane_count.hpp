// SPDX-License-Identifier: MIT
// lane_count: how many of a log_sink's lanes, from the first, threads have taken so far. Part of log_sink: nothing here is for
// users.
//
//   operation   caller                  progress    allocates
//   cover       a thread with a lane    lock-free   never
//   read        anyone                  wait-free   never
//
// It only grows. Whoever knows of a record knows of its lane: cover() comes before the thread's first record, and a relaxed
// number is never older to a thread than what happened before. So the backend, told of a flush, looks at every lane that has
// something for it.
//
// Proof: tests/model/lane_count_model.cpp, tests/unit/log_sink_test.cpp.
#pragma once

#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast::log_detail {

class lane_count {
 public:
  // The lane with this index is among them from now on.
  void cover(std::uint32_t index) noexcept {
    std::uint32_t count = count_.load(mo::relaxed);  // counter: only grows
    while (count <= index) {
      // counter: what is in a lane, its own words show
      if (count_.compare_exchange_weak(count, index + 1, mo::relaxed, mo::relaxed)) break;
    }
  }
  [[nodiscard]] std::uint32_t read() const noexcept {
    return count_.load(mo::relaxed);  // counter: what the caller knows of is in it
  }

 private:
  atomic<std::uint32_t> count_{0};
};

}  // namespace holdfast::log_detail
