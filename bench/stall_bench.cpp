// SPDX-License-Identifier: MIT
// Queues for many while one thread is stopped in the middle of a push, for good as far as the others can tell.
//
//   holdfast_lockfree      mpmc_lockfree_queue: nobody waits for the one that stopped
//   holdfast               mpmc_queue: consumers get no further than its slot
//   moodycamel             ConcurrentQueue: each producer has a queue of its own, so only its own items are held up
//   std_mutex              a ring behind a std::mutex, which the stopped thread holds
//
// oneTBB's concurrent_bounded_queue cannot be here: its try_pop waits in a loop for the push that was stopped.
//
// Two producers and two consumers on top of it push and pop for a time, and give way when refused; what is measured is how
// many items came through. `running` is the same with that thread not there at all. An item's move says when it happens
// inside the queue, so the stop is there and nowhere else; afterwards the thread goes on, and count and sum must be right.
#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "holdfast/core/atomic.hpp"
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
#if __has_include(<concurrentqueue/concurrentqueue.h>)
#define HAS_MOODYCAMEL 1
#include <concurrentqueue/concurrentqueue.h>
#else
#define HAS_MOODYCAMEL 0
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;

constexpr std::size_t capacity = 1024;
constexpr unsigned sides = 2;
constexpr std::chrono::milliseconds window(20);

// Where the stopped thread stands. It is moved on when the sample is over.
struct stop_sign {
  std::atomic<bool> reached{false};
  std::atomic<bool> over{false};
  void stand() {
    reached.store(true);
    reached.notify_all();
    over.wait(false);
  }
};

// A number; one with a sign stops whoever moves it the second time: the first one hands it to the queue.
class item {
 public:
  item() = default;
  explicit item(std::uint64_t number, stop_sign* sign = nullptr) : number_(number), sign_(sign) {}
  item(item&& other) noexcept : item(other.number_, nullptr) { pass(other); }
  item& operator=(item&& other) noexcept {
    number_ = other.number_;
    pass(other);
    return *this;
  }
  item(const item&) = delete;
  item& operator=(const item&) = delete;
  ~item() = default;
  [[nodiscard]] std::uint64_t number() const { return number_; }

 private:
  static void pass(item& other) noexcept {
    if (stop_sign* const sign = std::exchange(other.sign_, nullptr); sign != nullptr) [[unlikely]]
      sign->stand();
  }
  std::uint64_t number_ = 0;
  stop_sign* sign_ = nullptr;
};

// ---- the contenders

template <class Queue>
struct ours {
  Queue queue{};
  bool push(item& value) { return static_cast<bool>(queue.try_push(std::move(value))); }
  bool pop(item& value) { return static_cast<bool>(queue.try_pop(value)); }
};
using ours_mpmc = ours<holdfast::mpmc_queue<item, capacity>>;
using ours_lockfree = ours<holdfast::mpmc_lockfree_queue<item, capacity>>;

struct mutex_ring {
  std::mutex mutex{};
  std::array<item, capacity> items{};
  std::size_t pushed = 0;
  std::size_t popped = 0;
  bool push(item& value) {
    const std::unique_lock lock(mutex, std::try_to_lock);  // refused, so that the others can end
    if (!lock || pushed - popped == capacity) return false;
    items[pushed++ % capacity] = std::move(value);
    return true;
  }
  bool pop(item& value) {
    const std::unique_lock lock(mutex, std::try_to_lock);
    if (!lock || pushed == popped) return false;
    value = std::move(items[popped++ % capacity]);
    return true;
  }
};
#if HAS_MOODYCAMEL
struct moodycamel_queue {
  moodycamel::ConcurrentQueue<item> queue{capacity};
  bool push(item& value) { return queue.enqueue(std::move(value)); }
  bool pop(item& value) { return queue.try_dequeue(value); }
};
#endif

// ---- one sample

struct alignas(2 * holdfast::cache_line_size) tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
};

template <class Contender, bool Stopped>
struct sample {
  static inline std::unique_ptr<sample> now{};
  static void make(const benchmark::State&) {
    now = std::make_unique<sample>();
    if constexpr (Stopped) {
      now->stopped = std::thread([] {
        item one(1, &now->sign);
        while (!now->contender.push(one)) std::this_thread::yield();
      });
      now->sign.reached.wait(false);
    }
  }
  static void drop(const benchmark::State&) { now.reset(); }

  // After the timed loop: the thread goes on, and what is left comes out.
  bool whole() {
    tally in;
    tally out;
    if constexpr (Stopped) {
      sign.over.store(true);
      sign.over.notify_all();
      stopped.join();
      in = {1, 1};
    }
    item rest;
    while (contender.pop(rest)) {
      ++out.count;
      out.sum += rest.number();
    }
    for (const tally& one : pushed) in = {in.count + one.count, in.sum + one.sum};
    for (const tally& one : popped) out = {out.count + one.count, out.sum + one.sum};
    return in.count == out.count && in.sum == out.sum;
  }

  Contender contender{};
  stop_sign sign{};
  std::thread stopped{};
  std::array<tally, sides> pushed{};  // each by its thread; read by the first thread when all are done
  std::array<tally, sides> popped{};
  std::barrier<> begin{2 * sides};
  std::barrier<> end{2 * sides};
};

template <class Contender, bool Stopped>
void traffic(benchmark::State& state) {
  const bench::pinned pin(state);
  auto& shared = *sample<Contender, Stopped>::now;
  const auto index = static_cast<unsigned>(state.thread_index());
  const bool pushes = index < sides;
  tally mine;
  for (auto _ : state) {
    shared.begin.arrive_and_wait();
    const auto until = std::chrono::steady_clock::now() + window;
    item next;
    for (std::uint64_t round = 0; round % 256 != 0 || std::chrono::steady_clock::now() < until; ++round) {
      if (pushes) next = item(round);
      if (pushes ? shared.contender.push(next) : shared.contender.pop(next)) {
        ++mine.count;
        mine.sum += pushes ? round : next.number();
      } else {
        std::this_thread::yield();
      }
    }
    shared.end.arrive_and_wait();
  }
  if (!pushes) state.SetItemsProcessed(static_cast<std::int64_t>(mine.count));
  (pushes ? shared.pushed : shared.popped)[index % sides] = mine;
  shared.end.arrive_and_wait();
  if (index == 0 && !shared.whole()) bench::fail(state, "an item was lost or doubled");
}

template <class Contender>
void add(const char* name) {
  bench::add("stall", "item_1024_2p2c_stopped", name, traffic<Contender, true>)
      ->Setup(sample<Contender, true>::make)
      ->Teardown(sample<Contender, true>::drop)
      ->Threads(2 * sides);
  bench::add("stall", "item_1024_2p2c_running", name, traffic<Contender, false>)
      ->Setup(sample<Contender, false>::make)
      ->Teardown(sample<Contender, false>::drop)
      ->Threads(2 * sides);
}

[[maybe_unused]] const bool registered = [] {
  add<ours_lockfree>("holdfast_lockfree");
  add<ours_mpmc>("holdfast");
  add<mutex_ring>("std_mutex");
#if HAS_MOODYCAMEL
  add<moodycamel_queue>("moodycamel");
#endif
  return true;
}();

}  // namespace
