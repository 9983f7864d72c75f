// SPDX-License-Identifier: MIT
// wgl: is there one order of a history's operations, allowed by their overlaps, in which a specification accepts all?
//
// The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memo of Lowe ("Testing for
// linearizability", 2017): a set of operations already taken, together with the state they led to, is a dead end once
// and need not be tried again. A dead end is found by its hash and compared in full, so two states that collide cost
// time and never a wrong answer. Nothing is remembered while nothing fails, so a history that is in order from the start
// costs one pass.
//
// A specification is a value:
//   bool step(const operation&)       takes the operation as the next one; false: its answer is not allowed now. What
//                                     the state is after a false does not matter
//   bool operator==, uint64_t hash()  of the state
//   static void prepare(history&)     sets `excused` on operations whose overlaps allow a weaker answer; may be empty
//   static std::string describe(const operation&), std::string text()   for people
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "history.hpp"

namespace holdfast_lin {

template <class S>
concept specification = std::copyable<S> && std::equality_comparable<S> &&
    requires(S& state, const S& seen, const operation& op, history& all) {
  { state.step(op) } -> std::same_as<bool>;
  { seen.hash() } -> std::same_as<std::uint64_t>;
  { S::describe(op) } -> std::convertible_to<std::string>;
  { seen.text() } -> std::convertible_to<std::string>;
  S::prepare(all);
};

// One step of a mix: spreads every bit of `x` over the word.
constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
  x = (x ^ x >> 32U) * 0x9E3779B97F4A7C15U;
  return x ^ x >> 29U;
}

// Keeps its memory between checks; one for each checking thread.
template <specification Spec>
class wgl {
 public:
  // The history has its order; prepare() is called here.
  [[nodiscard]] bool check(history& h, const Spec& start) {
    Spec::prepare(h);
    operations_ = h.operations();
    all_ = h.all();
    best_length_ = 0;
    best_state_ = start;
    nodes_ = 0;
    forget();
    return search(0, start, 0);
  }

  // Of the last check. Linearizable: the order found. Not: the longest beginning that was found.
  [[nodiscard]] std::span<const std::uint8_t> order() const noexcept { return {best_.data(), best_length_}; }
  // Where that order leads.
  [[nodiscard]] const Spec& reached() const noexcept { return best_state_; }
  // How many steps were tried.
  [[nodiscard]] std::uint64_t nodes() const noexcept { return nodes_; }

 private:
  struct dead_end {
    op_mask done;
    Spec state;
  };

  bool search(op_mask done, const Spec& state, std::size_t depth) {
    if (done == all_) {
      keep(state, depth);
      return true;
    }
    if (!dead_ends_.empty() && is_dead_end(done, state)) return false;
    for (op_mask left = all_ & ~done; left != 0; left &= left - 1) {
      const auto next = static_cast<std::size_t>(std::countr_zero(left));
      if ((operations_[next].before & ~done) != 0) continue;
      Spec after = state;
      ++nodes_;
      if (!after.step(operations_[next])) continue;
      path_[depth] = static_cast<std::uint8_t>(next);
      if (search(done | op_mask{1} << next, after, depth + 1)) return true;
    }
    if (depth > best_length_) keep(state, depth);
    remember(done, state);
    return false;
  }

  void keep(const Spec& state, std::size_t depth) {
    best_ = path_;
    best_length_ = depth;
    best_state_ = state;
  }

  // ---- the memo: places of a table that is at most half full, probed one after the other; 0 is an empty place

  [[nodiscard]] static std::size_t key_of(op_mask done, const Spec& state) noexcept {
    return static_cast<std::size_t>(mixed(done) ^ mixed(state.hash() + 0x7F4A7C15U));
  }
  [[nodiscard]] bool is_dead_end(op_mask done, const Spec& state) const {
    for (std::size_t at = key_of(done, state);; ++at) {
      const std::uint32_t entry = places_[at & (places_.size() - 1)];
      if (entry == 0) return false;
      const dead_end& seen = dead_ends_[entry - 1];
      if (seen.done == done && seen.state == state) return true;
    }
  }
  void place(std::uint32_t entry) {
    const dead_end& what = dead_ends_[entry - 1];
    std::size_t at = key_of(what.done, what.state);
    while (places_[at & (places_.size() - 1)] != 0) ++at;
    places_[at & (places_.size() - 1)] = entry;
  }
  void remember(op_mask done, const Spec& state) {
    dead_ends_.push_back({done, state});
    if (2 * dead_ends_.size() > places_.size()) {
      places_.assign(2 * places_.size(), 0);
      for (std::uint32_t entry = 1; entry <= dead_ends_.size(); ++entry) place(entry);
    } else {
      place(static_cast<std::uint32_t>(dead_ends_.size()));
    }
  }
  void forget() {
    if (dead_ends_.empty()) return;
    dead_ends_.clear();
    places_.assign(smallest_table, 0);
  }

  static constexpr std::size_t smallest_table = 128;

  std::span<const operation> operations_;
  op_mask all_ = 0;
  std::array<std::uint8_t, most_operations> path_{};
  std::array<std::uint8_t, most_operations> best_{};
  std::size_t best_length_ = 0;
  Spec best_state_{};
  std::uint64_t nodes_ = 0;
  std::vector<dead_end> dead_ends_;
  std::vector<std::uint32_t> places_ = std::vector<std::uint32_t>(smallest_table, 0);
};

}  // namespace holdfast_lin
