// SPDX-License-Identifier: MIT
// What Unicode says about ill-formed UTF-8, from its definitions alone: a beginning is good as long as some character
// still begins so. No table of byte ranges, so that it shares no mistake with the library's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::fuzz {

struct utf8_piece {
  std::size_t begin;
  std::size_t size;
  bool well_formed;
};

// Does any scalar value of an encoding of `length` bytes begin with these `have` bytes?
inline bool begins_a_character(const unsigned char* s, std::size_t have, std::size_t length) {
  std::uint32_t bits = s[0] & (0x7FU >> length);
  for (std::size_t i = 1; i < have; ++i) {
    if (s[i] >> 6U != 2) return false;
    bits = bits << 6U | (s[i] & 0x3FU);
  }
  const unsigned open = static_cast<unsigned>(6 * (length - have));
  const std::uint32_t lowest = bits << open;
  const std::uint32_t highest = lowest | ((std::uint32_t{1} << open) - 1);
  const auto meets = [&](std::uint32_t from, std::uint32_t to) { return lowest <= to && highest >= from; };
  if (length == 2) return meets(0x80, 0x7FF);
  if (length == 3) return meets(0x800, 0xD7FF) || meets(0xE000, 0xFFFF);
  return meets(0x10000, 0x10FFFF);
}

// Hands on the characters of `text`, and what is none in maximal subparts (Unicode 15, 3.9, D93b).
template <class Each>
void each_piece(std::string_view text, Each each) {
  const auto* s = reinterpret_cast<const unsigned char*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    const unsigned char lead = s[at];
    if (lead < 0x80) {
      each(utf8_piece{at++, 1, true});
      continue;
    }
    std::size_t length = 0;
    while (length < 8 && (lead >> (7 - length) & 1U) != 0) ++length;
    std::size_t have = 0;
    if (length >= 2 && length <= 4) {
      while (have < length && at + have < text.size() && begins_a_character(s + at, have + 1, length)) ++have;
    }
    const bool good = have != 0 && have == length;
    const std::size_t taken = have == 0 ? 1 : have;
    each(utf8_piece{at, taken, good});
    at += taken;
  }
}
inline bool is_utf8(std::string_view text) {
  bool good = true;
  each_piece(text, [&](const utf8_piece& piece) { good = good && piece.well_formed; });
  return good;
}

struct repaired_text {
  std::string text;
  std::uint64_t replaced = 0;
};

// With U+FFFD for every ill-formed piece.
inline repaired_text repaired(std::string_view text) {
  repaired_text out;
  each_piece(text, [&](const utf8_piece& piece) {
    out.text += piece.well_formed ? text.substr(piece.begin, piece.size) : std::string_view("\xEF\xBF\xBD");
    out.replaced += piece.well_formed ? 0 : 1;
  });
  return out;
}

}  // namespace holdfast::fuzz
