// SPDX-License-Identifier: MIT
// mpmc_lockfree_queue: a bounded FIFO between any threads, in which nobody can hold up anybody.
//
//   operation          caller   progress    cost                       allocates   when refused
//   try_push           anyone   lock-free   O(1), more if contended    never       full or closed; the value is still the caller's
//   try_emplace        anyone   lock-free   O(1), more if contended    never       the same; the arguments are untouched if full
//   try_push(span)     anyone   lock-free   O(n)                       never       count < n, the rest is still the caller's
//   try_pop(out)       anyone   lock-free   O(1), at most O(capacity)  never       empty or closed; `out` is as it was
//   try_pop()          anyone   lock-free   as above                   never       an empty optional
//   try_pop(span)      anyone   lock-free   O(n)                       never       count < n, the rest of the span is as it was
//   consume_all(fn)    anyone   lock-free   O(n)                       never       0; takes at most what was there at the call
//   close              anyone   wait-free   O(1)                       never       -
//   closed             anyone   wait-free   O(1)                       never       -
//   size_approx        anyone   wait-free   O(1)                       never       -
//   capacity           anyone   wait-free   O(1)                       never       -
//
// In short: any thread | lock-free | never | full, empty or closed; a thread that dies inside costs a slot
//
// Lock-free means: whatever the other threads do, stop, be descheduled or die in the middle of a call, some call of those
// that run comes to an end, and a push or pop is never told to come again because of one that stands still. (T's own
// moves aside.) A thread that dies inside a call takes at most one slot with it: the queue is smaller by one from then on.
//
// At most `Threads` threads are inside calls of a queue at the same time; with more, a pop might take a queue for empty that
// is not, until the next push. (As many as Capacity cost nothing; each one beyond lets a pop look at one entry more.)
//
// What a refusal means: full, that each slot holds an item or is in the hands of a call that is under way; empty, that no
// item was in the queue at some moment of the call; closed, as empty and that none will come. An item whose push has
// returned before a pop is called is there for it.
//
// Order: FIFO over all threads, by the tickets that their pushes drew.
//
// close(): pushes are refused from then on, pops drain what is there, and then say closed. A try_emplace that meets it half
// way may have used up its arguments.
//
// T: any object type that moves and is destroyed without an exception; move-only, without default constructor,
// over-aligned. What is left in the queue is destroyed with it; by then all threads have stopped using it.
//
// When to use it: where a thread may stop for long inside a call (more threads than cores, priorities, debuggers, threads
// that are killed) and the others must go on. Where they only might be slowed down now and then, mpmc_queue does the same
// at a third of the cost; bench/mpmc_queue_bench.cpp shows both. Not between processes: its slots are in the object, and
// what a killed process held stays lost.
//
// Memory: the slots are inside the object: Capacity * sizeof(T), four words an item for the two rings, and twelve lines.
// It has an address that others know, so it is neither copied nor moved.
//
// Method: two rings of slot numbers, the free ones and the filled ones (Nikolaev, SCQ, DISC 2019; see index_ring.hpp). A
// push takes a free slot, fills it and puts its number among the filled ones; a pop the other way round. Between the two a
// slot is its thread's own, so the item needs no atomics.
//
// Proof: model/mpmc_lockfree_queue_model.cpp (every execution of small cases, deaths at each step),
// unit/mpmc_lockfree_queue_test.cpp, stress/mpmc_lockfree_queue_stress.cpp, linearizability/mpmc_windows.cpp,
// fuzz/mpmc_queue_fuzz.cpp, bench/mpmc_queue_bench.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/index_ring.hpp"
#include "holdfast/queue/queue_result.hpp"

