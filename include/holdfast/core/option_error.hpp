// SPDX-License-Identifier: MIT
// option_error: which field of an options struct is wrong, its value and its limit.
//
// Every part has `constexpr option_error validate(const part_options&)`; an empty one means valid. In a constant
// expression `static_assert(!validate(options))` refuses a constant mistake at compile time.
//
// Proof: unit/backoff_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

struct option_error {
  std::string_view field{};     // as it is spelled in the struct, "window"; empty: no error
  std::int64_t value = 0;       // what it was, in the field's own unit (durations in nanoseconds)
  std::string_view relation{};  // "at least", "at most", "a power of two", ...
  std::int64_t limit = 0;       // what it must keep to; 0 where the relation needs none

  constexpr explicit operator bool() const noexcept { return !field.empty(); }
};

// The two checks nearly every option needs.
constexpr option_error at_least(std::string_view field, std::int64_t value, std::int64_t limit) noexcept {
  return value >= limit ? option_error{} : option_error{field, value, "at least", limit};
}
constexpr option_error at_most(std::string_view field, std::int64_t value, std::int64_t limit) noexcept {
  return value <= limit ? option_error{} : option_error{field, value, "at most", limit};
}
// The first of several that is one.
template <class... Rest>
constexpr option_error first_of(option_error first, Rest... rest) noexcept {
  if constexpr (sizeof...(rest) == 0) {
    return first;
  } else {
    return first ? first : first_of(rest...);
  }
}

}  // namespace holdfast
