// SPDX-License-Identifier: MIT
// spsc_queue: items written and read in their slots.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/queue/spsc_queue.hpp"

#include "support/catch.hpp"
#include "support/sized_queue.hpp"

using holdfast::spsc_queue;
using test_support::sized_queue;

namespace {

constexpr std::uint64_t just_before_wrap = std::numeric_limits<std::uint64_t>::max() - 5;

struct with_default {
  int number = 17;
};
struct may_throw {
  may_throw() noexcept(false) {}  // NOLINT(modernize-use-equals-default): defaulted, it would not
};
struct no_default {
  explicit no_default(int n) : number(n) {}
  no_default(no_default&&) = default;
  no_default& operator=(no_default&&) = default;
  ~no_default() = default;
  int number;
};

template <class Queue>
std::vector<int> drained(Queue& queue) {
  std::vector<int> out;
  queue.consume_all([&](auto&& item) { out.push_back(item); });
  return out;
}
template <class Queue>
void fill(Queue& queue, int from, int count) {
  for (int i = 0; i < count; ++i) REQUIRE(queue.try_push(from + i));
}
template <class Queue>
std::size_t write(Queue& queue, std::size_t n, int from) {
  const std::span<int> run = queue.reserve(n);
  for (std::size_t i = 0; i < run.size(); ++i) run[i] = from + static_cast<int>(i);
  queue.commit(run.size());
  return run.size();
}

}  // namespace

TEST_CASE("slots may be reserved of items whose making cannot fail and whose end is no work",
          "[spsc_queue][in_place]") {
  STATIC_REQUIRE(spsc_queue<int, 4>::reservable);
  STATIC_REQUIRE(spsc_queue<with_default, 4>::reservable);
  STATIC_REQUIRE_FALSE(spsc_queue<std::string, 4>::reservable);
  STATIC_REQUIRE_FALSE(spsc_queue<std::unique_ptr<int>, 4>::reservable);
  STATIC_REQUIRE_FALSE(spsc_queue<may_throw, 4>::reservable);
  STATIC_REQUIRE_FALSE(spsc_queue<no_default, 4>::reservable);
  spsc_queue<with_default, 4> queue;
  for (int lap = 0; lap < 3; ++lap) {
    const std::span<with_default> run = queue.reserve(4);
    REQUIRE(run.size() == 4);
    for (with_default& item : run) {
      CHECK(item.number == 17);  // made anew in each lap
      item.number = lap;
    }
    queue.commit(4);
    for (const with_default& item : queue.peek(4)) CHECK(item.number == lap);
    queue.release(4);
  }
}

