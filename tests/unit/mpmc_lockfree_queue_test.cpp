// SPDX-License-Identifier: MIT
#include "holdfast/queue/mpmc_lockfree_queue.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/index_ring.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"

using namespace holdfast;

namespace {

// Counted, and not to be assigned to.
struct counted : test_support::counted {
  using test_support::counted::counted;
  counted(counted&&) noexcept = default;
  counted& operator=(counted&&) = delete;
  ~counted() = default;
};

constexpr std::uint64_t starts[] = {0, 5, std::numeric_limits<std::uint32_t>::max() - 3ULL, std::uint64_t{1} << 61U};

}  // namespace

TEST_CASE("index_ring: numbers come out in the order in which they were put", "[index_ring]") {
  for (const std::uint64_t first : starts) {
    index_ring<4> ring(index_ring<4>::holds::all, first);
    std::deque<std::uint64_t> oracle{0, 1, 2, 3};
    for (unsigned round = 0; round < 100; ++round) {
      std::vector<std::uint64_t> mine;
      for (unsigned i = 0; i < 1 + round % 5; ++i) {
        const std::uint64_t got = ring.take();
        REQUIRE(got == (oracle.empty() ? index_ring<4>::none : oracle.front()));
        if (oracle.empty()) continue;
        oracle.pop_front();
        mine.push_back(got);
      }
      REQUIRE(ring.size_approx() == oracle.size());
      for (const std::uint64_t number : mine) {
        REQUIRE(ring.put(number));
        oracle.push_back(number);
      }
      REQUIRE(ring.size_approx() == oracle.size());
    }
  }
}

TEST_CASE("index_ring: an empty one looks in vain only so often, and finds what is put afterwards", "[index_ring]") {
  index_ring<2, 2> ring(index_ring<2, 2>::holds::none);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) REQUIRE(ring.take() == ring.none);
    REQUIRE(ring.put(1));
    REQUIRE(ring.put(0));
    REQUIRE(ring.take() == 1);
    REQUIRE(ring.take() == 0);
  }
}

TEST_CASE("index_ring: closed, it takes no number and gives those that are there", "[index_ring]") {
  index_ring<2> ring(index_ring<2>::holds::all);
  ring.close();
  CHECK(ring.closed());
  CHECK(ring.take_last() == 0);
  CHECK_FALSE(ring.put(0));
  CHECK(ring.take_last() == 1);
  CHECK(ring.take_last() == ring.none);
  CHECK(ring.size_approx() == 0);
  CHECK_FALSE(ring.put(1));
  CHECK(ring.take_last() == ring.none);
}

TEST_CASE("mpmc_lockfree_queue: pushes that are refused after the end do not count in its size",
          "[mpmc_lockfree_queue]") {
  mpmc_lockfree_queue<int, 4> queue;
  REQUIRE(queue.try_push(1));
  queue.close();
  for (int i = 0; i < 10; ++i) {
    CHECK(queue.try_push(2) == queue_op_status::closed);
    CHECK(queue.size_approx() == 1);
  }
  CHECK(queue.try_pop() == 1);
  CHECK(queue.try_push(2) == queue_op_status::closed);
  CHECK(queue.size_approx() == 0);
}

TEST_CASE("mpmc_lockfree_queue is a bounded queue, and a batch queue, for many on both sides",
          "[mpmc_lockfree_queue]") {
  using queue = mpmc_lockfree_queue<int, 8>;
  STATIC_REQUIRE(bounded_queue<queue>);
  STATIC_REQUIRE(batch_queue<queue>);
  STATIC_REQUIRE(many_producers<queue>);
  STATIC_REQUIRE(many_consumers<queue>);
  STATIC_REQUIRE(bounded_queue<mpmc_lockfree_queue<std::unique_ptr<int>, 8>>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<queue>);
}

TEMPLATE_TEST_CASE("mpmc_lockfree_queue: a popped item is the oldest one pushed, at any start", "[mpmc_lockfree_queue]",
                   (mpmc_lockfree_queue<int, 1>), (mpmc_lockfree_queue<int, 4>)) {
  for (const std::uint64_t first : starts) {
    TestType queue(first);
    std::deque<int> oracle;
    int next = 0;
    for (int round = 0; round < 40; ++round) {
      for (int i = 0; i < 1 + round % 5; ++i) {
        const queue_result answer = queue.try_push(next);
        REQUIRE(answer == (oracle.size() < queue.capacity() ? queue_op_status::success : queue_op_status::full));
        if (answer) oracle.push_back(next);
        ++next;
        REQUIRE(queue.size_approx() == oracle.size());
      }
      for (int i = 0; i < 1 + round % 4; ++i) {
        int out = -1;
        const queue_result answer = queue.try_pop(out);
        REQUIRE(answer == (oracle.empty() ? queue_op_status::empty : queue_op_status::success));
        REQUIRE(out == (oracle.empty() ? -1 : oracle.front()));
        if (answer) oracle.pop_front();
        REQUIRE(queue.size_approx() == oracle.size());
      }
    }
  }
}

