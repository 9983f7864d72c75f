// SPDX-License-Identifier: MIT
// json_writer: one JSON document into a buffer of the caller, valid JSON even where the buffer is too small.
//
//   operation                 caller       progress    cost      allocates   when refused
//   begin_object, end_object  one thread   wait-free   O(1)      never       (depth is asserted)
//   begin_array, end_array    one thread   wait-free   O(1)      never
//   member(key, value)        one thread   wait-free   O(size)   never       truncated() from then on
//   value(value)              one thread   wait-free   O(size)   never       truncated() from then on
//
// In short: one thread | wait-free | never | `truncated()`: what is written is valid, and not all
//
// A value that does not fit is left out with its key, a string is cut on a character boundary; everything after it is
// left out, and the outermost object gets a last member "truncated":true (an outermost array is only cut). Text is
// always valid UTF-8: ill-formed bytes become U+FFFD and are counted. Keys are escaped too.
//
// When to use it: responses, reports, log fields of your own. When not: log_sink formats its lines by a table.
// Memory: the caller's buffer, at least min_buffer bytes. Proof: tests/unit/json_writer_test.cpp.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "holdfast/core/assert.hpp"
#include "holdfast/telemetry/json_text.hpp"

namespace holdfast {

class json_writer {
 public:
  static constexpr std::size_t max_depth = 16;
  static constexpr std::size_t min_buffer = 128;

  explicit json_writer(std::span<char> buffer) noexcept
      : begin_(buffer.data()), out_(buffer.data()), limit_(buffer.data() + buffer.size() - tail_space) {
    HOLDFAST_ASSERT(buffer.size() >= min_buffer);
  }

  json_writer& begin_object() noexcept { return begin('{', '}'); }
  json_writer& end_object() noexcept { return end('}'); }
  json_writer& begin_array() noexcept { return begin('[', ']'); }
  json_writer& end_array() noexcept { return end(']'); }
  // The next value or begin_ belongs to this key.
  json_writer& key(std::string_view name) noexcept;

  template <class Value>
  json_writer& member(std::string_view name, const Value& v) noexcept {
    return key(name).value(v);
  }

  json_writer& value(std::string_view text) noexcept;
  json_writer& value(const char* text) noexcept { return text == nullptr ? null() : value(std::string_view(text)); }
  json_writer& value(bool v) noexcept {
    return scalar([v](char* out) { return put_bool(out, v); });
  }
  json_writer& value(double v) noexcept {
    return scalar([v](char* out) { return put_double(out, v); });
  }
  json_writer& value(float v) noexcept {
    return scalar([v](char* out) { return put_float(out, v); });
  }
  template <std::signed_integral Int>
  json_writer& value(Int v) noexcept {
    return scalar([v](char* out) { return put_signed(out, v); });
  }
  template <std::unsigned_integral Int>
  json_writer& value(Int v) noexcept {
    return scalar([v](char* out) { return put_unsigned(out, v); });
  }
  json_writer& null() noexcept;

  [[nodiscard]] std::string_view view() const noexcept { return {begin_, static_cast<std::size_t>(out_ - begin_)}; }
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  // Ill-formed UTF-8 sequences that were replaced.
  [[nodiscard]] std::uint64_t invalid() const noexcept { return invalid_; }

 private:
  static constexpr std::string_view marker = ",\"truncated\":true";
  static constexpr std::size_t tail_space = marker.size() + max_depth + 1;

  json_writer& begin(char open, char close) noexcept;
  json_writer& end(char close) noexcept;
  bool separate() noexcept;  // comma and pending key; false: no room, or truncated before
  void give_up() noexcept;   // forgets a pending key and stops writing

  template <class Put>
  json_writer& scalar(Put put) noexcept {
    if (!separate()) return *this;
    if (limit_ - out_ < static_cast<std::ptrdiff_t>(json_number_space)) {
      give_up();
      return *this;
    }
    out_ = put(out_);
    after_value();
    return *this;
  }
  void after_value() noexcept {
    key_start_ = nullptr;
    needs_comma_ = true;
  }

  char* begin_;
  char* out_;
  char* limit_;                // behind it: room for every closing character and the marker
  char* key_start_ = nullptr;  // of the key whose value is not written yet
  std::array<char, max_depth> closers_{};
  std::size_t depth_ = 0;
  std::size_t written_depth_ = 0;  // opened before truncation: those are closed
  std::uint64_t invalid_ = 0;
  bool needs_comma_ = false;
  bool truncated_ = false;
};

}  // namespace holdfast