namespace holdfast {

template <class T, std::size_t Capacity, std::size_t Threads = 64>
class mpmc_lockfree_queue {
  static_assert(std::has_single_bit(Capacity),
                "mpmc_lockfree_queue: Capacity is a power of two, so that a slot is found by a mask");
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                "mpmc_lockfree_queue: T is an object type");
  static_assert(std::is_nothrow_destructible_v<T>, "mpmc_lockfree_queue: T's destructor must not throw");
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "mpmc_lockfree_queue: T moves without an exception; one in the middle of a call would cost a slot");

  using ring = index_ring<Capacity, Threads>;

 public:
  using value_type = T;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::many;

  mpmc_lockfree_queue() noexcept : mpmc_lockfree_queue(0) {}
  // Starts the tickets at about `first`, so that a test can stand at large ones. Of no use otherwise.
  explicit mpmc_lockfree_queue(std::uint64_t first) noexcept
      : free_(ring::holds::all, first), filled_(ring::holds::none, first) {}
  mpmc_lockfree_queue(const mpmc_lockfree_queue&) = delete;
  mpmc_lockfree_queue& operator=(const mpmc_lockfree_queue&) = delete;
  ~mpmc_lockfree_queue() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for (std::uint64_t slot = filled_.take_last(); slot != ring::none; slot = filled_.take_last())
        std::destroy_at(item(slot));
    }
  }

  // ---- producers

  [[nodiscard]] queue_result try_push(T&& value) noexcept {
    return push_one([&](std::byte* at) { return ::new (static_cast<void*>(at)) T(std::move(value)); },
                    [&](T& made) { put_back(value, made); });
  }
  // Where copying may throw, the copy is made first, whether or not there is room.
  [[nodiscard]] queue_result try_push(const T& value) noexcept(
      std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
    if constexpr (std::is_nothrow_copy_constructible_v<T>) {
      return try_emplace(value);
    } else {
      T copy(value);
      return try_emplace(std::move(copy));
    }
  }
  // Makes the item in its slot.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  [[nodiscard]] queue_result try_emplace(Args&&... args) noexcept {
    static_assert(
        std::is_nothrow_constructible_v<T, Args...>,
        "mpmc_lockfree_queue: this constructor may throw, which would cost a slot: make the item, try_push it");
    return push_one([&](std::byte* at) { return ::new (static_cast<void*>(at)) T(std::forward<Args>(args)...); },
                    [](T&) {});
  }
  // Moves in as many as fit, from the front; returns how many.
  [[nodiscard]] std::size_t try_push(std::span<T> values) noexcept {
    std::size_t done = 0;
    while (done < values.size() && try_push(std::move(values[done]))) ++done;
    return done;
  }
  // The same with copies.
  [[nodiscard]] std::size_t try_push(
      std::span<const T> values) noexcept requires std::is_nothrow_copy_constructible_v<T> {
    std::size_t done = 0;
    while (done < values.size() && try_emplace(values[done])) ++done;
    return done;
  }

  // Nothing is pushed from now on.
  void close() noexcept { filled_.close(); }

  // ---- consumers

  [[nodiscard]] queue_result try_pop(T& out) noexcept requires std::is_nothrow_move_assignable_v<T> {
    return pop_one([&](T&& one) { out = std::move(one); });
  }
  // For a T that cannot be assigned to, or whose assignment may throw.
  [[nodiscard]] std::optional<T> try_pop() noexcept {
    std::optional<T> out;
    static_cast<void>(pop_one([&](T&& one) { out.emplace(std::move(one)); }));
    return out;
  }
  // Moves out as many as there are and as the span takes; returns how many.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept requires std::is_nothrow_move_assignable_v<T> {
    std::size_t done = 0;
    while (done < out.size() && try_pop(out[done])) ++done;
    return done;
  }
  // Calls fn(T&&) for each item that was in the queue at the call and that this thread gets; returns how many. An item is
  // out of the queue before fn sees it; one for which fn throws is gone.
  template <class Function>
    requires std::invocable<Function&, T&&> std::size_t consume_all(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, T&&>) {
    const std::size_t most = size_approx();
    std::size_t count = 0;
    for (; count < most; ++count) {
      std::optional<T> one = try_pop();
      if (!one) break;
      fn(std::move(*one));
    }
    return count;
  }

  // ---- anyone

  [[nodiscard]] bool closed() const noexcept { return filled_.closed(); }
  // A recent number of items, never lower than those that were there all the time.
  [[nodiscard]] std::size_t size_approx() const noexcept { return filled_.size_approx(); }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }

 private:
  std::byte* place(std::uint64_t slot) noexcept { return storage_ + slot * sizeof(T); }
  T* item(std::uint64_t slot) noexcept { return std::launder(reinterpret_cast<T*>(place(slot))); }

  // The caller's value as it was, when it had been moved into a slot and the queue was closed meanwhile.
  static void put_back(T& value, T& made) noexcept {
    if constexpr (std::is_nothrow_move_assignable_v<T>) {
      value = std::move(made);
    } else {
      std::destroy_at(&value);
      ::new (static_cast<void*>(&value)) T(std::move(made));
    }
  }

  template <class Make, class Undo>
  queue_result push_one(Make make, Undo undo) noexcept {
    if (filled_.closed()) return queue_op_status::closed;
    const std::uint64_t slot = free_.take();
    if (slot == ring::none) return queue_op_status::full;
    T* const made = make(place(slot));
    if (filled_.put(slot)) [[likely]]
      return queue_op_status::success;
    undo(*made);
    std::destroy_at(made);
    give_back(slot);
    return queue_op_status::closed;
  }
  template <class Use>
  queue_result pop_one(Use use) noexcept {
    std::uint64_t slot = filled_.take();
    if (slot == ring::none) {
      if (!filled_.closed()) return queue_op_status::empty;
      slot = filled_.take_last();
      if (slot == ring::none) return queue_op_status::closed;
    }
    T* const one = item(slot);
    use(std::move(*one));
    std::destroy_at(one);
    give_back(slot);
    return queue_op_status::success;
  }
  void give_back(std::uint64_t slot) noexcept {
    const bool taken = free_.put(slot);
    HOLDFAST_ASSERT(taken);  // nobody closes the free ones
    static_cast<void>(taken);
  }

  ring free_;    // slots without an item; one that is in neither ring is its thread's own
  ring filled_;  // slots with an item, in their order
  alignas(std::max(2 * cache_line_size, alignof(T))) std::byte storage_[Capacity * sizeof(T)];
};

}  // namespace holdfast
