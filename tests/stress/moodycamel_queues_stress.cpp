// SPDX-License-Identifier: MIT
#include <cstdint>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/interop/moodycamel.hpp"
#include "holdfast/queue/queue_result.hpp"

#include "bridge_crowd.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace crowd;

namespace {

// g++'s ThreadSanitizer takes moodycamel's fences for nothing, and every item of a ReaderWriterQueue costs a report that is then
// left out (support/peer_races.cpp): so fewer of them there.
#if defined(__SANITIZE_THREAD__)
constexpr std::uint64_t part = 100;
#else
constexpr std::uint64_t part = 1;
#endif

// Consumers leave when they are told empty after the last push: one that went by a pop which only missed an item would leave it.
void leave_when_empty(std::uint64_t each) {
  moodycamel_queue<item, 64, 2> queue;
  atomic<unsigned> pushing{2};
  atomic<std::uint64_t> popped{0};
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < 2; ++p) {
    threads.emplace_back([&, p] {
      patience patience;
      for (std::uint64_t i = 0; i < each;) {
        if (queue.try_push(item(p, i))) {
          ++i;
        } else if (!patience.wait()) {
          break;
        }
      }
      pushing.fetch_sub(1, mo::release);  // [S1] release, pairs with [S2]: all that this one pushed
    });
  }
  for (unsigned c = 0; c < 3; ++c) {
    threads.emplace_back([&] {
      patience patience;
      item out;
      for (;;) {
        const bool all_pushed =
            pushing.load(mo::acquire) == 0;  // [S2] acquire, pairs with [S1]: nothing comes any more
        const queue_result answer = queue.try_pop(out);
        if (answer) popped.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
        if (answer == queue_op_status::empty && all_pushed) return;
        if (!answer && !patience.wait()) return;
      }
    });
  }
  for (std::thread& one : threads) one.join();
  REQUIRE(popped.load(mo::relaxed) == 2 * each);  // counter: joined
}

}  // namespace

TEST_CASE("moodycamel_queue: who is told empty after the last push leaves nothing behind",
          "[moodycamel_queues][stress]") {
  for (int round = 0; round < 200; ++round) leave_when_empty(50);
  leave_when_empty(20'000);
}

TEST_CASE("moodycamel_queue: all that many threads push comes out, each producer's in order, once",
          "[moodycamel_queues][stress]") {
  cross<moodycamel_queue<item, 1, 2>>(2, 2, 30'000);
  cross<moodycamel_queue<item, 64, 3>>(3, 3, 50'000);
  cross<moodycamel_queue<item, 1024, 4>>(4, 2, 50'000);
}

TEST_CASE("moodycamel_queue: batches of many threads come out, each producer's in order, once",
          "[moodycamel_queues][stress]") {
  cross<moodycamel_queue<item, 64, 3>, calls::batch>(3, 3, 100'000);
}

TEST_CASE("moodycamel_queue without a limit: nothing is lost as it grows", "[moodycamel_queues][stress]") {
  cross<moodycamel_queue<item, unbounded>>(3, 2, 50'000);
  cross<moodycamel_queue<item, unbounded>, calls::batch>(3, 2, 50'000);
}

TEST_CASE("moodycamel_spsc_queue: all that one thread pushes comes to the other, in order, once",
          "[moodycamel_queues][stress]") {
  cross<moodycamel_spsc_queue<item, 1>>(1, 1, 20'000 / part);
  cross<moodycamel_spsc_queue<item, 64>>(1, 1, 200'000 / part);
  cross<moodycamel_spsc_queue<item, 2'000>>(1, 1, 400'000 / part);
  cross<moodycamel_spsc_queue<item, unbounded>>(1, 1, 200'000 / part);
}

TEST_CASE("waiting_queue over the queues of moodycamel: many sleep and wake, and nothing is lost",
          "[moodycamel_queues][stress]") {
  cross_asleep<moodycamel_spsc_queue<item, 4>>(1, 1, 20'000 / part);
  cross_asleep<moodycamel_queue<item, 4, 3>>(3, 3, 20'000);
  cross_asleep<moodycamel_queue<item, unbounded, 3>>(3, 3, 20'000);
}
