// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/json_text.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace holdfast {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

constexpr auto digit_pairs = [] {
  std::array<char, 200> pairs{};
  for (std::size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();

char* put_two(char* out, std::uint32_t value) noexcept {
  std::memcpy(out, &digit_pairs[2 * value], 2);
  return out + 2;
}

char* put_text(char* out, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());  // an empty view may have no data
  return out + text.size();
}

// 0: as it is. 1: \u00XX. Otherwise the character after the backslash.
constexpr auto escapes = [] {
  std::array<char, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = 1;
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();

char* put_special(char* out, unsigned char c) noexcept {
  const char e = escapes[c];
  *out++ = '\\';
  if (e != 1) {
    *out++ = e;
    return out;
  }
  out = put_text(out, "u00");
  *out++ = hex_digits[c >> 4U];
  *out++ = hex_digits[c & 0x0FU];
  return out;
}

struct utf8_step {
  std::uint32_t bytes;  // that belong together: a character, or the maximal ill-formed beginning of one
  bool valid;
};

// Table 3-7 of the Unicode standard: the second byte's range depends on the first, later ones are 80..BF.
utf8_step next_character(const unsigned char* s, std::size_t left) noexcept {
  const unsigned char lead = s[0];
  std::uint32_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (std::uint32_t i = 1; i < length; ++i) {
    if (i >= left || s[i] < low || s[i] > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

// A run of characters beyond ASCII.
struct run {
  char* out;
  std::size_t used;
};
run put_beyond_ascii(char* out, const unsigned char* s, std::size_t left, std::uint64_t& invalid) noexcept {
  std::size_t i = 0;
  while (i < left && s[i] >= 0x80) {
    const auto step = next_character(s + i, left - i);
    if (step.valid) {
      if (i + 4 <= left) {
        std::memcpy(out, s + i, 4);  // a fixed size is one move; what is too much is written over
      } else {
        std::memcpy(out, s + i, step.bytes);
      }
      out += step.bytes;
    } else {
      out = put_text(out, "\xEF\xBF\xBD");
      ++invalid;
    }
    i += step.bytes;
  }
  return {out, i};
}

}  // namespace

char* put_unsigned(char* out, std::uint64_t value) noexcept {
  return std::to_chars(out, out + json_number_space, value).ptr;
}

char* put_signed(char* out, std::int64_t value) noexcept {
  return std::to_chars(out, out + json_number_space, value).ptr;
}

char* put_bool(char* out, bool value) noexcept {
  return put_text(out, value ? std::string_view("true") : std::string_view("false"));
}

char* put_hex(char* out, std::span<const std::byte> bytes) noexcept {
  for (const std::byte b : bytes) {
    *out++ = hex_digits[std::to_integer<std::size_t>(b) >> 4U];
    *out++ = hex_digits[std::to_integer<std::size_t>(b) & 0x0FU];
  }
  return out;
}

namespace {

template <class Real>
char* put_shortest(char* out, Real value) noexcept {
  char* const end = std::to_chars(out, out + json_number_space, value).ptr;
  // A reader that infers a column's type from its first value must see a real number: 100.0, never 100.
  for (const char* c = out; c != end; ++c) {
    if (*c == '.' || *c == 'e') return end;
  }
  end[0] = '.';
  end[1] = '0';
  return end + 2;
}

}  // namespace

char* put_double(char* out, double value) noexcept {
  if (!std::isfinite(value)) return put_text(out, "null");
  // Most doubles in logs are decimals of a few digits. n / 10^k is correctly rounded for n < 2^53 and k <= 22, so one
  // division proves that n * 10^-k reads back as this value; with n below 10^15 no other decimal of k digits does
  // (DBL_DIG), so without its trailing zeros it is the shortest.
  const double magnitude = std::fabs(value);
  for (const auto& [scale, digits] : {std::pair{1e3, 3}, std::pair{1e6, 6}}) {
    if (magnitude >= 1e15 / scale || (magnitude < 1e-3 && magnitude != 0.0)) break;
    auto n = static_cast<std::uint64_t>(magnitude * scale + 0.5);  // NOLINT(bugprone-incorrect-roundings): checked
    if (static_cast<double>(n) / scale != magnitude) continue;
    const auto unit = static_cast<std::uint64_t>(scale);
    if (std::signbit(value)) *out++ = '-';
    out = put_unsigned(out, n / unit);
    *out++ = '.';
    std::uint64_t fraction = n % unit;
    char* const first = out;
    for (int i = digits - 1; i >= 0; --i) {
      first[i] = static_cast<char>('0' + fraction % 10);
      fraction /= 10;
    }
    out = first + digits;
    while (out - first > 1 && out[-1] == '0') --out;
    return out;
  }
  return put_shortest(out, value);
}

char* put_float(char* out, float value) noexcept {
  if (!std::isfinite(value)) return put_text(out, "null");
  return put_shortest(out, value);
}

char* put_escaped(char* out, std::string_view text, std::uint64_t& invalid) noexcept {
  const auto* s = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  while (left > 0) {
    __m128i block;
    const std::size_t size = left < 16 ? left : 16;
    if (size == 16) {
      block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(s));
    } else {
      alignas(16) unsigned char tail[16];
      // Two overlapping copies of a fixed size instead of a call for a few bytes.
      std::memset(tail, 'x', sizeof tail);
      if (size >= 8) {
        std::memcpy(tail, s, 8);
        std::memcpy(tail + size - 8, s + size - 8, 8);
      } else if (size >= 4) {
        std::memcpy(tail, s, 4);
        std::memcpy(tail + size - 4, s + size - 4, 4);
      } else {
        tail[0] = s[0];
        tail[size / 2] = s[size / 2];
        tail[size - 1] = s[size - 1];
      }
      block = _mm_load_si128(reinterpret_cast<const __m128i*>(tail));
    }
    // Compared as signed bytes, everything beyond ASCII is below a space too.
    const __m128i hits = _mm_or_si128(_mm_cmplt_epi8(block, space),
                                      _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), block);
    const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(hits));
    const std::size_t clean = mask == 0 ? size : static_cast<std::size_t>(std::countr_zero(mask));
    out += clean;
    s += clean;
    left -= clean;
    if (mask == 0) continue;
    if (*s >= 0x80) {
      const auto done = put_beyond_ascii(out, s, left, invalid);
      out = done.out;
      s += done.used;
      left -= done.used;
    } else {
      out = put_special(out, *s);
      ++s;
      --left;
    }
  }
#else
  while (left > 0) {
    if (*s >= 0x80) {
      const auto done = put_beyond_ascii(out, s, left, invalid);
      out = done.out;
      s += done.used;
      left -= done.used;
      continue;
    }
    if (escapes[*s] == 0) {
      *out++ = static_cast<char>(*s);
    } else {
      out = put_special(out, *s);
    }
    ++s;
    --left;
  }
#endif
  return out;
}

std::string_view cut_at_character(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  // A character that goes on at `bytes` begins at most three bytes before it.
  std::size_t end = bytes;
  for (int i = 0; i < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U; ++i) --end;
  // If what begins there ends before `bytes`, the bytes behind it belong to no character: nothing is cut in two.
  const auto* s = reinterpret_cast<const unsigned char*>(text.data());
  if (end + next_character(s + end, text.size() - end).bytes <= bytes) end = bytes;
  return text.substr(0, end);
}

bounded_put put_escaped_within(char* out, char* limit, std::string_view text, std::uint64_t& invalid) noexcept {
  while (!text.empty()) {
    const auto room = static_cast<std::size_t>(limit - out);
    const std::size_t fits = room < 16 ? 0 : (room - 16) / 6;
    const std::string_view part = cut_at_character(text, fits);
    if (part.empty()) return {out, true};
    out = put_escaped(out, part, invalid);
    text.remove_prefix(part.size());
  }
  return {out, false};
}

void rfc3339_writer::render(std::int64_t second) noexcept {
  constexpr std::int64_t day_seconds = 86'400;
  std::int64_t days = second / day_seconds;
  std::int64_t rest = second % day_seconds;
  if (rest < 0) {
    rest += day_seconds;
    --days;
  }
  // Days since 0000-03-01, in eras of 400 years.
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<std::uint32_t>(days - era * 146'097);
  const std::uint32_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint32_t shifted_month = (5 * day_of_year + 2) / 153;
  const std::uint32_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const std::uint32_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const auto year = static_cast<std::uint32_t>(static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2));
  const auto of_day = static_cast<std::uint32_t>(rest);

  char* p = prefix_.data();
  p = put_two(p, year / 100 % 100);
  p = put_two(p, year % 100);
  *p++ = '-';
  p = put_two(p, month);
  *p++ = '-';
  p = put_two(p, day);
  *p++ = 'T';
  p = put_two(p, of_day / 3'600);
  *p++ = ':';
  p = put_two(p, of_day / 60 % 60);
  *p++ = ':';
  p = put_two(p, of_day % 60);
  *p = '.';
  second_ = second;
}

char* rfc3339_writer::put(char* out, std::int64_t ns) noexcept {
  constexpr std::int64_t giga = 1'000'000'000;
  std::int64_t second = ns / giga;
  std::int64_t rest = ns % giga;
  if (rest < 0) {
    rest += giga;
    --second;
  }
  if (second != second_) [[unlikely]]
    render(second);
  out = put_text(out, std::string_view(prefix_.data(), prefix_.size()));
  const auto fraction = static_cast<std::uint32_t>(rest);
  *out++ = static_cast<char>('0' + fraction / 100'000'000);
  out = put_two(out, fraction / 1'000'000 % 100);
  out = put_two(out, fraction / 10'000 % 100);
  out = put_two(out, fraction / 100 % 100);
  out = put_two(out, fraction % 100);
  *out++ = 'Z';
  return out;
}

}  // namespace holdfast
