// SPDX-License-Identifier: MIT
// Jobs by their deadlines, under a tree that several threads bring up to date: none is lost, and the earliest comes first.
#include <array>
#include <chrono>
#include <cstdint>

#include "holdfast/exec/job_deadlines.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

template <std::size_t Slots>
struct deadlines {
  job_deadlines<Slots, 2> tree{time_point{}};
  std::array<int, Slots> in{};
  std::array<int, Slots> out{};

  void put(std::uint32_t slot, int after_ms) {
    tree.insert(job_handle(slot, 1), time_point(std::chrono::milliseconds(after_ms)));
    ++in[slot];
  }
  int take() {
    std::uint32_t number = 0;
    if (!tree.pop(number)) return -1;
    ++out[number];
    return static_cast<int>(number);
  }
  void after() {
    while (take() >= 0) {
    }
    for (std::size_t i = 0; i < Slots; ++i) MODEL_CHECK(in[i] == out[i]);
  }
};

// JT2: two put at the same time under one node.
struct two_put : deadlines<2> {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) { put(thread, 10 + static_cast<int>(thread)); }
  void after() {
    MODEL_CHECK(take() == 0);
    MODEL_CHECK(take() == 1);
    MODEL_CHECK(take() == -1);
  }
};
MODEL_SCENARIO("job_deadlines", two_put, {});

// A thread that dies at any step of its own takes at most the job with it that it was taking, and holds up nobody.
struct one_takes_and_dies : deadlines<2> {
  static constexpr unsigned threads = 2;
  one_takes_and_dies() {
    put(0, 5);
    put(1, 6);
  }
  void run(unsigned /*thread*/) { static_cast<void>(take()); }
  void after_death(unsigned /*dead*/) {
    int left = 0;
    while (take() >= 0) ++left;
    MODEL_CHECK(left <= 2);
    MODEL_CHECK(out[0] + out[1] >= 1);
    MODEL_CHECK(out[0] <= 1);
    MODEL_CHECK(out[1] <= 1);
  }
};
MODEL_SCENARIO("job_deadlines", one_takes_and_dies, {.weak_failures = 0});

// JT1: there is always one for each who takes, whatever others do to the nodes above it.
struct put_and_taken : deadlines<3> {
  static constexpr unsigned threads = 3;
  put_and_taken() { put(0, 5); }
  void run(unsigned thread) {
    if (thread != 1) put(thread == 0 ? 1 : 2, 7);
    if (thread != 2) MODEL_CHECK(take() >= 0);
  }
};
MODEL_SCENARIO("job_deadlines", put_and_taken, {.preemptions = 2, .weak_failures = 0});

// Three change what is below one root: the second failure of an exchange means that somebody has seen the change.
struct three_put : deadlines<3> {
  static constexpr unsigned threads = 3;
  void run(unsigned thread) { put(thread, 10 - static_cast<int>(thread)); }
  void after() {
    MODEL_CHECK(take() == 2);
    MODEL_CHECK(take() == 1);
    MODEL_CHECK(take() == 0);
  }
};
MODEL_SCENARIO("job_deadlines", three_put, {.preemptions = 2, .weak_failures = 0});

// One puts what it has taken with a later deadline, and another one takes meanwhile.
struct put_again : deadlines<2> {
  static constexpr unsigned threads = 2;
  put_again() {
    put(0, 5);
    put(1, 6);
  }
  void run(unsigned thread) {
    const int mine = take();
    MODEL_CHECK(mine >= 0);
    if (thread == 0) {
      put(static_cast<std::uint32_t>(mine), 4);
      MODEL_CHECK(take() >= 0);
    }
  }
};
MODEL_SCENARIO("job_deadlines", put_again, {.preemptions = 3});

}  // namespace
