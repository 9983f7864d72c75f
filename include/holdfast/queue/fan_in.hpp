// SPDX-License-Identifier: MIT
// fan_in: a bounded queue from many threads to one, in which each producer has a lane of its own.
//
//   operation          caller       progress    cost            allocates   when refused
//   join               anyone       lock-free   O(1)            never       an empty optional: all lanes are taken
//   joined             anyone       wait-free   O(1)            never       -
//   try_pop(out)       consumer     wait-free   O(Lanes)        never       false, `out` is as it was
//   try_pop()          consumer     wait-free   O(Lanes)        never       an empty optional
//   try_pop(span)      consumer     wait-free   O(n) and looks  never       count < n, the rest of the span is as it was
//   consume_all(fn)    consumer     wait-free   O(n) and looks  never       0; takes about what was there when it was called
//   size_approx        anyone       wait-free   O(Lanes)        never       -
//   lane_capacity, lane_count, max_size
//                      anyone       wait-free   O(1)            never       -
//   of a producer:
//   try_push, try_emplace, try_push(span), reserve(n), commit(n), size_approx, capacity
//                      its thread   as those of spsc_queue, on the lane
//   leave, destructor  its thread   wait-free   O(1)            never       -
//
// In short: many producers, each with a lane; one consumer | wait-free (joining lock-free) | never | the own lane is
// full; empty; all lanes are taken
//
// (Looks: a lane that has nothing costs one look at it, where it lies on the way to one that has something.)
//
// A producer joins once, keeps the handle, and pushes through it: a push is that of an spsc_queue, and no producer touches
// what another one writes. The handle may be moved, to another thread too, if that one knows of it in an ordered way. Its
// end gives the lane back, with whatever is still in it: the next one that joins gets the lane at once and goes on behind
// those items. So nothing is lost, no join waits for the consumer, and a producer may find its lane half full at the start.
// The lowest free lane is given out first.
//
// What a refusal means: a join, that at some moment of the call all lanes had an owner; a push, that at least capacity()
// items are in that lane; a pop, that all lanes were empty when it was called. None is ever refused by chance, in the sense,
// and with the same limits of what a caller can know, in which spsc_queue says it.
//
// Order: FIFO for the items of one handle, and for those of one lane. Nothing is said of items of two lanes; nor of those of
// one thread that has left and joined again, as the second lane may be another one.
//
// Fairness: the consumer goes from lane to lane. It takes at most Budget items from one before the next lane that has
// something gets its turn, and the next call goes on where the last one stopped, whichever it is. So an item that is the
// oldest of its lane waits for at most (lane_count() - 1) * Budget others, however fast their producers are.
//
// consume_all takes what was in the lanes at the call, lane by lane in turns of Budget, and of what came meanwhile at most
// publish_every() - 1 items a lane. `fn` gets an item in its slot, which is free after it returns, and does not call the
// consumer's functions.
//
// End: joined() is the number of handles that live. If it is 0, all that their producers pushed is seen: a pop that is refused
// after that says that nothing will come unless somebody joins. All handles end before the fan_in does (asserted); what is
// still in its lanes is destroyed with it.
//
// A thread that dies keeps its lane, and all that it had pushed comes out; it holds up nobody.
//
// T, exceptions: as in spsc_queue.
//
// When to use it: a known number of long-lived threads that push to one, whose order among each other does not matter. Not
// for threads that come and go with each item (mpsc_queue), not where the order over all threads counts (mpsc_queue), not
// for more than 64 threads at a time, not between processes. Where threads may be more than lanes, those that could not join
// push to an mpsc_queue beside it.
//
// Memory: Lanes spsc_queues, inside the object, and four lines: what many write and what is the consumer's are apart. It has
// an address that others know, so it is neither copied nor moved.
//
// Method: a single-producer lane for each thread, swept by the consumer with a budget: the "private lane" of many loggers and
// of the multi-queue network drivers (NAPI polls its devices in the same way, with a budget of 64). Who has which lane is one
// bit of a word, and the highest lane ever used bounds the sweep.
//
// Proof: model/fan_in_model.cpp (every execution of small cases: lanes that change hands with items in them, turns, refusals,
// deaths at each step), unit/fan_in_test.cpp, stress/fan_in_stress.cpp,
// linearizability/queue_windows.cpp, fuzz/fan_in_fuzz.cpp, bench/mpmc_queue_bench.cpp (4p1c).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/high_mark.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"

