// SPDX-License-Identifier: MIT
// attempt_run: one attempt as a coroutine of its own, so that the call that makes it can do something else meanwhile.
//
// A Call is what co_hedge and co_timeout are: it has `result`; op() and attempt_of(which), what the operation is handed; post(), by
// which the end of an attempt goes to the call's loop; and finished(which, answer), which is called there, with nothing if
// the operation has thrown.
//
// Proof: unit/co_hedge_test.cpp, unit/co_timeout_test.cpp.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "holdfast/exec/frame_arena.hpp"
#include "holdfast/exec/runnable.hpp"

namespace holdfast {

// One attempt as a coroutine of its own. It ends by having its call's loop run it: the call is told there, and destroys it.
template <class Call>
class attempt_run {
 public:
  using result = typename Call::result;
  class promise_type : public runnable, public arena_frame {
   public:
    promise_type(arena& /*of its frame*/, Call& of, std::size_t which) noexcept
        : runnable(ended), call_(of), which_(which) {}

    attempt_run get_return_object() noexcept {
      return attempt_run(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static auto final_suspend() noexcept {
      struct to_the_loop {
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> frame) const noexcept {
          frame.promise().call_.post(frame.promise());  // and touched no more: it may be gone
        }
        static void await_resume() noexcept {}
      };
      return to_the_loop{};
    }
    void return_value(result&& answer) noexcept(std::is_nothrow_move_constructible_v<result>) {
      answer_.emplace(std::move(answer));
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
    // What it answered; nothing: it has thrown.
    [[nodiscard]] std::optional<result>& answer() noexcept {
      return answer_;
    }

   private:
    static void ended(runnable& self) noexcept {
      auto& me = static_cast<promise_type&>(self);
      me.call_.finished(me.which_, me.answer_);
    }

    Call& call_;
    const std::size_t which_;
    std::optional<result> answer_;
    std::exception_ptr thrown_;
  };

  attempt_run() noexcept = default;
  attempt_run(attempt_run&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  attempt_run& operator=(attempt_run&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~attempt_run() {
    if (frame_) frame_.destroy();
  }

  void begin() const noexcept {
    frame_.resume();
  }
  [[nodiscard]] promise_type& promise() const noexcept {
    return frame_.promise();
  }

 private:
  explicit attempt_run(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

template <class Call>
attempt_run<Call> run_attempt_of(arena& /*of its frame*/, Call& call, std::size_t which) {
  const auto mine = call.attempt_of(which);
  typename Call::result answer = co_await call.op()(mine);
  co_return std::move(answer);
}

}  // namespace holdfast
