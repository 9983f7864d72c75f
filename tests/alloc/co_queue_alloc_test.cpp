// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>

#include "holdfast/exec/co_queue.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using test_support::allocations_in;
using test_support::no_alloc_scope;

namespace {

using queue = waiting_queue<mpmc_queue<int, 4>, waiter_set<64, 1>, waiter_set<64, 1>>;

task<> push_some(queue& to, run_loop& loop, int count) {
  for (int i = 0; i < count; ++i) static_cast<void>(co_await co_push(to, int{i}, loop));
}
task<> pop_some(queue& from, run_loop& loop, int count, int& popped) {
  for (int i = 0; i < count; ++i) {
    int item = 0;
    if (co_await co_pop(from, item, loop)) ++popped;
  }
}

}  // namespace

TEST_CASE("co_pop and co_push allocate nothing, whether they wait or not and where no place is left",
          "[alloc][co_queue]") {
  constexpr int count = 10'000;
  queue between;
  run_loop loop;
  std::array<mark, 4> ended;
  int popped = 0;
  // Its frame is what a coroutine costs; it is there before it begins, and gone when it ends.
  CHECK(allocations_in([&] {
          for (std::size_t i = 0; i < 2; ++i) {
            spawn(loop, push_some(between, loop, count), ended[i]);
            spawn(loop, pop_some(between, loop, count, popped), ended[2 + i]);
          }
        }) == 8);
  {
    const no_alloc_scope scope("co_pop and co_push");
    loop.run_until([&] { return popped == count; });
  }
  for (const mark& one : ended) loop.run_until([&one] { return one.was_run(); });
  CHECK(popped == 2 * count);
}
