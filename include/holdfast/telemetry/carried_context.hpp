// SPDX-License-Identifier: MIT
// carried_context: the context of a task that is now on this thread, now on that one, and in between on none.
//
//   operation        caller                    progress    allocates   when refused
//   construct        one thread                wait-free   never       -     it has what is current there
//   resume           who runs the task next    wait-free   never       -     the task's context is the current one
//   suspend          the same thread           wait-free   never       -     the thread has again what it had
//
// In short: whoever runs the task, one at a time | wait-free | never | -
//
// What context_scope cannot do, because its ends are in one block: a coroutine is suspended in the middle of its blocks. Scopes
// that the task opens while it runs are put away with it and come back with it, on whatever thread that is.
// Whoever hands the task from one thread to the next orders the two, as for everything else that the task has.
//
// When to use it: in a coroutine's promise, an executor, or a state machine of callbacks, around each stretch that it runs.
// exec/task.hpp does that for its coroutines. For a callable that runs once, bind_context does.
//
// Both are calls and not inlined: a compiler may take the address of what is a thread's own for one and the same throughout a
// coroutine (LLVM 47179 and its kin), which it is not.
//
// Memory: a context and two places, 152 bytes.
//
// Proof: unit/carried_context_test.cpp, unit/task_context_test.cpp, stress/task_context_stress.cpp.
#pragma once

#include "holdfast/core/assert.hpp"
#include "holdfast/telemetry/context.hpp"

namespace holdfast {

class carried_context {
 public:
  carried_context() noexcept : carried_context(current_context()) {}
  explicit carried_context(const context& of) noexcept : own_(of) {
    // An empty one is none, and no record says so.
    if (!own_.empty()) inner_.active = &own_;
  }
  carried_context(const carried_context&) = delete;
  carried_context& operator=(const carried_context&) = delete;
  ~carried_context() { HOLDFAST_ASSERT(outer_.thread == 0); }  // it is still installed

  void resume() noexcept;
  void suspend() noexcept;

 private:
  context own_;
  context_detail::place inner_{};  // while it is away: where it goes on
  context_detail::place outer_{};  // while it is installed: what the thread had; its thread is 0 otherwise
};

}  // namespace holdfast
