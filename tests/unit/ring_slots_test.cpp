// SPDX-License-Identifier: MIT
#include "holdfast/queue/ring_slots.hpp"

#include <bit>
#include <cstdint>
#include <memory_resource>

#include "support/catch.hpp"

using holdfast::cache_line_size;
using holdfast::ring_numbers;
using holdfast::ring_slots;

TEST_CASE("a ring has room for its capacity and for a group that is not told of", "[ring_slots]") {
  for (std::size_t capacity = 1; capacity <= std::size_t{1} << 20U; capacity *= 2) {
    const ring_numbers n = ring_numbers::of(capacity);
    CHECK(n.capacity == capacity);
    CHECK(std::has_single_bit(n.group()));
    CHECK(std::has_single_bit(n.slot_count()));
    CHECK(n.max_size() == capacity + n.group() - 1);
    CHECK(n.slot_count() >= n.max_size());
    CHECK(n.slot_count() / 2 < n.max_size());  // and not twice that
    CHECK(capacity % n.group() == 0);
  }
  STATIC_REQUIRE(ring_numbers::of(8).group() == 1);
  STATIC_REQUIRE(ring_numbers::of(16).group() == 2);
  STATIC_REQUIRE(ring_numbers::of(1024).group() == 128);
}

TEST_CASE("positions go round the slots, one after the other", "[ring_slots]") {
  ring_slots<std::uint32_t, 16> slots;
  for (std::uint64_t pos = ~std::uint64_t{0} - 70; pos != 70; ++pos) {
    const bool round = (pos + 1) % 32 == 0;
    CHECK(slots.place(pos + 1) == (round ? slots.base() : slots.place(pos) + sizeof(std::uint32_t)));
  }
  CHECK(slots.run(0, 5) == 5);
  CHECK(slots.run(30, 5) == 2);
  CHECK(slots.run(~std::uint64_t{0}, 5) == 1);
  CHECK(slots.run(32, 100) == 32);
  CHECK(slots.run(7, 0) == 0);
}

TEST_CASE("lines and pairs of them begin where items begin", "[ring_slots]") {
  using words = ring_slots<std::uint64_t, 1024>;
  STATIC_REQUIRE(words::line_items == cache_line_size / 8);
  CHECK(words::begins_line(0));
  CHECK(words::begins_line(words::line_items));
  CHECK_FALSE(words::begins_line(1));
  STATIC_REQUIRE(words::pair_items == 2 * words::line_items);
  CHECK(words::begins_pair(0));
  CHECK(words::begins_pair(words::pair_items));
  CHECK_FALSE(words::begins_pair(words::line_items));
  struct large {
    std::byte bytes[200];
  };
  STATIC_REQUIRE(ring_slots<large, 4>::line_items == 1);
  CHECK(ring_slots<large, 4>::begins_pair(2));
  CHECK_FALSE(ring_slots<large, 4>::begins_pair(3));
}

TEST_CASE("a step ends where a line, a pair of large items or a smaller group ends", "[ring_slots]") {
  struct large {
    std::byte bytes[200];
  };
  ring_slots<std::uint64_t, 1024> lines;  // of 8 items in groups of 128
  ring_slots<large, 1024> pairs;
  ring_slots<std::uint64_t, 32> groups;  // of 4
  ring_slots<std::uint64_t, 8> single;
  for (std::uint64_t pos = 0; pos <= 256; ++pos) {
    CHECK(lines.ends_step(pos) == (pos % (cache_line_size / 8) == 0));
    CHECK(pairs.ends_step(pos) == (pos % 2 == 0));
    CHECK(groups.ends_step(pos) == (pos % 4 == 0));
    CHECK(single.ends_step(pos));
  }
}

TEST_CASE("a ring is deep from 64 lines on, in either form", "[ring_slots]") {
  ring_slots<std::uint64_t, 128> fixed_shallow;
  ring_slots<std::uint64_t, 256 * cache_line_size / 64> fixed_deep;
  CHECK_FALSE(fixed_shallow.deep());
  CHECK(fixed_deep.deep());
  const ring_slots<std::uint64_t> shallow(128, std::pmr::new_delete_resource());
  const ring_slots<std::uint64_t> deep(256 * cache_line_size / 64, std::pmr::new_delete_resource());
  CHECK_FALSE(shallow.deep());
  CHECK(deep.deep());
}
