// SPDX-License-Identifier: MIT
#include "demo/service_process.hpp"

#include <signal.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "holdfast/time/deadline.hpp"

#include "demo/stop_signal.hpp"

namespace holdfast::demo {
namespace {

constexpr milliseconds ready_within{90'000};
constexpr milliseconds drain_within{15'000};

void add_rules(const std::string& dependency, const guard_rules& rules, std::vector<std::string>& words) {
  const auto add = [&](const char* name, const std::string& value) {
    words.push_back("--" + dependency + "." + name);
    words.push_back(value);
  };
  add("consecutive_failures", std::to_string(rules.consecutive_failures));
  add("failure_permille", std::to_string(rules.failure_permille));
  add("slow_permille", std::to_string(rules.slow_permille));
  add("slow_call", std::to_string(rules.slow_call.count()) + "ms");
  add("min_calls", std::to_string(rules.min_calls));
  add("probes", std::to_string(rules.probes));
  add("budget_permille", std::to_string(rules.budget_permille));
  add("budget_min_per_second", std::to_string(rules.budget_min_per_second));
  add("open_base", std::to_string(rules.times.open_base.count()) + "ms");
  add("open_max", std::to_string(rules.times.open_max.count()) + "ms");
}

std::vector<std::string> words_of(const service_options& o) {
  std::vector<std::string> words{"holdfast", "serve", "--port", "0", "--data", o.data_dir, "--generate",
                                 std::to_string(o.profiles), "--seed", std::to_string(o.seed), "--policies",
                                 o.policies ? "on" : "off",
                                 // Every attempt that fails has its line, so that the breakers are judged by them.
                                 "--log-level", "debug"};
  for (const char* dependency : {"primary", "primary_write", "replica", "cdn"}) add_rules(dependency, o.rules, words);
  return words;
}

std::string last_words(const std::string& file) {
  std::ifstream in(file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  constexpr std::size_t enough = 2'000;
  return text.size() > enough ? text.substr(text.size() - enough) : text;
}

service_address parse_ready(const std::string& line) {
  const auto said = nlohmann::json::parse(line, nullptr, false);
  if (!said.is_object() || said.value("event", "") != "ready") {
    throw std::runtime_error("holdfast serve said something else than that it is ready: " + line);
  }
  return {.port = said.at("port").get<std::uint16_t>(),
          .admin_port = said.at("admin_port").get<std::uint16_t>(),
          .cdn_pid = said.at("cdn_pid").get<::pid_t>(),
          .primary = said.at("primary").get<std::string>(),
          .replica = said.at("replica").get<std::string>(),
          .log = said.at("log").get<std::string>()};
}

}  // namespace

service_process::service_process(const service_options& o) : errors_(o.data_dir + ".stderr") {
  process_ = child_process({o.program, words_of(o), errors_});
  const deadline until = deadline::after(steady_clock::now(), ready_within);
  std::optional<std::string> line;
  while (!line && stop_signal::which() == 0 && !until.passed(steady_clock::now())) {
    line = process_.read_line(milliseconds(200));
    if (!line && process_.ended()) break;
  }
  if (stop_signal::which() != 0) throw std::runtime_error("stopped");
  if (!line) throw std::runtime_error("holdfast serve did not become ready: " + last_words(errors_));
  address_ = parse_ready(*line);
}

int service_process::drain() {
  return process_.stop(SIGTERM, drain_within);
}

std::string service_process::trouble() {
  const auto code = process_.ended();
  if (!code) return {};
  return "holdfast serve ended by itself with exit code " + std::to_string(*code) + ": " + last_words(errors_);
}

}  // namespace holdfast::demo
