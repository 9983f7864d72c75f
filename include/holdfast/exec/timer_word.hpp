// SPDX-License-Identifier: MIT
// timer_word: the state of a timer that any thread may set and cancel, in one word, on which all of its races are decided.
//
//   phase    whose it is                           goes on to
//   free     nobody's, or of who holds its place   set (its owner sets it)
//   set      nobody's                              firing (the wheel's thread), free (who cancels), held (who moves it)
//   firing   the wheel's thread                    free; set, if it is to fire again and nobody has cancelled it
//   held     who moves it                          set
//
// In short: any thread | wait-free | never | -
//
// Beside the phase: `in_wheel`, it lies in the wheel, perhaps for a time of an earlier user of its place; `in_ring` and `in_list`,
// the wheel's thread has a note to look at it; `stopped`, it is not to fire again; `watched`, a thread sleeps until it has fired;
// and the generation, which is another one for each user of the place, so that what an id names is decided here, too.
//
// Pure. Proof: that of timer_lanes, unit/timer_lanes_test.cpp.
#pragma once

#include <cstdint>

namespace holdfast {

enum class timer_phase : std::uint8_t { free, set, firing, held };

class timer_word {
 public:
  static constexpr std::uint64_t in_wheel = 1U << 2U;
  static constexpr std::uint64_t in_ring = 1U << 3U;
  static constexpr std::uint64_t in_list = 1U << 4U;
  static constexpr std::uint64_t stopped = 1U << 5U;
  static constexpr std::uint64_t watched = 1U << 6U;
  static constexpr std::uint64_t noted = in_ring | in_list;

  constexpr explicit timer_word(std::uint64_t bits) noexcept : bits_(bits) {}
  static constexpr timer_word first() noexcept { return timer_word(one_generation); }

  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr timer_phase phase() const noexcept { return static_cast<timer_phase>(bits_ & phase_mask); }
  [[nodiscard]] constexpr bool has(std::uint64_t flags) const noexcept { return (bits_ & flags) != 0; }
  [[nodiscard]] constexpr std::uint64_t generation() const noexcept { return bits_ / one_generation; }

  [[nodiscard]] constexpr timer_word with(timer_phase phase) const noexcept {
    return timer_word((bits_ & ~phase_mask) | static_cast<std::uint64_t>(phase));
  }
  [[nodiscard]] constexpr timer_word with(std::uint64_t flags) const noexcept { return timer_word(bits_ | flags); }
  [[nodiscard]] constexpr timer_word without(std::uint64_t flags) const noexcept { return timer_word(bits_ & ~flags); }
  // Of the next user of the place. Where it lies and who has a note of it stays.
  [[nodiscard]] constexpr timer_word next_as(timer_phase phase) const noexcept {
    return timer_word(bits_ + one_generation).without(stopped | watched).with(phase);
  }

 private:
  static constexpr std::uint64_t phase_mask = 3;
  static constexpr std::uint64_t one_generation = 1U << 7U;

  std::uint64_t bits_;
};

}  // namespace holdfast
