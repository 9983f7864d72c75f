// SPDX-License-Identifier: MIT
// linearized: the answers of a scenario's threads, judged by a specification of tests/linearizability.
//
// One operation precedes another if its return happens before the other's call: that is all that an execution of the
// model tells, and less than a clock would. So an answer that is accepted here may still be one that a clock refutes, and
// what is refused here is wrong by any order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "linearizability/explain.hpp"
#include "linearizability/history.hpp"
#include "linearizability/wgl.hpp"
#include "model/engine/scenario.hpp"

namespace holdfast_model {

template <class Spec>
class linearized {
 public:
  explicit linearized(Spec start = {}) : start_(start) { done_.reserve(holdfast_lin::most_operations); }

  // `operation` does it and says what it was.
  template <class Operation>
  void record(Operation operation) {
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < done_.size(); ++i) before |= std::uint64_t{happened_before_now(done_[i].returned)} << i;
    const holdfast_lin::operation what = operation();
    done_.push_back({what, before, now()});
  }

  // Alone, when all have ended.
  void judge() {
    holdfast_lin::history all;
    for (const entry& e : done_) {
      holdfast_lin::operation& op = all.add(e.what);
      op.thread = static_cast<std::uint8_t>(e.returned.by);
    }
    all.order([&](std::size_t a, std::size_t b) { return (done_[b].before >> a & 1U) != 0; });
    holdfast_lin::wgl<Spec> checker;
    if (!checker.check(all, start_)) fail(holdfast_lin::explain(all, start_, checker));
  }

 private:
  struct entry {
    holdfast_lin::operation what;
    std::uint64_t before;  // those that had returned when it was called
    moment returned;
  };
  Spec start_;
  std::vector<entry> done_;
};

}  // namespace holdfast_model