namespace holdfast {

template <class T, std::size_t Lanes, std::size_t LaneCapacity, std::size_t Budget = 64>
class fan_in {
  static_assert(Lanes >= 1, "fan_in: there is at least one lane");
  static_assert(Lanes <= 64, "fan_in: at most 64 lanes, so that who has which is one word");
  static_assert(Budget >= 1, "fan_in: a turn has at least one item");

  static constexpr std::size_t spacing = 2 * cache_line_size;
  using lane = spsc_queue<T, LaneCapacity>;

 public:
  using value_type = T;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::one;
  static constexpr item_order order = item_order::per_producer;
  static constexpr bool reservable = lane::reservable;

  // A lane, as long as this lives. Moved from, or after leave(), it has none, and is good for nothing but to be assigned to.
  class producer {
   public:
    using value_type = T;
    producer(producer&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)), lane_(std::exchange(other.lane_, nullptr)) {}
    producer& operator=(producer&& other) noexcept {
      if (this != &other) {
        leave();
        from_ = std::exchange(other.from_, nullptr);
        lane_ = std::exchange(other.lane_, nullptr);
      }
      return *this;
    }
    ~producer() { leave(); }

    // Gives the lane back before the end of this.
    void leave() noexcept {
      if (from_ == nullptr) return;
      from_->give_back(*lane_);
      from_ = nullptr;
      lane_ = nullptr;
    }
    [[nodiscard]] bool has_lane() const noexcept { return lane_ != nullptr; }

    [[nodiscard]] bool try_push(T&& value) noexcept(
        std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
      return mine().try_push(std::move(value));
    }
    [[nodiscard]] bool try_push(const T& value) noexcept(
        std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
      return mine().try_push(value);
    }
    template <class... Args>
      requires std::constructible_from<T, Args...>
    [[nodiscard]] bool try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>) {
      return mine().try_emplace(std::forward<Args>(args)...);
    }
    [[nodiscard]] std::size_t try_push(std::span<T> values) noexcept(
        std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
      return mine().try_push(values);
    }
    [[nodiscard]] std::size_t try_push(std::span<const T> values) noexcept(
        std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
      return mine().try_push(values);
    }
    [[nodiscard]] std::span<T> reserve(std::size_t n) noexcept requires reservable { return mine().reserve(n); }
    void commit(std::size_t n) noexcept requires reservable { mine().commit(n); }

