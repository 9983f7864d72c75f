// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <string>

#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"

using holdfast::run_loop;
using holdfast::task;

namespace {

task<int> throws(bool does) {
  if (does) throw std::runtime_error("on purpose");
  co_return 1;
}
task<int> awaits(bool does, std::string& caught) {
  try {
    co_return co_await throws(does);
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  co_return 2;
}
task<> throws_nothing_back() {
  throw std::runtime_error("of a task without a result");
  co_return;
}

}  // namespace

TEST_CASE("task: what its body throws comes out where it is awaited", "[task]") {
  run_loop loop;
  std::string caught;
  CHECK(holdfast::run(loop, awaits(false, caught)) == 1);
  CHECK(caught.empty());
  CHECK(holdfast::run(loop, awaits(true, caught)) == 2);
  CHECK(caught == "on purpose");
}

TEST_CASE("task: what the outermost body throws comes out of run", "[task]") {
  run_loop loop;
  CHECK_THROWS_WITH(holdfast::run(loop, throws(true)), "on purpose");
  CHECK_THROWS_WITH(holdfast::run(loop, throws_nothing_back()), "of a task without a result");
  CHECK(holdfast::run(loop, throws(false)) == 1);
}
