// SPDX-License-Identifier: MIT
#include "holdfast/interop/asio_executor.hpp"

#include <cstdint>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "holdfast/exec/co_queue.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/deadline.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

using executor_of_context = asio_executor<boost::asio::io_context::executor_type>;
using queue = waiting_queue<spsc_queue<std::uint64_t, 4>, waiter_set<>, event_count>;

task<> sum(queue& from, executor_of_context& where, std::uint64_t& total, std::thread::id& by) {
  for (std::uint64_t item = 0; co_await co_pop(from, item, where);) total += item;
  by = std::this_thread::get_id();
}

}  // namespace

TEST_CASE("asio_executor: a coroutine waits for a queue on an io_context, whose thread resumes it", "[asio]") {
  boost::asio::io_context context;
  auto work = boost::asio::make_work_guard(context);
  executor_of_context where(context.get_executor());
  struct end : runnable {
    explicit end(decltype(work)& guard) noexcept
        : runnable([](runnable& self) noexcept { static_cast<end&>(self).keeps.reset(); }), keeps(guard) {}
    decltype(work)& keeps;
  } ended(work);
  queue items;
  std::uint64_t total = 0;
  std::thread::id by;
  spawn(where, sum(items, where, total, by), ended);
  std::thread producer([&] {
    for (std::uint64_t i = 1; i <= 1000; ++i) static_cast<void>(items.wait_push(std::uint64_t{i}, deadline::never()));
    items.close();
  });
  context.run();
  producer.join();
  CHECK(total == 500500);
  CHECK(by == std::this_thread::get_id());
}
