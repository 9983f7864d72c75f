// SPDX-License-Identifier: MIT
#include "holdfast/policy/waiting_line.hpp"

#include <array>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/waiter.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

namespace {

using holdfast::deadline;
using holdfast::duration;
using holdfast::time_point;
using holdfast::wait_end;
using holdfast::waiting_line;
using holdfast::waiting_order;

struct counted : holdfast::waiter {
  counted() : waiter([](waiter& self) noexcept { ++static_cast<counted&>(self).times; }) {}
  int times = 0;
};

class counted_memory : public std::pmr::memory_resource {
 public:
  std::size_t bytes = 0;
  int asked = 0;

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    bytes += size;
    ++asked;
    return std::pmr::new_delete_resource()->allocate(size, alignment);
  }
  void do_deallocate(void* at, std::size_t size, std::size_t alignment) override {
    bytes -= size;
    std::pmr::new_delete_resource()->deallocate(at, size, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

waiting_line line_of(std::uint32_t places, waiting_order order = waiting_order::oldest_first) {
  return {places, order, std::pmr::get_default_resource()};
}

}  // namespace

TEST_CASE("L1 a wait ends once, whoever ends it, and is told once", "[waiting_line]") {
  const auto how = GENERATE(wait_end::served, wait_end::late, wait_end::cancelled);
  auto line = line_of(4);
  counted who;
  const auto place = line.enter(&who, deadline::never());
  REQUIRE(place);
  CHECK(line.waiting() == 1);
  CHECK(who.times == 0);
  CHECK(line.end(*place, how));
  CHECK(who.times == 1);
  CHECK(line.waiting() == 0);
  for (const auto later : {wait_end::served, wait_end::late, wait_end::cancelled}) CHECK_FALSE(line.end(*place, later));
  CHECK(line.expire(time_point::max()) == 0);
  CHECK(who.times == 1);
  CHECK(line.ended(how) == 0);
  CHECK(line.collect(*place) == how);
  CHECK(line.ended(how) == 1);
}

TEST_CASE("L1 an end that comes for one who has gone does not reach the next one there", "[waiting_line]") {
  auto line = line_of(1);
  counted who;
  const auto before = line.enter(&who, deadline::never());
  REQUIRE(line.end(*before, wait_end::cancelled));
  REQUIRE(line.collect(*before) == wait_end::cancelled);
  CHECK_FALSE(line.end(*before, wait_end::cancelled));
  auto after = line.enter(&who, deadline::never());
  REQUIRE(line.end(*after, wait_end::cancelled));  // that was another place
  REQUIRE(line.collect(*after) == wait_end::cancelled);
  after = line.enter(&who, deadline::never());
  REQUIRE(after);
  REQUIRE(after->index == before->index);
  CHECK_FALSE(line.end(*before, wait_end::served));
  CHECK(who.times == 2);
  CHECK(line.waiting() == 1);
  CHECK(line.end(*after, wait_end::served));
  CHECK(line.collect(*after) == wait_end::served);
}

TEST_CASE("L2 first is the oldest that waits, or the newest, whatever places they have", "[waiting_line]") {
  const auto order = GENERATE(waiting_order::oldest_first, waiting_order::newest_first);
  constexpr std::size_t places = 19;
  auto line = line_of(places, order);
  CHECK_FALSE(line.first());
  std::array<counted, places> who;
  std::vector<std::pair<int, waiting_line::place>> there;  // by number, in order of arrival
  int number = 0;
  const auto arrive = [&] {
    const auto place = line.enter(&who[static_cast<std::size_t>(number) % places], deadline::never());
    REQUIRE(place);
    there.emplace_back(number++, *place);
  };
  for (std::size_t i = 0; i < places; ++i) arrive();
  // The places get mixed: each time one from the middle gives up, and one comes.
  for (std::size_t i = 0; i < 100; ++i) {
    const std::size_t gone = i * 7 % places;
    REQUIRE(line.end(there[gone].second, wait_end::cancelled));
    static_cast<void>(line.collect(there[gone].second));
    there.erase(there.begin() + static_cast<std::ptrdiff_t>(gone));
    arrive();
  }
  while (!there.empty()) {
    const auto expected = order == waiting_order::oldest_first ? there.begin() : there.end() - 1;
    const auto next = line.first();
    REQUIRE(next);
    CHECK(next->word == expected->second.word);
    CHECK(next->index == expected->second.index);
    REQUIRE(line.end(*next, wait_end::served));
    static_cast<void>(line.collect(*next));
    there.erase(expected);
  }
  CHECK_FALSE(line.first());
}

TEST_CASE("L3 so many may wait, and one more as soon as a wait has ended", "[waiting_line]") {
  const std::uint32_t most = GENERATE(0U, 1U, 3U, 4U, 5U, 100U);
  auto line = line_of(most);
  counted who;
  std::vector<waiting_line::place> there;
  const auto fill = [&] {
    for (std::uint32_t i = 0; i < most; ++i) {
      const auto place = line.enter(&who, deadline::never());
      REQUIRE(place);
      there.push_back(*place);
    }
    CHECK_FALSE(line.enter(&who, deadline::never()));
    CHECK(line.waiting() == most);
  };
  fill();
  const auto gone = std::exchange(there, {});
  for (const auto& place : gone) {
    REQUIRE(line.end(place, wait_end::late));
    const auto next = line.enter(&who, deadline::never());
    REQUIRE(next);
    there.push_back(*next);
    CHECK_FALSE(line.enter(&who, deadline::never()));
  }
  CHECK(line.waiting() == most);
  CHECK(line.expire(time_point::max()) == most);
  CHECK_FALSE(line.enter(&who, deadline::never()));  // nobody waits, and twice as many as may have yet to collect
  for (const auto& place : gone) CHECK(line.collect(place) == wait_end::late);
  for (const auto& place : there) CHECK(line.collect(place) == wait_end::late);
  fill();
  CHECK(line.expire(time_point::max()) == most);
}

TEST_CASE("expire ends the waits whose deadline has passed, and no other", "[waiting_line]") {
  auto line = line_of(16);
  std::array<counted, 10> who;
  const auto at = [](std::int64_t ns) { return time_point(duration(ns)); };
  for (std::size_t i = 0; i < who.size(); ++i) {
    REQUIRE(line.enter(&who[i], deadline(at(static_cast<std::int64_t>(i % 5) * 100))));
  }
  CHECK(line.expire(at(-1)) == 0);
  CHECK(line.expire(at(0)) == 2);
  CHECK(line.expire(at(0)) == 0);
  CHECK(line.expire(at(299)) == 4);
  CHECK(line.expire(at(300)) == 2);
  for (std::size_t i = 0; i < who.size(); ++i) CHECK(who[i].times == (i % 5 == 4 ? 0 : 1));
  CHECK(line.waiting() == 2);
  CHECK(line.expire(at(400)) == 2);
}

TEST_CASE("a thread sleeps until it is served, or its own deadline has passed", "[waiting_line]") {
  auto line = line_of(1);
  SECTION("served") {
    std::optional<wait_end> how;
    std::thread sleeper([&] {
      const auto mine = line.enter(nullptr, deadline::never());
      line.sleep(*mine, deadline::never());
      how = line.collect(*mine);
    });
    test_support::patience waiting;
    while (line.waiting() == 0) REQUIRE(waiting.wait());
    CHECK(line.end(*line.first(), wait_end::served));
    sleeper.join();
    CHECK(how == wait_end::served);
  }
  SECTION("late") {
    const deadline past(time_point::min());
    const auto mine = line.enter(nullptr, past);
    line.sleep(*mine, past);
    CHECK(line.waiting() == 0);
    CHECK(line.collect(*mine) == wait_end::late);
  }
}

TEST_CASE("a line asks for its memory once, and gives it back", "[waiting_line]") {
  counted_memory memory;
  {
    waiting_line line(20, waiting_order::oldest_first, &memory);
    CHECK(memory.asked == 1);
    CHECK(memory.bytes == 20 * 48);
    counted who;
    for (int i = 0; i < 100; ++i) {
      const auto place = line.enter(&who, deadline::never());
      REQUIRE(line.end(*place, wait_end::served));
      static_cast<void>(line.collect(*place));
    }
    CHECK(memory.asked == 1);
  }
  CHECK(memory.bytes == 0);
  const waiting_line none(0, waiting_order::oldest_first, &memory);
  CHECK(memory.asked == 1);
  CHECK_FALSE(none.first());
}
