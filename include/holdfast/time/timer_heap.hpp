// SPDX-License-Identifier: MIT
// timer_heap: which of many timers is due next, for one thread that runs them.
//
//   operation    caller      progress    cost                  allocates   note
//   insert       its owner   wait-free   O(1)                  never       a timer that is not in it
//   remove       its owner   wait-free   O(log n), amortised   never       false: it was not in it
//   next         its owner   wait-free   O(1)                  never       when the first one is due; none: never
//   run_due      its owner   as they     O(log n) each         never       those that are due, in order; how many they were
//
// In short: one owner | wait-free | never | -
//
// A timer lies in whatever waits (a coroutine's frame, say), so there are as many as anybody likes and none is allocated. It
// stays where it is until it has run or has been removed. Those that are due at the same time run in the order in which they
// were inserted. run_due runs no more than there were when it began, so a timer that inserts itself again keeps nobody from
// going on (but later timers waiting, if its new time is always before theirs).
//
// When to use it: inside a loop with up to some thousands of timers. Hundreds of thousands, or timers that other threads set and
// cancel, are for a timer wheel.
//
// Memory: 56 bytes in each timer. Method: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan, "The
// pairing heap: a new form of self-adjusting heap", 1986), with the two-pass merge.
//
// Proof: unit/timer_heap_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

class timer {
 public:
  using call = void (*)(timer& self) noexcept;
  explicit timer(call what) noexcept : what_(what) {}
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;

  [[nodiscard]] bool pending() const noexcept { return pending_; }
  [[nodiscard]] time_point due() const noexcept { return due_; }

 protected:
  ~timer() { HOLDFAST_ASSERT(!pending_); }

 private:
  friend class timer_heap;

  const call what_;
  time_point due_{};
  std::uint64_t number_ = 0;  // of its insertion: the order of those that are due at the same time
  timer* child_ = nullptr;    // the first of those that are due after it
  timer* sibling_ = nullptr;  // the next one with the same parent
  timer* before_ = nullptr;   // the sibling before it, or its parent if it is the first child
  bool pending_ = false;
};

class timer_heap {
 public:
  timer_heap() noexcept = default;
  timer_heap(const timer_heap&) = delete;
  timer_heap& operator=(const timer_heap&) = delete;
  ~timer_heap() { HOLDFAST_ASSERT(root_ == nullptr); }

  void insert(timer& one, time_point due) noexcept {
    HOLDFAST_ASSERT(!one.pending_);
    one.due_ = due;
    one.number_ = inserted_++;
    one.pending_ = true;
    ++size_;
    root_ = root_ == nullptr ? &one : merged(root_, &one);
  }

  bool remove(timer& one) noexcept {
    if (!one.pending_) return false;
    timer* const rest = merged_children(one);
    if (&one == root_) {
      root_ = rest;
    } else {
      (one.before_->child_ == &one ? one.before_->child_ : one.before_->sibling_) = one.sibling_;
      if (one.sibling_ != nullptr) one.sibling_->before_ = one.before_;
      if (rest != nullptr) root_ = merged(root_, rest);
    }
    one.child_ = one.sibling_ = one.before_ = nullptr;
    one.pending_ = false;
    --size_;
    return true;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] time_point next() const noexcept { return root_ == nullptr ? time_point::max() : root_->due_; }

  std::size_t run_due(time_point now) noexcept {
    std::size_t ran = 0;
    for (const std::size_t most = size_; ran < most && root_ != nullptr && root_->due_ <= now; ++ran) {
      timer& first = *root_;
      remove(first);
      first.what_(first);  // may end its life
    }
    return ran;
  }

 private:
  static bool sooner(const timer& a, const timer& b) noexcept {
    return a.due_ != b.due_ ? a.due_ < b.due_ : a.number_ < b.number_;
  }
  // Of two roots the later one becomes the first child of the other.
  static timer* merged(timer* a, timer* b) noexcept {
    if (sooner(*b, *a)) std::swap(a, b);
    b->sibling_ = a->child_;
    if (b->sibling_ != nullptr) b->sibling_->before_ = b;
    b->before_ = a;
    a->child_ = b;
    return a;
  }
  // Pairs from left to right, then all pairs into one from right to left.
  static timer* merged_children(timer& of) noexcept {
    timer* pairs = nullptr;  // the last one first, linked by sibling_
    for (timer* next = std::exchange(of.child_, nullptr); next != nullptr;) {
      timer* const a = next;
      timer* const b = a->sibling_;
      next = b == nullptr ? nullptr : b->sibling_;
      a->sibling_ = a->before_ = nullptr;
      timer* pair = a;
      if (b != nullptr) {
        b->sibling_ = b->before_ = nullptr;
        pair = merged(a, b);
      }
      pair->sibling_ = std::exchange(pairs, pair);
    }
    timer* all = nullptr;
    while (pairs != nullptr) {
      timer* const next = std::exchange(pairs->sibling_, nullptr);
      all = all == nullptr ? pairs : merged(all, pairs);
      pairs = next;
    }
    return all;
  }

  timer* root_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t inserted_ = 0;
};

}  // namespace holdfast
