// SPDX-License-Identifier: MIT
#include "holdfast/policy/rate_table.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
// A call each 100 ms, three at once; and for all that find no room two at once, one each second.
constexpr rate_table_options usual{.each = {.permits = 10, .per = 1s, .burst = 3},
                                   .overflow = {.permits = 1, .per = 1s, .burst = 2},
                                   .cool_down = 10s,
                                   .secret = {11, 22}};

template <std::size_t Cells>
struct held_table {
  explicit held_table(const rate_table_options& o = usual)
      : memory(std::make_unique<rate_table_memory<Cells>>()), table(*memory, o) {}
  std::unique_ptr<rate_table_memory<Cells>> memory;
  rate_table table;
  rate_table* operator->() { return &table; }

  // Keys that have a cell, each once.
  std::size_t names() const {
    std::size_t n = 0;
    for (const rate_cell& c : memory->cells) n += c.name.load(mo::relaxed) >> 16U != 0 ? 1U : 0U;  // counter:
    return n;
  }
};

// What is there, word for word.
template <std::size_t Cells>
std::vector<std::int64_t> bytes_of(const rate_table_memory<Cells>& m) {
  std::vector<std::int64_t> all{m.shared.overflow.load(mo::relaxed), m.shared.floor.load(mo::relaxed)};  // counter:
  for (const rate_cell& c : m.cells) {
    all.push_back(static_cast<std::int64_t>(c.name.load(mo::relaxed)));  // counter:
    all.push_back(c.word.load(mo::relaxed));                             // counter:
  }
  return all;
}

}  // namespace

TEST_CASE("each key has a rate of its own, by text or by number", "[rate_table]") {
  held_table<64> t;
  for (int i = 0; i < 3; ++i) CHECK(t->try_take("10.0.0.1", start));
  const auto refused = t->try_take("10.0.0.1", start);
  CHECK(refused.code == errc::rate_limited);
  CHECK(refused.retry_after == 100ms);
  CHECK_FALSE(refused.overflowed);
  CHECK(t->try_take("10.0.0.2", start));
  CHECK(t->try_take(t->key(7), start));
  CHECK(t->try_take("10.0.0.1", start + 100ms));
  CHECK_FALSE(t->try_take("10.0.0.1", start + 100ms));
  CHECK(t->totals().entries == 3);
  CHECK(t->totals().cells == 64);
  const error as_error = refused;
  CHECK(as_error.code == errc::rate_limited);
  CHECK(as_error.retry_after == 100ms);
}

TEST_CASE("a call may cost more than one permit, and never more than a burst", "[rate_table]") {
  held_table<64> t;
  CHECK(t->try_take(t->key(1), start, 2));
  const auto two_more = t->try_take(t->key(1), start, 2);
  CHECK(two_more.code == errc::rate_limited);
  CHECK(two_more.retry_after == 100ms);
  CHECK(t->try_take(t->key(1), start, 1));
  CHECK(t->try_take(t->key(1), start, 0));
  CHECK(t->try_take(t->key(2), start, 4).code == errc::rate_infeasible);
  CHECK(t->totals().entries == 1);  // who asked for too much has no cell for that
  CHECK(t->try_take(t->key(2), start, 3));
}

TEST_CASE("a look says what a take would find, and makes nothing", "[rate_table]") {
  held_table<64> t;
  CHECK_FALSE(t->look(t->key(1), start).has_value());
  CHECK(t->totals().entries == 0);
  CHECK(t->try_take(t->key(1), start, 2));
  const auto seen = t->look(t->key(1), start + 50ms);
  REQUIRE(seen.has_value());
  CHECK(seen->available == 1);
  CHECK(seen->burst == 3);
  CHECK(seen->period == 100ms);
  CHECK(seen->full_in == 150ms);
}

