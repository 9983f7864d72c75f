// SPDX-License-Identifier: MIT
// A hedged call of a coroutine ends once, after all of its attempts, whenever a stop is asked for and wherever attempts end.
#include <array>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/exec/co_hedge.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/frame_arena.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"
#include "holdfast/telemetry/context.hpp"

#include "model/engine/scenario.hpp"
#include "model/lone_coroutine.hpp"

using namespace holdfast;
using namespace holdfast_model;
using namespace std::chrono_literals;

namespace {

constexpr time_point begun{1000s};
struct still_clock {
  [[nodiscard]] static time_point now() noexcept { return begun; }
};

// What is posted is run by its thread in the order in which it came. No timer is ever due.
class plain_loop {
 public:
  void post(runnable& what) noexcept {
    ready_.push(what);
    posts_.fetch_add(1, mo::release);
    posts_.notify_one();
  }
  static void run_at(timer& /*never due*/, time_point /*due*/) noexcept {}
  static bool cancel(timer& /*never due*/) noexcept { return false; }

  void run(const bool& ended) {
    std::uint32_t seen = 0;
    while (!ended) {
      posts_.wait(seen, mo::acquire);
      seen = posts_.load(mo::acquire);
      for (runnable* next = nullptr; ready_.try_pop(next);) next->run();
    }
  }

 private:
  intrusive_mpsc_list<runnable> ready_;
  atomic<std::uint32_t> posts_{0};
};

// Resumed by another thread, once it is there.
struct handed_over {
  atomic<void*>& to;
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) const noexcept {
    atomic<void*>& where = to;
    where.store(caller.address(), mo::release);
    where.notify_one();
  }
  static void await_resume() noexcept {}
};
void take_over(atomic<void*>& from) {
  from.wait(nullptr, mo::acquire);
  std::coroutine_handle<>::from_address(from.load(mo::acquire)).resume();
}

struct called {
  plain_loop loop;
  guard none{};
  inplace_stop_source stop;
  frame_arena<4096> frames;
  std::optional<outcome<int>> result;
  bool ended = false;
  int attempts_ended = 0;

  // A scenario's threads are fibers of one real thread, whose context is left as it was in the middle of an execution.
  called() {
    context_detail::current = {};
    static_cast<void>(context_detail::current_slot());
  }

  template <class Op>
  coroutine call(Op op) {
    const call_context repeatable{.safety = idempotency::idempotent};
    auto got = co_await co_hedge(frames, none, {}, repeatable, loop, op, stop.get_token(), still_clock{});
    result.emplace(std::move(got));
    ended = true;
  }
  void all_is_back() {
    MODEL_CHECK(ended);
    MODEL_CHECK(frames.in_use() == 0);
    MODEL_CHECK(frames.spilled() == 0);
  }
};

// The stop comes before, in or behind the one attempt, or in the moment of its end.
struct stopped_beside_an_answer : called {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 1) {
      MODEL_CHECK(stop.request_stop());
      return;
    }
    call([](const attempt&) -> task<outcome<int>> { co_return 7; });
    loop.run(ended);
  }
  void after() {
    all_is_back();
    MODEL_CHECK(result->ok() ? **result == 7 : result->error().code == errc::cancelled);
  }
};
MODEL_SCENARIO("co_hedge", stopped_beside_an_answer, {.preemptions = 2, .weak_failures = 0, .dies = false});

// The attempt hears the stop through the call, or the call is stopped before it begins one; else nothing would end it.
struct stopped_in_its_attempt : called {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 1) {
      MODEL_CHECK(stop.request_stop());
      return;
    }
    call([this](const stoppable_attempt& a) -> task<outcome<int>> {
      const inplace_stop_token asked = a.stop;
      const bool in_time = co_await co_sleep(loop, time_point::max(), asked);
      MODEL_CHECK(!in_time);
      ++attempts_ended;
      co_return errc::cancelled;
    });
    loop.run(ended);
    MODEL_CHECK(attempts_ended == result->error().attempts);
  }
  void after() {
    all_is_back();
    MODEL_CHECK(result->error().code == errc::cancelled);
  }
};
MODEL_SCENARIO("co_hedge", stopped_in_its_attempt, {.preemptions = 1, .weak_failures = 0, .dies = false});

// H4: the first attempt fails on another thread, and the second one is begun by the loop.
struct ends_on_another_thread : called {
  static constexpr unsigned threads = 2;
  atomic<void*> suspended{nullptr};
  plain<int> written{0};  // by the attempt, over there
  void run(unsigned thread) {
    if (thread == 1) return take_over(suspended);
    call([this](const attempt& a) -> task<outcome<int>> {
      const int number = a.number;
      if (number == 1) {
        co_await handed_over{suspended};
        written.set(5);
        co_return errc::attempt_timeout;
      }
      co_return written.get();
    });
    loop.run(ended);
    MODEL_CHECK(**result == 5);
  }
  void after() { all_is_back(); }
};
MODEL_SCENARIO("co_hedge", ends_on_another_thread, {.preemptions = 3, .weak_failures = 0, .dies = false});

}  // namespace
