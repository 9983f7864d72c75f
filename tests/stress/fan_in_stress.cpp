// SPDX-License-Identifier: MIT
// Producers with lanes of their own and one consumer, while another thread looks on: every item arrives, once, whole and in
// the order of its handle. In the second way threads come and go all the time, more than there are lanes, and whoever gets a
// lane goes on behind what the last one left.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/fan_in.hpp"

#include "crowd.hpp"

using namespace holdfast;
using crowd::calls;
using crowd::item;
using test_support::patience;

namespace {

enum class taking : std::uint8_t { single, batch, all };

// What the consumer does until nobody pushes any more and nothing is left.
template <class Queue, class Saw>
bool take_all(Queue& queue, taking how, Saw saw) {
  patience patience;
  std::array<item, 100> some;
  std::size_t next_size = 0;
  for (;;) {
    const bool last = queue.joined() == 0;
    std::size_t got = 0;
    if (how == taking::single) {
      for (; got < 50 && queue.try_pop(some[0]); ++got) saw(some[0]);
    } else if (how == taking::batch) {
      next_size = next_size % some.size() + 1;
      got = queue.try_pop(std::span(some).first(next_size));
      for (std::size_t i = 0; i < got; ++i) saw(some.at(i));
    } else {
      got = queue.consume_all([&](item&& one) { saw(one); });
    }
    if (got != 0) continue;
    if (last) return true;
    if (!patience.wait()) return false;
  }
}

template <std::size_t Lanes, std::size_t LaneCapacity, std::size_t Budget>
void hand_over(calls pushing, taking how, std::uint64_t each) {
  using queue_type = fan_in<item, Lanes, LaneCapacity, Budget>;
  const auto queue = std::make_unique<queue_type>();
  std::vector<typename queue_type::producer> handles;
  while (auto one = queue->join()) handles.push_back(std::move(*one));
  REQUIRE(handles.size() == Lanes);
  atomic<bool> over{false};
  atomic<std::uint64_t> gave_up{0};
  std::uint64_t impossible_sizes = 0;
  crowd::seen_by_one seen(Lanes);
  std::vector<std::thread> threads;
  for (std::size_t p = 0; p < Lanes; ++p) {
    threads.emplace_back([&, p, mine = std::move(handles[p])]() mutable {
      patience patience;
      std::array<item, 20> some;
      for (std::uint64_t next = 0; next < each;) {
        std::size_t done = 0;
        if (pushing == calls::single) {
          done = mine.try_push(item(p, next)) ? 1U : 0U;
        } else {
          const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(next % some.size() + 1, each - next));
          for (std::size_t i = 0; i < count; ++i) some.at(i) = item(p, next + i);
          done = mine.try_push(std::span(some).first(count));
        }
        next += done;
        if (done == 0 && !patience.wait()) {
          gave_up.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
          break;
        }
      }
      mine.leave();  // before the end of the thread's closure, which may be later than that of the consumer
    });
  }
  std::thread observer([&] {
    while (!over.load(mo::relaxed)) {  // hint: only says that the others have ended
      if (queue->size_approx() > queue_type::max_size() || queue->joined() > Lanes) ++impossible_sizes;
      std::this_thread::yield();
    }
  });
  const bool ended = take_all(*queue, how, [&](const item& one) { seen.saw(one); });
  for (std::thread& t : threads) t.join();
  over.store(true, mo::relaxed);  // hint: as above
  observer.join();
  CHECK(ended);
  CHECK(gave_up.load(mo::relaxed) == 0);  // counter: joined
  CHECK(seen.wrong == 0);
  CHECK(seen.count == Lanes * each);
  CHECK(seen.sum == Lanes * (each * (each - 1) / 2));
  CHECK(impossible_sizes == 0);
  CHECK(queue->size_approx() == 0);
}

// More threads than lanes, each of which joins for a few items and leaves. The numbers of a handle are its thread's next ones,
// so each handle's are in order; those of two handles may be in any.
template <std::size_t Lanes, std::size_t LaneCapacity>
void come_and_go(unsigned threads_in_all, std::uint64_t each) {
  constexpr std::uint64_t of_a_handle = 7;
  using queue_type = fan_in<item, Lanes, LaneCapacity, 5>;
  const auto queue = std::make_unique<queue_type>();
  atomic<unsigned> working{threads_in_all};
  atomic<std::uint64_t> gave_up{0};
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < threads_in_all; ++p) {
    threads.emplace_back([&, p] {
      patience patience;
      for (std::uint64_t next = 0; next < each;) {
        const std::uint64_t before = next;
        if (auto mine = queue->join()) {
          for (std::uint64_t i = 0; i < of_a_handle && next < each; ++i) {
            if (!mine->try_push(item(p, next))) break;
            ++next;
          }
        }
        if (next == before) std::this_thread::yield();  // to whoever has the lane, or empties it
        if (!patience.wait()) {
          gave_up.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
          break;
        }
      }
      // [S1] release, pairs with [S2]: all that it pushed
      working.fetch_sub(1, mo::release);
    });
  }
  std::vector<std::vector<bool>> seen(threads_in_all, std::vector<bool>(each));
  std::uint64_t wrong = 0;
  std::uint64_t count = 0;
  const auto saw = [&](const item& one) {
    if (!one.whole() || one.producer >= threads_in_all || one.number >= each || seen[one.producer][one.number]) {
      ++wrong;
      return;
    }
    seen[one.producer][one.number] = true;
    ++count;
  };
  // [S2] acquire, pairs with [S1]: all that they pushed
  while (working.load(mo::acquire) != 0) {
    if (!take_all(*queue, taking::single, saw)) break;
  }
  take_all(*queue, taking::batch, saw);
  for (std::thread& t : threads) t.join();
  CHECK(gave_up.load(mo::relaxed) == 0);  // counter: joined
  CHECK(wrong == 0);
  CHECK(count == threads_in_all * each);
  CHECK(queue->joined() == 0);
  CHECK(queue->size_approx() == 0);
}

}  // namespace

TEST_CASE("fan_in: items of many producers arrive once, whole, each producer's in order", "[fan_in][stress]") {
  hand_over<1, 1, 64>(calls::single, taking::single, 5'000);
  hand_over<3, 2, 1>(calls::single, taking::single, 5'000);
  hand_over<4, 256, 64>(calls::single, taking::single, 200'000);
  hand_over<4, 64, 5>(calls::single, taking::all, 100'000);
}

TEST_CASE("fan_in: batches of many producers arrive once, whole, each producer's in order", "[fan_in][stress]") {
  hand_over<2, 16, 7>(calls::batch, taking::batch, 100'000);
  hand_over<4, 256, 64>(calls::batch, taking::batch, 200'000);
  hand_over<3, 64, 64>(calls::batch, taking::all, 100'000);
}

// Short, as in the smallest lanes each change of hands may cost a turn of the scheduler on a busy machine.
TEST_CASE("fan_in: producers come and go, and nothing that they leave behind is lost", "[fan_in][stress]") {
  come_and_go<1, 4>(2, 500);
  come_and_go<2, 16>(4, 2'000);
  come_and_go<4, 64>(5, 4'000);
}
