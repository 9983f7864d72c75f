// SPDX-License-Identifier: MIT
// waiting_queue beside the queues that one can sleep on.
//
//   holdfast                   waiting_queue of mpmc_queue: wait_push, wait_pop
//   holdfast_spsc              of spsc_queue
//   floor_mpmc, floor_spsc     the queue in it, by try_push and try_pop: what waiting adds where nobody waits
//   moodycamel_blocking        BlockingConcurrentQueue. It has no limit: its producers never wait
//   moodycamel_blocking_rwq    BlockingReaderWriterQueue, for one and one; no limit either
//   tbb                        oneTBB concurrent_bounded_queue, push and pop
//   std_condition              a ring, a std::mutex and two std::condition_variable
//
// In the pair one thread does both, so nobody ever waits: the price of being ready to wake somebody. In the others each
// producer pushes and each consumer pops as many items as the next, and whoever finds nothing to do sleeps as the contender
// has it; count and sum must be right.
#include <array>
#include <barrier>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/bench.hpp"

// The peers' code is held to its own warnings, not to ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#if __has_include(<concurrentqueue/blockingconcurrentqueue.h>)
#define HAS_MOODYCAMEL 1
#include <concurrentqueue/blockingconcurrentqueue.h>
#else
#define HAS_MOODYCAMEL 0
#endif
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#define HAS_MOODYCAMEL_RWQ 1
#include <readerwriterqueue/readerwriterqueue.h>
#else
#define HAS_MOODYCAMEL_RWQ 0
#endif
#if HAS_TBB  // by the build, as it must be linked
#include <oneapi/tbb/concurrent_queue.h>
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;

using word = std::uint64_t;
constexpr std::size_t capacity = 1024;

// ---- the contenders

template <class Queue>
struct ours {
  holdfast::waiting_queue<Queue> queue{};
  void push(word value) { static_cast<void>(queue.wait_push(std::move(value), holdfast::deadline::never())); }
  void pop(word& value) { static_cast<void>(queue.wait_pop(value, holdfast::deadline::never())); }
};
using ours_mpmc = ours<holdfast::mpmc_queue<word, capacity>>;
using ours_spsc = ours<holdfast::spsc_queue<word, capacity>>;

template <class Queue>
struct floor_of {
  Queue queue{};
  void push(word value) { static_cast<void>(static_cast<bool>(queue.try_push(value))); }
  void pop(word& value) { static_cast<void>(static_cast<bool>(queue.try_pop(value))); }
};

struct condition_ring {
  std::mutex mutex{};
  std::condition_variable item{};
  std::condition_variable room{};
  std::array<word, capacity> items{};
  std::size_t pushed = 0;
  std::size_t popped = 0;
  void push(word value) {
    {
      std::unique_lock lock(mutex);
      room.wait(lock, [this] { return pushed - popped < capacity; });
      items[pushed++ % capacity] = value;
    }
    item.notify_one();
  }
  void pop(word& value) {
    {
      std::unique_lock lock(mutex);
      item.wait(lock, [this] { return pushed != popped; });
      value = items[popped++ % capacity];
    }
    room.notify_one();
  }
};

#if HAS_MOODYCAMEL
struct moodycamel_blocking {
  moodycamel::BlockingConcurrentQueue<word> queue{capacity};
  void push(word value) { queue.enqueue(value); }
  void pop(word& value) { queue.wait_dequeue(value); }
};
#endif
#if HAS_MOODYCAMEL_RWQ
struct moodycamel_blocking_rwq {
  moodycamel::BlockingReaderWriterQueue<word> queue{capacity};
  void push(word value) { queue.enqueue(value); }
  void pop(word& value) { queue.wait_dequeue(value); }
};
#endif
#if HAS_TBB
struct tbb_bounded {
  tbb::concurrent_bounded_queue<word> queue{};
  tbb_bounded() { queue.set_capacity(capacity); }
  void push(word value) { queue.push(value); }
  void pop(word& value) { queue.pop(value); }
};
#endif

// ---- the cases

