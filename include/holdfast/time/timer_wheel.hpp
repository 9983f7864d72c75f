// SPDX-License-Identifier: MIT
// timer_wheel: very many timers of one thread, each with a value; what each costs does not depend on how many there are.
//
//   operation         caller      progress    cost              allocates   when refused
//   schedule          its owner   wait-free   O(1)              never       an empty id: `capacity` timers are set
//   schedule_within   its owner   wait-free   O(1)              never       the same
//   cancel            its owner   wait-free   O(1)              never       false: it has fired, is firing, or was cancelled
//   take              its owner   wait-free   O(1)              never       none: the same
//   reschedule        its owner   wait-free   O(1)              never       false: as cancel, but for one that is firing
//   extend            its owner   wait-free   O(1)              never       the same
//   find              its owner   wait-free   O(1)              never       null: as cancel
//   advance           its owner   as fire()   O(1) a timer      never       `more`: `most` timers were touched, others are due
//   next_expiry       its owner   wait-free   O(levels)         never       time_point::max(): nothing is set
//   drain             its owner   as take()   O(1) a timer      never       -
//   size, counts      its owner   wait-free   O(1)              never       -
//
// In short: one owner | wait-free | never | an empty id: as many timers are set as may be
//
// A timer is due at any time_point. It never fires before it, and by the first advance() whose `now` is at or behind the next tick
// after it: late by at most a tick and what advance() is late by. The tick is the largest power of two of nanoseconds that is not
// longer than the one asked for: 1 ms becomes 0.52 ms. Timers fire in the order of their ticks, and of one tick in the order in
// which they were set (by schedule or reschedule; extend: see there).
//
// An id names one timer for ever: after it has fired or was cancelled, the id is refused. (An id is told from 2^32 - 1 later
// users of its place. Places are changed before that, so that it takes as many times `capacity` timers.)
//
// In fire(), the timer may be set again by its id, with reschedule or extend, and keeps it and its value; else it is gone
// afterwards, and its place is free then, not in fire(). fire() may set, move and cancel any timer. What it sets is not fired by
// the tick that it is called for, though it may be by the same advance(): one that sets itself again for a time that has passed
// fires once a tick. A periodic timer is one that says reschedule(id, due + period): the time it was due, not the one at which it
// fired, so it does not drift; or with time/period.hpp where times that were missed are to be skipped. It must not call advance. If
// it throws, the timer is gone unless it was set again, and the wheel is whole. A value may do the same at its end, but not at the
// wheel's.
//
// extend() is for a time that is put off again and again, and seldom comes, such as an idle timeout: it writes the new time down
// and no more, and the timer is moved when its old one comes. Of one tick, timers fire in the order in which they were moved then.
// To an earlier time, it is a reschedule.
//
// advance(now, most, fire) touches at most `most` timers, whether they fire or move to a lower level, and says if there are more
// due: so a million timers of one tick do not keep the loop from its other work. Between two calls everything is allowed, and
// order is kept. A `now` in a tick before the one where the wheel stands fires nothing. A jump costs as much as the timers that it
// makes due, not the time that it passes: after a suspend all that has become due fires, in order. (steady_clock stands still in a
// suspend.)
//
// next_expiry() is when advance() has something to do: of the wheel's own 256 ticks (they begin with a multiple of 256) exact, and
// else not later than the first timer and up to six times in its life earlier, to move it to a lower level. In fire() it is not
// later than the next timer, no more. schedule_within leaves some freedom, which saves such moves and wake-ups.
//
// When to use it: thousands of timers or more, or where each operation is to take the same time. Some thousands that live in what
// waits, such as a coroutine's frame: timer_heap, without a tick and a capacity; very many of those: intrusive_wheel. Timers that
// other threads set and cancel: exec/timer_service.
//
// Memory: 16 bytes and the value for each timer that may be set at the same time, and wheel_chunks: with a value of 8 bytes 38.4
// for each of a million are set apart, and 29.4 are in use where timers are cancelled in the order in which they were set.
// Allocated at construction, touched as it is used.
//
// Method: wheel_levels and wheel_chunks.
//
// Proof: unit/timer_wheel_test.cpp, fuzz/timer_wheel_fuzz.cpp (against a std::multimap, with callbacks and any limit),
// alloc/timer_wheel_alloc_test.cpp, bench/timer_wheel_bench.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/wheel_chunks.hpp"
#include "holdfast/time/wheel_core.hpp"
#include "holdfast/time/wheel_levels.hpp"

