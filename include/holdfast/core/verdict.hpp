// SPDX-License-Identifier: MIT
// verdict: what an outcome means to every policy; the only thing about an error that a policy looks at.
//
//   verdict     breaker counts        retried                      budget     typical
//   ok          success               no                           nothing    a value
//   transient   failure               yes                          1 token    connection reset, SQLITE_BUSY, HTTP 503
//   throttled   nothing               yes, not before the hint     2 tokens   HTTP 429
//   timeout     failure               only if idempotent           2 tokens   our attempt timeout, HTTP 504
//   permanent   success (it answered) no                           nothing    HTTP 404, a constraint violation
//   cancelled   nothing               no                           nothing    the caller went away
//   rejected    nothing               bulkhead and rate, on hint   nothing    an inner policy said no before the call
//   stale       nothing               no                           nothing    the answer came after its attempt ended
//
// What the budget is paid does not depend on the verdict: every first attempt deposits (policy/retry_budget.hpp).
// Proof: unit/error_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

enum class verdict : std::uint8_t { ok, transient, throttled, timeout, permanent, cancelled, rejected, stale };

constexpr std::string_view name_of(verdict v) noexcept {
  switch (v) {
    case verdict::ok: return "ok";
    case verdict::transient: return "transient";
    case verdict::throttled: return "throttled";
    case verdict::timeout: return "timeout";
    case verdict::permanent: return "permanent";
    case verdict::cancelled: return "cancelled";
    case verdict::rejected: return "rejected";
    case verdict::stale: return "stale";
  }
  return "unknown";
}

// What the callee's health is judged by: did it fail to do its job?
constexpr bool is_failure(verdict v) noexcept {
  return v == verdict::transient || v == verdict::timeout;
}
// The callee answered, whether the caller likes the answer or not.
constexpr bool is_answer(verdict v) noexcept {
  return v == verdict::ok || v == verdict::permanent;
}

}  // namespace holdfast
