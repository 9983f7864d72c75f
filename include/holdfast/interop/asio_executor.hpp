// SPDX-License-Identifier: MIT
// asio_executor: one of Boost.Asio's executors as an executor of ours, so that coroutines wait for our queues (exec/co_queue.hpp)
// on the io_context that runs the rest of a service.
//
//   operation   caller       progress                 allocates
//   post        any thread   as boost::asio::post:    as boost::asio::post: a thread of the context uses its last block again,
//                            an io_context has a      any other one asks for one each time
//                            lock
//
// In short: any thread | as `boost::asio::post` | as `boost::asio::post` | none: without memory the program ends
//
//   boost::asio::io_context context;
//   auto work = boost::asio::make_work_guard(context);  // a coroutine that waits for a queue is no work in Asio's eyes
//   asio_executor where(context.get_executor());
//   spawn(where, serve(queue, where), ended);            // `ended` resets the guard
//   context.run();
//
// What is posted when the context has ended is not run, as with run_loop.
//
// Needs: Boost 1.81 or later.
//
// Proof: unit/asio_executor_test.cpp.
#pragma once

#include <utility>

#include <boost/asio/post.hpp>

#include "holdfast/exec/runnable.hpp"

namespace holdfast {

template <class Executor>
class asio_executor {
 public:
  explicit asio_executor(Executor where) noexcept : where_(std::move(where)) {}

  void post(runnable& what) noexcept {
    boost::asio::post(where_, [&what]() noexcept { what.run(); });
  }

 private:
  Executor where_;
};

}  // namespace holdfast
