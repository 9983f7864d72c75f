// SPDX-License-Identifier: MIT
#include "holdfast/policy/backoff.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr backoff_kind all_kinds[] = {backoff_kind::constant,     backoff_kind::linear,
                                      backoff_kind::exponential,  backoff_kind::full_jitter,
                                      backoff_kind::equal_jitter, backoff_kind::decorrelated,
                                      backoff_kind::proportional, backoff_kind::smooth_exponential};

// Always the least, or always the most, that a generator can say.
struct constant_bits {
  std::uint64_t word;
  std::uint64_t operator()() const noexcept { return word; }
};
constexpr constant_bits lowest{0};
constexpr constant_bits highest{std::numeric_limits<std::uint64_t>::max()};

// The longest wait that any client draws of 20,000 that fail together: how full its fullest 100 ms is, in clients.
std::size_t fullest_bin(const backoff_options& options, std::uint32_t retry_index, std::size_t clients) {
  std::vector<std::size_t> bins(static_cast<std::size_t>(longest_delay(options) / 100ms) + 1);
  for (std::size_t client = 0; client < clients; ++client) {
    splitmix64 bits(splitmix64_mix(client));
    duration wait{};
    for (std::uint32_t n = 0; n <= retry_index; ++n) wait = delay(options, n, wait, bits);
    ++bins[static_cast<std::size_t>(wait / 100ms)];
  }
  return *std::max_element(bins.begin(), bins.end());
}

}  // namespace

TEST_CASE("each kind follows its formula", "[backoff]") {
  backoff_options o{.base = 100ms, .cap = 1s};
  o.kind = backoff_kind::constant;
  CHECK(delay(o, 0, 0ns, lowest) == 100ms);
  CHECK(delay(o, 9, 0ns, lowest) == 100ms);
  o.kind = backoff_kind::linear;
  CHECK(delay(o, 0, 0ns, lowest) == 100ms);
  CHECK(delay(o, 6, 0ns, lowest) == 700ms);
  CHECK(delay(o, 30, 0ns, lowest) == 1s);
  o.kind = backoff_kind::exponential;
  CHECK(delay(o, 0, 0ns, lowest) == 100ms);
  CHECK(delay(o, 3, 0ns, lowest) == 800ms);
  CHECK(delay(o, 4, 0ns, lowest) == 1s);
  o.kind = backoff_kind::full_jitter;
  CHECK(delay(o, 2, 0ns, lowest) == 0ms);
  CHECK(delay(o, 2, 0ns, highest) == 400ms);
  CHECK(delay(o, 20, 0ns, highest) == 1s);
  o.kind = backoff_kind::equal_jitter;
  CHECK(delay(o, 2, 0ns, lowest) == 200ms);
  CHECK(delay(o, 2, 0ns, highest) == 400ms);
  CHECK(delay(o, 20, 0ns, lowest) == 500ms);
  o.kind = backoff_kind::decorrelated;
  CHECK(delay(o, 0, 0ns, lowest) == 100ms);
  CHECK(delay(o, 0, 0ns, highest) == 300ms);
  CHECK(delay(o, 1, 300ms, highest) == 900ms);
  CHECK(delay(o, 2, 900ms, highest) == 1s);
  CHECK(delay(o, 3, 1s, lowest) == 100ms);
  o.kind = backoff_kind::proportional;
  CHECK(delay(o, 1, 0ns, lowest) == 160ms);
  CHECK(delay(o, 1, 0ns, highest) == 240ms);
  CHECK(delay(o, 20, 0ns, highest) == 1200ms);  // the cap comes before the jitter
  CHECK(longest_delay(o) == 1200ms);
  o.kind = backoff_kind::smooth_exponential;
  CHECK(delay(o, 0, 0ns, lowest) == 0ms);
  CHECK(delay(o, 9, 0ns, lowest) == 0ms);
  static_assert(backoff_math::power_of_two(0) == backoff_math::one);
  static_assert(backoff_math::power_of_two(backoff_math::one) == 2 * backoff_math::one);
  for (std::uint32_t n = 0; n < 200; ++n) REQUIRE(delay(backoff_options{o.kind, 1h, 24h}, n, 0ns, lowest) == 0ns);
  CHECK(delay(o, 20, 0ns, highest) <= 1s);
  CHECK(delay(o, 20, 0ns, highest) > 1s - 10ns);
  CHECK(longest_delay(o) == 1s);
}

