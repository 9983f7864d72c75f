// SPDX-License-Identifier: MIT
// spsc_queue: items of several sizes through rings of several capacities, singly, in batches, in place and owning memory,
// across the wrap of their positions at 2^32 and 2^64: each arrives once, whole and in order, while a third thread looks on.
// mpmc_queue, mpmc_lockfree_queue: the same of a crowd's single items, until the queue is closed.
#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "soak.hpp"
#include "support/sized_queue.hpp"

namespace soak {
namespace {

// An item that shows when a part of it comes from another time.
template <std::size_t Words>
struct whole {
  std::array<std::uint64_t, Words> words{};
  whole() = default;
  explicit whole(std::uint64_t n) {
    for (std::size_t i = 0; i < Words; ++i) words[i] = n * 0x9E3779B97F4A7C15ULL + i;
  }
  friend bool operator==(const whole&, const whole&) = default;
};

// `produce(n)` offers items from the n-th on and returns how many were taken; `consume(n)` takes items from the n-th on,
// returns how many, and adds the wrong ones to `wrong`. Returns how many were handed over.
template <class Queue, class Produce, class Consume>
std::uint64_t hand_over(run& r, Queue& queue, std::uint64_t items, Produce produce, Consume consume,
                        bool watched = true) {
  holdfast::atomic<bool> over{false};
  std::uint64_t wrong = 0;
  std::uint64_t received = 0;
  std::uint64_t impossible_sizes = 0;
  holdfast::atomic<std::uint64_t> last{items};  // of the producer; made less when the time is over
  const auto producer = [&] {
    patience patience;
    for (std::uint64_t next = 0; next < items;) {
      const std::uint64_t pushed = produce(next);
      next += pushed;
      if (pushed != 0) continue;
      if (!patience.wait()) break;
      if (r.time_is_over()) {
        last.store(next, mo::relaxed);  // counter: a bound
        break;
      }
    }
  };
  const auto consumer = [&] {
    patience patience;
    while (received < last.load(mo::relaxed)) {  // counter: as above
      const std::uint64_t count = consume(received, wrong);
      received += count;
      if (count == 0 && !patience.wait()) break;
    }
    over.store(true, mo::relaxed);  // hint: only says that the others have ended
  };
  const auto observer = [&] {
    while (!over.load(mo::relaxed)) {  // hint: as above
      if (queue.size_approx() > queue.max_size()) ++impossible_sizes;
      std::this_thread::yield();
    }
  };
  if (watched) {
    together({producer, consumer, observer});
  } else {
    together({producer, consumer});
  }
  r.expect(received == last.load(mo::relaxed),  // counter: joined
           "not every item arrived within a minute");
  r.expect(wrong == 0, "an item was lost, came twice, torn or out of order");
  r.expect(impossible_sizes == 0, "size_approx() was above max_size()");
  return received;
}

template <class T, std::size_t Capacity>
void singles(run& r, std::uint64_t wanted, std::uint64_t first) {
  const auto queue = std::make_unique<holdfast::spsc_queue<T, Capacity>>(first);
  const std::uint64_t items = r.at_most(2 * wanted) / 2 + 1;
  const std::uint64_t done = hand_over(
      r, *queue, items,
      [&](std::uint64_t next) {
        return queue->try_push(T(r.sabotage() && next == items / 2 ? next + 1 : next)) ? 1U : 0U;
      },
      [&](std::uint64_t next, std::uint64_t& wrong) {
        T item;
        if (!queue->try_pop(item)) return 0U;
        if (!(item == T(next))) ++wrong;
        return 1U;
      });
  r.did(2 * done);
}

template <class T, std::size_t Capacity>
void batches(run& r, std::uint64_t wanted, std::uint64_t first) {
  const auto queue = std::make_unique<holdfast::spsc_queue<T, Capacity>>(first);
  const std::uint64_t items = r.at_most(2 * wanted) / 2 + 1;
  std::array<T, 256> in;
  std::array<T, 200> out;
  const std::uint64_t done = hand_over(
      r, *queue, items,
      [&](std::uint64_t next) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(1 + next % in.size(), items - next));
        for (std::size_t i = 0; i < count; ++i) in[i] = T(next + i);
        if (r.sabotage() && next <= items / 2 && items / 2 < next + count) in[items / 2 - next] = T(items + 7);
        return queue->try_push(std::span(in).first(count));
      },
      [&](std::uint64_t next, std::uint64_t& wrong) {
        const std::size_t count = queue->try_pop(std::span(out).first(1 + next % out.size()));
        for (std::size_t i = 0; i < count; ++i) {
          if (!(out[i] == T(next + i))) ++wrong;
        }
        return count;
      });
  r.did(2 * done, 2 * done);
}

