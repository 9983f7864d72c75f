// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/event_ring.hpp"

#include <cstdint>
#include <memory>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

event number(std::int64_t n) {
  return {.at = start, .object = 7, .type = event_type::first_of_program, .a = n};
}

template <class Ring>
std::vector<event> drained(Ring& ring) {
  std::vector<event> out;
  ring.drain([&](const event& e) { out.push_back(e); });
  return out;
}

}  // namespace

TEST_CASE("V1 an event comes out as it was published, but for its number", "[event_ring]") {
  event_ring<8> ring;
  event e{.seq = 99,
          .at = start + 3ms,
          .object = 0xFEEDFACECAFEBEEF,
          .generation = 0xFFFF,
          .type = event_type::breaker_transition,
          .from = 1,
          .to = 2,
          .code = 0xABCD,
          .a = -1,
          .b = std::int64_t{1} << 62};
  CHECK(ring.publish(e));
  CHECK(ring.size_approx() == 1);
  const auto out = drained(ring);
  REQUIRE(out.size() == 1);
  CHECK(out[0].seq == 1);
  e.seq = 1;
  CHECK(out[0] == e);
  CHECK(drained(ring).empty());
  CHECK(ring.dropped() == 0);
}

TEST_CASE("V2 the numbers go on without a gap while nothing is dropped", "[event_ring]") {
  event_ring<4> ring;
  std::uint64_t last = 0;
  for (int i = 0; i < 1'000; ++i) {
    for (int k = 0; k <= i % 4; ++k) REQUIRE(ring.publish(number(i)));
    for (const event& e : drained(ring)) REQUIRE(e.seq == ++last);
  }
  CHECK(ring.dropped() == 0);
}

TEST_CASE("V2 a full ring drops the newest, counts it, and the gap is where it was dropped", "[event_ring]") {
  event_ring<4> ring;
  for (int i = 0; i < 4; ++i) CHECK(ring.publish(number(i)));
  for (int i = 4; i < 9; ++i) CHECK_FALSE(ring.publish(number(i)));
  CHECK(ring.dropped() == 5);
  auto out = drained(ring);
  REQUIRE(out.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(out[i].a == static_cast<std::int64_t>(i));  // its beginning is kept
    CHECK(out[i].seq == i + 1);
  }
  CHECK(ring.publish(number(9)));
  CHECK(ring.publish(number(10)));
  out = drained(ring);
  REQUIRE(out.size() == 2);
  CHECK(out[0].seq == 10);  // five are missing between 4 and 10
  CHECK(out[1].seq == 11);
}

TEST_CASE("V2 numbers and drops add up against a list of what was published", "[event_ring]") {
  splitmix64 bits(3);
  for (int round = 0; round < 200; ++round) {
    event_ring<8> ring;
    std::vector<std::int64_t> kept;  // with a hole of so many after it
    std::vector<std::uint64_t> numbers;
    std::uint64_t published = 0;
    std::size_t at = 0;
    const auto drain = [&] {
      ring.drain([&](const event& e) noexcept {
        if (at >= kept.size() || e.a != kept[at] || e.seq != numbers[at]) at = kept.size() + 1;
        ++at;
      });
    };
    for (int i = 0; i < 300; ++i) {
      if (bits() % 12 == 0) drain();
      ++published;
      if (ring.publish(number(i))) {
        kept.push_back(i);
        numbers.push_back(published);  // all before it came out or were dropped
      }
    }
    drain();
    REQUIRE(at == kept.size());
    CHECK(kept.size() + ring.dropped() == published);
  }
}

TEST_CASE("V5 a handler that publishes is not told of that in the same drain", "[event_ring]") {
  event_ring<4> ring;
  CHECK(ring.publish(number(1)));
  int told = 0;
  CHECK(ring.drain([&](const event&) {
    ++told;
    CHECK(ring.publish(number(2)));
  }) == 1);
  CHECK(told == 1);
  CHECK(drained(ring).size() == 1);
}

TEST_CASE("V5 who publishes under a lock that his handler takes does not deadlock (gobreaker 37)", "[event_ring]") {
  // gobreaker #37, PR #119: the callback of a state change ran under the breaker's lock, and one that asked the breaker hung.
  event_ring<4> ring;
  bool locked = false;
  int asked = 0;
  const auto with_lock = [&](auto&& body) {
    REQUIRE_FALSE(locked);
    locked = true;
    body();
    locked = false;
  };
  with_lock([&] { CHECK(ring.publish(number(1))); });
  ring.drain([&](const event&) { with_lock([&] { ++asked; }); });
  CHECK(asked == 1);
}

TEST_CASE("of two generations the newer one is found across the wrap", "[event_ring]") {
  static_assert(is_newer(1, 0) && !is_newer(0, 1) && !is_newer(5, 5));
  static_assert(is_newer(0, 0xFFFF) && !is_newer(0xFFFF, 0) && is_newer(0x7FFF, 0) && !is_newer(0x8000, 0));
}

TEST_CASE("event types have names that do not change", "[event_ring]") {
  CHECK(name_of(event_type::none) == "none");
  CHECK(name_of(event_type::breaker_transition) == "breaker_transition");
  CHECK(name_of(event_type::call_refused) == "call_refused");
  CHECK(name_of(event_type::call_given_up) == "call_given_up");
  CHECK(name_of(event_type::budget_exhausted) == "budget_exhausted");
  CHECK(name_of(event_type::first_of_program) == "of_program");
  CHECK(name_of(static_cast<event_type>(200)) == "of_program");
  CHECK(name_of(static_cast<event_type>(100)) == "unknown");
  static_assert(static_cast<int>(event_type::budget_exhausted) == 4);
}
