// SPDX-License-Identifier: MIT
// json_text: the characters of JSON values, written straight into memory whose size the caller has checked.
//
//   operation          space needed at `out`        note
//   put_unsigned       json_number_space            exact to 2^64 - 1
//   put_signed         json_number_space            exact
//   put_double         json_number_space            the shortest text that reads back equal, or one of as few digits without
//                                                   an exponent (16000000.0); always with `.` or `e`; NaN, infinities: null
//   put_float          json_number_space            the shortest text that reads back equal, and so on
//   put_bool           json_number_space            true, false
//   put_hex            2 * bytes                    lower case, no quotes
//   put_escaped        6 * bytes + 16               no quotes around it; valid UTF-8 whatever comes in
//   rfc3339_writer     rfc3339_space                2026-11-23T20:18:06.123456789Z, no quotes
//
// In short: one thread | wait-free | never | - (the caller has checked the space)
//
// All return the end of what they wrote, are wait-free, allocate nothing and never look at the locale. put_escaped may
// scribble up to 16 bytes behind its end, inside the space that it asks for.
//
// When to use it: formatters that write many values into a large buffer. When not: json_writer keeps the commas and the
// bounds for you.
//
// Method: numbers by std::to_chars (Ryu in libstdc++), doubles of up to 15 digits and six decimals by one division that
// proves the round trip; escapes by an SSE2 scan of 16 bytes and a table; every ill-formed UTF-8 sequence becomes one
// U+FFFD per maximal subpart (Unicode 15, 3.9) and is counted; the date part of a time is kept for the second (civil
// date after H. Hinnant, "chrono-compatible low-level date algorithms").
//
// Proof: tests/unit/json_writer_test.cpp (random strings and doubles read back by an independent parser).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace holdfast {

inline constexpr std::size_t json_number_space = 32;
inline constexpr std::size_t rfc3339_space = 32;

char* put_unsigned(char* out, std::uint64_t value) noexcept;
char* put_signed(char* out, std::int64_t value) noexcept;
char* put_double(char* out, double value) noexcept;
char* put_float(char* out, float value) noexcept;
char* put_bool(char* out, bool value) noexcept;
char* put_hex(char* out, std::span<const std::byte> bytes) noexcept;

// `invalid` grows by one for every U+FFFD that stands for bytes that were no UTF-8.
char* put_escaped(char* out, std::string_view text, std::uint64_t& invalid) noexcept;

// The longest beginning of `text` of at most `bytes` bytes that does not end inside a character.
std::string_view cut_at_character(std::string_view text, std::size_t bytes) noexcept;

struct bounded_put {
  char* end = nullptr;
  bool cut = false;  // the text did not fit and ends on a character boundary
};
// put_escaped into [out, limit): needs no other space than that, and writes what certainly fits.
bounded_put put_escaped_within(char* out, char* limit, std::string_view text, std::uint64_t& invalid) noexcept;

class rfc3339_writer {
 public:
  // Nanoseconds since 1970-01-01T00:00:00Z, before it too.
  char* put(char* out, std::int64_t ns) noexcept;

 private:
  void render(std::int64_t second) noexcept;

  std::int64_t second_ = INT64_MIN;
  std::array<char, 20> prefix_{};  // "2026-11-23T20:18:06."
};

}  // namespace holdfast
