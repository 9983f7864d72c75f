// SPDX-License-Identifier: MIT
// number_pool: the numbers below Count, each with one owner at a time; the lowest free one is given out first.
//
// Whoever gets a number sees all that its former owner wrote. Lock-free; never allocates.
//
// Proof: tests/model/number_pool_model.cpp, unit/thread_slot_test.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

template <std::uint32_t Count>
class number_pool {
  static_assert(Count % 64 == 0);

 public:
  static constexpr std::uint32_t none = 0xFFFF'FFFFU;

  constexpr number_pool() noexcept = default;
  number_pool(const number_pool&) = delete;
  number_pool& operator=(const number_pool&) = delete;

  // `none`: all are taken.
  [[nodiscard]] std::uint32_t take() noexcept {
    for (std::size_t i = 0; i < taken_.size(); ++i) {
      // hint: the exchange below decides
      std::uint64_t seen = taken_[i].load(mo::relaxed);
      while (~seen != 0) {
        const auto bit = static_cast<std::uint32_t>(std::countr_one(seen));
        // [N1] acquire, pairs with [N2]: what the former owner of the number wrote to its places is seen
        // hint: a failure is tried again
        if (taken_[i].compare_exchange_weak(seen, seen | std::uint64_t{1} << bit, mo::acquire, mo::relaxed))
          return static_cast<std::uint32_t>(i * 64) + bit;
      }
    }
    return none;
  }
  void give_back(std::uint32_t number) noexcept {
    // [N2] release, pairs with [N1]: hands the number's places to the next owner
    taken_[number / 64].fetch_and(~(std::uint64_t{1} << (number % 64)), mo::release);
  }

 private:
  std::array<atomic<std::uint64_t>, Count / 64> taken_{};  // one bit a number: set, it is taken
};

}  // namespace holdfast
