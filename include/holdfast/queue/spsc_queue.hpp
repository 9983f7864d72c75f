// SPDX-License-Identifier: MIT
// spsc_queue: a bounded FIFO that hands values from one thread to one other.
//
//   operation          caller     progress    cost   allocates   when refused
//   try_push           producer   wait-free   O(1)   never       false, the value is still the caller's
//   try_emplace        producer   wait-free   O(1)   never       false, the arguments are untouched
//   try_push(span)     producer   wait-free   O(n)   never       count < n, the rest is still the caller's
//   reserve(n)         producer   wait-free   O(n)   never       an empty span: full, or n is 0
//   commit(n)          producer   wait-free   O(n)   never       (asserted: so many are reserved)
//   try_pop(out)       consumer   wait-free   O(1)   never       false, `out` is as it was
//   try_pop()          consumer   wait-free   O(1)   never       an empty optional
//   try_pop(span)      consumer   wait-free   O(n)   never       count < n, the rest of the span is as it was
//   peek(n)            consumer   wait-free   O(1)   never       an empty span: empty, or n is 0
//   release(n)         consumer   wait-free   O(n)   never       (asserted: so many are peeked)
//   consume_all(fn)    consumer   wait-free   O(n)   never       0; takes what was there when it was called, not more
//   publish_pops       consumer   wait-free   O(1)   never       -
//   size_approx        anyone     wait-free   O(1)   never       -
//   capacity           anyone     wait-free   O(1)   never       -
//   refused_pushes, refused_pops, high_water
//                      anyone     wait-free   O(1)   never       (only with Watch = watched)
//   constructor        -          -           O(1)   see Memory  (asserted: what validate() refuses)
//
// In short: one producer, one consumer | wait-free | never; sized at run time, once | `false`, the value is still
// the caller's; in place, an empty run
//
// (Wait-free and O(n) as far as T's own constructors and `fn` are.) A push is refused only if at least capacity() items
// are in the queue; a pop is refused only if the queue was empty. Neither is ever refused by chance. Both are meant as far
// as the caller can know: what the other side was in the middle of, or has done without anything telling this thread of
// it, may not count yet. So a producer that pushes and then is refused, and a consumer that pops and then is refused, may
// both be right at the same time; who wants to go to sleep on a refusal puts a seq_cst fence before a last look. The queue
// may hold up to max_size() items: the consumer tells of freed slots in groups, so the producer may count a few slots twice.
//
// Without a copy. reserve(n) gives the next free slots in one run, commit(n) publishes the first n of them; peek(n) gives the
// oldest items in one run, release(n) destroys the first n of them and frees their slots. A run is shorter than asked for only
// where there is no more, or where the slots end and begin again (a queue whose batches have one size that is a power of two
// never meets that end inside of one). What is left of a run after a commit or a release may be committed or released by
// further calls. Until it is committed a reservation is nobody's business: the next reserve, try_push or try_emplace takes the
// same slots and so forgets it. In the same way a try_pop, consume_all or peek forgets what was peeked; the items are still
// there. A commit or a release after that is a programmer's error, asserted.
// What reserve gives are items, made by T's default constructor (for numbers and the like that is no work, and they hold
// anything). So it is there for a T which `reservable` says yes to: its default constructor does not throw, and its destructor
// does nothing, so that nothing is to be undone for a slot that is not committed. Another T is made in its slot by
// try_emplace. peek and release are there for every T.
// What is saved is the copy, not the lines' way from core to core. Batches of small items gain most; where items fill lines and
// the ring is large, try_push(span), which asks for lines at the pace at which it fills them, may be the faster way.
//
// Exceptions: if T's constructor or assignment throws, the queue is as it was before the call (a batch: as it was after
// the items that went before); for try_pop that means that the item is still the oldest, in the state in which T's
// assignment left it. If `fn` throws in consume_all, its item is gone: nothing is handed out twice.
// T: any object type with a destructor that does not throw; move-only, without default constructor, over-aligned. What
// is still in the queue when it is destroyed is destroyed with it; by then both threads have stopped using it.
//
// When to use it: one thread on each side, known at build time. Not for several producers (fan_in, which is one spsc_queue
// a producer, or an mpmc_queue), not for records of variable length (record_ring), not between processes, and not where
// the number of waiting items has no limit (moodycamel_spsc_queue of interop/ grows).
//
// Memory: spsc_queue<T, Capacity> has its slots inside: slot_count() * sizeof(T), plus eight lines for the positions. Up to 8
// items slot_count() is Capacity; above it is twice that, the price of the lazy position below. It does not go on the
// stack of a small thread. spsc_queue<T> takes a capacity, a power of two, and storage_bytes(capacity) bytes, aligned to
// storage_alignment(): the caller's, or of a memory resource, asked once and given back by the destructor (a resource that
// throws does so out of the constructor, and nothing is left of the queue). validate() names what is wrong with them before.
// Either form has an address that others know, so it is neither copied nor moved.
//
// Watched: with the third parameter `watched` each side counts the calls that were refused to it, and the producer remembers
// the most items that it saw in the queue: never less than there were, and too many by at most publish_every() - 1 that were
// already taken and what the consumer has told of and this thread not seen yet. It looks at the consumer's position when, by
// what it knows, the mark may have to rise: often at first and where the queue is nearly empty, seldom in a stream. `unwatched`,
// the default, costs nothing, and has no such functions.
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
// hands, not at the pace of a stream; a consumer that pauses after a refusal avoids that, and so does one that never is
// refused and asks for it: with look_spacing as the fourth parameter, its calls may pause (queue/look_spacing.hpp).
//
// Proof: model/spsc_queue_model.cpp (every execution of small cases: order, refusals, the wrap, deaths),
// unit/spsc_queue_test.cpp (each line above by name), stress/spsc_queue_stress.cpp (order and count between threads,
// under ThreadSanitizer), linearizability/queue_windows.cpp (every answer, refusals above all),
// contract/seam_cost.py (not an instruction more than by hand), bench/spsc_queue_bench.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/option_error.hpp"
#include "holdfast/core/prefetch.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/look_spacing.hpp"
#include "holdfast/queue/queue_watch.hpp"
#include "holdfast/queue/spsc_ring.hpp"

