// SPDX-License-Identifier: MIT
// spsc_queue: a bounded FIFO that hands values from one thread to one other.
//
//   operation          caller     progress    cost   allocates   when refused
//   try_push           producer   wait-free   O(1)   never       false, the value is still the caller's
//   try_emplace        producer   wait-free   O(1)   never       false, the arguments are untouched
//   try_push(span)     producer   wait-free   O(n)   never       count < n, the rest is still the caller's
//   try_pop(out)       consumer   wait-free   O(1)   never       false, `out` is as it was
//   try_pop()          consumer   wait-free   O(1)   never       an empty optional
//   try_pop(span)      consumer   wait-free   O(n)   never       count < n, the rest of the span is as it was
//   consume_all(fn)    consumer   wait-free   O(n)   never       0; takes what was there when it was called, not more
//   size_approx        anyone     wait-free   O(1)   never       -
//   capacity           anyone     wait-free   O(1)   never       -
//
// (Wait-free and O(n) as far as T's own constructors and `fn` are.) A push is refused only if at least capacity() items
// are in the queue; a pop is refused only if the queue was empty. Neither is ever refused by chance. Both are meant as far
// as the caller can know: what the other side was in the middle of, or has done without anything telling this thread of
// it, may not count yet. So a producer that pushes and then is refused, and a consumer that pops and then is refused, may
// both be right at the same time; who wants to go to sleep on a refusal puts a seq_cst fence before a last look. The queue
// may hold up to max_size() items: the consumer tells of freed slots in groups, so the producer may count a few slots twice.
//
// Exceptions: if T's constructor or assignment throws, the queue is as it was before the call (a batch: as it was after
// the items that went before); for try_pop that means that the item is still the oldest, in the state in which T's
// assignment left it. If `fn` throws in consume_all, its item is gone: nothing is handed out twice.
// T: any object type with a destructor that does not throw; move-only, without default constructor, over-aligned. What
// is still in the queue when it is destroyed is destroyed with it; by then both threads have stopped using it.
//
// When to use it: one thread on each side, known at build time. Not for several producers (a fan-in of one spsc_queue a
// producer, or an mpmc_queue), not for records of variable length (record_ring), not between processes, and not where
// the number of waiting items has no limit (moodycamel::ReaderWriterQueue grows).
//
// Memory: the slots are inside the object: slot_count() * sizeof(T), plus eight lines for the positions. Up to 8
// items slot_count() is Capacity; above it is twice that, the price of the lazy position below. It does not go on the
// stack of a small thread; it has an address that others know, so it is neither copied nor moved.
//
// Method: a ring with 64-bit positions that never wrap in practice (and would wrap correctly). Each side caches the
// other's position and looks at the other's line only when the cache says full or empty (Lee, Bu, Chandranmenon,
// "MCRingBuffer", IPDPS 2010; in many queues since). The private line, the published position of each side and the
// slots are two lines apart, for processors that fetch lines in pairs. Steps beyond that, each kept because
// bench/spsc_queue_bench.cpp shows it:
//   - the consumer publishes its position once in publish_every() items and whenever it finds the queue empty, so the
//     line that the producer waits on changes hands seldom; slot_count() >= capacity() + publish_every() - 1
//     keeps the promised capacity although the producer's view is behind by that much;
//   - each side asks for the lines ahead of it (the producer for the right to write them, which the consumer holds
//     since it read them), so several are on their way at the same time. This is what counts where the two cores are
//     far apart;
//   - in a stream the consumer leaves the pair of lines that the producer is filling alone as long as there are others.
// A queue that is nearly always empty (a fast consumer that asks again at once) runs at the pace of lines changing
// hands, not at the pace of a stream; a consumer that pauses after a refusal avoids that.
//
// Proof: model/spsc_queue_model.cpp (every execution of small cases: order, refusals, the wrap, deaths),
// unit/spsc_queue_test.cpp (each line above by name), stress/spsc_queue_stress.cpp (order and count between threads,
// under ThreadSanitizer), linearizability/queue_windows.cpp (every answer, refusals above all),
// bench/spsc_queue_bench.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/prefetch.hpp"
#include "holdfast/queue/bounded_queue.hpp"

namespace holdfast {

template <class T, std::size_t Capacity>
class spsc_queue {
  static_assert(std::has_single_bit(Capacity),
                "spsc_queue: Capacity is a power of two, so that a slot is found by a mask");
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>, "spsc_queue: T is an object type");
  static_assert(std::is_nothrow_destructible_v<T>, "spsc_queue: T's destructor must not throw");

