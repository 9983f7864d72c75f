// SPDX-License-Identifier: MIT
// lanes_spec: what a fan_in may answer. Each lane is a bounded FIFO of its own (queue_spec.hpp); a pop takes the oldest of
// any of them, which the item itself names, and is refused only if each of them would refuse it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "history.hpp"
#include "queue_spec.hpp"
#include "words.hpp"

namespace holdfast_lin {

// Items are numbered so that the rest by Lanes is the lane.
template <std::size_t Lanes, std::size_t Capacity, std::size_t Max>
class lanes_spec {
 public:
  using lane = queue_spec<Capacity, Max>;

  [[nodiscard]] static operation push(std::int64_t item, bool taken) noexcept { return lane::push(item, taken); }
  [[nodiscard]] static operation pop(bool got, std::int64_t item = 0) noexcept { return lane::pop(got, item); }
  static void prepare(history& h) noexcept { lane::prepare(h); }

  [[nodiscard]] bool step(const operation& op) noexcept {
    if (static_cast<queue_op>(op.code) == queue_op::push) return of(op.args[0]).step(op);
    if (op.results[0] == static_cast<std::int64_t>(queue_said::done)) return of(op.results[1]).step(op);
    return std::all_of(lanes_.begin(), lanes_.end(), [&](lane& one) { return one.step(op); });
  }

  friend bool operator==(const lanes_spec& a, const lanes_spec& b) noexcept { return a.lanes_ == b.lanes_; }
  [[nodiscard]] std::uint64_t hash() const noexcept {
    std::uint64_t h = 0;
    for (const lane& one : lanes_) h = mixed(h + one.hash());
    return h;
  }
  [[nodiscard]] static std::string describe(const operation& op) { return lane::describe(op); }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const lane& one : lanes_) out += words(out.empty() ? "" : " ", one.text());
    return out;
  }

 private:
  lane& of(std::int64_t item) noexcept { return lanes_[static_cast<std::size_t>(item) % Lanes]; }
  std::array<lane, Lanes> lanes_{};
};

}  // namespace holdfast_lin
