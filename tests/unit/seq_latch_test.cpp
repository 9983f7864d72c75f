// SPDX-License-Identifier: MIT
#include "holdfast/core/seq_latch.hpp"

#include <cstdint>
#include <limits>

#include "support/catch.hpp"

using namespace holdfast;

namespace {
struct reading {
  std::int64_t at = 0;
  double value = 0;
  std::uint64_t count = 0;
  friend bool operator==(const reading&, const reading&) = default;
};
}  // namespace

TEST_CASE("seq_latch: what is read is what it was made with until it is written", "[seq_latch]") {
  const seq_latch<reading> latch({-1, 0.5, 7});
  CHECK(latch.read() == reading{-1, 0.5, 7});
  CHECK(latch.writes() == 0);
}

TEST_CASE("seq_latch: each write is read whole, in both of its slots", "[seq_latch]") {
  seq_latch<reading> latch({});
  for (std::uint64_t n = 1; n <= 5; ++n) {
    const reading next{std::numeric_limits<std::int64_t>::min() + static_cast<std::int64_t>(n),
                       -1.0 / static_cast<double>(n), ~n};
    latch.write(next);
    CHECK(latch.read() == next);
    CHECK(latch.read() == next);
    CHECK(latch.writes() == n);
  }
}

TEST_CASE("seq_latch: takes its value twice and a word", "[seq_latch]") {
  CHECK(sizeof(seq_latch<std::uint64_t>) == 3 * sizeof(std::uint64_t));
  CHECK(sizeof(seq_latch<reading>) == 7 * sizeof(std::uint64_t));
}
