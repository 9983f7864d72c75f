// SPDX-License-Identifier: MIT
#include "holdfast/queue/mpmc_queue.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/core/contention_pause.hpp"
#include "holdfast/queue/bounded_queue.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"

using namespace holdfast;
using test_support::counted;

namespace {

struct const_member {
  const int number;
};

struct alignas(256) over_aligned {
  std::uint64_t number = 0;
};

// One that copies with an exception, perhaps, and moves without.
struct copies_with_care {
  copies_with_care() = default;
  // Not defaulted: g++ 12 then takes it for one that does not throw.
  // NOLINTNEXTLINE(modernize-use-equals-default)
  copies_with_care(const copies_with_care& other) noexcept(false) : number(other.number) {}
  copies_with_care(copies_with_care&&) noexcept = default;
  copies_with_care& operator=(copies_with_care&&) noexcept = default;
  copies_with_care& operator=(const copies_with_care&) = delete;
  ~copies_with_care() = default;
  int number = 0;
};

constexpr std::uint64_t starts[] = {0, 5, std::numeric_limits<std::uint32_t>::max() - 3ULL,
                                    std::numeric_limits<std::uint64_t>::max() / 2 - 3,
                                    std::numeric_limits<std::uint64_t>::max() - 3};

#define EACH_FORM (mpmc_queue<int, 4>), (mpsc_queue<int, 4>), (spmc_queue<int, 4>), (spsc_slot_queue<int, 4>)

}  // namespace

TEST_CASE("mpmc_queue is a bounded queue, and a batch queue, for as many as its form says", "[mpmc_queue]") {
  using many = mpmc_queue<int, 8>;
  STATIC_REQUIRE(bounded_queue<many>);
  STATIC_REQUIRE(batch_queue<many>);
  STATIC_REQUIRE(bounded_queue<mpmc_queue<std::unique_ptr<int>, 8>>);
  STATIC_REQUIRE(many_producers<many>);
  STATIC_REQUIRE(many_consumers<many>);
  STATIC_REQUIRE(many_producers<mpsc_queue<int, 8>>);
  STATIC_REQUIRE_FALSE(many_consumers<mpsc_queue<int, 8>>);
  STATIC_REQUIRE_FALSE(many_producers<spmc_queue<int, 8>>);
  STATIC_REQUIRE(many_consumers<spmc_queue<int, 8>>);
}

TEST_CASE("mpmc_queue cannot be copied or moved: other threads know its address", "[mpmc_queue]") {
  using queue = mpmc_queue<int, 8>;
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_move_assignable_v<queue>);
}

