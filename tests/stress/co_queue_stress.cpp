// SPDX-License-Identifier: MIT
// Coroutines of several loops on the two sides of one small queue, and threads beside them: each item comes out once.
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/co_queue.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/event_sources.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/catch.hpp"

namespace {

using namespace holdfast;
namespace mo = holdfast::mo;

struct totals {
  atomic<std::uint64_t> sum{0};
  atomic<std::uint64_t> count{0};
  void add(std::uint64_t item) {
    sum.fetch_add(item, mo::relaxed);  // counter: read when all threads have been joined
    count.fetch_add(1, mo::relaxed);   // counter: as above
  }
};

template <class Queue>
task<> push_range(Queue& queue, run_loop& loop, std::uint64_t begin, std::uint64_t end, atomic<unsigned>& pushing) {
  for (std::uint64_t i = begin; i < end; ++i) {
    if (!co_await co_push(queue, std::uint64_t{i}, loop)) co_return;
  }
  // [1] acq_rel, pairs with [1]: the last one closes behind all of them
  if (pushing.fetch_sub(1, mo::acq_rel) == 1) queue.close();
}
template <class Queue>
task<> pop_all(Queue& queue, run_loop& loop, totals& into) {
  for (std::uint64_t item = 0; co_await co_pop(queue, item, loop);) into.add(item);
}

// So many coroutines of a loop of their own on each side of the queue.
template <class Queue>
void there_and_over(unsigned producers, unsigned consumers, unsigned sleeping_threads, std::uint64_t each) {
  const auto queue = std::make_unique<Queue>();
  totals out;
  atomic<unsigned> pushing{producers};
  // They outlive the threads: who tells a coroutine is in its loop for a moment longer than that one may take.
  std::array<run_loop, 2> loops;
  const auto in_a_loop = [](run_loop& loop, unsigned count, auto begin) {
    std::vector<mark> ended(count);
    for (unsigned i = 0; i < count; ++i) spawn(loop, begin(loop, i), ended[i]);
    for (mark& one : ended) loop.run_until([&one] { return one.was_run(); });
  };
  std::thread pushes([&] {
    in_a_loop(loops[0], producers, [&](run_loop& loop, unsigned i) {
      return push_range(*queue, loop, i * each + 1, (i + 1) * each + 1, pushing);
    });
  });
  std::thread pops(
      [&] { in_a_loop(loops[1], consumers, [&](run_loop& loop, unsigned) { return pop_all(*queue, loop, out); }); });
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < sleeping_threads; ++i) {
    threads.emplace_back([&] {
      if constexpr (requires(std::uint64_t & item) { queue->wait_pop(item, deadline::never()); }) {
        for (std::uint64_t item = 0; queue->wait_pop(item, deadline::never());) out.add(item);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  pushes.join();
  pops.join();
  const std::uint64_t items = producers * each;
  CHECK(out.count.load(mo::relaxed) == items);
  CHECK(out.sum.load(mo::relaxed) == items * (items + 1) / 2);
}

}  // namespace

TEST_CASE("co_queue: one coroutine on each side of an spsc_queue", "[co_queue]") {
  there_and_over<waiting_queue<spsc_queue<std::uint64_t, 4>, waiter_set<>, waiter_set<>>>(1, 1, 0, 50'000);
}

TEST_CASE("co_queue: more coroutines on each side than their sets have places", "[co_queue]") {
  there_and_over<waiting_queue<mpmc_queue<std::uint64_t, 4>, waiter_set<64, 2>, waiter_set<64, 2>>>(4, 4, 0, 2'000);
}

TEST_CASE("co_queue: coroutines push, coroutines and threads pop", "[co_queue]") {
  using both = event_sources<event_count, waiter_set<>>;
  there_and_over<waiting_queue<mpmc_queue<std::uint64_t, 4>, both, waiter_set<>>>(3, 3, 2, 10'000);
}

// What was asked to stop is told so while it is being told of items: it takes its item or none, and the others go on.
TEST_CASE("co_queue: stops from another thread, at any moment", "[co_queue]") {
  using queue = waiting_queue<mpmc_queue<std::uint64_t, 4>, waiter_set<>, waiter_set<>>;
  constexpr std::uint64_t items = 5'000;
  queue q;
  run_loop loop;
  totals out;
  atomic<bool> over{false};
  // The one that is asked to stop, again and again; a mutex guards which it is.
  std::mutex guards;
  std::stop_source current;
  struct stopped {
    static task<> pop(queue& from, run_loop& where, totals& into, atomic<bool>& over, std::mutex& guards,
                      std::stop_source& current) {
      for (;;) {
        std::stop_token token;
        {
          const std::lock_guard lock(guards);
          current = std::stop_source();
          token = current.get_token();
        }
        std::uint64_t item = 0;
        const queue_result answer = co_await co_pop(from, item, where, std::move(token));
        if (answer) into.add(item);
        if (answer == queue_op_status::closed) break;
      }
      over.store(true, mo::release);  // [2] release, pairs with [3]: nobody is to be stopped any more
    }
  };
  std::thread pops([&] {
    std::array<mark, 3> ended;
    spawn(loop, stopped::pop(q, loop, out, over, guards, current), ended[0]);
    for (std::size_t i = 1; i < ended.size(); ++i) spawn(loop, pop_all(q, loop, out), ended[i]);
    for (const mark& one : ended) loop.run_until([&one] { return one.was_run(); });
  });
  std::thread stops([&] {
    while (!over.load(mo::acquire)) {  // [3] acquire, pairs with [2]
      std::stop_source now;
      {
        const std::lock_guard lock(guards);
        now = current;
      }
      now.request_stop();
      std::this_thread::yield();
    }
  });
  for (std::uint64_t i = 1; i <= items; ++i) {
    while (!q.try_push(std::uint64_t{i})) std::this_thread::yield();
    if (i % 8 == 0) std::this_thread::yield();  // so that they wait
  }
  q.close();
  pops.join();
  stops.join();
  CHECK(out.count.load(mo::relaxed) == items);
  CHECK(out.sum.load(mo::relaxed) == items * (items + 1) / 2);
}
