// SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>

#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/runnable.hpp"

namespace test_support {

// Awaited, it goes on as what the loop runs next, on its thread.
class on_thread_of : holdfast::runnable {
 public:
  explicit on_thread_of(holdfast::run_loop& loop) noexcept : runnable(resumes), loop_(loop) {}
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept {
    caller_ = caller;
    loop_.post(*this);
  }
  static void await_resume() noexcept {}

 private:
  static void resumes(runnable& self) noexcept { static_cast<on_thread_of&>(self).caller_.resume(); }
  holdfast::run_loop& loop_;
  std::coroutine_handle<> caller_;
};

}  // namespace test_support