namespace {

double curve(double t) {
  return std::pow(2.0, t) * std::tanh(2.0 * std::sqrt(t));
}

}  // namespace

TEST_CASE("smooth exponential waits follow the real curve closely", "[backoff]") {
  const backoff_options o{.kind = backoff_kind::smooth_exponential, .base = 70ms, .cap = 24h};
  splitmix64 bits(41);
  for (std::uint32_t n = 0; n < 30; ++n) {
    for (int i = 0; i < 2'000; ++i) {
      const std::uint64_t word = i == 0 ? 0 : i == 1 ? ~std::uint64_t{0} : bits();
      const double end = n + static_cast<double>(word >> 32U) / 0x1p32;
      const double begin = n - static_cast<double>(word & 0xFFFF'FFFFU) / 0x1p32;  // n - 1 and what is left of 1
      const double exact = 70e6 / 1.4 * (curve(end) - (n == 0 ? 0.0 : curve(begin)));
      const double longest = 70e6 / 1.4 * (curve(n + 1) - (n == 0 ? 0.0 : curve(n - 1)));
      const double shown = exact * std::min(1.0, 24 * 3600e9 / longest);
      CAPTURE(n, word, longest);
      REQUIRE(static_cast<double>(delay(o, n, 0ns, constant_bits{word}).count()) ==
              Approx(shown).margin(std::min(longest, 24 * 3600e9) * 1e-7 + 2));
    }
  }
}

TEST_CASE("smooth exponential waits are distributed as where each begins at the point that the last ended at",
          "[backoff]") {
  const backoff_options o{.kind = backoff_kind::smooth_exponential, .base = 1s, .cap = 24h};
  constexpr int clients = 40'000;
  splitmix64 bits(43);
  std::vector<std::vector<double>> ours(6);
  std::vector<std::vector<double>> theirs(6);
  for (int i = 0; i < clients; ++i) {
    double before = 0;
    for (std::uint32_t n = 0; n < 6; ++n) {
      const double point = curve(n + static_cast<double>(bits() >> 11U) * 0x1p-53);
      theirs[n].push_back((point - std::exchange(before, point)) / 1.4);
      ours[n].push_back(static_cast<double>(delay(o, n, 0ns, bits).count()) / 1e9);
    }
  }
  for (std::uint32_t n = 0; n < 6; ++n) {
    std::sort(ours[n].begin(), ours[n].end());
    std::sort(theirs[n].begin(), theirs[n].end());
    for (const double share : {0.05, 0.25, 0.5, 0.75, 0.95}) {
      const auto at = static_cast<std::size_t>(share * clients);
      CAPTURE(n, share);
      CHECK(ours[n][at] == Approx(theirs[n][at]).margin(0.03 * (1U << n)));
    }
  }
  CHECK(ours[0][clients / 2] == Approx(0.9).margin(0.03));  // half of the first waits are about `base` at most
}

TEST_CASE("a multiplier that is no power of two follows the real power closely", "[backoff]") {
  const std::uint32_t multiplier = GENERATE(1001U, 1100U, 1500U, 1999U, 3000U, 10'000U, 999'999U);
  const backoff_options o{
      .kind = backoff_kind::exponential, .base = 7ms, .cap = 24h, .multiplier_permille = multiplier};
  for (std::uint32_t n = 0; n < 400; ++n) {
    const double exact = std::min(24.0 * 3600e9, 7e6 * std::pow(multiplier / 1000.0, n));
    CAPTURE(multiplier, n, exact);
    REQUIRE(static_cast<double>(delay(o, n, 0ns, lowest).count()) == Approx(exact).epsilon(1e-6).margin(1.0));
  }
}

TEST_CASE("R4 no wait is negative, above its longest, or overflows, for n up to 2^32", "[backoff]") {
  const duration base = GENERATE(duration(0), duration(1), duration(1us), duration(50ms), duration(1s), duration(24h));
  const duration cap = GENERATE(duration(24h), duration(30s), duration(0));
  const std::uint32_t multiplier = GENERATE(1000U, 1001U, 2000U, 1'000'000U);
  if (cap < base) return;
  for (const auto kind : all_kinds) {
    const backoff_options o{
        .kind = kind, .base = base, .cap = cap, .multiplier_permille = multiplier, .spread_permille = 1000};
    REQUIRE_FALSE(validate(o));
    for (const std::uint32_t n :
         {0U, 1U, 31U, 32U, 33U, 62U, 63U, 64U, 65U, 127U, 128U, 1000U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
      for (const duration previous : {duration::min(), duration(-1), 0ns, duration(1s), duration::max()}) {
        for (const auto& bits : {lowest, highest}) {
          const duration wait = delay(o, n, previous, bits);
          CAPTURE(name_of(kind), base.count(), cap.count(), multiplier, n, previous.count());
          REQUIRE(wait >= 0ns);
          REQUIRE(wait <= longest_delay(o));
        }
      }
    }
  }
}

TEST_CASE("exponential waits never shrink as n grows", "[backoff]") {
  const std::uint32_t multiplier = GENERATE(1000U, 1001U, 1500U, 2000U, 9999U);
  const backoff_options o{
      .kind = backoff_kind::exponential, .base = 3ns, .cap = 24h, .multiplier_permille = multiplier};
  duration before{};
  for (std::uint32_t n = 0; n < 40'000; ++n) {
    const duration wait = delay(o, n, 0ns, lowest);
    // Taken by squaring, neighbours round on different paths: allow that, a few parts in a billion.
    REQUIRE(wait.count() + wait.count() / 100'000'000 + 1 >= before.count());
    before = wait;
  }
}

TEST_CASE(
    "R3 jitter survives the cap: no 100 ms holds over 3 % of 20,000 clients that failed together (Polly, Finagle)",
    "[backoff]") {
  constexpr std::size_t clients = 20'000;
  const auto kind = GENERATE(backoff_kind::full_jitter, backoff_kind::equal_jitter, backoff_kind::proportional,
                             backoff_kind::decorrelated, backoff_kind::smooth_exponential);
  const backoff_options o{.kind = kind, .base = 1s, .cap = 30s};
  for (const std::uint32_t n : {5U, 8U, 10U, 20U, 40U}) {  // 2^5 s is past the cap
    const auto fullest = fullest_bin(o, n, clients);
    CAPTURE(name_of(kind), n, fullest);
    CHECK(fullest * 100 <= clients * 3);
  }
  // Below the cap the range itself may be too narrow for 3 %; then no bin holds more than its share and a third.
  if (kind == backoff_kind::full_jitter) {
    for (std::uint32_t n = 0; n < 5; ++n) {
      const double share = 0.1 / static_cast<double>(1U << n);
      CAPTURE(n);
      CHECK(static_cast<double>(fullest_bin(o, n, clients)) <= clients * std::max(0.03, share * 1.33));
    }
  }
}

TEST_CASE("the same seed gives the same waits", "[backoff]") {
  for (const auto kind : all_kinds) {
    const backoff_options o{.kind = kind};
    splitmix64 a(99);
    splitmix64 b(99);
    duration wait_a{};
    duration wait_b{};
    for (std::uint32_t n = 0; n < 50; ++n) {
      wait_a = delay(o, n, wait_a, a);
      wait_b = delay(o, n, wait_b, b);
      REQUIRE(wait_a == wait_b);
    }
  }
}

TEST_CASE("every kind of backoff has the name that configurations use", "[backoff]") {
  constexpr std::string_view names[] = {"constant",     "linear",       "exponential",  "full_jitter",
                                        "equal_jitter", "decorrelated", "proportional", "smooth_exponential",
                                        "unknown"};
  for (std::size_t i = 0; i < std::size(names); ++i) CHECK(name_of(static_cast<backoff_kind>(i)) == names[i]);
  static_assert(name_of(backoff_kind::full_jitter) == "full_jitter");
}

TEST_CASE("a constant wrong option does not compile, a variable one is named with value and limit", "[backoff]") {
  static_assert(!validate(backoff_options{}));
  static_assert(validate(backoff_options{.base = -1ns}).field == "base");
  static_assert(validate(backoff_options{.base = 2s, .cap = 1s}).limit == 2'000'000'000);
  static_assert(validate(backoff_options{.cap = 25h}).field == "cap");
  static_assert(validate(backoff_options{.multiplier_permille = 999}).field == "multiplier_permille");
  static_assert(validate(backoff_options{.multiplier_permille = 1'000'001}).field == "multiplier_permille");
  static_assert(validate(backoff_options{.spread_permille = 1001}).value == 1001);
  static_assert(validate(backoff_options{.kind = static_cast<backoff_kind>(8)}).field == "kind");
  // Usable in a constant expression.
  static_assert(delay(backoff_options{.kind = backoff_kind::exponential, .base = 1s, .cap = 1h}, 3, 0ns, lowest) == 8s);
}
