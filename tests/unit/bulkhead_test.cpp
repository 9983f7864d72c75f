// SPDX-License-Identifier: MIT
#include "holdfast/policy/bulkhead.hpp"

#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("B1 a bulkhead lets in as many as its limit, and counts whom it refuses", "[bulkhead]") {
  const std::uint32_t limit = GENERATE(1U, 2U, 7U, 1'000U);
  bulkhead room({.limit = limit});
  std::vector<bulkhead::permit> inside;
  for (std::uint32_t i = 0; i < limit; ++i) {
    inside.push_back(room.try_acquire());
    REQUIRE(inside.back());
    REQUIRE(room.in_flight() == i + 1);
  }
  CHECK_FALSE(room.try_acquire());
  CHECK_FALSE(room.try_acquire());
  CHECK(room.refused() == 2);
  inside.pop_back();
  CHECK(room.try_acquire());  // and leaves at once
  CHECK(room.in_flight() == limit - 1);
  inside.clear();
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a permit is one place, however it is moved about", "[bulkhead]") {
  bulkhead room({.limit = 2});
  bulkhead::permit a = room.try_acquire();
  bulkhead::permit b = std::move(a);
  CHECK_FALSE(a);  // NOLINT(bugprone-use-after-move): what a moved-from permit is, is the point
  CHECK(b);
  CHECK(room.in_flight() == 1);
  bulkhead::permit& same = b;
  b = std::move(same);
  CHECK(b);
  CHECK(room.in_flight() == 1);
  a = room.try_acquire();
  CHECK(room.in_flight() == 2);
  a = std::move(b);  // a's own place is given back
  CHECK(room.in_flight() == 1);
  a.release();
  a.release();
  CHECK(room.in_flight() == 0);
  a = {};
  CHECK(room.in_flight() == 0);
}

TEST_CASE("B5 a smaller limit lets those in flight finish and nobody in until enough have", "[bulkhead]") {
  bulkhead room({.limit = 5});
  std::vector<bulkhead::permit> inside;
  for (int i = 0; i < 5; ++i) inside.push_back(room.try_acquire());
  room.set_limit(2);
  CHECK(room.limit() == 2);
  CHECK(room.in_flight() == 5);
  while (inside.size() > 2) {
    CHECK_FALSE(room.try_acquire());
    inside.pop_back();
  }
  CHECK_FALSE(room.try_acquire());
  inside.pop_back();
  CHECK(room.try_acquire());
  room.set_limit(4);
  for (int i = 0; i < 3; ++i) inside.push_back(room.try_acquire());
  CHECK(inside.back());
  CHECK_FALSE(room.try_acquire());
}

TEST_CASE("B2 permits are conserved over a million random steps and limit changes", "[bulkhead]") {
  bulkhead room({.limit = 16});
  std::vector<bulkhead::permit> inside;
  splitmix64 bits(11);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto what = uniform_up_to(bits, 99);
    if (what == 0) {
      room.set_limit(static_cast<std::uint32_t>(1 + uniform_up_to(bits, 31)));
    } else if (what < 50) {
      auto place = room.try_acquire();
      if (static_cast<bool>(place) != (inside.size() < room.limit()))
        FAIL("granted " << static_cast<bool>(place) << " at " << inside.size());
      if (place) inside.push_back(std::move(place));
    } else if (!inside.empty()) {
      const auto at = uniform_up_to(bits, inside.size() - 1);
      std::swap(inside[at], inside.back());
      inside.pop_back();
    }
    if (room.in_flight() != inside.size()) FAIL("in flight " << room.in_flight() << ", held " << inside.size());
  }
  inside.clear();
  CHECK(room.in_flight() == 0);
}

TEST_CASE("the largest limit neither overflows nor admits one too many on its way down", "[bulkhead]") {
  bulkhead room({.limit = largest_bulkhead});
  auto place = room.try_acquire();
  CHECK(place);
  room.set_limit(1);
  CHECK_FALSE(room.try_acquire());
  CHECK(room.in_flight() == 1);
  room.set_limit(largest_bulkhead);
  CHECK(room.try_acquire());
  CHECK(room.in_flight() == 1);
}

TEST_CASE("bulkhead options name what is wrong", "[bulkhead]") {
  static_assert(!validate(bulkhead_options{}));
  static_assert(validate(bulkhead_options{.limit = 0}).limit == 1);
  static_assert(validate(bulkhead_options{.limit = largest_bulkhead + 1}).field == "limit");
}
