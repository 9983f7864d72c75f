// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <vector>

#include "demo/histogram.hpp"
#include "demo/zipf.hpp"
#include "support/catch.hpp"

using namespace holdfast::demo;
using namespace std::chrono_literals;

TEST_CASE("a quantile is never below the true one and at most 3.2 % above it", "[demo]") {
  holdfast::splitmix64 bits(7);
  latency_histogram h;
  std::vector<std::int64_t> all;
  for (int i = 0; i < 20'000; ++i) {
    // From microseconds to seconds, each power of ten as likely.
    const double exponent = 3.5 + 6.0 * static_cast<double>(holdfast::uniform_up_to(bits, 1'000'000)) / 1e6;
    all.push_back(static_cast<std::int64_t>(std::pow(10.0, exponent)));
    h.record(std::chrono::nanoseconds(all.back()));
  }
  std::sort(all.begin(), all.end());
  for (const std::uint32_t permille : {1U, 500U, 900U, 990U, 999U, 1000U}) {
    const std::size_t rank = (all.size() * permille + 999) / 1000;
    const std::int64_t exact = all[rank - 1];
    const std::int64_t said = h.quantile(permille).count();
    CAPTURE(permille);
    CHECK(said >= exact);
    // One unit of 1.024 us is what the smallest values are rounded to.
    CHECK(static_cast<double>(said) <= static_cast<double>(exact) * 1.032 + 1024.0);
  }
  CHECK(h.max().count() == all.back());
}

TEST_CASE("an empty histogram has no quantile, and what is out of range counts at its ends", "[demo]") {
  latency_histogram h;
  CHECK(h.quantile(990) == 0ns);
  h.record(-5ns);
  h.record(0ns);
  CHECK(h.quantile(1000) == 0ns);
  h.record(24h);
  CHECK(h.count() == 3);
  CHECK(h.quantile(1000) > 30min);
  CHECK(h.max() == 24h);
}

TEST_CASE("histograms add up", "[demo]") {
  latency_histogram a, b, both;
  for (int i = 1; i <= 100; ++i) {
    (i % 2 == 0 ? a : b).record(std::chrono::milliseconds(i));
    both.record(std::chrono::milliseconds(i));
  }
  a.add(b);
  CHECK(a.count() == both.count());
  CHECK(a.quantile(500) == both.quantile(500));
  CHECK(a.quantile(990) == both.quantile(990));
}

TEST_CASE("zipf numbers are within range, repeat with their seed, and favour a few", "[demo]") {
  const zipf_numbers draw(1000, 0.99, 3);
  holdfast::splitmix64 bits(5), again(5);
  std::vector<int> seen(1001);
  for (int i = 0; i < 50'000; ++i) {
    const std::uint32_t n = draw(bits);
    REQUIRE(n >= 1);
    REQUIRE(n <= 1000);
    REQUIRE(n == draw(again));
    ++seen[n];
  }
  std::sort(seen.rbegin(), seen.rend());
  // The most popular of 1,000 has a share of 1 / H(1000, 0.99) = 13 %.
  CHECK(seen[0] > 50'000 * 0.12);
  CHECK(seen[0] < 50'000 * 0.145);
  CHECK(seen[0] > 5 * seen[20]);
}
