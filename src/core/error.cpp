// SPDX-License-Identifier: MIT
#include "holdfast/core/error.hpp"

#include <string>

#include "holdfast/core/error_domain.hpp"

#include "immortal.hpp"

namespace holdfast {

std::string_view message_of(errc code) noexcept {
  switch (code) {
    case errc::breaker_open: return "circuit breaker is open";
    case errc::breaker_isolated: return "circuit breaker is isolated by hand";
    case errc::probe_quota: return "circuit breaker is half-open and all its probes are out";
    case errc::rate_limited: return "rate limit reached";
    case errc::bulkhead_full: return "bulkhead is full";
    case errc::bulkhead_timeout: return "no bulkhead permit before the deadline";
    case errc::deadline_exceeded: return "deadline exceeded";
    case errc::deadline_infeasible: return "the next attempt could not end before the deadline";
    case errc::retry_budget_exhausted: return "retry budget exhausted";
    case errc::attempts_exhausted: return "all attempts failed";
    case errc::hedge_lost: return "another hedge won";
    case errc::fallback_exhausted: return "no fallback tier answered";
    case errc::cancelled: return "cancelled by the caller";
    case errc::attempt_timeout: return "attempt timed out";
    case errc::not_idempotent: return "operation is not idempotent and may have been carried out";
    case errc::callee_threw: return "callee threw an exception of no known type";
    case errc::closed: return "closed";
    case errc::ring_region: return "region for a ring is too small, too large or not aligned to a cache line";
    case errc::ring_missing: return "no ring in the region";
    case errc::ring_version: return "ring is of another layout version";
    case errc::ring_machine: return "ring was made for another byte order or cache line";
    case errc::ring_capacity: return "ring does not fit into the region";
    case errc::ring_attached: return "another one is attached to this side of the ring";
    case errc::ring_taken_over: return "another one has taken this side of the ring over";
    case errc::ring_corrupt: return "ring is corrupt";
    case errc::rate_infeasible: return "more permits than the rate limit ever grants at once";
    case errc::retry_forbidden: return "the callee wants no further attempt";
    case errc::segment_name: return "name of a shared segment is empty, too long or has a slash inside";
    case errc::segment_foreign: return "shared memory of that name is no segment of ours";
    case errc::segment_owner: return "shared segment belongs to another user";
    case errc::segment_version: return "shared segment is of another format version";
    case errc::segment_machine: return "shared segment was made for another byte order, pointer or cache line";
    case errc::segment_layout: return "shared segment holds other objects than this program expects";
    case errc::segment_size: return "shared segment is shorter or longer than it should be";
    case errc::segment_exists: return "shared segment exists";
    case errc::segment_unfinished: return "whoever was making the shared segment died";
    case errc::segment_busy: return "another process is still making the shared segment";
    case errc::segment_corrupt: return "object in the shared segment is not sound";
  }
  return "unknown holdfast error";
}

namespace {

class own_category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast"; }
  [[nodiscard]] std::string message(int value) const override {
    return std::string(message_of(static_cast<errc>(value)));
  }
  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    return {value, *this};
  }
};

constexpr failure failure_of(verdict v) noexcept {
  switch (v) {
    case verdict::transient: return failure::transient;
    case verdict::throttled: return failure::throttled;
    case verdict::timeout: return failure::timeout;
    case verdict::permanent: return failure::permanent;
    case verdict::cancelled: return failure::cancelled;
    case verdict::rejected: return failure::rejected;
    case verdict::stale: return failure::stale;
    case verdict::ok: break;
  }
  return failure{};
}

// A condition holds for any code, of any domain, whose verdict is the one asked for.
class condition_category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast.failure"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<failure>(value)) {
      case failure::transient: return "transient failure";
      case failure::throttled: return "throttled by the callee";
      case failure::timeout: return "timed out";
      case failure::permanent: return "permanent failure";
      case failure::cancelled: return "cancelled";
      case failure::rejected: return "rejected before the call";
      case failure::stale: return "answered too late";
    }
    return "unknown failure";
  }
  [[nodiscard]] bool equivalent(const std::error_code& code, int condition) const noexcept override {
    return static_cast<int>(failure_of(verdict_of(code))) == condition;
  }
};

}  // namespace

const std::error_category& holdfast_category() noexcept {
  static const immortal<own_category> category;
  return category.get();
}

const std::error_category& failure_category() noexcept {
  static const immortal<condition_category> category;
  return category.get();
}

}  // namespace holdfast
