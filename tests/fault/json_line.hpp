// SPDX-License-Identifier: MIT
// Is a line one whole JSON object (RFC 8259)? And numbers out of fields whose names the test chose itself.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fault {

class json_line {
 public:
  static bool whole(std::string_view text) noexcept {
    json_line at(text);
    return at.object(0) && at.rest_.empty();
  }

 private:
  explicit json_line(std::string_view text) noexcept : rest_(text) {}
  static constexpr int deepest = 32;

  bool eat(char c) noexcept {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool eat(std::string_view word) noexcept {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool object(int depth) noexcept {
    if (depth > deepest || !eat('{')) return false;
    if (eat('}')) return true;
    do {
      if (!string() || !eat(':') || !value(depth + 1)) return false;
    } while (eat(','));
    return eat('}');
  }
  bool array(int depth) noexcept {
    if (depth > deepest || !eat('[')) return false;
    if (eat(']')) return true;
    do {
      if (!value(depth + 1)) return false;
    } while (eat(','));
    return eat(']');
  }
  bool value(int depth) noexcept {
    if (rest_.empty()) return false;
    switch (rest_.front()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 't': return eat("true");
      case 'f': return eat("false");
      case 'n': return eat("null");
      default: return number();
    }
  }
  bool string() noexcept {
    if (!eat('"')) return false;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') continue;
      if (rest_.empty()) return false;
      const char escaped = rest_.front();
      rest_.remove_prefix(1);
      if (escaped == 'u') {
        if (rest_.size() < 4) return false;
        for (const char digit : rest_.substr(0, 4)) {
          if (std::string_view("0123456789abcdefABCDEF").find(digit) == std::string_view::npos) return false;
        }
        rest_.remove_prefix(4);
      } else if (std::string_view("\"\\/bfnrt").find(escaped) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }
  bool digits() noexcept {
    std::size_t n = 0;
    while (n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9') ++n;
    rest_.remove_prefix(n);
    return n > 0;
  }
  bool number() noexcept {
    eat('-');
    if (!eat('0') && !digits()) return false;
    if (eat('.') && !digits()) return false;
    if (eat('e') || eat('E')) {
      if (!eat('+')) eat('-');
      return digits();
    }
    return true;
  }

  std::string_view rest_;
};

// The number behind `"key":`, wherever it stands.
inline std::optional<std::uint64_t> number_of(std::string_view line, std::string_view key) {
  std::string mark(1, '"');
  mark.append(key).append("\":");
  const auto at = line.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t n = 0;
  const char* const from = line.data() + at + mark.size();
  const auto read = std::from_chars(from, line.data() + line.size(), n);
  if (read.ec != std::errc{}) return std::nullopt;
  return n;
}

}  // namespace fault
