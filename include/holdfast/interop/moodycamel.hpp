// SPDX-License-Identifier: MIT
// moodycamel: ConcurrentQueue and ReaderWriterQueue as bounded queues, and the queues that grow.
//
//   moodycamel_queue<T, Capacity, MostProducers>   moodycamel::ConcurrentQueue     any threads                  per_producer
//   moodycamel_spsc_queue<T, Capacity>             moodycamel::ReaderWriterQueue   one producer, one consumer   fifo
//   either with Capacity = unbounded               the same, which grows: see below
//
//   operation                   caller      progress          cost            allocates        when refused
//   of moodycamel_queue
//   try_push                    anyone      lock-free         O(1)            a thread's       full; the value is still the
//                                                                             first push, 2    caller's
//   try_push(span)              anyone      lock-free         O(n)            as above         count < n, the rest is still
//                                                                                              the caller's
//   prepare_thread              anyone      lock-free         O(1)            2, once a        false: no memory
//                                                                             thread
//   try_pop(out)                anyone      lock-free         O(producers)    never            empty or busy; `out` is as it
//                                                                                              was
//   try_pop(span)               anyone      lock-free         O(n+producers)  never            count < n, the rest is as it was
//   size_approx                 anyone      wait-free         O(producers)    never            -
//   of moodycamel_spsc_queue
//   try_push                    producer    wait-free         O(1)            never            false: full; as above
//   try_pop(out)                consumer    wait-free         O(1)            never            false: empty; as above
//   size_approx                 anyone      wait-free         O(1)            never            -
//   of both
//   capacity, max_size          anyone      wait-free         O(1)            never            -
//   constructor                 -           -                 O(Capacity)     what it holds    see Memory
//   with Capacity = unbounded
//   try_push, try_push(span)    as above    as malloc         as above        as it grows      full: no memory
//
// In short: any thread; or one producer and one consumer | lock-free; wait-free | a thread's first push;
// `unbounded`, as it grows | full, empty, or busy
//
// moodycamel_queue is a queue a producer. So it promises an order for the items of one thread and for no others: an item may
// come out before one of another thread that was pushed long before it. A thread gets its queue with its first push, for which
// two blocks are allocated, and malloc may take a lock; prepare_thread() does that and pushes nothing, so that a thread may do it
// at its start and push without an allocation from then on. Threads are told apart by their thread-local storage and not
// forgotten when they end (the next one at the same address goes on with its queue). MostProducers counts all threads that push in
// the life of the queue: with more of them a push may allocate once more, and Capacity items need not fit: each queue holds on to
// a block of 32 slots, so that in the end a thread may find none left for as long as others do not empty theirs.
//
// What a refusal of moodycamel_queue means. Empty: each item was already taken. Busy: its pop missed an item because of other
// consumers that are between two steps, or the item has just come; try again soon. (Of itself its refused pop proves neither; the
// bridge looks once more, so that in a waiting_queue nobody sleeps beside an item.) Full: no block was free for this thread, which
// cannot be if fewer than Capacity items are there and all pops have returned: one that is under way may hold back its block. As
// room comes by the block, a thread that waits for room may be woken in vain and sleep on until later pops. A batch that comes back
// short proves nothing in either direction. Items beyond Capacity are taken as long as there are blocks, max_size() at most.
//
// moodycamel_spsc_queue refuses nothing by chance. It has no batches. Above 1,023 it is made of blocks of 512, and one that its
// consumer is in the middle of is not pushed to, so between Capacity and max_size() it may refuse earlier or later.
//
// None of them has a close: a waiting_queue gives them one, for when no push is under way.
//
// unbounded. The queue that grows is theirs and not ours, and it has to be spelled: nothing becomes unbounded by default. A push
// allocates when blocks run out, which malloc may take a lock for, and is refused when malloc says no. What has been allocated
// is kept until the queue is destroyed. It is the wrong answer to a consumer that is too slow: then the memory is the limit.
//
// T: any type that moves without an exception, move-only too, without default constructor, over-aligned. What is left in the
// queue is destroyed with it.
//
// When to use it: where these queues are what a program has, beside ours by changing a type; or where nothing may be refused and
// memory is there (unbounded). moodycamel_queue is at its best with many producers whose order among each other does not matter
// and with batches. With a limit take ours: mpmc_queue is in order over all threads and never allocates, fan_in is in order as
// this one is and has its slots in the object.
//
// Memory: the object and what the constructor asks malloc for, at least the Capacity items. moodycamel_queue throws nothing where
// that fails, but then has no slots and refuses; moodycamel_spsc_queue throws std::bad_alloc.
//
// Under ThreadSanitizer both report races in moodycamel's own code, because it orders by fences (std::atomic_thread_fence), which
// the sanitizer does not model (g++ says so, -Wtsan). ConcurrentQueue: where a block is used again. ReaderWriterQueue: with g++
// wherever an item is handed over, and what the item points to is reported in its user's code; with clang its author has told
// the sanitizer, and nothing is. tests/support/peer_races.cpp has the suppression. What the bridge adds has none.
//
// Needs: concurrentqueue.h and readerwriterqueue.h of moodycamel (1.0.3 and 1.0.6, headers only), in one of the places where
// packages put them. A bridge is there if its header is; with neither this header does not compile.
//
// Proof: unit/moodycamel_queues_test.cpp (the behaviours of every queue of ours, by the same list; what is allocated and when),
// stress/moodycamel_queues_stress.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/interop/queue_size.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/queue_result.hpp"

