// SPDX-License-Identifier: MIT
#include "holdfast/queue/fan_in.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"

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

// The ends of a bounded_queue, each where it is.
template <class Q>
concept pushed_to = requires(Q& queue, const Q& observed, typename Q::value_type& item) {
  static_cast<bool>(queue.try_push(std::move(item)));
  { observed.capacity() } -> std::convertible_to<std::size_t>;
  { observed.size_approx() } -> std::convertible_to<std::size_t>;
};
template <class Q>
concept popped_from = requires(Q& queue, const Q& observed, typename Q::value_type& item) {
  static_cast<bool>(queue.try_pop(item));
  { observed.size_approx() } -> std::convertible_to<std::size_t>;
};

// Whose it is, and which one.
struct numbered {
  int producer = -1;
  int number = -1;
  friend bool operator==(const numbered&, const numbered&) = default;
};

template <class Queue>
std::vector<typename Queue::producer> join_all(Queue& queue) {
  std::vector<typename Queue::producer> all;
  while (auto one = queue.join()) all.push_back(std::move(*one));
  return all;
}

}  // namespace

TEST_CASE("fan_in: its producers have the pushing end of a bounded queue, and it has the popping one", "[fan_in]") {
  using queue = fan_in<int, 4, 8>;
  STATIC_REQUIRE(pushed_to<queue::producer>);
  STATIC_REQUIRE(popped_from<queue>);
  STATIC_REQUIRE(pushed_to<fan_in<std::unique_ptr<int>, 4, 8>::producer>);
  STATIC_REQUIRE(popped_from<fan_in<std::unique_ptr<int>, 4, 8>>);
  STATIC_REQUIRE(queue::producers == callers::many);
  STATIC_REQUIRE(queue::consumers == callers::one);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<queue::producer>);
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<queue::producer>);
  STATIC_REQUIRE(std::is_nothrow_move_assignable_v<queue::producer>);
  STATIC_REQUIRE(queue::lane_count() == 4);
  STATIC_REQUIRE(queue::lane_capacity() == 8);
  STATIC_REQUIRE(queue::producer::capacity() == 8);
  STATIC_REQUIRE(queue::max_size() == 32);
  STATIC_REQUIRE(sizeof(queue) == 4 * cache_line_size + 4 * sizeof(spsc_queue<int, 8>));
  STATIC_REQUIRE(fan_in<int, 2, 64>::publish_every() == 8);
  STATIC_REQUIRE(fan_in<int, 2, 64>::max_size() == 2 * (64 + 7));
}

TEST_CASE("fan_in: as many join as there are lanes, one more is refused, and who leaves makes room", "[fan_in]") {
  fan_in<int, 3, 4> queue;
  CHECK(queue.joined() == 0);
  auto first = queue.join();
  auto second = queue.join();
  auto third = queue.join();
  REQUIRE((first && second && third));
  CHECK(queue.joined() == 3);
  CHECK_FALSE(queue.join());
  second->leave();
  CHECK_FALSE(second->has_lane());
  second->leave();  // has no lane any more
  CHECK(queue.joined() == 2);
  auto again = queue.join();
  REQUIRE(again);
  CHECK(again->has_lane());
  CHECK_FALSE(queue.join());
  third.reset();
  CHECK(queue.joined() == 2);
  CHECK(queue.join());  // and leaves at once
  CHECK(queue.joined() == 2);
}

TEST_CASE("fan_in: 64 lanes are the most there are", "[fan_in]") {
  const auto queue = std::make_unique<fan_in<int, 64, 2>>();
  auto all = join_all(*queue);
  REQUIRE(all.size() == 64);
  for (int i = 0; i < 64; ++i) REQUIRE(all[static_cast<std::size_t>(i)].try_push(i));
  CHECK(queue->size_approx() == 64);
  std::array<bool, 64> seen{};
  for (int out = -1; queue->try_pop(out);) CHECK_FALSE(std::exchange(seen.at(static_cast<std::size_t>(out)), true));
  for (const bool one : seen) CHECK(one);
}

