// SPDX-License-Identifier: MIT
// Tells a failing execution step by step, with the code's own words: its line and the label that stands beside it.
#include "model/engine/engine.hpp"
#include "model/engine/source.hpp"

namespace holdfast_model {
namespace {

void pad(std::string& text, std::size_t to) {
  if (text.size() < to) text.append(to - text.size(), ' ');
}

}  // namespace

void engine::tell_line(const std::string& text) {
  told_ += text;
  told_ += '\n';
}

void engine::tell(const operation& op, std::uint64_t value, const char* remark) {
  if (!telling_) return;
  std::string line = std::to_string(++told_steps_);
  line.insert(0, line.size() < 4 ? 4 - line.size() : 0, ' ');
  line += current_ == main_thread ? "  main" : "  T" + std::to_string(current_) + "  ";
  pad(line, 12);
  line += name_of(op.kind);
  if (op.on_location() || op.kind == op_kind::fence) line += std::string(" ") + name_of(op.success);
  if (op.exchanges()) line += std::string("/") + name_of(op.failure);
  pad(line, 36);
  if (op.on_location()) {
    line += "#" + std::to_string(op.object);
    pad(line, 41);
    line += (op.writes() && remark[0] != 'f' ? "<- " : "-> ") + std::to_string(value);
  }
  if (remark[0] != '\0') line += std::string(" (") + remark + ")";
  pad(line, 76);
  if (op.where.line != 0) {
    line += path_of(op.where.file) + ":" + std::to_string(op.where.line);
    pad(line, 120);
    line += label_at(op.where) + " " + line_at(op.where);
  }
  tell_line(line);
}

}  // namespace holdfast_model
