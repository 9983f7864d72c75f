// SPDX-License-Identifier: MIT
// breaker_transition, breaker_refusal: what a circuit breaker tells its caller, in every form of it.
//
// Values of one caller; nothing here is shared. Proof: unit/circuit_breaker_test.cpp, unit/compact_breaker_test.cpp.
#pragma once

#include <cstdint>

#include "holdfast/core/error.hpp"
#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/policy/breaker_word.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// A step from one generation to the next, for counters and logs. Empty (false) if none happened.
struct breaker_transition {
  breaker_state from = breaker_state::closed;
  breaker_state to = breaker_state::closed;
  breaker_cause cause = breaker_cause::none;
  std::uint16_t generation = 0;  // the one that began; one more than the one that ended, modulo 2^16

  constexpr explicit operator bool() const noexcept { return cause != breaker_cause::none; }
  friend constexpr bool operator==(const breaker_transition&, const breaker_transition&) noexcept = default;
};

// Why a call may not go on. Becomes an `error` where one is wanted; made into one on the hot path it would cost more
// than the refusal.
struct breaker_refusal {
  errc code{};              // breaker_open, breaker_isolated or probe_quota; errc{}: not refused
  duration retry_after{0};  // open: until the circuit lets probes through; probe_quota: at most so long; isolated: 0
  breaker_word seen{};      // the state that refused; circuit_breaker::explain goes by it

  operator error() const noexcept { return {code, retry_after}; }  // NOLINT(google-explicit-constructor)
};

}  // namespace holdfast
