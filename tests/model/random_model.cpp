// SPDX-License-Identifier: MIT
// The shared generator: every word is handed out once, however many threads draw, also where the state wraps.
#include <algorithm>
#include <array>

#include "holdfast/core/random.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Equal seeds give equal sets of words, whoever gets which.
template <unsigned Threads, std::uint64_t Seed>
struct draw {
  static constexpr unsigned threads = Threads;
  static constexpr unsigned each = Threads == 2 ? 2 : 1;
  shared_splitmix64 shared{Seed};
  std::array<std::uint64_t, Threads * each> drawn{};

  void run(unsigned thread) {
    for (unsigned i = 0; i < each; ++i) drawn[thread * each + i] = shared();
  }
  void after() {
    splitmix64 alone(Seed);
    for (unsigned i = 0; i < Threads * each; ++i) MODEL_CHECK(std::count(drawn.begin(), drawn.end(), alone()) == 1);
    MODEL_CHECK(shared() == alone());
  }
  // A word that a thread took into its death is lost, and no other.
  void after_death(unsigned dead) {
    splitmix64 alone(Seed);
    unsigned known = 0;
    for (unsigned i = 0; i < Threads * each; ++i)
      known += std::count(drawn.begin(), drawn.end(), alone()) == 1 ? 1U : 0U;
    MODEL_CHECK(known >= (Threads - 1) * each);
    MODEL_CHECK(dead < Threads);
  }
};
using two_draw = draw<2, 1>;
using three_draw = draw<3, 1>;
// The second word's step carries the state over 2^64.
using two_draw_over_the_wrap = draw<2, ~std::uint64_t{0} - 7>;
MODEL_SCENARIO("random", two_draw, {});
MODEL_SCENARIO("random", three_draw, {});
MODEL_SCENARIO("random", two_draw_over_the_wrap, {});

// A new seed while others draw: a word is of the old sequence or of the new one, and the new one's words come once.
struct seeded_while_drawn {
  static constexpr unsigned threads = 3;
  std::array<std::uint64_t, 3> drawn{};
  seeded_while_drawn() { seed_shared_random(1); }
  void run(unsigned thread) {
    if (thread == 0) {
      seed_shared_random(2);
    } else {
      drawn[thread] = shared_random();
    }
  }
  void after() {
    splitmix64 was(1);
    const std::array<std::uint64_t, 2> old{was(), was()};
    splitmix64 is(2);
    const std::array<std::uint64_t, 3> fresh{is(), is(), is()};
    for (unsigned t = 1; t < 3; ++t) {
      MODEL_CHECK(std::count(old.begin(), old.end(), drawn[t]) + std::count(fresh.begin(), fresh.end(), drawn[t]) == 1);
    }
    MODEL_CHECK(drawn[1] != drawn[2]);
    const std::uint64_t next = shared_random();
    MODEL_CHECK(std::count(fresh.begin(), fresh.end(), next) == 1);
    MODEL_CHECK(next != drawn[1]);
    MODEL_CHECK(next != drawn[2]);
  }
};
MODEL_SCENARIO("random", seeded_while_drawn, {});

}  // namespace