#if __has_include(<concurrentqueue/concurrentqueue.h>)
#include <concurrentqueue/concurrentqueue.h>
#define HOLDFAST_CONCURRENTQUEUE_
#elif __has_include(<concurrentqueue/moodycamel/concurrentqueue.h>)
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#define HOLDFAST_CONCURRENTQUEUE_
#elif __has_include(<moodycamel/concurrentqueue.h>)
#include <moodycamel/concurrentqueue.h>
#define HOLDFAST_CONCURRENTQUEUE_
#endif
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#include <readerwriterqueue/readerwriterqueue.h>
#define HOLDFAST_READERWRITERQUEUE_
#elif __has_include(<readerwriterqueue.h>)
#include <readerwriterqueue.h>
#define HOLDFAST_READERWRITERQUEUE_
#endif
#if !defined(HOLDFAST_CONCURRENTQUEUE_) && !defined(HOLDFAST_READERWRITERQUEUE_)
#error "holdfast/interop/moodycamel.hpp: neither concurrentqueue.h nor readerwriterqueue.h is found"
#endif

namespace holdfast {

#if defined(HOLDFAST_CONCURRENTQUEUE_)

// Blocks and tables for so many items of so many threads, so that a push finds all of them made.
template <std::size_t Capacity, std::size_t MostProducers>
struct moodycamel_traits : moodycamel::ConcurrentQueueDefaultTraits {
  // A thread may hold on to a block whose items are all taken, and begin in the middle of another one. So many the constructor
  // makes of (Capacity, 0, MostProducers), too.
  static constexpr std::size_t block_count = (Capacity + BLOCK_SIZE - 1) / BLOCK_SIZE - 1 + 2 * MostProducers;
  static const std::size_t IMPLICIT_INITIAL_INDEX_SIZE = std::bit_ceil(std::max<std::size_t>(block_count, 32));
  // Grows when it is half full.
  static const std::size_t INITIAL_IMPLICIT_PRODUCER_HASH_SIZE =
      std::bit_ceil(std::max<std::size_t>(2 * MostProducers + 2, 32));
};
template <std::size_t MostProducers>
struct moodycamel_traits<unbounded, MostProducers> : moodycamel::ConcurrentQueueDefaultTraits {};

template <class T, std::size_t Capacity, std::size_t MostProducers = 8>
class moodycamel_queue {
  static constexpr bool grows = Capacity == unbounded;
  using traits = moodycamel_traits<Capacity, MostProducers>;
  static constexpr std::size_t block = traits::BLOCK_SIZE;
  static_assert(Capacity >= 1, "moodycamel_queue: Capacity is at least 1");
  static_assert(MostProducers >= 1, "moodycamel_queue: there is at least one producer");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>,
                "moodycamel_queue: T moves without an exception");
  static_assert(std::is_nothrow_destructible_v<T>, "moodycamel_queue: T's destructor must not throw");

 public:
  using value_type = T;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::many;
  static constexpr item_order order = item_order::per_producer;

  moodycamel_queue() requires grows = default;
  moodycamel_queue() requires(!grows) : queue_(Capacity, 0, MostProducers) {}
  moodycamel_queue(const moodycamel_queue&) = delete;
  moodycamel_queue& operator=(const moodycamel_queue&) = delete;
  ~moodycamel_queue() = default;

  // Makes this thread's queue now, so that its pushes need not.
  [[nodiscard]] bool prepare_thread() noexcept { return push_all(static_cast<T*>(nullptr), 0); }

  [[nodiscard]] queue_result try_push(T&& value) noexcept { return push_one(std::move(value)); }
  [[nodiscard]] queue_result try_push(const T& value) noexcept requires std::is_nothrow_copy_constructible_v<T> {
    return push_one(value);
  }
  // Moves in as many as fit, from the front; returns how many.
  [[nodiscard]] std::size_t try_push(std::span<T> values) noexcept {
    return push_many(values, [](T& from) -> T&& { return std::move(from); });
  }
  // The same with copies.
  [[nodiscard]] std::size_t try_push(
      std::span<const T> values) noexcept requires std::is_nothrow_copy_constructible_v<T> {
    return push_many(values, [](const T& from) -> const T& { return from; });
  }

