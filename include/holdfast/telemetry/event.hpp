// SPDX-License-Identifier: MIT
// event: what happened to one object, in 48 bytes that can be copied, kept and sent on.
//
//   field        what
//   seq          its number in the ring that it went through (telemetry/event_ring.hpp), from 1 on; a gap is what was dropped
//   at           when, by the clock of who published it
//   object       which: a number that the program gave it
//   generation   of the object's state, where it has one. Events of one object that come out of order are told apart by it: see
//                is_newer()
//   type         what kind; the rest is as the kind says (exec/call_events.hpp has those of calls)
//   from, to     states, or other small numbers
//   code         why
//   a, b         numbers
//
// When to use it: for what is told to people and to rules, seldom and whole: a circuit that opened, a budget that ran out. Not
// for counting: counters lose nothing. Not for text: log_sink.
//
// Proof: unit/event_ring_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "holdfast/time/clock.hpp"

namespace holdfast {

// The numbers are stable. Up to 127 they are holdfast's.
enum class event_type : std::uint8_t {
  none = 0,
  breaker_transition = 1,
  call_refused = 2,
  call_given_up = 3,
  budget_exhausted = 4,
  first_of_program = 128,
};

constexpr std::string_view name_of(event_type type) noexcept {
  switch (type) {
    case event_type::none: return "none";
    case event_type::breaker_transition: return "breaker_transition";
    case event_type::call_refused: return "call_refused";
    case event_type::call_given_up: return "call_given_up";
    case event_type::budget_exhausted: return "budget_exhausted";
    case event_type::first_of_program: break;
  }
  return type >= event_type::first_of_program ? "of_program" : "unknown";
}

struct event {
  std::uint64_t seq = 0;  // the ring's: what a publisher puts here is not kept
  time_point at{};
  std::uint64_t object = 0;
  std::uint16_t generation = 0;
  event_type type = event_type::none;
  std::uint8_t from = 0;
  std::uint8_t to = 0;
  std::uint16_t code = 0;
  std::int64_t a = 0;
  std::int64_t b = 0;

  friend constexpr bool operator==(const event&, const event&) noexcept = default;
};
static_assert(std::is_trivially_copyable_v<event> && std::is_standard_layout_v<event> && sizeof(event) == 48);

// Of two generations of one object, modulo 2^16, that are less than 2^15 apart.
constexpr bool is_newer(std::uint16_t generation, std::uint16_t than) noexcept {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(generation - than)) > 0;
}

}  // namespace holdfast
