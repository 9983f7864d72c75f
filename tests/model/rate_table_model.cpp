// SPDX-License-Identifier: MIT
// The table of rates: claims of one key and of several, evictions beside charges and beside a return with an older reading of the
// clock, and claims whose thread dies.
#include <array>
#include <cstdint>

#include "holdfast/policy/rate_table.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr table_key a{1};
constexpr table_key b{2};
constexpr table_key c{3};

constexpr time_point at(std::int64_t ns) {
  return time_point(duration(ns));
}

// A call each 100 ns, so many at once.
template <std::size_t Cells, std::uint32_t Burst = 1>
struct table_scenario {
  static constexpr std::int64_t period = 100;
  static constexpr rate_limiter_options rate{.permits = 1, .per = duration(period), .burst = Burst};

  rate_table_memory<Cells> memory;
  rate_table table{memory, {.each = rate, .overflow = rate, .cool_down = std::chrono::seconds(1), .secret = {1, 2}}};

  // What is owed of the key's cell at `now`; -1: it has none.
  [[nodiscard]] std::int64_t owed(table_key key, std::int64_t now) const {
    const auto seen = table.look(key, at(now));
    return seen ? seen->full_in.count() : -1;
  }
  // As one who goes on to claim another cell, or dies: takes it away from its key, which has earned all by `owed_until`.
  bool free(std::size_t number, std::int64_t owed_until, std::int64_t now) {
    rate_cell& cell = memory.cells[number];
    memory.shared.floor.store(owed_until, mo::relaxed);      // own: as vacate() does
    const std::uint64_t name = cell.name.load(mo::relaxed);  // own: this one has it
    std::int64_t seen = owed_until * 4 + ((name & 1U) != 0 ? 2 : 0);
    return cell.word.compare_exchange_strong(seen, now * 4 + ((name & 1U) != 0 ? 3 : 1), mo::release, mo::relaxed);
  }
  // Cells that are somebody's.
  [[nodiscard]] unsigned cells(table_key key) const {
    unsigned n = 0;
    for (const rate_cell& cell : memory.cells) {
      const bool vacant = (cell.word.load(mo::relaxed) & 1) != 0;                 // own: nobody else is there
      n += !vacant && cell.name.load(mo::relaxed) >> 16U == key.tag() ? 1U : 0U;  // own: as above
    }
    return n;
  }
};

// Q1, G4: two ask for a key that is new: one of them is granted the one permit.
template <std::size_t Cells>
struct one_key : table_scenario<Cells> {
  static constexpr unsigned threads = 2;
  std::array<rate_table_answer, 2> got{};
  void run(unsigned thread) { got[thread] = this->table.try_take(a, at(1000)); }
  void after() {
    MODEL_CHECK(static_cast<bool>(got[0]) != static_cast<bool>(got[1]));
    for (const rate_table_answer& g : got) {
      MODEL_CHECK(!g.overflowed);
      MODEL_CHECK(g || g.retry_after == duration(100));
    }
    MODEL_CHECK(this->cells(a) == 1);
    MODEL_CHECK(this->owed(a, 1000) == 100);
    MODEL_CHECK(this->table.totals().entries == 1);
  }
  // Q6: the key has its cell, and its permit once.
  void after_death(unsigned dead) {
    const bool before = static_cast<bool>(got[1 - dead]);
    const rate_table_answer next = this->table.try_take(a, at(1000));
    MODEL_CHECK(!next.overflowed);
    MODEL_CHECK(!(before && next));
    MODEL_CHECK(this->cells(a) == 1);
    MODEL_CHECK(this->owed(a, 1000) == 100);
  }
};
using one_new_key_one_cell = one_key<1>;
using one_new_key_two_cells = one_key<2>;
MODEL_SCENARIO("rate_table", one_new_key_one_cell, {.weak_failures = 0});
MODEL_SCENARIO("rate_table", one_new_key_two_cells, {.weak_failures = 0});