namespace holdfast {

struct timer_wheel_options {
  std::size_t capacity = 1024;  // timers that may be set at the same time
  duration tick = std::chrono::milliseconds(1);
};
static_assert(std::is_aggregate_v<timer_wheel_options>);

constexpr option_error validate(const timer_wheel_options& o) noexcept {
  return first_of(at_least("capacity", static_cast<std::int64_t>(o.capacity), 1),
                  at_most("capacity", static_cast<std::int64_t>(o.capacity), wheel_chunks::most_timers),
                  at_least("tick", o.tick.count(), wheel_levels::shortest_tick.count()),
                  at_most("tick", o.tick.count(), wheel_levels::longest_tick.count()));
}

// Of a timer of one wheel, which is to be asked about no other one's. Empty: of none.
class timer_id {
 public:
  constexpr timer_id() noexcept = default;
  constexpr explicit operator bool() const noexcept { return generation_ != 0; }
  friend constexpr bool operator==(timer_id, timer_id) noexcept = default;

  // In a word, for who keeps it elsewhere.
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return std::uint64_t{generation_} << 32U | index_; }
  static constexpr timer_id of_word(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32U)};
  }

 private:
  template <class T>
  friend class timer_wheel;
  constexpr timer_id(std::uint32_t index, std::uint32_t generation) noexcept : index_(index), generation_(generation) {}

  std::uint32_t index_ = 0;
  std::uint32_t generation_ = 0;
};

// What is firing: valid in the call of fire().
template <class T>
struct expired_timer {
  timer_id id;
  time_point due;
  T& what;
};

struct timer_wheel_counts {
  std::uint64_t scheduled = 0;  // == fired for good + cancelled + drained + set
  std::uint64_t fired = 0;
  std::uint64_t rearmed = 0;  // of the fired ones, those that were set again by their call
  std::uint64_t cancelled = 0;
  std::uint64_t drained = 0;
  std::uint64_t moved = 0;     // to a lower level, or on because they were extended
  std::uint64_t refused = 0;   // no place for them
  std::uint64_t backward = 0;  // calls of advance() with an earlier time
};

