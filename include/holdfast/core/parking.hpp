// SPDX-License-Identifier: MIT
// park, unpark, give_way, doze: sleep on half a word while it has a value; wake who sleeps on it; make way for others.
//
//   name      caller       guarantee   allocates   errors
//   park      any thread   blocking    never       none: it may also return without a reason
//   unpark    any thread   wait-free   never       none
//   give_way  any thread   blocking    never       none
//   doze      any thread   blocking    never       none
//
// park(word, expected, until) returns at once if the lower half of the word is something else; else it sleeps until an unpark,
// until the clock is at `until`, a signal, or for no reason: the caller looks again. False: because of the clock. Looking and
// falling asleep are one step to unpark. Nothing is synchronised by it: what the sleeper is to see, the word's own orders have
// to show.
//
// give_way() lets another thread run that is ready to, if there is one. doze(turn) is for a loop that waits for a step of another
// thread that wakes nobody: a pause of the processor in the first turns, then the processor is given away, then it sleeps, twice
// as long each turn, up to a millisecond.
//
// When to use it: to build something that waits on, as queue/event_count.hpp does. Not across processes.
//
// Method: futex(2), FUTEX_WAIT_BITSET with an absolute time of CLOCK_MONOTONIC, which is std::chrono::steady_clock's; where
// there is none, short sleeps. Proof: model/event_count_model.cpp, unit/event_count_test.cpp.
#pragma once

#include <chrono>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {
inline namespace native {

using parking_time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

// parking_time::max() is never.
[[nodiscard]] bool park(const atomic<std::uint64_t>& word, std::uint32_t expected, parking_time until) noexcept;
void unpark(const atomic<std::uint64_t>& word, std::uint32_t sleepers) noexcept;
void give_way() noexcept;
void doze(unsigned turn) noexcept;

}  // namespace native
}  // namespace holdfast
