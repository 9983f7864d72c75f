// SPDX-License-Identifier: MIT
// mpmc_queue beside the queues for many threads that Debian packages. All of them are bounded: whoever finds one full waits.
//
//   boost, boost_fixed         Boost.Lockfree queue, by bounded_push, capacity at run time and at compile time
//   moodycamel_implicit        ConcurrentQueue without tokens and with them, bounded by MAX_SUBQUEUE_SIZE. It is a queue a
//   moodycamel_tokens          producer: each of them holds up to the whole capacity, so all together more than ours, and
//                              the items of two producers come out in any order. Not by try_enqueue, which never allocates:
//                              four producers of batches got stuck with it for ever, once in some hundred samples
//   tbb                        oneTBB concurrent_bounded_queue, try_push and try_pop
//   xenium_vyukov_strong/weak  xenium vyukov_bounded_queue; strong waits inside for another thread's operation
//   xenium_nikolaev            xenium nikolaev_bounded_queue (SCQ, lock-free), where xenium is later than Debian 12's
//   libcds_vyukov              libcds VyukovMPMCCycleQueue, which waits inside as well
//   std_mutex                  a ring and a std::mutex
//
// holdfast_fan_in has a lane of 1024 a producer, as moodycamel_tokens has a queue of that size, and gives the items of two
// producers in any order, too. The lanes of holdfast_fan_in_256 hold 1024 items all together, as the other queues do.
//
// moodycamel_tokens_unbounded is no bounded queue: its producers never wait, it allocates as it grows. It has rows where the
// bounded one has, to show what the bound costs.
//
// The threads of a sample wait for each other inside the timed loop, before and after, so its time is from the first
// operation to the last of all, also where they are more than the cores. Half of the producers and half of the consumers go
// to either core. Producers fetch 64 numbers at a time from one counter and consumers take what they get until nothing can
// come any more, so that all have work until the end, however the system divides its time. Then every number must have
// come, once. Who is done before others waits awake: a core that sleeps would make the sample look like a disturbed one.
#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/fan_in.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"

#include "support/bench.hpp"

// The peers' code is held to its own warnings, not to ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wstringop-overflow"  // g++ 12 -O2 takes a block that cannot be null for null
#endif
#if __has_include(<boost/lockfree/queue.hpp>)
#define HAS_BOOST 1
#include <boost/lockfree/queue.hpp>
#else
#define HAS_BOOST 0
#endif
#if __has_include(<concurrentqueue/concurrentqueue.h>)
#define HAS_MOODYCAMEL 1
#include <concurrentqueue/concurrentqueue.h>
#else
#define HAS_MOODYCAMEL 0
#endif
#if __has_include(<xenium/vyukov_bounded_queue.hpp>)
#define HAS_XENIUM 1
#include <xenium/vyukov_bounded_queue.hpp>
#else
#define HAS_XENIUM 0
#endif
#if __has_include(<xenium/nikolaev_bounded_queue.hpp>)
#define HAS_XENIUM_NIKOLAEV 1
#include <xenium/nikolaev_bounded_queue.hpp>
#else
#define HAS_XENIUM_NIKOLAEV 0
#endif
#if __has_include(<cds/container/vyukov_mpmc_cycle_queue.h>)
#define HAS_LIBCDS 1
#include <cds/container/vyukov_mpmc_cycle_queue.h>
#else
#define HAS_LIBCDS 0
#endif
#if HAS_TBB  // by the build, as it must be linked
#include <oneapi/tbb/concurrent_queue.h>
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;

using word = std::uint64_t;
constexpr std::size_t capacity = 1024;
constexpr std::size_t batch = 32;

// ---- the contenders. Each has a producer and a consumer, which a thread makes for itself.

// For a queue whose threads need nothing of their own.
template <class Queue>
struct through {
  Queue& queue;
  explicit through(Queue& shared) : queue(shared) {}
  bool push(word value) { return queue.push(value); }
  bool pop(word& value) { return queue.pop(value); }
  std::size_t push(std::span<const word> values) { return queue.push(values); }
  std::size_t pop(std::span<word> values) { return queue.pop(values); }
};
template <class Derived>
struct without_tokens {
  using producer = through<Derived>;
  using consumer = through<Derived>;
};

