// SPDX-License-Identifier: MIT
// task: a coroutine that begins when it is awaited, and hands its result to the one that awaits it.
//
//   operation        caller             progress   allocates     note
//   co_await task    one coroutine,     as its     never         begins it on the caller's thread; what it returns, or its
//                    once               body                     exception, comes out
//   calling it       anyone             -          its frame     the compiler may put it into the caller's frame; where
//                                                                exec/frame_arena.hpp says, if its Frame is an arena_frame
//   run(loop, task)  the loop's thread  blocking   never         drives the loop until it has ended; what it returns
//   spawn(where,     any thread         as post    a frame       begins it on the executor, and posts `ended` there when it has
//     task, ended)                                               ended; both outlive it
//
// In short: one owner, awaited once | as its body | its frame | what its body throws
//
// To begin and to end are jumps (symmetric transfer), so a loop that awaits tasks needs no more stack than one of them; g++ 12
// makes calls of them unless it optimises (gcc.gnu.org/PR100897). What a body throws is rethrown by co_await and run(); in
// spawn(), which nobody awaits, it ends the program. Built without exceptions, a body cannot throw.
//
// When to use it: where no framework brings a coroutine type; co_queue.hpp works with any. A task that has begun runs to its end
// before it is destroyed; of one that was spawned nothing is left to destroy it by, so its executor goes on until `ended` has run.
//
// Method: Baker, "C++ Coroutines: Understanding Symmetric Transfer", 2020, and P1056.
//
// Proof: unit/task_test.cpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/runnable.hpp"

namespace holdfast {

// Where a coroutine's frame comes from: a base of its promise. This one leaves it to the compiler, and to operator new.
struct heap_frame {};

template <class T, class Frame>
class basic_task;
template <class T = void>
using task = basic_task<T, heap_frame>;
template <executor Where>
class task_root;

// What the promises of all tasks have.
class task_promise_base {
 public:
  static std::suspend_always initial_suspend() noexcept { return {}; }
  auto final_suspend() const noexcept {
    struct back {
      std::coroutine_handle<> to;
      static bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> /*ended*/) const noexcept { return to; }
      static void await_resume() noexcept {}
    };
    return back{caller_};
  }
  // The promise has the same members without exceptions, for programs that have parts of both kinds.
#if defined(__cpp_exceptions)
  void unhandled_exception() noexcept {
    thrown_ = std::current_exception();
  }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }
#else
  [[noreturn]] static void unhandled_exception() noexcept {
    std::terminate();
  }
  static void rethrow() noexcept {}
#endif
  void return_to(std::coroutine_handle<> caller) noexcept {
    HOLDFAST_ASSERT(!caller_);  // a task is awaited once
    caller_ = caller;
  }

 private:
  std::coroutine_handle<> caller_;
  std::exception_ptr thrown_;
};

template <class T, class Frame>
class task_promise : public task_promise_base, public Frame {
 public:
  basic_task<T, Frame> get_return_object() noexcept;
  template <class U = T>
    requires std::constructible_from<T, U>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};
template <class Frame>
class task_promise<void, Frame> : public task_promise_base, public Frame {
 public:
  basic_task<void, Frame> get_return_object() noexcept;
  static void return_void() noexcept {}
  void take() const { rethrow(); }
};

template <class T, class Frame>
class [[nodiscard]] basic_task {
 public:
  using promise_type = task_promise<T, Frame>;

  basic_task(basic_task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  basic_task& operator=(basic_task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~basic_task() {
    if (frame_) frame_.destroy();
  }

  auto operator co_await() && noexcept {
    struct result : beginning {
      T await_resume() const { return this->frame.promise().take(); }
    };
    return result{begin_and_keep()};
  }

 private:
  friend promise_type;
  template <class U, class F>
  friend U run(run_loop& loop, basic_task<U, F> what);

  struct beginning {
    std::coroutine_handle<promise_type> frame;
    static bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
      frame.promise().return_to(caller);
      return frame;
    }
    static void await_resume() noexcept {}
  };
  template <class U, class F>
  friend task_root<run_loop> task_root_that_keeps(run_loop&, runnable&, basic_task<U, F>& what);
  // Leaves its result where it is.
  beginning begin_and_keep() noexcept {
    HOLDFAST_ASSERT(frame_);  // it has been moved away
    return {frame_};
  }

  explicit basic_task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

template <class T, class Frame>
basic_task<T, Frame> task_promise<T, Frame>::get_return_object() noexcept {
  return basic_task<T, Frame>(std::coroutine_handle<task_promise>::from_promise(*this));
}
template <class Frame>
basic_task<void, Frame> task_promise<void, Frame>::get_return_object() noexcept {
  return basic_task<void, Frame>(std::coroutine_handle<task_promise>::from_promise(*this));
}

// A coroutine that nobody awaits: it begins where it is posted; in the end it is gone, and `ended` is posted there.
template <executor Where>
class task_root {
 public:
  class promise_type : public runnable {
   public:
    template <class Task>
    promise_type(Where& where, runnable& ended, Task& /*what*/) noexcept
        : runnable(begin), where_(where), ended_(ended) {}

    task_root get_return_object() noexcept { return task_root(*this); }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static auto final_suspend() noexcept {
      struct end {
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> frame) const noexcept {
          Where& where = frame.promise().where_;
          runnable& ended = frame.promise().ended_;
          frame.destroy();
          where.post(ended);
        }
        static void await_resume() noexcept {}
      };
      return end{};
    }
    static void return_void() noexcept {}
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    void post() noexcept { where_.post(*this); }

   private:
    static void begin(runnable& self) noexcept {
      std::coroutine_handle<promise_type>::from_promise(static_cast<promise_type&>(self)).resume();
    }

    Where& where_;
    runnable& ended_;
  };

  void post() const noexcept { promise_.post(); }

 private:
  explicit task_root(promise_type& promise) noexcept : promise_(promise) {}
  promise_type& promise_;
};

template <executor Where>
task_root<Where> task_root_of(Where& /*where*/, runnable& /*ended*/, task<void> what) {
  co_await std::move(what);  // NOLINT(bugprone-use-after-move): clang-tidy 14 sees the operand of co_await twice
}
template <class T, class Frame>
task_root<run_loop> task_root_that_keeps(run_loop& /*where*/, runnable& /*ended*/, basic_task<T, Frame>& what) {
  co_await what.begin_and_keep();
}

// Has it run on `where`; when it has ended, `ended` is posted there.
template <executor Where>
void spawn(Where& where, task<void> what, runnable& ended) {
  task_root_of(where, ended, std::move(what)).post();
}

// Runs the loop until it has ended; what it returns.
template <class T, class Frame>
T run(run_loop& loop, basic_task<T, Frame> what) {
  mark ended;
  task_root_that_keeps(loop, ended, what).post();
  loop.run_until([&ended] { return ended.was_run(); });
  return what.frame_.promise().take();
}

}  // namespace holdfast
