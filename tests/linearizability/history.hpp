// SPDX-License-Identifier: MIT
// history: what threads asked of an object and what they were answered, with the order that binds a checker.
//
// The order is partial: operation a stands in `before` of b if a had returned when b was called, as far as threads can
// tell. Whoever records the history decides what that means, and one checker serves all:
//   - inside a model checker: a's return happens-before b's call (vector clocks, taken at call and return);
//   - natively: the stamp of a's return is older than the stamp of b's call (stamp.hpp).
// Two operations without an order overlap, and the checker may take them either way.
//
// An operation that the object promises only as a chain of smaller ones (a batch of pushes) is recorded as that chain:
// several operations of one thread, one after the other, with the same call and return.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace holdfast_lin {

using op_mask = std::uint64_t;  // a set of operations, one bit each
inline constexpr std::size_t most_operations = 64;
inline constexpr std::uint8_t no_operation = 255;  // the id of one that is not part of a history

struct operation {
  std::uint8_t thread = 0;
  std::uint8_t code = 0;           // which operation, by the specification's own enumeration
  std::uint8_t id = no_operation;  // its place in the history, and its bit in a mask
  bool excused = false;            // what overlaps it allows a weaker answer; set by the specification's prepare()
  std::array<std::int64_t, 4> args{};
  std::array<std::int64_t, 4> results{};
  op_mask before = 0;
};

template <class Code>
[[nodiscard]] operation recorded(Code code, const std::array<std::int64_t, 4>& args = {},
                                 const std::array<std::int64_t, 4>& results = {}) noexcept {
  operation op;
  op.code = static_cast<std::uint8_t>(code);
  op.args = args;
  op.results = results;
  return op;
}

class history {
 public:
  history() { operations_.reserve(most_operations); }

  void clear() noexcept { operations_.clear(); }
  operation& add(const operation& op) {
    if (operations_.size() == most_operations) std::abort();  // a mistake of the test: its histories are too long
    operations_.push_back(op);
    operations_.back().id = static_cast<std::uint8_t>(operations_.size() - 1);
    return operations_.back();
  }

  // precedes(a, b), by place in the history: had a returned when b was called? It is transitive, as any such order is.
  template <class Precedes>
  void order(Precedes&& precedes) {
    for (std::size_t b = 0; b < operations_.size(); ++b) {
      op_mask before = 0;
      for (std::size_t a = 0; a < operations_.size(); ++a) before |= op_mask{a != b && precedes(a, b)} << a;
      operations_[b].before = before;
    }
  }

  // A part of operation `whole`: within its time, before its end, after the parts added earlier. For a specification's
  // prepare().
  void add_within(std::size_t whole, const operation& part) {
    operation& added = add(part);
    added.thread = operations_[whole].thread;
    added.before = operations_[whole].before;
    const op_mask bit = op_mask{1} << added.id;
    for (operation& op : operations_) {
      if (op.id == whole || (op.before >> whole & 1U) != 0) op.before |= bit;
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return operations_.size(); }
  [[nodiscard]] std::span<operation> operations() noexcept { return operations_; }
  [[nodiscard]] std::span<const operation> operations() const noexcept { return operations_; }
  [[nodiscard]] operation& operator[](std::size_t i) noexcept { return operations_[i]; }
  [[nodiscard]] const operation& operator[](std::size_t i) const noexcept { return operations_[i]; }

  [[nodiscard]] op_mask all() const noexcept {
    return operations_.size() == most_operations ? ~op_mask{0} : (op_mask{1} << operations_.size()) - 1;
  }
  // What neither precedes nor follows this one.
  [[nodiscard]] op_mask overlapping(std::size_t id) const noexcept {
    op_mask ordered = operations_[id].before | op_mask{1} << id;
    for (const operation& op : operations_) ordered |= (op.before >> id & 1U) << op.id;
    return all() & ~ordered;
  }

 private:
  std::vector<operation> operations_;
};

}  // namespace holdfast_lin
