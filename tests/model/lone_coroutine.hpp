// SPDX-License-Identifier: MIT
// What scenarios with coroutines have: a coroutine that nobody awaits, and an executor of one thread's one coroutine.
#pragma once

#include <coroutine>
#include <exception>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/runnable.hpp"

namespace holdfast_model {

namespace mo = holdfast::mo;
using holdfast::atomic;
using holdfast::runnable;

// Begins at once, and is gone when it ends.
struct coroutine {
  struct promise_type {
    static coroutine get_return_object() noexcept { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
  };
};

// An executor of one thread's one coroutine.
class own_thread {
 public:
  void post(runnable& what) noexcept {
    next_.store(&what, mo::release);
    next_.notify_one();
  }
  // Until the coroutine says that it has ended.
  void run(const bool& ended) {
    while (!ended) {
      next_.wait(nullptr, mo::acquire);
      run_what_is_there();
    }
  }
  void run_what_is_there() {
    runnable* const what = next_.load(mo::acquire);
    if (what == nullptr) return;
    next_.store(nullptr, mo::relaxed);
    what->run();
  }

 private:
  atomic<runnable*> next_{nullptr};
};

}  // namespace holdfast_model
