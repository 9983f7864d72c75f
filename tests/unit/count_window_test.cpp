// SPDX-License-Identifier: MIT
#include "holdfast/policy/count_window.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

using era = count_window::era;
using sums = count_window::sums;

constexpr auto lasts = [] { return true; };
constexpr auto is_over = [] { return false; };

// The last results as a list of them.
class last_results {
 public:
  explicit last_results(std::uint32_t calls) : calls_(calls) {}
  sums add(bool failed, bool slow) {
    results_.emplace_back(failed, slow);
    sums_.failed += failed ? 1U : 0U;
    sums_.slow += slow ? 1U : 0U;
    if (results_.size() > calls_) {
      sums_.failed -= results_.front().first ? 1U : 0U;
      sums_.slow -= results_.front().second ? 1U : 0U;
      results_.pop_front();
    }
    sums_.calls = static_cast<std::uint32_t>(results_.size());
    return sums_;
  }
  void clear() {
    results_.clear();
    sums_ = {};
  }

 private:
  std::uint32_t calls_;
  sums sums_{};
  std::deque<std::pair<bool, bool>> results_;
};

}  // namespace

TEST_CASE("a new window is empty", "[count_window]") {
  const count_window window;
  CHECK(window.counts({}, 10) == sums{});
  CHECK(window.counts({.generation = 1, .shape = 1}, 1024) == sums{});
}

TEST_CASE("the sums are those of exactly the last calls, for every number of calls", "[count_window]") {
  std::uint64_t wrong = 0;
  for (const std::uint32_t calls : {1U, 2U, 3U, 15U, 16U, 17U, 100U, 512U, 1000U, 1023U, 1024U}) {
    count_window window;
    last_results expected(calls);
    splitmix64 random(calls);
    for (int i = 0; i < 20'000; ++i) {
      // Stretches that are calm, bad and mixed.
      const std::uint64_t bad = std::array{0U, 100U, 30U}.at(static_cast<std::size_t>(i) / 700 % 3);
      const bool failed = uniform_up_to(random, 99) < bad;
      const bool slow = uniform_up_to(random, 99) < bad;
      const sums wanted = expected.add(failed, slow);
      wrong += window.count({.generation = 7}, calls, failed, slow, lasts) == wanted ? 0U : 1U;
      wrong += window.counts({.generation = 7}, calls) == wanted ? 0U : 1U;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("the sums stay exact when the number of results wraps", "[count_window]") {
  constexpr std::uint32_t calls = 1000;
  count_window window;
  last_results expected(calls);
  splitmix64 random(4);
  std::uint64_t wrong = 0;
  for (std::uint32_t i = 0; i < (std::uint32_t{1} << 22U) + 5000; ++i) {
    const bool failed = (i >> 9U & 1U) != 0 && (random() & 1U) != 0;
    wrong += window.count({}, calls, failed, !failed, lasts) == expected.add(failed, !failed) ? 0U : 1U;
  }
  CHECK(wrong == 0);
  CHECK(window.counts({}, calls).calls == calls);
}

TEST_CASE("another era begins with an empty window, wherever the one before it ended", "[count_window]") {
  count_window window;
  last_results expected(20);
  splitmix64 random(5);
  std::uint64_t wrong = 0;
  era its{.generation = 0xFFF0, .shape = 14};
  for (int states = 0; states < 3000; ++states) {
    expected.clear();
    its.generation = static_cast<std::uint16_t>(its.generation + 1 + uniform_up_to(random, 5));
    if (uniform_up_to(random, 3) == 0) its.shape = static_cast<std::uint8_t>(its.shape + 1);
    CHECK(window.counts(its, 20) == sums{});
    for (std::uint64_t i = uniform_up_to(random, 60); i > 0; --i) {
      const bool failed = (random() & 1U) != 0;
      const bool slow = (random() & 1U) != 0;
      wrong += window.count(its, 20, failed, slow, lasts) == expected.add(failed, slow) ? 0U : 1U;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a result of an era that is over is not counted, and says so", "[count_window]") {
  count_window window;
  REQUIRE(window.count({.generation = 2}, 10, true, false, lasts) == sums{1, 1, 0});
  CHECK(window.count({.generation = 1}, 10, true, true, is_over) == sums{});
  CHECK(window.count({.generation = 2, .shape = 1}, 10, true, true, is_over) == sums{});
  CHECK(window.counts({.generation = 2}, 10) == sums{1, 1, 0});
  // Of the era that lasts it is counted, and nobody has to be asked whether it does.
  CHECK(window.count({.generation = 2}, 10, false, true, is_over) == sums{2, 1, 1});
}

TEST_CASE("threads get the sums of one order of their results, and none is lost", "[count_window]") {
  constexpr std::uint32_t threads = 4;
  constexpr std::uint32_t calls = 37;
  constexpr std::uint32_t each = 60'000;
  const auto window = std::make_unique<count_window>();
  atomic<std::uint32_t> missing{threads};
  std::array<std::uint64_t, threads> impossible{};
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      splitmix64 random(t);
      missing.fetch_sub(1, mo::relaxed);                   // counter:
      while (missing.load(mo::relaxed) != 0) cpu_relax();  // hint: all begin together
      std::uint32_t before = 0;
      for (std::uint32_t i = 0; i < each; ++i) {
        const bool failed = (random() & 3U) == 0;
        const sums s = window->count({}, calls, failed, false, lasts);
        const bool possible =
            s.calls >= before && s.calls <= calls && s.failed <= s.calls && s.failed >= (failed ? 1U : 0U);
        impossible.at(t) += possible && s.slow == 0 ? 0U : 1U;
        before = s.calls;
      }
    });
  }
  for (auto& t : all) t.join();
  for (const std::uint64_t n : impossible) CHECK(n == 0);
  CHECK(window->counts({}, calls).calls == calls);
  // What is in the sums leaves them result by result: were one lost or kept, they would not come out even.
  std::uint32_t failed = window->counts({}, calls).failed;
  for (std::uint32_t i = 0; i < calls; ++i) {
    const sums s = window->count({}, calls, false, false, lasts);
    CHECK(s.failed <= failed);
    CHECK(failed - s.failed <= 1);
    failed = s.failed;
  }
  CHECK(failed == 0);
}
