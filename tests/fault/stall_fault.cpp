// SPDX-License-Identifier: MIT
// A caller stops inside a push or a pop, after each of its instructions, and others go on meanwhile. In an
// mpmc_lockfree_queue they push and pop as if nothing were, but for one slot; in an mpmc_queue they may be told busy, and
// how often is counted. Nothing is lost or doubled, also once the stopped one goes on.
//
// The others are a signal handler on the stopped thread: to the queue that is a caller like any. So it is shown as well
// that both queues may be used in a handler that interrupts their user.
#include <array>
#include <cstdint>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"

#include "fault.hpp"
#include "single_step.hpp"
#include "support/catch.hpp"

using namespace holdfast;

namespace {

constexpr std::uint64_t capacity = 4;
constexpr std::uint64_t before = 2;  // items that are in it when the call begins
constexpr std::uint64_t more = capacity - 1;

struct tally {
  std::uint64_t stops = 0;        // instructions after which a call was stopped
  std::uint64_t held_up = 0;      // of those, at which one of the others could not do what it wanted
  std::uint64_t called_full = 0;  // full or empty said of a queue that was neither
  std::uint64_t wrong = 0;        // items that came twice, or out of order, or not at all
};

template <class Queue>
struct trial {
  Queue queue{};
  std::array<bool, 16> out{};
  tally* seen = nullptr;
  bool was_stopped = false;
  bool was_held_up = false;
  static inline trial* current = nullptr;

  void popped(std::uint64_t number) {
    if (number >= out.size() || out[number]) {
      ++seen->wrong;
    } else {
      out[number] = true;
    }
  }
  // What the others do while one stands still: empty the queue, fill all slots but one, and empty it again.
  void others() {
    was_stopped = true;
    drain();
    for (std::uint64_t i = 0; i < more; ++i) {
      const queue_result answer = queue.try_push(8 + i);
      if (!answer) {
        was_held_up = true;
        popped(8 + i);  // it is not in the queue, and shall not come
        if (answer != queue_op_status::busy) ++seen->called_full;
      }
    }
    drain();
  }
  void drain() {
    std::uint64_t number = 0;
    queue_result answer = queue_op_status::success;
    while ((answer = queue.try_pop(number))) popped(number);
    if (answer == queue_op_status::busy) was_held_up = true;
  }
};

template <class Queue>
void interrupt() {
  trial<Queue>::current->others();
}

// Stops `call` after each instruction that it has.
template <class Queue, class Call>
void stop_everywhere(tally& seen, Call call) {
  for (std::uint64_t k = 1;; ++k) {
    trial<Queue> t;
    t.seen = &seen;
    trial<Queue>::current = &t;
    for (std::uint64_t i = 0; i < before; ++i) seen.wrong += t.queue.try_push(i) ? 0U : 1U;
    std::uint64_t expected = before;
    fault::single_step::at(k, &interrupt<Queue>, [&] { expected += call(t); });
    if (!t.was_stopped) break;  // over before it came to that
    t.drain();
    std::uint64_t arrived = 0;
    for (const bool one : t.out) arrived += one ? 1U : 0U;
    seen.wrong += arrived == expected + more ? 0U : 1U;
    ++seen.stops;
    seen.held_up += t.was_held_up ? 1U : 0U;
  }
}

template <class Queue>
tally stop_pushes() {
  tally seen;
  stop_everywhere<Queue>(seen, [](trial<Queue>& t) { return t.queue.try_push(7U) ? 1U : 0U; });
  return seen;
}
template <class Queue>
tally stop_pops() {
  tally seen;
  stop_everywhere<Queue>(seen, [](trial<Queue>& t) {
    std::uint64_t number = 0;
    if (t.queue.try_pop(number)) t.popped(number);
    return 0U;
  });
  return seen;
}

void tell(const char* name, const tally& seen) {
  fault::report(name, "stops=%llu held_up=%llu false_refusals=%llu wrong=%llu",
                static_cast<unsigned long long>(seen.stops), static_cast<unsigned long long>(seen.held_up),
                static_cast<unsigned long long>(seen.called_full), static_cast<unsigned long long>(seen.wrong));
}

}  // namespace

TEST_CASE("a caller stopped inside an mpmc_lockfree_queue, anywhere, holds up nobody", "[fault]") {
  if (!fault::single_step::works) return fault::report("stall", "skipped (only x86-64 steps one by one)");
  using queue = mpmc_lockfree_queue<std::uint64_t, capacity>;
  const tally pushes = stop_pushes<queue>();
  const tally pops = stop_pops<queue>();
  tell("stall_lockfree_push", pushes);
  tell("stall_lockfree_pop", pops);
  for (const tally& seen : {pushes, pops}) {
    CHECK(seen.stops > 30);
    CHECK(seen.held_up == 0);
    CHECK(seen.wrong == 0);
  }
}

TEST_CASE("a caller stopped inside an mpmc_queue may hold up others, who are told so and lose nothing", "[fault]") {
  if (!fault::single_step::works) return fault::report("stall", "skipped (only x86-64 steps one by one)");
  using queue = mpmc_queue<std::uint64_t, capacity>;
  const tally pushes = stop_pushes<queue>();
  const tally pops = stop_pops<queue>();
  tell("stall_mpmc_push", pushes);
  tell("stall_mpmc_pop", pops);
  for (const tally& seen : {pushes, pops}) {
    CHECK(seen.stops > 10);
    CHECK(seen.held_up > 0);
    CHECK(seen.held_up < seen.stops);
    CHECK(seen.called_full == 0);
    CHECK(seen.wrong == 0);
  }
}