TEST_CASE("what is committed comes out in order, mixed with what is pushed", "[spsc_queue][in_place]") {
  spsc_queue<int, 8> queue;
  CHECK(write(queue, 2, 0) == 2);
  REQUIRE(queue.try_push(2));
  CHECK(write(queue, 3, 3) == 3);
  const std::array<int, 2> more{6, 7};
  CHECK(queue.try_push(std::span<const int>(more)) == 2);
  CHECK(drained(queue) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("a reservation is one run, and ends where the slots end", "[spsc_queue][in_place]") {
  for (const std::uint64_t first : {std::uint64_t{0}, just_before_wrap - 2}) {
    spsc_queue<int, 8> queue(first);
    CHECK(write(queue, 5, 0) == 5);
    CHECK(drained(queue).size() == 5);
    CHECK(write(queue, 8, 10) == 3);  // to the end
    CHECK(write(queue, 8, 13) == 5);  // and from the beginning
    CHECK(queue.reserve(1).empty());
    CHECK(drained(queue) == std::vector<int>{10, 11, 12, 13, 14, 15, 16, 17});
  }
}

TEST_CASE("batches of one size that is a power of two never meet the end of the slots", "[spsc_queue][in_place]") {
  const auto queue = std::make_unique<spsc_queue<int, 64>>(std::uint64_t{0} - 4096);
  int in = 0;
  int out = 0;
  for (int round = 0; round < 200; ++round) {
    while (queue->size_approx() + 8 <= queue->capacity()) {
      REQUIRE(write(*queue, 8, in) == 8);
      in += 8;
    }
    for (int i = 0; i < 1 + round % 7; ++i) {
      const std::span<int> run = queue->peek(8);
      REQUIRE(run.size() == 8);
      for (const int item : run) REQUIRE(item == out++);
      queue->release(8);
    }
  }
}

TEST_CASE("a reservation that is not committed is forgotten", "[spsc_queue][in_place]") {
  spsc_queue<int, 4> queue;
  const auto spoil = [&] {
    for (int& item : queue.reserve(4)) item = -1;
  };
  spoil();
  CHECK(queue.size_approx() == 0);
  CHECK(queue.peek(4).empty());
  spoil();
  REQUIRE(queue.try_push(1));
  spoil();
  REQUIRE(queue.try_emplace(2));
  spoil();
  std::array<int, 1> three{3};
  CHECK(queue.try_push(std::span<int>(three)) == 1);
  spoil();
  CHECK(write(queue, 4, 4) == 1);
  CHECK(drained(queue) == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("a reservation may be committed piece by piece, and its end left", "[spsc_queue][in_place]") {
  spsc_queue<int, 8> queue;
  const std::span<int> run = queue.reserve(6);
  REQUIRE(run.size() == 6);
  for (int i = 0; i < 6; ++i) run[static_cast<std::size_t>(i)] = i;
  queue.commit(2);
  CHECK(queue.size_approx() == 2);
  queue.commit(0);
  queue.commit(3);
  CHECK(queue.size_approx() == 5);
  REQUIRE(queue.try_push(50));
  CHECK(drained(queue) == std::vector<int>{0, 1, 2, 3, 4, 50});
}

TEST_CASE("a full queue reserves nothing, and so does a wish for none", "[spsc_queue][in_place]") {
  spsc_queue<int, 4> queue;
  CHECK(queue.reserve(0).empty());
  queue.commit(0);
  fill(queue, 0, 4);
  CHECK(queue.reserve(4).empty());
  queue.commit(0);
  CHECK(queue.size_approx() == 4);
  CHECK(queue.peek(0).empty());
  queue.release(0);
  CHECK(drained(queue) == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("a reservation counts space that was freed since the producer last looked", "[spsc_queue][in_place]") {
  spsc_queue<int, 8> queue;
  fill(queue, 0, 8);
  CHECK(queue.reserve(1).empty());
  queue.release(queue.peek(2).size());
  REQUIRE(queue.try_push(8));  // it knows of one free slot now, and of no more
  queue.release(queue.peek(4).size());
  CHECK(queue.reserve(8).size() == 5);
}

TEST_CASE("peeked items are the oldest ones, and are still there", "[spsc_queue][in_place]") {
  spsc_queue<int, 8> queue;
  fill(queue, 0, 5);
  for (int i = 0; i < 2; ++i) {
    const std::span<int> run = queue.peek(3);
    CHECK(std::vector<int>(run.begin(), run.end()) == std::vector<int>{0, 1, 2});
  }
  int out = -1;
  REQUIRE(queue.try_pop(out));
  CHECK(out == 0);
  const std::span<int> rest = queue.peek(100);
  CHECK(std::vector<int>(rest.begin(), rest.end()) == std::vector<int>{1, 2, 3, 4});
  rest[1] = 20;  // in place
  CHECK(drained(queue) == std::vector<int>{1, 20, 3, 4});
}

TEST_CASE("peek sees what was pushed since the consumer last looked, if it knows of fewer than asked",
          "[spsc_queue][in_place]") {
  spsc_queue<int, 8> queue;
  fill(queue, 0, 2);
  CHECK(queue.peek(2).size() == 2);
  queue.release(1);
  fill(queue, 2, 2);
  CHECK(queue.peek(1).size() == 1);
  CHECK(queue.peek(3).size() == 3);
}

TEST_CASE("a peeked run ends where the slots end", "[spsc_queue][in_place]") {
  spsc_queue<int, 4> queue(just_before_wrap + 3);  // 2^64 - 3: three slots before the first one
  fill(queue, 0, 4);
  const std::span<int> run = queue.peek(4);
  CHECK(std::vector<int>(run.begin(), run.end()) == std::vector<int>{0, 1, 2});
  queue.release(3);
  const std::span<int> rest = queue.peek(4);
  CHECK(std::vector<int>(rest.begin(), rest.end()) == std::vector<int>{3});
  queue.release(1);
  CHECK(queue.peek(4).empty());
}

TEST_CASE("released items are destroyed, and the others not", "[spsc_queue][in_place]") {
  const auto value = std::make_shared<int>(5);
  {
    spsc_queue<std::shared_ptr<int>, 32> queue;
    for (int i = 0; i < 10; ++i) REQUIRE(queue.try_push(value));
    CHECK(queue.peek(6).size() == 6);
    CHECK(value.use_count() == 11);
    queue.release(4);
    CHECK(value.use_count() == 7);
    queue.release(2);
    CHECK(value.use_count() == 5);
    const std::shared_ptr<int> taken = std::move(queue.peek(1)[0]);  // moved from in its slot
    queue.release(1);
    CHECK(taken == value);
    CHECK(value.use_count() == 5);
  }
  CHECK(value.use_count() == 1);
}

TEST_CASE("items without a default constructor are peeked like others", "[spsc_queue][in_place]") {
  spsc_queue<no_default, 4> queue;
  REQUIRE(queue.try_emplace(3));
  CHECK(queue.peek(1)[0].number == 3);
  queue.release(1);
  CHECK(queue.peek(1).empty());
}

TEMPLATE_TEST_CASE("the promised capacity fits at every phase, whatever the steps in which items are released",
                   "[spsc_queue][in_place]", (spsc_queue<int, 4>), (spsc_queue<int, 16>), (spsc_queue<int, 128>),
                   (sized_queue<int, 16>), (sized_queue<int, 128>)) {
  for (std::size_t step = 1; step <= 20; ++step) {
    const auto queue = std::make_unique<TestType>(just_before_wrap - 20);
    int in = 0;
    int out = 0;
    for (int round = 0; round < 60; ++round) {
      while (static_cast<std::size_t>(in - out) < TestType::capacity()) {
        const std::size_t wanted = TestType::capacity() - static_cast<std::size_t>(in - out);
        const std::size_t done = write(*queue, std::min(wanted, step), in);
        REQUIRE(done > 0);
        in += static_cast<int>(done);
      }
      REQUIRE(queue->size_approx() <= queue->max_size());
      const std::span<int> run = queue->peek(step);
      REQUIRE(!run.empty());
      for (const int item : run) REQUIRE(item == out++);
      queue->release(run.size());
    }
  }
}

TEST_CASE("an empty peek tells the producer of all free slots", "[spsc_queue][in_place]") {
  spsc_queue<int, 64> queue;
  fill(queue, 0, 5);
  queue.release(queue.peek(5).size());
  CHECK(queue.peek(1).empty());
  int taken = 0;
  while (queue.try_push(1)) ++taken;
  CHECK(taken == static_cast<int>(queue.max_size()));
}
