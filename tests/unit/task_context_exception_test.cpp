// SPDX-License-Identifier: MIT
#include <coroutine>
#include <stdexcept>
#include <string>

#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/telemetry/context.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct fails_to_suspend {
  static bool await_ready() noexcept { return false; }
  static void await_suspend(std::coroutine_handle<> /*caller*/) { throw std::runtime_error("no"); }
  static void await_resume() noexcept {}
};

task<std::string> tries() {
  try {
    co_await fails_to_suspend{};
  } catch (const std::runtime_error& e) {
    co_return e.what() + std::string(" in ") + std::string(current_context().correlation_id.view());
  }
  co_return "nothing was thrown";
}
task<int> fails_inside() {
  const context_scope scope(context{.correlation_id = correlation_text("inner")});
  co_await fails_to_suspend{};
  co_return 1;
}

}  // namespace

TEST_CASE("an awaiter that throws as it suspends leaves the task its context", "[task_context]") {
  run_loop loop;
  const context_scope of_request(context{.correlation_id = correlation_text("request")});
  CHECK(run(loop, tries()) == "no in request");
  CHECK_THROWS_AS(run(loop, fails_inside()), std::runtime_error);
  CHECK(current_context().correlation_id == "request");
}
