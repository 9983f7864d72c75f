// SPDX-License-Identifier: MIT
// In order out as in, whoever is fast: the source and the drain are plain data that one thread at a time may touch.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "holdfast/queue/resequencer.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

template <std::size_t Window, unsigned Items>
struct workers {
  using item = plain<unsigned>;
  static constexpr unsigned end = 100;

  resequencer<item, Window> order{sleep_at_once};
  item source{0};  // how many have been taken: race-checked
  item drain{0};   // how many have come out, in order: race-checked

  // The number that was taken, or `end`.
  std::optional<std::uint64_t> take(unsigned& taken) {
    return order.take([&] {
      if (source.get() == Items) return false;
      taken = source.get();
      source.set(taken + 1);
      return true;
    });
  }
  void give(std::uint64_t number, unsigned value) {
    order.give(number, item(value), [this](item&& out) {
      MODEL_CHECK(out.get() == drain.get());
      drain.set(out.get() + 1);
    });
  }
  bool work() {
    unsigned taken = end;
    const std::optional<std::uint64_t> number = take(taken);
    if (!number) return false;
    MODEL_CHECK(*number == taken);
    give(*number, taken);
    return true;
  }
  void after() {
    MODEL_CHECK(source.get() == Items);
    MODEL_CHECK(drain.get() == Items);
    MODEL_CHECK(order.waiting() == 0);
  }
};

// Two work until there is nothing left; the pop that finds nothing uses no number.
template <std::size_t Window, unsigned Items>
struct two_work_until_the_end : workers<Window, Items> {
  static constexpr unsigned threads = 2;
  void run(unsigned /*thread*/) {
    while (this->work()) {
    }
  }
};
using in_a_window_of_one = two_work_until_the_end<1, 2>;
using in_a_window_of_two = two_work_until_the_end<2, 2>;
using round_the_window = two_work_until_the_end<2, 4>;
MODEL_SCENARIO("resequencer", in_a_window_of_one, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("resequencer", in_a_window_of_two, {.preemptions = 3, .weak_failures = 0});
MODEL_SCENARIO("resequencer", round_the_window, {.preemptions = 2, .weak_failures = 0});

// There was nothing at first: that has no number.
struct in_vain_at_first : two_work_until_the_end<2, 2> {
  in_vain_at_first() {
    MODEL_CHECK(!order.take([] { return false; }));
  }
};
MODEL_SCENARIO("resequencer", in_vain_at_first, {.preemptions = 1, .weak_failures = 0});

// Given only: the numbers were taken before, and come back from the last one to the first, by three threads.
template <std::size_t Window>
struct three_give : workers<Window, 3> {
  static constexpr unsigned threads = 3;
  three_give() {
    unsigned taken = 0;
    for (unsigned i = 0; i < threads; ++i) MODEL_CHECK(this->take(taken) == i);
  }
  void run(unsigned thread) { this->give(thread, thread); }
};
using three_give_in_a_window_of_one = three_give<1>;
using three_give_in_a_window_of_two = three_give<2>;
using three_give_in_a_window_of_four = three_give<4>;
MODEL_SCENARIO("resequencer", three_give_in_a_window_of_one, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("resequencer", three_give_in_a_window_of_two, {.preemptions = 3, .weak_failures = 0});
MODEL_SCENARIO("resequencer", three_give_in_a_window_of_four, {});

// Taken only, by three: each number once, none left out.
struct three_take : workers<4, 3> {
  static constexpr unsigned threads = 3;
  std::array<bool, 3> taken_by_now{};
  void run(unsigned /*thread*/) {
    unsigned taken = end;
    const std::optional<std::uint64_t> number = take(taken);
    MODEL_CHECK(number == taken);
    MODEL_CHECK(!taken_by_now.at(taken));
    taken_by_now.at(taken) = true;
  }
  void after() { MODEL_CHECK(source.get() == 3); }
};
MODEL_SCENARIO("resequencer", three_take, {.preemptions = 2, .weak_failures = 0});

}  // namespace