template <class Contender>
void pair(benchmark::State& state) {
  const bench::pinned pin(state);
  const auto contender = std::make_unique<Contender>();
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  word item = 0;
  for (auto _ : state) {
    contender->push(next);
    benchmark::ClobberMemory();
    contender->pop(item);
    wrong += item == next++ ? 0U : 1U;
  }
  if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
}

struct alignas(2 * holdfast::cache_line_size) tally {
  std::uint64_t sum = 0;
};

// What the threads of one sample share; made before they start.
template <class Contender, unsigned Sides>
struct sample {
  static inline std::unique_ptr<sample> now{};
  static void make(const benchmark::State&) { now = std::make_unique<sample>(); }
  static void drop(const benchmark::State&) { now.reset(); }

  Contender contender{};
  std::array<tally, Sides> popped{};  // each by its consumer; read by the first thread when all are done
  std::barrier<> begin{2 * Sides};
  std::barrier<> end{2 * Sides};
};

template <class Contender, unsigned Sides>
void sleeping_threads(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  auto& shared = *sample<Contender, Sides>::now;
  const auto index = static_cast<unsigned>(state.thread_index());
  const auto each = static_cast<std::uint64_t>(state.max_iterations);
  regime.mark();
  while (state.KeepRunningBatch(state.max_iterations)) {
    shared.begin.arrive_and_wait();
    if (index < Sides) {
      for (std::uint64_t i = 0; i < each; ++i) shared.contender.push(index * each + i + 1);
    } else {
      std::uint64_t sum = 0;
      word item = 0;
      for (std::uint64_t i = 0; i < each; ++i) {
        shared.contender.pop(item);
        sum += item;
      }
      shared.popped[index - Sides].sum = sum;
    }
    shared.end.arrive_and_wait();
  }
  if (index >= Sides) state.SetItemsProcessed(static_cast<std::int64_t>(each));
  regime.mark();
  regime.report();
  if (index != 0) return;
  std::uint64_t sum = 0;
  for (const tally& one : shared.popped) sum += one.sum;
  const std::uint64_t items = Sides * each;
  if (sum != items * (items + 1) / 2) bench::fail(state, "an item was lost or doubled");
}

// ---- the rows

template <class Contender, unsigned Sides>
void add(const char* test_case, const char* name) {
  bench::add("waiting", test_case, name, sleeping_threads<Contender, Sides>)
      ->Setup(sample<Contender, Sides>::make)
      ->Teardown(sample<Contender, Sides>::drop)
      ->Threads(2 * Sides);
}
template <class Contender>
void many(const char* name) {
  bench::add("waiting", "u64_1024_pair", name, pair<Contender>);
  add<Contender, 1>("u64_1024_1p1c_sleeping", name);
  add<Contender, 2>("u64_1024_2p2c_sleeping", name);
  add<Contender, 4>("u64_1024_4p4c_sleeping", name);
}

[[maybe_unused]] const bool registered = [] {
  many<ours_mpmc>("holdfast");
  bench::add("waiting", "u64_1024_pair", "floor_mpmc", pair<floor_of<holdfast::mpmc_queue<word, capacity>>>);
  bench::add("waiting", "u64_1024_pair", "holdfast_spsc", pair<ours_spsc>);
  bench::add("waiting", "u64_1024_pair", "floor_spsc", pair<floor_of<holdfast::spsc_queue<word, capacity>>>);
  add<ours_spsc, 1>("u64_1024_1p1c_sleeping", "holdfast_spsc");
  many<condition_ring>("std_condition");
#if HAS_MOODYCAMEL
  many<moodycamel_blocking>("moodycamel_blocking");
#endif
#if HAS_MOODYCAMEL_RWQ
  bench::add("waiting", "u64_1024_pair", "moodycamel_blocking_rwq", pair<moodycamel_blocking_rwq>);
  add<moodycamel_blocking_rwq, 1>("u64_1024_1p1c_sleeping", "moodycamel_blocking_rwq");
#endif
#if HAS_TBB
  many<tbb_bounded>("tbb");
#endif
  return true;
}();

}  // namespace
