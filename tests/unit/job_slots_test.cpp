// SPDX-License-Identifier: MIT
#include "holdfast/exec/job_slots.hpp"

#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "holdfast/exec/job_free_list.hpp"
#include "holdfast/exec/job_lane.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

using pool = job_slots<4, 48>;
struct fits_exactly {
  std::array<char, 48> bytes{};
  void operator()() const noexcept {}
};
struct too_large {
  std::array<char, 49> bytes{};
  void operator()() const noexcept {}
};
static_assert(pool::fits<fits_exactly>);
static_assert(!pool::fits<too_large>);

}  // namespace

TEST_CASE("job_slots: a job is claimed once, run, and its handle is refused from then on", "[job_slots]") {
  pool slots;
  int runs = 0;
  const job_handle job = slots.put(2, 3, [&runs] { ++runs; });
  CHECK(slots.level_of(2) == 3);
  CHECK(slots.handle_of(2) == job);
  CHECK(slots.waits(job));
  CHECK(slots.claim(job));
  CHECK_FALSE(slots.claim(job));
  CHECK_FALSE(slots.waits(job));
  error why;
  CHECK(slots.run(job, why));
  CHECK(runs == 1);
  bool mine = false;
  CHECK(slots.cancel(job, mine) == cancel_answer::gone);
  const job_handle next = slots.put(2, 0, [] {});
  CHECK_FALSE(next == job);
  CHECK_FALSE(slots.claim(job));
  CHECK(slots.claim(next));
  slots.drop(next);
}

TEST_CASE("job_slots: cancelled, its callable ends at once, and its slot when its number comes by", "[job_slots]") {
  pool slots;
  const auto token = std::make_shared<int>(0);
  const job_handle job = slots.put(0, 5, [token] {});
  bool mine = true;
  std::uint8_t level = 0;
  CHECK(slots.cancel(job, mine, &level) == cancel_answer::cancelled);
  CHECK(level == 5);
  CHECK_FALSE(mine);
  CHECK(token.use_count() == 1);
  CHECK(slots.is_ended(job));
  CHECK_FALSE(slots.claim(job));
  CHECK(slots.passed(job));
  CHECK_FALSE(slots.passed(job));
  CHECK_FALSE(slots.is_ended(job));
}

TEST_CASE("job_slots: a handle goes through 56 bits", "[job_slots]") {
  const job_handle job(0xFF'FFFFU, 0xFFFF'FFFFU);
  CHECK(job_handle::unpacked(job.packed()) == job);
  CHECK(job.packed() < std::uint64_t{1} << 56U);
}

TEST_CASE("job_free_list: each number once, and all of a small one", "[job_slots]") {
  job_free_list<8> list;
  static_assert(job_free_list<8>::capacity == 8);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 8; ++i) seen.insert(list.take());
  CHECK(seen.size() == 8);
  CHECK(*seen.rbegin() == 7);
  CHECK(list.take() == job_free_list<8>::none);
  list.give(3);
  CHECK(list.take() == 3);
}

TEST_CASE("job_free_list: with pockets, as many as it promises, and all where this thread is the only one",
          "[job_slots]") {
  using list_type = job_free_list<4096>;
  static_assert(list_type::pocket_size == 16);
  static_assert(list_type::capacity >= 4096 - 4096 / 8);
  list_type list;
  std::vector<std::uint32_t> all;
  std::size_t fetched = 0;
  for (;;) {
    const std::uint32_t one = list.take([&](std::uint32_t) { ++fetched; });
    if (one == list_type::none) break;
    all.push_back(one);
  }
  CHECK(all.size() == 4096);
  CHECK(fetched == 4096);
  CHECK(std::set(all.begin(), all.end()).size() == 4096);
  for (const std::uint32_t one : all) list.give(one);
  list.empty_mine();
  CHECK_FALSE(list.scarce());
  std::set<std::uint32_t> again;
  for (std::uint32_t one = list.take(); one != list_type::none; one = list.take()) again.insert(one);
  CHECK(again.size() == 4096);
}

TEST_CASE("job_lane: holds jobs of one level, in their order", "[job_slots]") {
  job_lane<4> lane;
  const auto job = [](std::uint32_t i) { return job_handle(i, 1); };
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(lane.push(job(i), 2));
  CHECK_FALSE(lane.push(job(4), 2));
  CHECK(lane.level() == 2);
  job_handle out;
  CHECK(lane.pop(out));
  CHECK(out == job(0));
  CHECK_FALSE(lane.push(job(4), 1));
  CHECK(lane.push(job(4), 2));
  while (lane.pop(out)) {
  }
  CHECK(out == job(4));
  CHECK(lane.empty());
  CHECK_FALSE(lane.holds_any());
  CHECK(lane.push(job(5), 1));
}

TEST_CASE("job_lane: a thief gets the oldest that he may have", "[job_slots]") {
  job_lane<4> lane;
  const std::vector<std::uint64_t> in{job_handle(0, 1).packed(), job_handle(1, 1).packed(), job_handle(2, 1).packed()};
  lane.refill(in, 0);
  CHECK(lane.holds_any());
  CHECK(lane.steal([](job_handle one) { return one.slot() != 0; }) == job_handle(1, 1));
  CHECK_FALSE(lane.steal([](job_handle) { return false; }));
  CHECK(lane.any_of([](job_handle one) { return one.slot() == 2; }));
}
