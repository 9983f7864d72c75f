// SPDX-License-Identifier: MIT
// G1, G4, Q1, Q4 of rate_table under threads: more keys than cells, on one clock that all move and of which each brings a reading
// that may be old by the time it is used.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/rate_table.hpp"
#include "holdfast/time/clock.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t threads = 4;
constexpr int takes_a_thread = 60'000;
constexpr std::uint64_t keys = 40;
constexpr time_point start{1000s};
constexpr std::int64_t period = 1'000'000;
constexpr std::uint32_t burst = 4;
constexpr rate_table_options options{.each = {.permits = 1000, .per = 1s, .burst = burst},
                                     .overflow = {.permits = 1000, .per = 1s, .burst = 2},
                                     .cool_down = 1s,
                                     .secret = {5, 6}};

struct grant {
  std::int64_t at;
  std::uint32_t cost;
};
struct thread_book {
  std::array<std::vector<grant>, keys> own;
  std::vector<grant> shared;
  std::uint64_t overflowed = 0;
  std::uint64_t told = 0;
};

// For every interval: so many permits began in it, and no more may. The fullest one ends at a grant, and begins at one.
bool kept(std::vector<grant> all, std::uint32_t most) {
  std::sort(all.begin(), all.end(), [](const grant& a, const grant& b) { return a.at < b.at; });
  // permits(i..j) <= most + (at_j - at_i) / period, for all i <= j: the largest permits(..j) - at_j / period against the least
  // permits(..i - 1) - at_i / period.
  std::int64_t before = 0;
  std::int64_t least = INT64_MAX;
  for (const grant& g : all) {
    least = std::min(least, before * period - g.at);
    before += g.cost;
    if (before * period - g.at - least > std::int64_t{most} * period) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("G1, Q1, Q4: keys that come and go between threads are granted no more than their rates",
          "[rate_table][stress]") {
  auto memory = std::make_unique<rate_table_memory<16>>();
  rate_table table(*memory, options);
  manual_clock clock{start};
  std::vector<thread_book> books(threads);
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      thread_book& book = books[t];
      splitmix64 random(100 + t);
      for (int i = 0; i < takes_a_thread; ++i) {
        if (uniform_up_to(random, 3) == 0)
          clock.advance(duration(static_cast<std::int64_t>(uniform_up_to(random, 400'000))));
        const std::uint64_t n = uniform_up_to(random, keys - 1);
        const auto cost = static_cast<std::uint32_t>(1 + uniform_up_to(random, 1));
        const time_point now = clock.now() - duration(uniform_up_to(random, 15) == 0 ? 3 * period : 0);
        const auto got = table.try_take(table.key(n), now, cost);
        book.overflowed += got.overflowed ? 1U : 0U;
        book.told += got.tell ? 1U : 0U;
        if (!got) continue;
        (got.overflowed ? book.shared : book.own[n]).push_back({now.time_since_epoch().count(), cost});
      }
    });
  }
  for (auto& t : all) t.join();
  std::uint64_t grants = 0;
  for (std::uint64_t n = 0; n < keys; ++n) {
    std::vector<grant> own;
    for (const thread_book& b : books) own.insert(own.end(), b.own[n].begin(), b.own[n].end());
    grants += own.size();
    CHECK(kept(own, burst));
  }
  CHECK(grants > 10'000);
  std::vector<grant> shared;
  std::uint64_t overflowed = 0;
  std::uint64_t told = 0;
  for (const thread_book& b : books) {
    shared.insert(shared.end(), b.shared.begin(), b.shared.end());
    overflowed += b.overflowed;
    told += b.told;
  }
  CHECK(kept(shared, 2));
  const auto totals = table.totals();
  CHECK(totals.evicted > 1'000);
  CHECK(totals.overflowed == overflowed);
  CHECK(overflowed > 100);
  CHECK(told >= 1);
  CHECK(told <= static_cast<std::uint64_t>((clock.now() - start) / 1s) + 1);
  // Q1
  std::multiset<std::uint64_t> names;
  for (const rate_cell& c : memory->cells) {
    const std::uint64_t tag = c.name.load(mo::relaxed) >> 16U;               // counter: joined
    if (tag != 0 && (c.word.load(mo::relaxed) & 1) == 0) names.insert(tag);  // counter: joined
  }
  CHECK(std::set<std::uint64_t>(names.begin(), names.end()).size() == names.size());
  CHECK(totals.entries == names.size());
}

TEST_CASE("G4: threads that ask for one key are granted together what one thread would be", "[rate_table][stress]") {
  for (int round = 0; round < 300; ++round) {
    auto memory = std::make_unique<rate_table_memory<8>>();
    rate_table table(*memory, options);
    atomic<std::uint64_t> granted{0};
    atomic<std::uint64_t> ready{0};
    std::vector<std::thread> all;
    for (std::uint32_t t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        ready.fetch_add(1, mo::relaxed);                         // counter: a meeting
        while (ready.load(mo::relaxed) != threads) cpu_relax();  // counter: as above
        for (int i = 0; i < 3; ++i) {
          if (table.try_take(table.key(1), start)) granted.fetch_add(1, mo::relaxed);  // counter:
        }
      });
    }
    for (auto& t : all) t.join();
    REQUIRE(granted.load(mo::relaxed) == burst);  // counter: joined
    REQUIRE(table.totals().entries == 1);
    REQUIRE(table.totals().overflowed == 0);
  }
}
