// SPDX-License-Identifier: MIT
// contention_pause: how long to leave a word alone after losing an exchange on it, longer each time.
//
// Guarantee: wait-free; a thread's own value on its stack; never allocates. The n-th call makes 2^(n-1) pauses of the
// processor, at most `longest`. It waits for nobody: whoever lost, lost to a thread that has moved on.
//
// When to use it: in a compare-exchange loop on a word that several threads move forward. Two threads that try again at
// once take the line from each other before either can use it: there a pair of claims costs two to three times as much
// as with pauses. Not for waiting until something happens.
//
// Method: truncated binary exponential back-off (Anderson, "The Performance of Spin Lock Alternatives", 1990), without
// jitter: the lengths of the losers differ already. `longest` by trying 16 to 256 in bench/mpmc_queue_bench.cpp.
//
// Proof: unit/mpmc_queue_test.cpp.
#pragma once

#include "holdfast/core/atomic.hpp"

namespace holdfast {

class contention_pause {
 public:
  static constexpr unsigned longest = 64;

  void operator()() noexcept {
    cpu_pause(pauses_);
    if (pauses_ < longest) pauses_ *= 2;
  }
  [[nodiscard]] unsigned next() const noexcept { return pauses_; }

 private:
  unsigned pauses_ = 1;
};

}  // namespace holdfast
