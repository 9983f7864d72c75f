// SPDX-License-Identifier: MIT
#include "model/engine/source.hpp"

#include <cctype>
#include <fstream>
#include <map>
#include <vector>

namespace holdfast_model {
namespace {

// Compilers are called from anywhere and name files as they were given: the project's folder is told by the build.
const std::vector<std::string>& lines_of(const char* file) {
  static std::map<std::string, std::vector<std::string>> read;
  const auto [it, fresh] = read.try_emplace(path_of(file));
  if (fresh) {
    std::ifstream in(std::string(HOLDFAST_MODEL_ROOT "/") + it->first);
    for (std::string line; std::getline(in, line);) it->second.push_back(line);
  }
  return it->second;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first);
}

std::string label_in(const std::string& line) {
  const std::size_t comment = line.find("//");
  if (comment == std::string::npos) return "";
  const std::size_t open = line.find('[', comment);
  const std::size_t close = line.find(']', open);
  if (open == std::string::npos || close == std::string::npos || close - open > 5 || close - open < 3) return "";
  return std::isupper(static_cast<unsigned char>(line[open + 1])) != 0 ? line.substr(open, close - open + 1) : "";
}

}  // namespace

std::string path_of(std::string_view file) {
  for (const std::string_view root : {"include/holdfast/", "src/", "tests/"}) {
    const std::size_t at = file.rfind(root);
    if (at != std::string_view::npos) return std::string(file.substr(at));
  }
  return std::string(file);
}

std::string line_at(const place& where) {
  const auto& lines = lines_of(where.file);
  return where.line == 0 || where.line > lines.size() ? "" : trimmed(lines[where.line - 1]);
}

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

}  // namespace holdfast_model
