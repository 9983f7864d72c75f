// SPDX-License-Identifier: MIT
// intrusive_wheel: very many timers of one thread that lie in whatever waits: no capacity, no ids, no memory for each.
//
//   operation     caller      progress    cost          allocates   note
//   schedule      its owner   wait-free   O(1)          never       a timer that is not set
//   cancel        its owner   wait-free   O(1)          never       false: it was not set
//   reschedule    its owner   wait-free   O(1)          never       one that may be set
//   extend        its owner   wait-free   O(1)          never       one that is set
//   advance       its owner   as fire()   O(1) a timer  never       `more`: `most` timers were touched, others are due
//   next_expiry   its owner   wait-free   O(levels)     never       time_point::max(): nothing is set
//   drain         its owner   as take()   O(1) a timer  never       -
//   size          its owner   wait-free   O(1)          never       -
//
// In short: one owner | wait-free | never | -
//
// What timer_wheel says of time, order, limits, jumps and what a call may do holds here, too. A timer is a T, which has wheel_timer
// as a base; it stays where it is while it is set. When it fires it is not set, so its call may set it again, or end its life.
//
// When to use it: where what waits is there anyway (a connection, a coroutine's frame) and is cancelled when it ends. With some
// thousands, timer_heap is as quick, and has no tick. timer_wheel is the quicker one with very many: it needs not look at a timer
// to find the next one; and it has ids, where who cancels may come too late.
//
// Memory: 32 bytes in each timer; 28 KiB for the wheel.
//
// Method: wheel_levels, and a list for each slot that is linked through the timers.
//
// Proof: unit/intrusive_wheel_test.cpp (beside a std::map, with calls and limits).
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/wheel_core.hpp"
#include "holdfast/time/wheel_levels.hpp"

namespace holdfast {

class wheel_timer {
 public:
  wheel_timer() noexcept = default;
  wheel_timer(const wheel_timer&) = delete;
  wheel_timer& operator=(const wheel_timer&) = delete;

  [[nodiscard]] bool is_set() const noexcept { return slot_ != wheel_levels::slots; }
  [[nodiscard]] time_point due() const noexcept { return due_; }

 protected:
  ~wheel_timer() { HOLDFAST_ASSERT(!is_set()); }

 private:
  template <class T>
  friend class intrusive_wheel;

  time_point due_{};
  wheel_timer* before_ = nullptr;  // in its slot
  wheel_timer* after_ = nullptr;
  std::uint32_t slot_ = wheel_levels::slots;
};

template <class T>
class intrusive_wheel {
 public:
  // The tick is rounded as that of timer_wheel.
  intrusive_wheel(duration tick, time_point now) noexcept : levels_(tick, now) {
    static_assert(std::derived_from<T, wheel_timer>);
    HOLDFAST_ASSERT(tick >= wheel_levels::shortest_tick);
    HOLDFAST_ASSERT(tick <= wheel_levels::longest_tick);
  }
  intrusive_wheel(const intrusive_wheel&) = delete;
  intrusive_wheel& operator=(const intrusive_wheel&) = delete;
  ~intrusive_wheel() { HOLDFAST_ASSERT(size_ == 0); }

  void schedule(T& one, time_point due) noexcept {
    wheel_timer& node = one;
    HOLDFAST_ASSERT(!node.is_set());
    node.due_ = due;
    ++size_;
    append(node, levels_.slot_for(levels_.tick_when_due(due)));
  }
  bool cancel(T& one) noexcept {
    if (!one.is_set()) return false;
    take_out(one);
    return true;
  }
  void reschedule(T& one, time_point due) noexcept {
    cancel(one);
    schedule(one, due);
  }
  // To a later time it is written down and moved when its old one comes; to an earlier one it is a reschedule.
  void extend(T& one, time_point due) noexcept {
    wheel_timer& node = one;
    HOLDFAST_ASSERT(node.is_set());
    if (due < node.due_) return reschedule(one, due);
    node.due_ = due;
  }

  // fire(T&) for those that are due.
  template <class Fire>
  advance_result advance(time_point now, std::size_t most, Fire&& fire) {
    const wheel_levels::advancing mark(levels_);
    advance_result result;
    const std::uint64_t until = levels_.tick_at(now);
    if (until < levels_.now()) return result;
    for (;;) {
      const wheel_levels::place next = levels_.first();
      if (next.tick > until) {
        levels_.arrive(until);
        return result;
      }
      const bool is_lowest = next.level() == 0;
      if (result.touched != most) is_lowest ? levels_.fires(next.tick) : levels_.moves_on(next);
      for (wheel_timer* one = nullptr; (one = slots_[next.slot].first) != nullptr; ++result.touched) {
        if (result.touched == most) {
          result.more = true;
          return result;
        }
        const std::uint64_t tick = levels_.tick_when_due(one->due_);
        take_out(*one);
        if (is_lowest && tick <= next.tick) {
          fire(static_cast<T&>(*one));  // may end its life
        } else {
          ++size_;
          append(*one, levels_.slot_of(tick));
        }
      }
    }
  }
  [[nodiscard]] time_point next_expiry() const noexcept { return levels_.next_expiry(); }
  // take(T&) for every timer that is set, in no order: it is set no more. Not in fire().
  template <class Take>
  void drain(Take&& take) {
    while (size_ != 0) {
      wheel_timer& one = *slots_[levels_.first().slot].first;
      take_out(one);
      take(static_cast<T&>(one));
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] duration tick() const noexcept { return levels_.tick(); }

 private:
  struct ends {
    wheel_timer* first = nullptr;
    wheel_timer* last = nullptr;
  };

  void append(wheel_timer& one, std::uint32_t slot) noexcept {
    ends& of = slots_[slot];
    one.slot_ = slot;
    one.before_ = of.last;
    one.after_ = nullptr;
    if (of.last == nullptr) levels_.filled(slot);
    (of.last == nullptr ? of.first : of.last->after_) = &one;
    of.last = &one;
  }
  void take_out(wheel_timer& one) noexcept {
    const std::uint32_t slot = std::exchange(one.slot_, wheel_levels::slots);
    ends& of = slots_[slot];
    (one.before_ == nullptr ? of.first : one.before_->after_) = one.after_;
    (one.after_ == nullptr ? of.last : one.after_->before_) = one.before_;
    if (of.first == nullptr) levels_.emptied(slot);
    --size_;
  }

  wheel_levels levels_;
  std::array<ends, wheel_levels::slots> slots_{};
  std::size_t size_ = 0;
};

}  // namespace holdfast