TEST_CASE("fan_in: a handle moves with its lane, and gives back the one it had", "[fan_in]") {
  fan_in<int, 2, 4> queue;
  auto first = queue.join();
  auto second = queue.join();
  REQUIRE((first && second));
  REQUIRE(first->try_push(1));
  auto moved = std::move(*first);
  CHECK_FALSE(first->has_lane());  // NOLINT(bugprone-use-after-move)
  CHECK(moved.size_approx() == 1);
  CHECK(queue.joined() == 2);
  REQUIRE(moved.try_push(2));
  moved = std::move(*second);  // its own lane is given back, with two items in it
  CHECK(queue.joined() == 1);
  CHECK(moved.size_approx() == 0);
  auto& self = moved;
  moved = std::move(self);
  CHECK(moved.has_lane());
  first.reset();
  second.reset();
  CHECK(queue.joined() == 1);
  int out = 0;
  CHECK((queue.try_pop(out) && out == 1));
  CHECK((queue.try_pop(out) && out == 2));
  CHECK_FALSE(queue.try_pop(out));
  CHECK(out == 2);
}

TEST_CASE("fan_in: who joins goes on behind what the last owner of the lane left", "[fan_in]") {
  fan_in<int, 1, 4> queue;
  int pushed = 0;
  int popped = 0;
  for (int round = 0; round < 50; ++round) {
    auto mine = queue.join();
    REQUIRE(mine);
    for (int i = 0; i < 3 && mine->try_push(pushed + 1); ++i) ++pushed;
    REQUIRE(queue.size_approx() == static_cast<std::size_t>(pushed - popped));
    mine.reset();
    REQUIRE(queue.joined() == 0);
    for (int i = 0; i < 2; ++i) {
      int out = 0;
      if (queue.try_pop(out)) REQUIRE(out == ++popped);
    }
  }
  for (int out = 0; queue.try_pop(out);) CHECK(out == ++popped);
  CHECK(popped == pushed);
  CHECK(pushed > 90);
}

TEST_CASE("fan_in: a push is refused when its own lane is full, whatever there is room for in others", "[fan_in]") {
  fan_in<int, 2, 4> queue;
  auto first = queue.join();
  auto second = queue.join();
  REQUIRE((first && second));
  for (int i = 0; i < 4; ++i) REQUIRE(first->try_push(i));
  const int refused = 7;
  CHECK_FALSE(first->try_push(refused));
  CHECK_FALSE(first->try_emplace(7));
  CHECK(second->try_push(8));
  CHECK(queue.size_approx() == 5);
  CHECK(first->size_approx() == 4);
}

TEST_CASE("fan_in: each producer's items come in their order, none is lost, in every way of taking them", "[fan_in]") {
  fan_in<numbered, 3, 16, 4> queue;
  auto all = join_all(queue);
  REQUIRE(all.size() == 3);
  std::array<int, 3> pushed{};
  std::array<int, 3> popped{};
  const auto saw = [&](const numbered& one) {
    REQUIRE(one.number == popped.at(static_cast<std::size_t>(one.producer))++);
  };
  for (int round = 0; round < 200; ++round) {
    for (int p = 0; p < 3; ++p) {
      auto& mine = all[static_cast<std::size_t>(p)];
      int& next = pushed.at(static_cast<std::size_t>(p));
      for (int i = 0; i < (round * (p + 1)) % 7; ++i) {
        if (mine.try_push(numbered{p, next})) ++next;
      }
      std::array<numbered, 3> some{numbered{p, next}, numbered{p, next + 1}, numbered{p, next + 2}};
      next += static_cast<int>(round % 2 == 0 ? mine.try_push(std::span<numbered>(some))
                                              : mine.try_push(std::span<const numbered>(some)));
    }
    if (round % 4 == 0) {
      for (int i = 0; i < 9; ++i) {
        numbered out;
        if (queue.try_pop(out)) saw(out);
      }
    } else if (round % 4 == 1) {
      for (int i = 0; i < 9; ++i) {
        if (const std::optional<numbered> out = queue.try_pop()) saw(*out);
      }
    } else if (round % 4 == 2) {
      std::array<numbered, 11> some;
      const std::size_t got = queue.try_pop(std::span(some));
      for (std::size_t i = 0; i < some.size(); ++i) {
        if (i < got) saw(some[i]);
        if (i >= got) REQUIRE(some[i] == numbered{});
      }
    } else {
      const int there = pushed[0] + pushed[1] + pushed[2] - popped[0] - popped[1] - popped[2];
      REQUIRE(queue.consume_all([&](numbered&& one) { saw(one); }) == static_cast<std::size_t>(there));
      REQUIRE(popped == pushed);
      REQUIRE(queue.size_approx() <= 3 * (queue.publish_every() - 1));
    }
  }
  queue.consume_all([&](numbered&& one) { saw(one); });
  CHECK(popped == pushed);
  CHECK(pushed[0] > 300);
}

