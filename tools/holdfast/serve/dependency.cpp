// SPDX-License-Identifier: MIT
#include "serve/dependency.hpp"

#include "serve/policy_options.hpp"

namespace holdfast::serve {

dependency::dependency(std::string_view name, const dependency_options& o, std::uint64_t seed, service_log& log,
                       dependency_metrics metrics)
    : name_(name),
      options_(o),
      room_(room_of(o)),
      breaker_(breaker_of(o, seed)),
      budget_(budget_of(o)),
      guard_{.name = name_,
             .room = &room_,
             .room_wait = o.bulkhead_queue == 0 ? milliseconds(0) : o.bulkhead_wait,
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

void call_observer::on_budget_exhausted(const guard&, const error& why, std::uint32_t held_back) noexcept {
  dependency_->log().budget_exhausted(context_, dependency_->name(), why, held_back);
}

}  // namespace holdfast::serve
