// SPDX-License-Identifier: MIT
// Tells a failing execution step by step, with the code's own words: its line and the label that stands beside it.
#include <cctype>
#include <fstream>
#include <map>

#include "model/engine/engine.hpp"

namespace holdfast_model {
namespace {

const std::vector<std::string>& lines_of(const std::string& file) {
  static std::map<std::string, std::vector<std::string>> read;
  const auto [it, fresh] = read.try_emplace(file);
  if (fresh) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) it->second.push_back(line);
  }
  return it->second;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first);
}

// `[Q3]` in a line's comment.
std::string label_in(const std::string& line) {
  const std::size_t comment = line.find("//");
  if (comment == std::string::npos) return "";
  const std::size_t open = line.find('[', comment);
  const std::size_t close = line.find(']', open);
  if (open == std::string::npos || close == std::string::npos || close - open > 5 || close - open < 3) return "";
  return std::isupper(static_cast<unsigned char>(line[open + 1])) != 0 ? line.substr(open, close - open + 1) : "";
}

// On the line itself, on the next two of the statement, or in the comment above.
std::string label_at(const place& where) {
  const auto& lines = lines_of(where.file);
  if (where.line == 0 || where.line > lines.size()) return "";
  for (std::size_t i = where.line - 1; i < where.line + 2U && i < lines.size(); ++i) {
    if (std::string found = label_in(lines[i]); !found.empty()) return found;
    if (lines[i].find(';') != std::string::npos) break;
  }
  for (std::size_t i = where.line - 1; i-- > 0 && trimmed(lines[i]).rfind("//", 0) == 0;) {
    if (std::string found = label_in(lines[i]); !found.empty()) return found;
  }
  return "";
}

std::string short_name(const char* file) {
  const std::string whole(file);
  for (const char* root : {"include/holdfast/", "src/", "tests/"}) {
    const std::size_t at = whole.rfind(root);
    if (at != std::string::npos) return whole.substr(at + (root[0] == 'i' ? 8 : 0));
  }
  return whole;
}

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
    const auto& lines = lines_of(op.where.file);
    line += short_name(op.where.file) + ":" + std::to_string(op.where.line);
    pad(line, 112);
    line += label_at(op.where) + " ";
    if (op.where.line <= lines.size()) line += trimmed(lines[op.where.line - 1]);
  }
  tell_line(line);
}

}  // namespace holdfast_model
