// SPDX-License-Identifier: MIT
// event_ring: any thread publishes events, and one thread takes them out, numbered without a gap but for those that were dropped.
//
//   operation     caller           progress    cost                      allocates   when refused
//   publish       any thread       lock-free   a push of 48 bytes        never       false: full; the event is dropped and counted
//   drain(fn)     one at a time    lock-free   a pop each, and fn        never       0; takes at most what was there at the call
//   dropped       any thread       wait-free   one load                  never       -
//   size_approx   any thread       wait-free   O(1)                      never       -
//   capacity      any thread       wait-free   O(1)                      never       -
//
// In short: any thread publishes, one at a time drains | lock-free | never | `false`: dropped, counted, and a gap in the numbers
//
//   V1 Every event that was published is handed to one drain, once. Every one that was dropped is counted.
//   V2 `seq` begins with 1 and only grows; events that are dropped have numbers, too. What is missing between two of them was
//      dropped between their pushes, or beside them: an event that a thread publishes after a drop that it knows of (its own,
//      say) has a gap before it. What was dropped since the last event shows with the next one, and in dropped() at once.
//   V3 Events that one thread published, or that came one after the other in any way that a program can know of, come out in
//      that order.
//   V4 A thread that stops or dies inside publish() holds up nobody. It takes one place of the ring with it, at most, and what
//      it was about to publish.
//   V5 No code of the program runs inside publish(): who publishes under a lock of his own cannot meet a handler there.
//
// The newest is dropped when the ring is full, so that a burst cannot push out what it was about: its beginning.
//
// What is not promised is that a state and its event change together: whoever moved an object publishes after that, and of two
// threads that moved it one after the other the second may publish first. Each thread is late with one event at most, but it
// may be late for as long as it is not run. So a handler goes by event::generation: what is not newer than the newest that it has
// seen of an object is history (is_newer). After a gap it asks the object itself, because what was dropped may have been the
// newest.
//
// When to use it: to hear of transitions and other rare things outside of the threads that they happen to. Who handles events
// calls drain() from time to time in a thread of its own; telemetry/event_listeners.hpp lets several parts of a program be told.
// Not where every event must arrive (a queue, whose full is waited for), not for many a microsecond (counters).
//
// Memory: an mpmc_lockfree_queue of Capacity events, inside the object, and two lines. It has an address that others know.
//
// Method: the numbers are given when the events come out. An event carries through the ring how many had been dropped when it was
// pushed; its number is how many came out before it, and the most that any of these carried. So a publisher shares no counter
// with others but the ring's own, and no number can be taken and then lost.
//
// Proof: model/event_ring_model.cpp (every execution of small cases, deaths), unit/event_ring_test.cpp,
// stress/event_ring_stress.cpp, alloc/hot_path_test.cpp, bench/event_ring_bench.cpp.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/telemetry/event.hpp"

namespace holdfast {

// Threads: as in mpmc_lockfree_queue; as many as Capacity cost nothing.
template <std::size_t Capacity = 1024, std::size_t Threads = std::max<std::size_t>(Capacity, 64)>
class event_ring {
 public:
  event_ring() noexcept = default;
  event_ring(const event_ring&) = delete;
  event_ring& operator=(const event_ring&) = delete;

  bool publish(event what) noexcept {
    what.seq = dropped_.load(mo::relaxed);  // counter: what this thread knows of is in it
    if (queue_.try_push(what)) [[likely]]
      return true;
    dropped_.fetch_add(1, mo::relaxed);  // counter:
    return false;
  }

  // Calls fn(const event&) for each; returns how many. fn may publish, but not drain.
  template <class Function>
    requires std::invocable<Function&, const event&> std::size_t drain(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, const event&>) {
    return queue_.consume_all([&](event&& one) noexcept(std::is_nothrow_invocable_v<Function&, const event&>) {
      missed_ = std::max(missed_, one.seq);
      one.seq = ++taken_ + missed_;
      fn(static_cast<const event&>(one));
    });
  }

  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(mo::relaxed); }  // counter:
  [[nodiscard]] std::size_t size_approx() const noexcept { return queue_.size_approx(); }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }

 private:
  mpmc_lockfree_queue<event, Capacity, Threads> queue_;
  alignas(2 * cache_line_size) atomic<std::uint64_t> dropped_{0};  // written by publishers that find the ring full
  alignas(2 * cache_line_size) std::uint64_t taken_ = 0;           // written by who drains
  std::uint64_t missed_ = 0;                                       // written by who drains
};

}  // namespace holdfast
