// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <optional>
#include <stop_token>

#include "holdfast/exec/co_bulkhead.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/policy/bulkhead.hpp"

#include "support/catch.hpp"
#include "support/hot_path.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using test_support::allocations_in;
using test_support::hot_path_scope;
using test_support::no_alloc_scope;

namespace {

constexpr int rounds = 1'000;

struct silent : waiter {
  silent() : waiter([](waiter&) noexcept {}) {}
};

// Waits for a place, and with it in hand for the gate.
task<> visits(bulkhead& room, bulkhead& gate, run_loop& loop, const bool& over) {
  while (!over) {
    const auto inside = co_await co_acquire(room, loop);
    static_cast<void>(co_await co_acquire(gate, loop));
  }
}

}  // namespace

TEST_CASE("a bulkhead's waits end in each way, and more than its queue are refused, without an allocation", "[alloc]") {
  bulkhead room({.limit = 1, .queue = 2});
  std::stop_source stop;
  stop.request_stop();
  int served = 0;
  CHECK(allocations_in([&] {
          for (int i = 0; i < rounds; ++i) {
            auto inside = room.wait_acquire(deadline::never());
            static_cast<void>(room.wait_acquire(deadline(time_point::min())));
            static_cast<void>(room.wait_acquire(deadline::never(), stop.get_token()));
            std::array<silent, 3> who;
            std::array<std::optional<bulkhead::waiting_place>, 3> places;
            for (std::size_t w = 0; w < 3; ++w) places[w] = room.enter(who[w], deadline(time_point(duration(i))));
            inside.place.release();
            static_cast<void>(room.expire(time_point(duration(i))));
            for (std::size_t w = 0; w < 2; ++w) served += room.collect(*places[w]) ? 1 : 0;
          }
        }) == 0);
  CHECK(served == rounds);
  const auto counted = room.snapshot();
  CHECK(counted.refused == rounds);
  CHECK(counted.timed_out == 2 * rounds);
  CHECK(counted.cancelled == rounds);
}

TEST_CASE("with a queue, a bulkhead admits and refuses on as quiet a path as without", "[alloc][hot]") {
  bulkhead room({.limit = 2, .queue = 8});
  {
    const hot_path_scope scope("bulkhead with a queue");
    for (int i = 0; i < rounds; ++i) {
      const auto a = room.wait_acquire(deadline::never());
      const auto b = room.try_acquire();
      const auto refused = room.try_acquire();
      static_cast<void>(room.snapshot());
    }
  }
  CHECK(room.refused() == rounds);
}

TEST_CASE("who waits and is no thread is handed its place without a system call", "[alloc][hot]") {
  bulkhead room({.limit = 1, .queue = 2});
  int served = 0;
  {
    const hot_path_scope scope("bulkhead that hands a place over");
    for (int i = 0; i < rounds; ++i) {
      auto inside = room.try_acquire();
      silent who;
      const auto place = room.enter(who, deadline::never());
      inside.release();
      served += room.collect(*place) ? 1 : 0;
    }
  }
  CHECK(served == rounds);
}

TEST_CASE("co_acquire allocates nothing, whether it waits or not", "[alloc][co_bulkhead]") {
  bulkhead room({.limit = 1, .queue = 2});
  bulkhead gate({.limit = 1, .queue = 1});
  auto closed = gate.try_acquire();
  run_loop loop;
  std::array<mark, 3> ended;
  bool over = false;
  // A frame each, and one of the root: that is what a coroutine costs.
  CHECK(allocations_in([&] {
          for (mark& one : ended) spawn(loop, visits(room, gate, loop, over), one);
        }) == 6);
  {
    const no_alloc_scope scope("co_acquire");
    for (int i = 0; i < rounds; ++i) {
      static_cast<void>(loop.run_ready());
      closed.release();
      static_cast<void>(loop.run_ready());
      closed = gate.try_acquire();
    }
  }
  CHECK(gate.snapshot().served > rounds / 2);
  CHECK(room.snapshot().served > rounds / 2);
  over = true;
  closed.release();
  while (loop.run_ready() != 0) continue;
  for (const mark& one : ended) CHECK(one.was_run());
}
