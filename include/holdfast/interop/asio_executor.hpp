// SPDX-License-Identifier: MIT
// asio_executor: one of Boost.Asio's executors as an executor of ours, so that coroutines wait for our queues (exec/co_queue.hpp)
// on the io_context that runs the rest of a service.
//
//   operation   caller       progress                 allocates
//   post        any thread   as boost::asio::post:    as boost::asio::post: a block, which Asio keeps for each thread and uses
//                            an io_context has a      again
//                            lock
//
// In short: any thread | as `boost::asio::post` | as `boost::asio::post` | none: without memory the program ends
//
//   boost::asio::io_context context;
//   asio_executor where(context.get_executor());
//   spawn(where, serve(queue, where), ended);
//
// What is posted when the context ends is not run, as with run_loop.
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
