// SPDX-License-Identifier: MIT
// event_ring beside what people write: a std::mutex around a std::deque that is bounded, numbers its events and counts what it
// drops. Its drain takes the whole deque out under the lock and reads it without.
//
// 32 events are one iteration of a sample; then the first thread drains. So an event's time is that of publishing it and of
// its share of the drain. Where the ring is full nobody drains. The loops are tight and the lines warm: these are costs of
// throughput. What neither shows is a publisher that is stopped inside: it holds the mutex, and nothing of the ring
// (model/mpmc_lockfree_queue_model.cpp; the stall suite has the queue).
#include <cstdint>
#include <deque>
#include <mutex>

#include "holdfast/telemetry/event_ring.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
using holdfast::event;
using holdfast::event_type;

constexpr int batch = 32;
constexpr std::size_t capacity = 1024;

// ---- the contenders

struct ours {
  holdfast::event_ring<capacity> ring;
  [[gnu::always_inline]] bool publish(const event& e) noexcept { return ring.publish(e); }
  template <class Function>
  void drain(Function&& fn) {
    ring.drain(fn);
  }
};

class mutex_ring {
 public:
  bool publish(event e) {
    const std::lock_guard lock(mutex_);
    e.seq = ++last_;
    if (waiting_.size() == capacity) {
      ++dropped_;
      return false;
    }
    waiting_.push_back(e);
    return true;
  }
  template <class Function>
  void drain(Function&& fn) {
    {
      const std::lock_guard lock(mutex_);
      taken_.swap(waiting_);
    }
    for (const event& e : taken_) fn(e);
    taken_.clear();
  }

 private:
  std::mutex mutex_;
  std::deque<event> waiting_;
  std::uint64_t last_ = 0;
  std::uint64_t dropped_ = 0;
  std::deque<event> taken_;  // of who drains
};

// ---- the cases

template <class Contender>
void publish(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& ring = *bench::shared<Contender>::all[0];
  const bool drains = state.thread_index() == 0;
  event e{.object = 7, .type = event_type::first_of_program};
  std::uint64_t last = 0;
  std::uint64_t taken = 0;
  bool growing = true;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(e);
      benchmark::DoNotOptimize(ring.publish(e));
    }
    if (drains) {
      ring.drain([&](const event& one) noexcept {
        growing = growing && one.seq > last;
        last = one.seq;
        ++taken;
      });
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (!growing) bench::fail(state, "the numbers of events do not grow");
  if (state.threads() == 1 && taken != static_cast<std::uint64_t>(state.iterations()) * batch)
    bench::fail(state, "events were lost in a ring that had room");
}

template <class Contender>
void drop(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& ring = *bench::shared<Contender>::all[0];
  event e{.object = 7, .type = event_type::first_of_program};
  for (std::size_t i = 0; i < capacity; ++i) ring.publish(e);
  std::uint64_t published = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(e);
      published += ring.publish(e) ? 1U : 0U;
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (published != 0) bench::fail(state, "a full ring took an event");
}

// ---- the rows

template <class Contender>
void row(const char* test_case, const char* contender, void (*function)(benchmark::State&), int threads = 1) {
  bench::add("event_ring", test_case, contender, function)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  row<ours>("publish_1_thread", "holdfast", publish<ours>);
  row<mutex_ring>("publish_1_thread", "std_mutex", publish<mutex_ring>);
  row<ours>("publish_2_threads", "holdfast", publish<ours>, 2);
  row<mutex_ring>("publish_2_threads", "std_mutex", publish<mutex_ring>, 2);
  row<ours>("publish_when_full", "holdfast", drop<ours>);
  row<mutex_ring>("publish_when_full", "std_mutex", drop<mutex_ring>);
  return true;
}();

}  // namespace
