// SPDX-License-Identifier: MIT
#include "holdfast/policy/single_flight.hpp"

#include <array>
#include <memory_resource>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};
constexpr single_flight_options one_set{.flights = 8, .lease = 1s};
constexpr duration tick{packed_tick::nanoseconds};
}  // namespace

TEST_CASE("F1 the first to join leads, all others follow until it ends", "[single_flight]") {
  single_flight flights(one_set);
  auto first = flights.join(7, start);
  REQUIRE(first.mine);
  CHECK_FALSE(first.other);
  CHECK_FALSE(first.busy());
  CHECK(first.mine.leads());
  CHECK(first.mine.begun() == start);
  for (int i = 0; i < 100; ++i) {
    const auto other = flights.join(7, start + i * 1ms);
    CHECK_FALSE(other.mine);
    REQUIRE(other.other);
    CHECK_FALSE(other.busy());
    CHECK_FALSE(other.other.over());
  }
  const auto follower = flights.join(7, start).other;
  CHECK(first.mine.end());
  CHECK_FALSE(first.mine);
  CHECK_FALSE(first.mine.leads());
  CHECK_FALSE(first.mine.end());
  CHECK(follower.over());
  CHECK(follower.wait(deadline::never()));
  CHECK(flights.join(7, start).mine);
}

TEST_CASE("different keys have flights of their own", "[single_flight]") {
  single_flight flights({.flights = 64});
  std::vector<single_flight::lead> leads;
  for (std::uint64_t key = 0; key < 16; ++key) leads.push_back(flights.join(key, start).mine);
  for (const auto& lead : leads) CHECK(lead.leads());
}

TEST_CASE("F1 a lead lasts as long as its lease, however late it is ended", "[single_flight]") {
  single_flight flights(one_set);
  auto first = flights.join(7, start).mine;
  CHECK_FALSE(flights.join(7, start + 1s - 1ns).mine);
  // Up to a tick longer than its lease, never shorter.
  auto second = flights.join(7, start + 1s + tick).mine;
  REQUIRE(second);
  CHECK(flights.taken_over() == 1);
  CHECK_FALSE(first.leads());
  CHECK(second.leads());
  CHECK_FALSE(first.end());
  CHECK(second.leads());
  CHECK(second.end());
  // Overdue, but nobody has taken over: it is the one still.
  auto third = flights.join(7, start + 2s).mine;
  CHECK(third.leads());
  CHECK(third.end());
}

TEST_CASE("a follower knows when its flight began, to a tick", "[single_flight]") {
  for (const duration offset : {0ns, 1ns, tick / 2, tick - 1ns, tick, 123'456'789ns}) {
    single_flight flights(one_set);
    const auto lead = flights.join(7, start + offset).mine;
    const auto follower = flights.join(7, start + offset + 300ms).other;
    REQUIRE(follower);
    CHECK(follower.begun() <= lead.begun());
    CHECK(follower.begun() >= lead.begun() - tick);
    CHECK(follower.lease_over() >= lead.begun() + 1s);
    CHECK(follower.lease_over() < lead.begun() + 1s + tick);
  }
}

TEST_CASE("a dead leader is replaced, and its late result dropped (dfinity PR #3995)", "[single_flight]") {
  single_flight flights(one_set);
  auto hung = flights.join(7, start).mine;
  auto next = flights.join(7, start + 2s).mine;
  REQUIRE(next);
  // Both are there: the result of one only counts.
  CHECK_FALSE(hung.end());
  CHECK(next.end());
  // And with the second one ended, the first is still out.
  auto again = flights.join(7, start).mine;
  CHECK(again.end());
}

TEST_CASE("a fetch that panics hangs nobody: its lead is over when it is destroyed (golang/go #33519, #41133)",
          "[single_flight]") {
  single_flight flights(one_set);
  single_flight::follower follower;
  {
    const auto unwound = flights.join(7, start).mine;
    follower = flights.join(7, start).other;
    CHECK_FALSE(follower.over());
  }
  CHECK(follower.wait(deadline::never()));
  CHECK(flights.join(7, start).mine);
}

TEST_CASE("one that was forgotten does not end the flight that came after it (golang/go #31420)", "[single_flight]") {
  single_flight flights(one_set);
  auto first = flights.join(7, start).mine;
  flights.forget(7);
  CHECK_FALSE(first.leads());
  auto second = flights.join(7, start).mine;
  REQUIRE(second);
  CHECK_FALSE(first.end());
  const auto third = flights.join(7, start);
  CHECK_FALSE(third.mine);
  CHECK(third.other);
  CHECK(second.end());
}

TEST_CASE("forgetting what does not fly does nothing, and other keys fly on", "[single_flight]") {
  single_flight flights(one_set);
  flights.forget(7);
  auto lead = flights.join(7, start).mine;
  for (std::uint64_t key = 100; key < 200; ++key) flights.forget(key);
  CHECK(lead.leads());
}

