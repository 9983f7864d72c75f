// SPDX-License-Identifier: MIT
#include <array>
#include <cstdint>

#include "holdfast/core/high_mark.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Two threads take a lane each, in either order, and say that they have something in it; the backend looks at as many as there
// are and so at that one.
struct covered_before_it_is_told {
  static constexpr unsigned threads = 3;
  high_mark<std::uint32_t> lanes;
  std::array<atomic<bool>, 2> told{};

  void run(unsigned thread) {
    if (thread < 2) {
      lanes.raise(thread + 1);
      MODEL_CHECK(lanes.read() > thread);
      told[thread].store(true, mo::release);
      return;
    }
    const std::uint32_t before = lanes.read();
    for (std::uint32_t lane = 0; lane < 2; ++lane) {
      if (told[lane].load(mo::acquire)) MODEL_CHECK(lanes.read() > lane);
    }
    MODEL_CHECK(lanes.read() >= before);
  }
  void after() { MODEL_CHECK(lanes.read() == 2); }
  void after_death(unsigned dead) { MODEL_CHECK(dead == 1 ? lanes.read() >= 1 : lanes.read() == 2); }
};
MODEL_SCENARIO("high_mark", covered_before_it_is_told, {});

// The same lane again, by the thread after the one that had it.
struct covered_again {
  static constexpr unsigned threads = 2;
  high_mark<std::uint32_t> lanes;

  covered_again() { lanes.raise(3); }
  void run(unsigned thread) {
    lanes.raise(2 * thread + 1);
    MODEL_CHECK(lanes.read() == 3);
  }
  void after() { MODEL_CHECK(lanes.read() == 3); }
};
MODEL_SCENARIO("high_mark", covered_again, {});

}  // namespace
