// SPDX-License-Identifier: MIT
#include "holdfast/queue/record_ring.hpp"

#include <deque>
#include <string>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct storage {
  explicit storage(std::size_t bytes) : words(bytes / 8), ring(std::as_writable_bytes(std::span(words))) {}
  std::vector<std::uint64_t> words;
  record_ring ring;
};

bool push(record_ring& ring, std::size_t bytes, std::uint32_t tag) {
  std::byte* const at = ring.try_claim(bytes);
  if (at == nullptr) return false;
  for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(tag + i);
  ring.commit(bytes, tag);
  return true;
}

bool holds(const record_ring::record& r, std::size_t bytes, std::uint32_t tag) {
  if (r.bytes != bytes || r.tag != tag) return false;
  for (std::size_t i = 0; i < bytes; ++i) {
    if (r.data[i] != static_cast<std::byte>(tag + i)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a record comes out as it went in, with its length and its tag", "[record_ring]") {
  storage s(256);
  record_ring::record r;
  CHECK_FALSE(s.ring.front(r));
  REQUIRE(push(s.ring, 13, 7));
  REQUIRE(push(s.ring, 0, 8));
  REQUIRE(s.ring.front(r));
  CHECK(holds(r, 13, 7));
  CHECK(reinterpret_cast<std::uintptr_t>(r.data) % 8 == 0);
  REQUIRE(s.ring.front(r));  // looking does not take
  CHECK(holds(r, 13, 7));
  s.ring.pop(r);
  REQUIRE(s.ring.front(r));
  CHECK(holds(r, 0, 8));
  s.ring.pop(r);
  CHECK_FALSE(s.ring.front(r));
}

TEST_CASE("a claim that is not committed is never seen", "[record_ring]") {
  storage s(256);
  record_ring::record r;
  REQUIRE(s.ring.try_claim(40) != nullptr);
  CHECK_FALSE(s.ring.front(r));
  REQUIRE(push(s.ring, 8, 1));
  REQUIRE(s.ring.front(r));
  CHECK(holds(r, 8, 1));
}

TEST_CASE("a claim may be larger than what is committed", "[record_ring]") {
  storage s(256);
  record_ring::record r;
  std::byte* const at = s.ring.try_claim(64);
  REQUIRE(at != nullptr);
  at[0] = std::byte{5};
  s.ring.commit(1, 5);
  REQUIRE(push(s.ring, 3, 6));
  REQUIRE(s.ring.front(r));
  CHECK(holds(r, 1, 5));
  s.ring.pop(r);
  REQUIRE(s.ring.front(r));
  CHECK(holds(r, 3, 6));
}

TEST_CASE("a record larger than half of the ring is refused, one of exactly that size always fits when it is empty",
          "[record_ring]") {
  storage s(512);
  record_ring::record r;
  const std::size_t most = s.ring.max_record();
  CHECK(most == 512 / 2 - 16);
  CHECK(s.ring.try_claim(most + 1) == nullptr);
  CHECK(s.ring.try_claim(~std::size_t{0}) == nullptr);
  for (std::uint32_t i = 0; i < 1'000; ++i) {  // small ones shift the position at which the large one is tried
    REQUIRE(push(s.ring, i % 61, i));
    REQUIRE(s.ring.front(r));
    CHECK(holds(r, i % 61, i));
    s.ring.pop(r);
    s.ring.release();
    REQUIRE(push(s.ring, most, i));
    REQUIRE(s.ring.front(r));
    CHECK(holds(r, most, i));
    s.ring.pop(r);
    s.ring.release();
  }
}

TEST_CASE("a record larger than the largest is refused, whatever was granted before it", "[record_ring]") {
  for (std::size_t bytes = 256; bytes <= 320; bytes += 8) {
    storage s(bytes);
    const std::size_t largest = s.ring.max_record();
    CHECK(largest >= bytes / 2 - 16);
    for (int lap = 0; lap < 50; ++lap) {
      REQUIRE(s.ring.try_claim(largest) != nullptr);
      REQUIRE(s.ring.try_claim(largest + 1) == nullptr);
      REQUIRE(push(s.ring, 0, 1));
      record_ring::record r;
      REQUIRE(s.ring.front(r));
      s.ring.pop(r);
      s.ring.release();
    }
  }
}

TEST_CASE("popped bytes are not reused before they are released", "[record_ring]") {
  storage s(256);
  record_ring::record r;
  std::uint32_t in = 0;
  while (push(s.ring, 24, in)) ++in;
  REQUIRE(in >= 6);
  std::vector<record_ring::record> held;
  while (s.ring.front(r)) {
    held.push_back(r);
    s.ring.pop(r);
  }
  REQUIRE(held.size() == in);
  CHECK_FALSE(push(s.ring, 24, 99));
  for (std::uint32_t i = 0; i < in; ++i) CHECK(holds(held[i], 24, i));
  s.ring.release();
  CHECK(push(s.ring, 24, 99));
}

TEST_CASE("every sequence of sizes behaves like a list of records", "[record_ring]") {
  for (const std::size_t bytes : {256U, 264U, 512U, 1000U, 4096U}) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      CAPTURE(bytes, seed);
      storage s(bytes);
      splitmix64 random(seed);
      std::deque<std::pair<std::size_t, std::uint32_t>> oracle;
      std::size_t unreleased = 0;
      std::uint32_t next = 1;
      for (int step = 0; step < 4'000; ++step) {
        if (random() % 2 == 0) {
          const std::size_t size = random() % 8 == 0 ? random() % (s.ring.max_record() + 1) : random() % 48;
          if (push(s.ring, size, next)) {
            oracle.emplace_back(size, next);
          } else {
            REQUIRE((!oracle.empty() || unreleased > 0));  // an empty ring refuses nothing
          }
          ++next;
        } else {
          record_ring::record r;
          const bool any = s.ring.front(r);
          REQUIRE(any == !oracle.empty());
          if (any) {
            REQUIRE(holds(r, oracle.front().first, oracle.front().second));
            s.ring.pop(r);
            oracle.pop_front();
            ++unreleased;
          }
          if (random() % 3 == 0) {
            s.ring.release();
            unreleased = 0;
          }
        }
        REQUIRE(s.ring.backlog() < bytes);
      }
    }
  }
}

TEST_CASE("the writer asks for the reader's position once for a quarter of the ring", "[record_ring]") {
  storage s(4096);
  record_ring::record r;
  int asked = 0;
  constexpr int records = 1'000;
  for (int i = 0; i < records; ++i) {
    if (!s.ring.granted(8)) ++asked;
    REQUIRE(push(s.ring, 8, 1));
    REQUIRE(s.ring.front(r));
    s.ring.pop(r);
    s.ring.release();
  }
  CHECK(asked <= records * 16 / 1024 + 8);
}
