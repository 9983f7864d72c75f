// SPDX-License-Identifier: MIT
// timer_places: where the timers of a timer_lanes lie, which of them are free, and whose each one is.
//
//   operation     caller            progress    cost      allocates   note
//   join, leave   any thread        lock-free   O(lanes)  never       a lane for a thread; null: all are taken
//   take_from     a lane's own      wait-free   O(1)      never       a free place of that lane; none: there is none
//   take_shared   any thread        lock-free   O(1)      never       a free one of those that no lane has
//   give_back     whose it is       lock-free   O(1)      never       its own lane's thread: wait-free
//   each          see timer_lanes   wait-free   O(n)      never       all places that were ever used
//
// In short: any thread | lock-free | never | none: no place is free
//
// A lane's places are a list of its thread's alone; what another thread gives back comes by a stack that the lane's thread takes as
// a whole, so that nothing that was taken can come back meanwhile. The shared places are a stack from which single ones are taken:
// beside its first place stands a number that each taking changes (2^35 of them come before the same one does).
//
// Proof: that of timer_lanes, unit/timer_lanes_test.cpp.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <span>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/timer_options.hpp"
#include "holdfast/exec/timer_word.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/wheel_chunks.hpp"

namespace holdfast {

template <class T>
struct timer_node {
  atomic<std::uint64_t> word{timer_word::first().bits()};
  atomic<std::int64_t> when{0};           // whose the place is
  std::uint32_t at = wheel_chunks::none;  // the wheel's thread
  atomic<std::uint32_t> next{
      wheel_chunks::none};  // of free ones; of one of a lane that another thread moved: of the notes
  plain<T> what{};          // whose the place is

  [[nodiscard]] time_point due() const noexcept {
    return time_point(duration(when.load(mo::relaxed)));  // own: the word says which one it is
  }
};

// Counted by one thread.
class own_counter {
 public:
  void add() noexcept { count_.store(read() + 1, mo::relaxed); }  // counter: nobody else writes it
  [[nodiscard]] std::uint64_t read() const noexcept {
    return count_.load(mo::relaxed);  // counter: alone
  }

 private:
  atomic<std::uint64_t> count_{0};
};

struct alignas(2 * cache_line_size) timer_home {
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  timer_home(std::uint32_t first, std::uint32_t count, std::pmr::memory_resource* memory) noexcept
      : begin(first), notes(std::bit_ceil(count), memory) {}

  const std::uint32_t begin;
  plain<std::uint32_t> free{wheel_chunks::none};  // its thread: those that it knows of
  atomic<std::uint32_t> used{0};                  // its thread: those behind were never used
  own_counter scheduled;                          // its thread, and the two below
  own_counter cancelled;
  own_counter refused;
  atomic<std::uint32_t> taken{0};  // who joins and leaves
  alignas(2 *
          cache_line_size) atomic<std::uint32_t> returned{wheel_chunks::none};  // any thread; its own takes them all
  alignas(2 * cache_line_size) atomic<std::int64_t> earliest{never};  // who notes; the wheel's thread sets it back
  bool left = false;                                                  // the wheel's thread: there are notes to be read
  spsc_queue<std::uint32_t> notes;                                    // from its thread to the wheel's
};

template <class T>
class timer_places {
 public:
  using node = timer_node<T>;
  static constexpr std::uint32_t none = wheel_chunks::none;

  timer_places(const timer_lanes_options& options, std::pmr::memory_resource* memory) noexcept
      : memory_(memory),
        lanes_(options.lanes),
        a_lane_(options.timers_a_lane),
        shared_begin_(options.lanes * options.timers_a_lane),
        end_(shared_begin_ + options.shared_timers),
        block_(allocated(options)),
        homes_(reinterpret_cast<timer_home*>(block_)),
        nodes_(reinterpret_cast<node*>(wheel_memory() + wheel_chunks::bytes_for(end_))),
        links_(reinterpret_cast<atomic<std::uint32_t>*>(nodes_ + end_)) {
    for (std::uint32_t i = 0; i < lanes_; ++i) new (homes_ + i) timer_home(i * a_lane_, a_lane_, memory);
    for (std::uint32_t i = shared_begin_; i < end_; ++i) {
      new (nodes_ + i) node;
      new (links_ + (i - shared_begin_)) atomic<std::uint32_t>;
      nodes_[i].next.store(i + 1 < end_ ? i + 1 : none, mo::relaxed);  // init: nobody knows it yet
    }
    shared_.store(shared_begin_, mo::relaxed);  // init: as above
  }
  timer_places(const timer_places&) = delete;
  timer_places& operator=(const timer_places&) = delete;
  ~timer_places() {
    if constexpr (!atomics_end_by_themselves) {
      each([](node& one) { one.~node(); });
      for (std::uint32_t i = shared_begin_; i < end_; ++i) links_[i - shared_begin_].~atomic();
    }
    for (std::uint32_t i = 0; i < lanes_; ++i) homes_[i].~timer_home();
    memory_->deallocate(block_, bytes(), alignof(timer_home));
  }

  [[nodiscard]] std::uint32_t count() const noexcept { return end_; }
  [[nodiscard]] node* nodes() noexcept { return nodes_; }
  [[nodiscard]] node& operator[](std::uint32_t index) noexcept { return nodes_[index]; }
  [[nodiscard]] std::span<timer_home> homes() noexcept { return {homes_, lanes_}; }
  [[nodiscard]] std::span<const timer_home> homes() const noexcept { return {homes_, lanes_}; }
  // Of wheel_chunks::bytes_for(count()).
  [[nodiscard]] std::byte* wheel_memory() noexcept { return block_ + lanes_ * sizeof(timer_home); }

