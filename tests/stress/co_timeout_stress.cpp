// SPDX-License-Identifier: MIT
// Operations that sleep on another thread's loop, with deadlines about as long as they take and a thread that asks all to stop:
// each ends once, on its own loop, and says whether it was asked.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <thread>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/co_sleep.hpp"
#include "holdfast/exec/co_timeout.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"
#include "support/on_thread_of.hpp"
#include "support/two_loops.hpp"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::on_thread_of;
using test_support::on_two_loops;

struct ends {
  int in_time = 0;
  int late = 0;
  int stopped = 0;
  int wrong = 0;
};

task<bool> work(run_loop& elsewhere, duration takes, inplace_stop_token stop) {
  co_await on_thread_of(elsewhere);
  if (takes == 0ns) co_return true;
  const bool slept = co_await co_sleep(elsewhere, steady_clock::now() + takes, stop);
  co_return slept;
}

task<> caller(run_loop& mine, run_loop& elsewhere, std::stop_token stop, std::uint64_t seed, int calls, ends& seen) {
  frame_arena<1024> room;
  splitmix64 bits(seed);
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < calls; ++i) {
    const duration takes = bits() % 4 == 0 ? 0us : duration(bits() % 60'000);
    const deadline until = bits() % 8 == 0 ? deadline{} : deadline(steady_clock::now() + duration(bits() % 60'000));
    const auto op = [&](inplace_stop_token asked) { return work(elsewhere, takes, asked); };
    const auto got = co_await co_timeout(room, mine, until, op, stop);
    seen.wrong += std::this_thread::get_id() == here ? 0 : 1;
    seen.wrong += got.value || got.asked_by != stop_cause::none ? 0 : 1;
    if (got.asked_by == stop_cause::none) {
      ++seen.in_time;
    } else if (got.asked_by == stop_cause::deadline) {
      ++seen.late;
    } else {
      ++seen.stopped;
    }
  }
  seen.wrong += room.in_use() == 0 && room.spilled() == 0 ? 0 : 1;
}

}  // namespace

TEST_CASE("what is awaited for so long ends once, on its loop, asked by its deadline, by a stop, or by nobody",
          "[stress][co_timeout]") {
  constexpr int calls = 60;
  constexpr std::size_t callers = 4;
  ends over_all;
  for (std::uint64_t round = 0; round < 30; ++round) {
    std::array<ends, 2 * callers> seen{};
    on_two_loops(callers, std::chrono::microseconds(100 * (round % 20)),
                 [&](std::size_t number, run_loop& mine, run_loop& elsewhere, std::stop_token stop) {
                   return caller(mine, elsewhere, std::move(stop), round * 16 + number, calls, seen[number]);
                 });
    for (const ends& one : seen) {
      CHECK(one.wrong == 0);
      CHECK(one.in_time + one.late + one.stopped == calls);
      over_all.in_time += one.in_time;
      over_all.late += one.late;
      over_all.stopped += one.stopped;
    }
  }
  CHECK(over_all.in_time > 0);
  CHECK(over_all.late > 0);
  CHECK(over_all.stopped > 0);
}
