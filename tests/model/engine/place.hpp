// SPDX-License-Identifier: MIT
// place: where in the source an operation stands. It names an order for the mutation run and a step in a printed failure.
#pragma once

#include <cstdint>
#include <cstring>

#if !defined(__clang__)
#include <source_location>
#endif

namespace holdfast_model {

struct place {
  const char* file = "";
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  // As a default argument it is the caller's place. clang 14 has no std::source_location and gcc 12 no column builtin.
#if defined(__clang__)
  static constexpr place here(const char* f = __builtin_FILE(), std::uint32_t l = __builtin_LINE(),
                              std::uint32_t c = __builtin_COLUMN()) noexcept {
    return {f, l, c};
  }
#else
  static constexpr place here(std::source_location at = std::source_location::current()) noexcept {
    return {at.file_name(), at.line(), at.column()};
  }
#endif

  // Two translation units may hold one file's name twice.
  friend bool operator==(const place& a, const place& b) noexcept {
    return a.line == b.line && a.column == b.column && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
  }
};

}  // namespace holdfast_model
