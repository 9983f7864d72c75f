// SPDX-License-Identifier: MIT
#include "serve/dependency.hpp"

namespace holdfast::serve {
namespace {

template <class T>
T as(std::int64_t n) {
  return static_cast<T>(n);
}

// Far more than one outage's first seconds need, far less than would hide a storm of retries.
constexpr std::uint32_t budget_burst = 50;

circuit_breaker_options breaker_of(const dependency_options& o, std::uint64_t seed) {
  circuit_breaker_options b;
  b.consecutive_failures = as<std::uint16_t>(o.consecutive_failures);
  b.failure_permille = as<std::uint16_t>(o.failure_permille);
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

retry_options retry_of(const dependency_options& o, std::int64_t attempts) {
  retry_options r;
  r.max_attempts = as<std::uint16_t>(attempts);
  r.backoff.base = o.backoff_base;
  r.backoff.cap = o.backoff_cap;
  r.min_attempt_time = milliseconds(1);
  return r;
}

}  // namespace

dependency::dependency(std::string_view name, const dependency_options& o, std::uint64_t seed, service_log& log,
                       dependency_metrics metrics)
    : name_(name),
      options_(o),
      room_(bulkhead_options{.limit = as<std::uint32_t>(o.bulkhead)}),
      breaker_(breaker_of(o, seed)),
      budget_(retry_budget_options{.ratio_permille = as<std::uint32_t>(o.budget_permille),
                                   .min_per_second = as<std::uint32_t>(o.budget_min_per_second),
                                   .burst = budget_burst}),
      guard_{.name = name_,
             .room = &room_,
             .breaker = &breaker_,
             .budget = &budget_,
             .retry = retry_of(o, o.attempts),
             .attempt_timeout = o.attempt_timeout},
      guard_once_(guard_),
      log_(log),
      metrics_(metrics) {
  guard_once_.retry = retry_of(o, 1);
}

void dependency::on_call() noexcept {
  const auto watched = log_.watch().enter();
  metrics_.on_call();
}

void dependency::on_transition(const context& whose, const breaker_transition& moved) noexcept {
  log_.breaker_moved(whose, name_, moved, breaker_.snapshot(steady_clock::now()), options_);
}

void call_observer::on_attempt(const guard&, const attempt& which, verdict kind, duration took) noexcept {
  dependency_->metrics().on_attempt(kind, took);
  if (which.probe) dependency_->log().probed(context_, dependency_->name(), which, kind, took);
  if (kind == verdict::ok) return;
  dependency_->log().attempt_failed(context_, dependency_->name(), which, kind, took);
}

void call_observer::on_refusal(const guard&, const error&) noexcept {
  dependency_->metrics().on_refusal();
}

void call_observer::on_transition(const guard&, const breaker_transition& moved) noexcept {
  dependency_->on_transition(context_, moved);
}

void call_observer::on_retry(const guard&, const error& why, std::uint16_t tries, duration after) noexcept {
  dependency_->metrics().on_retry();
  dependency_->log().retrying(context_, dependency_->name(), tries, after, why);
}

void call_observer::on_give_up(const guard&, const error& why) noexcept {
  dependency_->metrics().on_give_up();
  dependency_->log().tier_failed(context_, dependency_->name(), why);
}

}  // namespace holdfast::serve
