// SPDX-License-Identifier: MIT
#include "holdfast/queue/intrusive_mpsc_list.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct other_base {
  std::uint64_t before = 7;
};
// The hook does not stand at the beginning of the node.
struct job : other_base, mpsc_hook {
  job() = default;
  explicit job(int n) : number(n) {}
  int number = 0;
};
struct aggregate_job : mpsc_hook {
  int number = 0;
};
using list = intrusive_mpsc_list<job>;

// The number of the node that comes out; 0 if the list says empty.
int popped(list& from) {
  job* out = nullptr;
  const queue_result answer = from.try_pop(out);
  if (!answer) {
    CHECK(answer == queue_op_status::empty);
    CHECK(out == nullptr);
    return 0;
  }
  REQUIRE(out != nullptr);
  CHECK(out->before == 7);
  return out->number;
}

}  // namespace

TEST_CASE("intrusive_mpsc_list: neither it nor a node is copied or moved, and a node may be an aggregate",
          "[intrusive_mpsc_list]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<list>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<list>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<job>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<job>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<job>);
  STATIC_REQUIRE(sizeof(mpsc_hook) == sizeof(void*));
  STATIC_REQUIRE(sizeof(list) == 4 * cache_line_size);
  STATIC_REQUIRE(std::is_same_v<list::value_type, job>);
  aggregate_job node{};
  node.number = 3;
  intrusive_mpsc_list<aggregate_job> nodes;
  nodes.push(node);
  aggregate_job* out = nullptr;
  REQUIRE(nodes.try_pop(out));
  CHECK(out == &node);
}

TEST_CASE("intrusive_mpsc_list: a popped node is the oldest one pushed, however many there are",
          "[intrusive_mpsc_list]") {
  list nodes;
  std::deque<job> made;
  std::deque<int> oracle;
  int next = 1;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < round % 5; ++i) {
      nodes.push(made.emplace_back(next));
      oracle.push_back(next++);
      REQUIRE_FALSE(nodes.empty());
    }
    for (int i = 0; i < round % 4; ++i) {
      REQUIRE(popped(nodes) == (oracle.empty() ? 0 : oracle.front()));
      if (!oracle.empty()) oracle.pop_front();
      REQUIRE(nodes.empty() == oracle.empty());
    }
  }
  while (!oracle.empty()) {
    REQUIRE(popped(nodes) == oracle.front());
    oracle.pop_front();
  }
  CHECK(popped(nodes) == 0);
  CHECK(nodes.empty());
}

TEST_CASE("intrusive_mpsc_list: refused, it leaves `out` as it was", "[intrusive_mpsc_list]") {
  list nodes;
  job mine(1);
  job* out = &mine;
  CHECK(nodes.try_pop(out) == queue_op_status::empty);
  CHECK(out == &mine);
  nodes.push(mine);
  CHECK(nodes.try_pop(out));
  CHECK(nodes.try_pop(out) == queue_op_status::empty);
  CHECK(out == &mine);
}

TEST_CASE("intrusive_mpsc_list: a popped node may be pushed again at once, to the same list, to another, or destroyed",
          "[intrusive_mpsc_list]") {
  list first;
  list second;
  std::array<job, 3> nodes{job(1), job(2), job(3)};
  for (job& node : nodes) first.push(node);
  job* out = nullptr;
  // Round and round: the order is that of the pushes.
  for (int round = 0; round < 10; ++round) {
    REQUIRE(first.try_pop(out));
    REQUIRE(out->number == 1 + round % 3);
    first.push(*out);
  }
  // The only node of a list, again and again.
  REQUIRE(first.try_pop(out));
  second.push(*out);
  for (int round = 0; round < 10; ++round) {
    job* again = nullptr;
    REQUIRE(second.try_pop(again));
    REQUIRE(again == out);
    REQUIRE(second.empty());
    second.push(*again);
  }
  CHECK(popped(second) == 2);
  CHECK(popped(first) == 3);
  CHECK(popped(first) == 1);
  auto owned = std::make_unique<job>(9);
  first.push(*owned);
  REQUIRE(first.try_pop(out));
  owned.reset();
  CHECK(first.try_pop(out) == queue_op_status::empty);
}

TEST_CASE("intrusive_mpsc_list: consume_all takes what was there at the call, oldest first, and not what fn pushes",
          "[intrusive_mpsc_list]") {
  list nodes;
  std::array<job, 3> made{job(1), job(2), job(3)};
  CHECK(nodes.consume_all([](job&) { FAIL("there is nothing"); }) == 0);
  for (job& node : made) nodes.push(node);
  std::vector<int> seen;
  const auto again = [&](job& node) {
    seen.push_back(node.number);
    node.number += 10;
    nodes.push(node);
  };
  CHECK(nodes.consume_all(again) == 3);
  CHECK(seen == std::vector{1, 2, 3});
  CHECK(nodes.consume_all(again) == 3);
  CHECK(seen == std::vector{1, 2, 3, 11, 12, 13});
  CHECK(popped(nodes) == 21);
  // One alone is the last one, too.
  CHECK(popped(nodes) == 22);
  CHECK(nodes.consume_all(again) == 1);
  CHECK(popped(nodes) == 33);
  CHECK(nodes.empty());
}

TEST_CASE("intrusive_mpsc_list: consume_all may end the life of what it gives", "[intrusive_mpsc_list]") {
  list nodes;
  for (int i = 1; i <= 5; ++i) nodes.push(*std::make_unique<job>(i).release());
  int sum = 0;
  CHECK(nodes.consume_all([&](job& node) {
    sum += node.number;
    delete &node;  // NOLINT(cppcoreguidelines-owning-memory)
  }) == 5);
  CHECK(sum == 15);
  CHECK(nodes.empty());
}

TEST_CASE("intrusive_mpsc_list: nodes left in it are their owners' when it is gone", "[intrusive_mpsc_list]") {
  std::array<job, 3> made{job(1), job(2), job(3)};
  {
    list nodes;
    for (job& node : made) nodes.push(node);
    CHECK(popped(nodes) == 1);
  }
  list next;
  for (job& node : made) next.push(node);
  for (int i = 1; i <= 3; ++i) CHECK(popped(next) == i);
  CHECK(popped(next) == 0);
}