  // How many items the consumer takes before it tells the producer.
  static constexpr std::size_t group = Capacity < 16 ? 1 : Capacity / 8;
  static constexpr std::size_t slots = std::bit_ceil(Capacity + group - 1);
  static constexpr std::size_t spacing = 2 * cache_line_size;

 public:
  using value_type = T;
  static constexpr callers producers = callers::one;
  static constexpr callers consumers = callers::one;

  spsc_queue() noexcept : spsc_queue(0) {}
  // Starts the positions at `first`, so that a test can stand just before they wrap. Of no use otherwise.
  explicit spsc_queue(std::uint64_t first) noexcept
      : producer_{first + max_size()}, push_pos_(first), pop_pos_(first), consumer_{first, first} {}
  spsc_queue(const spsc_queue&) = delete;
  spsc_queue& operator=(const spsc_queue&) = delete;
  ~spsc_queue() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      // own: both threads have stopped, and whoever destroys has seen them stop
      const std::uint64_t end = push_pos_.load(mo::relaxed);
      for (std::uint64_t at = consumer_.pos; at != end; ++at) std::destroy_at(item(at));
    }
  }

  // ---- the producer's side

  [[nodiscard]] bool try_push(T&& value) noexcept(
      std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
    return try_emplace(std::move(value));
  }
  [[nodiscard]] bool try_push(const T& value) noexcept(
      std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
    return try_emplace(value);
  }

  // Makes the item in its slot.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  [[nodiscard]] bool try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>) {
    // own: only the producer writes it
    const std::uint64_t pos = push_pos_.load(mo::relaxed);
    if (pos == producer_.end) [[unlikely]] {
      if (see_free(pos) == 0) return false;
    }
    if constexpr (deep) {
      if (begins_line(pos)) prefetch_for_write(place(pos + write_ahead), sizeof(T));
    }
    ::new (static_cast<void*>(place(pos))) T(std::forward<Args>(args)...);  // if it throws, nothing is published
    publish_pushed(pos + 1);
    return true;
  }

  // Moves in as many as fit, from the front; returns how many. Less than all means that the queue is full.
  [[nodiscard]] std::size_t try_push(std::span<T> values) noexcept(
      std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
    return push_many(values.data(), values.size(), [](T& from) -> T&& { return std::move(from); });
  }
  // The same with copies.
  [[nodiscard]] std::size_t try_push(std::span<const T> values) noexcept(
      std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
    return push_many(values.data(), values.size(), [](const T& from) -> const T& { return from; });
  }

  // ---- the consumer's side

  [[nodiscard]] bool try_pop(T& out) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    const std::uint64_t pos = consumer_.pos;
    if (pos == consumer_.end) [[unlikely]] {
      const std::uint64_t filled = see_filled(pos);
      if (filled == pos) return false;
      consumer_.end = behind_producer(pos, filled);
    }
    if constexpr (deep && sizeof(T) < cache_line_size) {
      if (begins_line(pos) && consumer_.end - pos > read_ahead) prefetch_for_read(place(pos + read_ahead));
    }
    T* const from = item(pos);
    out = std::move(*from);  // if it throws, the item is still the oldest
    std::destroy_at(from);
    take_one(pos);
    return true;
  }

  // For a T that cannot be assigned to.
  [[nodiscard]] std::optional<T> try_pop() noexcept(
      std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
    const std::uint64_t pos = consumer_.pos;
    if (pos == consumer_.end) [[unlikely]] {
      const std::uint64_t filled = see_filled(pos);
      if (filled == pos) return std::nullopt;
      consumer_.end = behind_producer(pos, filled);
    }
    if constexpr (deep && sizeof(T) < cache_line_size) {
      if (begins_line(pos) && consumer_.end - pos > read_ahead) prefetch_for_read(place(pos + read_ahead));
    }
    T* const from = item(pos);
    std::optional<T> out(std::move(*from));  // if it throws, the item is still the oldest
    std::destroy_at(from);
    take_one(pos);
    return out;
  }

  // Moves out as many as there are and as the span takes; returns how many. Less than the span means that it is empty.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    std::size_t done = 0;
    while (done < out.size()) {
      std::uint64_t available = consumer_.end - consumer_.pos;
      if (available == 0) {
        consumer_.end = see_filled(consumer_.pos);
        available = consumer_.end - consumer_.pos;
        if (available == 0) break;
      }
      const std::size_t count = std::min<std::size_t>(out.size() - done, available);
      if constexpr (std::is_trivially_copyable_v<T>) {
        const auto [first, second] = runs(consumer_.pos, count);
        ask_for_next(consumer_.pos + count, count);
        std::memcpy(out.data() + done, item(consumer_.pos), first * sizeof(T));
        if (second != 0) std::memcpy(out.data() + done + first, item(consumer_.pos + first), second * sizeof(T));
        take_many(consumer_.pos, count);
      } else {
        taking guard{*this, consumer_.pos, 0};
        for (std::size_t i = 0; i < count; ++i) {
          T* const from = item(guard.first + i);
          out[done + i] = std::move(*from);
          std::destroy_at(from);
          ++guard.count;
        }
      }
      done += count;
    }
    return done;
  }

  // Calls fn(T&&) for each item that was in the queue at the call, oldest first; returns how many. The item lives in
  // its slot during the call and is destroyed after it.
  template <class Function>
    requires std::invocable<Function&, T&&> std::size_t consume_all(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, T&&>) {
    consumer_.end = see_filled(consumer_.pos);
    const std::size_t count = static_cast<std::size_t>(consumer_.end - consumer_.pos);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t pos = consumer_.pos;
      consuming guard{*this, pos};
      fn(std::move(*item(pos)));
    }
    return count;
  }

  // ---- anyone

  // A recent number of items: exact for the consumer after a refused pop, and otherwise too high by at most
  // publish_every() - 1 items that are already taken.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    // [Q5] acquire, pairs with [Q3]: what the consumer had taken was pushed before, so the difference is never negative
    const std::uint64_t popped = pop_pos_.load(mo::acquire);
    // hint: a count for an observer; no item is read through it
    const std::uint64_t pushed = push_pos_.load(mo::relaxed);
    return static_cast<std::size_t>(std::min<std::uint64_t>(pushed - popped, max_size()));
  }
  // So many always fit.
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }
  // More than this are never held.
  [[nodiscard]] static constexpr std::size_t max_size() noexcept { return Capacity + group - 1; }
  [[nodiscard]] static constexpr std::size_t publish_every() noexcept { return group; }
  [[nodiscard]] static constexpr std::size_t slot_count() noexcept { return slots; }

 private:
  static constexpr std::uint64_t mask = slots - 1;
  // Items that begin in one line, and how many lines ahead of the own position each side asks for them: found by
  // trying 2 to 24. Where the ring has few lines, asking ahead would only take away what the other side works on.
  static constexpr std::size_t line_items =
      sizeof(T) < cache_line_size ? cache_line_size / std::bit_ceil(sizeof(T)) : 1;
  static constexpr bool deep = slots * sizeof(T) >= 64 * cache_line_size;
  static constexpr std::size_t write_ahead = sizeof(T) < cache_line_size ? 8 * line_items : 4;
  static constexpr std::size_t batch_write_ahead = 8 * line_items;
  static constexpr std::size_t read_ahead = 4 * line_items;

  static bool begins_line(std::uint64_t pos) noexcept { return (pos & (line_items - 1)) == 0; }
  std::byte* place(std::uint64_t pos) noexcept { return storage_ + (pos & mask) * sizeof(T); }
  T* item(std::uint64_t pos) noexcept { return std::launder(reinterpret_cast<T*>(place(pos))); }
  // `count` slots from `pos` on are one run, or two where they go round the end of the storage.
  static std::pair<std::size_t, std::size_t> runs(std::uint64_t pos, std::size_t count) noexcept {
    const std::size_t first = std::min<std::size_t>(count, slots - static_cast<std::size_t>(pos & mask));
    return {first, count - first};
  }

  // Looks at the consumer's position; how many slots are free from `pos` on.
  std::uint64_t see_free(std::uint64_t pos) noexcept {
    // [Q4] acquire, pairs with [Q3]: the slot was read and its item destroyed before we make a new one in it
    producer_.end = pop_pos_.load(mo::acquire) + max_size();
    return producer_.end - pos;
  }
  void publish_pushed(std::uint64_t pos) noexcept {
    // [Q1] release, pairs with [Q2]: the items before `pos` are whole
    push_pos_.store(pos, mo::release);
  }
  // Looks at the producer's position: up to where the items are there. None: tells the producer all that we took.
  std::uint64_t see_filled(std::uint64_t pos) noexcept {
    // [Q2] acquire, pairs with [Q1]: the items before it are whole when we read them
    const std::uint64_t filled = push_pos_.load(mo::acquire);
    // own: only the consumer writes it
    if (filled == pos && pop_pos_.load(mo::relaxed) != pos) publish_popped(pos);
    return filled;
  }
  // While there is a stream, single pops stop at whole pairs of lines and leave the one that is being filled to the
  // producer. A pair that is not full is taken when there is nothing else, so no item waits for another one.
  static std::uint64_t behind_producer(std::uint64_t pos, std::uint64_t filled) noexcept {
    const std::uint64_t whole = filled & ~static_cast<std::uint64_t>(2 * line_items - 1);
    return whole - pos - 1 < slots ? whole : filled;  // beyond pos, whichever way the positions wrap
  }
  void publish_popped(std::uint64_t pos) noexcept {
    // [Q3] release, pairs with [Q4] and [Q5]: we are done with the slots before `pos`
    pop_pos_.store(pos, mo::release);
  }
  void take_one(std::uint64_t pos) noexcept {
    consumer_.pos = pos + 1;
    if (((pos + 1) & (group - 1)) == 0) publish_popped(pos + 1);
  }
  void take_many(std::uint64_t pos, std::size_t count) noexcept {
    const std::uint64_t next = pos + count;
    consumer_.pos = next;
    publish_popped(next);
  }

  // Publishes, when it goes out of scope by whatever way, the items that a batch push has made.
  struct pushing {
    spsc_queue& queue;
    std::uint64_t next;
    ~pushing() { queue.publish_pushed(next); }
  };
  // The same for the items that a batch pop has taken.
  struct taking {
    spsc_queue& queue;
    std::uint64_t first;
    std::size_t count;
    ~taking() { queue.take_many(first, count); }
  };
  // Ends the life of the item that a function has been given.
  struct consuming {
    spsc_queue& queue;
    std::uint64_t pos;
    ~consuming() {
      std::destroy_at(queue.item(pos));
      queue.take_one(pos);
    }
  };

  // One run of a batch, line by line, so that the lines to write are asked for at the pace at which they are filled.
  void copy_in(std::uint64_t pos, const T* from, std::size_t count) noexcept {
    if constexpr (deep) {
      for (; count >= line_items; count -= line_items) {
        prefetch_for_write(place(pos + batch_write_ahead));
        std::memcpy(place(pos), from, line_items * sizeof(T));
        pos += line_items;
        from += line_items;
      }
    }
    if (count != 0) std::memcpy(place(pos), from, count * sizeof(T));
  }
  // Asks for the items of the next batch, as far as they are there.
  void ask_for_next(std::uint64_t pos, std::size_t count) noexcept {
    if constexpr (deep) {
      const std::uint64_t there = std::min<std::uint64_t>(count, consumer_.end - pos);
      for (std::uint64_t at = 0; at < there; at += line_items) prefetch_for_read(place(pos + at));
    }
  }

  template <class From, class Hand>
  std::size_t push_many(From* values, std::size_t wanted, Hand hand) {
    // own: only the producer writes it
    std::uint64_t pos = push_pos_.load(mo::relaxed);
    std::size_t done = 0;
    while (done < wanted) {
      std::uint64_t free = producer_.end - pos;
      if (free == 0) {
        free = see_free(pos);
        if (free == 0) break;
      }
      const std::size_t count = std::min<std::size_t>(wanted - done, free);
      if constexpr (std::is_trivially_copyable_v<T>) {
        const auto [first, second] = runs(pos, count);
        copy_in(pos, values + done, first);
        if (second != 0) copy_in(pos + first, values + done + first, second);
        publish_pushed(pos + count);
      } else {
        pushing guard{*this, pos};
        for (std::size_t i = 0; i < count; ++i) {
          ::new (static_cast<void*>(place(guard.next))) T(hand(values[done + i]));
          ++guard.next;
        }
      }
      pos += count;
      done += count;
    }
    return done;
  }

  struct producer_line {
    std::uint64_t end;  // pushes up to here need not look at the consumer
  };
  struct consumer_line {
    std::uint64_t pos;  // the next item; pop_pos_ follows it in groups
    std::uint64_t end;  // pops up to here need not look at the producer
  };

  alignas(spacing) producer_line producer_;                                      // the producer alone
  alignas(spacing) atomic<std::uint64_t> push_pos_;                              // written by the producer
  alignas(spacing) atomic<std::uint64_t> pop_pos_;                               // written by the consumer
  alignas(spacing) consumer_line consumer_;                                      // the consumer alone
  alignas(std::max(spacing, alignof(T))) std::byte storage_[slots * sizeof(T)];  // by both, in turns
};

}  // namespace holdfast
