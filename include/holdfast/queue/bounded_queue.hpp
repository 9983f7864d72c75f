// SPDX-License-Identifier: MIT
// bounded_queue: what a pipeline, a scheduler or a test may ask of any queue with a limit, ours or a bridged peer's.
//
//   expression            meaning
//   Q::value_type         what it carries
//   Q::producers          who may push at the same time: callers::one or callers::many
//   Q::consumers          who may pop at the same time
//   q.try_push(v&&)       true: taken. False: refused, and v is still the caller's. Never waits
//   q.try_pop(v&)         true: v is the oldest item that this caller may have. False: v is as it was. Never waits
//   c.capacity()          so many items always fit; a queue may take a few more, and says so
//   c.size_approx()       from any thread; may be stale before it is read, so good for a gauge and not for a decision
//   Q::order              may be there: in which order items come out, below. Without it the queue is a fifo
//
//   item_order     what is promised
//   fifo           an item whose push returned before another one's was called comes out first, whoever pushed the two
//   per_producer   that much of the items of one thread; nothing of those of two
//   lifo           the newest comes out first: a stack. An item may wait for as long as newer ones come
//
// Out first: the pop that takes it comes first in an order that explains all answers. What two consumers do with their items
// after that is their own affair, so with many of them only what one of them sees is in order.
//
// A queue without a limit is one too (interop/moodycamel.hpp): its capacity() is `unbounded`, and what refuses is memory.
//
// Results are asked with `if (q.try_push(...))`: a queue may answer with more than a bool (full, empty or busy) as long
// as the answer converts. Whether a refusal can be spurious is each queue's own word, in its guarantee table.
//
// When to use it: to write a stage, a scheduler or a bridge once for every queue. `requires many_consumers<Q>` and the
// like refuse at compile time a queue that would be called by more threads than it bears, `requires keeps_producer_order<Q>`
// one that would give the lines of one connection in any order.
//
// Proof: unit/queue_behaviours_test.cpp (one list of behaviours over every queue of ours), unit/boost_queues_test.cpp and
// unit/moodycamel_queues_test.cpp (the same list over the bridges), unit/spsc_queue_test.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace holdfast {

// How many threads may be inside one end of a queue at the same time.
enum class callers : std::uint8_t { one, many };

enum class item_order : std::uint8_t { fifo, per_producer, lifo };

// The capacity of a queue that grows.
inline constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

template <class Q>
concept bounded_queue = requires(Q& queue, const Q& observed, typename Q::value_type& item) {
  { Q::producers } -> std::convertible_to<callers>;
  { Q::consumers } -> std::convertible_to<callers>;
  static_cast<bool>(queue.try_push(std::move(item)));
  static_cast<bool>(queue.try_pop(item));
  { observed.capacity() } -> std::convertible_to<std::size_t>;
  { observed.size_approx() } -> std::convertible_to<std::size_t>;
};

// A bounded queue that also takes and gives many items a call: the count that went, from the front of the span.
template <class Q>
concept batch_queue = bounded_queue<Q> && requires(Q& queue, std::span<typename Q::value_type> items) {
  { queue.try_push(items) } -> std::convertible_to<std::size_t>;
  { queue.try_pop(items) } -> std::convertible_to<std::size_t>;
};

template <class Q>
inline constexpr item_order order_of = item_order::fifo;
template <class Q>
  requires requires {
    { Q::order } -> std::convertible_to<item_order>;
  }
inline constexpr item_order order_of<Q> = Q::order;

template <class Q>
concept fifo_queue = bounded_queue<Q> &&(order_of<Q> == item_order::fifo);
template <class Q>
concept keeps_producer_order = bounded_queue<Q> &&(order_of<Q> != item_order::lifo);

template <class Q>
concept many_producers = bounded_queue<Q> && Q::producers == callers::many;
template <class Q>
concept many_consumers = bounded_queue<Q> && Q::consumers == callers::many;

}  // namespace holdfast
