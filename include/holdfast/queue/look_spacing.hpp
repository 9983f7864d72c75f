// SPDX-License-Identifier: MIT
// look_spacing: tells the reader of a ring, when it follows close behind its writer in a stream, to leave the writer alone for a
// moment before it looks for more.
//
//   operation    caller       progress    cost   allocates
//   looked       the reader   wait-free   O(1)   never
//   pair_ended   the reader   wait-free   O(1)   never       at most `moment` ticks, spent in pauses of the processor
//   will_look    the reader   wait-free   O(1)   never       the same
//
// In short: the reader | wait-free, at most 1,200 ticks of pauses a pair of lines | never | -
//
// Why: a reader that is faster than its writer looks again after each few items. Each look takes the line of the writer's position
// away from the writer, and the few items are in lines that are still being written; both then move at the pace of lines that
// change hands, and stay in that state. Where the reader makes a pause instead, the writer gets ahead, and lines are handed over
// whole: three to four times as many items of 64 bytes a second, and of small ones always what was otherwise a matter of chance.
//
// When: only if each of the last `patience` pairs of lines was read in less time than it takes to fetch them, by looks that found
// more than one item and less than `few`. So neither an answer that is waited for, nor a burst, nor a reader that has work to do
// with each item is kept waiting: it takes 64 items of 64 bytes, or 512 of 8, without a break.
//
// Ticks are those of the time-stamp counter, of which a moment is 0.3 to 0.6 us. Where there is none to be read by an instruction,
// no pause is made.
//
// Method: our own. Proof: unit/look_spacing_test.cpp, bench/spsc_queue_bench.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

// The time-stamp counter, where an instruction reads it.
struct tick_counter {
#if defined(__x86_64__) || defined(__i386__)
  static constexpr bool there = true;
  static std::uint64_t now() noexcept {
    return __builtin_ia32_rdtsc();
  }
#else
  static constexpr bool there = false;
  static std::uint64_t now() noexcept {
    return 0;
  }
#endif
  static void pause() noexcept {
    cpu_pause(1);
  }
};

template <class Ticks = tick_counter>
class basic_look_spacing {
 public:
  static constexpr std::uint64_t few = 64;  // items that a look finds: from here on, there is no need to wait for more
  static constexpr std::uint64_t moment = 1'200;      // ticks that the writer is left alone
  static constexpr std::uint64_t quick_pair = 1'200;  // ticks in which a pair of lines is read by who does nothing else
  static constexpr std::uint32_t patience = 32;       // pairs

  // The reader, at `pos`, has looked for items and found some.
  void looked(std::uint64_t pos) noexcept { looked_ = pos; }

  // The reader has come to `pos`, where a pair of lines ends in which `pair_items` items begin; it knows of `known` more.
  void pair_ended(std::uint64_t pos, std::uint64_t known, std::uint64_t pair_items) noexcept {
    const std::uint64_t since = pos - looked_;
    const std::uint64_t found = since + known;
    if (Ticks::there && since <= pair_items && found >= 2 && found < few) follow_closely(pos, pair_items);
  }
  // The reader, at `pos`, has taken all that it knew of, in runs, and will look for more.
  void will_look(std::uint64_t pos, std::uint64_t pair_items) noexcept {
    const std::uint64_t found = pos - looked_;
    if (Ticks::there && found >= 2 && found < few) follow_closely(pos, pair_items);
  }

 private:
  void follow_closely(std::uint64_t pos, std::uint64_t pair_items) noexcept {
    const std::uint64_t now = Ticks::now();
    const bool quick = (now - then_) * pair_items < quick_pair * (pos - at_);
    streak_ = quick ? std::min(streak_ + 1, patience) : 0;
    at_ = pos;
    then_ = streak_ == patience ? pause(now) : now;
  }
  // Bounded by turns as well, for a counter that stands still.
  static std::uint64_t pause(std::uint64_t begun) noexcept {
    std::uint64_t now = begun;
    for (unsigned turns = 0; turns < 256 && now - begun < moment; ++turns) {
      Ticks::pause();
      now = Ticks::now();
    }
    return now;
  }

  std::uint64_t looked_ = 0;  // where the last look was that found something
  std::uint64_t at_ = 0;      // where the reader was last seen to follow closely,
  std::uint64_t then_ = 0;    // and when it went on from there
  std::uint32_t streak_ = 0;  // how often it came so far quickly, one time after the other
};

using look_spacing = basic_look_spacing<>;

}  // namespace holdfast
