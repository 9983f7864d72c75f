// SPDX-License-Identifier: MIT
// explain: why a history is not linearizable, for a person: the history, the longest order found, and what stands then.
#pragma once

#include <algorithm>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

// After a check() that said no.
template <specification Spec>
[[nodiscard]] std::string explain(const history& h, const Spec& start, const wgl<Spec>& checker) {
  const auto number = [](std::size_t n) { return words(n < 10 ? " " : "", n); };
  std::size_t width = 20;
  for (const operation& op : h.operations()) width = std::max(width, Spec::describe(op).size());

  std::string out = words("not linearizable\n  begins with: ", start.text(), "\n   # thread  operation and answer");
  out += words(std::string(width - 20, ' '), "  overlaps\n");
  for (const operation& op : h.operations()) {
    const std::string what = Spec::describe(op);
    const op_mask overlapping = h.overlapping(op.id);
    out += words("  ", number(op.id), "   ", number(op.thread), "    ", what);
    if (overlapping != 0) out += std::string(width - what.size() + 1, ' ');
    for (const operation& other : h.operations()) {
      if ((overlapping >> other.id & 1U) != 0) out += words(" ", other.id);
    }
    out += op.excused ? "  (excused)\n" : "\n";
  }
  out += words("  longest order found, ", checker.order().size(), " of ", h.size(), ":");
  op_mask done = 0;
  for (const std::uint8_t id : checker.order()) {
    out += words(" ", id);
    done |= op_mask{1} << id;
  }
  out += words("\n  which leads to: ", checker.reached().text(), "\n  where none of these is allowed:\n");
  for (const operation& op : h.operations()) {
    if ((done >> op.id & 1U) == 0 && (op.before & ~done) == 0) {
      out += words("    ", number(op.id), "  ", Spec::describe(op), "\n");
    }
  }
  return out;
}

}  // namespace holdfast_lin
