// SPDX-License-Identifier: MIT
// What the library's policies are told, made from what the service was told. Their own validate() judges it before
// anything is started (check_relations), so that the two cannot disagree about a limit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "holdfast/policy/breaker_options.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "serve/options.hpp"

namespace holdfast::serve {

// A number that the option's type cannot hold stays a number out of bounds, and does not become one within them.
template <class T>
constexpr T as(std::int64_t n) noexcept {
  return static_cast<T>(std::clamp<std::int64_t>(n, 0, std::numeric_limits<T>::max()));
}

constexpr bulkhead_options room_of(const dependency_options& o) noexcept {
  return {.limit = as<std::uint32_t>(o.bulkhead), .queue = as<std::uint32_t>(o.bulkhead_queue)};
}

constexpr circuit_breaker_options breaker_of(const dependency_options& o, std::uint64_t seed) noexcept {
  circuit_breaker_options b;
  b.consecutive_failures = as<std::uint16_t>(o.consecutive_failures);
  b.failure_permille = as<std::uint16_t>(o.failure_permille);
  b.slow_call = o.slow_call;
  b.slow_permille = as<std::uint16_t>(o.slow_permille);
  b.min_calls = as<std::uint32_t>(o.min_calls);
  b.window = o.window;
  b.probes = as<std::uint8_t>(o.probes);
  // A probe reports within its timeout; one that does not has been lost with its caller.
  b.probe_lease = 4 * o.attempt_timeout + milliseconds(100);
  b.open_base = o.open_base;
  b.open_max = o.open_max;
  b.seed = seed;
  return b;
}

constexpr retry_options retry_of(const dependency_options& o, std::int64_t attempts) noexcept {
  retry_options r;
  r.max_attempts = as<std::uint16_t>(attempts);
  r.backoff.base = o.backoff_base;
  r.backoff.cap = o.backoff_cap;
  r.min_attempt_time = milliseconds(1);
  return r;
}

constexpr retry_budget_options budget_of(const dependency_options& o) noexcept {
  // Far more than one outage's first seconds need, far less than would hide a storm of retries.
  constexpr std::uint32_t burst = 50;
  return {.ratio_permille = as<std::uint32_t>(o.budget_permille),
          .min_per_second = as<std::uint32_t>(o.budget_min_per_second),
          .burst = burst};
}

constexpr holdfast::cache_options entries_of(const cache_options& o, std::uint64_t seed) noexcept {
  return {.capacity = as<std::uint32_t>(o.entries), .fresh_for = o.fresh_for, .stale_for = o.stale_for, .seed = seed};
}

}  // namespace holdfast::serve
