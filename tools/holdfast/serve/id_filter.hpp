// SPDX-License-Identifier: MIT
// id_filter: which ids have ever been stored. "No" is certain, so that a request for an id that nobody has is answered
// without touching a tier, and an attack with made-up ids reaches no database. "Yes" is wrong for about 1 in 2,000.
//
//   operation      caller       progress    allocates
//   add            any thread   wait-free   never
//   may_contain    any thread   wait-free   never
//
// Not for ids that go away: there is no removal. When more ids are added than it was made for it lets more through,
// which costs a look at the primary, never a wrong answer.
// Memory: 2 bytes an id, at construction. Method: Bloom 1970, 16 bits an id and 8 of them set by double hashing (Kirsch
// and Mitzenmacher 2006). Proof: tests/id_filter_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"

namespace holdfast::serve {

class id_filter {
 public:
  explicit id_filter(std::size_t ids) : words_(std::max<std::size_t>(ids, 1024) / 4) {}

  void add(std::string_view id) noexcept {
    auto bits = bits_of(id);
    // [F1] release, pairs with [F2]: whoever sees the id may go and look for its row, which was committed before.
    for (int i = 0; i < hashes; ++i, bits.at += bits.step) word(bits.at).fetch_or(mask(bits.at), mo::release);
  }

  [[nodiscard]] bool may_contain(std::string_view id) const noexcept {
    auto bits = bits_of(id);
    for (int i = 0; i < hashes; ++i, bits.at += bits.step) {
      // [F2] acquire, pairs with [F1]: the row that an id stands for is there.
      if ((word(bits.at).load(mo::acquire) & mask(bits.at)) == 0) return false;
    }
    return true;
  }

 private:
  static constexpr int hashes = 8;
  struct probe {
    std::uint64_t at;
    std::uint64_t step;
  };
  static probe bits_of(std::string_view id) noexcept {
    std::uint64_t hash = 0xCBF29CE484222325U;
    for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
    return {splitmix64_mix(hash), splitmix64_mix(~hash) | 1U};
  }
  [[nodiscard]] std::size_t index(std::uint64_t at) const noexcept {
    __extension__ using wide = unsigned __int128;
    return static_cast<std::size_t>((static_cast<wide>(at) * words_.size()) >> 64U);
  }
  atomic<std::uint64_t>& word(std::uint64_t at) noexcept { return words_[index(at)]; }
  [[nodiscard]] const atomic<std::uint64_t>& word(std::uint64_t at) const noexcept { return words_[index(at)]; }
  static std::uint64_t mask(std::uint64_t at) noexcept { return std::uint64_t{1} << (at & 63U); }

  std::vector<atomic<std::uint64_t>> words_;
};

}  // namespace holdfast::serve
