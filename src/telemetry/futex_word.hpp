// SPDX-License-Identifier: MIT
// futex_word: a counter that a thread can sleep on for a bounded time. std::atomic::wait knows no timeout.
//
// Proof: tests/model/log_requests_model.cpp, with a sleep of the model's in the place of the kernel's.
#pragma once

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdint>

#include <linux/futex.h>

#include "holdfast/core/atomic.hpp"

namespace holdfast::log_detail {

struct kernel_futex {
  // Sleeps unless the word is not `seen`; may return early.
  static void wait(atomic<std::uint32_t>& word, std::uint32_t seen, std::chrono::nanoseconds at_most) noexcept {
    timespec t{};
    t.tv_sec = static_cast<time_t>(at_most.count() / 1'000'000'000);
    t.tv_nsec = static_cast<long>(at_most.count() % 1'000'000'000);
    ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, &t, nullptr, 0);
  }
  static void wake_all(atomic<std::uint32_t>& word) noexcept {
    ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
};
static_assert(sizeof(atomic<std::uint32_t>) == sizeof(std::uint32_t), "the kernel looks at the word itself");

template <class Futex>
class basic_futex_word {
 public:
  [[nodiscard]] std::uint32_t read() const noexcept {
    return word_.load(mo::acquire);  // [F1] acquire, pairs with [F2]: what the waker did before
  }
  // Sleeps unless the word has changed since `seen`; may return early.
  void wait(std::uint32_t seen, std::chrono::nanoseconds at_most) noexcept {
    if (at_most.count() > 0) Futex::wait(word_, seen, at_most);
  }
  void change_and_wake_all() noexcept {
    word_.fetch_add(1, mo::release);  // [F2] release, pairs with [F1]: what was done before is seen by who wakes
    Futex::wake_all(word_);
  }

 private:
  atomic<std::uint32_t> word_{0};
};
using futex_word = basic_futex_word<kernel_futex>;

}  // namespace holdfast::log_detail
