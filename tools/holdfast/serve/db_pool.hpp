// SPDX-License-Identifier: MIT
// db_pool: a few threads, each with its own connection, that do a database's blocking calls for the coroutines.
//
//   operation    caller        waits                    allocates         when refused
//   run          a coroutine   as the job, off-thread   one block a job   deadline_exceeded: its deadline passed in
//   line
//
// Each database has a pool of its own, so that one that hangs cannot take the threads of another. How many jobs may
// wait is the bulkhead's business. A job whose caller has gone on is still carried out unless its deadline has passed;
// the result is then dropped by the caller's side.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/core/outcome.hpp"
#include "holdfast/time/deadline.hpp"

#include "serve/profile_store.hpp"

namespace holdfast::serve {

class db_pool {
 public:
  db_pool(const store_options& options, std::size_t threads);
  ~db_pool() { stop(); }
  db_pool(const db_pool&) = delete;
  db_pool& operator=(const db_pool&) = delete;

  // `job` is a callable from profile_store& to outcome<T>; it runs on a thread of the pool.
  template <class Job>
  auto run(deadline until, Job job) -> boost::asio::awaitable<std::invoke_result_t<Job&, profile_store&>> {
    using result = std::invoke_result_t<Job&, profile_store&>;
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(result)>(
        [this, until](auto handler, Job work) {
          submit(std::make_unique<typed_task<Job, decltype(handler)>>(until, std::move(work), std::move(handler)));
        },
        boost::asio::use_awaitable, std::move(job));
  }

  // Jobs in line are still carried out; then the threads end.
  void stop();

 private:
  struct task {
    virtual ~task() = default;
    virtual void run(profile_store& store) = 0;
  };

  template <class Job, class Handler>
  struct typed_task final : task {
    typed_task(deadline d, Job&& j, Handler&& h)
        : until(d), job(std::move(j)), handler(std::move(h)), work(boost::asio::get_associated_executor(handler)) {}
    void run(profile_store& store) override {
      using result = std::invoke_result_t<Job&, profile_store&>;
      result answer = until.passed(steady_clock::now()) ? result(too_late()) : job(store);
      const auto executor = boost::asio::get_associated_executor(handler);
      boost::asio::post(executor, [h = std::move(handler), a = std::move(answer)]() mutable { h(std::move(a)); });
    }
    deadline until;
    Job job;
    Handler handler;
    boost::asio::executor_work_guard<boost::asio::associated_executor_t<Handler>> work;
  };

  static error too_late();
  void submit(std::unique_ptr<task> next);
  void serve(profile_store& store);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<task>> line_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::serve
