// SPDX-License-Identifier: MIT
// boost_lockfree: the queues of Boost.Lockfree as bounded queues, to be put where one of ours stands.
//
//   boost_spsc_queue<T, Capacity>   boost::lockfree::spsc_queue   one producer, one consumer   fifo
//   boost_queue<T, Capacity>        boost::lockfree::queue        any threads                  fifo
//   boost_stack<T, Capacity>        boost::lockfree::stack        any threads                  lifo
//
//   operation                 caller      progress                  cost   allocates   when refused
//   try_push                  producers   spsc: wait-free           O(1)   never       false: full; the value is still the
//                                         the others: lock-free                        caller's
//   try_pop(out)              consumers   as above                  O(1)   never       false: empty; `out` is as it was
//   try_push(span), only of   producer    wait-free                 O(n)   never       count < n, the rest is still the
//   the spsc_queue                                                                     caller's
//   try_pop(span), as above   consumer    wait-free                 O(n)   never       count < n, the rest is as it was
//   size_approx               anyone      wait-free                 O(1)   never       -
//   capacity, max_size        anyone      wait-free                 O(1)   never       -
//
// In short: one producer and one consumer; or any thread | wait-free; lock-free | at construction | full; empty
//
// A refusal is never by chance: empty, the queue was empty at some moment of the call; full, Capacity slots were in use. A call
// that is under way uses a slot as an item does, so for as long as pops have not returned, their slots may be refused. So a
// waiting_queue may stand over each of them, and nobody sleeps beside an item. It also gives them the close that they do not have,
// for when no push is under way.
//
// They hold so many items and not one more. Slots are in the object, so it does not go on the stack of a small thread, and is
// neither copied nor moved. boost_queue takes a line (64 bytes) and more for each item, however small.
//
// T: in boost_spsc_queue any type that moves without an exception, move-only too, over-aligned too. In boost_queue what Boost
// asks for: trivially assigned and destroyed, with a default constructor. boost_stack keeps its items const, so they are copied
// in and out: what copies without an exception. What is left in the queue is destroyed with it.
//
// Slots of boost_queue and boost_stack have 16-bit numbers, so Capacity ends at 65,534 and 65,535; and each number goes with a
// 16-bit tag against ABA, which counts how often something was taken there. What that is not: a sure guard. A thread that is
// stopped inside a call, between its load and its exchange, for exactly a multiple of 65,536 takings after which the same slot
// stands there again, goes on as if nothing had happened: items are lost or doubled, or slots lost. What it is: rare. It takes a
// thread that stands still while the others do 65,536 operations (some tens of milliseconds), and then one chance in 65,536 or
// less. No memory outside of the object is touched by it. Where that is not good enough, mpmc_queue and mpmc_lockfree_queue
// have 64-bit positions that do not come back.
//
// When to use it: where these queues are what a program has and what was measured, beside ours, by changing a type; and
// boost_stack where the newest item is to be served first, which we have nothing for. For throughput take ours (README, Numbers).
//
// Under ThreadSanitizer boost_queue and boost_stack report races in Boost's own code: a slot is read while its next owner may
// write it, and what was read is then thrown away because the tag has changed. By the letter of C++ these are races.
// tests/support/peer_races.cpp has the suppression. What the bridge adds has none.
//
// Needs: Boost 1.81 or later, headers only. This header wants its capacity<> policies alone, not its allocators.
//
// Proof: unit/boost_queues_test.cpp (the behaviours of every queue of ours, by the same list; that nothing is allocated),
// stress/boost_queues_stress.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <span>
#include <type_traits>
#include <utility>

#include <boost/lockfree/policies.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <boost/lockfree/stack.hpp>

#include "holdfast/core/atomic.hpp"
#include "holdfast/interop/queue_size.hpp"
#include "holdfast/queue/bounded_queue.hpp"

namespace holdfast {

template <class T, std::size_t Capacity>
class boost_spsc_queue {
  static_assert(Capacity >= 1, "boost_spsc_queue: Capacity is at least 1");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>,
                "boost_spsc_queue: T moves without an exception");

 public:
  using value_type = T;
  static constexpr callers producers = callers::one;
  static constexpr callers consumers = callers::one;
  static constexpr item_order order = item_order::fifo;

  boost_spsc_queue() = default;
  boost_spsc_queue(const boost_spsc_queue&) = delete;
  boost_spsc_queue& operator=(const boost_spsc_queue&) = delete;
  ~boost_spsc_queue() = default;