template <class Queue>
struct ours : without_tokens<ours<Queue>> {
  Queue queue{};
  bool push(word value) { return static_cast<bool>(queue.try_push(value)); }
  bool pop(word& value) { return static_cast<bool>(queue.try_pop(value)); }
  std::size_t push(std::span<const word> values) { return queue.try_push(values); }
  std::size_t pop(std::span<word> values) { return queue.try_pop(values); }
};
using mpmc = ours<holdfast::mpmc_queue<word, capacity>>;
using mpsc = ours<holdfast::mpsc_queue<word, capacity>>;
using spmc = ours<holdfast::spmc_queue<word, capacity>>;
using lockfree = ours<holdfast::mpmc_lockfree_queue<word, capacity>>;

template <std::size_t LaneCapacity>
struct ours_in_lanes {
  static constexpr std::size_t lanes = 4;
  using queue_type = holdfast::fan_in<word, lanes, LaneCapacity>;
  queue_type queue{};
  struct producer {
    typename queue_type::producer lane;
    explicit producer(ours_in_lanes& shared) : lane(std::move(*shared.queue.join())) {}
    bool push(word value) { return lane.try_push(value); }
  };
  struct consumer {
    queue_type& queue;
    explicit consumer(ours_in_lanes& shared) : queue(shared.queue) {}
    bool pop(word& value) { return queue.try_pop(value); }
  };
};

struct mutex_ring : without_tokens<mutex_ring> {
  std::mutex mutex{};
  std::array<word, capacity> items{};
  std::size_t pushed = 0;
  std::size_t popped = 0;
  std::size_t push(std::span<const word> values) {
    const std::lock_guard lock(mutex);
    const std::size_t count = std::min(values.size(), capacity - (pushed - popped));
    for (std::size_t i = 0; i < count; ++i) items[pushed++ % capacity] = values[i];
    return count;
  }
  std::size_t pop(std::span<word> values) {
    const std::lock_guard lock(mutex);
    const std::size_t count = std::min(values.size(), pushed - popped);
    for (std::size_t i = 0; i < count; ++i) values[i] = items[popped++ % capacity];
    return count;
  }
  bool push(word value) { return push(std::span<const word>(&value, 1)) == 1; }
  bool pop(word& value) { return pop(std::span(&value, 1)) == 1; }
};

#if HAS_BOOST
struct boost_run_time : without_tokens<boost_run_time> {
  boost::lockfree::queue<word> queue{capacity};
  bool push(word value) { return queue.bounded_push(value); }
  bool pop(word& value) { return queue.pop(value); }
};
struct boost_compile_time : without_tokens<boost_compile_time> {
  boost::lockfree::queue<word, boost::lockfree::capacity<capacity>> queue{};
  bool push(word value) { return queue.bounded_push(value); }
  bool pop(word& value) { return queue.pop(value); }
};
#endif

#if HAS_MOODYCAMEL
constexpr std::size_t most_producers = 4;
struct bounded_traits : moodycamel::ConcurrentQueueDefaultTraits {
  static constexpr std::size_t MAX_SUBQUEUE_SIZE = capacity;
};
struct moodycamel_implicit : without_tokens<moodycamel_implicit> {
  moodycamel::ConcurrentQueue<word, bounded_traits> queue{2 * capacity, 0, most_producers};
  bool push(word value) { return queue.enqueue(value); }
  bool pop(word& value) { return queue.try_dequeue(value); }
  std::size_t push(std::span<const word> values) {
    return queue.enqueue_bulk(values.data(), values.size()) ? values.size() : 0;
  }
  std::size_t pop(std::span<word> values) { return queue.try_dequeue_bulk(values.data(), values.size()); }
};
template <class Traits>
struct moodycamel_with_tokens {
  using queue_type = moodycamel::ConcurrentQueue<word, Traits>;
  queue_type queue{2 * capacity, most_producers, 0};
  struct producer {
    queue_type& queue;
    moodycamel::ProducerToken token;
    explicit producer(moodycamel_with_tokens& shared) : queue(shared.queue), token(queue) {}
    bool push(word value) { return queue.enqueue(token, value); }
    std::size_t push(std::span<const word> values) {
      return queue.enqueue_bulk(token, values.data(), values.size()) ? values.size() : 0;
    }
  };
  struct consumer {
    queue_type& queue;
    moodycamel::ConsumerToken token;
    explicit consumer(moodycamel_with_tokens& shared) : queue(shared.queue), token(queue) {}
    bool pop(word& value) { return queue.try_dequeue(token, value); }
    std::size_t pop(std::span<word> values) { return queue.try_dequeue_bulk(token, values.data(), values.size()); }
  };
};
using moodycamel_tokens = moodycamel_with_tokens<bounded_traits>;
using moodycamel_unbounded = moodycamel_with_tokens<moodycamel::ConcurrentQueueDefaultTraits>;
#endif

