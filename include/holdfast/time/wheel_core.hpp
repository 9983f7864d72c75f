// SPDX-License-Identifier: MIT
// wheel_core: what the timer wheels have in common: numbered nodes with a time, in the order in which they become due.
//
//   operation     caller      progress    cost             allocates   note
//   slot_for,     its owner   wait-free   O(1)             never       a node that is not in it, as one that is set now
//   make_room, put
//   put_on        its owner   wait-free   O(1)             never       one that a walk came to, and that is due later
//   take_out,     its owner   wait-free   O(1)             never       a node that is in it
//   tidy_up
//   advance       its owner   as visit()  O(1) a node      never       see there
//   take_all      its owner   as visit()  O(1) a node      never       -
//   next_expiry   its owner   wait-free   O(levels)        never       time_point::max(): nothing is in it
//
// In short: one owner | wait-free | never | -
//
// A node has a member `at`, which is the wheel's while the node is in it. Its time is not kept here: it may change meanwhile to a
// later one, and whoever visits the node when it is due sees to that.
//
// When to use it: to build a wheel on. What a program uses is timer_wheel, or exec/timer_service.
//
// Memory: wheel_chunks::bytes_for(nodes), handed in. Method: wheel_levels and wheel_chunks.
//
// Proof: unit/timer_wheel_test.cpp, fuzz/timer_wheel_fuzz.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "holdfast/core/prefetch.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/wheel_chunks.hpp"
#include "holdfast/time/wheel_levels.hpp"

namespace holdfast {

struct advance_result {
  std::size_t touched = 0;  // timers that fired, or were moved
  bool more = false;        // the limit was reached before all was done that is due
};

template <class Node>
class wheel_core {
 public:
  wheel_core(Node* nodes, std::byte* memory, std::size_t count, duration tick, time_point now) noexcept
      : nodes_(nodes), levels_(tick, now), lists_(memory, count) {}
  wheel_core(const wheel_core&) = delete;
  wheel_core& operator=(const wheel_core&) = delete;

  [[nodiscard]] const wheel_levels& levels() const noexcept { return levels_; }
  [[nodiscard]] std::size_t chunks_in_use() const noexcept { return lists_.in_use(); }

  // One that a walk came to, and that is due later. size() is how many are in the wheel.
  template <class Size>
  [[gnu::always_inline]] void put_on(Node& node, std::uint32_t index, time_point due, Size&& size) noexcept {
    const std::uint32_t slot = levels_.slot_of(levels_.tick_when_due(due));
    if (!has_room(slot)) [[unlikely]]
      make_room(slot, size());
    put(node, index, slot);
  }
  // True: tidy_up() is to be called for it. In two steps, so that the first one is short, and needs nothing after it.
  [[nodiscard, gnu::always_inline]] bool take_out(wheel_chunks::place at) noexcept { return lists_.remove(at); }
  [[gnu::noinline]] void tidy_up(wheel_chunks::place at) noexcept {
    const std::uint32_t slot = lists_.slot_at(at);
    if (lists_.tidy_up(at)) levels_.emptied(slot);
  }
  // Where one that becomes due then is to be put, if it is put there at once; where there is no room, make_room() is called first.
  [[nodiscard, gnu::always_inline]] std::uint32_t slot_for(time_point due) const noexcept {
    return levels_.slot_for(levels_.tick_when_due(due));
  }
  [[nodiscard, gnu::always_inline]] bool has_room(std::uint32_t slot) const noexcept { return lists_.has_tail(slot); }
  // There are `size` in the wheel.
  [[gnu::noinline]] void make_room(std::uint32_t slot, std::size_t size) noexcept {
    const auto moved = [this](std::uint32_t index, wheel_chunks::place to) noexcept { nodes_[index].at = to; };
    if (lists_.make_tail(slot, size, moved)) levels_.filled(slot);
  }
  [[gnu::always_inline]] void put(Node& node, std::uint32_t index, std::uint32_t slot) noexcept {
    node.at = lists_.append(slot, index);
  }
  // Of a time that a visit finds: has it come, by the tick that is walked?
  [[nodiscard]] bool is_due(time_point due) const noexcept { return due <= walked_; }

  // visit(index) for each that has become due, in order, and taken out before; on_the_way(index) for each that comes to a lower
  // level, which is to put it on, or has no more use for it. At most `most` calls of the two together. They may throw.
  template <class Visit, class OnTheWay>
  advance_result advance(time_point now, std::size_t most, Visit&& visit, OnTheWay&& on_the_way) {
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
      if (result.touched == most) {
        result.more = true;
        return result;
      }
      if (next.level() == 0) {
        levels_.fires(next.tick);
        walked_ = levels_.begin_of(next.tick);
        result.touched += walk(next.slot, most - result.touched, visit);
      } else {
        levels_.moves_on(next);
        result.touched += walk(next.slot, most - result.touched, on_the_way);
      }
    }
  }
  // visit(index) for each, taken out before, in no order.
  template <class Visit>
  void take_all(Visit&& visit) {
    const wheel_levels::advancing mark(levels_);
    for (wheel_levels::place next = levels_.first(); next.tick != wheel_levels::no_tick; next = levels_.first()) {
      walk(next.slot, wheel_chunks::in_chunk, visit);
    }
  }
  template <class Visit>
  void each(Visit&& visit) const {
    lists_.each(visit);
  }

  [[nodiscard]] time_point next_expiry() const noexcept { return levels_.next_expiry(); }

 private:
  class walked_slot {
   public:
    walked_slot(wheel_core& of, std::uint32_t slot) noexcept : of_(of), slot_(slot) {}
    walked_slot(const walked_slot&) = delete;
    walked_slot& operator=(const walked_slot&) = delete;
    ~walked_slot() {
      if (of_.lists_.empty(slot_)) of_.levels_.emptied(slot_);
    }

   private:
    wheel_core& of_;
    const std::uint32_t slot_;
  };

  template <class Visit>
  std::size_t walk(std::uint32_t slot, std::size_t most, Visit& visit) {
    const walked_slot ends(*this, slot);
    const auto prepare = [this](std::uint32_t index) noexcept {
      if (index != wheel_chunks::none) prefetch_for_write(reinterpret_cast<const std::byte*>(nodes_ + index));
    };
    return lists_.walk(slot, most, visit, prepare);
  }
  Node* const nodes_;
  wheel_levels levels_;
  wheel_chunks lists_;
  time_point walked_{};  // the begin of the tick that fires
};

}  // namespace holdfast