TEST_CASE("mpmc_lockfree_queue: an item that is refused is still the caller's, whole", "[mpmc_lockfree_queue]") {
  mpmc_lockfree_queue<std::unique_ptr<int>, 2> queue;
  REQUIRE(queue.try_push(std::make_unique<int>(1)));
  REQUIRE(queue.try_emplace(new int(2)));
  auto mine = std::make_unique<int>(3);
  CHECK(queue.try_push(std::move(mine)) == queue_op_status::full);
  REQUIRE(mine != nullptr);
  CHECK(*mine == 3);
  queue.close();
  CHECK(queue.try_push(std::move(mine)) == queue_op_status::closed);
  REQUIRE(mine != nullptr);
}

TEST_CASE("mpmc_lockfree_queue: batches take what fits and give what is there, from the front",
          "[mpmc_lockfree_queue]") {
  mpmc_lockfree_queue<int, 4> queue;
  std::array<int, 6> in{1, 2, 3, 4, 5, 6};
  std::array<int, 6> out{};
  out.fill(-1);
  CHECK(queue.try_pop(std::span<int>(out)) == 0);
  CHECK(queue.try_push(std::span<const int>(in).first(3)) == 3);
  CHECK(queue.try_push(std::span<int>(in).subspan(3)) == 1);
  CHECK(queue.try_pop(std::span<int>(out).first(1)) == 1);
  CHECK(queue.try_pop(std::span<int>(out).subspan(1)) == 3);
  CHECK(out == std::array<int, 6>{1, 2, 3, 4, -1, -1});
  CHECK(queue.try_push(std::span<const int>(in)) == 4);
  CHECK(queue.try_pop(std::span<int>(out)) == 4);
  CHECK(queue.try_push(std::span<int>(in).first(4)) == 4);
  CHECK(queue.try_pop(std::span<int>(out)) == 4);
}

TEST_CASE("mpmc_lockfree_queue: closed, it takes nothing more, is drained, and then says so", "[mpmc_lockfree_queue]") {
  for (const std::uint64_t first : starts) {
    mpmc_lockfree_queue<int, 4> queue(first);
    REQUIRE(queue.try_push(1));
    REQUIRE(queue.try_push(2));
    CHECK_FALSE(queue.closed());
    queue.close();
    queue.close();  // once more changes nothing
    CHECK(queue.closed());
    CHECK(queue.try_push(3) == queue_op_status::closed);
    CHECK(queue.try_emplace(3) == queue_op_status::closed);
    int out = 0;
    CHECK(queue.try_pop(out));
    CHECK(queue.try_pop() == 2);
    CHECK(queue.try_pop(out) == queue_op_status::closed);
    CHECK(queue.try_pop() == std::nullopt);
    CHECK(queue.size_approx() == 0);
  }
}

TEST_CASE("mpmc_lockfree_queue: consume_all hands over what was there at the call, and not what its function adds",
          "[mpmc_lockfree_queue]") {
  mpmc_lockfree_queue<int, 4> queue;
  for (int i = 0; i < 3; ++i) REQUIRE(queue.try_push(i));
  std::vector<int> seen;
  const std::size_t count = queue.consume_all([&](int&& item) {
    seen.push_back(item);
    REQUIRE(queue.try_push(item + 10));
  });
  CHECK(count == 3);
  CHECK(seen == std::vector<int>{0, 1, 2});
  CHECK(queue.consume_all([](int&&) {}) == 3);
  CHECK(queue.consume_all([](int&&) {}) == 0);
}

TEST_CASE("mpmc_lockfree_queue: consume_all ends where another has taken what was there at the call",
          "[mpmc_lockfree_queue]") {
  mpmc_lockfree_queue<counted, 4> queue;
  for (int i = 0; i < 4; ++i) REQUIRE(queue.try_emplace(i));
  std::vector<int> seen;
  bool another = true;
  const auto consume = [&](counted&& item) {
    seen.push_back(item.number());
    if (another) REQUIRE(queue.try_pop().has_value());  // as another consumer might
  };
  CHECK(queue.consume_all(consume) == 2);
  CHECK(seen == std::vector<int>{0, 2});
  another = false;
  REQUIRE(queue.try_emplace(4));
  CHECK(queue.consume_all(consume) == 1);
}

TEST_CASE("mpmc_lockfree_queue: what is left in it is destroyed with it, once; items need not be assignable",
          "[mpmc_lockfree_queue]") {
  counted::alive = 0;
  {
    mpmc_lockfree_queue<counted, 4> queue;
    for (int i = 0; i < 6; ++i) {
      static_cast<void>(queue.try_emplace(i));
      if (i % 3 == 2) static_cast<void>(queue.try_pop());
    }
    CHECK(counted::alive == static_cast<int>(queue.size_approx()));
    CHECK(counted::alive == 3);
    CHECK(queue.try_emplace(6));
    counted one(9);
    CHECK(queue.try_push(std::move(one)) == queue_op_status::full);
    CHECK(one.number() == 9);
  }
  CHECK(counted::alive == 0);
}