// The same at full speed: items are cut from one long text, so that making and judging them costs little beside handing
// them over. No two of any 65,536 in a row are alike.
template <std::size_t Capacity>
void torrent(run& r, std::uint64_t wanted, std::uint64_t first) {
  constexpr std::size_t length = 65'536;
  constexpr std::size_t longest = 256;
  static_assert(Capacity * 2 < length);
  std::vector<std::uint64_t> text(length + longest + 1);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = (r.round_seed() + i % length) * 0x9E3779B97F4A7C15ULL;
  const auto queue = std::make_unique<holdfast::spsc_queue<std::uint64_t, Capacity>>(first);
  const std::uint64_t items = r.at_most(2 * wanted) / 2 + 1;
  std::array<std::uint64_t, longest> out{};
  const std::uint64_t done = hand_over(
      r, *queue, items,
      [&](std::uint64_t next) {
        const std::uint64_t count = std::min<std::uint64_t>(1 + next % longest, items - next);
        const bool wrong = r.sabotage() && next <= items / 2 && items / 2 < next + count;
        return queue->try_push(std::span<const std::uint64_t>(text.data() + next % length + (wrong ? 1 : 0),
                                                              static_cast<std::size_t>(count)));
      },
      [&](std::uint64_t next, std::uint64_t& wrong) {
        const std::size_t count = queue->try_pop(std::span(out).first(56 + next % 200));
        if (std::memcmp(out.data(), text.data() + next % length, count * sizeof(std::uint64_t)) != 0) ++wrong;
        return count;
      },
      false);
  r.did(2 * done, 2 * done);
}

// Runs of changing length, written and read in their slots.
template <class Queue>
void in_place(run& r, std::uint64_t wanted, std::uint64_t first) {
  using T = typename Queue::value_type;
  const auto queue = std::make_unique<Queue>(first);
  const std::uint64_t items = r.at_most(2 * wanted) / 2 + 1;
  const std::uint64_t done = hand_over(
      r, *queue, items,
      [&](std::uint64_t next) {
        const std::uint64_t count = std::min<std::uint64_t>(next % 40 + 1, items - next);
        const std::span<T> slots = queue->reserve(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < slots.size(); ++i) {
          const std::uint64_t n = next + i;
          slots[i] = T(r.sabotage() && n == items / 2 ? n + 1 : n);
        }
        queue->commit(slots.size());
        return slots.size();
      },
      [&](std::uint64_t next, std::uint64_t& wrong) {
        const std::span<T> shown = queue->peek(next % 29 + 1);
        for (std::size_t i = 0; i < shown.size(); ++i) wrong += shown[i] == T(next + i) ? 0U : 1U;
        queue->release(shown.size());
        return shown.size();
      });
  r.did(2 * done);
}

// A leak, a double end or a use after it is AddressSanitizer's to find.
void owners(run& r, std::uint64_t wanted) {
  const auto queue = std::make_unique<holdfast::spsc_queue<std::unique_ptr<std::uint64_t>, 32>>();
  const std::uint64_t items = r.at_most(2 * wanted) / 2 + 1;
  const std::uint64_t done = hand_over(
      r, *queue, items,
      [&](std::uint64_t next) {
        return queue->try_push(std::make_unique<std::uint64_t>(next + (r.sabotage() && next == items / 2 ? 1 : 0)))
                   ? 1U
                   : 0U;
      },
      [&](std::uint64_t next, std::uint64_t& wrong) {
        return queue->consume_all([&](std::unique_ptr<std::uint64_t>&& item) {
          const std::unique_ptr<std::uint64_t> mine = std::move(item);
          if (*mine != next++) ++wrong;
        });
      });
  r.did(2 * done);
}

