// SPDX-License-Identifier: MIT
// The context of a request goes with its coroutine.
#include <coroutine>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/co_call.hpp"
#include "holdfast/exec/co_hedge.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/telemetry/context.hpp"

#include "support/catch.hpp"
#include "support/test_clock.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::test_clock;

namespace {

context named(std::string_view id) {
  context made;
  made.correlation_id = id;
  return made;
}
std::string here() {
  return std::string(current_context().correlation_id.view());
}

using notes = std::vector<std::string>;

// Is resumed by whoever says so.
struct gate {
  std::coroutine_handle<> waits{};
  std::string asked_in{};  // the context that was current when the coroutine asked to wait

  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    asked_in = here();
    waits = caller;
  }
  static void await_resume() noexcept {}
  void open() { std::exchange(waits, {}).resume(); }
};

// Has asked for a suspension, and takes it back.
struct not_after_all {
  static bool await_ready() noexcept { return false; }
  static bool await_suspend(std::coroutine_handle<> /*caller*/) noexcept { return false; }
  static void await_resume() noexcept {}
};
// Suspends and goes on with the same coroutine at once.
struct straight_on {
  static bool await_ready() noexcept { return false; }
  static std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept { return caller; }
  static void await_resume() noexcept {}
};
struct there_already {
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<> /*caller*/) noexcept {}
  static void await_resume() noexcept {}
};
// Stays where it was made.
struct pinned {
  explicit pinned(int what) noexcept : number(what) {}
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;
  static bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> /*caller*/) noexcept {
    self = this;
    return false;
  }
  [[nodiscard]] int await_resume() const noexcept { return self == this ? number : -1; }

  const pinned* self = nullptr;
  int number;
};
struct makes_pinned {
  int number;
  pinned operator co_await() const noexcept { return pinned(number); }
};

// A coroutine of somebody else, who knows nothing of contexts.
struct foreign {
  struct promise_type {
    static foreign get_return_object() noexcept { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    static void unhandled_exception() noexcept { std::terminate(); }
  };
};

task<> steps(gate& door, notes& seen) {
  seen.push_back(here());
  co_await door;
  seen.push_back(here());
  {
    const context_scope scope(named("step"));
    co_await door;
    seen.push_back(here());
  }
  seen.push_back(here());
}
task<> outer(gate& door, notes& seen) {
  co_await steps(door, seen);
  seen.push_back("outer " + here());
}
foreign awaits(gate& door, notes& seen) {
  co_await outer(door, seen);
  seen.push_back("foreign " + here());
}

const notes in_order{"request", "request", "step", "request", "outer request"};

}  // namespace

TEST_CASE("a task has the context of who spawned it, whoever resumes it, and its own scopes", "[task_context]") {
  run_loop loop;
  mark ended;
  gate door;
  notes seen;
  {
    const context_scope of_request(named("request"));
    spawn(loop, outer(door, seen), ended);
    CHECK(here() == "request");
  }
  loop.run_ready();
  CHECK(door.asked_in == "request");
  CHECK(here().empty());
  {
    const context_scope of_loop(named("loop"));
    door.open();
    CHECK(door.asked_in == "step");
    CHECK(here() == "loop");
  }
  // The rest on another thread, with a context of its own.
  std::thread([&] {
    const context_scope of_thread(named("thread"));
    door.open();
    CHECK(here() == "thread");
  }).join();
  CHECK(seen == in_order);
  loop.run_ready();
  CHECK(ended.was_run());
  CHECK(here().empty());
}

TEST_CASE("a task that a foreign coroutine awaits has the context that was current then, and leaves it",
          "[task_context]") {
  gate door;
  notes seen;
  {
    const context_scope of_request(named("request"));
    static_cast<void>(awaits(door, seen));
    CHECK(here() == "request");
  }
  CHECK(here().empty());
  door.open();
  CHECK(here().empty());
  {
    const context_scope of_thread(named("thread"));
    door.open();
    CHECK(here() == "thread");
  }
  // Whoever knows nothing of contexts has that of the thread.
  CHECK(seen == notes{"request", "request", "step", "request", "outer request", "foreign thread"});
}

TEST_CASE("every kind of awaiter leaves the context as it was", "[task_context]") {
  run_loop loop;
  const context_scope of_request(named("request"));
  const auto body = [](notes& seen) -> task<> {
    co_await there_already{};
    seen.push_back(here());
    co_await not_after_all{};
    seen.push_back(here());
    co_await straight_on{};
    seen.push_back(here());
    const context_scope scope(named("step"));
    co_await not_after_all{};
    co_await straight_on{};
    seen.push_back(here());
  };
  notes seen;
  run(loop, body(seen));
  CHECK(seen == notes{"request", "request", "request", "step"});
  CHECK(here() == "request");
}

TEST_CASE("what a task's awaiter hands on when it suspends has the context of the task", "[task_context]") {
  // As an awaiter does that starts an operation, whose callback goes on with the coroutine, and here does so at once.
  struct starts {
    notes& seen;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) const {
      notes& kept = seen;
      const auto callback = bind_context([&kept, caller] {
        kept.push_back("callback " + here());
        caller.resume();
      });
      const context_scope elsewhere(named("callbacks"));
      auto now = callback;
      now();
      kept.push_back("elsewhere " + here());
    }
    static void await_resume() noexcept {}
  };
  const auto body = [](notes& seen) -> task<> {
    const context_scope scope(named("step"));
    co_await starts{seen};
    seen.push_back("after " + here());
  };
  run_loop loop;
  mark ended;
  notes seen;
  {
    const context_scope of_request(named("request"));
    spawn(loop, body(seen), ended);
  }
  const context_scope of_loop(named("loop"));
  while (!ended.was_run()) {
    loop.run_ready();
    CHECK(here() == "loop");
  }
  CHECK(seen == notes{"callback step", "after step", "elsewhere callbacks"});
}

