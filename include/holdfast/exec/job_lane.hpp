// SPDX-License-Identifier: MIT
// job_lane: the jobs of one level that a worker has taken ahead, or has submitted itself; others may take them out of it.
//
//   operation           caller       progress    cost   allocates   when refused
//   refill, push        its worker   wait-free   O(1)   never       full, or it holds jobs of another level
//   pop(job)            its worker   wait-free   O(1)   never       empty
//   steal(claim)        any thread   wait-free   O(n)   never       none: claim() refused all that are there
//   any_of(asks)        any thread   wait-free   O(n)   never       -
//   holds_any           any thread   wait-free   O(1)   never       -
//
// In short: its worker pushes and pops, others steal | wait-free | never | full; empty; nothing to steal
//
// Nobody takes a job by moving a position on: who runs it is decided by the word of its slot (job_slots). So an owner pops a
// handle that a thief has claimed before him, and passes it by; a thief may try one that has been popped, and is refused. The
// positions are only there to find handles.
//
// Memory: Size words, and two lines. Proof: model/job_slots_model.cpp, unit/job_slots_test.cpp, stress/job_scheduler_stress.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/job_slots.hpp"

namespace holdfast {

template <std::size_t Size>
class job_lane {
  static_assert(std::has_single_bit(Size), "job_lane: Size is a power of two");

 public:
  static constexpr std::size_t capacity = Size;

  job_lane() noexcept = default;
  job_lane(const job_lane&) = delete;
  job_lane& operator=(const job_lane&) = delete;

  // ---- its worker

  [[nodiscard]] bool empty() const noexcept { return first_ == end_; }
  [[nodiscard]] std::uint8_t level() const noexcept { return level_; }
  [[nodiscard]] bool push(job_handle job, std::uint8_t level) noexcept {
    if (empty()) level_ = level;
    if (level != level_ || end_ - first_ == Size) return false;
    place(end_).store(job.word(), mo::relaxed);  // hint: who takes it for one to be run is told so, or not, by its slot
    seen_end_.store(++end_, mo::relaxed);        // hint: as above
    return true;
  }
  // Into an empty one, as many as there is room for.
  void refill(std::span<const std::uint64_t> packed, std::uint8_t level) noexcept {
    level_ = level;
    // hint: as in push
    for (const std::uint64_t one : packed) place(end_++).store(job_handle::unpacked(one).word(), mo::relaxed);
    seen_end_.store(end_, mo::relaxed);  // hint: as in push
  }
  [[nodiscard]] bool pop(job_handle& job) noexcept {
    if (empty()) return false;
    job = job_handle(place(first_).load(mo::relaxed));  // own: written by this thread
    seen_first_.store(++first_, mo::relaxed);           // hint: who comes too late is refused by the slot
    return true;
  }

  // ---- others

  // The oldest one that claim(job) takes.
  template <class Claim>
  [[nodiscard]] job_handle steal(Claim&& claim) const noexcept {
    const std::uint64_t end = seen_end_.load(mo::relaxed);  // hint: as in push
    // hint: as in push
    for (std::uint64_t at = seen_first_.load(mo::relaxed); at < end; ++at) {
      const job_handle job(place(at).load(mo::relaxed));  // hint: as in push
      if (job && claim(job)) return job;
    }
    return {};
  }
  template <class Asks>
  [[nodiscard]] bool any_of(Asks&& asks) const noexcept {
    return static_cast<bool>(steal(asks));
  }
  // Those that have been taken out by others included.
  [[nodiscard]] bool holds_any() const noexcept {
    return seen_first_.load(mo::relaxed) != seen_end_.load(mo::relaxed);  // hint: a moment's
  }

 private:
  [[nodiscard]] atomic<std::uint64_t>& place(std::uint64_t at) const noexcept { return places_[at & (Size - 1)]; }

  std::uint64_t first_ = 0;  // its worker's, and all below written by it alone
  std::uint64_t end_ = 0;
  std::uint8_t level_ = 0;
  alignas(cache_line_size) atomic<std::uint64_t> seen_first_{0};
  atomic<std::uint64_t> seen_end_{0};
  alignas(cache_line_size) mutable std::array<atomic<std::uint64_t>, Size> places_{};
};

}  // namespace holdfast
