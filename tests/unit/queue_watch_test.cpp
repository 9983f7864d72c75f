// SPDX-License-Identifier: MIT
#include "holdfast/queue/queue_watch.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/queue/watched_queue.hpp"

#include "support/catch.hpp"

using holdfast::callers;
using holdfast::spsc_queue;
using holdfast::unwatched;
using holdfast::watched;

namespace {

template <class Queue>
concept counts_refusals = requires(const Queue& queue) {
  queue.refused_pushes();
  queue.refused_pops();
  queue.high_water();
};

using plain_queue = spsc_queue<int, 32>;
using watched_spsc = spsc_queue<int, 32, watched>;

}  // namespace

TEST_CASE("a queue that is not watched has no counts and no room for them", "[queue_watch]") {
  STATIC_REQUIRE(holdfast::queue_watch<unwatched>);
  STATIC_REQUIRE(holdfast::queue_watch<watched>);
  STATIC_REQUIRE_FALSE(holdfast::queue_watch<int>);
  STATIC_REQUIRE(std::is_empty_v<unwatched::pushes<callers::one>>);
  STATIC_REQUIRE(std::is_empty_v<unwatched::pops<callers::many>>);
  STATIC_REQUIRE_FALSE(counts_refusals<plain_queue>);
  STATIC_REQUIRE(counts_refusals<watched_spsc>);
  STATIC_REQUIRE(sizeof(plain_queue) == 8 * holdfast::cache_line_size + plain_queue::slot_count() * sizeof(int));
  STATIC_REQUIRE(sizeof(watched_spsc) == sizeof(plain_queue));  // the counts stand on lines that are there anyway
}

TEMPLATE_TEST_CASE_SIG("refusals are counted, and the most is remembered", "[queue_watch]",
                       ((callers Callers), Callers), callers::one, callers::many) {
  watched::pushes<Callers> pushes;
  watched::pops<Callers> pops;
  CHECK(pushes.refusals() == 0);
  CHECK(pushes.most() == 0);
  for (int i = 0; i < 3; ++i) pushes.refused();
  for (int i = 0; i < 5; ++i) pops.refused();
  pushes.holds(7);
  pushes.holds(4);
  CHECK(pushes.refusals() == 3);
  CHECK(pops.refusals() == 5);
  CHECK(pushes.most() == 7);
  pushes.holds(8);
  CHECK(pushes.most() == 8);
}

TEST_CASE("each call that leaves something with the producer is one refused push", "[queue_watch]") {
  spsc_queue<int, 4, watched> queue;
  std::array<int, 6> items{};
  CHECK(queue.try_push(std::span<int>(items).first(3)) == 3);
  CHECK(queue.refused_pushes() == 0);
  CHECK(queue.try_push(std::span<int>(items)) == 1);
  CHECK(queue.refused_pushes() == 1);
  CHECK_FALSE(queue.try_push(1));
  CHECK_FALSE(queue.try_emplace(1));
  CHECK(queue.reserve(2).empty());
  CHECK(queue.refused_pushes() == 4);
  CHECK(queue.try_push(std::span<int>(items).first(0)) == 0);  // who wants nothing is refused nothing
  CHECK(queue.reserve(0).empty());
  CHECK(queue.refused_pushes() == 4);
  CHECK(queue.refused_pops() == 0);
}

TEST_CASE("each call that finds nothing is one refused pop", "[queue_watch]") {
  spsc_queue<int, 4, watched> queue;
  int out = 0;
  std::array<int, 4> many{};
  CHECK_FALSE(queue.try_pop(out));
  CHECK_FALSE(queue.try_pop().has_value());
  CHECK(queue.try_pop(std::span(many)) == 0);
  CHECK(queue.peek(3).empty());
  CHECK(queue.consume_all([](int) {}) == 0);
  CHECK(queue.refused_pops() == 5);
  REQUIRE(queue.try_push(1));
  CHECK(queue.peek(3).size() == 1);
  CHECK(queue.try_pop(std::span(many)) == 1);  // less than the span takes, but something
  CHECK(queue.try_pop(std::span(many).first(0)) == 0);
  CHECK(queue.peek(0).empty());
  CHECK(queue.refused_pops() == 5);
  CHECK(queue.refused_pushes() == 0);
}

