// SPDX-License-Identifier: MIT
#include <cmath>

#include <nlohmann/json.hpp>

#include "demo/report.hpp"

namespace holdfast::demo {
namespace {

using nlohmann::ordered_json;

double ms_of(std::chrono::nanoseconds t) {
  return std::round(static_cast<double>(t.count()) / 1e3) / 1e3;
}

std::string_view name_of(judgement j) {
  switch (j) {
    case judgement::kept: return "kept";
    case judgement::broken: return "broken";
    case judgement::unknown: break;
  }
  return "unknown";
}

ordered_json ends_of(const request_ends& e) {
  return {{"ok", e.ok}, {"4xx", e.refused}, {"5xx", e.failed}, {"timeouts", e.timeouts}, {"broken", e.broken}};
}

ordered_json tiers_of(const client_counts& c) {
  ordered_json out = ordered_json::object();
  for (std::size_t t = 0; t < tier_count; ++t) out[std::string(tier_names[t])] = c.reads_by_tier[t];
  return out;
}

ordered_json sample_of(const sample& s) {
  ordered_json guards = ordered_json::array();
  for (const auto& g : s.server.guards) {
    guards.push_back({{"name", g.name},
                      {"state", g.state},
                      {"calls", g.calls},
                      {"retries", g.retries},
                      {"denied", g.denied},
                      {"budget", g.balance}});
  }
  return {{"at_ms", s.at.count()},
          {"span_ms", s.span.count()},
          {"tiers", tiers_of(s.client)},
          {"reads", ends_of(s.client.reads)},
          {"writes", ends_of(s.client.writes)},
          {"p50_ms", ms_of(s.client.read_time.quantile(500))},
          {"p99_ms", ms_of(s.client.read_time.quantile(990))},
          {"guards", std::move(guards)}};
}

ordered_json window_of(const run_record& run, window w) {
  const client_counts c = counts_in(run, w);
  return {{"tiers", tiers_of(c)},
          {"reads", ends_of(c.reads)},
          {"writes", ends_of(c.writes)},
          {"read_p50_ms", ms_of(c.read_time.quantile(500))},
          {"read_p99_ms", ms_of(c.read_time.quantile(990))},
          {"write_p99_ms", ms_of(c.write_time.quantile(990))},
          {"oldest_answer_ms", c.oldest_ms}};
}

ordered_json run_of(const run_record& run, const std::vector<promise>& promises) {
  ordered_json out{{"policies", run.policies ? "on" : "off"}, {"trouble", run.trouble}, {"exit_code", run.exit_code}};
  for (const promise& p : promises) {
    out["promises"].push_back({{"what", p.what}, {"figure", p.figure}, {"verdict", name_of(p.verdict)}});
  }
  out["before"] = window_of(run, before_faults(run));
  out["outage"] = window_of(run, during_faults(run));
  out["whole"] = window_of(run, whole_run);
  out["events"] = ordered_json::array();
  for (const event& e : run.events) {
    out["events"].push_back({{"at_ms", e.at.count()}, {"fault", name_of(e.what)}, {"begins", e.begins}});
  }
  out["transitions"] = ordered_json::array();
  for (const auto& t : run.log.transitions) {
    out["transitions"].push_back({{"at_ms", t.wall_ms - run.wall_start_ms},
                                  {"breaker", t.breaker},
                                  {"from", t.from},
                                  {"to", t.to},
                                  {"cause", t.cause},
                                  {"failed", t.failed},
                                  {"probes_ok", t.probes_ok}});
  }
  out["samples"] = ordered_json::array();
  for (const sample& s : run.samples) out["samples"].push_back(sample_of(s));
  return out;
}

}  // namespace

std::string to_json(const demonstration& d) {
  ordered_json out{{"made_at", d.made_at},   {"command", d.options.command},         {"seed", d.options.seed},
                   {"rate", d.options.rate}, {"connections", d.options.connections}, {"profiles", d.options.profiles},
                   {"machine", d.machine},   {"kept", all_kept(d.on_promises)}};
  out["runs"].push_back(run_of(d.on, d.on_promises));
  if (d.has_off) out["runs"].push_back(run_of(d.off, d.off_promises));
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace holdfast::demo
