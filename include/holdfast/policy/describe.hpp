// SPDX-License-Identifier: MIT
// describe: an error in a sentence: which policy refused, why, since when, and when to come back; or what failed, and how often.
//
//   operation   caller   progress    cost              allocates   when refused
//   describe    anyone   wait-free   a text is built   never       -; cut at 199 bytes
//   policy_of   anyone   wait-free   a switch          never       empty: no policy's
//
// In short: any thread | wait-free | never | cut at 199 bytes
//
//   orders: circuit_breaker refused: open for 1.2 s (failure_rate), come back in 3.8 s
//   orders: circuit_breaker refused: half-open for 20 ms (all its probes are out), come back in 5.0 s
//   orders: bulkhead refused: bulkhead is full
//   orders: failed, transient: http:503 after 3 attempts, no further one: all attempts failed
//
// A time to come back is rounded up, so that who keeps to it is not early.
//
// When to use it: in an answer or a line for people, beside the error itself, whose fields programs go by.
// Proof: unit/describe_test.cpp.
#pragma once

#include <string_view>

#include "holdfast/core/error.hpp"
#include "holdfast/core/fixed_text.hpp"

namespace holdfast {

// Which kind of policy gives this reason; empty for the others (a callee's, a ring's).
constexpr std::string_view policy_of(errc code) noexcept {
  switch (code) {
    case errc::breaker_open:
    case errc::breaker_isolated:
    case errc::probe_quota: return "circuit_breaker";
    case errc::rate_limited:
    case errc::rate_infeasible: return "rate_limiter";
    case errc::bulkhead_full:
    case errc::bulkhead_timeout: return "bulkhead";
    case errc::retry_budget_exhausted: return "retry_budget";
    case errc::attempts_exhausted:
    case errc::not_idempotent:
    case errc::retry_forbidden: return "retry";
    case errc::deadline_exceeded:
    case errc::deadline_infeasible:
    case errc::attempt_timeout: return "deadline";
    case errc::hedge_lost: return "hedge";
    case errc::fallback_exhausted: return "fallback";
    default: return {};
  }
}

using error_text = fixed_text<199>;

// `dependency`: guard::name, say.
[[nodiscard]] error_text describe(std::string_view dependency, const error& why) noexcept;

}  // namespace holdfast
