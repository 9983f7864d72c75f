// SPDX-License-Identifier: MIT
#include "holdfast/exec/job_deadlines.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("job_deadlines: the earliest first, as a multimap has it", "[job_deadlines]") {
  constexpr std::size_t slots = 100;  // no power of eight: the tree's last nodes are not full
  const time_point origin{1h};
  job_deadlines<slots> tree(origin);
  std::multimap<time_point, std::uint32_t> oracle;
  std::set<std::uint32_t> free;
  for (std::uint32_t i = 0; i < slots; ++i) free.insert(i);
  std::uint64_t random = 1;
  const auto draw = [&](std::uint64_t below) {
    return (random = splitmix64_mix(random + 0x9E37'79B9'7F4A'7C15U)) % below;
  };
  for (int i = 0; i < 20'000; ++i) {
    if (!free.empty() && draw(2) == 0) {
      const std::uint32_t slot = *free.begin();
      free.erase(free.begin());
      // Whole ticks, so that the order is told.
      const time_point until =
          origin + duration(static_cast<std::int64_t>(draw(1000)) << job_deadlines<slots>::tick_bits);
      tree.insert(job_handle(slot, static_cast<std::uint32_t>(i) + 1), until);
      oracle.emplace(until, slot);
    } else {
      std::uint32_t slot = 0;
      REQUIRE(tree.pop(slot) == !oracle.empty());
      if (oracle.empty()) continue;
      const time_point earliest = oracle.begin()->first;
      auto range = oracle.equal_range(earliest);
      while (range.first != range.second && range.first->second != slot) ++range.first;
      REQUIRE(range.first != range.second);
      oracle.erase(range.first);
      free.insert(slot);
    }
    REQUIRE(tree.ready() == !oracle.empty());
  }
}

TEST_CASE("job_deadlines: deadlines before the beginning, and in a far future", "[job_deadlines]") {
  const time_point origin{1h};
  job_deadlines<8> tree(origin);
  tree.insert(job_handle(0, 1), time_point::max() - 1ns);
  tree.insert(job_handle(1, 1), time_point::min());
  tree.insert(job_handle(2, 1), origin + 24h * 365);
  std::uint32_t slot = 9;
  CHECK(tree.pop(slot));
  CHECK(slot == 1);
  CHECK(tree.pop(slot));
  CHECK(slot == 2);
  CHECK(tree.pop(slot));
  CHECK(slot == 0);
  CHECK_FALSE(tree.pop(slot));
}