#if HAS_TBB
struct tbb_bounded : without_tokens<tbb_bounded> {
  tbb::concurrent_bounded_queue<word> queue{};
  tbb_bounded() { queue.set_capacity(capacity); }
  bool push(word value) { return queue.try_push(value); }
  bool pop(word& value) { return queue.try_pop(value); }
};
#endif

#if HAS_XENIUM
template <bool Weak>
struct xenium_vyukov : without_tokens<xenium_vyukov<Weak>> {
  xenium::vyukov_bounded_queue<word, xenium::policy::default_to_weak<Weak>> queue{capacity};
  bool push(word value) { return queue.try_push(value); }
  bool pop(word& value) { return queue.try_pop(value); }
};
#endif
#if HAS_XENIUM_NIKOLAEV
struct xenium_nikolaev : without_tokens<xenium_nikolaev> {
  xenium::nikolaev_bounded_queue<word> queue{capacity};
  bool push(word value) { return queue.try_push(value); }
  bool pop(word& value) { return queue.try_pop(value); }
};
#endif
#if HAS_LIBCDS
struct libcds_vyukov : without_tokens<libcds_vyukov> {
  cds::container::VyukovMPMCCycleQueue<word> queue{capacity};
  bool push(word value) { return queue.enqueue(value); }
  bool pop(word& value) { return queue.dequeue(value); }
};
#endif

// ---- what the threads of one sample share; made before they start

struct alignas(2 * holdfast::cache_line_size) tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::vector<std::uint32_t> calls_ns{};  // how long the sampled calls took
};

template <class Contender, unsigned Producers, unsigned Consumers>
struct sample {
  static inline std::unique_ptr<sample> now{};
  static void make(const benchmark::State&) { now = std::make_unique<sample>(); }
  static void drop(const benchmark::State&) { now.reset(); }

  Contender queue{};
  std::array<tally, Producers + Consumers> tallies{};  // each by its thread; read by the first when all are done
  std::barrier<> begin{Producers + Consumers};
  alignas(2 * holdfast::cache_line_size) holdfast::atomic<std::uint64_t> next{0};  // what is not fetched yet
  alignas(2 * holdfast::cache_line_size) holdfast::atomic<unsigned> producing{Producers};
  holdfast::atomic<unsigned> working{Producers + Consumers};

  // Nobody's time ends before the last one's work does.
  void wait_for_all() {
    // counter: what the threads leave is read behind a barrier of Google Benchmark
    working.fetch_sub(1, mo::relaxed);
    bench::waiter wait(bench::waiter::manner::crowded);
    // counter: as above
    while (working.load(mo::relaxed) != 0 && !wait.in_vain()) wait();
  }
};

template <class Attempt>
bool until(Attempt attempt, bench::waiter::manner how) {
  bench::waiter wait(how);
  while (!attempt()) {
    if (wait.in_vain()) return false;
    wait();
  }
  return true;
}

// One call in 64 is timed: those alone that did what they should, each by itself.
constexpr std::uint64_t portion = 64;
template <class Call>
bool timed(Call call, std::vector<std::uint32_t>& calls_ns) {
  const auto begin = std::chrono::steady_clock::now();
  if (!call()) return false;
  const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - begin;
  if (calls_ns.size() < calls_ns.capacity())
    calls_ns.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(spent.count(), UINT32_MAX)));
  return true;
}
double percentile_999(std::span<tally> tallies) {
  std::vector<std::uint32_t> all;
  for (const tally& one : tallies) all.insert(all.end(), one.calls_ns.begin(), one.calls_ns.end());
  if (all.empty()) return 0;
  const auto at = all.begin() + static_cast<std::ptrdiff_t>((all.size() * 999 + 999) / 1000 - 1);
  std::nth_element(all.begin(), at, all.end());
  return *at;
}

// ---- the cases

// How a producer hands over its numbers: one by one, one by one with some calls timed, or 32 at a time.
enum class hand : std::uint8_t { single, single_timed, batches };

template <hand Hand, class Producer, class Shared>
bool produce(Producer& producer, Shared& shared, std::uint64_t total, bench::waiter::manner how, tally& mine) {
  for (;;) {
    // counter: gives out each number once
    std::uint64_t n = shared.next.fetch_add(portion, mo::relaxed);
    if (n >= total) return true;
    const std::uint64_t end = std::min(n + portion, total);
    if constexpr (Hand == hand::batches) {
      std::array<word, batch> items{};
      while (n < end) {
        for (auto& item : items) item = ++n;
        bench::waiter wait(how);
        for (std::size_t done = 0; done < batch;) {
          const std::size_t pushed = producer.push(std::span<const word>(items).subspan(done));
          done += pushed;
          if (pushed == 0) wait();
          if (wait.in_vain()) return false;
        }
      }
    } else {
      const auto push = [&] { return producer.push(n + 1); };
      if constexpr (Hand == hand::single_timed) {
        if (!until([&] { return timed(push, mine.calls_ns); }, how)) return false;
        ++n;
      }
      for (; n < end; ++n) {
        if (!until(push, how)) return false;
      }
    }
  }
}

