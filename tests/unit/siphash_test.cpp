// SPDX-License-Identifier: MIT
#include "holdfast/core/siphash.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/catch.hpp"

using namespace holdfast;

namespace {

// The paper's key and texts: bytes 0, 1, 2, ...
constexpr siphash_key key{0x0706'0504'0302'0100U, 0x0F0E'0D0C'0B0A'0908U};
std::string counting(std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += static_cast<char>(i);
  return text;
}

}  // namespace

TEST_CASE("siphash24 answers as in the paper", "[siphash]") {
  // Appendix A, 15 bytes; and the first and the last of the reference implementation's 64.
  CHECK(siphash24(key, counting(15)) == 0xA129'CA61'49BE'45E5U);
  CHECK(siphash24(key, counting(0)) == 0x726F'DB47'DD0E'0E31U);
  CHECK(siphash24(key, counting(1)) == 0x74F8'39C5'93DC'67FDU);
  CHECK(siphash24(key, counting(7)) == 0xAB02'00F5'8B01'D137U);
  CHECK(siphash24(key, counting(8)) == 0x93F5'F579'9A93'2462U);
  CHECK(siphash24(key, counting(63)) == 0x958A'324C'EB06'4572U);
}

TEST_CASE("siphash13 answers as Python's hash() of bytes does", "[siphash]") {
  // PYTHONHASHSEED=0 python3 -c 'print(hex(hash(bytes(range(N))) % 2**64))', of 3.11, whose key is then zero.
  struct vector {
    std::size_t length;
    std::uint64_t hash;
  };
  constexpr std::array vectors{
      vector{1, 0x68A9'1412'8E01'E473U},  vector{2, 0x010B'AC45'C41E'3669U},  vector{7, 0x2F09'8AB0'C751'325AU},
      vector{8, 0xEAD4'11E6'7EBE'2EEAU},  vector{9, 0x7592'7F9D'9512'4362U},  vector{15, 0xF30E'B725'BB91'C9EAU},
      vector{16, 0x8972'1884'33A5'C5B7U}, vector{17, 0x4883'C49A'2C00'9C1DU}, vector{63, 0x385D'3E39'E5F3'7359U}};
  for (const auto& v : vectors) CHECK(siphash13({}, counting(v.length)) == v.hash);
}

TEST_CASE("a number hashes as its eight bytes do, and another key gives another hash", "[siphash]") {
  CHECK(siphash13(key, 0x0706'0504'0302'0100U) == siphash13(key, counting(8)));
  CHECK(siphash13(key, std::uint64_t{1}) != siphash13({key.low, key.high + 1}, std::uint64_t{1}));
  CHECK(siphash13(key, std::uint64_t{1}) != siphash13({key.low + 1, key.high}, std::uint64_t{1}));
}

TEST_CASE("the hash can be had at compile time and is the same", "[siphash]") {
  constexpr std::uint64_t early = siphash13(key, "api.example.org:443");
  CHECK(siphash13(key, std::string("api.example.org:443")) == early);
}

TEST_CASE("one bit of the text changes about half of the hash", "[siphash]") {
  std::string text = counting(24);
  int changed = 0;
  for (std::size_t bit = 0; bit < 24 * 8; ++bit) {
    const std::uint64_t before = siphash13(key, text);
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
    changed += std::popcount(before ^ siphash13(key, text));
  }
  CHECK(changed > 24 * 8 * 30);
  CHECK(changed < 24 * 8 * 34);
}