namespace holdfast {

template <class T, std::size_t Capacity = std::dynamic_extent, queue_watch Watch = unwatched,
          class Looks = looks_at_once>
class spsc_queue {
  static constexpr bool fixed = Capacity != std::dynamic_extent;
  static_assert(!fixed || std::has_single_bit(Capacity),
                "spsc_queue: Capacity is a power of two, so that a slot is found by a mask");
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>, "spsc_queue: T is an object type");
  static_assert(std::is_nothrow_destructible_v<T>, "spsc_queue: T's destructor must not throw");

  using ring_type = spsc_ring<T, Capacity, Watch, Looks>;
  using slots_type = typename ring_type::slots_type;

 public:
  using value_type = T;
  static constexpr callers producers = callers::one;
  static constexpr callers consumers = callers::one;
  // May be written in place: an item that was reserved and is not committed leaves nothing to undo.
  static constexpr bool reservable = std::is_nothrow_default_constructible_v<T> && std::is_trivially_destructible_v<T>;

  spsc_queue() noexcept requires fixed : spsc_queue(0) {}
  // Starts the positions at `first`, so that a test can stand just before they wrap. Of no use otherwise.
  explicit spsc_queue(std::uint64_t first) noexcept requires fixed : ring_(first) {}
  // In the caller's storage, which outlives the queue and is used by nobody else.
  spsc_queue(std::size_t capacity, std::span<std::byte> storage, std::uint64_t first = 0) noexcept requires(!fixed)
      : ring_(first, capacity, storage) {}
  // In memory that is asked for here and given back by the destructor.
  spsc_queue(std::size_t capacity, std::pmr::memory_resource* memory, std::uint64_t first = 0) requires(!fixed)
      : ring_(first, capacity, memory) {}
  spsc_queue(const spsc_queue&) = delete;
  spsc_queue& operator=(const spsc_queue&) = delete;
  ~spsc_queue() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      // Both threads have stopped, and whoever destroys has seen them stop.
      const std::uint64_t end = ring_.push_pos();
      for (std::uint64_t at = ring_.pop_pos(); at != end; ++at) std::destroy_at(item(at));
    }
  }

  // What the constructors of spsc_queue<T> ask for, and what is wrong with what they are given.
  [[nodiscard]] static constexpr std::size_t storage_bytes(std::size_t capacity) noexcept requires(!fixed) {
    return slots_type::bytes_for(capacity);
  }
  [[nodiscard]] static constexpr std::size_t storage_alignment() noexcept requires(!fixed) {
    return slots_type::alignment;
  }
  [[nodiscard]] static constexpr option_error validate(std::size_t capacity) noexcept requires(!fixed) {
    return slots_type::validate(capacity);
  }
  [[nodiscard]] static option_error validate(std::size_t capacity, std::span<const std::byte> storage) noexcept
      requires(!fixed) {
    return slots_type::validate(capacity, storage);
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
    const std::uint64_t pos = ring_.push_pos();
    if (!ring_.has_free(pos)) return refused_push();
    ::new (static_cast<void*>(place(pos))) T(std::forward<Args>(args)...);  // if it throws, nothing is published
    ring_.pushed_one(pos);
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

  // The next free slots in one run, at most n, to be written in place.
  [[nodiscard]] std::span<T> reserve(std::size_t n) noexcept requires reservable {
    const std::uint64_t pos = ring_.push_pos();
    const std::size_t run = ring_.slots().run(pos, n);
    const std::size_t count = std::min(run, ring_.free_slots(pos, run));
    ring_.reserved().show(pos, count);
    if (count == 0) {
      if (n != 0) refused_push();
      return {};
    }
    std::uninitialized_default_construct_n(reinterpret_cast<T*>(place(pos)), count);
    return {item(pos), count};
  }
  // Publishes the first n of what is reserved.
  void commit(std::size_t n) noexcept requires reservable {
    const std::uint64_t pos = ring_.push_pos();
    ring_.reserved().use(pos, n);
    ring_.pushed(pos + n);
    ask_for_slots(pos + n, n);
  }

  // ---- the consumer's side

  [[nodiscard]] bool try_pop(T& out) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    const std::uint64_t pos = ring_.pop_pos();
    if (!ring_.has_item(pos)) return refused_pop();
    T* const from = item(pos);
    out = std::move(*from);  // if it throws, the item is still the oldest
    std::destroy_at(from);
    ring_.popped_one(pos);
    return true;
  }

  // For a T that cannot be assigned to.
  [[nodiscard]] std::optional<T> try_pop() noexcept(
      std::is_nothrow_move_constructible_v<T>) requires std::move_constructible<T> {
    std::optional<T> out;  // the one that is returned: an item is moved once
    const std::uint64_t pos = ring_.pop_pos();
    if (!ring_.has_item(pos)) {
      refused_pop();
      return out;
    }
    T* const from = item(pos);
    out.emplace(std::move(*from));  // if it throws, the item is still the oldest
    std::destroy_at(from);
    ring_.popped_one(pos);
    return out;
  }

  // Moves out as many as there are and as the span takes; returns how many. Less than the span means that it is empty.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    std::size_t done = 0;
    while (done < out.size()) {
      const std::uint64_t pos = ring_.pop_pos();
      const std::size_t there = ring_.items(pos, 1);
      if (there == 0) {
        if (done == 0) refused_pop();
        break;
      }
      const std::size_t count = std::min(out.size() - done, there);
      if constexpr (std::is_trivially_copyable_v<T>) {
        const std::size_t first = ring_.slots().run(pos, count);
        const std::size_t second = count - first;
        ring_.ask_for_items(pos + count, count);
        std::memcpy(out.data() + done, item(pos), first * sizeof(T));
        if (second != 0) std::memcpy(out.data() + done + first, item(pos + first), second * sizeof(T));
        ring_.popped(pos + count);
      } else {
        popping guard{ring_, pos};
        for (std::size_t i = 0; i < count; ++i) {
          T* const from = item(guard.next);
          out[done + i] = std::move(*from);
          std::destroy_at(from);
          ++guard.next;
        }
      }
      done += count;
    }
    return done;
  }

  // The oldest items in one run, at most n, to be read, changed or moved from in place.
  [[nodiscard]] std::span<T> peek(std::size_t n) noexcept {
    const std::uint64_t pos = ring_.pop_pos();
    const std::size_t run = ring_.slots().run(pos, n);
    const std::size_t count = std::min(run, ring_.items(pos, run));
    ring_.peeked().show(pos, count);
    if (count == 0) {
      if (n != 0) refused_pop();
      return {};
    }
    return {item(pos), count};
  }
  // Ends the first n of what is peeked.
  void release(std::size_t n) noexcept {
    const std::uint64_t pos = ring_.pop_pos();
    ring_.peeked().use(pos, n);
    if (n != 0) std::destroy_n(item(pos), n);
    ring_.ask_for_items(pos + n, n);
    ring_.popped_run(pos + n);
  }
  // Tells the producer of every slot that is free, also between two groups: before it is woken for one.
  void publish_pops() noexcept { ring_.popped(ring_.pop_pos()); }

  // Calls fn(T&&) for each item that was in the queue at the call, oldest first; returns how many. The item lives in
  // its slot during the call and is destroyed after it.
  template <class Function>
    requires std::invocable<Function&, T&&> std::size_t consume_all(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, T&&>) {
    const std::size_t count = ring_.items(ring_.pop_pos(), ring_type::all);
    if (count == 0) refused_pop();
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t pos = ring_.pop_pos();
      consuming guard{*this, pos};
      fn(std::move(*item(pos)));
    }
    return count;
  }

  // ---- anyone

  // A recent number of items: exact for the consumer after a refused pop, and otherwise too high by at most
  // publish_every() - 1 items that are already taken.
  [[nodiscard]] std::size_t size_approx() const noexcept { return ring_.size_approx(); }
  // So many always fit.
  [[nodiscard]] static constexpr std::size_t capacity() noexcept requires fixed { return Capacity; }
  [[nodiscard]] std::size_t capacity() const noexcept requires(!fixed) { return ring_.slots().numbers().capacity; }
  // More than this are never held.
  [[nodiscard]] static constexpr std::size_t max_size() noexcept requires fixed {
    return slots_type::numbers().max_size();
  }
  [[nodiscard]] std::size_t max_size() const noexcept requires(!fixed) { return ring_.slots().numbers().max_size(); }
  [[nodiscard]] static constexpr std::size_t publish_every() noexcept requires fixed {
    return slots_type::numbers().group();
  }
  [[nodiscard]] std::size_t publish_every() const noexcept requires(!fixed) { return ring_.slots().numbers().group(); }
  [[nodiscard]] static constexpr std::size_t slot_count() noexcept requires fixed {
    return slots_type::numbers().slot_count();
  }
  [[nodiscard]] std::size_t slot_count() const noexcept requires(!fixed) {
    return ring_.slots().numbers().slot_count();
  }

  // Calls that left something with the producer; calls that gave the consumer nothing; the most items after a push.
  [[nodiscard]] std::uint64_t refused_pushes() const noexcept requires Watch::on { return ring_.pushes().refusals(); }
  [[nodiscard]] std::uint64_t refused_pops() const noexcept requires Watch::on { return ring_.pops().refusals(); }
  [[nodiscard]] std::size_t high_water() const noexcept requires Watch::on {
    return static_cast<std::size_t>(ring_.pushes().most());
  }

 private:
  std::byte* place(std::uint64_t pos) noexcept { return ring_.slots().place(pos); }
  T* item(std::uint64_t pos) noexcept { return ring_.slots().item(pos); }
  bool refused_push() noexcept {
    ring_.pushes().refused();
    return false;
  }
  bool refused_pop() noexcept {
    ring_.pops().refused();
    return false;
  }

  // Publishes, when it goes out of scope by whatever way, the items that a batch push has made.
  struct pushing {
    ring_type& ring;
    std::uint64_t next;
    ~pushing() { ring.pushed(next); }
  };
  // The same for the items that a batch pop has taken.
  struct popping {
    ring_type& ring;
    std::uint64_t next;
    ~popping() { ring.popped(next); }
  };
  // Ends the life of the item that a function has been given.
  struct consuming {
    spsc_queue& queue;
    std::uint64_t pos;
    ~consuming() {
      std::destroy_at(queue.item(pos));
      queue.ring_.popped_run(pos + 1);
    }
  };

  template <class From, class Hand>
  std::size_t push_many(From* values, std::size_t wanted, Hand hand) {
    std::uint64_t pos = ring_.push_pos();
    std::size_t done = 0;
    while (done < wanted) {
      const std::size_t free = ring_.free_slots(pos, 1);
      if (free == 0) {
        refused_push();
        break;
      }
      const std::size_t count = std::min(wanted - done, free);
      if constexpr (std::is_trivially_copyable_v<T>) {
        const std::size_t first = ring_.slots().run(pos, count);
        const std::size_t second = count - first;
        copy_in(pos, values + done, first);
        if (second != 0) copy_in(pos + first, values + done + first, second);
        ring_.pushed(pos + count);
      } else {
        pushing guard{ring_, pos};
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
  // One run of a batch, line by line, so that the lines to write are asked for at the pace at which they are filled.
  void copy_in(std::uint64_t pos, const T* from, std::size_t count) noexcept {
    constexpr std::size_t line_items = slots_type::line_items;
    if (ring_.slots().deep()) {
      for (; count >= line_items; count -= line_items) {
        prefetch_for_write(place(pos + slots_type::batch_write_ahead));
        std::memcpy(place(pos), from, line_items * sizeof(T));
        pos += line_items;
        from += line_items;
      }
    }
    if (count != 0) std::memcpy(place(pos), from, count * sizeof(T));
  }
  // The same for batches that are written in place: after each, for the one after the next.
  void ask_for_slots(std::uint64_t pos, std::size_t count) noexcept {
    if (ring_.slots().deep()) {
      const std::uint64_t from = pos + std::max(slots_type::batch_write_ahead, count);
      for (std::size_t at = 0; at < count; at += slots_type::line_items) prefetch_for_write(place(from + at));
    }
  }

  ring_type ring_;
};

}  // namespace holdfast
