// SPDX-License-Identifier: MIT
// run_loop: one thread that runs what any thread posts to it, in the order in which it came, and timers when they are due.
//
//   operation    caller       progress                   allocates   note
//   post         any thread   wait-free where the loop   never       an executor's
//                             is awake
//   run_at       the loop     wait-free                  never       a timer, not before its time
//   cancel       the loop     wait-free                  never       false: that timer was not set
//   run_ready    the loop     as what it runs            never       what was there at the call; how many
//   run_due      the loop     as what it runs            never       the timers that are due at a time; how many
//   run_until    the loop     blocking                   never       until the condition holds, asked between two that it runs;
//                                                                    false: the deadline has passed
//   run          the loop     blocking                   never       until stop() has been called
//   stop         any thread   as post                    never       run() returns after what it is at; the rest stays
//   asleep       anyone       wait-free                  never       -
//
// In short: any thread posts, one runs | wait-free, and wakes it | never | run_until: the deadline has passed
//
// It sleeps while there is nothing to run. run and run_until run timers too, by steady_clock; a loop of another clock calls
// run_ready and run_due itself. Timers are looked at after each of what was posted, so neither keeps the other waiting. It outlives
// every post and stop that may still be under way: a thread that posts is not done with the loop when what it posted has run.
// What is left in it at its end is not run, and timers that are left are asserted: so run it until all is done. A timer is
// cancelled in the loop that it was set in.
//
// Memory: four lines, an event_count and a timer_heap.
//
// Proof: unit/run_loop_test.cpp, stress/co_queue_stress.cpp.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"
#include "holdfast/time/timer_heap.hpp"

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

  void run_at(timer& one, time_point due) noexcept { timers_.insert(one, due); }
  bool cancel(timer& one) noexcept { return timers_.remove(one); }

  std::size_t run_due(time_point now) noexcept { return timers_.run_due(now); }
  std::size_t run_ready() noexcept {
    return ready_.consume_all([](runnable& what) noexcept { what.run(); });
  }
  template <std::predicate Condition>
  bool run_until(Condition&& holds, deadline until = deadline::never()) {
    for (;;) {
      runnable* next = nullptr;
      const deadline wake(std::min(until.at(), timers_.next()));
      if (news_.wait(wake, [&] { return holds() || static_cast<bool>(ready_.try_pop(next)); })) {
        if (next == nullptr) return true;  // it held, and may have been true but once
        next->run();
      }
      // The wait looks before it asks for the time, and there may always be something to run.
      if (until.is_never() && timers_.size() == 0) continue;
      const time_point now = steady_clock::now();
      timers_.run_due(now);
      if (until.passed(now)) return holds();
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
  timer_heap timers_;  // of its own thread
  atomic<bool> stopped_{false};
};

}  // namespace holdfast
