// SPDX-License-Identifier: MIT
// budget_spec: what a retry budget may answer: a purse of milli-tokens that first attempts and time fill.
//
// Times are whole milliseconds. Time older than the newest that the purse has noted earns nothing and moves nothing. A
// full purse notes no deposit and no time: a deposit into it leaves it as it is. A refused take leaves it as it is, the
// time of asking included. All answers are exact; none may come by chance.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class budget_op : std::uint8_t {
  first_attempt,  // args: now
  take,           // args: now, tokens; results: 1 granted, 0 refused
  give_back,      // args: now, tokens
  balance,        // args: now; results: milli-tokens
};

class budget_spec {
 public:
  struct terms {
    std::int64_t deposit_milli = 100;  // for each first attempt
    std::int64_t milli_per_ms = 10;    // for each millisecond
    std::int64_t burst = 100;          // tokens that the purse holds, and begins with
    friend bool operator==(const terms&, const terms&) = default;
  };

  budget_spec() = default;
  explicit budget_spec(const terms& t) noexcept : terms_(t), milli_(1000 * t.burst) {}

  [[nodiscard]] static operation first_attempt(std::int64_t now) noexcept {
    return recorded(budget_op::first_attempt, {now, 0}, {0});
  }
  [[nodiscard]] static operation take(std::int64_t now, std::int64_t tokens, bool granted) noexcept {
    return recorded(budget_op::take, {now, tokens}, {granted ? 1 : 0});
  }
  [[nodiscard]] static operation give_back(std::int64_t now, std::int64_t tokens) noexcept {
    return recorded(budget_op::give_back, {now, tokens}, {0});
  }
  [[nodiscard]] static operation balance(std::int64_t now, std::int64_t milli) noexcept {
    return recorded(budget_op::balance, {now, 0}, {milli});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    const std::int64_t now = op.args[0];
    switch (static_cast<budget_op>(op.code)) {
      case budget_op::first_attempt: put(now, terms_.deposit_milli); return true;
      case budget_op::give_back: put(now, 1000 * op.args[1]); return true;
      case budget_op::take: {
        if (op.args[1] == 0) return op.results[0] == 1;
        const std::int64_t price = 1000 * op.args[1];
        const bool granted = at(now) >= price;
        if (granted) settle(now, at(now) - price);
        return granted == (op.results[0] != 0);
      }
      case budget_op::balance: return op.results[0] == at(now);
    }
    return false;
  }

  static void prepare(history&) noexcept {}
  friend bool operator==(const budget_spec&, const budget_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept {
    return mixed(static_cast<std::uint64_t>(milli_)) + static_cast<std::uint64_t>(noted_);
  }

  [[nodiscard]] static std::string describe(const operation& op) {
    const std::string when = words(" at ", op.args[0]);
    switch (static_cast<budget_op>(op.code)) {
      case budget_op::first_attempt: return words("first attempt", when);
      case budget_op::take: return words("take ", op.args[1], when, op.results[0] != 0 ? ": granted" : ": refused");
      case budget_op::give_back: return words("give back ", op.args[1], when);
      case budget_op::balance: return words("balance", when, ": ", op.results[0]);
    }
    return "?";
  }
  [[nodiscard]] std::string text() const { return words(milli_, " milli-tokens, noted at ", noted_); }

 private:
  [[nodiscard]] std::int64_t full() const noexcept { return 1000 * terms_.burst; }
  [[nodiscard]] std::int64_t at(std::int64_t now) const noexcept {
    return std::min(full(), milli_ + std::max<std::int64_t>(0, now - noted_) * terms_.milli_per_ms);
  }
  void settle(std::int64_t now, std::int64_t milli) noexcept {
    milli_ = milli;
    noted_ = std::max(noted_, now);
  }
  void put(std::int64_t now, std::int64_t milli) noexcept {
    if (milli_ != full()) settle(now, std::min(full(), at(now) + milli));
  }

  terms terms_;
  std::int64_t milli_ = 0;
  std::int64_t noted_ = 0;
};

}  // namespace holdfast_lin
