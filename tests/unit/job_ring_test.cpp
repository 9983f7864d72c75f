// SPDX-License-Identifier: MIT
#include "holdfast/exec/job_ring.hpp"

#include <array>
#include <cstdint>
#include <span>

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("job_ring: values come out in their order, over many laps of it", "[job_ring]") {
  job_ring<4> ring;
  std::uint64_t out = 0;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < 3000; i += 3) {
    for (std::uint64_t k = 0; k < 3; ++k) ring.push(i + k);
    CHECK(ring.size_approx() == 3);
    while (ring.pop(std::span(&out, 1)) != 0) CHECK(out == next++);
  }
  CHECK(next == 3000);
  CHECK(ring.pushed() == 3000);
  CHECK(ring.popped() == 3000);
  CHECK_FALSE(ring.ready());
}

TEST_CASE("job_ring: several at once, as many as are there", "[job_ring]") {
  job_ring<8> ring;
  const std::array<std::uint64_t, 5> in{1, 2, 3, job_ring<8>::most, 5};
  ring.push(in);
  std::array<std::uint64_t, 8> out{};
  CHECK(ring.pop(std::span(out).first(2)) == 2);
  CHECK(ring.pop(out) == 3);
  CHECK(out[1] == job_ring<8>::most);
  CHECK(ring.pop(out) == 0);
}

TEST_CASE("job_ring: what was seen is popped only while it is the oldest", "[job_ring]") {
  job_ring<4> ring;
  CHECK_FALSE(ring.peek().there);
  ring.push(7);
  ring.push(8);
  const auto first = ring.peek();
  REQUIRE(first.there);
  CHECK(first.value == 7);
  CHECK(ring.pop_at(first));
  CHECK_FALSE(ring.pop_at(first));
  CHECK(ring.peek().value == 8);
}

TEST_CASE("job_ring: a place that was looked at says that it is empty, and not after more than a lap", "[job_ring]") {
  job_ring<2> ring;
  job_ring<2>::next_place next;
  CHECK_FALSE(next.is_empty());  // nothing is known yet
  next.look_at(ring);
  CHECK(next.is_empty());
  std::uint64_t out = 0;
  for (std::uint64_t i = 0; i < 5; ++i) {
    ring.push(i);
    CHECK_FALSE(next.is_empty());
    CHECK(ring.pop(std::span(&out, 1)) == 1);
    CHECK_FALSE(next.is_empty());  // others have popped it: look anew
  }
  next.look_at(ring);
  CHECK(next.is_empty());
}