// Q1, G1: the first cell becomes free between the two claims, so that they may claim different ones.
struct claims_of_two_cells : table_scenario<2> {
  static constexpr unsigned threads = 2;
  std::array<rate_table_answer, 2> got{};
  claims_of_two_cells() { MODEL_CHECK(table.try_take(b, at(900))); }
  void run(unsigned thread) {
    if (thread == 1) MODEL_CHECK(free(0, 1000, 1010));
    got[thread] = table.try_take(a, at(thread == 0 ? 990 : 1010));
  }
  void after() {
    MODEL_CHECK(static_cast<bool>(got[0]) != static_cast<bool>(got[1]));
    MODEL_CHECK(!got[0].overflowed);
    MODEL_CHECK(!got[1].overflowed);
    MODEL_CHECK(cells(a) == 1);
    MODEL_CHECK(owed(a, 1010) == (got[0] ? 80 : 100));
  }
};
MODEL_SCENARIO("rate_table", claims_of_two_cells, {.weak_failures = 0, .dies = false});

// Q4: two keys and one cell: one has it, the other the shared limiter.
struct two_new_keys : table_scenario<1> {
  static constexpr unsigned threads = 2;
  std::array<rate_table_answer, 2> got{};
  void run(unsigned thread) { got[thread] = table.try_take(thread == 0 ? a : b, at(1000)); }
  void after() {
    MODEL_CHECK(got[0]);
    MODEL_CHECK(got[1]);
    MODEL_CHECK(got[0].overflowed != got[1].overflowed);
    MODEL_CHECK(got[0].tell == got[0].overflowed);
    MODEL_CHECK(got[1].tell == got[1].overflowed);
    MODEL_CHECK(cells(a) + cells(b) == 1);
    MODEL_CHECK(owed(got[0].overflowed ? b : a, 1000) == 100);
  }
  // Q6: a claim that was left behind is taken over, by this key or another.
  void after_death(unsigned) {
    constexpr std::int64_t soon = 600'000'000;
    MODEL_CHECK(!table.try_take(c, at(soon)).overflowed);
    MODEL_CHECK(cells(c) == 1);
    MODEL_CHECK(owed(c, soon) == 100);
  }
};
MODEL_SCENARIO("rate_table", two_new_keys, {.weak_failures = 0});

// Q2: a cell that owes nothing is given to another key while its own takes from it. What was granted by a cell is owed by it.
struct evict_and_charge : table_scenario<1> {
  static constexpr unsigned threads = 2;
  std::array<rate_table_answer, 2> got{};
  evict_and_charge() { MODEL_CHECK(table.try_take(a, at(900))); }
  void run(unsigned thread) { got[thread] = table.try_take(thread == 0 ? a : b, at(1000)); }
  void after() {
    MODEL_CHECK(got[0]);
    MODEL_CHECK(got[1]);
    MODEL_CHECK(got[0].overflowed != got[1].overflowed);
    MODEL_CHECK(cells(got[0].overflowed ? b : a) == 1);
    MODEL_CHECK(owed(got[0].overflowed ? b : a, 1000) == 100);
    MODEL_CHECK(owed(got[0].overflowed ? a : b, 1000) == -1);
    MODEL_CHECK(table.totals().evicted <= 1);  // its own cell may be what it claims after it lost it
    MODEL_CHECK(table.totals().evicted == 1 || !got[0].overflowed);
    MODEL_CHECK(table.totals().entries == 1);
  }
};
MODEL_SCENARIO("rate_table", evict_and_charge, {.weak_failures = 0, .dies = false});

