// SPDX-License-Identifier: MIT
// What the service says of itself, taken with each sample: GET /admin/breakers and GET /metrics.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "demo/options.hpp"

namespace holdfast::demo {

// One dependency with its guards. Counters count from the start of the service.
struct guard_view {
  std::string name;
  std::string state;  // of the breaker
  std::uint64_t calls = 0;
  std::uint64_t retries = 0;  // that the budget granted
  std::uint64_t denied = 0;   // that it did not
  std::uint64_t opens = 0;
  std::uint64_t closes = 0;
  std::uint64_t rejected = 0;
  double balance = 0;  // of the budget, in retries
  double budget_burst = 0;
  double budget_ratio = 0;  // retries that a call adds
  double budget_per_second = 0;
};

struct server_view {
  bool reached = false;
  std::vector<guard_view> guards;
  std::uint64_t log_written = 0;
  std::uint64_t log_lost = 0;
  // Empty: the service's build cannot count them.
  std::optional<std::uint64_t> library_visits;
  std::optional<std::uint64_t> library_allocations;
  std::optional<std::uint64_t> other_allocations;

  [[nodiscard]] const guard_view* find(std::string_view name) const;
};

// Sums of a Prometheus text page by metric name, and single values by "name{labels}".
class metrics_page {
 public:
  explicit metrics_page(std::string_view text);
  [[nodiscard]] std::optional<double> sum(const std::string& name) const;
  // `label` as it stands on the page: dependency="primary"
  [[nodiscard]] std::optional<double> sum(const std::string& name, std::string_view label) const;

 private:
  struct sample {
    std::string labels;
    double value;
  };
  std::multimap<std::string, sample> samples_;
};

bool parse_breakers(std::string_view json, std::vector<guard_view>& out);
void take_metrics(const metrics_page& page, server_view& out);

// Both pages; `reached` is false when the service did not answer in time.
server_view look_at_server(std::uint16_t port, milliseconds within);

}  // namespace holdfast::demo
