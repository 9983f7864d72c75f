// SPDX-License-Identifier: MIT
// waiter: a base of whoever waits and is no thread, such as a coroutine: it is called back.
//
//   operation   caller            progress    allocates   note
//   told        who has what is   as what     never       once for each time that it was entered somewhere
//               waited for        it does
//
// In short: whoever waits owns it | as its call | never | -
//
// told() comes from the middle of somebody else's push, pop or release, so it hands the waiter to the executor where it runs, and
// does no more. After that call it is not touched any more, and may be gone.
//
// Proof: unit/waiter_set_test.cpp, unit/waiting_line_test.cpp.
#pragma once

namespace holdfast {

class waiter {
 public:
  using call = void (*)(waiter& self) noexcept;
  explicit constexpr waiter(call when_told) noexcept : told_(when_told) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  void told() noexcept { told_(*this); }

 protected:
  ~waiter() = default;

 private:
  const call told_;
};

}  // namespace holdfast
