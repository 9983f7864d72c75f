// SPDX-License-Identifier: MIT
// timeline: virtual time, and everything that is still to happen in it, in one thread.
//
// Events at the same instant happen in the order in which they were asked for, so a run is a function of its seed and of
// nothing else. An event is a word that its actor understands: nothing is allocated for it but its place in the heap.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/time/clock.hpp"

namespace sim {

using holdfast::duration;
using holdfast::time_point;

// Who has something to do at a time.
class actor {
 public:
  virtual void on_time(std::uint64_t what) = 0;

 protected:
  ~actor() = default;
};

class timeline {
 public:
  // Far from the clock's zero, as a real one is, so that what looks back finds time there.
  static constexpr time_point zero{std::chrono::hours(1'000)};

  [[nodiscard]] time_point now() const noexcept { return now_; }
  [[nodiscard]] std::uint64_t events() const noexcept { return done_; }

  // What is asked for a time that has passed happens next.
  void at(time_point when, actor& who, std::uint64_t what) {
    waiting_.push_back({std::max(when, now_), next_++, &who, what});
    std::push_heap(waiting_.begin(), waiting_.end(), later);
  }

  // Until nothing is left, or what is left comes after `end`.
  void run(time_point end = time_point::max()) {
    while (!waiting_.empty() && waiting_.front().when <= end) {
      std::pop_heap(waiting_.begin(), waiting_.end(), later);
      const event next = waiting_.back();
      waiting_.pop_back();
      now_ = std::max(now_, next.when);
      ++done_;
      next.who->on_time(next.what);
    }
    if (end != time_point::max()) now_ = std::max(now_, end);
  }

  // The clock leaps, as when a machine was suspended: what was due meanwhile comes late, in its order.
  void leap(duration by) noexcept {
    HOLDFAST_ASSERT(by >= duration::zero());
    now_ += by;
  }

 private:
  struct event {
    time_point when;
    std::uint64_t order;
    actor* who;
    std::uint64_t what;
  };
  static bool later(const event& a, const event& b) noexcept {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }

  time_point now_ = zero;
  std::uint64_t next_ = 0;
  std::uint64_t done_ = 0;
  std::vector<event> waiting_;  // a heap, the next on top
};

// The clock of one thread, which may read older times than others do: it was preempted between reading and using it.
struct thread_clock {
  const timeline* of = nullptr;
  duration lag{};

  [[nodiscard]] time_point now() const noexcept { return of->now() - lag; }
  // When the others' clocks show what this one will show at `own`.
  [[nodiscard]] time_point true_time(time_point own) const noexcept {
    return own > time_point::max() - lag ? time_point::max() : own + lag;
  }
};

// Random bits of the world, handed to whoever draws: one generator, so that its seed repeats everything.
struct world_bits {
  holdfast::splitmix64* of;
  std::uint64_t operator()() const noexcept { return (*of)(); }
  [[nodiscard]] duration up_to(duration most) const noexcept {
    return duration(static_cast<std::int64_t>(holdfast::uniform_up_to(*of, static_cast<std::uint64_t>(most.count()))));
  }
  [[nodiscard]] bool permille(std::uint32_t share) const noexcept { return holdfast::uniform_up_to(*of, 999) < share; }
};

}  // namespace sim
