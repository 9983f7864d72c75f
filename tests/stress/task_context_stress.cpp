// SPDX-License-Identifier: MIT
// Tasks that go on now on this thread, now on that one: each sees its own context wherever it is, the threads have their own in
// between, and a generation names one context of a thread and never another.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/telemetry/context.hpp"

#include "support/catch.hpp"
#include "support/on_thread_of.hpp"

namespace {

using namespace holdfast;
using test_support::on_thread_of;

constexpr std::size_t threads = 3;
constexpr std::size_t tasks = 24;

context named(std::string_view id) {
  context made;
  made.correlation_id = id;
  return made;
}
std::string here() {
  return std::string(current_context().correlation_id.view());
}

// What each generation of a thread stood for: what a log lane relies on.
class witness {
 public:
  void look() {
    const auto [at, fresh] = seen_.try_emplace(context_generation(), here());
    wrong_ += !fresh && at->second != here() ? 1 : 0;
  }
  [[nodiscard]] int wrong() const { return wrong_; }

 private:
  std::map<std::uint64_t, std::string> seen_;
  int wrong_ = 0;
};
thread_local witness* of_thread = nullptr;

struct findings {
  int wrong = 0;
  int hops = 0;
};

task<> deeper(std::array<run_loop, threads>& loops, splitmix64& bits, std::string mine, int depth, findings& seen) {
  const auto is_mine = [&] {
    seen.wrong += here() == mine ? 0 : 1;
    of_thread->look();
  };
  for (int i = 0; i < 8; ++i) {
    is_mine();
    ++seen.hops;
    co_await on_thread_of(loops[bits() % threads]);
    is_mine();
    if (depth < 3 && bits() % 4 == 0) {
      const std::string inner = mine + "." + std::to_string(i);
      const context_scope scope(named(inner));
      co_await deeper(loops, bits, inner, depth + 1, seen);
      seen.wrong += here() == inner ? 0 : 1;
    }
  }
  is_mine();
}
task<> begin(std::array<run_loop, threads>& loops, std::uint64_t seed, std::string mine, findings& seen) {
  splitmix64 bits(seed);
  co_await deeper(loops, bits, mine, 0, seen);
}

}  // namespace

TEST_CASE("a task's context goes with it from thread to thread", "[stress][task_context]") {
  int hops = 0;
  for (std::uint64_t round = 0; round < 40; ++round) {
    std::array<run_loop, threads> loops;
    std::array<findings, tasks> seen{};
    std::array<witness, threads> witnesses;
    std::array<int, threads> leaked{};
    atomic<std::size_t> running{tasks};
    struct last_one : runnable {
      explicit last_one(atomic<std::size_t>& of, std::array<run_loop, threads>& all) noexcept
          : runnable(ends), running(of), loops(all) {}
      static void ends(runnable& self) noexcept {
        auto& me = static_cast<last_one&>(self);
        // [1] acq_rel, pairs with [1]: the last one lets all go
        if (me.running.fetch_sub(1, mo::acq_rel) != 1) return;
        for (run_loop& each : me.loops) each.stop();
      }
      atomic<std::size_t>& running;
      std::array<run_loop, threads>& loops;
    };
    std::deque<last_one> ended;
    for (std::size_t i = 0; i < tasks; ++i) {
      const std::string name = "task " + std::to_string(i);
      const context_scope of_request(named(name));
      spawn(loops[i % threads], begin(loops, round * tasks + i, name, seen[i]), ended.emplace_back(running, loops));
    }
    const auto on_loop = [&](std::size_t which) {
      of_thread = &witnesses[which];
      const std::string mine = "thread " + std::to_string(which);
      const context_scope own(named(mine));
      of_thread->look();
      loops[which].run_until([&] {
        leaked[which] += here() == mine ? 0 : 1;
        of_thread->look();
        return running.load(mo::acquire) == 0;  // [1] acquire, pairs with [1]: as said there
      });
    };
    std::vector<std::thread> workers;
    for (std::size_t which = 1; which < threads; ++which) workers.emplace_back(on_loop, which);
    on_loop(0);
    for (auto& worker : workers) worker.join();
    for (std::size_t which = 0; which < threads; ++which) {
      CHECK(leaked[which] == 0);
      CHECK(witnesses[which].wrong() == 0);
    }
    for (const findings& one : seen) {
      CHECK(one.wrong == 0);
      hops += one.hops;
    }
  }
  CHECK(hops > 8 * 40 * static_cast<int>(tasks));
}
