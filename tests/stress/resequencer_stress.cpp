// SPDX-License-Identifier: MIT
// Workers between two queues for one thread each: what they take from one they give to the other, and nobody can tell that
// there were several. Some items take longer than others, so that the window fills.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/resequencer.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

template <std::size_t Window>
void keep_order(unsigned workers, std::uint64_t items) {
  struct places {
    waiting_queue<spsc_queue<std::uint64_t, 16>> in;
    waiting_queue<spsc_queue<std::uint64_t, 16>> out;
    resequencer<std::uint64_t, Window> order;
  };
  const auto here = std::make_unique<places>();
  std::vector<std::thread> threads;
  atomic<unsigned> at_work{workers};
  for (unsigned w = 0; w < workers; ++w) {
    threads.emplace_back([&] {
      std::uint64_t item = 0;
      while (const auto number = here->order.take([&] { return bool(here->in.wait_pop(item, deadline::never())); })) {
        if (item % 37 == 0) std::this_thread::yield();
        here->order.give(*number, item * 2, [&](std::uint64_t&& done) {
          static_cast<void>(here->out.wait_push(std::uint64_t{done}, deadline::never()));
        });
      }
      // acq_rel: the last one closes behind what all of them have pushed
      if (at_work.fetch_sub(1, mo::acq_rel) == 1) here->out.close();
    });
  }
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < items; ++i)
      static_cast<void>(here->in.wait_push(std::uint64_t{i}, deadline::never()));
    here->in.close();
  });
  std::uint64_t expected = 0;
  std::uint64_t wrong = 0;
  std::uint64_t item = 0;
  while (here->out.wait_pop(item, deadline::never())) {
    if (item != 2 * expected) ++wrong;
    ++expected;
  }
  producer.join();
  for (std::thread& one : threads) one.join();
  CHECK(expected == items);
  CHECK(wrong == 0);
  CHECK(here->order.waiting() == 0);
}

}  // namespace

TEST_CASE("resequencer: several workers between two spsc_queues leave everything in order", "[stress][resequencer]") {
  for (const unsigned workers : {1U, 2U, 4U}) {
    keep_order<1>(workers, 2'000);
    keep_order<4>(workers, 10'000);
    keep_order<64>(workers, 10'000);
  }
}
