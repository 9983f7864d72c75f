// SPDX-License-Identifier: MIT
// A dependency with all that guards calls to it, and the observer that counts and logs what happens to them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/exec/call.hpp"
#include "holdfast/telemetry/context.hpp"

#include "serve/options.hpp"
#include "serve/service_log.hpp"
#include "serve/service_metrics.hpp"

namespace holdfast::serve {

class dependency {
 public:
  dependency(std::string_view name, const dependency_options& o, std::uint64_t seed, service_log& log,
             dependency_metrics metrics);
  dependency(const dependency&) = delete;
  dependency& operator=(const dependency&) = delete;

  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] const guard& protects() const noexcept { return guard_; }
  // The same without retries, for what must not be done twice.
  [[nodiscard]] const guard& protects_once() const noexcept { return guard_once_; }
  [[nodiscard]] circuit_breaker& breaker() noexcept { return breaker_; }
  [[nodiscard]] bulkhead& room() noexcept { return room_; }
  [[nodiscard]] retry_budget& budget() noexcept { return budget_; }
  [[nodiscard]] const dependency_options& options() const noexcept { return options_; }
  [[nodiscard]] dependency_metrics& metrics() noexcept { return metrics_; }
  service_log& log() noexcept { return log_; }

  // A call to it begins: counted once, however often it is tried.
  void on_call() noexcept;

  // Whoever moves the breaker logs it: a call through its observer, the admin by hand.
  void on_transition(const context& whose, const breaker_transition& moved) noexcept;

 private:
  std::string name_;
  dependency_options options_;
  bulkhead room_;
  circuit_breaker breaker_;
  retry_budget budget_;
  guard guard_;
  guard guard_once_;
  service_log& log_;
  dependency_metrics metrics_;
};

// Copied into a call; the request's context goes with it, so that its lines are found by the correlation id.
class call_observer {
 public:
  call_observer(dependency& d, const context& whose) noexcept : dependency_(&d), context_(whose) {}
  [[nodiscard]] library_watch::visit watch_step() const noexcept { return dependency_->log().watch().enter(); }
  void on_attempt(const guard&, const attempt& which, verdict kind, duration took) noexcept;
  void on_refusal(const guard&, const error& why) noexcept;
  void on_transition(const guard&, const breaker_transition& moved) noexcept;
  void on_retry(const guard&, const error& why, std::uint16_t tries, duration after) noexcept;
  void on_give_up(const guard&, const error& why) noexcept;
  void on_budget_exhausted(const guard&, const error& why, std::uint32_t held_back) noexcept;

 private:
  dependency* dependency_;
  context context_;
};

}  // namespace holdfast::serve
