// SPDX-License-Identifier: MIT
// rate_spec: what a rate limiter may answer: a bucket of time that each permit takes a period from.
//
// The bucket holds a burst of periods, and a nanosecond of time fills it by one. What is in it at a time of asking depends
// on that time alone: for an older reading there is less in it by as much as the reading is older. A take is granted if
// its price is there, a reservation if it will be within the longest wait, and both leave it as it is when they are not.
// What is given back comes back if nobody has taken since. All answers are exact; none may come by chance.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class rate_op : std::uint8_t {
  take,  // args: now, permits; results: 0 granted, or the wait that was told
  reserve,  // args: now, permits, longest wait; results: 0 granted, or the wait; when it may begin; the word: before, and after
  give_back,  // args: those two; results: 1 it is free again, 0 not
  look,       // args: now; results: permits that are there, nanoseconds until it is full
};

class rate_spec {
 public:
  struct terms {
    std::int64_t period = 1;
    std::int64_t burst = 1;
    friend bool operator==(const terms&, const terms&) = default;
  };
  static constexpr std::int64_t infeasible = -1;  // told instead of a wait
  // The word of a limiter that nobody has taken from is older than any time.
  [[nodiscard]] static std::int64_t word(std::int64_t of_limiter) noexcept {
    return std::max<std::int64_t>(of_limiter, 0);
  }

  rate_spec() = default;
  explicit rate_spec(const terms& t) noexcept : terms_(t) {}

  [[nodiscard]] static operation take(std::int64_t now, std::int64_t permits, std::int64_t wait) noexcept {
    return recorded(rate_op::take, {now, permits}, {wait});
  }
  [[nodiscard]] static operation reserve(std::int64_t now, std::int64_t permits, std::int64_t longest,
                                         std::int64_t wait, std::int64_t start, std::int64_t before,
                                         std::int64_t until) noexcept {
    return recorded(rate_op::reserve, {now, permits, longest}, {wait, start, before, until});
  }
  [[nodiscard]] static operation give_back(std::int64_t before, std::int64_t until, bool free_again) noexcept {
    return recorded(rate_op::give_back, {before, until}, {free_again ? 1 : 0});
  }
  [[nodiscard]] static operation look(std::int64_t now, std::int64_t permits, std::int64_t full_in) noexcept {
    return recorded(rate_op::look, {now}, {permits, full_in});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    const std::int64_t now = op.args[0];
    switch (static_cast<rate_op>(op.code)) {
      case rate_op::take: {
        const std::int64_t wait = op.args[1] > terms_.burst ? infeasible : wait_for(now, op.args[1]);
        if (wait == 0) pay(now, op.args[1]);
        return op.results[0] == wait;
      }
      case rate_op::reserve: {
        if (op.args[1] > terms_.burst) return op.results[0] == infeasible;
        const std::int64_t wait = wait_for(now, op.args[1]);
        if (wait > op.args[2]) return op.results[0] == wait - op.args[2];
        const std::int64_t before = full_at_;
        pay(now, op.args[1]);
        return op.results[0] == 0 && op.results[1] == now + wait &&
               (op.args[1] == 0 || (op.results[2] == before && op.results[3] == full_at_));
      }
      case rate_op::give_back: {
        const bool last = op.args[0] != op.args[1] && op.args[1] == full_at_;
        if (last) full_at_ = op.args[0];
        return last == (op.results[0] != 0);
      }
      case rate_op::look: {
        const std::int64_t held = std::max<std::int64_t>(0, level(now));
        return op.results[0] == held / terms_.period && op.results[1] == full() - level(now);
      }
    }
    return false;
  }

  static void prepare(history&) noexcept {}
  friend bool operator==(const rate_spec&, const rate_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept { return mixed(static_cast<std::uint64_t>(full_at_)); }

  [[nodiscard]] static std::string describe(const operation& op) {
    switch (static_cast<rate_op>(op.code)) {
      case rate_op::take: return words("take ", op.args[1], " at ", op.args[0], answer(op.results[0]));
      case rate_op::reserve:
        return words("reserve ", op.args[1], " at ", op.args[0], " within ", op.args[2], answer(op.results[0]), " for ",
                     op.results[1], ", full at ", op.results[3], ", before at ", op.results[2]);
      case rate_op::give_back:
        return words("give back ", op.args[0], " to ", op.args[1], op.results[0] != 0 ? ": free" : ": used");
      case rate_op::look: return words("look at ", op.args[0], ": ", op.results[0], ", full in ", op.results[1]);
    }
    return "?";
  }
  [[nodiscard]] std::string text() const { return words("full at ", full_at_); }

 private:
  [[nodiscard]] static std::string answer(std::int64_t wait) {
    if (wait == 0) return ": granted";
    return wait == infeasible ? ": infeasible" : words(": refused for ", wait);
  }
  [[nodiscard]] std::int64_t full() const noexcept { return terms_.period * terms_.burst; }
  // In it at this time, in nanoseconds; less than nothing where permits are reserved.
  [[nodiscard]] std::int64_t level(std::int64_t now) const noexcept {
    return full() - std::max<std::int64_t>(0, full_at_ - now);
  }
  [[nodiscard]] std::int64_t wait_for(std::int64_t now, std::int64_t permits) const noexcept {
    return permits == 0 ? 0 : std::max<std::int64_t>(0, permits * terms_.period - level(now));
  }
  void pay(std::int64_t now, std::int64_t permits) noexcept {
    if (permits != 0) full_at_ = now + full() - level(now) + permits * terms_.period;
  }

  terms terms_;
  std::int64_t full_at_ = 0;  // times of windows are later
};

}  // namespace holdfast_lin