// G1: a key loses its cell, another one becomes free, and the key returns by a reading that is older than the end of what it took.
// There may be room for it, and yet it is granted nothing of its own.
struct evict_and_return : table_scenario<2> {
  static constexpr unsigned threads = 2;
  rate_table_answer got{};
  evict_and_return() {
    MODEL_CHECK(table.try_take(a, at(890)));  // in the first cell; earned at 990
    MODEL_CHECK(table.try_take(c, at(900)));  // in the second
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(table.try_take(b, at(1000)));  // the first cell, which has owed nothing for longer
      free(1, 1000, 1001);                       // if it is c's still
    } else {
      got = table.try_take(a, at(950));
    }
  }
  void after() {
    if (!got.overflowed) {
      MODEL_CHECK(got.code == errc::rate_limited);
      MODEL_CHECK(got.retry_after == duration(40) || got.retry_after == duration(50));
    }
    MODEL_CHECK(cells(a) == 0);
    MODEL_CHECK(cells(b) == 1);
    MODEL_CHECK(owed(b, 1000) == 100);
  }
};
MODEL_SCENARIO("rate_table", evict_and_return, {.weak_failures = 0, .dies = false});

// Who looks while a cell changes hands sees what its key owes, or no cell; never what another owed. [Q1]
struct evict_and_look : table_scenario<1> {
  static constexpr unsigned threads = 2;
  evict_and_look() { MODEL_CHECK(table.try_take(a, at(900))); }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(table.try_take(b, at(1000)));
      return;
    }
    const std::int64_t of_b = owed(b, 1000);
    MODEL_CHECK(of_b == -1 || of_b == 100);
    const std::int64_t of_a = owed(a, 1000);
    MODEL_CHECK(of_a == -1 || (of_a == 0 && of_b == -1));
  }
  void after() { MODEL_CHECK(owed(b, 1000) == 100); }
};
MODEL_SCENARIO("rate_table", evict_and_look, {.weak_failures = 0, .dies = false});

// Two keys go for the cell of a third that owes nothing: one gets it, and it changes hands once.
struct two_keys_evict : table_scenario<1> {
  static constexpr unsigned threads = 2;
  std::array<rate_table_answer, 2> got{};
  two_keys_evict() { MODEL_CHECK(table.try_take(c, at(900))); }
  void run(unsigned thread) { got[thread] = table.try_take(thread == 0 ? a : b, at(1000)); }
  void after() {
    MODEL_CHECK(got[0].overflowed != got[1].overflowed);
    MODEL_CHECK(cells(c) == 0);
    MODEL_CHECK(table.totals().evicted == 1);
    MODEL_CHECK(table.totals().entries == 1);
  }
};
MODEL_SCENARIO("rate_table", two_keys_evict, {.weak_failures = 0});

// A burst of two in a cell that is there: three ask, and two are granted.
struct charges_of_one_cell : table_scenario<1, 2> {
  static constexpr unsigned threads = 3;
  std::array<rate_table_answer, 3> got{};
  charges_of_one_cell() { MODEL_CHECK(table.try_take(a, at(500))); }
  void run(unsigned thread) { got[thread] = table.try_take(a, at(1000)); }
  void after() {
    unsigned granted = 0;
    for (const rate_table_answer& g : got) granted += g ? 1U : 0U;
    MODEL_CHECK(granted == 2);
    MODEL_CHECK(owed(a, 1000) == 200);
  }
};
MODEL_SCENARIO("rate_table", charges_of_one_cell, {.weak_failures = 0});

// The limiter that keys without room share.
struct charges_of_the_shared_one : table_scenario<1, 2> {
  static constexpr unsigned threads = 3;
  std::array<rate_table_answer, 3> got{};
  charges_of_the_shared_one() { MODEL_CHECK(table.try_take(a, at(1000))); }
  void run(unsigned thread) { got[thread] = table.try_take(thread == 0 ? b : c, at(1000)); }
  void after() {
    unsigned granted = 0;
    unsigned told = 0;
    for (const rate_table_answer& g : got) {
      MODEL_CHECK(g.overflowed);
      granted += g ? 1U : 0U;
      told += g.tell ? 1U : 0U;
    }
    MODEL_CHECK(granted == 2);
    MODEL_CHECK(told == 1);
    MODEL_CHECK(table.totals().overflowed == 3);
  }
};
MODEL_SCENARIO("rate_table", charges_of_the_shared_one, {.weak_failures = 0, .dies = false});

}  // namespace