    // Of the lane.
    [[nodiscard]] std::size_t size_approx() const noexcept { return mine().size_approx(); }
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return LaneCapacity; }

   private:
    friend class fan_in;
    producer(fan_in& from, lane& mine) noexcept : from_(&from), lane_(&mine) {}
    [[nodiscard]] lane& mine() const noexcept {
      HOLDFAST_ASSERT(lane_ != nullptr);
      return *lane_;
    }

    fan_in* from_;
    lane* lane_;
  };

  fan_in() noexcept = default;
  fan_in(const fan_in&) = delete;
  fan_in& operator=(const fan_in&) = delete;
  ~fan_in() { HOLDFAST_ASSERT(joined() == 0); }

  // ---- whoever wants to push

  // A lane of one's own; none, if all are taken.
  [[nodiscard]] std::optional<producer> join() noexcept {
    std::uint64_t taken = taken_.load(mo::relaxed);  // hint: the exchange decides
    for (;;) {
      const auto free = static_cast<std::size_t>(std::countr_one(taken));
      if (free >= Lanes) return std::nullopt;
      // [F1] acquire, pairs with [F2]: the lane as its last owner left it
      // hint: a failure is tried again
      if (taken_.compare_exchange_weak(taken, taken | std::uint64_t{1} << free, mo::acquire, mo::relaxed)) {
        used_.raise(free + 1);
        return producer(*this, lanes_[free]);
      }
    }
  }

  // ---- the consumer

  [[nodiscard]] bool try_pop(T& out) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    return pop_one([&](lane& from) { return from.try_pop(out); });
  }
  // For a T that cannot be assigned to.
  [[nodiscard]] std::optional<T> try_pop() noexcept(
      std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
    std::optional<T> out;
    pop_one([&](lane& from) { return pop_into(out, from); });
    return out;
  }

  // Moves out as many as there are and as the span takes; returns how many. Less than the span: each lane was found empty.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    const std::size_t used = lanes_in_use();
    std::size_t done = 0;
    for (std::size_t empty = 0; done < out.size() && empty < used;) {
      if (left_ == 0) next_turn(used);
      const std::size_t wanted = std::min(left_, out.size() - done);
      const std::size_t got = lanes_[at_].try_pop(out.subspan(done, wanted));
      done += got;
      left_ = got < wanted ? 0 : left_ - got;
      empty = got < wanted ? empty + 1 : 0;
    }
    return done;
  }

  // Calls fn(T&&) for each item that was there at the call, each lane's oldest first; returns how many.
  template <class Function>
    requires std::invocable<Function&, T&&> std::size_t consume_all(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, T&&>) {
    const std::size_t used = lanes_in_use();
    std::array<std::size_t, Lanes> due{};
    std::size_t all_due = 0;
    for (std::size_t i = 0; i < used; ++i) all_due += due[i] = lanes_[i].size_approx();
    std::size_t done = 0;
    while (all_due != 0) {
      if (left_ == 0) next_turn(used);
      const std::size_t wanted = std::min(left_, due[at_]);
      const std::size_t got = give(lanes_[at_], wanted, fn);
      done += got;
      // Fewer than were thought to be there: some of those had been taken before the call.
      const std::size_t settled = got < wanted ? due[at_] : got;
      all_due -= settled;
      due[at_] -= settled;
      left_ = due[at_] == 0 ? 0 : left_ - got;
    }
    return done;
  }

  // ---- anyone

  // How many handles live.
  [[nodiscard]] std::size_t joined() const noexcept {
    // [F3] acquire, pairs with [F2]: all that was pushed by those who have left
    return static_cast<std::size_t>(std::popcount(taken_.load(mo::acquire)));
  }
  // A recent number of items, too high by at most publish_every() - 1 a lane that are already taken.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0, used = lanes_in_use(); i < used; ++i) sum += lanes_[i].size_approx();
    return sum;
  }
  // So many of a producer always fit.
  [[nodiscard]] static constexpr std::size_t lane_capacity() noexcept { return LaneCapacity; }
  [[nodiscard]] static constexpr std::size_t lane_count() noexcept { return Lanes; }
  // More than this are never held, of all producers.
  [[nodiscard]] static constexpr std::size_t max_size() noexcept { return Lanes * lane::max_size(); }
  [[nodiscard]] static constexpr std::size_t publish_every() noexcept { return lane::publish_every(); }

 private:
  void give_back(lane& mine) noexcept {
    const auto at = static_cast<std::size_t>(&mine - lanes_.data());
    // [F2] release, pairs with [F1] and [F3]: the lane, and all that was pushed to it
    taken_.fetch_and(~(std::uint64_t{1} << at), mo::release);
  }
  // Those that are worth a look: who knows of an item in a lane knows that the lane is in use.
  [[nodiscard]] std::size_t lanes_in_use() const noexcept {
    return std::min(used_.read(), Lanes);  // never more than Lanes, which g++ 12 wants to be told
  }

  void next_turn(std::size_t used) noexcept {
    at_ = at_ + 1 < used ? at_ + 1 : 0;
    left_ = Budget;
  }
  // From the lane whose turn it is, or from the first of the others that has something; in vain, each was looked at.
  template <class Take>
  bool pop_one(Take take) {
    if (left_ != 0 && take(lanes_[at_])) [[likely]] {
      --left_;
      return true;
    }
    const std::size_t used = lanes_in_use();
    for (std::size_t looks = 0; looks < used; ++looks) {
      next_turn(used);
      if (!take(lanes_[at_])) continue;
      --left_;
      return true;
    }
    left_ = 0;
    return false;
  }
  // One move of the item, and no assignment.
  static bool pop_into(std::optional<T>& out, lane& from) {
    const std::span<T> one = from.peek(1);
    if (one.empty()) return false;
    out.emplace(std::move(one[0]));  // if it throws, the item is still the oldest
    from.release(1);
    return true;
  }
  // At most so many to fn; how many there were.
  template <class Function>
  static std::size_t give(lane& from, std::size_t most, Function& fn) {
    // Ends the life of the item that a function has been given.
    struct giving {
      lane& of;
      ~giving() { of.release(1); }
    };
    std::size_t given = 0;
    while (given < most) {
      const std::span<T> run = from.peek(most - given);
      if (run.empty()) break;
      for (T& item : run) {
        const giving guard{from};
        fn(std::move(item));
      }
      given += run.size();
    }
    return given;
  }

  alignas(spacing) atomic<std::uint64_t> taken_{0};  // a bit for each lane with an owner; by all who join and leave
  high_mark<std::size_t> used_;                      // one more than the highest lane ever taken; by those who join
  alignas(spacing) std::size_t at_ = 0;              // the consumer's: whose turn it is,
  std::size_t left_ = 0;                             // and how many items are left of it
  std::array<lane, Lanes> lanes_;                    // each by its owner and the consumer
};

}  // namespace holdfast
