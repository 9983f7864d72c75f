// SPDX-License-Identifier: MIT
// timer_oracle: what a timer wheel has to do, said with a std::multimap: the tick at which each timer fires, and of one tick the
// order in which they were set. It knows nothing of levels, slots and moves: its arithmetic divides where the wheel shifts.
//
// A timer that was extended over a tick stands anywhere among those of its new one, because its place there is given when its old
// time comes, which is the wheel's affair.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "holdfast/time/clock.hpp"

namespace test_support {

using holdfast::duration;
using holdfast::time_point;

// Ticks of so many nanoseconds, counted from the smallest time_point.
class tick_ruler {
 public:
  explicit tick_ruler(duration tick) : length_(static_cast<std::uint64_t>(tick.count())) {}

  [[nodiscard]] std::uint64_t at(time_point time) const { return since_min(time) / length_; }
  [[nodiscard]] std::uint64_t when_due(time_point due) const {
    return since_min(due) / length_ + (since_min(due) % length_ != 0 ? 1 : 0);
  }
  // max() where that tick begins behind it.
  [[nodiscard]] time_point begin_of(std::uint64_t tick) const {
    constexpr auto min = std::numeric_limits<std::int64_t>::min();
    if (tick > std::numeric_limits<std::uint64_t>::max() / length_) return time_point::max();
    return time_point(duration(static_cast<std::int64_t>(tick * length_ + static_cast<std::uint64_t>(min))));
  }
  // Of the ticks of [earliest, latest], the one that is a multiple of the highest power of two.
  [[nodiscard]] time_point roundest(time_point earliest, time_point latest) const {
    const std::uint64_t from = when_due(earliest);
    const std::uint64_t to = at(latest);
    if (latest <= earliest || to <= from) return earliest;
    for (std::uint64_t step = std::uint64_t{1} << 63U; step > 1; step /= 2) {
      if (to / step * step >= from) return begin_of(to / step * step);
    }
    return begin_of(to);
  }

 private:
  static std::uint64_t since_min(time_point time) {
    return static_cast<std::uint64_t>(time.time_since_epoch().count()) -
           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::min());
  }
  std::uint64_t length_;
};

// Id: what the wheel names a timer by.
template <class Id>
class timer_oracle {
 public:
  struct entry {
    int number;
    Id id;
    time_point due;
    bool anywhere;      // among those of its tick
    std::size_t index;  // in all_
  };
  using timers = std::multimap<std::uint64_t, entry>;  // by tick; of equal ones, the last one inserted is the last one
  using handle = typename timers::iterator;

  timer_oracle(duration tick, time_point now) : ruler_(tick), now_(ruler_.at(now)), floor_(now_) {}

  [[nodiscard]] const tick_ruler& ruler() const { return ruler_; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] std::uint64_t now() const { return now_; }
  [[nodiscard]] std::uint64_t first() const {
    return timers_.empty() ? std::numeric_limits<std::uint64_t>::max() : timers_.begin()->first;
  }
  [[nodiscard]] bool in_strict_order() const { return blurred_ == 0; }  // nothing stands anywhere
  [[nodiscard]] handle none() { return timers_.end(); }
  // Any of them, by a number less than size().
  [[nodiscard]] handle some(std::size_t which) { return all_[which]; }
  [[nodiscard]] handle find(int number) {
    return std::find_if(timers_.begin(), timers_.end(), [&](const auto& each) { return each.second.number == number; });
  }

  handle set(int number, Id id, time_point due) {
    const handle made = insert({number, id, due, false, all_.size()}, std::max(ruler_.when_due(due), floor_));
    all_.push_back(made);
    return made;
  }
  void erase(handle gone) {
    const std::size_t index = gone->second.index;
    all_[index] = all_.back();
    all_[index]->second.index = index;
    all_.pop_back();
    extract(gone);
  }
  handle reschedule(handle of, time_point due) {
    entry same = extract(of);
    same.due = due;
    same.anywhere = false;
    return moved(same, std::max(ruler_.when_due(due), floor_));
  }
  handle extend(handle of, time_point due) {
    if (due < of->second.due) return reschedule(of, due);
    const std::uint64_t before = of->first;
    const std::uint64_t after = std::max(ruler_.when_due(due), before);
    if (after == before) {
      of->second.due = due;
      return of;
    }
    entry same = extract(of);
    same.due = due;
    same.anywhere = true;
    return moved(same, after);
  }

  // Which one fires next, if it may be that one; else none().
  [[nodiscard]] handle next(int number) {
    for (handle each = timers_.begin(); each != timers_.end() && each->first == timers_.begin()->first; ++each) {
      if (each->second.number == number) return each;
      if (!each->second.anywhere) break;
    }
    if (in_strict_order()) return none();
    // Before it are only those of its tick that stand anywhere; or it is one of those.
    for (handle each = timers_.begin(); each != timers_.end() && each->first == timers_.begin()->first; ++each) {
      if (each->second.number == number && each->second.anywhere) return each;
    }
    return none();
  }
  // It fires, and is no more in here. What is set from now on belongs to later ticks.
  void fires(handle fired) {
    now_ = fired->first;
    floor_ = now_ + 1;
    erase(fired);
  }
  // A call of advance() has ended, there.
  void stands_at(std::uint64_t tick) { now_ = floor_ = tick; }

 private:
  handle insert(const entry& what, std::uint64_t tick) {
    blurred_ += what.anywhere ? 1 : 0;
    return timers_.emplace(tick, what);
  }
  entry extract(handle of) {
    const entry was = of->second;
    blurred_ -= was.anywhere ? 1 : 0;
    timers_.erase(of);
    return was;
  }
  handle moved(const entry& what, std::uint64_t tick) { return all_[what.index] = insert(what, tick); }

  tick_ruler ruler_;
  timers timers_;
  std::vector<handle> all_;
  std::size_t blurred_ = 0;
  std::uint64_t now_;    // all before it has fired
  std::uint64_t floor_;  // the first tick that is left to a new one
};

}  // namespace test_support
