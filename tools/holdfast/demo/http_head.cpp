// SPDX-License-Identifier: MIT
#include "demo/http_head.hpp"

#include <charconv>

namespace holdfast::demo {
namespace {

bool same_name(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + 32) : a[i];
    if (c != lower[i]) return false;
  }
  return true;
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number n{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

// False: this header makes the answer one that we cannot read.
bool take_header(std::string_view name, std::string_view value, answer_head& out, bool& sized) {
  if (same_name(name, "content-length")) {
    const auto n = number_of<std::size_t>(value);
    if (!n) return false;
    out.body_bytes = *n;
    sized = true;
  } else if (same_name(name, "transfer-encoding")) {
    return false;
  } else if (same_name(name, "connection")) {
    if (same_name(value, "close")) out.keep_alive = false;
  } else if (same_name(name, "x-served-by")) {
    out.served_by = value;
  } else if (same_name(name, "etag")) {
    out.etag = value;
  } else if (same_name(name, "location")) {
    out.location = value;
  } else if (same_name(name, "content-type")) {
    out.content_type = value;
  } else if (same_name(name, "x-correlation-id")) {
    out.correlation_id = value;
  } else if (same_name(name, "x-age-ms")) {
    out.age_ms = number_of<std::int64_t>(value).value_or(-1);
  } else if (same_name(name, "age") && out.age_ms < 0) {
    const auto seconds = number_of<std::int64_t>(value);
    if (seconds && *seconds >= 0 && *seconds < 1'000'000'000) out.age_ms = *seconds * 1000;
  }
  return true;
}

}  // namespace

head_result parse_head(std::string_view text, answer_head& out) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return head_result::incomplete;
  out = {};
  out.head_bytes = end + 4;
  std::string_view head = text.substr(0, end + 2);
  const std::size_t first = head.find("\r\n");
  const std::string_view line = head.substr(0, first);
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1." || line[8] != ' ') return head_result::malformed;
  const auto status = number_of<int>(line.substr(9, 3));
  if (!status || *status < 100 || *status > 599) return head_result::malformed;
  out.status = *status;
  out.keep_alive = line[7] == '1';
  bool sized = false;
  for (head.remove_prefix(first + 2); !head.empty();) {
    const std::size_t eol = head.find("\r\n");
    const std::string_view header = head.substr(0, eol);
    const std::size_t colon = header.find(':');
    if (colon == std::string_view::npos) return head_result::malformed;
    if (!take_header(header.substr(0, colon), trimmed(header.substr(colon + 1)), out, sized)) {
      return head_result::malformed;
    }
    head.remove_prefix(eol + 2);
  }
  const bool bodiless = out.status == 204 || out.status == 304;
  if (!sized && !bodiless) return head_result::malformed;
  if (bodiless) out.body_bytes = 0;
  return head_result::complete;
}

}  // namespace holdfast::demo
