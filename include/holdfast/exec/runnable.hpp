// SPDX-License-Identifier: MIT
// runnable, mark, executor: something that is to be run once, one that knows that it was, and what runs it.
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

// Knows that it was run, and does nothing else: for an end that is looked at on the thread that runs it.
class mark : public runnable {
 public:
  mark() noexcept : runnable(note) {}
  [[nodiscard]] bool was_run() const noexcept { return was_run_; }

 private:
  static void note(runnable& self) noexcept { static_cast<mark&>(self).was_run_ = true; }
  bool was_run_ = false;
};

template <class E>
concept executor = requires(E& where, runnable& what) {
  { where.post(what) }
  noexcept;
};

}  // namespace holdfast
