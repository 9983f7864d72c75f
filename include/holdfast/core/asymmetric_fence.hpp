// SPDX-License-Identifier: MIT
// asymmetric_fence_light, asymmetric_fence_heavy: a seq_cst fence between two threads, paid for by the one that comes seldom.
//
//   name                      caller       guarantee   allocates   cost
//   asymmetric_fence_light    any thread   wait-free   never       a load and a branch; the compiler moves nothing across
//   asymmetric_fence_heavy    any thread   blocking    never       one system call, which interrupts the process's other
//                                                                  running threads: microseconds
//
// A light fence in one thread and a heavy one in another order what is before and behind them as two seq_cst fences would:
// of two threads that each write one thing and then, behind the fence, look for what the other one writes, at least one
// finds it. Two light fences order nothing between each other.
//
// When to use it: where a frequent step asks "does anybody wait?" after it has changed something, and hardly ever anybody
// does. Not where both sides are frequent: take fence(mo::seq_cst).
//
// Where the kernel has no membarrier(2), or a sandbox refuses it, both are seq_cst fences, which is correct and slower.
//
// Method: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED (Linux 4.14); the names are those of the C++ proposal for such
// fences (P1202). A process has the kernel told once of its intent, when the library is loaded.
//
// Proof: tests/model/event_count_model.cpp and the litmus programs of tests/model/self (a checker that interrupts each thread
// as the kernel does, and the same with fences), unit/event_count_test.cpp.
#pragma once

#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {
inline namespace native {

enum class membarrier_use : std::uint8_t { unknown, yes, no };

// Written once, by whoever is first to ask the kernel.
extern atomic<membarrier_use> asymmetric_fence_form;

[[gnu::always_inline]] inline void asymmetric_fence_light() noexcept {
  // own: once it says yes, every heavy fence interrupts; before that, the fence here is a whole one
  if (asymmetric_fence_form.load(mo::relaxed) == membarrier_use::yes) [[likely]] {
    asm volatile("" ::: "memory");
  } else {
    fence(mo::seq_cst);  // [AF1] seq_cst, pairs with [AF2]: where there is no membarrier, this is all
  }
}

void asymmetric_fence_heavy() noexcept;

}  // namespace native
}  // namespace holdfast
