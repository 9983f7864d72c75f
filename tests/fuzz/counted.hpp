// SPDX-License-Identifier: MIT
// counted: the items of the queues' targets, which know how many of them live, beside plain numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace holdfast::fuzz {

// An item that is lost, or destroyed twice, shows. No default constructor, move-only.
class counted {
 public:
  explicit counted(std::uint32_t n) noexcept : n_(n) { ++living; }
  counted(counted&& other) noexcept : n_(std::exchange(other.n_, gone)) { ++living; }
  counted& operator=(counted&& other) noexcept {
    n_ = std::exchange(other.n_, gone);
    return *this;
  }
  ~counted() { --living; }
  [[nodiscard]] std::uint32_t number() const { return n_; }

  static constexpr std::uint32_t gone = 0xFFFF'FFFF;
  static inline int living = 0;

 private:
  std::uint32_t n_;
};

inline std::uint32_t number_of(const counted& item) {
  return item.number();
}
inline std::uint32_t number_of(std::uint32_t item) {
  return item;
}

inline constexpr std::uint32_t untouched = 0xFFFF'FFFE;  // what a refused pop must leave
inline constexpr std::size_t batch = 24;

// A batch of items, numbered from `from` on or all the same.
template <class T, std::size_t... I>
std::array<T, sizeof...(I)> filled(std::uint32_t from, bool same, std::index_sequence<I...>) {
  return {T(same ? from : from + static_cast<std::uint32_t>(I))...};
}

}  // namespace holdfast::fuzz
