// SPDX-License-Identifier: MIT
// Windows that many threads end: one closes each, the algorithm is one thread's at a time, and A1 and A4 hold.
#include <cstdint>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/adaptive_limit.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

// Plain data: ThreadSanitizer sees two that have it at once.
struct tally {
  struct options {
    std::vector<limit_window>* windows = nullptr;
    std::uint32_t cut_every = 0;
  };
  explicit tally(const options& o) : o_(o) {}
  [[nodiscard]] std::uint32_t limit() const noexcept { return 10; }
  limit_step on_window(const limit_window& w) noexcept {
    o_.windows->push_back(w);
    const auto n = static_cast<std::uint32_t>(o_.windows->size());
    return {.limit = 10 + n % 100, .new_epoch = o_.cut_every != 0 && n % o_.cut_every == 0};
  }
  options o_;
};

struct totals {
  std::uint64_t counted = 0;
  std::uint64_t stale = 0;
  std::uint64_t closed = 0;
  std::uint64_t odd_limits = 0;
};

template <class Body>
std::vector<totals> together(unsigned threads, Body body) {
  atomic<unsigned> ready{0};
  std::vector<totals> each(threads);
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      ready.fetch_add(1, mo::acq_rel);
      while (ready.load(mo::acquire) != threads) std::this_thread::yield();
      body(t, each[t]);
    });
  }
  for (auto& w : workers) w.join();
  return each;
}

totals sum_of(const std::vector<totals>& each) {
  totals all;
  for (const totals& t : each) {
    all.counted += t.counted;
    all.stale += t.stale;
    all.closed += t.closed;
    all.odd_limits += t.odd_limits;
  }
  return all;
}

}  // namespace

TEST_CASE("each window is closed by one of the threads, and what it is told adds up", "[adaptive_limit]") {
  constexpr unsigned threads = 8;
  constexpr int calls = 60'000;
  const std::uint32_t cut_every = GENERATE(0U, 3U);
  std::vector<limit_window> windows;
  adaptive_limit_by<tally> limit({.window = 10ms, .min_results = 100}, {&windows, cut_every});
  atomic<std::int64_t> clock{0};
  const totals all = sum_of(together(threads, [&](unsigned t, totals& mine) {
    splitmix64 bits(t);
    for (int i = 0; i < calls; ++i) {
      const auto now = [&] { return start + duration(clock.fetch_add(2'000, mo::relaxed)); };
      const auto call = limit.begin(now(), 1 + t);
      const verdict kind = bits() % 16 == 0 ? verdict::timeout : verdict::ok;
      const auto said = limit.end(call, kind, now());
      ++(said.counted ? mine.counted : mine.stale);
      mine.closed += said.closed ? 1U : 0U;
      mine.odd_limits += said.limit < 10 || said.limit > 109 ? 1U : 0U;
    }
  }));
  CHECK(all.counted + all.stale == std::uint64_t{threads} * calls);
  CHECK(all.odd_limits == 0);
  CHECK(all.closed == windows.size());
  CHECK(windows.size() > 20);
  std::uint64_t told = 0;
  std::uint64_t drops = 0;
  std::uint32_t odd = 0;
  for (const limit_window& w : windows) {
    told += w.samples + w.drops;
    drops += w.drops;
    odd += w.in_flight_max < 1 || w.in_flight_max > threads || w.samples + w.drops < 100 ? 1U : 0U;
  }
  CHECK(odd == 0);
  // All but what is in the window that is not over, and what ended while a window was read.
  CHECK(told <= all.counted);
  CHECK(told > all.counted / 2);
  const auto s = limit.snapshot();
  CHECK(s.windows == windows.size());
  CHECK(s.drops == drops);
  CHECK(s.stale == all.stale);
  CHECK(s.epoch == (cut_every == 0 ? 0 : windows.size() / cut_every));
  CHECK((cut_every == 0) == (all.stale == 0));
}

TEST_CASE("A4 vegas with a probe every other window stays within its bounds under threads", "[adaptive_limit]") {
  constexpr unsigned threads = 6;
  constexpr int calls = 60'000;
  adaptive_limit_by<vegas> limit(
      {.window = 10ms, .min_results = 50},
      {.bounds = {.initial = 20, .smallest = 8, .largest = 30}, .probe_limit = 2, .probe_every = 2});
  atomic<std::int64_t> clock{0};
  const totals all = sum_of(together(threads, [&](unsigned t, totals& mine) {
    splitmix64 bits(t);
    std::vector<adaptive_limit::ticket> open;
    for (int i = 0; i < calls; ++i) {
      const time_point now = start + duration(clock.fetch_add(5'000, mo::relaxed));
      if (open.size() < 4 && bits() % 2 == 0) {
        open.push_back(limit.begin(now, static_cast<std::uint32_t>(1 + bits() % 40)));
      } else if (!open.empty()) {
        const auto said = limit.end(open.back(), static_cast<verdict>(bits() % 8), now);
        open.pop_back();
        mine.odd_limits += said.limit == 2 || (said.limit >= 8 && said.limit <= 30) ? 0U : 1U;
        mine.closed += said.closed ? 1U : 0U;
      }
    }
  }));
  CHECK(all.odd_limits == 0);
  CHECK(all.closed == limit.snapshot().windows);
  CHECK(limit.snapshot().epoch > 3);
}
