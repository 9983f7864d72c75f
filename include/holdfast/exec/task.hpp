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
// Whose request it is (telemetry/context.hpp) goes with it, not with the thread: a task has the context of who spawned it, ran it
// or awaited it, wherever it is resumed, with the scopes that it has opened itself, and leaves none behind on a thread that
// it leaves. An awaiter has it as well, in its await_suspend: what is begun or handed on there is begun for that request. A
// coroutine of another type that is awaited by symmetric transfer has what its thread has, and so have tasks that it awaits.
//
// When to use it: where no framework brings a coroutine type; co_queue.hpp works with any. A task that has begun runs to its end
// before it is destroyed; of one that was spawned nothing is left to destroy it by, so its executor goes on until `ended` has run.
//
// Method: Baker, "C++ Coroutines: Understanding Symmetric Transfer", 2020, and P1056.
//
// Proof: unit/task_test.cpp, unit/task_context_test.cpp, stress/task_context_stress.cpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/exec/awaiter.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/telemetry/carried_context.hpp"
#include "holdfast/telemetry/context.hpp"

namespace holdfast {

// Where a coroutine's frame comes from: a base of its promise. This one leaves it to the compiler, and to operator new.
struct heap_frame {};

template <class T, class Frame>
class basic_task;
template <class T = void>
using task = basic_task<T, heap_frame>;
template <executor Where>
class task_root;

template <class T>
inline constexpr bool is_task = false;
template <class T, class Frame>
inline constexpr bool is_task<basic_task<T, Frame>> = true;

// Awaits what is no task, and puts the context away meanwhile. Awaiter may be a reference, and need not be movable.
template <class Awaiter>
class carrying_awaiter {
 public:
  template <class A>
  carrying_awaiter(A&& what, carried_context& carried) noexcept(noexcept(awaiter_of(std::forward<A>(what))))
      : inner_(awaiter_of(std::forward<A>(what))), carried_(carried) {}

  [[nodiscard]] decltype(auto) await_ready() noexcept(noexcept(std::declval<Awaiter&>().await_ready())) {
    return inner_.await_ready();
  }
  // Not inlined: of what clang before 17 inlines here it keeps variables in the coroutine's frame (LLVM 56301), and from within
  // inner_'s call on somebody else may resume the coroutine, and frame and this object be gone.
  template <class Promise>
  [[gnu::noinline]] auto await_suspend(std::coroutine_handle<Promise> caller) noexcept(
      noexcept(std::declval<Awaiter&>().await_suspend(caller))) {
    struct scope_unless_empty {
      explicit scope_unless_empty(const context& of) noexcept {
        if (!of.empty()) scope.emplace(of);
      }
      std::optional<context_scope> scope{};
    };
    struct back_if_it_throws {
      carried_context& carried;
      int before = std::uncaught_exceptions();
      ~back_if_it_throws() {
        if (std::uncaught_exceptions() != before) carried.resume();
      }
    };
    was_suspended_ = true;
    // What inner_ begins or hands on is of this request. A copy, as the task may be running elsewhere by then.
    const context mine = current_context();
    carried_.suspend();
    if constexpr (noexcept(inner_.await_suspend(caller))) {
      const scope_unless_empty meanwhile(mine);
      return inner_.await_suspend(caller);
    } else {
      const back_if_it_throws guard{carried_};
      const scope_unless_empty meanwhile(mine);
      return inner_.await_suspend(caller);
    }
  }
  decltype(auto) await_resume() noexcept(noexcept(std::declval<Awaiter&>().await_resume())) {
    if (was_suspended_) carried_.resume();
    return inner_.await_resume();
  }

 private:
  Awaiter inner_;
  carried_context& carried_;
  bool was_suspended_ = false;
};

// What the promises of all tasks have.
class task_promise_base {
 public:
  // Another task is a part of this one, and has its context.
  template <class A>
  decltype(auto) await_transform(A&& what) noexcept(noexcept(awaiter_of(std::forward<A>(what)))) {
    if constexpr (is_task<std::remove_cvref_t<A>>) {
      return std::forward<A>(what).as_part_of(*carried_);
    } else {
      return carrying_awaiter<decltype(awaiter_of(std::forward<A>(what)))>(std::forward<A>(what), *carried_);
    }
  }

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
  void return_to(std::coroutine_handle<> caller, carried_context& carried) noexcept {
    HOLDFAST_ASSERT(!caller_);  // a task is awaited once
    caller_ = caller;
    carried_ = &carried;
  }

 private:
  std::coroutine_handle<> caller_;
  carried_context* carried_ = nullptr;  // of the first in the chain
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

  // By a coroutine that is no task: this one carries the context itself.
  auto operator co_await() && noexcept {
    class result {
     public:
      explicit result(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
      static bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
        carried_.resume();
        frame_.promise().return_to(caller, carried_);
        return frame_;
      }
      T await_resume() {
        carried_.suspend();
        return frame_.promise().take();
      }

     private:
      std::coroutine_handle<promise_type> frame_;
      carried_context carried_;
    };
    return result(begun());
  }
  // By a task, whose context it has.
  auto as_part_of(carried_context& carried) && noexcept {
    struct result : beginning {
      T await_resume() const { return this->frame.promise().take(); }
    };
    return result{{begun(), carried}};
  }

 private:
  friend promise_type;
  template <class U, class F>
  friend U run(run_loop& loop, basic_task<U, F> what);

  template <executor Where>
  friend class task_root;

  struct beginning {
    std::coroutine_handle<promise_type> frame;
    carried_context& carried;
    static bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
      frame.promise().return_to(caller, carried);
      return frame;
    }
    static void await_resume() noexcept {}
  };
  // Leaves its result where it is.
  beginning begin_and_keep(carried_context& carried) noexcept { return {begun(), carried}; }
  std::coroutine_handle<promise_type> begun() const noexcept {
    HOLDFAST_ASSERT(frame_);  // it has been moved away
    return frame_;
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
          frame.promise().carried_.suspend();
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

    template <class T, class Frame>
    auto await_transform(basic_task<T, Frame>&& what) noexcept {
      return std::move(what).as_part_of(carried_);
    }
    template <class T, class Frame>
    auto await_transform(basic_task<T, Frame>& kept) noexcept {
      return kept.begin_and_keep(carried_);
    }

   private:
    static void begin(runnable& self) noexcept {
      auto& me = static_cast<promise_type&>(self);
      me.carried_.resume();
      std::coroutine_handle<promise_type>::from_promise(me).resume();
    }

    Where& where_;
    runnable& ended_;
    carried_context carried_;  // of who spawned it
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
  co_await what;
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
