// SPDX-License-Identifier: MIT
// A ring with a place for every number: each push finds its place free without a look, in every execution.
#include <array>
#include <cstdint>
#include <span>

#include "holdfast/exec/job_ring.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Slots with something in them, whose numbers go round through two rings as a scheduler's do: the free ones, and the queue.
template <std::size_t Count>
struct slots {
  job_ring<Count> free;
  job_ring<Count> queue;
  plain<int> what[Count];
  std::array<int, 8> taken{};

  explicit slots(std::uint32_t there) {
    for (std::uint32_t i = 0; i < there; ++i) free.push(i);
  }
  bool put(int value) {
    std::uint64_t slot = 0;
    if (free.pop(std::span(&slot, 1)) == 0) return false;
    what[slot].set(value);
    queue.push(slot);
    return true;
  }
  int take() {
    std::uint64_t slot = 0;
    if (queue.pop(std::span(&slot, 1)) == 0) return 0;
    const int value = what[slot].get();
    what[slot].set(0);
    free.push(slot);
    return value;
  }
  void rest(int from, int to) {
    for (int value = take(); value != 0; value = take()) ++taken[static_cast<std::size_t>(value)];
    for (int i = from; i <= to; ++i) MODEL_CHECK(taken[static_cast<std::size_t>(i)] == 1);
    MODEL_CHECK(queue.size_approx() == 0);
  }
};

// JR1, JR2: what is put comes out whole and in its order, over more than a lap.
struct in_order : slots<2> {
  static constexpr unsigned threads = 2;
  int last = 0;
  int put_in = 0;
  in_order() : slots(2) {}
  void run(unsigned thread) {
    for (int i = 1; i <= 3; ++i) {
      if (thread == 0) {
        if (put(put_in + 1)) ++put_in;
      } else if (const int value = take(); value != 0) {
        MODEL_CHECK(value == last + 1);
        last = value;
        ++taken[static_cast<std::size_t>(value)];
      }
    }
  }
  void after() { rest(1, put_in); }
};
MODEL_SCENARIO("job_ring", in_order, {});

// JR3: two who pop, and one of them puts what he has popped into the place of what the other one has.
struct place_again : slots<2> {
  static constexpr unsigned threads = 3;
  std::array<bool, 4> put_in{};
  place_again() : slots(2) {}
  void run(unsigned thread) {
    if (thread == 0) put_in[1] = put(1);
    if (thread == 1) note();
    if (thread == 2) {
      put_in[2] = put(2);
      note();
      put_in[3] = put(3);
    }
  }
  void note() {
    if (const int value = take(); value != 0) ++taken[static_cast<std::size_t>(value)];
  }
  void after() {
    for (int value = take(); value != 0; value = take()) ++taken[static_cast<std::size_t>(value)];
    for (std::size_t i = 1; i <= 3; ++i) MODEL_CHECK(taken[i] == (put_in[i] ? 1 : 0));
  }
};
MODEL_SCENARIO("job_ring", place_again, {.preemptions = 2, .weak_failures = 0});

// The same where the pushes of the first lap are still under way: JR4.
struct pushed_by_two : slots<2> {
  static constexpr unsigned threads = 3;
  std::array<bool, 8> put_in{};
  pushed_by_two() : slots(2) {}
  void run(unsigned thread) {
    if (thread != 2) {
      put_in[thread + 1] = put(static_cast<int>(thread) + 1);
      return;
    }
    for (int i = 0; i < 2; ++i) {
      const int value = take();
      if (value == 0) continue;
      ++taken[static_cast<std::size_t>(value)];
      const auto next = static_cast<std::size_t>(value) + 2;
      if (put(static_cast<int>(next))) put_in[next] = true;
    }
  }
  void after() {
    for (int value = take(); value != 0; value = take()) ++taken[static_cast<std::size_t>(value)];
    for (std::size_t i = 1; i < taken.size(); ++i) MODEL_CHECK(taken[i] == (put_in[i] ? 1 : 0));
  }
};
MODEL_SCENARIO("job_ring", pushed_by_two, {.preemptions = 2, .weak_failures = 0});

// Several at once: each number once, in runs.
struct in_runs {
  static constexpr unsigned threads = 3;
  job_ring<4> ring;
  std::array<int, 4> seen{};
  in_runs() { ring.push(0); }
  void run(unsigned thread) {
    if (thread == 0) {
      const std::array<std::uint64_t, 2> more{1, 2};
      ring.push(more);
      return;
    }
    pop();
  }
  void pop() {
    std::array<std::uint64_t, 3> out{};
    const std::size_t count = ring.pop(out);
    for (std::size_t i = 0; i < count; ++i) {
      ++seen[out[i]];
      if (i != 0) MODEL_CHECK(out[i] == out[i - 1] + 1);
    }
  }
  void after() {
    pop();
    for (std::size_t i = 0; i < 3; ++i) MODEL_CHECK(seen[i] == 1);
    MODEL_CHECK(!ring.ready());
  }
};
MODEL_SCENARIO("job_ring", in_runs, {});

// A look and then a pop of what was seen: one of two gets it.
struct seen_and_popped {
  static constexpr unsigned threads = 2;
  job_ring<2> ring;
  int got = 0;
  seen_and_popped() {
    ring.push(0);
    ring.push(1);
  }
  void run(unsigned /*thread*/) {
    const auto first = ring.peek();
    MODEL_CHECK(first.there);
    if (ring.pop_at(first)) got += 1 + static_cast<int>(first.value);
  }
  void after() {
    MODEL_CHECK(got == 1 || got == 3);
    MODEL_CHECK(ring.popped() == (got == 1 ? 1U : 2U));
  }
};
MODEL_SCENARIO("job_ring", seen_and_popped, {});

}  // namespace