// Two and two threads at one queue, until it is closed: every producer's items come to each consumer in their order, and
// none is lost or doubled, by their count and sum.
template <class Queue>
void crowd(run& r, std::uint64_t wanted, std::uint64_t first) {
  constexpr unsigned pushing = Queue::producers == holdfast::callers::many ? 2 : 1;
  constexpr unsigned popping = Queue::consumers == holdfast::callers::many ? 2 : 1;
  using item = std::array<std::uint64_t, 2>;  // whose, and which
  const auto queue = std::make_unique<Queue>(first);
  const std::uint64_t each = r.at_most(2 * wanted) / (2 * pushing) + 1;
  struct alignas(64) tally {
    std::uint64_t count = 0, sum = 0, wrong = 0;
  };
  std::array<tally, pushing> pushed{};
  std::array<tally, popping> popped{};
  holdfast::atomic<unsigned> still_pushing{pushing};
  std::vector<std::function<void()>> bodies;
  for (unsigned p = 0; p < pushing; ++p) {
    bodies.emplace_back([&, p] {
      patience patience;
      for (std::uint64_t next = 0; next < each;) {
        const bool wrong = r.sabotage() && p == 0 && next == each / 2;
        if (queue->try_push(item{p, wrong ? each + 7 : next})) {
          pushed[p].sum += next++;
          ++pushed[p].count;
        } else if (!patience.wait() || r.time_is_over()) {
          break;
        }
      }
      // [S1] acq_rel, pairs with [S1]: the last one closes after all have pushed
      if (still_pushing.fetch_sub(1, mo::acq_rel) == 1) queue->close();
    });
  }
  for (unsigned c = 0; c < popping; ++c) {
    bodies.emplace_back([&, c] {
      patience patience;
      std::array<std::uint64_t, pushing> next{};
      for (;;) {
        item one{};
        const holdfast::queue_result answer = queue->try_pop(one);
        if (answer == holdfast::queue_op_status::closed) break;
        if (!answer) {
          if (!patience.wait()) break;
          continue;
        }
        if (one[0] >= pushing || one[1] < next[one[0]]) {
          ++popped[c].wrong;
          continue;
        }
        next[one[0]] = one[1] + 1;
        ++popped[c].count;
        popped[c].sum += one[1];
      }
    });
  }
  together(bodies);
  tally in, out;
  for (const tally& t : pushed) in.count += t.count, in.sum += t.sum;
  for (const tally& t : popped) out.count += t.count, out.sum += t.sum, out.wrong += t.wrong;
  r.expect(out.wrong == 0, "a producer's items came out of their order");
  r.expect(out.count == in.count && out.sum == in.sum, "an item was lost, or came twice");
  r.did(2 * in.count);
}

}  // namespace

void play_queue(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    // So that the positions pass 2^32 or 2^64 in the middle of the round.
    const std::uint64_t starts[] = {0, (std::uint64_t{1} << 32U) - 5'000, ~std::uint64_t{0} - 5'000};
    const std::uint64_t first = starts[r.round_seed() % 3];
    switch (kind % 15) {
      case 0:
      case 3:
      case 6:
      case 9: torrent<16'384>(r, 20'000'000, first); break;
      case 1: singles<whole<1>, 1024>(r, 200'000, first); break;
      case 2: singles<whole<9>, 64>(r, 5'000, first); break;
      case 4: owners(r, 5'000); break;
      case 5: singles<whole<1>, 2>(r, 500, first); break;
      case 7: batches<whole<8>, 64>(r, 20'000, first); break;
      case 8:
        crowd<holdfast::mpmc_queue<std::array<std::uint64_t, 2>, 1024>>(r, 200'000, first / 2);
        crowd<holdfast::mpmc_queue<std::array<std::uint64_t, 2>, 2>>(r, 5'000, first / 2);
        break;
      case 10: crowd<holdfast::mpsc_queue<std::array<std::uint64_t, 2>, 64>>(r, 100'000, first / 2); break;
      case 11:
        crowd<holdfast::spmc_queue<std::array<std::uint64_t, 2>, 64>>(r, 50'000, first / 2);
        crowd<holdfast::spsc_slot_queue<std::array<std::uint64_t, 2>, 64>>(r, 50'000, first / 2);
        break;
      case 12:
        crowd<holdfast::mpmc_lockfree_queue<std::array<std::uint64_t, 2>, 256>>(r, 100'000, first / 2);
        crowd<holdfast::mpmc_lockfree_queue<std::array<std::uint64_t, 2>, 2>>(r, 5'000, first / 2);
        break;
      case 13: in_place<holdfast::spsc_queue<whole<1>, 256>>(r, 100'000, first); break;
      case 14: in_place<test_support::sized_queue<whole<8>, 64>>(r, 20'000, first); break;
      default:
        batches<whole<1>, 256>(r, 100'000, first);
        singles<whole<1>, 16>(r, 2'000, first);
        break;
    }
  }
}

}  // namespace soak
