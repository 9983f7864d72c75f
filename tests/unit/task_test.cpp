// SPDX-License-Identifier: MIT
#include "holdfast/exec/task.hpp"

#include <memory>
#include <utility>

#include "holdfast/exec/run_loop.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"

namespace {

using holdfast::mark;
using holdfast::run_loop;
using holdfast::task;

task<int> number(int n) {
  co_return n;
}
task<int> sum_to(int n) {
  int sum = 0;
  for (int i = 1; i <= n; ++i) sum += co_await number(i);
  co_return sum;
}
task<std::unique_ptr<int>> owned(int n) {
  co_return std::make_unique<int>(n);
}
task<> note(bool& begun) {
  begun = true;
  co_return;
}
task<> keep(std::unique_ptr<test_support::counted> /*what*/) {
  co_return;
}

}  // namespace

TEST_CASE("task: its result comes out, of one that cannot be copied as well", "[task]") {
  run_loop loop;
  CHECK(holdfast::run(loop, number(7)) == 7);
  CHECK(*holdfast::run(loop, owned(8)) == 8);
}

TEST_CASE("task: begins when it is awaited, not before; one that never is takes its arguments with it", "[task]") {
  bool begun = false;
  {
    const task<> never = note(begun);
    const task<> kept = keep(std::make_unique<test_support::counted>(1));
    CHECK(test_support::counted::alive == 1);
  }
  CHECK_FALSE(begun);
  CHECK(test_support::counted::alive == 0);
  run_loop loop;
  holdfast::run(loop, note(begun));
  CHECK(begun);
}

TEST_CASE("task: one awaits others, one after the other", "[task]") {
  run_loop loop;
  constexpr int times = 1000;
  CHECK(holdfast::run(loop, sum_to(times)) == times * (times + 1) / 2);
}

TEST_CASE("task: is moved while it has not begun, and the last owner runs it", "[task]") {
  run_loop loop;
  task<int> first = number(1);
  task<int> second = std::move(first);
  task<int> third = number(3);
  third = std::move(second);
  CHECK(holdfast::run(loop, std::move(third)) == 1);
}

TEST_CASE("task: spawned, it runs when the loop does; then the mark is run, and its frame is gone", "[task]") {
  run_loop loop;
  mark ended;
  bool begun = false;
  holdfast::spawn(loop, note(begun), ended);
  CHECK_FALSE(begun);
  CHECK(loop.run_ready() == 1);
  CHECK(begun);
  CHECK_FALSE(ended.was_run());
  CHECK(loop.run_ready() == 1);
  CHECK(ended.was_run());
  mark other;
  holdfast::spawn(loop, keep(std::make_unique<test_support::counted>(1)), other);
  CHECK(loop.run_ready() == 1);
  CHECK(test_support::counted::alive == 0);
  CHECK(loop.run_ready() == 1);
}
