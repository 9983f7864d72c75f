// SPDX-License-Identifier: MIT
// run_loop: one thread that runs what any thread posts to it, in the order in which it came.
//
//   operation    caller       progress                   allocates   note
//   post         any thread   wait-free where the loop   never       an executor's
//                             is awake
//   run_ready    the loop     as what it runs            never       what was there at the call; how many
//   run_until    the loop     blocking                   never       until the condition holds, asked between two that it runs;
//                                                                    false: the deadline has passed
//   run          the loop     blocking                   never       until stop() has been called
//   stop         any thread   as post                    never       run() returns after what it is at; the rest stays
//   asleep       anyone       wait-free                  never       -
//
// In short: any thread posts, one runs | wait-free, and wakes it | never | run_until: the deadline has passed
//
// It sleeps while there is nothing to run. It outlives every post and stop that may still be under way: a thread that posts is
// not done with the loop when what it posted has run. What is left in it at its end is not run: so run it until all is done.
//
// Memory: four lines and an event_count.
//
// Proof: unit/run_loop_test.cpp, stress/co_queue_stress.cpp.
#pragma once

#include <concepts>
#include <cstddef>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

class run_loop {
 public:
  run_loop() noexcept = default;
  run_loop(const run_loop&) = delete;
  run_loop& operator=(const run_loop&) = delete;
  ~run_loop() = default;

  void post(runnable& what) noexcept {
    ready_.push(what);
    news_.notify_one();
  }

  std::size_t run_ready() noexcept {
    return ready_.consume_all([](runnable& what) noexcept { what.run(); });
  }
  template <std::predicate Condition>
  bool run_until(Condition&& holds, deadline until = deadline::never()) {
    for (;;) {
      runnable* next = nullptr;
      if (!news_.wait(until, [&] { return holds() || static_cast<bool>(ready_.try_pop(next)); })) return false;
      if (next == nullptr) return true;  // it held, and may have been true but once
      next->run();
      // The wait looks before it asks for the time, and there may always be something to run.
      if (!until.is_never() && until.passed(steady_clock::now())) return holds();
    }
  }
  void run() noexcept {
    // [RL1] acquire, pairs with [RL2]: what whoever stops it has done before
    run_until([this]() noexcept { return stopped_.load(mo::acquire); });
  }
  void stop() noexcept {
    stopped_.store(true, mo::release);  // [RL2] release, pairs with [RL1]: as said there
    news_.notify_all();
  }
  // For an observer: is its thread about to sleep, or asleep? It may have been woken since.
  [[nodiscard]] bool asleep() const noexcept { return news_.sleepers() != 0; }

 private:
  intrusive_mpsc_list<runnable> ready_;
  event_count news_;
  atomic<bool> stopped_{false};
};

}  // namespace holdfast
