// SPDX-License-Identifier: MIT
#include "serve/db_pool.hpp"

namespace holdfast::serve {

db_pool::db_pool(const store_options& options, std::size_t threads) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this, options] {
      profile_store store(options);
      serve(store);
    });
  }
}

void db_pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

error db_pool::too_late() {
  error e{errc::deadline_exceeded};
  e.not_sent = true;
  return e;
}

void db_pool::submit(std::unique_ptr<task> next) {
  {
    const std::lock_guard lock(mutex_);
    line_.push_back(std::move(next));
  }
  changed_.notify_one();
}

void db_pool::serve(profile_store& store) {
  for (;;) {
    std::unique_ptr<task> next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !line_.empty(); });
      if (line_.empty()) return;
      next = std::move(line_.front());
      line_.pop_front();
    }
    next->run(store);
  }
}

}  // namespace holdfast::serve