TEST_CASE("G1: a key takes exactly what a limiter of its own would grant, whatever cells it has had", "[rate_table]") {
  struct reference {
    rate_limiter limiter{usual.each};
  };
  held_table<16> t;
  std::map<std::uint64_t, reference> limiters;
  splitmix64 random(3);
  time_point now = start;
  std::uint64_t granted = 0;
  std::uint64_t overflowed = 0;
  for (int i = 0; i < 200'000; ++i) {
    if (uniform_up_to(random, 2) == 0) now += duration(static_cast<std::int64_t>(uniform_up_to(random, 30'000'000)));
    const std::uint64_t n = uniform_up_to(random, 39);
    const auto cost = static_cast<std::uint32_t>(1 + uniform_up_to(random, 2));
    const auto got = t->try_take(t->key(n), now, cost);
    if (got.overflowed) {
      ++overflowed;
      continue;
    }
    const rate_answer wanted = limiters[n].limiter.try_take(now, cost);
    REQUIRE(got.code == wanted.code);
    REQUIRE(got.retry_after == wanted.retry_after);
    granted += got ? 1U : 0U;
  }
  CHECK(granted > 10'000);
  CHECK(overflowed > 100);
  CHECK(t->totals().evicted > 1'000);
  CHECK(t->totals().overflowed == overflowed);
}

TEST_CASE("G1, G3: readings of the clock that go back and forth never get a key more than its own limiter would grant",
          "[rate_table]") {
  held_table<64> t;
  std::map<std::uint64_t, std::unique_ptr<rate_limiter>> limiters;
  splitmix64 random(4);
  time_point newest = start;
  std::uint64_t granted = 0;
  for (int i = 0; i < 200'000; ++i) {
    if (uniform_up_to(random, 2) == 0) newest += duration(static_cast<std::int64_t>(uniform_up_to(random, 60'000'000)));
    const time_point now = newest - duration(static_cast<std::int64_t>(uniform_up_to(random, 400'000'000)));
    const std::uint64_t n = uniform_up_to(random, 149);
    const auto got = t->try_take(t->key(n), now);
    if (!got || got.overflowed) continue;
    auto& own = limiters[n];
    if (own == nullptr) own = std::make_unique<rate_limiter>(usual.each);
    REQUIRE(own->try_take(now));
    ++granted;
  }
  CHECK(granted > 1'000);
  CHECK(t->totals().evicted > 1'000);
}

TEST_CASE("G2: a refusal of a key that has a cell writes nothing", "[rate_table]") {
  held_table<8> t;
  CHECK(t->try_take(t->key(1), start, 3));
  const auto before = bytes_of(*t.memory);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(t->try_take(t->key(1), start + 1ms * i, 2));
  CHECK(t->try_take(t->key(1), start, 4).code == errc::rate_infeasible);
  CHECK(bytes_of(*t.memory) == before);
}

TEST_CASE("Q1: two tables over the same cells have one cell a key", "[rate_table]") {
  held_table<64> t;
  rate_table other(*t.memory, usual);
  for (std::uint64_t n = 0; n < 20; ++n) {
    CHECK(t->try_take(t->key(n), start, 2));
    CHECK(other.try_take(other.key(n), start));
    CHECK_FALSE(t->try_take(t->key(n), start));
  }
  CHECK(t->totals().entries == 20);
  CHECK(t.names() == 20);
}

TEST_CASE("Q2: a cell is given away when all is earned, and not before", "[rate_table]") {
  held_table<1> t;
  const auto a = t->key(1);
  const auto b = t->key(2);
  CHECK(t->try_take(a, start, 3));  // earned at 300 ms
  CHECK(t->try_take(b, start + 300ms - 1ns).overflowed);
  CHECK(t->look(a, start).has_value());
  const auto got = t->try_take(b, start + 300ms);
  CHECK(got);
  CHECK_FALSE(got.overflowed);
  CHECK_FALSE(t->look(a, start + 300ms).has_value());
  CHECK(t->totals().evicted == 1);
  CHECK(t->totals().entries == 1);
  // Whoever gets it has a whole burst, whatever the one before took.
  CHECK(t->try_take(b, start + 300ms, 2));
  CHECK_FALSE(t->try_take(b, start + 300ms));
}

TEST_CASE("G1: who lost its cell and returns with an older reading begins where it ended", "[rate_table]") {
  held_table<2> t;
  const table_key a{1};
  CHECK(t->try_take(a, start, 3));               // earned at 300 ms
  CHECK(t->try_take(t->key(2), start + 1s, 3));  // in the other cell
  CHECK(t->try_take(t->key(3), start + 500ms));  // in that of a
  REQUIRE(t->totals().evicted == 1);
  REQUIRE_FALSE(t->look(a, start + 500ms).has_value());
  // One who died has left a cell without giving it to anybody.
  rate_cell& other = t.memory->cells[1];
  other.word.store(start.time_since_epoch().count() * 4 + 3, mo::relaxed);  // own: nobody else is there
  REQUIRE((other.name.load(mo::relaxed) & 1U) == 1);                        // own: the word says the same
  // There is a cell for it, and yet it has what a limiter of its own would have by then: nothing for another 50 ms.
  const auto got = t->try_take(a, start + 50ms);
  CHECK(got.code == errc::rate_limited);
  CHECK(got.retry_after == 50ms);
  CHECK_FALSE(got.overflowed);
  CHECK(t->try_take(a, start + 100ms));
  CHECK_FALSE(t->try_take(a, start + 100ms));
}

TEST_CASE("Q2: of cells that owe nothing the oldest goes first, and none while there is a free one", "[rate_table]") {
  held_table<3> t;
  CHECK(t->try_take(t->key(1), start));
  CHECK(t->try_take(t->key(2), start + 50ms));
  CHECK(t->try_take(t->key(3), start + 1s));
  CHECK(t->totals().evicted == 0);
  CHECK(t->try_take(t->key(4), start + 2s));
  CHECK_FALSE(t->look(t->key(1), start + 2s).has_value());
  CHECK(t->look(t->key(2), start + 2s).has_value());
  CHECK(t->try_take(t->key(5), start + 2s));
  CHECK_FALSE(t->look(t->key(2), start + 2s).has_value());
  CHECK(t->look(t->key(3), start + 2s).has_value());
}

TEST_CASE("Q4: keys without room share a limiter, and one a cool-down is told", "[rate_table]") {
  held_table<8> t;
  for (std::uint64_t n = 0; n < 8; ++n) CHECK_FALSE(t->try_take(t->key(n), start, 3).overflowed);
  const auto first = t->try_take(t->key(8), start);
  CHECK(first);
  CHECK(first.overflowed);
  CHECK(first.tell);
  CHECK(first.held_back == 0);
  const auto second = t->try_take(t->key(9), start);
  CHECK(second);
  CHECK_FALSE(second.tell);
  const auto third = t->try_take(t->key(10), start);
  CHECK(third.code == errc::rate_limited);
  CHECK(third.retry_after == 1s);
  CHECK(third.overflowed);
  CHECK(t->totals().overflowed == 3);
  // Those that are there go on as before.
  CHECK(t->try_take(t->key(3), start + 100ms));
  // A cool-down later the next one is told, with how many were not. All cells have to owe by then.
  const time_point later = start + 11s;
  for (std::uint64_t n = 20; n < 28; ++n) CHECK_FALSE(t->try_take(t->key(n), later, 3).overflowed);
  const auto again = t->try_take(t->key(30), later);
  CHECK(again.tell);
  CHECK(again.held_back == 2);
  // More than the burst of the shared one is never granted there.
  CHECK(t->try_take(t->key(31), later, 3).code == errc::rate_infeasible);
}

TEST_CASE("a quarter more cells than keys leaves hardly any key without", "[rate_table]") {
  constexpr std::size_t keys = 100'000;
  held_table<125'000> t;
  std::size_t without = 0;
  for (std::uint64_t n = 0; n < keys; ++n) without += t->try_take(t->key(n), start, 3).overflowed ? 1U : 0U;
  CHECK(t->totals().entries == keys - without);
  CHECK(without <= keys / 10'000);
}

TEST_CASE("Q5: 16 bytes a cell and 64 for the table", "[rate_table]") {
  static_assert(sizeof(rate_table_memory<1000>) == 16 * 1000 + 64);
  static_assert(sizeof(rate_table_shared) == 64);
  SUCCEED();
}

TEST_CASE("Q6: a claim that was left behind is had by its key at once, and by another half a second later",
          "[rate_table]") {
  // As a thread leaves it that died between naming the cell and deciding it.
  const auto leave = [](auto& t, table_key key) {
    t.memory->cells[0].word.store(start.time_since_epoch().count() * 4 + 1, mo::relaxed);  // own: nobody else is there
    t.memory->cells[0].name.store(key.tag() << 16U | 1U, mo::relaxed);                     // own: as above
  };
  SECTION("its key") {
    held_table<1> t;
    leave(t, t->key(1));
    CHECK_FALSE(t->look(t->key(1), start).has_value());
    const auto got = t->try_take(t->key(1), start, 3);
    CHECK(got);
    CHECK_FALSE(got.overflowed);
    CHECK_FALSE(t->try_take(t->key(1), start));
  }
  SECTION("another") {
    held_table<1> t;
    leave(t, t->key(1));
    CHECK(t->try_take(t->key(2), start + 499ms).overflowed);
    CHECK_FALSE(t->try_take(t->key(2), start + 500ms).overflowed);
    CHECK(t->try_take(t->key(1), start + 500ms).overflowed);
  }
  SECTION("a lower cell is the key's already") {
    held_table<2> t;
    leave(t, t->key(1));
    // Claims of the second cell by the same key: one of both is given up.
    t.memory->cells[1].word.store(start.time_since_epoch().count() * 4 + 1, mo::relaxed);  // own:
    t.memory->cells[1].name.store(t->key(1).tag() << 16U | 1U, mo::relaxed);               // own:
    CHECK(t->try_take(t->key(1), start));
    CHECK(t->try_take(t->key(1), start, 2));
    CHECK_FALSE(t->try_take(t->key(1), start));
    CHECK_FALSE(t->try_take(t->key(2), start).overflowed);  // and the other cell is free
  }
}

TEST_CASE("a secret is drawn where none is given, so that two tables place keys differently", "[rate_table]") {
  rate_table_options o = usual;
  o.secret = {};
  held_table<8> a(o);
  held_table<8> b(o);
  CHECK_FALSE(a->key("tenant") == b->key("tenant"));
  shared_rate_table<8> in_common(o);
  rate_table first(in_common);
  rate_table second(in_common);
  CHECK(first.key("tenant") == second.key("tenant"));
  CHECK(first.try_take("tenant", start, 3));
  CHECK_FALSE(second.try_take("tenant", start));
  CHECK(in_common.sound());
}

TEST_CASE("rates of a table are refused by the name of their field", "[rate_table]") {
  CHECK(validate(rate_table_options{.each = {.permits = 0}}).field == "each.permits");
  CHECK(validate(rate_table_options{.each = {.burst = 0}}).field == "each.burst");
  CHECK(validate(rate_table_options{.overflow = {.per = 0s}}).field == "overflow.per");
  CHECK(validate(rate_table_options{.cool_down = 0s}).field == "cool_down");
  CHECK(validate(rate_table_options{.cool_down = 25h}).field == "cool_down");
  static_assert(!validate(usual));
}

TEST_CASE("hands come round, and the cell goes on", "[rate_table]") {
  held_table<1> t;
  time_point now = start;
  for (std::uint64_t n = 0; n < 140'000; ++n) {
    now += 300ms;
    const auto got = t->try_take(t->key(n), now, 3);
    REQUIRE(got);
    REQUIRE_FALSE(got.overflowed);
  }
  CHECK(t->totals().evicted == 139'999);
}
