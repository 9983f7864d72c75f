// SPDX-License-Identifier: MIT
// wheel_levels: the arithmetic of a timer wheel: which slot a time belongs to, and which slot comes next.
//
//   operation              caller      progress    cost             allocates   note
//   slot_for               its owner   wait-free   O(1)             never       where a timer that is set now belongs
//   slot_of                its owner   wait-free   O(1)             never       where one belongs that a walk moves on
//   filled, emptied        its owner   wait-free   O(1)             never       a slot has its first timer, lost its last one
//   first, next_expiry     its owner   wait-free   O(levels)        never       the slot to be walked next, and its tick or time
//   moves_on, moved_on     its owner   wait-free   O(1)             never       around a walk of a slot of an upper level
//   fires, advancing       its owner   wait-free   O(1)             never       before a walk of a lowest slot; around all walks
//   arrive                 its owner   wait-free   O(1)             never       nothing is due up to that tick any more
//
// In short: one owner | wait-free | never | -
//
// Time is counted in ticks of 2^k ns from the smallest time_point there is, so every time_point has a tick, before a clock's zero
// too. A time is due at the first tick that is not before it.
//
// Seven levels of 256 slots: one of level 0 is a tick, one of level n is 256^n ticks. A time lies on the level of the highest
// eight bits in which it differs from the tick where the wheel is. So of a level only slots behind the wheel's own place are
// filled, whatever is on a lower level comes before all that is on a higher one, and the first bit of the lowest level that has
// one says what comes next. No slot is looked at for being passed: an hour of ticks without a timer costs nothing.
//
// Order: a timer is put behind all that are in its slot. As an upper slot is moved on, in its order, before anything can be put
// below it for the same ticks, timers of the same tick fire in the order in which they were set. To keep that while such a walk
// is interrupted, new timers are placed as if the wheel were still before that slot: so they get to the end of it.
//
// Method: hashed and hierarchical timing wheels (Varghese, Lauck, SOSP 1987), scheme 7; the choice of the level by the highest
// bit that differs and a bitmap for each level, as in tokio's wheel (2018) and, for one level, in folly's.
//
// Proof: unit/timer_wheel_test.cpp, fuzz/timer_wheel_fuzz.cpp, which are about the wheels that are made of it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/assert.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

class wheel_levels {
 public:
  static constexpr unsigned level_bits = 8;
  static constexpr std::uint32_t slots_a_level = 1U << level_bits;
  static constexpr unsigned levels = 7;
  static constexpr std::uint32_t slots = levels * slots_a_level;
  static constexpr std::uint64_t no_tick = ~std::uint64_t{0};
  static constexpr duration shortest_tick = std::chrono::microseconds(1);
  static constexpr duration longest_tick = std::chrono::hours(1);

