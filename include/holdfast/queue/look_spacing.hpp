// SPDX-License-Identifier: MIT
// looks_at_once, look_spacing: how the consumer of a ring that follows close behind its producer looks for more: at once; or, in a
// stream, after it has left the producer alone for a moment.
//
//   operation    caller       progress    cost   allocates
//   looked       the reader   wait-free   O(1)   never
//   pair_ended   the reader   wait-free   O(1)   never       look_spacing: may pause for about `moment` ticks
//   will_look    the reader   wait-free   O(1)   never       the same
//
// In short: the reader | wait-free; look_spacing: with pauses of about 1,200 ticks | never | -
//
// Why: a reader that is faster than its writer looks again after each few items. Each look takes the line of the writer's position
// away from the writer, and the few items are in lines that are still being written; both then move at the pace of lines that
// change hands, and stay in that state. Where the reader makes a pause instead, the writer gets ahead, and lines are handed over
// whole.
//
// When to use look_spacing: for a reader that does next to nothing with each item, of a stream whose throughput counts and not
// the time that one item takes: `spsc_queue<T, Capacity, unwatched, look_spacing>`. Its try_pop may then pause before it returns
// an item. It does so only after `patience` times that it came on by a pair of lines quickly, by looks that found more than one
// item and less than `few`; and if the look after a pause finds less than `worth`, the pause was none, and twice as much
// patience is had the next time. So a question and its answer, a burst, or a writer that is slow cost a few pauses and then
// hardly any; the default costs none ever.
//
// Ticks are those of the time-stamp counter, of which a moment is 0.3 to 0.6 us. Where there is none to be read by an instruction,
// no pause is made. A pair of lines is two items where an item fills one.
//
// Method: our own. Proof: unit/look_spacing_test.cpp, bench/spsc_queue_bench.cpp (holdfast_spaced).
#pragma once

#include <algorithm>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

struct looks_at_once {
  static constexpr bool spaced = false;
  static constexpr void looked(std::uint64_t /*pos*/) noexcept {}
  static constexpr void pair_ended(std::uint64_t /*pos*/, std::uint64_t /*known*/, std::uint64_t /*items*/) noexcept {}
  static constexpr void will_look(std::uint64_t /*pos*/, std::uint64_t /*items*/) noexcept {}
};

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
  static constexpr bool spaced = true;
  static constexpr std::uint64_t few = 64;  // items that a look finds: from here on, there is no need to wait for more
  static constexpr std::uint64_t worth = 16;          // and so many that it finds after a pause
  static constexpr std::uint64_t moment = 1'200;      // ticks that the writer is left alone
  static constexpr std::uint64_t quick_pair = 1'200;  // ticks in which a pair of lines is read by who does nothing else
  static constexpr std::uint32_t patience = 32;       // at first
  static constexpr std::uint32_t most_patience = std::uint32_t{1} << 20U;

  // The reader, at `pos`, has looked for items and found some.
  void looked(std::uint64_t pos) noexcept { looked_ = pos; }

  // The reader has come to `pos`, where a pair of lines ends in which `pair_items` items begin; it knows of `known` more.
  void pair_ended(std::uint64_t pos, std::uint64_t known, std::uint64_t pair_items) noexcept {
    const std::uint64_t since = pos - looked_;
    if (since <= pair_items) follow(pos, since + known, pair_items);
  }

  // The reader, at `pos`, has taken all that it knew of, in runs, and will look for more.
  void will_look(std::uint64_t pos, std::uint64_t pair_items) noexcept { follow(pos, pos - looked_, pair_items); }

 private:
  void follow(std::uint64_t pos, std::uint64_t found, std::uint64_t pair_items) noexcept {
    if (!Ticks::there) return;
    if (paused_) {
      // Still there: the look after the pause found nothing, and what is told is what was found before it.
      const bool helped = found >= worth && pos != at_;
      paused_ = false;
      patience_ = helped ? patience : std::min(2 * patience_, most_patience);
      if (!helped) streak_ = 0;
    }
    if (found < 2 || found >= few) return;
    const std::uint64_t now = Ticks::now();
    const bool quick = (now - then_) * pair_items < quick_pair * (pos - at_);
    streak_ = quick ? std::min(streak_ + 1, patience_) : 0;
    paused_ = streak_ == patience_;
    at_ = pos;
    then_ = paused_ ? pause(now) : now;
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
  std::uint32_t streak_ = 0;  // how often it came so far quickly
  std::uint32_t patience_ = patience;
  bool paused_ = false;
};

using look_spacing = basic_look_spacing<>;

}  // namespace holdfast
