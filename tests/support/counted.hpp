// SPDX-License-Identifier: MIT
// counted: an item that knows how many of it live, so that one that is lost, or destroyed twice, shows. Move-only, without a
// default constructor; moved from, its number is -1.
#pragma once

#include <utility>

namespace test_support {

class counted {
 public:
  explicit counted(int number) noexcept : number_(number) { ++alive; }
  counted(counted&& other) noexcept : number_(std::exchange(other.number_, -1)) { ++alive; }
  counted& operator=(counted&& other) noexcept {
    number_ = std::exchange(other.number_, -1);
    return *this;
  }
  ~counted() { --alive; }
  [[nodiscard]] int number() const { return number_; }
  static inline int alive = 0;

 private:
  int number_;
};

}  // namespace test_support