  // A tick is the largest power of two of nanoseconds that is not longer than `tick`.
  explicit wheel_levels(duration tick, time_point now) noexcept
      : shift_(static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(tick.count()))) - 1) {
    arrive(tick_at(now));
  }

  [[nodiscard]] duration tick() const noexcept { return duration(std::int64_t{1} << shift_); }
  [[nodiscard]] std::uint64_t now() const noexcept { return now_; }
  // The tick in which `time` is.
  [[nodiscard]] std::uint64_t tick_at(time_point time) const noexcept { return bits_of(time) >> shift_; }
  // The first tick that begins at `due` or later.
  [[nodiscard]] std::uint64_t tick_when_due(time_point due) const noexcept {
    const std::uint64_t bits = bits_of(due);
    return bits == 0 ? 0 : ((bits - 1) >> shift_) + 1;
  }
  [[nodiscard]] time_point begin_of(std::uint64_t tick) const noexcept {
    if (tick > ~std::uint64_t{0} >> shift_) return time_point::max();
    return time_point(duration(static_cast<std::int64_t>((tick << shift_) ^ sign)));
  }
  // Of the times in [earliest, latest] the roundest one: seldom moved on, and shared with the most.
  [[nodiscard]] time_point coarsest(time_point earliest, time_point latest) const noexcept {
    const std::uint64_t from = tick_when_due(earliest);
    const std::uint64_t to = tick_at(latest);
    if (to <= from) return earliest;
    // Below the highest bit in which `to` and the tick before `from` differ, all may be zero.
    const unsigned zeros = static_cast<unsigned>(std::bit_width((from - 1) ^ to)) - 1;
    return begin_of(to >> zeros << zeros);
  }

  // ---- where a timer belongs

  [[nodiscard]] std::uint32_t slot_for(std::uint64_t tick) const noexcept {
    return slot_from(base_, std::max(tick, floor_));
  }
  [[nodiscard]] std::uint32_t slot_of(std::uint64_t tick) const noexcept {
    return slot_from(now_, std::max(tick, now_));
  }

  void filled(std::uint32_t slot) noexcept {
    const std::uint32_t level = slot / slots_a_level;
    bits_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    used_ |= 1U << level;
  }
  void emptied(std::uint32_t slot) noexcept {
    const std::uint32_t level = slot / slots_a_level;
    bits_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    const std::uint64_t* const of = &bits_[level * words];
    if ((of[0] | of[1] | of[2] | of[3]) == 0) used_ &= ~(1U << level);
    if (slot == interrupted_) moved_on();
  }

  // ---- what comes next

  struct place {
    std::uint32_t slot = 0;
    std::uint64_t tick = no_tick;  // its first one
    [[nodiscard]] unsigned level() const noexcept { return slot / slots_a_level; }
  };
  [[nodiscard]] place first() const noexcept {
    if (interrupted_ != no_slot) return {interrupted_, now_};
    if (used_ == 0) return {};
    const auto level = static_cast<unsigned>(std::countr_zero(used_));
    const unsigned low = level * level_bits;
    // None of them lies before the wheel's own place.
    unsigned word = level * words + static_cast<unsigned>(now_ >> low & (slots_a_level - 1)) / 64;
    while (bits_[word] == 0) ++word;
    const std::uint32_t slot = word * 64 + static_cast<unsigned>(std::countr_zero(bits_[word]));
    const std::uint64_t above = now_ >> low >> level_bits << level_bits;
    return {slot, (above | slot % slots_a_level) << low};
  }

  // When there is something to walk; time_point::max(): never.
  [[nodiscard]] time_point next_expiry() const noexcept {
    const place next = first();
    return next.tick == no_tick ? time_point::max() : begin_of(next.tick);
  }

  // ---- walks. Of an upper slot, from moves_on() until it is empty; of one of the lowest level from fires() on.

  void moves_on(const place& where) noexcept {
    interrupted_ = where.slot;
    now_ = floor_ = where.tick;
    base_ = where.tick - 1;
  }
  void fires(std::uint64_t tick) noexcept {
    now_ = base_ = tick;
    floor_ = tick + 1;
  }
  // Around all walks of an advance, also where a call throws. One at a time.
  class advancing {
   public:
    explicit advancing(wheel_levels& of) noexcept : of_(of) {
      HOLDFAST_ASSERT(!of_.advancing_);
      of_.advancing_ = true;
    }
    advancing(const advancing&) = delete;
    advancing& operator=(const advancing&) = delete;
    ~advancing() {
      of_.advancing_ = false;
      of_.floor_ = of_.now_;
    }

   private:
    wheel_levels& of_;
  };
  void arrive(std::uint64_t tick) noexcept { now_ = base_ = floor_ = tick; }

  [[nodiscard]] bool has(std::uint32_t slot) const noexcept { return (bits_[slot / 64] >> (slot % 64) & 1U) != 0; }

 private:
  static constexpr std::uint32_t words = slots_a_level / 64;
  static constexpr std::uint32_t no_slot = slots;
  static constexpr std::uint64_t sign = std::uint64_t{1} << 63U;

  static std::uint64_t bits_of(time_point time) noexcept {
    return static_cast<std::uint64_t>(time.time_since_epoch().count()) ^ sign;
  }
  static std::uint32_t slot_from(std::uint64_t base, std::uint64_t tick) noexcept {
    const auto level = static_cast<std::uint32_t>(std::bit_width((base ^ tick) | (slots_a_level - 1)) - 1) / level_bits;
    return level * slots_a_level + static_cast<std::uint32_t>(tick >> (level * level_bits) & (slots_a_level - 1));
  }
  void moved_on() noexcept {
    interrupted_ = no_slot;
    base_ = now_;
  }

  unsigned shift_;
  std::uint32_t used_ = 0;               // a bit for each level that has a timer
  std::uint32_t interrupted_ = no_slot;  // an upper slot that is being moved on
  std::uint64_t now_ = 0;                // all before this tick has fired
  std::uint64_t base_ = 0;               // where new timers take the wheel to be
  std::uint64_t floor_ = 0;              // the first tick that a new timer may have
  bool advancing_ = false;
  std::array<std::uint64_t, slots / 64> bits_{};
};

}  // namespace holdfast