  [[nodiscard]] bool try_push(T&& value) noexcept {
    if constexpr (std::is_trivially_copyable_v<T>) {
      return counted_push(queue_.push(value) ? 1 : 0) == 1;
    } else {
      // Boost's push of one item copies it; that of a range takes what its iterators give.
      return try_push(std::span<T>(&value, 1)) == 1;
    }
  }
  [[nodiscard]] bool try_push(const T& value) noexcept(
      std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
    return counted_push(queue_.push(value) ? 1 : 0) == 1;
  }
  // Moves in as many as fit, from the front; returns how many.
  [[nodiscard]] std::size_t try_push(std::span<T> values) noexcept {
    const auto begin = std::make_move_iterator(values.data());
    const auto rest = queue_.push(begin, begin + static_cast<std::ptrdiff_t>(values.size()));
    return counted_push(static_cast<std::size_t>(rest - begin));
  }
  // The same with copies.
  [[nodiscard]] std::size_t try_push(
      std::span<const T> values) noexcept requires std::is_nothrow_copy_constructible_v<T> {
    return counted_push(queue_.push(values.data(), values.size()));
  }

  [[nodiscard]] bool try_pop(T& out) noexcept { return counted_pop(pop_one(out) ? 1 : 0) == 1; }
  // Moves out as many as there are and as the span takes; returns how many.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept {
    if constexpr (std::is_trivially_copyable_v<T>) {
      return counted_pop(queue_.pop(out.data(), out.size()));
    } else {
      // Boost's pop of many copies.
      std::size_t done = 0;
      while (done < out.size() && pop_one(out[done])) ++done;
      return counted_pop(done);
    }
  }

  [[nodiscard]] std::size_t size_approx() const noexcept { return size_.approx(Capacity); }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }
  [[nodiscard]] static constexpr std::size_t max_size() noexcept { return Capacity; }

 private:
  bool pop_one(T& out) noexcept {
    return queue_.consume_one([&out](T& item) { out = std::move(item); });
  }
  std::size_t counted_push(std::size_t count) noexcept {
    if (count != 0) size_.pushed(count);
    return count;
  }
  std::size_t counted_pop(std::size_t count) noexcept {
    if (count != 0) size_.popped(count);
    return count;
  }

  boost::lockfree::spsc_queue<T, boost::lockfree::capacity<Capacity>> queue_;
  queue_size<producers, consumers> size_;
};

// What the two for any threads have in common. Peer is Boost's.
template <class T, std::size_t Capacity, class Peer, item_order Order>
class boost_of_many {
 public:
  using value_type = T;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::many;
  static constexpr item_order order = Order;

  boost_of_many(const boost_of_many&) = delete;
  boost_of_many& operator=(const boost_of_many&) = delete;

  [[nodiscard]] bool try_push(const T& value) noexcept {
    const bool done = peer_.bounded_push(value);
    if (done) size_.pushed();
    return done;
  }
  // The queue's pop writes to its argument first and finds out after that whether the item was to be had; this keeps a copy.
  [[nodiscard]] bool try_pop(T& out) noexcept {
    const bool done = peer_.consume_one([&out](const T& item) { out = item; });
    if (done) size_.popped();
    return done;
  }

  [[nodiscard]] std::size_t size_approx() const noexcept { return size_.approx(Capacity); }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }
  [[nodiscard]] static constexpr std::size_t max_size() noexcept { return Capacity; }

 protected:
  boost_of_many() = default;
  ~boost_of_many() = default;

 private:
  Peer peer_;
  queue_size<producers, consumers> size_;
};

template <class T, std::size_t Capacity>
class boost_queue : public boost_of_many<T, Capacity, boost::lockfree::queue<T, boost::lockfree::capacity<Capacity>>,
                                         item_order::fifo> {
  static_assert(Capacity >= 1, "boost_queue: Capacity is at least 1");
  static_assert(Capacity <= 65'534, "boost_queue: Boost numbers its slots with 16 bits, so Capacity is at most 65,534");
  static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copy_assignable_v<T>,
                "boost_queue: Boost asks for a T that is trivially assigned and destroyed");
  static_assert(std::is_nothrow_copy_constructible_v<T> && std::is_nothrow_default_constructible_v<T>,
                "boost_queue: T is made and copied without an exception");
  static_assert(alignof(T) <= BOOST_LOCKFREE_CACHELINE_BYTES, "boost_queue: Boost aligns its slots to a cache line");
};

template <class T, std::size_t Capacity>
class boost_stack : public boost_of_many<T, Capacity, boost::lockfree::stack<T, boost::lockfree::capacity<Capacity>>,
                                         item_order::lifo> {
  static_assert(Capacity >= 1, "boost_stack: Capacity is at least 1");
  static_assert(Capacity <= 65'535, "boost_stack: Boost numbers its slots with 16 bits, so Capacity is at most 65,535");
  static_assert(std::is_nothrow_copy_constructible_v<T> && std::is_nothrow_copy_assignable_v<T>,
                "boost_stack: Boost's items are const, so T copies without an exception");
  static_assert(std::is_nothrow_destructible_v<T>, "boost_stack: T's destructor must not throw");
  static_assert(alignof(T) <= BOOST_LOCKFREE_CACHELINE_BYTES, "boost_stack: Boost aligns its slots to a cache line");
};

}  // namespace holdfast