  [[nodiscard]] bool is_of(const timer_home* lane, std::uint32_t index) const noexcept {
    return lane != nullptr && index - lane->begin < a_lane_;
  }
  // Of one that is a lane's.
  [[nodiscard]] timer_home& home_of(std::uint32_t index) noexcept { return homes_[index / a_lane_]; }
  [[nodiscard]] bool is_shared(std::uint32_t index) const noexcept { return index >= shared_begin_; }
  // In the list of notes. A shared place may be free and in that list at the same time; one of a lane is not.
  [[nodiscard]] atomic<std::uint32_t>& note_link(std::uint32_t index) noexcept {
    return is_shared(index) ? links_[index - shared_begin_] : nodes_[index].next;
  }

  [[nodiscard]] timer_home* join() noexcept {
    for (timer_home& one : homes()) {
      if (one.taken.load(mo::relaxed) != 0) continue;  // hint: the exchange decides
      // [TP1] acquire, pairs with [TP2]: what the last one to have it left
      if (one.taken.exchange(1, mo::acquire) == 0) return &one;
    }
    return nullptr;
  }
  static void leave(timer_home& mine) noexcept {
    mine.taken.store(0, mo::release);  // [TP2] release, pairs with [TP1]: its free places and its counts
  }

  [[nodiscard]] std::uint32_t take_from(timer_home& mine) noexcept {
    std::uint32_t first = mine.free.get();
    if (first == none && mine.returned.load(mo::relaxed) != none) {  // hint: the exchange reads it in order
      // [TP3] acquire, pairs with [TP4]: the links, and that whoever had the place is done with it
      first = mine.returned.exchange(none, mo::acquire);
    }
    if (first != none) {
      mine.free.set(nodes_[first].next.load(mo::relaxed));  // own: of who has the place
      return first;
    }
    const std::uint32_t used = mine.used.load(mo::relaxed);  // own: as said
    if (used == a_lane_) return none;
    new (nodes_ + mine.begin + used) node;
    mine.used.store(used + 1, mo::release);  // [TP5] release, pairs with [TP6]: it has been made
    return mine.begin + used;
  }
  [[nodiscard]] std::uint32_t take_shared() noexcept {
    for (;;) {
      // [TP7] acquire, pairs with [TP8]: the link, and that whoever had the place is done with it
      std::uint64_t head = shared_.load(mo::acquire);
      const auto index = static_cast<std::uint32_t>(head & place_mask);
      if (index == place_mask) return none;
      const std::uint32_t next = nodes_[index].next.load(mo::relaxed);  // own: if the exchange finds the head as it was
      const std::uint64_t rest = (head | place_mask) + 1 + (next & place_mask);
      if (shared_.compare_exchange_weak(head, rest, mo::relaxed, mo::relaxed)) return index;  // own: [TP7] has shown it
    }
  }
  // `word` is what was in it before it became free, `mine` the lane of the thread that calls, if it has one.
  void give_back(std::uint32_t index, timer_word word, timer_home* mine) noexcept {
    node& one = nodes_[index];
    if (is_of(mine, index) && !word.has(timer_word::in_list)) {
      one.next.store(mine->free.get(), mo::relaxed);  // own: as said
      mine->free.set(index);
    } else if (is_shared(index)) {
      std::uint64_t head = shared_.load(mo::relaxed);  // own: the exchange below checks it
      do {
        one.next.store(static_cast<std::uint32_t>(head & place_mask), mo::relaxed);  // own: shown by the exchange
        // [TP8] release, pairs with [TP7]: the link, and what went before. On failure relaxed, own: tried again
      } while (!shared_.compare_exchange_weak(head, (head & ~place_mask) | index, mo::release, mo::relaxed));
    } else if (!word.has(timer_word::in_list)) {  // else its link is in use: who reads that note gives it back
      timer_home& home = home_of(index);
      std::uint32_t head = home.returned.load(mo::relaxed);  // own: the exchange below checks it
      do {
        one.next.store(head, mo::relaxed);  // own: shown by the exchange
        // [TP4] release, pairs with [TP3]: the link, and what went before. On failure relaxed, own: tried again
      } while (!home.returned.compare_exchange_weak(head, index, mo::release, mo::relaxed));
    }
  }

  template <class F>
  void each(F&& f) noexcept {
    for (const timer_home& lane : homes()) {
      const std::uint32_t used = lane.used.load(mo::acquire);  // [TP6] acquire, pairs with [TP5]: they have been made
      for (std::uint32_t n = 0; n < used; ++n) f(nodes_[lane.begin + n]);
    }
    for (std::uint32_t i = shared_begin_; i < end_; ++i) f(nodes_[i]);
  }

 private:
  static constexpr std::uint64_t place_mask = (std::uint64_t{1} << 29U) - 1;

  [[nodiscard]] std::size_t bytes() const noexcept {
    return lanes_ * sizeof(timer_home) + wheel_chunks::bytes_for(end_) + end_ * sizeof(node) +
           (end_ - shared_begin_) * sizeof(atomic<std::uint32_t>);
  }
  [[nodiscard]] std::byte* allocated(const timer_lanes_options& options) noexcept {
    HOLDFAST_ASSERT(!validate(options));
    return static_cast<std::byte*>(memory_->allocate(bytes(), alignof(timer_home)));
  }

  std::pmr::memory_resource* const memory_;
  const std::uint32_t lanes_;
  const std::uint32_t a_lane_;
  const std::uint32_t shared_begin_;  // the first place that no lane has
  const std::uint32_t end_;
  std::byte* const block_;  // homes, the wheel's memory, nodes, links
  timer_home* const homes_;
  node* const nodes_;
  atomic<std::uint32_t>* const links_;                            // of the shared places
  alignas(2 * cache_line_size) atomic<std::uint64_t> shared_{0};  // a number, and the first free one
};

}  // namespace holdfast