template <hand Hand, class Consumer>
void consume(Consumer& consumer, const holdfast::atomic<unsigned>& producing, bench::waiter::manner how, tally& mine) {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  [[maybe_unused]] std::array<word, batch> items{};
  const auto pop = [&]() -> bool {
    if constexpr (Hand == hand::batches) {
      const std::size_t popped = consumer.pop(std::span(items));
      for (std::size_t i = 0; i < popped; ++i) sum += items[i];
      count += popped;
      return popped != 0;
    } else {
      if (!consumer.pop(items[0])) return false;
      sum += items[0];
      ++count;
      return true;
    }
  };
  const auto pop_timed = [&] { return timed(pop, mine.calls_ns); };
  // Bounded, as the producers are.
  for (bool over = false; !over;) {
    const bool time_it = Hand == hand::single_timed && count % portion == 0;
    bench::waiter wait(how);
    while (!(time_it ? pop_timed() : pop())) {
      // [P2] acquire, pairs with [P1]: whatever was pushed is seen, so another empty look means that nothing is left
      if (producing.load(mo::acquire) == 0) {
        over = !pop();
        break;
      }
      wait();
    }
  }
  mine.count = count;
  mine.sum = sum;
}

template <class Contender, unsigned Producers, unsigned Consumers, hand Hand, bool Eager>
void many_threads(benchmark::State& state) {
  const bench::pinned pin(state);
  const auto how = Eager ? bench::waiter::manner::eager : bench::manner_for(state);
  bench::regime regime(state);
  auto& shared = *sample<Contender, Producers, Consumers>::now;
  const auto index = static_cast<unsigned>(state.thread_index());
  const std::uint64_t total =
      static_cast<std::uint64_t>(state.max_iterations) * (Hand == hand::batches ? batch : 1) * Producers;
  tally& mine = shared.tallies[index];
  if constexpr (Hand == hand::single_timed)
    mine.calls_ns.reserve(std::min<std::uint64_t>(total / portion + 1, 1U << 16));
  regime.mark();
  if (index < Producers) {
    typename Contender::producer producer(shared.queue);
    while (state.KeepRunningBatch(state.max_iterations)) {
      shared.begin.arrive_and_wait();
      static_cast<void>(produce<Hand>(producer, shared, total, how, mine));
      // [P1] release, pairs with [P2]: all that this producer pushed
      shared.producing.fetch_sub(1, mo::release);
      shared.wait_for_all();
    }
  } else {
    typename Contender::consumer consumer(shared.queue);
    while (state.KeepRunningBatch(state.max_iterations)) {
      shared.begin.arrive_and_wait();
      consume<Hand>(consumer, shared.producing, how, mine);
      shared.wait_for_all();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(mine.count));
  }
  regime.mark();
  regime.report();
  if (index != 0) return;
  const std::span<tally> all(shared.tallies);
  std::uint64_t popped = 0;
  std::uint64_t sum = 0;
  for (const tally& one : all) {
    popped += one.count;
    sum += one.sum;
  }
  if (popped != total || sum != total * (total + 1) / 2)
    bench::fail(state, "an item was lost or doubled, or a producer waited in vain");
  if constexpr (Hand == hand::single_timed) {
    state.counters["p999_push_ns"] = percentile_999(all.first(Producers));
    state.counters["p999_pop_ns"] = percentile_999(all.subspan(Producers));
  }
}

template <class Contender>
struct two_queues {
  static inline std::unique_ptr<two_queues> now{};
  static void make(const benchmark::State&) { now = std::make_unique<two_queues>(); }
  static void drop(const benchmark::State&) { now.reset(); }
  Contender there{};
  Contender back{};
};