TEST_CASE("a task awaits what cannot be moved, by itself and made by an operator co_await", "[task_context]") {
  run_loop loop;
  const context_scope of_request(named("request"));
  const auto body = []() -> task<int> {
    pinned kept(1);
    const int first = co_await kept;
    const int second = co_await pinned(20);
    const int third = co_await makes_pinned{300};
    co_return first + second + third;
  };
  CHECK(run(loop, body()) == 321);
}

TEST_CASE("tasks that take turns on a thread never see each other's context", "[task_context]") {
  run_loop loop;
  manual_clock clock;
  constexpr int many = 20;
  const auto body = [](run_loop& where, manual_clock& time, int turns, notes& seen) -> task<> {
    const std::string mine = here();
    for (int i = 0; i < turns; ++i) {
      static_cast<void>(co_await co_sleep(where, time.now() + 1ms));
      if (here() != mine) seen.push_back(mine + " saw " + here());
    }
    seen.push_back(mine);
  };
  std::vector<mark> ended(many);
  notes seen;
  for (int i = 0; i < many; ++i) {
    const context_scope of_request(named("request " + std::to_string(i)));
    spawn(loop, body(loop, clock, 10 + i, seen), ended[static_cast<std::size_t>(i)]);
  }
  for (int i = 0; i < 100; ++i) {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) CHECK(here().empty());
    clock.advance(1ms);
  }
  REQUIRE(seen.size() == many);
  for (int i = 0; i < many; ++i) CHECK(seen[static_cast<std::size_t>(i)] == "request " + std::to_string(i));
}

TEST_CASE("an operation and an observer of co_call have the context of who called, before a wait and after it",
          "[task_context]") {
  struct watcher {
    notes* seen;
    void on_attempt(const guard&, const attempt&, verdict, duration) noexcept { seen->push_back("attempt " + here()); }
    void on_refusal(const guard&, const error&) noexcept {}
    void on_transition(const guard&, const breaker_transition&) noexcept {}
    void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept { seen->push_back("retry " + here()); }
    void on_give_up(const guard&, const error&) noexcept { seen->push_back("gave up " + here()); }
  };
  run_loop loop;
  manual_clock clock;
  frame_arena<4096> room;
  notes seen;
  const auto ask = [](run_loop& where, time_point until, notes& tells) -> task<outcome<int>> {
    tells.push_back("asks " + here());
    static_cast<void>(co_await co_sleep(where, until));
    tells.push_back("asked " + here());
    co_return make_error(http_error(503));
  };
  const auto body = [&]() -> task<> {
    const auto op = [&](const attempt&) { return ask(loop, clock.now() + 1ms, seen); };
    const auto got =
        co_await co_call(room, guard{.retry = {.max_attempts = 2, .backoff = {.base = 1ms, .cap = 1ms}}},
                         {.safety = idempotency::idempotent}, loop, op, {}, test_clock{&clock}, watcher{&seen});
    seen.push_back(got.ok() ? "ok" : "failed " + here());
  };
  mark ended;
  {
    const context_scope of_request(named("r"));
    spawn(loop, body(), ended);
  }
  for (int i = 0; i < 100 && !ended.was_run(); ++i) {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) {
    }
    clock.advance(1ms);
  }
  REQUIRE(ended.was_run());
  CHECK(seen ==
        notes{"asks r", "asked r", "attempt r", "retry r", "asks r", "asked r", "attempt r", "gave up r", "failed r"});
}

TEST_CASE("every attempt of a hedged call has the context of who called, whoever's turn it is on the loop",
          "[task_context]") {
  run_loop loop;
  manual_clock clock;
  frame_arena<4096> room;
  retry_budget budget({});
  notes seen;
  const auto ask = [](run_loop& where, time_point until, int number, notes& tells) -> task<outcome<int>> {
    tells.push_back("asks " + here());
    static_cast<void>(co_await co_sleep(where, until));
    tells.push_back("asked " + here());
    co_return number;
  };
  const auto body = [&]() -> task<> {
    const guard protects{.budget = &budget};
    const auto op = [&](const stoppable_attempt& a) {
      return ask(loop, clock.now() + (a.number == 1 ? 5ms : 2ms), a.number, seen);
    };
    const auto got = co_await co_hedge(room, protects, {.options = {.delay = 1ms}}, {.safety = idempotency::idempotent},
                                       loop, op, std::stop_token{}, test_clock{&clock});
    seen.push_back(std::to_string(got.ok() ? *got : 0) + " " + here());
  };
  mark ended;
  {
    const context_scope of_request(named("r"));
    spawn(loop, body(), ended);
  }
  const context_scope of_loop(named("loop"));
  for (int i = 0; i < 100 && !ended.was_run(); ++i) {
    while (loop.run_ready() + loop.run_due(clock.now()) != 0) CHECK(here() == "loop");
    clock.advance(1ms);
  }
  REQUIRE(ended.was_run());
  CHECK(seen == notes{"asks r", "asks r", "asked r", "asked r", "2 r"});
}
