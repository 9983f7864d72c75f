// SPDX-License-Identifier: MIT
// fixed_text<N>: a string of at most N bytes inside the object: trivially copyable, never allocates.
//
// Longer input is cut at N bytes, on a UTF-8 character boundary, and truncated() says so: identifiers reach logs and
// headers whole or marked, never by chance. Use std::string_view where the text outlives the holder.
//
// Proof: unit/error_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

template <std::size_t N>
class fixed_text {
  static_assert(N > 0 && N < 255, "the length is kept in one byte");

 public:
  constexpr fixed_text() noexcept = default;
  constexpr fixed_text(std::string_view text) noexcept { assign(text); }  // NOLINT(google-explicit-constructor)
  constexpr fixed_text(const char* text) noexcept { assign(text); }       // NOLINT(google-explicit-constructor)

  constexpr void assign(std::string_view text) noexcept {
    std::size_t length = text.size() < N ? text.size() : N;
    truncated_ = length < text.size();
    if (truncated_) {
      while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) --length;
    }
    for (std::size_t i = 0; i < length; ++i) bytes_[i] = text[i];
    length_ = static_cast<std::uint8_t>(length);
  }

  [[nodiscard]] constexpr std::string_view view() const noexcept { return {bytes_.data(), length_}; }
  [[nodiscard]] constexpr bool empty() const noexcept { return length_ == 0; }
  [[nodiscard]] constexpr bool truncated() const noexcept { return truncated_; }
  static constexpr std::size_t capacity() noexcept { return N; }

  constexpr operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)

  friend constexpr bool operator==(const fixed_text& a, std::string_view b) noexcept { return a.view() == b; }

 private:
  std::array<char, N> bytes_{};
  std::uint8_t length_ = 0;
  bool truncated_ = false;
};

}  // namespace holdfast
