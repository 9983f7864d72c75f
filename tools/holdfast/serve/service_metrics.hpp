// SPDX-License-Identifier: MIT
// service_metrics: what /metrics shows. All series are registered at start; nothing about a request becomes a label.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/core/verdict.hpp"
#include "holdfast/telemetry/log_sink.hpp"
#include "holdfast/telemetry/metrics.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast::serve {

class dependency;
class library_watch;
class replicator;

struct dependency_counts {
  std::uint64_t calls = 0;  // first attempts, those that were refused included
  std::uint64_t attempts = 0;
  std::uint64_t retries = 0;
  std::uint64_t refused = 0;
  std::uint64_t given_up = 0;
};

// The numbers of one dependency: pointers into the registry.
class dependency_metrics {
 public:
  dependency_metrics(metrics_registry& registry, std::string_view name);
  void on_call() noexcept { calls_->add(); }
  void on_attempt(verdict kind, duration took) noexcept {
    attempts_[static_cast<std::size_t>(kind)]->add();
    latency_->record(took);
  }
  void on_retry() noexcept { retries_->add(); }
  void on_refusal() noexcept { refused_->add(); }
  void on_give_up() noexcept { given_up_->add(); }
  [[nodiscard]] dependency_counts counts() const noexcept;

 private:
  static constexpr std::size_t verdicts = 8;
  counter* calls_;
  std::array<counter*, verdicts> attempts_{};
  counter* retries_;
  counter* refused_;
  counter* given_up_;
  histogram* latency_;
};

class service_metrics {
 public:
  service_metrics(const replicator& followers, const log_sink& log, library_watch& watch);

  [[nodiscard]] dependency_metrics for_dependency(std::string_view name) { return {registry_, name}; }
  // Shows the state of its policies; `d` outlives the registry's last reader.
  void watch(dependency& d);

  void on_request(int status, std::string_view tier, duration took) noexcept;
  [[nodiscard]] std::string page() const;

 private:
  static constexpr std::array<std::string_view, 6> tiers{"primary", "replica", "cache", "cdn", "default", "none"};
  static constexpr std::array<std::string_view, 4> classes{"2xx", "3xx", "4xx", "5xx"};
  static std::size_t index_of_tier(std::string_view tier) noexcept;

  void show_watch();

  library_watch& watch_;
  metrics_registry registry_;
  std::array<std::array<counter*, classes.size()>, tiers.size()> requests_{};
  std::array<histogram*, tiers.size()> latency_{};
};

}  // namespace holdfast::serve
