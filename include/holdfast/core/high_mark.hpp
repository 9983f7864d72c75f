// SPDX-License-Identifier: MIT
// high_mark: the largest number that any thread has put up so far.
//
//   operation     caller                         progress    cost                allocates
//   raise         any thread                     lock-free   a load, and a CAS   never
//                                                            if it is higher
//   raise_alone   the one thread that raises it  wait-free   a load, a store     never
//   read          any thread                     wait-free   a load              never
//
// It only grows, and orders nothing: but a relaxed number is never older to a thread than what happened before. So where a
// thread raises the mark over a place before it puts something there, whoever knows of the thing finds the place below the mark.
//
// When to use it: how many lanes, from the first, have ever been in use; the most items that a queue held.
//
// Proof: tests/model/high_mark_model.cpp, unit/queue_watch_test.cpp, unit/fan_in_test.cpp.
#pragma once

#include <concepts>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

template <std::unsigned_integral T>
class high_mark {
 public:
  void raise(T to) noexcept {
    T mark = mark_.load(mo::relaxed);  // counter: only grows
    while (mark < to) {
      // counter: as above; what stands below it shows itself
      if (mark_.compare_exchange_weak(mark, to, mo::relaxed, mo::relaxed)) break;
    }
  }
  void raise_alone(T to) noexcept {
    if (to > read()) mark_.store(to, mo::relaxed);  // own: nobody else writes it
  }
  [[nodiscard]] T read() const noexcept {
    return mark_.load(mo::relaxed);  // counter: what the caller knows of is below it
  }

 private:
  atomic<T> mark_{0};
};

}  // namespace holdfast