TEMPLATE_TEST_CASE("mpmc_queue: a popped item is the oldest one pushed, at any start and over every wrap",
                   "[mpmc_queue]", EACH_FORM) {
  for (const std::uint64_t first : starts) {
    TestType queue(first);
    std::deque<int> oracle;
    int next = 0;
    for (int round = 0; round < 40; ++round) {
      for (int i = 0; i < 1 + round % 5; ++i) {
        const queue_result answer = queue.try_push(next);
        REQUIRE(answer == (oracle.size() < 4 ? queue_op_status::success : queue_op_status::full));
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

TEST_CASE("mpmc_queue: one slot is a queue, too", "[mpmc_queue]") {
  mpmc_queue<int, 1> queue;
  int out = 0;
  for (int i = 0; i < 10; ++i) {
    CHECK(queue.try_pop(out) == queue_op_status::empty);
    CHECK(queue.try_push(i));
    CHECK(queue.try_push(-1) == queue_op_status::full);
    CHECK(queue.try_pop(out));
    CHECK(out == i);
  }
}

TEMPLATE_TEST_CASE("mpmc_queue: an item that is refused is still the caller's, whole", "[mpmc_queue]",
                   (mpmc_queue<std::unique_ptr<int>, 2>), (spmc_queue<std::unique_ptr<int>, 2>)) {
  TestType queue;
  REQUIRE(queue.try_push(std::make_unique<int>(1)));
  REQUIRE(queue.try_emplace(new int(2)));
  auto mine = std::make_unique<int>(3);
  CHECK(queue.try_push(std::move(mine)) == queue_op_status::full);
  REQUIRE(mine != nullptr);
  CHECK(*mine == 3);
  std::unique_ptr<int> out;
  REQUIRE(queue.try_pop(out));
  CHECK(*out == 1);
  REQUIRE(queue.try_push(std::move(mine)));
  CHECK(mine == nullptr);
  queue.close();
  mine = std::make_unique<int>(4);
  CHECK(queue.try_push(std::move(mine)) == queue_op_status::closed);
  CHECK(*mine == 4);
}

TEMPLATE_TEST_CASE("mpmc_queue: batches take what fits and give what is there, from the front", "[mpmc_queue]",
                   EACH_FORM) {
  for (const std::uint64_t first : starts) {
    TestType queue(first);
    std::array<int, 6> in{1, 2, 3, 4, 5, 6};
    std::array<int, 6> out{};
    out.fill(-1);
    CHECK(queue.try_push(std::span<const int>()) == 0);
    CHECK(queue.try_pop(std::span<int>()) == 0);
    CHECK(queue.try_pop(std::span<int>(out)) == 0);
    CHECK(queue.try_push(std::span<const int>(in).first(3)) == 3);
    CHECK(queue.try_push(std::span<const int>(in).subspan(3)) == 1);
    CHECK(queue.size_approx() == 4);
    CHECK(queue.try_pop(std::span<int>(out).first(1)) == 1);
    CHECK(queue.try_pop(std::span<int>(out).subspan(1)) == 3);
    CHECK(out == std::array<int, 6>{1, 2, 3, 4, -1, -1});
    CHECK(queue.size_approx() == 0);
    CHECK(queue.try_push(std::span<int>(in)) == 4);
    queue.close();
    CHECK(queue.try_push(std::span<int>(in)) == 0);
    CHECK(queue.try_pop(std::span<int>(out)) == 4);
    CHECK(queue.try_pop(std::span<int>(out)) == 0);
  }
}

TEST_CASE("mpmc_queue: a batch moves items out of the caller's span, and leaves what did not fit", "[mpmc_queue]") {
  mpmc_queue<std::unique_ptr<int>, 2> queue;
  std::array<std::unique_ptr<int>, 3> in{std::make_unique<int>(1), std::make_unique<int>(2), std::make_unique<int>(3)};
  CHECK(queue.try_push(std::span(in)) == 2);
  CHECK(in[0] == nullptr);
  CHECK(in[1] == nullptr);
  REQUIRE(in[2] != nullptr);
  std::array<std::unique_ptr<int>, 3> out;
  CHECK(queue.try_pop(std::span(out)) == 2);
  CHECK(*out[0] == 1);
  CHECK(*out[1] == 2);
  CHECK(out[2] == nullptr);
}

TEMPLATE_TEST_CASE("mpmc_queue: closed, it takes nothing more, is drained, and then says so", "[mpmc_queue]",
                   EACH_FORM) {
  for (const std::uint64_t first : starts) {
    TestType queue(first);
    REQUIRE(queue.try_push(1));
    REQUIRE(queue.try_push(2));
    CHECK_FALSE(queue.closed());
    queue.close();
    queue.close();  // once more changes nothing
    CHECK(queue.closed());
    CHECK(queue.try_push(3) == queue_op_status::closed);
    CHECK(queue.try_emplace(3) == queue_op_status::closed);
    CHECK(queue.size_approx() == 2);
    int out = 0;
    CHECK(queue.try_pop(out));
    CHECK(queue.try_pop(out));
    CHECK(out == 2);
    CHECK(queue.try_pop(out) == queue_op_status::closed);
    CHECK(queue.try_pop() == std::nullopt);
    CHECK(out == 2);
    CHECK(queue.try_push(3) == queue_op_status::closed);
  }
}

TEMPLATE_TEST_CASE("mpmc_queue: closed while it is full, it says closed and not full", "[mpmc_queue]", EACH_FORM) {
  TestType queue;
  for (int i = 0; i < 4; ++i) REQUIRE(queue.try_push(i));
  CHECK(queue.try_push(9) == queue_op_status::full);
  queue.close();
  CHECK(queue.try_push(9) == queue_op_status::closed);
}

TEMPLATE_TEST_CASE("mpmc_queue: consume_all hands over what was there at the call, and not what its function adds",
                   "[mpmc_queue]", EACH_FORM) {
  TestType queue;
  for (int i = 0; i < 3; ++i) REQUIRE(queue.try_push(i));
  std::vector<int> seen;
  const std::size_t count = queue.consume_all([&](int&& item) {
    seen.push_back(item);
    REQUIRE(queue.try_push(item + 10));  // its slot is free already
  });
  CHECK(count == 3);
  CHECK(seen == std::vector<int>{0, 1, 2});
  CHECK(queue.consume_all([](int&&) {}) == 3);
  CHECK(queue.consume_all([](int&&) {}) == 0);
}

TEMPLATE_TEST_CASE("mpmc_queue: consume_all ends where another has taken what was there at the call", "[mpmc_queue]",
                   (mpmc_queue<counted, 4>), (spmc_queue<counted, 4>)) {
  TestType queue;
  for (int i = 0; i < 4; ++i) REQUIRE(queue.try_emplace(i));
  std::vector<int> seen;
  const std::size_t count = queue.consume_all([&](counted&& item) {
    seen.push_back(item.number());
    REQUIRE(queue.try_pop().has_value());  // as another consumer might
  });
  CHECK(count == 2);
  CHECK(seen == std::vector<int>{0, 2});
}

TEMPLATE_TEST_CASE("mpmc_queue: what is left in it is destroyed with it, once", "[mpmc_queue]",
                   (mpmc_queue<counted, 4>), (spmc_queue<counted, 4>)) {
  counted::alive = 0;
  for (const std::uint64_t first : starts) {
    {
      TestType queue(first);
      for (int i = 0; i < 6; ++i) {
        static_cast<void>(queue.try_emplace(i));
        if (i % 3 == 2) static_cast<void>(queue.try_pop());
      }
      CHECK(counted::alive > 0);
      CHECK(counted::alive == static_cast<int>(queue.size_approx()));
    }
    CHECK(counted::alive == 0);
  }
}

TEST_CASE("mpmc_queue carries items that cannot be assigned to, and over-aligned ones", "[mpmc_queue]") {
  mpmc_queue<const_member, 2> fixed;
  REQUIRE(fixed.try_push(const_member{7}));
  const auto out = fixed.try_pop();
  REQUIRE(out.has_value());
  CHECK(out->number == 7);
  const auto aligned = std::make_unique<mpmc_queue<over_aligned, 2>>();
  REQUIRE(aligned->try_emplace());
  over_aligned item;
  CHECK(aligned->try_pop(item));
}

TEST_CASE("mpmc_queue: a copy that may throw is made before a slot is claimed", "[mpmc_queue]") {
  mpmc_queue<copies_with_care, 2> queue;
  copies_with_care item;
  item.number = 5;
  STATIC_REQUIRE_FALSE(noexcept(queue.try_push(item)));
  STATIC_REQUIRE(noexcept(queue.try_push(std::move(item))));
  REQUIRE(queue.try_push(item));
  copies_with_care out;
  REQUIRE(queue.try_pop(out));
  CHECK(out.number == 5);
}

TEST_CASE("a queue's answer is a condition, and names its reason", "[queue_result]") {
  constexpr queue_result done = queue_op_status::success;
  constexpr queue_result refused = queue_op_status::busy;
  STATIC_REQUIRE(static_cast<bool>(done));
  STATIC_REQUIRE_FALSE(static_cast<bool>(refused));
  STATIC_REQUIRE_FALSE(std::is_convertible_v<queue_result, bool>);
  CHECK(refused.status() == queue_op_status::busy);
  CHECK(refused != done);
  CHECK(name_of(queue_op_status::success) == "success");
  CHECK(name_of(queue_op_status::full) == "full");
  CHECK(name_of(queue_op_status::empty) == "empty");
  CHECK(name_of(queue_op_status::busy) == "busy");
  CHECK(name_of(queue_op_status::closed) == "closed");
  CHECK(name_of(static_cast<queue_op_status>(99)) == "?");
}

TEST_CASE("contention_pause doubles with every loss, up to its longest", "[contention_pause]") {
  contention_pause pause;
  unsigned expected = 1;
  for (int i = 0; i < 10; ++i) {
    CHECK(pause.next() == expected);
    pause();
    expected = std::min(expected * 2, contention_pause::longest);
  }
}
