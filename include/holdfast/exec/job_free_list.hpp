// SPDX-License-Identifier: MIT
// job_free_list: the numbers of the slots that are free: a ring of them for all, and a few in the pocket of each thread.
//
//   operation    caller       progress       cost   allocates   when refused
//   take         any thread   not blocking   O(1)   never       none: all are in use, but for those in others' pockets
//   give         any thread   wait-free      O(1)   never       never
//   empty_mine   any thread   wait-free      O(1)   never       -
//
// In short: any thread | not blocking | never | all are in use, or in the pockets of others
//
// A thread that takes often has them by the dozen from the ring, and one that gives often brings them back so: in between, its own
// lines are all that it touches. Up to an eighth of the numbers may lie in pockets; so a list of Count numbers refuses when as many
// less an eighth are in use, or later. With fewer than 1024 numbers there are no pockets, and it refuses when all are in use. A
// thread that ends leaves its pocket to the one that gets its number (core/thread_slot.hpp).
//
// Memory: a word a number, and 256 bytes a pocket. Pockets are the magazines of Bonwick's slab allocator (2001).
//
// Proof: unit/job_slots_test.cpp, model/job_ring_model.cpp (the ring), stress/job_scheduler_stress.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/thread_slot.hpp"
#include "holdfast/exec/job_ring.hpp"

namespace holdfast {

template <std::size_t Count>
class job_free_list {
 public:
  static constexpr std::uint32_t none = 0xFFFF'FFFFU;
  static constexpr std::size_t pockets = 32;
  static constexpr std::size_t pocket_size = Count < 1024 ? 0 : std::min<std::size_t>(28, Count / (8 * pockets));
  // So many are always to be had by whoever comes.
  static constexpr std::size_t capacity = Count - pockets * pocket_size;

  job_free_list() {
    for (std::uint32_t i = 0; i < Count; ++i) ring_.push(i);
  }
  job_free_list(const job_free_list&) = delete;
  job_free_list& operator=(const job_free_list&) = delete;
  ~job_free_list() = default;

  // fetch(number) for those that will be taken next, so that the caller can ask for their lines.
  template <class Fetch>
  [[nodiscard]] std::uint32_t take(Fetch&& fetch) noexcept {
    if (pocket* const mine = my_pocket(); mine != nullptr) {
      if (mine->count == 0) {
        mine->count = static_cast<std::uint32_t>(ring_.pop(std::span(mine->numbers).first(bundle)));
        // The oldest first, as others have let go of their lines long since.
        std::reverse(mine->numbers.begin(), mine->numbers.begin() + mine->count);
        for (std::uint32_t i = mine->count; i-- != 0;) fetch(static_cast<std::uint32_t>(mine->numbers[i]));
      }
      return mine->count == 0 ? none : static_cast<std::uint32_t>(mine->numbers[--mine->count]);
    }
    std::uint64_t number = none;
    return ring_.pop(std::span(&number, 1)) == 0 ? none : static_cast<std::uint32_t>(number);
  }
  [[nodiscard]] std::uint32_t take() noexcept {
    return take([](std::uint32_t /*number*/) {});
  }
  // True: there are more for others now.
  bool give(std::uint32_t number) noexcept {
    pocket* const mine = my_pocket();
    if (mine == nullptr) {
      ring_.push(number);
      return true;
    }
    const bool was_full = mine->count == pocket_size;
    if (was_full) {
      mine->count -= static_cast<std::uint32_t>(bundle);
      ring_.push(std::span(mine->numbers).subspan(mine->count, bundle));
    }
    mine->numbers[mine->count++] = number;
    return was_full;
  }
  // For one who waits for a number, or before a long sleep.
  void empty_mine() noexcept {
    pocket* const mine = my_pocket();
    if (mine == nullptr) return;
    if (mine->count != 0) ring_.push(std::span(mine->numbers).first(mine->count));
    mine->count = 0;
  }
  // So few that whoever waits for one is better left alone for a while, as there will be more.
  [[nodiscard]] bool scarce() const noexcept { return ring_.size_approx() < Count / 2; }

 private:
  static constexpr std::size_t bundle = std::max<std::size_t>(pocket_size / 2, 1);

  struct alignas(2 * cache_line_size) pocket {
    std::uint32_t count = 0;
    std::array<std::uint64_t, std::max<std::size_t>(pocket_size, 1)> numbers{};
  };
  [[nodiscard]] pocket* my_pocket() noexcept {
    if constexpr (pocket_size == 0) return nullptr;
    const std::uint32_t me = thread_slot::current();
    return me < pockets ? &pockets_[me] : nullptr;
  }

  job_ring<Count> ring_;
  std::array<pocket, pockets> pockets_{};  // each by the thread of its number
};

}  // namespace holdfast