TEST_CASE("fan_in: a lane has its turn after at most `budget` items of each other one, by single pops", "[fan_in]") {
  fan_in<int, 3, 64, 5> queue;
  auto all = join_all(queue);
  const auto fill = [&](std::size_t lane) {
    while (all[lane].try_push(static_cast<int>(lane))) {
    }
  };
  for (std::size_t lane = 0; lane < 3; ++lane) fill(lane);
  // Every lane full all the time: five of each in turn.
  int out = -1;
  REQUIRE(queue.try_pop(out));
  const int first = out;
  for (int i = 1; i < 300; ++i) {
    REQUIRE(queue.try_pop(out));
    REQUIRE(out == (first + i / 5) % 3);
    fill(static_cast<std::size_t>(out));
  }
}

TEST_CASE("fan_in: the budget holds from call to call, for batches and for consume_all as well", "[fan_in]") {
  fan_in<int, 2, 64, 5> queue;
  auto all = join_all(queue);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(all[0].try_push(0));
    REQUIRE(all[1].try_push(1));
  }
  std::vector<int> order;
  std::array<int, 3> some{};
  REQUIRE(queue.try_pop(std::span(some)) == 3);
  order.insert(order.end(), some.begin(), some.end());
  REQUIRE(queue.try_pop(some[0]));
  order.push_back(some[0]);
  std::array<int, 9> more{};
  REQUIRE(queue.try_pop(std::span(more)) == 9);
  order.insert(order.end(), more.begin(), more.end());
  REQUIRE(queue.consume_all([&](int one) { order.push_back(one); }) == 27);
  REQUIRE(order.size() == 40);
  for (std::size_t i = 0; i < order.size(); ++i) {
    CAPTURE(i);
    CHECK(order[i] == (order[0] + static_cast<int>(i / 5)) % 2);
  }
}

TEST_CASE("fan_in: a lane with nothing costs the others no turn", "[fan_in]") {
  fan_in<int, 4, 64, 5> queue;
  auto all = join_all(queue);
  for (int i = 0; i < 20; ++i) REQUIRE(all[2].try_push(i));
  for (int i = 0; i < 20; ++i) {
    int out = -1;
    REQUIRE(queue.try_pop(out));
    REQUIRE(out == i);
  }
  for (int i = 0; i < 20; ++i) REQUIRE(all[3].try_push(i));
  std::array<int, 32> some{};
  REQUIRE(queue.try_pop(std::span(some)) == 20);
  for (int i = 0; i < 20; ++i) REQUIRE(some.at(static_cast<std::size_t>(i)) == i);
}

TEST_CASE("fan_in: empty, and with nobody who has ever joined, it gives nothing", "[fan_in]") {
  fan_in<int, 4, 8> queue;
  int out = 7;
  std::array<int, 2> some{7, 7};
  const auto gives_nothing = [&] {
    CHECK_FALSE(queue.try_pop(out));
    CHECK_FALSE(queue.try_pop());
    CHECK(queue.try_pop(std::span(some)) == 0);
    CHECK(queue.try_pop(std::span<int>()) == 0);
    CHECK(queue.consume_all([](int) { FAIL("there is nothing"); }) == 0);
    CHECK(queue.size_approx() == 0);
    CHECK(out == 7);
    CHECK(some == std::array{7, 7});
  };
  gives_nothing();
  auto mine = queue.join();
  gives_nothing();
  REQUIRE(mine->try_push(1));
  CHECK(queue.try_pop(out));
  out = 7;
  gives_nothing();
}