TEST_CASE("the high-water mark is never below what was in the queue, and above it by less than a group",
          "[queue_watch]") {
  for (const std::uint64_t first : {std::uint64_t{0}, ~std::uint64_t{0} - 20}) {
    watched_spsc queue(first);
    std::size_t held = 0;
    std::size_t most = 0;
    std::uint64_t random = 88172645463325252ULL;
    for (int step = 0; step < 400; ++step) {
      random ^= random << 13U;
      random ^= random >> 7U;
      random ^= random << 17U;
      int out = 0;
      if (random % 16 < 9 - (held > most / 2 ? 1 : 0)) {
        if (random % 3 == 0) {
          const std::size_t run = queue.reserve(3).size();
          queue.commit(run);
          held += run;
        } else if (queue.try_push(step)) {
          ++held;
        }
      } else if (queue.try_pop(out)) {
        --held;
      }
      most = std::max(most, held);
      REQUIRE(queue.high_water() >= most);
      REQUIRE(queue.high_water() < most + queue.publish_every());
      REQUIRE(queue.high_water() <= queue.max_size());
    }
    CHECK(most > 3);
  }
}

TEMPLATE_TEST_CASE("watched_queue counts what any queue refuses, and remembers the most that was in it",
                   "[queue_watch]", (holdfast::mpmc_queue<int, 4>), (holdfast::mpmc_lockfree_queue<int, 4>),
                   (spsc_queue<int, 4>)) {
  holdfast::watched_queue<TestType> queue;
  STATIC_REQUIRE(counts_refusals<decltype(queue)>);
  int out = 0;
  CHECK_FALSE(queue.try_pop(out));
  CHECK(queue.refused_pops() == 1);
  CHECK(queue.high_water() == 0);
  std::array<int, 6> items{};
  CHECK(queue.try_push(std::span<int>(items).first(3)) == 3);
  CHECK(queue.high_water() == 3);
  CHECK(queue.refused_pushes() == 0);
  CHECK(queue.try_pop(std::span<int>(items)) == 3);  // less than the span takes, but something
  CHECK(queue.try_pop(std::span<int>(items)) == 0);
  CHECK(queue.try_pop(std::span<int>(items).first(0)) == 0);
  CHECK(queue.refused_pops() == 2);
  CHECK(queue.high_water() == 3);
  for (int i = 0; i < 4; ++i) CHECK(queue.try_push(int{i}));
  CHECK_FALSE(queue.try_push(4));
  const int copied = 5;
  CHECK_FALSE(queue.try_push(copied));
  CHECK(queue.try_push(std::span<int>(items)) == 0);
  CHECK(queue.try_push(std::span<int>(items).first(0)) == 0);
  CHECK(queue.refused_pushes() == 3);
  CHECK(queue.high_water() == 4);
}

TEST_CASE("watched_queue is closed and drained as the queue in it, and goes into a waiting_queue", "[queue_watch]") {
  holdfast::waiting_queue<holdfast::watched_queue<holdfast::mpmc_queue<int, 4>>> queue;
  const auto forever = holdfast::deadline::never();
  CHECK(queue.wait_push(1, forever));
  queue.close();
  CHECK(queue.closed());
  CHECK(queue.wait_push(2, forever) == holdfast::queue_op_status::closed);
  int out = 0;
  CHECK(queue.wait_pop(out, forever));
  CHECK(queue.wait_pop(out, forever) == holdfast::queue_op_status::closed);
  CHECK(queue.queue().refused_pushes() >= 1);
  CHECK(queue.queue().refused_pops() >= 1);
  CHECK(queue.queue().high_water() == 1);
}

TEST_CASE("watched_queue has an spsc_queue tell of all its room, as that one does by itself", "[queue_watch]") {
  holdfast::watched_queue<spsc_queue<int, 64>> queue;
  while (queue.try_push(1)) {
  }
  int out = 0;
  REQUIRE(queue.try_pop(out));
  CHECK_FALSE(queue.try_push(2));  // its room is told of in groups
  queue.publish_pops();
  CHECK(queue.try_push(2));
}
