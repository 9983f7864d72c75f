// SPDX-License-Identifier: MIT
// db_gate: keeps this process's own readers and writers of one SQLite file out of each other's way.
//
// In rollback-journal mode a reader that meets a writer's commit gets SQLITE_BUSY. Between processes that is the truth
// that the policies are there for; between our own threads it would only be noise in the breaker's window. So our own
// threads queue here, bounded by their deadline, and SQLITE_BUSY always means somebody else.
//
//   operation       waits                        when refused
//   enter_shared    for a writer, to deadline    false
//   enter_alone     for all, to deadline         false; writers go before new readers, so none starves
#pragma once

#include <condition_variable>
#include <mutex>

#include "holdfast/time/deadline.hpp"

namespace holdfast::serve {

class db_gate {
 public:
  // Held while true; leaves when destroyed.
  class pass {
   public:
    pass() = default;
    pass(db_gate* gate, bool alone) : gate_(gate), alone_(alone) {}
    pass(pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), alone_(other.alone_) {}
    pass& operator=(pass&&) = delete;
    ~pass() {
      if (gate_ != nullptr) gate_->leave(alone_);
    }
    explicit operator bool() const noexcept { return gate_ != nullptr; }

   private:
    db_gate* gate_ = nullptr;
    bool alone_ = false;
  };

  [[nodiscard]] pass enter_shared(deadline until) {
    std::unique_lock lock(mutex_);
    const auto open = [&] { return !alone_ && writers_waiting_ == 0; };
    if (!wait(lock, changed_, until, open)) return {};
    ++readers_;
    return {this, false};
  }
  [[nodiscard]] pass enter_alone(deadline until) {
    std::unique_lock lock(mutex_);
    ++writers_waiting_;
    const bool in = wait(lock, changed_, until, [&] { return !alone_ && readers_ == 0; });
    --writers_waiting_;
    if (!in) {
      changed_.notify_all();
      return {};
    }
    alone_ = true;
    return {this, true};
  }

 private:
  template <class Condition>
  static bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& on, deadline until, Condition met) {
    if (!until.is_never()) return on.wait_until(lock, until.at(), met);
    on.wait(lock, met);
    return true;
  }
  void leave(bool alone) {
    {
      const std::lock_guard lock(mutex_);
      if (alone) {
        alone_ = false;
      } else {
        --readers_;
      }
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned readers_ = 0;
  unsigned writers_waiting_ = 0;
  bool alone_ = false;
};

}  // namespace holdfast::serve
