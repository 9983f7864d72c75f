// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/carried_context.hpp"

#include <optional>
#include <set>
#include <string_view>
#include <thread>

#include "support/catch.hpp"

using namespace holdfast;

namespace {

context named(std::string_view id) {
  context made;
  made.correlation_id = id;
  return made;
}
std::string_view here() {
  return current_context().correlation_id.view();
}
template <class F>
void on_another_thread(F f) {
  std::thread(f).join();
}

}  // namespace

TEST_CASE("a carried context is current while its task runs, and on no thread in between", "[carried_context]") {
  std::optional<carried_context> task;
  {
    const context_scope of_maker(named("request"));
    task.emplace();
  }
  CHECK(here().empty());
  task->resume();
  CHECK(here() == "request");
  task->suspend();
  CHECK(here().empty());
  on_another_thread([&] {
    const context_scope own(named("worker"));
    task->resume();
    CHECK(here() == "request");
    task->suspend();
    CHECK(here() == "worker");
  });
}

TEST_CASE("a scope that the task opened goes with it, and ends on whatever thread it is", "[carried_context]") {
  carried_context task(named("request"));
  std::optional<context_scope> opened;
  task.resume();
  opened.emplace(named("step"));
  task.suspend();
  CHECK(here().empty());
  on_another_thread([&] {
    const context_scope own(named("worker"));
    task.resume();
    CHECK(here() == "step");
    opened.reset();
    CHECK(here() == "request");
    task.suspend();
    CHECK(here() == "worker");
  });
  task.resume();
  CHECK(here() == "request");
  task.suspend();
}

TEST_CASE("a task without a context hides what the thread has", "[carried_context]") {
  carried_context task{context{}};
  const context_scope own(named("worker"));
  const auto before = context_generation();
  task.resume();
  CHECK(here().empty());
  CHECK(context_generation() == 0);
  task.suspend();
  CHECK(here() == "worker");
  CHECK(context_generation() == before);
}

TEST_CASE("on its thread a context that comes back has its number again, and no other one has it",
          "[carried_context]") {
  carried_context task(named("request"));
  task.resume();
  const auto mine = context_generation();
  task.suspend();
  {
    const context_scope other(named("other"));
    CHECK(context_generation() != mine);
  }
  task.resume();
  CHECK(context_generation() == mine);
  task.suspend();
}

TEST_CASE("on another thread it has a number that nothing had there, its thread's place in memory included",
          "[carried_context]") {
  carried_context task(named("request"));
  std::optional<context_scope> opened;
  task.resume();
  for (int i = 0; i < 5; ++i) const context_scope passing(named("passing"));
  opened.emplace(named("step"));
  task.suspend();
  // Threads that begin when the one before has ended tend to get its memory.
  for (int i = 0; i < 20; ++i) {
    on_another_thread([&] {
      std::set<std::uint64_t> seen{0};
      for (int k = 0; k < 7; ++k) {
        const context_scope own(named("worker"));
        CHECK(seen.insert(context_generation()).second);
      }
      task.resume();
      CHECK(here() == "step");
      CHECK(seen.insert(context_generation()).second);
      task.suspend();
    });
  }
  on_another_thread([&] {
    task.resume();
    const auto step = context_generation();
    opened.reset();
    CHECK(here() == "request");
    CHECK(context_generation() != step);
    CHECK(context_generation() != 0);
    task.suspend();
    CHECK(context_generation() == 0);
  });
}
