// SPDX-License-Identifier: MIT
// error: why an operation gave no value, in 32 bytes that can be copied, compared and logged without an allocation.
//
// `code` says what happened, in holdfast's own category (errc) or in the callee's domain (core/error_domain.hpp).
// `kind` is its verdict. `retry_after` is how long to stay away, zero when nobody said. `attempts` counts the attempts
// that reached the callee. `stopped_by` is the guard that forbade another one (errc{} when none had to). `tier` is the
// fallback tier that failed. `not_sent` says that the callee certainly saw nothing, so that even an operation that is
// not idempotent may be repeated. `no_retry` says that there is to be no further attempt, whatever the verdict: the callee
// forbade it, or a layer on the way has repeated it already or has no budget left for that.
//
// What a policy that refused has to say about itself: `age`, for how long it had been in the state in which it refused, zero
// where it has none or does not say; and `cause`, why that state began, a number of its own (of a circuit breaker, breaker_cause).
// `code` says which policy it was; policy/describe.hpp puts it all into words.
//
// Questions are asked through std::error_condition: `e.code == failure::transient`.
//
// Proof: unit/error_test.cpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "holdfast/core/coarse_age.hpp"
#include "holdfast/core/fixed_text.hpp"
#include "holdfast/core/verdict.hpp"

namespace holdfast {

// holdfast's own reasons. The numbers are stable: they appear in logs as HF-<number>.
enum class errc : std::uint16_t {
  breaker_open = 1,
  breaker_isolated = 2,
  probe_quota = 3,
  rate_limited = 4,
  bulkhead_full = 5,
  bulkhead_timeout = 6,
  deadline_exceeded = 7,
  deadline_infeasible = 8,
  retry_budget_exhausted = 9,
  attempts_exhausted = 10,
  hedge_lost = 11,
  fallback_exhausted = 12,
  cancelled = 13,
  attempt_timeout = 14,
  not_idempotent = 15,
  callee_threw = 16,
  closed = 17,
  ring_region = 18,
  ring_missing = 19,
  ring_version = 20,
  ring_machine = 21,
  ring_capacity = 22,
  ring_attached = 23,
  ring_taken_over = 24,
  ring_corrupt = 25,
  rate_infeasible = 26,
  retry_forbidden = 27,
  segment_name = 28,
  segment_foreign = 29,
  segment_owner = 30,
  segment_version = 31,
  segment_machine = 32,
  segment_layout = 33,
  segment_size = 34,
  segment_exists = 35,
  segment_unfinished = 36,
  segment_busy = 37,
  segment_corrupt = 38,
};

// The conditions that people ask about; one for each verdict that is an error.
enum class failure : std::uint8_t { transient = 1, throttled, timeout, permanent, cancelled, rejected, stale };

// In words, without the allocation that std::error_code::message() may need.
std::string_view message_of(errc code) noexcept;

const std::error_category& holdfast_category() noexcept;
const std::error_category& failure_category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), holdfast_category()};
}
inline std::error_condition make_error_condition(failure kind) noexcept {
  return {static_cast<int>(kind), failure_category()};
}

// The verdict of holdfast's own reasons. All that a policy refuses before the call is `rejected`.
constexpr verdict verdict_of(errc code) noexcept {
  switch (code) {
    case errc::breaker_open:
    case errc::breaker_isolated:
    case errc::probe_quota:
    case errc::rate_limited:
    case errc::rate_infeasible:
    case errc::bulkhead_full:
    case errc::bulkhead_timeout:
    case errc::retry_budget_exhausted:
    case errc::not_idempotent:
    case errc::retry_forbidden:
    case errc::ring_attached:
    case errc::segment_exists:
    case errc::closed: return verdict::rejected;
    case errc::deadline_exceeded:
    case errc::deadline_infeasible:
    case errc::attempt_timeout: return verdict::timeout;
    case errc::hedge_lost:
    case errc::cancelled: return verdict::cancelled;
    case errc::attempts_exhausted:
    case errc::fallback_exhausted:
    case errc::segment_unfinished:
    case errc::segment_busy:
    case errc::callee_threw: return verdict::transient;
    case errc::ring_region:
    case errc::ring_missing:
    case errc::ring_version:
    case errc::ring_machine:
    case errc::ring_capacity:
    case errc::ring_taken_over:
    case errc::ring_corrupt:
    case errc::segment_name:
    case errc::segment_foreign:
    case errc::segment_owner:
    case errc::segment_version:
    case errc::segment_machine:
    case errc::segment_layout:
    case errc::segment_size:
    case errc::segment_corrupt: return verdict::permanent;
  }
  return verdict::permanent;
}

struct error {
  std::error_code code{};
  std::chrono::nanoseconds retry_after{0};
  std::uint16_t attempts = 0;
  errc stopped_by{};
  coarse_age age{};
  verdict kind = verdict::permanent;
  std::uint8_t tier : 3 = 0;   // 0 to 7
  std::uint8_t cause : 3 = 0;  // 0 to 7
  bool not_sent : 1 = false;
  bool no_retry : 1 = false;

  error() noexcept = default;
  error(std::error_code why, verdict meaning, std::chrono::nanoseconds hint = {}) noexcept
      : code(why), retry_after(hint), kind(meaning) {}
  error(errc why, std::chrono::nanoseconds hint = {}) noexcept  // NOLINT(google-explicit-constructor)
      : code(make_error_code(why)), retry_after(hint), kind(verdict_of(why)), not_sent(kind == verdict::rejected) {}

  friend bool operator==(const error&, const error&) noexcept = default;
};
static_assert(std::is_trivially_copyable_v<error> && sizeof(error) <= 32);

// Who was called for what: travels beside an error, in fixed space, and is written to the log with it.
struct error_context {
  fixed_text<31> operation{};
  fixed_text<31> instance{};
  fixed_text<15> region{};
  fixed_text<64> correlation_id{};
};
static_assert(std::is_trivially_copyable_v<error_context>);

}  // namespace holdfast

template <>
struct std::is_error_code_enum<holdfast::errc> : std::true_type {};
template <>
struct std::is_error_condition_enum<holdfast::failure> : std::true_type {};