TEST_CASE("a full set is busy, until one of its flights ends or is overdue", "[single_flight]") {
  single_flight flights(one_set);
  std::vector<single_flight::lead> leads;
  for (std::uint64_t key = 0; key < 8; ++key) leads.push_back(flights.join(key, start).mine);
  for (const auto& lead : leads) REQUIRE(lead);
  CHECK(flights.join(8, start).busy());
  CHECK(flights.busy() == 1);
  CHECK(flights.join(3, start).other);  // who has a place is found
  CHECK(leads[5].end());
  auto ninth = flights.join(8, start).mine;
  CHECK(ninth);
  CHECK(flights.join(9, start).busy());
  // A dead flight of any key gives its place to whoever needs one.
  auto tenth = flights.join(9, start + 2s).mine;
  CHECK(tenth.leads());
  CHECK(flights.taken_over() == 1);
}

TEST_CASE("F1 a key has one flight though places before its own come free", "[single_flight]") {
  single_flight flights(one_set);
  std::vector<single_flight::lead> leads;
  for (std::uint64_t key = 0; key < 8; ++key) leads.push_back(flights.join(key, start).mine);
  for (std::size_t i = 0; i < 7; ++i) CHECK(leads[i].end());
  CHECK_FALSE(flights.join(7, start).mine);
  CHECK(flights.join(7, start).other);
}

TEST_CASE("a lead moves, and ends what it is assigned over", "[single_flight]") {
  static_assert(!std::is_copy_constructible_v<single_flight::lead>);
  single_flight flights(one_set);
  auto a = flights.join(1, start).mine;
  auto b = flights.join(2, start).mine;
  a = std::move(b);
  CHECK(a.leads());
  CHECK(flights.join(1, start).mine);        // ended by the assignment
  CHECK_FALSE(flights.join(2, start).mine);  // moved, not ended
  auto& self = a;
  a = std::move(self);
  CHECK(a.leads());
  const single_flight::lead moved(std::move(a));
  CHECK(moved.leads());
}

TEST_CASE("F3 a follower waits until its own time is over, not the leader's", "[single_flight]") {
  single_flight flights({.flights = 8, .lease = 10s});
  const time_point now = steady_clock::now();
  auto lead = flights.join(7, now).mine;
  const auto follower = flights.join(7, now).other;
  CHECK_FALSE(follower.wait(deadline(now)));
  CHECK_FALSE(follower.wait(deadline(now + 5ms)));
  CHECK(steady_clock::now() >= now + 5ms);
  // One that has given up changes nothing for the leader.
  CHECK(lead.leads());
  CHECK(lead.end());
  CHECK(follower.wait(deadline(now)));  // it is over: that is worth a look, late or not
}

TEST_CASE("F3 a follower of a dead leader looks again when the lease is over", "[single_flight]") {
  single_flight flights({.flights = 8, .lease = 5ms});
  const time_point now = steady_clock::now();
  const auto dead = flights.join(7, now).mine;
  const auto follower = flights.join(7, now).other;
  CHECK(follower.wait(deadline::never()));
  CHECK(steady_clock::now() >= now + 5ms);
  CHECK(flights.join(7, steady_clock::now()).mine);
}

TEST_CASE("F3 the end of a flight wakes all who sleep for it at once", "[single_flight]") {
  single_flight flights({.flights = 8, .lease = 1h});
  const time_point now = steady_clock::now();
  auto lead = flights.join(7, now).mine;
  std::vector<std::thread> sleepers;
  std::array<bool, 4> woken{};
  for (bool& w : woken) {
    sleepers.emplace_back([&, follower = flights.join(7, now).other] { w = follower.wait(deadline::never()); });
  }
  CHECK(lead.end());
  for (auto& t : sleepers) t.join();
  for (const bool w : woken) CHECK(w);
}

TEST_CASE("the clock of a follower may be behind, and months may pass", "[single_flight]") {
  single_flight flights(one_set);
  auto lead = flights.join(7, start).mine;
  CHECK(flights.join(7, start - 30min).other);
  CHECK(lead.leads());
  for (const duration later : {1h * 24 * 20, 1h * 24 * 27, 1h * 24 * 365}) {
    auto next = flights.join(7, start + later).mine;
    CHECK(next);
  }
}

TEST_CASE("a flight's storage is taken at construction, once, and given back", "[single_flight]") {
  struct counting_memory final : std::pmr::memory_resource {
    std::size_t allocations = 0;
    std::size_t live = 0;
    void* do_allocate(std::size_t size, std::size_t alignment) override {
      ++allocations;
      live += size;
      return std::pmr::new_delete_resource()->allocate(size, alignment);
    }
    void do_deallocate(void* p, std::size_t size, std::size_t alignment) override {
      live -= size;
      std::pmr::new_delete_resource()->deallocate(p, size, alignment);
    }
    [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
  } memory;
  {
    single_flight flights({.flights = 100}, &memory);
    CHECK(memory.live == 13 * 64);
    for (std::uint64_t key = 0; key < 100; ++key) static_cast<void>(flights.join(key, start));
    CHECK(memory.allocations == 1);
  }
  CHECK(memory.live == 0);
}

TEST_CASE("options of flights name what is wrong", "[single_flight]") {
  static_assert(!validate(single_flight_options{}));
  static_assert(validate(single_flight_options{.flights = 0}).field == "flights");
  static_assert(validate(single_flight_options{.flights = (1U << 24U) + 1}).field == "flights");
  static_assert(validate(single_flight_options{.lease = 0ns}).field == "lease");
  static_assert(validate(single_flight_options{.lease = 61min}).field == "lease");
}
