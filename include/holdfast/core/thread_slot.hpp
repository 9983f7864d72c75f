// SPDX-License-Identifier: MIT
// thread_slot: a small number for the calling thread, so that it can own one place in a striped array.
//
//   operation    caller   progress    cost                     allocates   when refused
//   cached       anyone   wait-free   one thread-local load    never       `unknown` before the first current()
//   current      anyone   lock-free   the same after the first never       `none` when all `limit` numbers are in use
//   high_water   anyone   wait-free   one load                 never       -
//   self         anyone   wait-free   an address               never       -
//
// No two living threads have the same number. The lowest free one is taken at a thread's first current() and given back
// when the thread ends; whoever gets it next sees all that its former owner wrote. So an owner may write its place with
// a load and a store, and needs no read-modify-write.
//
// When to use it: counters and windows that every thread writes on a hot path and few read. Readers sum the places up to
// high_water(). A thread without a number (more than `limit` at once, or in the last moments of a thread's end) uses a
// shared place and pays for the read-modify-write; every user of this header has one.
// Not as a thread's identity in a log (numbers come back), and not between processes: each process counts from zero.
//
// Memory: four bytes a thread, one bit a number in the process. After fork() the child goes on with the numbers that
// the parent had given out; those of threads that the child does not have stay taken.
//
// Proof: unit/thread_slot_test.cpp; how numbers pass from owner to owner: model/number_pool_model.cpp.
#pragma once

#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

class thread_slot {
 public:
  static constexpr std::uint32_t limit = 1024;
  static constexpr std::uint32_t none = 0xFFFF'FFFFU;
  static constexpr std::uint32_t unknown = 0xFFFF'FFFEU;

  // The number, or none; takes one if this thread has not asked before.
  [[nodiscard]] static std::uint32_t current() noexcept { return mine_ != unknown ? mine_ : take(); }
  // The same without taking: for a hot path whose slow path calls current(). A test `cached() < n` covers all cases.
  [[nodiscard]] static std::uint32_t cached() noexcept { return mine_; }

  // Of this thread and no other living one, also where there is no number: to find out whether something was done by oneself.
  [[nodiscard]] static const void* self() noexcept { return &mine_; }

  // One more than the largest number that was ever given out.
  [[nodiscard]] static std::uint32_t high_water() noexcept {
    // hint: a thread that synchronised with the owner of a place sees a mark above that place by coherence
    return high_water_.load(mo::relaxed);
  }

 private:
  friend struct thread_slot_end;
  [[gnu::cold]] static std::uint32_t take() noexcept;
  static void give_back() noexcept;

  // Constant-initialised and of the initial-exec model: one load, no call, also from a shared library.
  [[gnu::tls_model("initial-exec")]] static inline constinit thread_local std::uint32_t mine_ = unknown;
  static inline constinit atomic<std::uint32_t> high_water_{0};
};

}  // namespace holdfast
