// SPDX-License-Identifier: MIT
// breaker_word: the whole state of a circuit breaker in 64 bits, so that each step of it is one compare-and-swap.
//
//   63..61  state
//   60..45  generation   +1 on every transition and on every renewal of a lease, never when the counting window moves
//   44..41  level        how many openings have not been forgotten yet; the exponent of the next open time
//   40..31  half-open:   40..36 probes issued, 35..31 probes that succeeded
//           closed:      40 dirty (the window holds a failed or slow call that a rule counts), 39..31 failures in a row
//   30..0   tick         open: until when; half-open: end of the lease; else: when this state began
//                        (policy/packed_tick.hpp)
//
// A value type, constexpr throughout; nothing here is atomic.
//
// When to use it: inside breakers. Proof: unit/circuit_breaker_test.cpp, model/circuit_breaker_model.cpp.
#pragma once

#include <cstdint>
#include <string_view>

#include "holdfast/policy/packed_tick.hpp"

namespace holdfast {

enum class breaker_state : std::uint8_t { closed, open, half_open, forced_open, forced_closed, metrics_only };

constexpr std::string_view name_of(breaker_state state) noexcept {
  switch (state) {
    case breaker_state::closed: return "closed";
    case breaker_state::open: return "open";
    case breaker_state::half_open: return "half_open";
    case breaker_state::forced_open: return "forced_open";
    case breaker_state::forced_closed: return "forced_closed";
    case breaker_state::metrics_only: return "metrics_only";
  }
  return "unknown";
}

using breaker_tick = packed_tick;

class breaker_word {
 public:
  static constexpr std::uint32_t most_probes = 31;
  static constexpr std::uint32_t most_streak = 511;
  static constexpr std::uint32_t most_level = 15;

  constexpr breaker_word() noexcept = default;
  constexpr explicit breaker_word(std::uint64_t bits) noexcept : bits_(bits) {}
  // A state just entered: no probes, no streak, not dirty.
  constexpr breaker_word(breaker_state state, std::uint16_t generation, std::uint32_t level,
                         std::uint32_t tick) noexcept
      : bits_(std::uint64_t{static_cast<std::uint8_t>(state)} << 61U | std::uint64_t{generation} << 45U |
              std::uint64_t{level} << 41U | (tick & breaker_tick::mask)) {}

  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr breaker_state state() const noexcept { return static_cast<breaker_state>(bits_ >> 61U); }
  [[nodiscard]] constexpr std::uint16_t generation() const noexcept { return static_cast<std::uint16_t>(bits_ >> 45U); }
  [[nodiscard]] constexpr std::uint32_t level() const noexcept { return field(41, 0xF); }
  [[nodiscard]] constexpr std::uint32_t tick() const noexcept { return field(0, breaker_tick::mask); }
  // half-open
  [[nodiscard]] constexpr std::uint32_t issued() const noexcept { return field(36, 31); }
  [[nodiscard]] constexpr std::uint32_t succeeded() const noexcept { return field(31, 31); }
  // closed
  [[nodiscard]] constexpr bool dirty() const noexcept { return field(40, 1) != 0; }
  [[nodiscard]] constexpr std::uint32_t streak() const noexcept { return field(31, 511); }

  [[nodiscard]] constexpr bool is_closed() const noexcept { return bits_ < std::uint64_t{1} << 61U; }
  // Closed, and a success has nothing to do but to be counted: nothing wrong in the window, no failure in a row, no level.
  [[nodiscard]] constexpr bool is_calm() const noexcept {
    return (bits_ & (std::uint64_t{7} << 61U | std::uint64_t{0x3FFF} << 31U)) == 0;
  }

  [[nodiscard]] constexpr breaker_word with_level(std::uint32_t level) const noexcept { return with(41, 0xF, level); }
  [[nodiscard]] constexpr breaker_word with_tick(std::uint32_t tick) const noexcept {
    return with(0, breaker_tick::mask, tick & breaker_tick::mask);
  }
  [[nodiscard]] constexpr breaker_word with_issued(std::uint32_t n) const noexcept { return with(36, 31, n); }
  [[nodiscard]] constexpr breaker_word with_succeeded(std::uint32_t n) const noexcept { return with(31, 31, n); }
  [[nodiscard]] constexpr breaker_word with_dirty(bool dirty) const noexcept { return with(40, 1, dirty ? 1 : 0); }
  [[nodiscard]] constexpr breaker_word with_streak(std::uint32_t n) const noexcept { return with(31, 511, n); }
  // The state that follows this one.
  [[nodiscard]] constexpr breaker_word next(breaker_state state, std::uint32_t level,
                                            std::uint32_t tick) const noexcept {
    return {state, static_cast<std::uint16_t>(generation() + 1U), level, tick};
  }

  friend constexpr bool operator==(breaker_word, breaker_word) noexcept = default;

 private:
  [[nodiscard]] constexpr std::uint32_t field(unsigned at, std::uint64_t mask) const noexcept {
    return static_cast<std::uint32_t>(bits_ >> at & mask);
  }
  [[nodiscard]] constexpr breaker_word with(unsigned at, std::uint64_t mask, std::uint64_t value) const noexcept {
    return breaker_word((bits_ & ~(mask << at)) | value << at);
  }

  std::uint64_t bits_ = 0;
};
static_assert(sizeof(breaker_word) == 8);

}  // namespace holdfast