template <class T>
class timer_wheel {
  static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "timer_wheel: T is moved and destroyed without an exception");

 public:
  using value_type = T;

  // Each place's ids start at generation `first`, which is not zero, so that a test can stand just before they wrap. Of no use
  // otherwise.
  timer_wheel(const timer_wheel_options& options, time_point now,
              std::pmr::memory_resource* memory = std::pmr::get_default_resource(), std::uint32_t first = 1)
      : memory_(memory),
        capacity_(static_cast<std::uint32_t>(options.capacity)),
        block_(allocated(options, *memory)),
        nodes_(reinterpret_cast<node*>(block_ + wheel_chunks::bytes_for(capacity_))),
        core_(nodes_, block_, capacity_, options.tick, now),
        first_(first) {
    nodes_[0].generation = first;  // of an empty id it is asked, too
  }
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;
  // Timers that are set are not fired; their values are destroyed.
  ~timer_wheel() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      core_.each([this](std::uint32_t index) { nodes_[index].what().~T(); });
    }
    memory_->deallocate(block_, bytes_for(capacity_), wheel_chunks::chunk_bytes);
  }
  // What the constructor asks its memory for.
  static constexpr std::size_t bytes_for(std::size_t capacity) noexcept {
    return wheel_chunks::bytes_for(capacity) + capacity * sizeof(node);
  }

  timer_id schedule(time_point due, T what) noexcept {
    const std::uint32_t slot = core_.slot_for(due);
    if (free_ == none || !core_.has_room(slot)) [[unlikely]]
      return schedule_slowly(slot, due, std::move(what));
    return set(slot, due, std::move(what));
  }
  // At a time between the two, both included, that is cheap: it is seldom moved, and others are due with it. (A `latest` before
  // `earliest`: at that.)
  timer_id schedule_within(time_point earliest, time_point latest, T what) noexcept {
    return schedule(core_.levels().coarsest(earliest, latest), std::move(what));
  }

  bool cancel(timer_id id) noexcept {
    node& one = node_of(id);
    if (one.generation != id.generation_) return false;
    ++counts_.cancelled;
    const wheel_chunks::place at = one.at;
    if constexpr (std::is_trivially_destructible_v<T>) {
      release(one, id.index_);
      if (core_.take_out(at)) [[unlikely]]
        core_.tidy_up(at);
    } else {
      // The value's end may set other timers, for which this one would be moved if it still lay there.
      if (core_.take_out(at)) [[unlikely]]
        core_.tidy_up(at);
      release(one, id.index_);
    }
    return true;
  }
  // Cancels it, and gives back its value.
  [[nodiscard]] std::optional<T> take(timer_id id) noexcept {
    if (!is_set(id)) return std::nullopt;
    std::optional<T> value(std::move(nodes_[id.index_].what()));
    cancel(id);
    return value;
  }

  bool reschedule(timer_id id, time_point due) noexcept {
    node& one = node_of(id);
    if (one.generation == id.generation_) {
      if (core_.take_out(one.at)) core_.tidy_up(one.at);
    } else if (is_firing(id)) {
      one.generation = firing_.generation_;
      firing_ = {};
      ++counts_.rearmed;
    } else {
      return false;
    }
    one.due = due;
    const std::uint32_t slot = core_.slot_for(due);
    if (!core_.has_room(slot)) [[unlikely]]
      core_.make_room(slot, size());
    core_.put(one, id.index_, slot);
    return true;
  }
  bool extend(timer_id id, time_point due) noexcept {
    node& one = node_of(id);
    if (one.generation != id.generation_ || due < one.due) [[unlikely]]
      return reschedule(id, due);
    one.due = due;
    return true;
  }

  // The value of a timer that is set or firing.
  [[nodiscard]] T* find(timer_id id) noexcept {
    return is_set(id) || is_firing(id) ? &nodes_[id.index_].what() : nullptr;
  }
  // Not of one that is firing.
  [[nodiscard]] bool is_set(timer_id id) const noexcept { return node_of(id).generation == id.generation_; }

  // fire(expired_timer<T>&) for those that are due.
  template <class Fire>
  advance_result advance(time_point now, std::size_t most, Fire&& fire) {
    if (core_.levels().tick_at(now) < core_.levels().now()) ++counts_.backward;
    return core_.advance(
        now, most,
        [&](std::uint32_t index) {
          node& one = nodes_[index];
          if (!core_.is_due(one.due)) [[unlikely]]
            return put_extended_on(index);
          ++counts_.fired;
          const shot ends(*this, one, index);
          expired_timer<T> what{firing_, one.due, one.what()};
          fire(what);
        },
        [this](std::uint32_t index) noexcept { put_on(index); });
  }
  [[nodiscard]] time_point next_expiry() const noexcept { return core_.next_expiry(); }

  // take(timer_id, time_point due, T&&) for every timer that is set, in no order: it is set no more. Also what take() sets.
  // Not in fire().
  template <class Take>
  void drain(Take&& take) {
    core_.take_all([&](std::uint32_t index) {
      node& one = nodes_[index];
      const timer_id id(index, one.generation);
      const time_point due = one.due;
      T value(std::move(one.what()));
      ++counts_.drained;
      release(one, index);
      take(id, due, std::move(value));
    });
  }

  // Those that are set, and the one that is firing.
  [[nodiscard]] std::size_t size() const noexcept {
    return counts_.scheduled - (counts_.fired - counts_.rearmed) - counts_.cancelled - counts_.drained +
           (firing_ ? 1 : 0);
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] duration tick() const noexcept { return core_.levels().tick(); }
  // Up to where it has advanced: the begin of a tick.
  [[nodiscard]] time_point now() const noexcept { return core_.levels().begin_of(core_.levels().now()); }
  [[nodiscard]] const timer_wheel_counts& counts() const noexcept { return counts_; }

 private:
  static constexpr std::uint32_t none = wheel_chunks::none;
  // So often a place is used before it rests until no other one is free.
  static constexpr std::uint32_t turns = std::uint32_t{1} << 16U;

  struct node {
    time_point due;
    std::uint32_t at;          // where it lies; of a free one: the next free one
    std::uint32_t generation;  // of its id; while it fires, and of a free one: of the next id
    alignas(T) std::byte value[sizeof(T)];

    [[nodiscard]] T& what() noexcept { return *std::launder(reinterpret_cast<T*>(value)); }
  };
  static_assert(alignof(node) <= wheel_chunks::chunk_bytes, "timer_wheel: T's alignment is at most a cache line");

  static std::byte* allocated(const timer_wheel_options& options, std::pmr::memory_resource& memory) {
    HOLDFAST_ASSERT(!validate(options));
    return static_cast<std::byte*>(memory.allocate(bytes_for(options.capacity), wheel_chunks::chunk_bytes));
  }

  // A timer while it fires: gone afterwards, if it was not set again. Until then its id is that of none that is set.
  class shot {
   public:
    shot(timer_wheel& of, node& one, std::uint32_t index) noexcept : of_(of), one_(one) {
      of_.firing_ = timer_id(index, one.generation);
      one.generation = next(one.generation);
    }
    shot(const shot&) = delete;
    shot& operator=(const shot&) = delete;
    ~shot() {
      if (!of_.firing_) return;
      of_.put_back(one_, std::exchange(of_.firing_, {}).index_);
    }

   private:
    timer_wheel& of_;
    node& one_;
  };

  [[gnu::always_inline]] void put_on(std::uint32_t index) noexcept {
    ++counts_.moved;
    core_.put_on(nodes_[index], index, nodes_[index].due, [this]() noexcept { return size(); });
  }
  [[gnu::noinline]] void put_extended_on(std::uint32_t index) noexcept { put_on(index); }
  // Of an id that this wheel has given, or of an empty one.
  [[nodiscard]] node& node_of(timer_id id) const noexcept {
    HOLDFAST_ASSERT((id.index_ < fresh_ || !id));
    return nodes_[id.index_];
  }
  [[nodiscard]] bool is_firing(timer_id id) const noexcept { return id && id == firing_; }

  // ---- places

  // A place is free, and the slot has room.
  [[gnu::always_inline]] timer_id set(std::uint32_t slot, time_point due, T&& what) noexcept {
    const std::uint32_t index = free_;
    node& made = nodes_[index];
    free_ = made.at;
    ++counts_.scheduled;
    made.due = due;
    new (made.value) T(std::move(what));
    core_.put(made, index, slot);
    return {index, made.generation};
  }
  [[gnu::noinline]] timer_id schedule_slowly(std::uint32_t slot, time_point due, T&& what) noexcept {
    if (free_ == none) {
      if (fresh_ != capacity_) {
        nodes_[fresh_].generation = first_;
        nodes_[fresh_].at = none;
        free_ = fresh_++;
      } else if (rested_ != none) {
        free_ = std::exchange(rested_, none);
      } else {
        ++counts_.refused;
        return {};
      }
    }
    if (!core_.has_room(slot)) core_.make_room(slot, size());
    return set(slot, due, std::move(what));
  }
  // None is zero, which is that of an empty id.
  static std::uint32_t next(std::uint32_t generation) noexcept {
    return generation == ~std::uint32_t{0} ? 1 : generation + 1;
  }
  [[gnu::always_inline]] void release(node& gone, std::uint32_t index) noexcept {
    if (gone.generation % turns == turns - 1) [[unlikely]]
      return release_to_rest(gone, index);
    ++gone.generation;
    gone.what().~T();
    gone.at = std::exchange(free_, index);
  }
  [[gnu::noinline]] void release_to_rest(node& gone, std::uint32_t index) noexcept {
    gone.generation = next(gone.generation);
    put_back(gone, index);
  }
  void put_back(node& gone, std::uint32_t index) noexcept {
    gone.what().~T();
    gone.at = std::exchange(gone.generation % turns == 0 ? rested_ : free_, index);
  }

  std::pmr::memory_resource* const memory_;
  const std::uint32_t capacity_;
  std::byte* const block_;
  node* const nodes_;
  wheel_core<node> core_;
  const std::uint32_t first_;  // generation of ids
  std::uint32_t fresh_ = 0;    // this place and those behind it were never used
  std::uint32_t free_ = none;
  std::uint32_t rested_ = none;  // free ones that rest until there is no other one
  timer_id firing_;
  timer_wheel_counts counts_;
};

}  // namespace holdfast
