// SPDX-License-Identifier: MIT
// A JSON reader of RFC 8259's grammar and nothing beside it: the judge of what the library writes. It gives the document
// as a flat list of events, so that two documents are compared in order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/utf8_reference.hpp"

namespace holdfast::fuzz {

enum class json_event_kind : std::uint8_t {
  begin_object,
  end_object,
  begin_array,
  end_array,
  key,
  text,
  number,
  truth,
  falsehood,
  null,
};

struct json_event {
  json_event_kind kind;
  std::string text{};  // key and text: unescaped, UTF-8; number: as it stands

  friend bool operator==(const json_event&, const json_event&) = default;
};

class strict_json {
 public:
  explicit strict_json(std::string_view document) : rest_(document) {}

  // False: not one JSON value with nothing behind it.
  bool read() {
    space();
    return value(0) && (space(), rest_.empty());
  }
  [[nodiscard]] const std::vector<json_event>& events() const { return events_; }

  // The value of a string's characters between its quotes; false for anything a JSON string may not hold.
  static bool unescape(std::string_view s, std::string& out) {
    for (std::size_t i = 0; i < s.size(); ++i) {
      const auto c = static_cast<unsigned char>(s[i]);
      if (c < 0x20 || c == '"') return false;
      if (c != '\\') {
        out += s[i];
        continue;
      }
      if (++i == s.size()) return false;
      constexpr std::string_view letters = "\"\\/bfnrt";
      constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
      const std::size_t at = letters.find(s[i]);
      if (at != letters.npos) {
        out += meant[at];
      } else if (s[i] != 'u' || !escaped_character(s, i, out)) {
        return false;
      }
    }
    return is_utf8(out);
  }

  static bool is_number(std::string_view s) {
    const auto digits = [&] {
      std::size_t n = 0;
      while (n < s.size() && s[n] >= '0' && s[n] <= '9') ++n;
      s.remove_prefix(n);
      return n;
    };
    const auto take = [&](std::string_view any) {
      if (s.empty() || any.find(s.front()) == any.npos) return false;
      s.remove_prefix(1);
      return true;
    };
    take("-");
    if (!take("0") && digits() == 0) return false;
    if (take(".") && digits() == 0) return false;
    if (take("eE")) {
      take("+-");
      if (digits() == 0) return false;
    }
    return s.empty();
  }

 private:
  static constexpr int deepest = 64;

  // `i` stands on the u; moves it to the last digit. A surrogate alone is no character.
  static bool escaped_character(std::string_view s, std::size_t& i, std::string& out) {
    std::uint32_t unit = 0;
    if (!hex4(s, i + 1, unit)) return false;
    i += 4;
    if (unit >= 0xD800 && unit < 0xDC00) {
      std::uint32_t low = 0;
      if (s.substr(i + 1, 2) != "\\u" || !hex4(s, i + 3, low) || low < 0xDC00 || low > 0xDFFF) return false;
      i += 6;
      unit = 0x10000 + ((unit - 0xD800) << 10U) + (low - 0xDC00);
    }
    const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80U | (unit >> shift & 0x3FU)); };
    if (unit < 0x80) {
      out += static_cast<char>(unit);
    } else if (unit < 0x800) {
      out += static_cast<char>(0xC0U | unit >> 6U);
      tail(0);
    } else if (unit < 0x10000) {
      out += static_cast<char>(0xE0U | unit >> 12U);
      tail(6), tail(0);
    } else {
      out += static_cast<char>(0xF0U | unit >> 18U);
      tail(12), tail(6), tail(0);
    }
    return true;
  }
  static bool hex4(std::string_view s, std::size_t from, std::uint32_t& out) {
    if (from + 4 > s.size()) return false;
    for (const char c : s.substr(from, 4)) {
      constexpr std::string_view digits = "0123456789abcdef0123456789ABCDEF";
      const std::size_t digit = digits.find(c);
      if (digit == digits.npos) return false;
      out = out << 4U | static_cast<std::uint32_t>(digit & 15U);
    }
    return true;
  }

  void space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n\r"), rest_.size())); }
  bool take(std::string_view token) {
    if (rest_.substr(0, token.size()) != token) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  bool add(json_event_kind kind) {
    events_.push_back({kind});
    return true;
  }

  bool value(int depth) {
    if (rest_.empty() || depth > deepest) return false;
    switch (rest_.front()) {
      case '{': return members(depth);
      case '[': return elements(depth);
      case '"': return string(json_event_kind::text);
      case 't': return take("true") && add(json_event_kind::truth);
      case 'f': return take("false") && add(json_event_kind::falsehood);
      case 'n': return take("null") && add(json_event_kind::null);
      default: break;
    }
    const std::string_view number = rest_.substr(0, rest_.find_first_of(",]} \t\n\r"));
    if (!is_number(number)) return false;
    events_.push_back({json_event_kind::number, std::string(number)});
    rest_.remove_prefix(number.size());
    return true;
  }
  bool string(json_event_kind kind) {
    if (!take("\"")) return false;
    std::size_t end = 0;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2U : 1U;
    if (end >= rest_.size()) return false;
    events_.push_back({kind});
    if (!unescape(rest_.substr(0, end), events_.back().text)) return false;
    rest_.remove_prefix(end + 1);
    return true;
  }
  bool members(int depth) {
    take("{");
    add(json_event_kind::begin_object);
    space();
    if (take("}")) return add(json_event_kind::end_object);
    for (;;) {
      space();
      if (!string(json_event_kind::key)) return false;
      space();
      if (!take(":")) return false;
      space();
      if (!value(depth + 1)) return false;
      space();
      if (take("}")) return add(json_event_kind::end_object);
      if (!take(",")) return false;
    }
  }
  bool elements(int depth) {
    take("[");
    add(json_event_kind::begin_array);
    space();
    if (take("]")) return add(json_event_kind::end_array);
    for (;;) {
      space();
      if (!value(depth + 1)) return false;
      space();
      if (take("]")) return add(json_event_kind::end_array);
      if (!take(",")) return false;
    }
  }

  std::string_view rest_;
  std::vector<json_event> events_;
};

}  // namespace holdfast::fuzz
