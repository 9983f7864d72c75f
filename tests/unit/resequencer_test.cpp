// SPDX-License-Identifier: MIT
#include "holdfast/queue/resequencer.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using test_support::counted;

namespace {

constexpr auto yes = [] { return true; };
constexpr auto no = [] { return false; };

template <class Resequencer>
void await_waiting(const Resequencer& order, std::uint32_t count) {
  test_support::patience waiting;
  while (order.waiting() != count) REQUIRE(waiting.wait());
}

}  // namespace

TEST_CASE("resequencer: what is taken is numbered from 0, and what is not taken uses no number", "[resequencer]") {
  resequencer<int, 4> order;
  CHECK(order.take(yes) == 0U);
  CHECK(order.take(no) == std::nullopt);
  CHECK(order.take(yes) == 1U);
}

TEST_CASE("resequencer: what is given in order is emitted at once", "[resequencer]") {
  resequencer<std::string, 2> order;
  std::string all;
  const auto emit = [&](std::string&& one) { all += one; };
  for (std::uint64_t n = 0; n < 5; ++n) {  // twice round the window and a half
    REQUIRE(order.take(yes) == n);
    order.give(n, std::to_string(n), emit);
    CHECK(all.size() == n + 1);
  }
  CHECK(all == "01234");
}

TEST_CASE("resequencer: what comes too early is kept until all before it have been given", "[resequencer]") {
  resequencer<int, 4> order;
  std::vector<int> out;
  const auto emit = [&](int&& one) { out.push_back(one); };
  for (int i = 0; i < 6; ++i) static_cast<void>(order.take(yes));
  order.give(3, 3, emit);
  order.give(1, 1, emit);
  CHECK(out.empty());
  order.give(0, 0, emit);
  CHECK(out == std::vector{0, 1});
  order.give(5, 5, emit);  // round the window, in the slot that 1 had
  CHECK(out.size() == 2);
  order.give(2, 2, emit);
  CHECK(out == std::vector{0, 1, 2, 3});
  order.give(4, 4, emit);
  CHECK(out == std::vector{0, 1, 2, 3, 4, 5});
}

TEST_CASE("resequencer: who is a window ahead waits, and the oldest never does", "[resequencer]") {
  resequencer<int, 2> order(sleep_at_once);
  std::vector<int> out;
  const auto emit = [&](int&& one) { out.push_back(one); };
  for (int i = 0; i < 4; ++i) static_cast<void>(order.take(yes));
  std::thread third([&] { order.give(2, 2, emit); });
  std::thread fourth([&] { order.give(3, 3, emit); });
  await_waiting(order, 2);
  order.give(1, 1, emit);
  CHECK(out.empty());
  CHECK(order.waiting() == 2);
  order.give(0, 0, emit);
  third.join();
  fourth.join();
  CHECK(out == std::vector{0, 1, 2, 3});
  CHECK(order.waiting() == 0);
}

TEST_CASE("resequencer: one takes at a time, and who waits for that is woken", "[resequencer]") {
  resequencer<int, 4> order(sleep_at_once);
  atomic<bool> inside{false};
  atomic<bool> go{false};
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> second;
  std::thread slow([&] {
    first = order.take([&] {
      inside.store(true, mo::release);
      test_support::patience waiting;
      while (!go.load(mo::acquire) && waiting.wait()) {
      }
      return true;
    });
  });
  test_support::patience waiting;
  while (!inside.load(mo::acquire)) REQUIRE(waiting.wait());
  std::thread other([&] { second = order.take(yes); });
  await_waiting(order, 1);
  go.store(true, mo::release);
  slow.join();
  other.join();
  CHECK(first == 0U);
  CHECK(second == 1U);
}

TEST_CASE("resequencer: what was given and never emitted is destroyed with it", "[resequencer]") {
  counted::alive = 0;
  {
    resequencer<counted, 4> order;
    int emitted = 0;
    const auto emit = [&](counted&& one) { emitted += one.number(); };
    for (int i = 0; i < 3; ++i) static_cast<void>(order.take(yes));
    order.give(2, counted(2), emit);
    CHECK(counted::alive == 1);
    order.give(0, counted(1), emit);
    CHECK(emitted == 1);
    CHECK(counted::alive == 1);
  }
  CHECK(counted::alive == 0);
}
