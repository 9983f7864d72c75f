// SPDX-License-Identifier: MIT
// stamp: when an operation was called and when it returned, so that stamps order operations as threads could tell.
//
// What is wanted: if the stamp of a's return is older than the stamp of b's call, then whatever a did was visible to all
// before b did anything. On x86-64 that takes more than reading the time stamp counter: rdtscp waits for earlier loads
// but not until earlier stores have left the store buffer, and later loads may go before it. Without the fences below, a
// queue that is right would be seen to be "empty" after a push had "returned". So the order that is checked is that of
// calls which are followed by a fence; a bare store takes effect when others see it, and not before.
//
// Elsewhere, or where the counters of two cores disagree: steady_clock between fences.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

#include "holdfast/core/atomic.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace holdfast_lin {

class stamp_clock {
 public:
  explicit constexpr stamp_clock(bool counter) noexcept : counter_(counter) {}
  [[nodiscard]] bool uses_counter() const noexcept { return counter_; }

  // Nothing that follows happens before it.
  [[nodiscard]] std::uint64_t at_call() const noexcept {
#if defined(__x86_64__)
    if (counter_) [[likely]] {
      unsigned core = 0;
      const std::uint64_t now = __rdtscp(&core);
      _mm_lfence();
      return now;
    }
#endif
    return slowly();
  }
  // All that went before has happened, for everybody.
  [[nodiscard]] std::uint64_t at_return() const noexcept {
#if defined(__x86_64__)
    if (counter_) [[likely]] {
      unsigned core = 0;
      _mm_mfence();
      return __rdtscp(&core);
    }
#endif
    return slowly();
  }

 private:
  static std::uint64_t slowly() noexcept {
    // [T1] seq_cst, pairs with itself: what was done before the clock was read is done
    holdfast::fence(holdfast::mo::seq_cst);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    // [T2] seq_cst, pairs with itself: what comes after is not done yet
    holdfast::fence(holdfast::mo::seq_cst);
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  }

  bool counter_;
};

// The counter, if the cores agree about it: two threads hand a stamp to and fro, and none may be younger than the answer.
[[nodiscard]] inline stamp_clock best_stamp_clock() {
#if defined(__x86_64__)
  namespace mo = holdfast::mo;
  constexpr int rounds = 20'000;
  const stamp_clock counter(true);
  holdfast::atomic<std::uint64_t> there{0};
  holdfast::atomic<std::uint64_t> back{0};
  holdfast::atomic<bool> agree{true};
  const auto hand_over = [&](holdfast::atomic<std::uint64_t>& from, holdfast::atomic<std::uint64_t>& to) {
    std::uint64_t seen = 0;
    for (int spins = 0; seen == 0; ++spins) {
      seen = from.exchange(0, mo::acquire);  // [T3] acquire, pairs with [T4]: the stamp was taken before ours
      if (seen == 0 && spins > 500) std::this_thread::yield();
    }
    if (counter.at_call() < seen) agree.store(false, mo::relaxed);  // counter: read when both have ended
    to.store(counter.at_return(), mo::release);                     // [T4] release, pairs with [T3]: as there
  };
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) hand_over(there, back);
  });
  there.store(counter.at_return(), mo::release);  // [T5] release, pairs with [T3]: as [T4]
  for (int i = 0; i < rounds; ++i) hand_over(back, there);
  other.join();
  return stamp_clock(agree.load(mo::relaxed));  // own: the other thread has ended
#else
  return stamp_clock(false);
#endif
}

}  // namespace holdfast_lin
