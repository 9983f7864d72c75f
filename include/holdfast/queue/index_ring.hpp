// SPDX-License-Identifier: MIT
// index_ring: a lock-free FIFO of the numbers 0 .. Count - 1, each of which is in it at most once.
//
//   operation     caller   progress    cost                       allocates   when refused
//   put(i)        anyone   lock-free   O(1), more if contended    never       false: closed. Never full: there is room for all
//   take          anyone   lock-free   O(1), at most O(Count)     never       none: it was empty at some moment of the call
//   take_last     anyone   lock-free   what is left               never       none: closed for good, nothing will come
//   close         anyone   wait-free   O(1)                       never       -
//   closed        anyone   wait-free   O(1)                       never       -
//   size_approx   anyone   wait-free   O(1)                       never       -
//
// In short: any thread | lock-free | never | none: empty or closed. Never full
//
// When to use it: as the free list and as the order of slots that live elsewhere; mpmc_lockfree_queue is two of them.
// Whoever has taken a number owns its slot until he puts it back; one who dies in between takes it with him, and holds up
// nobody. Not as a queue of values.
//
// Memory: 2 Count words, and six lines.
//
// Method: SCQ (Nikolaev, "A Scalable, Portable, and Memory-Efficient Lock-Free FIFO Queue", DISC 2019), from the paper. A
// ticket is one fetch_add; an entry holds the cycle of its last use, a number or none, and whether it is safe to use for
// a put whose take may have gone by already. A take that comes to an entry too early raises its cycle, so that the late
// put goes on to another ticket: nobody waits for anybody. `left_` bounds how many entries the takes of an empty ring look
// at: a number is at most 3 Count - 1 tickets ahead of the head when it is put, with no more threads than numbers as in the
// paper; each thread beyond that may still have a look to count that it had before. close() is a bit beside the tail's
// ticket: a put that gets a ticket with it gives up, and the tickets before it come to an end.
//
// Proof: model/mpmc_lockfree_queue_model.cpp, unit/mpmc_lockfree_queue_test.cpp, stress/mpmc_lockfree_queue_stress.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

// At most `Threads` of them inside at the same time.
template <std::size_t Count, std::size_t Threads = 64>
class index_ring {
  static_assert(std::has_single_bit(Count), "index_ring: Count is a power of two, so that an entry is found by a mask");
  static_assert(Count <= std::size_t{1} << 30U, "index_ring: a number and its cycle share a word");

  static constexpr std::size_t spacing = 2 * cache_line_size;
  static constexpr std::uint64_t entries = 2 * Count;

 public:
  enum class holds : std::uint8_t { none, all };
  static constexpr std::uint64_t none = entries - 1;

  // Empty, or with all numbers in their order. The tickets start at about `first`, for tests of large ones.
  explicit index_ring(holds what, std::uint64_t first = 0) noexcept {
    const std::uint64_t begin = ((first & (closed_bit / 2 - 1)) / entries + 1) * entries;
    const std::uint64_t count = what == holds::all ? Count : 0;
    head_.store(begin, mo::relaxed);                                       // init: nobody else knows the ring yet
    tail_.store(begin + count, mo::relaxed);                               // init: as above
    left_.store(count == 0 ? std::int64_t{-1} : most_looks, mo::relaxed);  // init: as above
    for (std::uint64_t i = 0; i < entries; ++i) {
      const std::uint64_t word = i < count ? cycle_of(begin) | safe | i : cycle_of(begin - entries) | safe | none;
      entries_[i].store(word, mo::relaxed);  // init: as above
    }
  }
  index_ring(const index_ring&) = delete;
  index_ring& operator=(const index_ring&) = delete;

  // The caller owns `number`, and owns it no more. False: the ring is closed, and he still does.
  [[nodiscard]] bool put(std::uint64_t number) noexcept {
    for (;;) {
      // [X1] acquire, pairs with [X11]: whoever is refused sees what went before the end
      const std::uint64_t ticket = tail_.fetch_add(1, mo::acquire);
      if ((ticket & closed_bit) != 0) {
        // counter: given back, so that the size is that of what is there. Whatever takes did to the tail meanwhile, it stays
        // behind the last ticket before the end
        tail_.fetch_sub(1, mo::relaxed);
        return false;
      }
      atomic<std::uint64_t>& entry = entry_of(ticket);
      // [X3] acquire, pairs with [X4]: whoever made it unsafe had moved the head before
      std::uint64_t seen = entry.load(mo::acquire);
      while (is_before(seen, ticket) && (seen & none) == none && ((seen & safe) != 0 || head_at_most(ticket))) {
        // [X5] seq_cst, pairs with [X6] and [X7]: the number, with what its owner did to its slot; and in one order with
        // the countdown: a put that finds `left_` whole comes before every count that it has not seen, so that as many
        // looks are left as its number can be far. On failure [X5f] acquire, pairs with [X4]: as [X3]
        if (entry.compare_exchange_weak(seen, cycle_of(ticket) | safe | number, mo::seq_cst, mo::acquire)) {
          refill();
          return true;
        }
      }
    }
  }

