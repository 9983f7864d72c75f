// SPDX-License-Identifier: MIT
// semaphore_spec: what a bulkhead may answer: so many places, each with one holder.
//
// An acquire is granted exactly when fewer places are taken than the limit, and never refused by chance. A new limit
// takes effect at once for new calls; a smaller one turns nobody out, so more places may be taken than it says until
// enough were left. `state` is what an observer reads when nobody is in the middle of anything.
#pragma once

#include <cstdint>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class semaphore_op : std::uint8_t {
  acquire,    // results: 1 granted, 0 refused
  leave,      // gives a place back
  set_limit,  // args: the new limit
  state,      // results: places taken, the limit
};

class semaphore_spec {
 public:
  semaphore_spec() = default;
  explicit semaphore_spec(std::int64_t limit, std::int64_t taken = 0) noexcept : limit_(limit), taken_(taken) {}

  [[nodiscard]] static operation acquire(bool granted) noexcept {
    return recorded(semaphore_op::acquire, {0}, {granted ? 1 : 0, 0});
  }
  [[nodiscard]] static operation leave() noexcept { return recorded(semaphore_op::leave, {0}, {0, 0}); }
  [[nodiscard]] static operation set_limit(std::int64_t limit) noexcept {
    return recorded(semaphore_op::set_limit, {limit}, {0, 0});
  }
  [[nodiscard]] static operation state(std::int64_t taken, std::int64_t limit) noexcept {
    return recorded(semaphore_op::state, {0}, {taken, limit});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    switch (static_cast<semaphore_op>(op.code)) {
      case semaphore_op::acquire:
        if ((op.results[0] != 0) != (taken_ < limit_)) return false;
        taken_ += op.results[0];
        return true;
      case semaphore_op::leave: return --taken_ >= 0;
      case semaphore_op::set_limit: limit_ = op.args[0]; return true;
      case semaphore_op::state: return op.results[0] == taken_ && op.results[1] == limit_;
    }
    return false;
  }

  static void prepare(history&) noexcept {}
  friend bool operator==(const semaphore_spec&, const semaphore_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept {
    return static_cast<std::uint64_t>(limit_) << 32U ^ static_cast<std::uint64_t>(taken_);
  }

  [[nodiscard]] static std::string describe(const operation& op) {
    switch (static_cast<semaphore_op>(op.code)) {
      case semaphore_op::acquire: return op.results[0] != 0 ? "acquire: granted" : "acquire: refused";
      case semaphore_op::leave: return "leave";
      case semaphore_op::set_limit: return words("set_limit ", op.args[0]);
      case semaphore_op::state: return words("state: ", op.results[0], " of ", op.results[1]);
    }
    return "?";
  }
  [[nodiscard]] std::string text() const { return words(taken_, " of ", limit_, " places taken"); }

 private:
  std::int64_t limit_ = 1;
  std::int64_t taken_ = 0;
};

}  // namespace holdfast_lin