TEST_CASE("fan_in: consume_all takes what was there at the call, not what its function has pushed", "[fan_in]") {
  fan_in<int, 2, 8> queue;
  auto all = join_all(queue);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(all[0].try_push(i));
    REQUIRE(all[1].try_push(10 + i));
  }
  int sum = 0;
  CHECK(queue.consume_all([&](int one) {
    sum += one;
    CHECK(all[0].try_push(100));
  }) == 6);
  CHECK(sum == 0 + 1 + 2 + 10 + 11 + 12);
  CHECK(queue.size_approx() == 6);
}

TEST_CASE("fan_in: consume_all takes a lane round the end of its slots", "[fan_in]") {
  fan_in<int, 2, 8> queue;
  auto all = join_all(queue);
  int next = 0;
  int last = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 5; ++i) REQUIRE(all[1].try_push(++next));
    REQUIRE(queue.consume_all([&](int one) { CHECK(one == ++last); }) == 5);
  }
  CHECK(last == 100);
}

TEST_CASE("fan_in: what is reserved and committed is pushed, and a reservation ends with its owner", "[fan_in]") {
  fan_in<int, 1, 8> queue;
  STATIC_REQUIRE(fan_in<int, 1, 8>::reservable);
  auto mine = queue.join();
  const std::span<int> run = mine->reserve(3);
  REQUIRE(run.size() == 3);
  run[0] = 1;
  run[1] = 2;
  mine->commit(2);
  mine.reset();
  mine = queue.join();
  REQUIRE(mine->try_push(3));
  int last = 0;
  queue.consume_all([&](int one) { CHECK(one == ++last); });
  CHECK(last == 3);
}

TEST_CASE("fan_in: items are moved in and out, made in place, and destroyed with the queue", "[fan_in]") {
  counted::alive = 0;
  {
    fan_in<counted, 2, 4> queue;
    auto all = join_all(queue);
    for (int i = 0; i < 3; ++i) REQUIRE(all[0].try_emplace(i));
    REQUIRE(all[1].try_push(counted(9)));
    CHECK(counted::alive == 4);
    counted out(-5);
    REQUIRE(queue.try_pop(out));
    CHECK(counted::alive == 4);
    {
      const std::optional<counted> one = queue.try_pop();
      REQUIRE(one);
      CHECK(counted::alive == 4);
    }
    CHECK(counted::alive == 3);
    CHECK(queue.size_approx() == 2);
    all.clear();
  }
  CHECK(counted::alive == 0);
}

TEST_CASE("fan_in: T without assignment, move-only, over-aligned", "[fan_in]") {
  fan_in<const_member, 1, 4> constants;
  auto mine = constants.join();
  REQUIRE(mine->try_push(const_member{5}));
  const std::optional<const_member> got = constants.try_pop();
  REQUIRE(got);
  CHECK(got->number == 5);

  fan_in<std::unique_ptr<int>, 1, 4> owners;
  auto owner = owners.join();
  for (int i = 0; i < 4; ++i) REQUIRE(owner->try_push(std::make_unique<int>(i)));
  auto kept = std::make_unique<int>(9);
  CHECK_FALSE(owner->try_push(std::move(kept)));
  REQUIRE(kept);  // NOLINT(bugprone-use-after-move): refused, it is still the caller's
  std::unique_ptr<int> out;
  REQUIRE(owners.try_pop(out));
  CHECK(*out == 0);
  std::array<std::unique_ptr<int>, 2> two;
  REQUIRE(owners.try_pop(std::span(two)) == 2);
  CHECK(*two[1] == 2);

  fan_in<over_aligned, 2, 2> aligned;
  auto first = aligned.join();
  REQUIRE(first->try_emplace());
  CHECK(aligned.consume_all([](over_aligned&& one) {
    CHECK(reinterpret_cast<std::uintptr_t>(&one) % alignof(over_aligned) == 0);
  }) == 1);
}
