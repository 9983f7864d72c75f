// SPDX-License-Identifier: MIT
// fiber: a stack of its own that is switched to and from by hand, so that a scenario's threads take turns as the search says.
//
// A fiber that is made anew forgets whatever stood on its stack: destructors of an abandoned execution do not run.
#pragma once

#include <cstddef>

namespace holdfast_model {

class fiber {
 public:
  static constexpr std::size_t stack_bytes = 256 * 1024;

  fiber() = default;
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;
  ~fiber();

  // Next time it is entered it begins at `entry`, which never returns.
  void make(void (*entry)());
  // From the owner's stack into the fiber, until it leaves.
  void enter();
  // From the fiber back to where it was entered.
  void leave();

 private:
  std::byte* stack_ = nullptr;  // a guard page below it
  // Where each of the two goes on: a stack pointer, or, with ucontext, a context at the low end of the stack.
  void* own_ = nullptr;
  void* owner_ = nullptr;
};

}  // namespace holdfast_model
