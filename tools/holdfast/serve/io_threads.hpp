// SPDX-License-Identifier: MIT
// io_threads: one io_context a thread. A connection lives on one of them, so nothing it does needs a strand.
#pragma once

#include <deque>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace holdfast::serve {

class io_threads {
 public:
  explicit io_threads(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      contexts_.emplace_back(1);
      guards_.emplace_back(contexts_.back().get_executor());
    }
  }
  ~io_threads() { stop(); }
  io_threads(const io_threads&) = delete;
  io_threads& operator=(const io_threads&) = delete;

  void start() {
    for (auto& context : contexts_) threads_.emplace_back([&context] { context.run(); });
  }
  void stop() {
    guards_.clear();
    for (auto& context : contexts_) context.stop();
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    threads_.clear();
  }
  [[nodiscard]] std::size_t size() const noexcept { return contexts_.size(); }
  boost::asio::io_context& at(std::size_t i) { return contexts_[i]; }

 private:
  using guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;
  std::deque<boost::asio::io_context> contexts_;
  std::deque<guard> guards_;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::serve
