// SPDX-License-Identifier: MIT
// address_map: from an object's address to what the checker knows of it. Emptied once an execution, in O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace holdfast_model {

template <class Value>
class address_map {
 public:
  void clear() noexcept {
    ++age_;
    used_ = 0;
  }
  [[nodiscard]] Value* find(const void* address) noexcept {
    for (std::size_t i = home(address);; i = (i + 1) & (cells_.size() - 1)) {
      if (cells_[i].age != age_) return nullptr;
      if (cells_[i].address == address) return &cells_[i].value;
    }
  }
  // What stood there before is overwritten.
  Value& put(const void* address, Value value) {
    if (2 * (used_ + 1) > cells_.size()) grow();
    std::size_t i = home(address);
    while (cells_[i].age == age_ && cells_[i].address != address) i = (i + 1) & (cells_.size() - 1);
    if (cells_[i].age != age_) ++used_;
    cells_[i] = {address, age_, std::move(value)};
    return cells_[i].value;
  }
  // Calls fn(address, value) for those in [from, from + bytes).
  template <class Function>
  void each_in(const void* from, std::size_t bytes, Function fn) {
    const auto first = reinterpret_cast<std::uintptr_t>(from);
    for (auto& c : cells_) {
      if (c.age != age_) continue;
      if (reinterpret_cast<std::uintptr_t>(c.address) - first < bytes) fn(c.address, c.value);
    }
  }

 private:
  struct cell {
    const void* address = nullptr;
    std::uint64_t age = 0;
    Value value{};
  };
  [[nodiscard]] std::size_t home(const void* address) const noexcept {
    const auto mixed = (reinterpret_cast<std::uintptr_t>(address) >> 2U) * 0x9E37'79B9'7F4A'7C15ULL;
    return static_cast<std::size_t>(mixed >> 32U) & (cells_.size() - 1);
  }
  void grow() {
    std::vector<cell> old(2 * cells_.size());
    old.swap(cells_);
    used_ = 0;
    for (auto& c : old) {
      if (c.age == age_) put(c.address, std::move(c.value));
    }
  }

  std::vector<cell> cells_ = std::vector<cell>(256);
  std::size_t used_ = 0;
  std::uint64_t age_ = 1;
};

}  // namespace holdfast_model
