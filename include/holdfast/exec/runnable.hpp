// SPDX-License-Identifier: MIT
// runnable, executor: something that is to be run once, and what runs it.
//
// In short: whoever waits owns it | as the executor | never | -
//
// A runnable lies in whatever waits (a coroutine's frame, say), so handing it to an executor allocates nothing. It stays where
// it is until it has been run, and is handed over once at a time. run() may end its life.
//
// An executor is anything with `post(runnable&) noexcept`, which any thread may call, in the middle of a push or a pop: it notes
// it down and never runs it there. It outlives every call of post. exec/run_loop.hpp is one, and
// interop/asio_executor.hpp makes one of Boost.Asio's.
//
// Proof: unit/run_loop_test.cpp, unit/co_queue_test.cpp.
#pragma once

#include "holdfast/queue/intrusive_mpsc_list.hpp"

namespace holdfast {

class runnable : public mpsc_hook {
 public:
  using call = void (*)(runnable& self) noexcept;
  explicit runnable(call what) noexcept : what_(what) {}

  void run() noexcept { what_(*this); }

 protected:
  ~runnable() = default;

 private:
  const call what_;
};

template <class E>
concept executor = requires(E& where, runnable& what) {
  { where.post(what) }
  noexcept;
};

}  // namespace holdfast