  // The oldest number, which the caller then owns, or none.
  [[nodiscard]] std::uint64_t take() noexcept {
    if (left_.load(mo::relaxed) < 0) return none;  // counter: a put that this thread knows of has filled it up
    for (;;) {
      bool at_end = false;
      const std::uint64_t number = take_next(at_end);
      if (number != none) return number;
      // [X8] seq_cst, pairs with [X9] and [X10]: in one order with the puts, see [X5]
      const std::int64_t left = left_.fetch_sub(1, mo::seq_cst);
      if (at_end || left <= 0) return none;
    }
  }
  // Of a closed ring: the oldest number, or none if there is none and none will come.
  [[nodiscard]] std::uint64_t take_last() noexcept {
    for (;;) {
      bool at_end = false;
      const std::uint64_t number = take_next(at_end);
      if (number != none || at_end) return number;
    }
  }

  void close() noexcept {
    tail_.fetch_or(closed_bit, mo::release);  // [X11] release, pairs with [X12] and [X1]: what went before the end
  }
  [[nodiscard]] bool closed() const noexcept {
    return (tail_.load(mo::acquire) & closed_bit) != 0;  // [X12] acquire, pairs with [X11]: as there
  }

  [[nodiscard]] std::size_t size_approx() const noexcept {
    // hint: a count for an observer
    const std::uint64_t tail = tail_.load(mo::relaxed) & ~closed_bit;
    const std::uint64_t head = head_.load(mo::relaxed);  // hint: as above
    return static_cast<std::size_t>(std::clamp<std::int64_t>(distance(head, tail), 0, Count));
  }

 private:
  static constexpr std::uint64_t safe = entries;                        // the bit above the number
  static constexpr std::uint64_t closed_bit = std::uint64_t{1} << 63U;  // of the tail; so tickets last for 2^63 puts
  static constexpr std::int64_t most_looks =
      static_cast<std::int64_t>(3 * Count - 1 + (Threads > Count ? Threads - Count : 0));

  // An entry: the ticket's lap, shifted so that the safe bit and the number have room below it.
  static constexpr std::uint64_t cycle_of(std::uint64_t ticket) noexcept { return (ticket & ~(entries - 1)) << 1U; }
  static constexpr std::uint64_t cycle_in(std::uint64_t entry) noexcept { return entry & ~(2 * entries - 1); }
  static constexpr bool is_before(std::uint64_t entry, std::uint64_t ticket) noexcept {
    return static_cast<std::int64_t>(cycle_in(entry) - cycle_of(ticket)) < 0;
  }
  static constexpr std::int64_t distance(std::uint64_t from, std::uint64_t to) noexcept {
    return static_cast<std::int64_t>(to - from);
  }
  atomic<std::uint64_t>& entry_of(std::uint64_t ticket) noexcept { return entries_[ticket & (entries - 1)]; }
  bool head_at_most(std::uint64_t ticket) const noexcept {
    return distance(head_.load(mo::relaxed), ticket) >= 0;  // counter: as far as [X3] knows, or further
  }
  void refill() noexcept {
    // [X9] seq_cst, pairs with [X8]: see [X5]
    if (left_.load(mo::seq_cst) != most_looks) {
      left_.store(most_looks, mo::seq_cst);  // [X10] seq_cst, pairs with [X8]: see [X5]
    }
  }

  // Looks at the next ticket's entry: its number; or none, and whether the tail is no further.
  std::uint64_t take_next(bool& at_end) noexcept {
    const std::uint64_t ticket = head_.fetch_add(1, mo::relaxed);  // counter: a ticket of its own
    atomic<std::uint64_t>& entry = entry_of(ticket);
    // [X6] acquire, pairs with [X5]: what the number's last owner did to its slot
    std::uint64_t seen = entry.load(mo::acquire);
    for (;;) {
      if (cycle_in(seen) == cycle_of(ticket)) {
        entry.fetch_or(none, mo::relaxed);  // own: this ticket's alone; the entry is free for a put of the next lap
        return seen & none;
      }
      if (!is_before(seen, ticket)) break;
      // Too early, or an older number is still in it: a put with this ticket shall not use it any more.
      const std::uint64_t passed = (seen & none) == none ? cycle_of(ticket) | (seen & safe) | none : seen & ~safe;
      // [X4] release, pairs with [X3] and [X5f]: the head had been moved. On failure [X7] acquire, pairs with [X5]: as [X6]
      if (entry.compare_exchange_weak(seen, passed, mo::release, mo::acquire)) break;
    }
    const std::uint64_t tail = tail_.load(mo::relaxed);  // counter: puts that this thread knows of are in it
    at_end = distance(ticket + 1, tail & ~closed_bit) <= 0;
    if (at_end) catch_up(tail, ticket + 1);
    return none;
  }

  // Puts need not try the tickets that takes have passed.
  void catch_up(std::uint64_t tail, std::uint64_t head) noexcept {
    while (distance(tail & ~closed_bit, head) > 0) {
      // counter: the entries of the tickets that are left out carry what a later put must know
      if (tail_.compare_exchange_weak(tail, head | (tail & closed_bit), mo::relaxed, mo::relaxed)) break;
      head = head_.load(mo::relaxed);  // counter: how far it is by now
    }
  }

  alignas(spacing) atomic<std::uint64_t> head_;  // by takes
  alignas(spacing) atomic<std::uint64_t> tail_;  // by puts, and by takes of an empty ring
  alignas(spacing) atomic<std::int64_t> left_;   // how many more entries takes may look at in vain
  alignas(spacing) atomic<std::uint64_t> entries_[entries];
};

}  // namespace holdfast
