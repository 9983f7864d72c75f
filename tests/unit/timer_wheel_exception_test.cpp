// SPDX-License-Identifier: MIT
#include <cstdint>
#include <memory_resource>
#include <new>
#include <set>
#include <stdexcept>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/timer_trial.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::counted;

namespace {

constexpr duration tick(1'048'576);
constexpr std::size_t no_limit = ~std::size_t{0};
constexpr time_point start{tick * 1'000'000};

constexpr time_point at(std::int64_t ticks) {
  return start + ticks * tick;
}

struct fails_test {
  void operator()(bool holds, const char* what) const {
    if (!holds) FAIL(what);
  }
};
// Every fifth timer.
struct throws_sometimes {
  static void now(int number) {
    if (number % 5 == 0) throw std::runtime_error("on purpose");
  }
  template <class Call>
  static bool call(Call&& advance) {
    try {
      advance();
      return false;
    } catch (const std::runtime_error&) {
      ++caught;
      return true;
    }
  }
  static inline std::uint64_t caught = 0;
};

}  // namespace

TEST_CASE("if fire() throws, its timer is gone, and the others fire by the next advance in their order",
          "[timer_wheel]") {
  for (const std::int64_t distance : {std::int64_t{0}, std::int64_t{300}}) {
    timer_wheel<counted> of({.capacity = 100, .tick = tick}, start);
    std::vector<timer_id> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(of.schedule(at(distance), counted(i)));
    std::vector<int> fired;
    const auto fire = [&](expired_timer<counted>& what) {
      fired.push_back(what.what.number());
      if (what.what.number() % 7 == 3) throw std::runtime_error("on purpose");
    };
    int thrown = 0;
    for (bool again = true; again;) {
      try {
        of.advance(at(distance), no_limit, fire);
        again = false;
      } catch (const std::runtime_error&) {
        ++thrown;
        const auto last = static_cast<std::size_t>(fired.back());
        CHECK(of.find(ids[last]) == nullptr);
        CHECK_FALSE(of.cancel(ids[last]));
        CHECK(of.size() == 39 - last);
        CHECK(counted::alive == static_cast<int>(39 - last));
        CHECK((of.size() == 0 || of.next_expiry() == at(distance)));
      }
    }
    CHECK(thrown == 6);
    CHECK(fired.size() == 40);
    for (std::size_t i = 0; i < fired.size(); ++i) CHECK(fired[i] == static_cast<int>(i));
    CHECK(of.counts().fired == 40);
    CHECK(of.size() == 0);
    CHECK(counted::alive == 0);
  }
}

TEST_CASE("if fire() throws after it has set its timer again, that is set", "[timer_wheel]") {
  timer_wheel<int> of({.tick = tick}, start);
  const timer_id id = of.schedule(start, 1);
  int calls = 0;
  const auto fire = [&](expired_timer<int>& what) {
    ++calls;
    if (calls == 1) {
      of.reschedule(what.id, at(3));
      throw std::runtime_error("on purpose");
    }
  };
  CHECK_THROWS_AS(of.advance(start, no_limit, fire), std::runtime_error);
  CHECK(of.is_set(id));
  CHECK(of.size() == 1);
  of.advance(at(3), no_limit, fire);
  CHECK(calls == 2);
  CHECK(of.size() == 0);
}

TEST_CASE("if take() throws in a drain, the others are still set, and are handed back by the next one",
          "[timer_wheel]") {
  timer_wheel<counted> of({.capacity = 100, .tick = tick}, start);
  for (int i = 0; i < 60; ++i) of.schedule(at(i * 50), counted(i));
  std::set<int> seen;
  const auto take = [&](timer_id, time_point, counted&& value) {
    CHECK(seen.insert(value.number()).second);
    if (seen.size() % 11 == 0) throw std::runtime_error("on purpose");
  };
  int thrown = 0;
  while (of.size() != 0) {
    try {
      of.drain(take);
    } catch (const std::runtime_error&) {
      ++thrown;
      CHECK(of.size() == 60 - seen.size());
      CHECK(counted::alive == static_cast<int>(of.size()));
    }
  }
  CHECK(thrown == 5);
  CHECK(seen.size() == 60);
  CHECK(of.counts().drained == 60);
}

TEST_CASE("a wheel whose calls throw does what a multimap does, over random steps of every kind", "[timer_wheel]") {
  throws_sometimes::caught = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    {
      test_support::random_choices chosen(seed, 15'000);
      timer_wheel<counted> of({.capacity = seed % 2 == 0 ? 20U : 500U, .tick = tick}, start);
      test_support::timer_trial<counted, test_support::random_choices, fails_test, throws_sometimes> trial(of, start,
                                                                                                           chosen, {});
      while (!chosen.empty()) trial.step();
      REQUIRE(static_cast<std::size_t>(counted::alive) == trial.set());
    }
    REQUIRE(counted::alive == 0);
  }
  CHECK(throws_sometimes::caught > 1'000);
}

TEST_CASE("a wheel for which there is no memory throws what its memory does", "[timer_wheel]") {
  CHECK_THROWS_AS(timer_wheel<int>({.capacity = 100}, start, std::pmr::null_memory_resource()), std::bad_alloc);
}
