// SPDX-License-Identifier: MIT
// siphash13: a hash of bytes under a secret key, for tables whose keys come from people who may want them to collide.
//
// Guarantee: pure, constexpr, never allocates; some 20 instructions for each eight bytes. Whoever does not know the key
// cannot choose texts whose hashes collide more often than by chance, nor tell the key from hashes. Not for signatures:
// that is what siphash24 was made for, with more rounds, which is here because its test vectors are the paper's.
//
// When to use it: for the place of a key in a table. Give the key from the kernel's randomness, one a process or a table.
//
// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012; the rounds 1-3 are what Rust's and
// Python's dictionaries use. Same answers on every machine.
// Proof: unit/siphash_test.cpp (the paper's vectors; those of 1-3 by Python's own hash()).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace holdfast {

struct siphash_key {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend constexpr bool operator==(const siphash_key&, const siphash_key&) noexcept = default;
};

// Rounds a word, and rounds at the end.
template <unsigned Compression, unsigned Finalization>
class siphash_state {
 public:
  constexpr explicit siphash_state(siphash_key key) noexcept
      : v0_(key.low ^ 0x736F'6D65'7073'6575U),
        v1_(key.high ^ 0x646F'7261'6E64'6F6DU),
        v2_(key.low ^ 0x6C79'6765'6E65'7261U),
        v3_(key.high ^ 0x7465'6462'7974'6573U) {}

  constexpr void word(std::uint64_t m) noexcept {
    v3_ ^= m;
    for (unsigned i = 0; i < Compression; ++i) round();
    v0_ ^= m;
  }
  [[nodiscard]] constexpr std::uint64_t end() noexcept {
    v2_ ^= 0xFFU;
    for (unsigned i = 0; i < Finalization; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  constexpr void round() noexcept {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }
  std::uint64_t v0_, v1_, v2_, v3_;
};

template <unsigned Compression, unsigned Finalization>
constexpr std::uint64_t siphash(siphash_key key, std::string_view bytes) noexcept {
  const auto little_endian = [](const char* from, std::size_t count) {
    if (!std::is_constant_evaluated() && std::endian::native == std::endian::little && count == 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, from, sizeof word);
      return word;
    }
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < count; ++i)
      word |= std::uint64_t{static_cast<unsigned char>(from[i])} << (8 * i);  // NOLINT(*-pointer-arithmetic)
    return word;
  };
  siphash_state<Compression, Finalization> state(key);
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) state.word(little_endian(bytes.data() + at, 8));
  state.word(little_endian(bytes.data() + at, bytes.size() - at) | std::uint64_t{bytes.size()} << 56U);
  return state.end();
}

constexpr std::uint64_t siphash13(siphash_key key, std::string_view bytes) noexcept {
  return siphash<1, 3>(key, bytes);
}
// Of the eight bytes of a number, the lowest first.
constexpr std::uint64_t siphash13(siphash_key key, std::uint64_t number) noexcept {
  siphash_state<1, 3> state(key);
  state.word(number);
  state.word(std::uint64_t{8} << 56U);
  return state.end();
}
constexpr std::uint64_t siphash24(siphash_key key, std::string_view bytes) noexcept {
  return siphash<2, 4>(key, bytes);
}

}  // namespace holdfast
