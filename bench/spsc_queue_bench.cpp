// SPDX-License-Identifier: MIT
// spsc_queue, in its forms (holdfast_spaced: with look_spacing), and spsc_slot_queue (holdfast_slots) beside Boost.Lockfree's
// spsc_queue (capacity at run time: boost; at compile time: boost_fixed) and moodycamel's ReaderWriterQueue (which grows; here by
// try_enqueue only, so it keeps to the size it was given).
#include <array>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#define HAS_BOOST 1
#include <boost/lockfree/spsc_queue.hpp>
#else
#define HAS_BOOST 0
#endif
// The peer's code is held to its own warnings, not to ours.
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#define HAS_MOODYCAMEL 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <readerwriterqueue/readerwriterqueue.h>
#pragma GCC diagnostic pop
#else
#define HAS_MOODYCAMEL 0
#endif

namespace {

namespace bench = holdfast::bench;
using bench::shared;
namespace mo = holdfast::mo;

using word = std::uint64_t;
struct line {
  std::array<std::uint64_t, 8> words{};
};
static_assert(sizeof(line) == holdfast::cache_line_size);

void number(word& item, std::uint64_t n) {
  item = n;
}
void number(line& item, std::uint64_t n) {
  item.words[0] = item.words[7] = n;
}
bool is(const word& item, std::uint64_t n) {
  return item == n;
}
bool is(const line& item, std::uint64_t n) {
  return item.words[0] == n && item.words[7] == n;
}

// ---- the contenders, all with the same four calls

template <class Queue>
struct ours_as {
  using item = typename Queue::value_type;
  Queue queue;
  template <class... Args>
  explicit ours_as(Args&&... args) : queue(std::forward<Args>(args)...) {}
  bool push(const item& value) { return static_cast<bool>(queue.try_push(value)); }
  bool pop(item& value) { return static_cast<bool>(queue.try_pop(value)); }
  std::size_t push(std::span<const item> values) { return queue.try_push(values); }
  std::size_t pop(std::span<item> values) { return queue.try_pop(values); }
};
template <class T, std::size_t Capacity>
using ours = ours_as<holdfast::spsc_queue<T, Capacity>>;
template <class T, std::size_t Capacity>
using ours_watched = ours_as<holdfast::spsc_queue<T, Capacity, holdfast::watched>>;
template <class T, std::size_t Capacity>
using ours_spaced = ours_as<holdfast::spsc_queue<T, Capacity, holdfast::unwatched, holdfast::look_spacing>>;
// The word that tells of an item stands beside it, in the same line.
template <class T, std::size_t Capacity>
using ours_in_slots = ours_as<holdfast::spsc_slot_queue<T, Capacity>>;
// Sized at run time.
template <class T, std::size_t Capacity>
struct ours_sized : ours_as<holdfast::spsc_queue<T>> {
  ours_sized() : ours_as<holdfast::spsc_queue<T>>(Capacity, std::pmr::new_delete_resource()) {}
};

#if HAS_BOOST
template <class T, std::size_t Capacity>
struct boost_run_time {
  using item = T;
  boost::lockfree::spsc_queue<T> queue{Capacity};
  bool push(const T& value) { return queue.push(value); }
  bool pop(T& value) { return queue.pop(value); }
  std::size_t push(std::span<const T> values) { return queue.push(values.data(), values.size()); }
  std::size_t pop(std::span<T> values) { return queue.pop(values.data(), values.size()); }
};
template <class T, std::size_t Capacity>
struct boost_compile_time {
  using item = T;
  boost::lockfree::spsc_queue<T, boost::lockfree::capacity<Capacity>> queue{};
  bool push(const T& value) { return queue.push(value); }
  bool pop(T& value) { return queue.pop(value); }
  std::size_t push(std::span<const T> values) { return queue.push(values.data(), values.size()); }
  std::size_t pop(std::span<T> values) { return queue.pop(values.data(), values.size()); }
};
#endif

#if HAS_MOODYCAMEL
template <class T, std::size_t Capacity>
struct moodycamel_rwq {
  using item = T;
  moodycamel::ReaderWriterQueue<T> queue{Capacity};
  bool push(const T& value) { return queue.try_enqueue(value); }
  bool pop(T& value) { return queue.try_dequeue(value); }
};
#endif

// ---- the cases

template <class Contender, bench::waiter::manner Manner = bench::waiter::manner::patient>
void stream(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& queue = *shared<Contender, 1>::all[0];
  std::uint64_t next = 0;
  regime.mark();
  if (state.thread_index() == 0) {
    typename Contender::item item{};
    for (auto _ : state) {
      number(item, next++);
      bench::waiter wait(Manner);
      while (!queue.push(item)) wait();
    }
    regime.mark();
  } else {
    std::uint64_t wrong = 0;
    typename Contender::item item{};
    for (auto _ : state) {
      bench::waiter wait(Manner);
      while (!queue.pop(item)) wait();
      wrong += is(item, next++) ? 0U : 1U;
    }
    regime.mark();
    state.SetItemsProcessed(static_cast<std::int64_t>(next));
    if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
  }
  regime.report();
}

template <class Contender>
void batches(benchmark::State& state) {
  constexpr std::size_t size = 32;
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& queue = *shared<Contender, 1>::all[0];
  std::array<typename Contender::item, size> items{};
  std::uint64_t next = 0;
  regime.mark();
  if (state.thread_index() == 0) {
    for (auto _ : state) {
      for (auto& item : items) number(item, next++);
      bench::waiter wait(bench::waiter::manner::patient);
      for (std::size_t done = 0; done < size;) {
        const std::size_t count = queue.push(std::span<const typename Contender::item>(items).subspan(done));
        done += count;
        if (count == 0) wait();
      }
    }
    regime.mark();
  } else {
    std::uint64_t wrong = 0;
    for (auto _ : state) {
      bench::waiter wait(bench::waiter::manner::patient);
      for (std::size_t done = 0; done < size;) {
        const std::size_t count = queue.pop(std::span(items).first(size - done));
        for (std::size_t i = 0; i < count; ++i) wrong += is(items[i], next++) ? 0U : 1U;
        done += count;
        if (count == 0) wait();
      }
    }
    regime.mark();
    state.SetItemsProcessed(static_cast<std::int64_t>(next));
    if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
  }
  regime.report();
}

// The same numbers, written and checked in their slots. It is the method that is measured: the other rows copy.
template <class Contender>
void batches_in_place(benchmark::State& state) {
  constexpr std::size_t size = 32;
  const bench::pinned pin(state);
  bench::regime regime(state);
  auto& queue = shared<Contender, 1>::all[0]->queue;
  std::uint64_t next = 0;
  regime.mark();
  if (state.thread_index() == 0) {
    for (auto _ : state) {
      bench::waiter wait(bench::waiter::manner::patient);
      for (std::size_t done = 0; done < size;) {
        const auto slots = queue.reserve(size - done);
        for (auto& item : slots) number(item, next++);
        queue.commit(slots.size());
        done += slots.size();
        if (slots.empty()) wait();
      }
    }
    regime.mark();
  } else {
    std::uint64_t wrong = 0;
    for (auto _ : state) {
      bench::waiter wait(bench::waiter::manner::patient);
      for (std::size_t done = 0; done < size;) {
        const auto items = queue.peek(size - done);
        for (const auto& item : items) wrong += is(item, next++) ? 0U : 1U;
        queue.release(items.size());
        done += items.size();
        if (items.empty()) wait();
      }
    }
    regime.mark();
    state.SetItemsProcessed(static_cast<std::int64_t>(next));
    if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
  }
  regime.report();
}

template <class Contender>
void round_trip(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& there = *shared<Contender, 2>::all[0];
  Contender& back = *shared<Contender, 2>::all[1];
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  typename Contender::item item{};
  regime.mark();
  if (state.thread_index() == 0) {
    for (auto _ : state) {
      number(item, next);
      bench::waiter wait;
      while (!there.push(item)) wait();
      while (!back.pop(item)) wait();
      wrong += is(item, next++) ? 0U : 1U;
    }
  } else {
    for (auto _ : state) {
      bench::waiter wait;
      while (!there.pop(item)) wait();
      wrong += is(item, next++) ? 0U : 1U;
      while (!back.push(item)) wait();
    }
  }
  regime.mark();
  if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
  regime.report();
}

// What no pair of queues can beat: one line for the request and one for the answer, nothing else.
struct two_lines {
  alignas(2 * holdfast::cache_line_size) holdfast::atomic<std::uint64_t> there{0};
  alignas(2 * holdfast::cache_line_size) holdfast::atomic<std::uint64_t> back{0};
};
void round_trip_floor(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  two_lines& lines = *shared<two_lines, 1>::all[0];
  std::uint64_t next = 0;
  regime.mark();
  if (state.thread_index() == 0) {
    for (auto _ : state) {
      // [R1] release, pairs with [R2]: the same orders as a queue needs
      lines.there.store(++next, mo::release);
      bench::waiter wait;
      // [R4] acquire, pairs with [R3]: the answer
      while (lines.back.load(mo::acquire) != next) wait();
    }
  } else {
    for (auto _ : state) {
      ++next;
      bench::waiter wait;
      // [R2] acquire, pairs with [R1]: the request
      while (lines.there.load(mo::acquire) != next) wait();
      // [R3] release, pairs with [R4]: the answer
      lines.back.store(next, mo::release);
    }
  }
  regime.mark();
  regime.report();
}

template <class Contender>
void pair(benchmark::State& state) {
  const bench::pinned pin(state);
  const auto queue = std::make_unique<Contender>();
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  typename Contender::item item{};
  for (auto _ : state) {
    number(item, next);
    wrong += queue->push(item) ? 0U : 1U;
    benchmark::ClobberMemory();
    wrong += queue->pop(item) && is(item, next++) ? 0U : 1U;
  }
  if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
}

// ---- the rows

template <class Contender, std::size_t Queues = 1>
void two_threads(const char* test_case, const char* contender, void (*function)(benchmark::State&)) {
  bench::add("spsc_queue", test_case, contender, function)
      ->Setup(shared<Contender, Queues>::make)
      ->Teardown(shared<Contender, Queues>::drop)
      ->Threads(2);
}

template <template <class, std::size_t> class Contender>
void single_items(const char* name) {
  two_threads<Contender<word, 1024>>("u64_1024_stream", name, stream<Contender<word, 1024>>);
  two_threads<Contender<word, 1024>>("u64_1024_stream_eager", name,
                                     stream<Contender<word, 1024>, bench::waiter::manner::eager>);
  two_threads<Contender<word, 65536>>("u64_65536_stream", name, stream<Contender<word, 65536>>);
  two_threads<Contender<line, 1024>>("line64_1024_stream", name, stream<Contender<line, 1024>>);
  two_threads<Contender<line, 1024>>("line64_1024_stream_eager", name,
                                     stream<Contender<line, 1024>, bench::waiter::manner::eager>);
  two_threads<Contender<word, 1024>, 2>("u64_1024_round_trip", name, round_trip<Contender<word, 1024>>);
  bench::add("spsc_queue", "u64_1024_pair", name, pair<Contender<word, 1024>>);
}
template <template <class, std::size_t> class Contender>
void batch_items(const char* name) {
  two_threads<Contender<word, 1024>>("u64_1024_batch32", name, batches<Contender<word, 1024>>);
  two_threads<Contender<line, 1024>>("line64_1024_batch32", name, batches<Contender<line, 1024>>);
}

[[maybe_unused]] const bool registered = [] {
  single_items<ours>("holdfast");
  batch_items<ours>("holdfast");
  single_items<ours_sized>("holdfast_sized");
  batch_items<ours_sized>("holdfast_sized");
  single_items<ours_watched>("holdfast_watched");
  single_items<ours_spaced>("holdfast_spaced");
  batch_items<ours_spaced>("holdfast_spaced");
  single_items<ours_in_slots>("holdfast_slots");
  batch_items<ours_in_slots>("holdfast_slots");
  two_threads<ours<word, 1024>>("u64_1024_batch32", "holdfast_in_place", batches_in_place<ours<word, 1024>>);
  two_threads<ours<line, 1024>>("line64_1024_batch32", "holdfast_in_place", batches_in_place<ours<line, 1024>>);
#if HAS_BOOST
  single_items<boost_run_time>("boost");
  batch_items<boost_run_time>("boost");
  single_items<boost_compile_time>("boost_fixed");
  batch_items<boost_compile_time>("boost_fixed");
#endif
#if HAS_MOODYCAMEL
  single_items<moodycamel_rwq>("moodycamel_rwq");
#endif
  two_threads<two_lines>("u64_1024_round_trip", "floor_two_lines", round_trip_floor);
  return true;
}();

}  // namespace
