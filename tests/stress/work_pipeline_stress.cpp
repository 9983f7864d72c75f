// SPDX-License-Identifier: MIT
// Producers and stages with several workers each: nothing is lost, nothing comes twice, each producer's items are in order
// where that is promised, and the accounts are right whatever was shed, failed or stopped.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/work_pipeline.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct parcel {
  std::uint32_t producer = 0;
  std::uint32_t number = 0;
};
constexpr std::uint32_t producers = 3;

template <class Line>
void push_from_all(Line& line, std::uint32_t each, std::uint64_t& taken) {
  atomic<std::uint64_t> in{0};
  std::vector<std::thread> threads;
  for (std::uint32_t p = 0; p < producers; ++p) {
    threads.emplace_back([&line, &in, p, each] {
      for (std::uint32_t n = 0; n < each; ++n) {
        if (line.push(parcel{p, n})) in.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
      }
    });
  }
  for (std::thread& one : threads) one.join();
  taken = in.load(mo::relaxed);
}

void check_accounts(const stage_metrics& m) {
  CHECK(m.arrived == m.done + m.filtered + m.failed + m.passed + m.shed + m.abandoned + m.depth);
  CHECK(m.waited.count() == m.done + m.filtered + m.failed + m.passed);
}

// In order: fails every seventh of a producer, filters every eleventh.
template <template <class> class Queue>
void keeps_order(std::uint32_t each) {
  std::array<std::int64_t, producers> last{-1, -1, -1};
  std::uint64_t wrong = 0;
  std::uint64_t good = 0;
  std::uint64_t failed = 0;
  std::uint64_t taken = 0;
  const auto check = [](parcel&& p) -> outcome<parcel> {
    if (p.number % 7 == 3) return errc::rate_limited;
    return p;
  };
  const auto sift = [](parcel&& p) { return p.number % 11 == 5 ? std::nullopt : std::optional(p); };
  const auto keep = [&](outcome<parcel>&& p) {
    if (!p.ok()) {
      ++failed;
      return;
    }
    ++good;
    if (p->number <= last.at(p->producer)) ++wrong;
    last.at(p->producer) = p->number;
  };
  const auto line = make_work_pipeline(stage_over<Queue<parcel>, 8>({.name = "check", .workers = 3}, check),
                                       stage_over<Queue<parcel>, 8>({.name = "sift", .workers = 2}, sift),
                                       stage_over<Queue<parcel>>({.name = "keep"}, keep));
  REQUIRE_FALSE(line->start());
  push_from_all(*line, each, taken);
  line->close();
  line->join();
  CHECK(taken == producers * std::uint64_t{each});
  CHECK(wrong == 0);
  const auto m = line->metrics();
  CHECK(good + failed + m[1].filtered == taken);
  CHECK(failed == m[0].failed);
  for (const stage_metrics& one : m) check_accounts(one);
}

template <class T>
using slots = mpmc_queue<work_item<T>, 16>;
template <class T>
using lockfree = mpmc_lockfree_queue<work_item<T>, 16>;

}  // namespace

TEST_CASE("work_pipeline: in order through several workers, whatever fails or is filtered", "[stress][work_pipeline]") {
  keeps_order<slots>(5'000);
  keeps_order<lockfree>(5'000);
}

TEST_CASE("work_pipeline: in any order and shedding, every item is accounted for", "[stress][work_pipeline]") {
  for (const work_overflow how : {work_overflow::shed_newest, work_overflow::shed_oldest}) {
    std::uint64_t taken = 0;
    atomic<std::uint64_t> out{0};
    work_pipeline line(
        stage<parcel, 8>({.name = "a", .workers = 2, .order = work_order::any, .overflow = how},
                         [](parcel&& p) { return p; }),
        stage<parcel, 8>({.name = "b", .workers = 2, .order = work_order::any, .overflow = how}, [&](parcel&&) {
          out.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
        }));
    REQUIRE_FALSE(line.start());
    push_from_all(line, 10'000, taken);
    line.close();
    line.join();
    const auto m = line.metrics();
    CHECK(m[0].arrived == producers * std::uint64_t{10'000});
    CHECK(taken + (how == work_overflow::shed_newest ? m[0].shed : 0) == m[0].arrived);
    CHECK(m[1].done == out.load(mo::relaxed));
    CHECK(m[1].arrived == m[0].done);
    for (const stage_metrics& one : m) check_accounts(one);
  }
}

TEST_CASE("work_pipeline: stopped while it runs, what was taken is done or counted as abandoned",
          "[stress][work_pipeline]") {
  for (int round = 0; round < 50; ++round) {
    work_pipeline line(stage<parcel, 4, 4>({.name = "a", .workers = 3}, [](parcel&& p) { return p; }),
                       stage<parcel, 4>({.name = "b", .workers = 2, .order = work_order::any}, [](parcel&&) {}));
    REQUIRE_FALSE(line.start());
    std::uint64_t taken = 0;
    std::thread stopper([&] {
      while (line.metrics()[1].done < 20) std::this_thread::yield();
      line.stop();
    });
    push_from_all(line, 500, taken);
    stopper.join();
    line.join();
    const auto m = line.metrics();
    CHECK(m[0].arrived == taken);
    CHECK(m[1].arrived == m[0].done);
    for (const stage_metrics& one : m) {
      CHECK(one.depth == 0);
      check_accounts(one);
    }
  }
}
