// SPDX-License-Identifier: MIT
// waiting_queue: threads that sleep, threads that give up early, and coroutines on loops of their own, on the two sides of one
// small queue, until the last producer closes it: each item comes out once, and nobody sleeps on when the end has come.
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "holdfast/exec/co_queue.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/event_sources.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::deadline;
using holdfast::mark;
using holdfast::run_loop;
using holdfast::task;

// Few looks, so that most waits end asleep.
struct sleepy : holdfast::event_count {
  sleepy() : holdfast::basic_event_count<>(holdfast::before_sleep{.pauses = 4, .yields = 0}) {}
};
using threads_and_coroutines = holdfast::event_sources<sleepy, holdfast::waiter_set<64, 2>>;

struct alignas(64) tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
};

// Who is on a side: threads that sleep until it goes on, threads that give up after a moment and try again, coroutines.
enum class manner : std::uint8_t { sleeps, gives_up, coroutine };

deadline how_long(manner how) {
  return how == manner::sleeps ? deadline::never()
                               : deadline::after(holdfast::steady_clock::now(), std::chrono::microseconds(20));
}

template <class Queue>
class traffic {
  static constexpr unsigned sides = Queue::producers == holdfast::callers::many ? 3 : 1;

 public:
  traffic(run& r, std::uint64_t first, std::uint64_t each, manner producers, manner consumers)
      : run_(r), queue_(std::make_unique<Queue>(first)), each_(each), producers_(producers), consumers_(consumers) {}

  void play() {
    std::vector<std::function<void()>> bodies;
    add(
        bodies, producers_, [this](unsigned i) { push_all(i); },
        [this](run_loop& loop, unsigned i) { return co_push_all(loop, i); });
    add(
        bodies, consumers_, [this](unsigned i) { pop_all(i); },
        [this](run_loop& loop, unsigned i) { return co_pop_all(loop, i); });
    together(bodies);
    tally in;
    tally out;
    for (const tally& one : pushed_) in = {in.count + one.count, in.sum + one.sum};
    for (const tally& one : popped_) out = {out.count + one.count, out.sum + one.sum};
    run_.expect(out.count == in.count && out.sum == in.sum, "an item was lost, or came twice");
    run_.did(2 * in.count);
  }

 private:
  // Threads one by one, or one thread with a coroutine for each.
  template <class Thread, class Coroutine>
  void add(std::vector<std::function<void()>>& bodies, manner how, Thread thread, Coroutine coroutine) {
    if (how != manner::coroutine) {
      for (unsigned i = 0; i < sides; ++i) bodies.emplace_back([thread, i] { thread(i); });
      return;
    }
    run_loop& loop = how_many_loops_++ == 0 ? loops_[0] : loops_[1];
    bodies.emplace_back([coroutine, &loop] {
      std::array<mark, sides> ended;
      for (unsigned i = 0; i < sides; ++i) spawn(loop, coroutine(loop, i), ended[i]);
      for (const mark& one : ended) loop.run_until([&one] { return one.was_run(); });
    });
  }

  [[nodiscard]] std::uint64_t item(unsigned i, std::uint64_t which) const {
    return which * sides + i + (run_.sabotage() && i == 0 && which == each_ / 2 ? sides : 0);
  }
  void took(tally& mine, std::uint64_t value) {
    ++mine.count;
    mine.sum += value;
  }
  // [S1] acq_rel, pairs with [S1]: the last one closes after all have pushed
  void pushed_all() {
    if (still_pushing_.fetch_sub(1, mo::acq_rel) == 1) queue_->close();
  }

  void push_all(unsigned i) {
    for (std::uint64_t which = 0; which < each_ && !run_.time_is_over();) {
      if (!queue_->wait_push(item(i, which), how_long(producers_))) continue;
      took(pushed_[i], which * sides + i);
      ++which;
    }
    pushed_all();
  }
  void pop_all(unsigned i) {
    std::uint64_t out = 0;
    for (;;) {
      const holdfast::queue_result answer = queue_->wait_pop(out, how_long(consumers_));
      if (answer) {
        took(popped_[i], out);
      } else if (answer == holdfast::queue_op_status::closed) {
        return;
      }
    }
  }
  task<> co_push_all(run_loop& loop, unsigned i) {
    for (std::uint64_t which = 0; which < each_ && !run_.time_is_over(); ++which) {
      if (!co_await co_push(*queue_, item(i, which), loop)) break;
      took(pushed_[i], which * sides + i);
    }
    pushed_all();
  }
  task<> co_pop_all(run_loop& loop, unsigned i) {
    for (std::uint64_t out = 0; co_await co_pop(*queue_, out, loop);) took(popped_[i], out);
  }

  run& run_;
  std::unique_ptr<Queue> queue_;
  std::uint64_t each_;
  manner producers_;
  manner consumers_;
  std::array<tally, sides> pushed_{};
  std::array<tally, sides> popped_{};
  holdfast::atomic<unsigned> still_pushing_{sides};
  // They outlive the threads: who tells a coroutine is in its loop for a moment longer than that one may take.
  std::array<run_loop, 2> loops_;
  unsigned how_many_loops_ = 0;
};

}  // namespace

void play_waiting(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    // Each manner against each, over each queue; and so that the positions pass 2^32 or 2^64 in the middle of the round.
    const auto producers = static_cast<manner>(kind % 3);
    const auto consumers = static_cast<manner>(kind / 3 % 3);
    const std::uint64_t starts[] = {0, (std::uint64_t{1} << 32U) - 1'000, ~std::uint64_t{0} - 1'000};
    const std::uint64_t first = starts[kind % std::size(starts)];
    const std::uint64_t each = r.at_most(6'000) / 6 + 1;
    using word = std::uint64_t;
    using both = threads_and_coroutines;
    switch (kind / 9 % 3) {
      case 0:
        traffic<holdfast::waiting_queue<holdfast::mpmc_queue<word, 4>, both, both>>(r, first, each, producers,
                                                                                    consumers)
            .play();
        break;
      case 1:
        traffic<holdfast::waiting_queue<holdfast::spsc_queue<word, 4>, both, both>>(r, first, each, producers,
                                                                                    consumers)
            .play();
        break;
      default:
        traffic<holdfast::waiting_queue<holdfast::mpmc_lockfree_queue<word, 2>, both, both>>(r, first, each, producers,
                                                                                             consumers)
            .play();
    }
  }
}

}  // namespace soak