template <class Contender>
void round_trip(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  auto& queues = *two_queues<Contender>::now;
  const bool first = state.thread_index() == 0;
  typename Contender::producer ask(first ? queues.there : queues.back);
  typename Contender::consumer answer(first ? queues.back : queues.there);
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  word item = 0;
  const auto push = [&] { return ask.push(next); };
  const auto pop = [&] { return answer.pop(item); };
  constexpr auto eager = bench::waiter::manner::eager;
  regime.mark();
  if (first) {
    for (auto _ : state) {
      if (wrong == 0) wrong += until(push, eager) && until(pop, eager) && item == next ? 0U : 1U;
      ++next;
    }
  } else {
    for (auto _ : state) {
      if (wrong == 0) wrong += until(pop, eager) && item == next && until(push, eager) ? 0U : 1U;
      ++next;
    }
  }
  regime.mark();
  if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
  regime.report();
}

template <class Contender>
void pair(benchmark::State& state) {
  const bench::pinned pin(state);
  const auto queue = std::make_unique<Contender>();
  typename Contender::producer producer(*queue);
  typename Contender::consumer consumer(*queue);
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  word item = 0;
  for (auto _ : state) {
    wrong += producer.push(next) ? 0U : 1U;
    benchmark::ClobberMemory();
    wrong += consumer.pop(item) && item == next++ ? 0U : 1U;
  }
  if (wrong != 0) bench::fail(state, "an item was lost, doubled or out of order");
}

// ---- the rows

template <class Contender, unsigned Producers, unsigned Consumers, hand Hand = hand::single, bool Eager = false>
void add(const char* test_case, const char* contender) {
  using shared = sample<Contender, Producers, Consumers>;
  bench::add("mpmc_queue", test_case, contender, many_threads<Contender, Producers, Consumers, Hand, Eager>)
      ->Setup(shared::make)
      ->Teardown(shared::drop)
      ->Threads(Producers + Consumers);
}

template <class Contender>
void single_items(const char* name) {
  add<Contender, 1, 1>("u64_1024_1p1c", name);
  add<Contender, 2, 2>("u64_1024_2p2c", name);
  add<Contender, 1, 1, hand::single, true>("u64_1024_1p1c_eager", name);
  add<Contender, 4, 4, hand::single_timed>("u64_1024_4p4c", name);
  add<Contender, 4, 1>("u64_1024_4p1c", name);
  add<Contender, 1, 4>("u64_1024_1p4c", name);
  bench::add("mpmc_queue", "u64_1024_round_trip", name, round_trip<Contender>)
      ->Setup(two_queues<Contender>::make)
      ->Teardown(two_queues<Contender>::drop)
      ->Threads(2);
  bench::add("mpmc_queue", "u64_1024_pair", name, pair<Contender>);
}
template <class Contender>
void batch_items(const char* name) {
  add<Contender, 2, 2, hand::batches>("u64_1024_batch32_2p2c", name);
  add<Contender, 4, 4, hand::batches>("u64_1024_batch32_4p4c", name);
}

[[maybe_unused]] const bool registered = [] {
  single_items<mpmc>("holdfast");
  batch_items<mpmc>("holdfast");
  add<mpsc, 4, 1>("u64_1024_4p1c", "holdfast_mpsc");
  add<ours_in_lanes<capacity>, 4, 1>("u64_1024_4p1c", "holdfast_fan_in");
  add<ours_in_lanes<capacity / 4>, 4, 1>("u64_1024_4p1c", "holdfast_fan_in_256");
  add<spmc, 1, 4>("u64_1024_1p4c", "holdfast_spmc");
  single_items<lockfree>("holdfast_lockfree");
  single_items<mutex_ring>("std_mutex");
  batch_items<mutex_ring>("std_mutex");
#if HAS_BOOST
  single_items<boost_run_time>("boost");
  single_items<boost_compile_time>("boost_fixed");
#endif
#if HAS_MOODYCAMEL
  single_items<moodycamel_implicit>("moodycamel_implicit");
  batch_items<moodycamel_implicit>("moodycamel_implicit");
  single_items<moodycamel_tokens>("moodycamel_tokens");
  batch_items<moodycamel_tokens>("moodycamel_tokens");
  single_items<moodycamel_unbounded>("moodycamel_tokens_unbounded");
  batch_items<moodycamel_unbounded>("moodycamel_tokens_unbounded");
#endif
#if HAS_TBB
  single_items<tbb_bounded>("tbb");
#endif
#if HAS_XENIUM
  single_items<xenium_vyukov<false>>("xenium_vyukov_strong");
  single_items<xenium_vyukov<true>>("xenium_vyukov_weak");
#endif
#if HAS_XENIUM_NIKOLAEV
  single_items<xenium_nikolaev>("xenium_nikolaev");
#endif
#if HAS_LIBCDS
  single_items<libcds_vyukov>("libcds_vyukov");
#endif
  return true;
}();

}  // namespace
