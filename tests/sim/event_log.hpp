// SPDX-License-Identifier: MIT
// event_log: what happened in a simulated world, a line an event, and a hash of all lines.
//
//   12.345678901 leaf 17 attempt 2 timeout
//
// Seconds since the world began, who, and what. The hash is always taken; the lines are kept if somebody wants to read
// or compare them.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "timeline.hpp"

namespace sim {

class event_log {
 public:
  explicit event_log(const timeline& of, bool keeps_text) : of_(of), keeps_text_(keeps_text) {}

  template <class... Words>
  void add(const Words&... words) {
    char* const end = line_ + sizeof line_ - 1;
    char* at = line_;
    const std::int64_t since = (of_.now() - timeline::zero).count();
    at = std::to_chars(at, end, since / 1'000'000'000).ptr;
    *at++ = '.';
    for (std::int64_t rest = since % 1'000'000'000, digit = 100'000'000; digit != 0; rest %= digit, digit /= 10) {
      *at++ = static_cast<char>('0' + rest / digit);
    }
    ((at = put(at, end, words)), ...);
    *at++ = '\n';
    // FNV-1a, the 64-bit form.
    for (const char* c = line_; c != at; ++c) {
      hash_ = (hash_ ^ static_cast<unsigned char>(*c)) * 1'099'511'628'211U;
    }
    ++lines_;
    if (keeps_text_) text_.append(line_, at);
  }

  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  [[nodiscard]] std::uint64_t lines() const noexcept { return lines_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  static char* put(char* at, char* end, std::string_view word) {
    HOLDFAST_ASSERT(static_cast<std::size_t>(end - at) > word.size() + 1);
    *at++ = ' ';
    return at + word.copy(at, word.size());
  }
  template <std::integral Number>
  static char* put(char* at, char* end, Number number) {
    HOLDFAST_ASSERT(end - at > 24);
    *at++ = ' ';
    return std::to_chars(at, end, number).ptr;
  }

  const timeline& of_;
  const bool keeps_text_;
  std::uint64_t hash_ = 14'695'981'039'346'656'037U;
  std::uint64_t lines_ = 0;
  std::string text_;
  char line_[256];
};

}  // namespace sim
