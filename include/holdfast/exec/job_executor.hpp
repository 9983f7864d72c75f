// SPDX-License-Identifier: MIT
// job_executor: a job_scheduler at one level, as an executor, and as something that a coroutine awaits to go there.
//
//   operation         caller        progress    allocates   when refused
//   post(what)        any thread    wait-free   never       never
//   co_await on(l)    a coroutine   wait-free   never       never: the rest of it runs on a worker, at that level
//
// In short: any thread | wait-free | never | -
//
//   co_await jobs->on(0);
//   auto level = jobs->on(2);         // an executor, for what is to be resumed there: co_pop, co_call, ...
//
// Proof: unit/job_scheduler_test.cpp.
#pragma once

#include <coroutine>

#include "holdfast/exec/runnable.hpp"

namespace holdfast {

template <class Scheduler>
class job_executor {
 public:
  job_executor(Scheduler& jobs, unsigned level) noexcept : jobs_(&jobs), level_(level) {}

  void post(runnable& what) noexcept { jobs_->post(level_, what); }
  [[nodiscard]] unsigned level() const noexcept { return level_; }

  class [[nodiscard]] awaiter : runnable {
   public:
    awaiter(Scheduler& jobs, unsigned level) noexcept : runnable(go_on), jobs_(jobs), level_(level) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;

    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) noexcept {
      caller_ = caller;
      jobs_.post(level_, *this);  // and touched no more: it may have been resumed and be gone
    }
    static void await_resume() noexcept {}

   private:
    static void go_on(runnable& self) noexcept { static_cast<awaiter&>(self).caller_.resume(); }

    Scheduler& jobs_;
    const unsigned level_;
    std::coroutine_handle<> caller_;
  };
  awaiter operator co_await() const noexcept { return {*jobs_, level_}; }

 private:
  Scheduler* jobs_;
  unsigned level_;
};

}  // namespace holdfast