  [[nodiscard]] queue_result try_pop(T& out) noexcept {
    if (queue_.try_dequeue(out)) return queue_op_status::success;
    return refusal(queue_.size_approx());
  }
  // What a pop in vain proves where so many items have come and are not yet claimed. The peer counts an item as come when it can be
  // popped, and as gone when it is somebody's: where none is between the two, none is there.
  static constexpr queue_op_status refusal(std::size_t unclaimed) noexcept {
    return unclaimed == 0 ? queue_op_status::empty : queue_op_status::busy;
  }
  // Moves out as many as there seem to be and as the span takes; returns how many.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept {
    return out.empty() ? 0 : queue_.try_dequeue_bulk(out.data(), out.size());
  }

  // Without those whose pop is under way.
  [[nodiscard]] std::size_t size_approx() const noexcept { return std::min(queue_.size_approx(), max_size()); }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }
  // More than this are never held.
  [[nodiscard]] static constexpr std::size_t max_size() noexcept {
    if constexpr (grows) {
      return unbounded;
    } else {
      return traits::block_count * block;
    }
  }

 private:
  template <class Value>
  queue_result push_one(Value&& value) noexcept {
    bool done = false;
    if constexpr (grows) {
      done = queue_.enqueue(std::forward<Value>(value));
    } else {
      done = queue_.try_enqueue(std::forward<Value>(value));
    }
    return done ? queue_op_status::success : queue_op_status::full;
  }
  // All of them, or none.
  template <class Iterator>
  bool push_all(Iterator from, std::size_t count) noexcept {
    if constexpr (grows) {
      return queue_.enqueue_bulk(from, count);
    } else {
      return queue_.try_enqueue_bulk(from, count);
    }
  }
  bool push_all(T* from, std::size_t count) noexcept { return push_all(std::make_move_iterator(from), count); }

  // By the block: one that is refused as a whole has then needed one new block, and taken none from the others meanwhile.
  template <class From, class Hand>
  std::size_t push_many(std::span<From> values, Hand hand) noexcept {
    std::size_t done = 0;
    while (done < values.size()) {
      const std::size_t count = std::min(values.size() - done, block);
      if (!push_all(values.data() + done, count)) break;
      done += count;
    }
    while (done < values.size() && push_one(hand(values[done]))) ++done;
    return done;
  }

  moodycamel::ConcurrentQueue<T, traits> queue_;
};

#endif
#if defined(HOLDFAST_READERWRITERQUEUE_)

template <class T, std::size_t Capacity>
class moodycamel_spsc_queue {
  static constexpr bool grows = Capacity == unbounded;
  static constexpr std::size_t block = 512;
  static_assert(Capacity >= 1, "moodycamel_spsc_queue: Capacity is at least 1");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>,
                "moodycamel_spsc_queue: T moves without an exception");
  static_assert(std::is_nothrow_destructible_v<T>, "moodycamel_spsc_queue: T's destructor must not throw");

 public:
  using value_type = T;
  static constexpr callers producers = callers::one;
  static constexpr callers consumers = callers::one;
  static constexpr item_order order = item_order::fifo;

  moodycamel_spsc_queue() requires grows = default;
  moodycamel_spsc_queue() requires(!grows) : queue_(Capacity) {}
  moodycamel_spsc_queue(const moodycamel_spsc_queue&) = delete;
  moodycamel_spsc_queue& operator=(const moodycamel_spsc_queue&) = delete;
  ~moodycamel_spsc_queue() = default;

  [[nodiscard]] bool try_push(T&& value) noexcept { return push_one(std::move(value)); }
  [[nodiscard]] bool try_push(const T& value) noexcept requires std::is_nothrow_copy_constructible_v<T> {
    return push_one(value);
  }
  [[nodiscard]] bool try_pop(T& out) noexcept {
    const bool done = queue_.try_dequeue(out);
    if (done) size_.popped();
    return done;
  }

  // The queue's own is for its two threads.
  [[nodiscard]] std::size_t size_approx() const noexcept { return size_.approx(max_size()); }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }
  // More than this are never held.
  [[nodiscard]] static constexpr std::size_t max_size() noexcept {
    if constexpr (grows) {
      return unbounded;
    } else if constexpr (Capacity < 2 * block) {
      return std::bit_ceil(Capacity + 1) - 1;
    } else {
      return (Capacity + 2 * block - 3) / (block - 1) * (block - 1);
    }
  }

 private:
  template <class Value>
  bool push_one(Value&& value) noexcept {
    bool done = false;
    if constexpr (grows) {
      done = queue_.enqueue(std::forward<Value>(value));
    } else {
      done = queue_.try_enqueue(std::forward<Value>(value));
    }
    if (done) size_.pushed();
    return done;
  }

  moodycamel::ReaderWriterQueue<T, block> queue_;
  queue_size<producers, consumers> size_;
};

#endif

}  // namespace holdfast
#undef HOLDFAST_CONCURRENTQUEUE_
#undef HOLDFAST_READERWRITERQUEUE_
