// SPDX-License-Identifier: MIT
#include "serve/admin_handlers.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace holdfast::serve {
namespace {

using json = nlohmann::ordered_json;

double milliseconds_of(duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

json to_json(dependency& d) {
  const time_point now = steady_clock::now();
  const breaker_snapshot s = d.breaker().snapshot(now);
  const retry_budget_snapshot b = d.budget().snapshot(now);
  const bulkhead_snapshot r = d.room().snapshot();
  const dependency_counts n = d.metrics().counts();
  return {{"name", d.name()},
          {"state", name_of(s.state)},
          {"cause", name_of(s.cause)},
          {"since_ms", milliseconds_of(s.since == time_point{} ? duration::zero() : now - s.since)},
          {"generation", s.generation},
          {"level", s.level},
          {"open_remaining_ms", milliseconds_of(s.open_remaining)},
          {"opens", s.opens},
          {"closes", s.closes},
          {"rejected", s.rejected},
          {"stale_dropped", s.stale_dropped},
          {"probes", d.options().probes},
          {"probes_issued", s.probes_issued},
          {"probes_ok", s.probes_ok},
          {"failures_in_row", s.failures_in_row},
          {"window_ok", s.window_ok},
          {"window_failed", s.window_failed},
          {"window_slow", s.window_slow},
          {"calls", n.calls},
          {"attempts", n.attempts},
          {"retries", n.retries},
          {"refused", n.refused},
          {"given_up", n.given_up},
          {"budget",
           {{"balance", static_cast<double>(b.balance_milli) / 1'000},
            {"granted", b.granted},
            {"denied", b.denied},
            {"denied_since_notice", b.held_back},
            {"ratio_permille", d.budget().options().ratio_permille},
            {"min_per_second", d.budget().options().min_per_second},
            {"burst", b.burst}}},
          {"bulkhead",
           {{"in_flight", r.in_flight},
            {"limit", r.limit},
            {"refused", r.refused},
            {"queue", d.room().queue()},
            {"waiting", r.waiting},
            {"served", r.served},
            {"timed_out", r.timed_out},
            {"cancelled", r.cancelled}}}};
}

http_response json_response(const json& body) {
  http_response r;
  r.content_type = "application/json";
  r.headers.emplace_back("Cache-Control", "no-store");
  r.body = body.dump() + "\n";
  return r;
}

// The word of the request's body; empty when there is none.
std::string action_of(std::string_view body) {
  const auto given = json::parse(body, nullptr, false);
  if (!given.is_object()) return {};
  const auto action = given.find("action");
  return action != given.end() && action->is_string() ? action->get<std::string>() : std::string{};
}

}  // namespace

http_response admin_handlers::list() const {
  json all = json::array();
  for (auto* d : dependencies_) all.push_back(to_json(*d));
  return json_response({{"breakers", std::move(all)}});
}

http_response admin_handlers::act(request_scope& scope, std::string_view name) {
  const auto at = std::find_if(dependencies_.begin(), dependencies_.end(), [&](auto* d) { return d->name() == name; });
  if (at == dependencies_.end()) {
    return scope.refuse(404, "no-such-breaker", "The breakers are named by GET /admin/breakers.");
  }
  dependency& d = **at;
  const std::string action = action_of(scope.http.body);
  const time_point now = steady_clock::now();
  breaker_transition moved{};
  if (action == "isolate") {
    moved = d.breaker().isolate(now);
  } else if (action == "force_close") {
    moved = d.breaker().force_close(now);
  } else if (action == "release") {
    moved = d.breaker().release(now);
  } else {
    return scope.refuse(422, "unknown-action", R"(Send {"action":"isolate"}, "release" or "force_close".)");
  }
  if (moved) d.on_transition(scope.whose, moved);
  return json_response(to_json(d));
}

}  // namespace holdfast::serve
