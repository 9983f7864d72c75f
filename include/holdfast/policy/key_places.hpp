// SPDX-License-Identifier: MIT
// key_places: which slots of a table a key may have, not by itself: for breaker_table and rate_table.
//
// A key may have a slot of four sets of eight neighbouring ones, which its hash names, and in each it looks first at one that its
// hash names too. So a look reads at most `bound` slots whatever the keys are, and who does not know the secret of the hash
// cannot choose keys that share them. A table of fewer than eight slots is one set; a rest of a set is not used.
//
// Guarantee: wait-free, pure, allocates nothing. Proof: unit/breaker_table_test.cpp, unit/rate_table_test.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/core/prefetch.hpp"
#include "holdfast/core/random.hpp"

namespace holdfast {

// Where a key's slot is looked for. From its table's key(), or of a number that the caller hashed with a secret.
struct table_key {
  std::uint64_t hash = 0;
  friend constexpr bool operator==(table_key, table_key) noexcept = default;

  // What it is known by in its slot: 48 bits, and not zero, which is nobody.
  [[nodiscard]] constexpr std::uint64_t tag() const noexcept {
    const std::uint64_t bits = hash & ((std::uint64_t{1} << 48U) - 1);
    return bits == 0 ? 1 : bits;
  }
};

class key_places {
 public:
  static constexpr std::size_t most_in_set = 8;
  static constexpr std::size_t most_ways = 4;
  static constexpr std::size_t bound = most_in_set * most_ways;

  explicit key_places(std::size_t slots) noexcept
      : set_size_(std::min(most_in_set, slots)),
        sets_(slots / std::max<std::size_t>(set_size_, 1)),
        ways_(std::min(most_ways, sets_)) {}

  [[nodiscard]] std::size_t set_size() const noexcept { return set_size_; }
  [[nodiscard]] std::size_t ways() const noexcept { return ways_; }
  [[nodiscard]] std::size_t slots() const noexcept { return set_size_ * sets_; }

  // The key's set number `way`.
  template <class Slot>
  [[nodiscard]] std::span<Slot> set(std::span<Slot> all, table_key key, std::size_t way) const noexcept {
    const std::uint64_t hash = way == 0 ? key.hash : splitmix64_mix(key.hash + way);
    return all.subspan(scaled(hash, sets_) * set_size_, set_size_);
  }
  // f(slot) for each slot of it, in the key's own order, until it says true.
  template <class Slot, class F>
  bool each_in(std::span<Slot> all, table_key key, std::size_t way, F&& f) const noexcept {
    const std::span<Slot> from = set(all, key, way);
    // A key is as likely on the last line as on the first: all at once take little longer than one.
    constexpr std::size_t apart = sizeof(Slot) < 64 ? 64 / sizeof(Slot) : 1;
    for (std::size_t i = 0; i < set_size_; i += apart) prefetch_for_read(reinterpret_cast<const std::byte*>(&from[i]));
    std::size_t at = scaled(key.hash << 32U, set_size_);
    for (std::size_t i = 0; i < set_size_; ++i) {
      if (f(from[at])) return true;
      if (++at == set_size_) at = 0;
    }
    return false;
  }
  // Of all slots that the key may have.
  template <class Slot, class F>
  void each(std::span<Slot> all, table_key key, F&& f) const noexcept {
    for (std::size_t way = 0; way < ways_; ++way) {
      if (each_in(all, key, way, f)) return;
    }
  }

 private:
  // 0 <= result < count, by the upper bits of x.
  static std::size_t scaled(std::uint64_t x, std::size_t count) noexcept {
    __extension__ using wide = unsigned __int128;
    return static_cast<std::size_t>(static_cast<wide>(x) * count >> 64U);
  }

  std::size_t set_size_;
  std::size_t sets_;
  std::size_t ways_;
};

}  // namespace holdfast
