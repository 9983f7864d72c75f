// SPDX-License-Identifier: MIT
// job_deadlines: jobs in the order of their deadlines, in fixed memory: a place for each slot, under a tree of minima.
//
//   operation          caller       progress    cost         allocates   when refused
//   insert(job, until) any thread   lock-free   O(log n)     never       never: each slot has its place
//   pop(job)           any thread   lock-free   O(log n)     never       empty
//   ready              any thread   wait-free   one load     never       -
//
// In short: any thread | lock-free | never | empty
//
// JT1: pop takes the job of the earliest deadline among those whose insert had returned before it began, to the tick of 131
// microseconds; jobs of one tick come in any order. JT2: what is inserted is popped once. A deadline more than 4 years after the
// construction is as one then, one before the construction as one at it.
//
// Method: a place a slot, eight of them under a node that holds the least of them, eight nodes under the next one, up to the root
// (an f-array: Jayanti, "f-arrays: implementation and applications", PODC 2002). Whoever has changed a place goes up to the root
// and has each node hold the least below it, by one exchange; if that fails, by a second one; if that fails too, somebody else's
// has looked below since the change. A node's word changes with each exchange, for it counts them: 2^24 of them, during one such
// exchange of a thread that has stopped in between, are taken for none.
//
// Memory: a word and a seventh a slot. Proof: model/job_deadlines_model.cpp (JT1, JT2), unit/job_deadlines_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/job_slots.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// Arity: how many are below a node; eight words are a line. Fewer for a model, to have a tree of few places.
template <std::size_t Slots, std::size_t Arity = 8>
class job_deadlines {
  static_assert(Slots >= 2 && Arity >= 2);

 public:
  static constexpr unsigned tick_bits = 17;  // of nanoseconds

  explicit job_deadlines(time_point origin)
      : origin_(origin), words_(std::make_unique<atomic<std::uint64_t>[]>(total)) {
    for (std::size_t i = 0; i < total; ++i) words_[i].store(nothing, mo::relaxed);  // init: nobody else knows it yet
  }
  job_deadlines(const job_deadlines&) = delete;
  job_deadlines& operator=(const job_deadlines&) = delete;
  ~job_deadlines() = default;

  void insert(job_handle job, time_point until) noexcept {
    // [JT1] seq_cst, pairs with [JT2]: the job; and in one order with the looks of those who change a node above it meanwhile
    words_[job.slot()].store(tick_of(until) << 24U | (job.use() & mask), mo::seq_cst);
    refresh_above(job.slot());
  }

  // Its number is the caller's, as from a queue.
  [[nodiscard]] bool pop(std::uint32_t& number) noexcept {
    while (ready()) {
      std::size_t at = levels.count - 1;  // the height of the root
      std::size_t node = 0;
      for (; at != 0; --at) node = least_below(at, node).at;
      std::uint64_t seen = words_[node].load(mo::relaxed);  // own: the exchange below checks it
      // [JT3] seq_cst, pairs with [JT1] and [JT2]: as [JT1]. On failure relaxed, own: all is read again
      const bool mine =
          seen != nothing && words_[node].compare_exchange_strong(seen, nothing, mo::seq_cst, mo::relaxed);
      refresh_above(node);  // also where another one has taken it, who may not have come to that yet
      if (mine) {
        number = static_cast<std::uint32_t>(node);
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] bool ready() const noexcept {
    return tick_in(words_[levels.from[levels.count - 1]].load(mo::relaxed)) !=
           no_tick;  // hint: pop looks with its orders
  }

 private:
  static constexpr std::uint64_t mask = (std::uint64_t{1} << 24U) - 1;
  static constexpr std::uint64_t no_tick = (std::uint64_t{1} << 40U) - 1;
  static constexpr std::uint64_t nothing = no_tick << 24U;
  static constexpr std::uint64_t tick_in(std::uint64_t word) noexcept { return word >> 24U; }

  // The places, then each level of nodes, each from the beginning of a line.
  struct layout {
    std::array<std::size_t, 34> from{};
    std::array<std::size_t, 34> size{};
    std::size_t count = 1;
    std::size_t total = 0;
  };
  static constexpr layout laid_out() noexcept {
    layout l;
    l.size[0] = Slots;
    for (; l.size[l.count - 1] != 1; ++l.count) {
      l.from[l.count] = l.from[l.count - 1] + (l.size[l.count - 1] + 7) / 8 * 8;
      l.size[l.count] = (l.size[l.count - 1] + Arity - 1) / Arity;
    }
    l.total = l.from[l.count - 1] + 1;
    return l;
  }
  static constexpr layout levels = laid_out();
  static constexpr std::size_t total = levels.total;

  [[nodiscard]] std::uint64_t tick_of(time_point until) const noexcept {
    if (until <= origin_) return 0;
    // As unsigned numbers, since the two may be further apart than a duration reaches.
    const auto apart = static_cast<std::uint64_t>(until.time_since_epoch().count()) -
                       static_cast<std::uint64_t>(origin_.time_since_epoch().count());
    return std::min(apart >> tick_bits, no_tick - 1);
  }

  // Of the node at this height: the one below it that holds the least, by its index at its height.
  struct least {
    std::size_t at;
    std::uint64_t tick;
  };
  [[nodiscard]] least least_below(std::size_t height, std::size_t node) const noexcept {
    const std::size_t begin = node * Arity;
    const std::size_t end = std::min(begin + Arity, levels.size[height - 1]);
    least best{begin, no_tick};
    for (std::size_t i = begin; i < end; ++i) {
      // [JT2] seq_cst, pairs with [JT1] and [JT3]: as [JT1]
      const std::uint64_t tick = tick_in(words_[levels.from[height - 1] + i].load(mo::seq_cst));
      if (tick < best.tick) best = {i, tick};
    }
    return best;
  }
  void refresh_above(std::size_t node) noexcept {
    for (std::size_t height = 1; height < levels.count; ++height) {
      node /= Arity;
      if (!refresh(height, node)) static_cast<void>(refresh(height, node));
    }
  }
  bool refresh(std::size_t height, std::size_t node) noexcept {
    atomic<std::uint64_t>& word = words_[levels.from[height] + node];
    // [JT4] seq_cst, pairs with [JT5]: a second failure means that another one has looked below since this
    std::uint64_t seen = word.load(mo::seq_cst);
    const std::uint64_t tick = least_below(height, node).tick;
    // [JT5] seq_cst, pairs with [JT4]: as [JT4]. On failure relaxed, own: as [JT4]
    return word.compare_exchange_strong(seen, tick << 24U | ((seen + 1) & mask), mo::seq_cst, mo::relaxed);
  }

  const time_point origin_;
  const std::unique_ptr<atomic<std::uint64_t>[]>
      words_;  // each place by who has its slot, and who pops it; nodes by all
};

}  // namespace holdfast
