// SPDX-License-Identifier: MIT
// pinned_place: a place with one owner at a time, told apart by a number that is never used twice, whose end waits for those
// that have pinned it.
//
// Whoever knows the number pins the place for as long as it uses what the owner keeps; once the owner has gone, the number
// is no longer there and the pin is refused. Lock-free but for the owner's end, which waits for pins; never allocates.
//
// Proof: tests/model/pinned_place_model.cpp.
#pragma once

#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast::log_detail {

class pinned_place {
 public:
  // False: somebody else's.
  bool take(std::uint64_t number) noexcept {
    std::uint64_t none = 0;
    return word_.compare_exchange_strong(
        none, number << pin_bits,
        mo::acquire,   // [N1] acquire, pairs with [N3]: the last owner's use of the place is over
        mo::relaxed);  // hint: taken
  }

  // False: its owner has gone.
  bool pin(std::uint64_t number) noexcept {
    std::uint64_t word = word_.load(mo::relaxed);  // hint: the exchange decides
    while (word >> pin_bits == number) {
      // own: the number says that the owner is there, and its end reads what [N2] wrote
      // hint: a failure is tried again
      if (word_.compare_exchange_weak(word, word + 1, mo::relaxed, mo::relaxed)) return true;
    }
    return false;
  }
  void unpin() noexcept {
    word_.fetch_sub(1, mo::release);  // [N2] release, pairs with [N3]: our use of what the owner keeps ends here
  }

  // The owner's. False: somebody has pinned it, for now.
  bool leave(std::uint64_t number) noexcept {
    std::uint64_t unpinned = number << pin_bits;
    return word_.compare_exchange_strong(
        unpinned, 0,
        mo::acq_rel,   // [N3] acq_rel, pairs with [N2] and [N1]: all use is over, and the next owner knows it
        mo::relaxed);  // hint: tried again
  }

  // In a forked child, which has one thread: whoever had pinned it is not here to unpin it. 0: nobody's.
  void after_fork(std::uint64_t number) noexcept { word_.store(number << pin_bits, mo::relaxed); }  // own: one thread

 private:
  static constexpr unsigned pin_bits = 16;
  atomic<std::uint64_t> word_{0};  // number : 48 | pins : 16; written by owners and by those that pin
};

}  // namespace holdfast::log_detail
