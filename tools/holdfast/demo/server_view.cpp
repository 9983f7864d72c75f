// SPDX-License-Identifier: MIT
#include "demo/server_view.hpp"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "demo/http_get.hpp"

namespace holdfast::demo {
namespace {

using json = nlohmann::json;

template <class T>
T value_in(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? at->get<T>() : T{};
}

std::optional<guard_view> guard_of(const json& entry) {
  if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() || !entry.contains("state") ||
      !entry["state"].is_string()) {
    return std::nullopt;
  }
  const json budget = entry.contains("budget") && entry["budget"].is_object() ? entry["budget"] : json::object();
  return guard_view{.name = entry["name"].get<std::string>(),
                    .state = entry["state"].get<std::string>(),
                    .calls = value_in<std::uint64_t>(entry, "calls"),
                    .retries = value_in<std::uint64_t>(budget, "granted"),
                    .denied = value_in<std::uint64_t>(budget, "denied"),
                    .opens = value_in<std::uint64_t>(entry, "opens"),
                    .closes = value_in<std::uint64_t>(entry, "closes"),
                    .rejected = value_in<std::uint64_t>(entry, "rejected"),
                    .balance = value_in<double>(budget, "balance"),
                    .budget_burst = value_in<double>(budget, "burst"),
                    .budget_ratio = value_in<double>(budget, "ratio_permille") / 1000.0,
                    .budget_per_second = value_in<double>(budget, "min_per_second")};
}

}  // namespace

const guard_view* server_view::find(std::string_view name) const {
  const auto at = std::find_if(guards.begin(), guards.end(), [&](const guard_view& g) { return g.name == name; });
  return at == guards.end() ? nullptr : &*at;
}

metrics_page::metrics_page(std::string_view text) {
  while (!text.empty()) {
    const std::size_t eol = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, eol);
    text.remove_prefix(std::min(eol + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::size_t space = line.rfind(' ');
    if (space == std::string_view::npos) continue;
    double value = 0;
    const auto [end, ec] = std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    if (ec != std::errc{}) continue;
    line = line.substr(0, space);
    const std::size_t brace = std::min(line.find('{'), line.size());
    samples_.emplace(std::string(line.substr(0, brace)), sample{std::string(line.substr(brace)), value});
  }
}

std::optional<double> metrics_page::sum(const std::string& name) const {
  return sum(name, {});
}

std::optional<double> metrics_page::sum(const std::string& name, std::string_view label) const {
  std::optional<double> total;
  const auto [from, to] = samples_.equal_range(name);
  for (auto at = from; at != to; ++at) {
    if (label.empty() || at->second.labels.find(label) != std::string::npos)
      total = total.value_or(0) + at->second.value;
  }
  return total;
}

bool parse_breakers(std::string_view text, std::vector<guard_view>& out) {
  const json page = json::parse(text, nullptr, false);
  if (!page.is_object() || !page.contains("breakers") || !page["breakers"].is_array()) return false;
  for (const json& entry : page["breakers"]) {
    auto guard = guard_of(entry);
    if (!guard) return false;
    out.push_back(std::move(*guard));
  }
  return true;
}

void take_metrics(const metrics_page& page, server_view& out) {
  const auto count = [&](const char* name) -> std::optional<std::uint64_t> {
    const auto value = page.sum(name);
    return value ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
  };
  out.log_written = count("holdfast_log_records_written_total").value_or(0);
  out.log_lost = count("holdfast_log_records_lost_total").value_or(0);
  out.library_visits = count("holdfast_library_visits_total");
  out.library_allocations = count("holdfast_library_allocations_total");
  out.other_allocations = count("holdfast_other_allocations_total");
}

server_view look_at_server(std::uint16_t port, milliseconds within) {
  server_view view;
  const auto breakers = http_get(port, "/admin/breakers", within);
  const auto metrics = http_get(port, "/metrics", within);
  view.reached = breakers && metrics && parse_breakers(*breakers, view.guards);
  if (metrics) take_metrics(metrics_page(*metrics), view);
  return view;
}

}  // namespace holdfast::demo
