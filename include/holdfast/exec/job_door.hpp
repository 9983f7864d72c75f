// SPDX-License-Identifier: MIT
// job_door: may a thread still come in; and who closes it knows that all who came in have done what they came for.
//
//   operation       caller       progress    cost                   allocates   when refused
//   enter, leave    any thread   wait-free   two stores, two loads  never       closed
//   close           any thread   blocking    microseconds; then as  never       -
//                                            long as who is inside
//   closed          any thread   wait-free   a load                 never       -
//
// In short: any thread | wait-free; close() waits for who is inside | never | closed
//
// JD1: once close() has returned, everybody who came in has left, and nobody comes in any more; what was done inside is seen by
// who has closed it. Who is inside does not close it.
//
// Memory: a line for each of the first 32 threads, and one for all others, who pay for a read-modify-write.
//
// Method: a thread says in a place of its own that it is inside, and then looks whether the door is open; who closes it pays for
// the fence between the two (core/asymmetric_fence.hpp). Proof: model/job_door_model.cpp, unit/job_door_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/thread_slot.hpp"

namespace holdfast {

class job_door {
 public:
  job_door() noexcept = default;
  job_door(const job_door&) = delete;
  job_door& operator=(const job_door&) = delete;

  [[nodiscard]] bool enter() noexcept {
    step(1);
    asymmetric_fence_light();  // [JD1] pairs with [JD2]: who closes it sees that one is inside, or he sees that it is closed
    if (!closed_.load(mo::relaxed)) [[likely]]  // hint: ordered by the fence
      return true;
    leave();
    return false;
  }
  void leave() noexcept { step(-1); }

  void close() noexcept {
    closed_.store(true, mo::relaxed);  // own: ordered by the fence
    asymmetric_fence_heavy();          // [JD2] pairs with [JD1]
    for (place& one : places_) {
      // [JD3] acquire, pairs with [JD4]: what was done inside
      for (unsigned turn = 0; one.inside.load(mo::acquire) != 0; ++turn) doze(turn);
    }
  }
  void open() noexcept { closed_.store(false, mo::relaxed); }  // own: who comes in now does so at his own time
  [[nodiscard]] bool closed() const noexcept { return closed_.load(mo::relaxed); }  // hint: for an observer

 private:
  static constexpr std::uint32_t owned = 32;
  struct alignas(cache_line_size) place {
    atomic<std::uint64_t> inside{0};
  };

  void step(std::int64_t by) noexcept {
    const std::uint32_t me = thread_slot::current();
    const auto count = static_cast<std::uint64_t>(by);
    if (me < owned) [[likely]] {
      atomic<std::uint64_t>& mine = places_[me].inside;
      // own: this thread's alone; [JD4] release, pairs with [JD3]: what was done inside
      mine.store(mine.load(mo::relaxed) + count, mo::release);
    } else {
      places_[owned].inside.fetch_add(count, mo::release);  // [JD5] release, pairs with [JD3]: as [JD4]
    }
  }

  std::array<place, owned + 1> places_{};  // each by the thread of its number; the last one by all others
  alignas(cache_line_size) atomic<bool> closed_{false};
};

}  // namespace holdfast
