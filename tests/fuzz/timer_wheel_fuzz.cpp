// SPDX-License-Identifier: MIT
// timer_wheel: beside a std::multimap of its timers, through every operation, also in calls of fire(), with any limit of an advance
// and any time.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "holdfast/time/timer_wheel.hpp"

#include "fuzz/target.hpp"
#include "support/counted.hpp"
#include "support/timer_trial.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;
using test_support::counted;

struct expects {
  void operator()(bool holds, const char* what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) const {
    expect(holds, what, file, line);
  }
};

template <class T>
void run(input& in, const timer_wheel_options& options, time_point now) {
  const bool drains = in.byte() % 2 == 0;
  {
    timer_wheel<T> wheel(options, now);
    test_support::timer_trial<T, input, expects> trial(wheel, now, in, {});
    while (!in.empty()) trial.step();
    if (drains) trial.drain();
    if constexpr (std::is_same_v<T, counted>)
      expect(static_cast<std::size_t>(counted::alive) == trial.set(), "a value for each");
  }
  expect(counted::alive == 0, "each value is destroyed, and once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const std::uint8_t form = in.byte();
  constexpr std::array<std::size_t, 4> capacities{1, 3, 20, 200};
  constexpr std::array<duration, 4> ticks{wheel_levels::shortest_tick, std::chrono::milliseconds(1),
                                          std::chrono::seconds(1), wheel_levels::longest_tick};
  constexpr std::array<time_point, 4> starts{time_point(), time_point(std::chrono::seconds(-1)), time_point::min(),
                                             time_point(std::chrono::hours(1'000'000) + std::chrono::nanoseconds(1))};
  const timer_wheel_options options{.capacity = capacities[form % 4], .tick = ticks[form / 4 % 4]};
  const time_point now = starts[form / 16 % 4];
  if (form < 128) {
    run<counted>(in, options, now);
  } else {
    run<int>(in, options, now);
  }
  return 0;
}
