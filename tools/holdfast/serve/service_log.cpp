// SPDX-License-Identifier: MIT
#include "serve/service_log.hpp"

namespace holdfast::serve {

void service_log::request(const context& whose, const request_record& r) noexcept {
  const auto watched = watch_.enter();
  const auto thousandth = static_cast<std::int64_t>(random_id_bits() % 1'000);
  if (r.status < 400 && thousandth >= sample_) return;
  const context_scope scope(whose);
  const std::string_view tier = r.tier.empty() ? std::string_view("none") : r.tier;
  const std::string_view path = r.path.substr(0, 256);
  if (r.status >= 500) {
    HOLDFAST_LOG(sink_, error, "request failed", {"method", r.method}, {"path", path}, {"status", r.status},
                 {"tier", tier}, {"duration_ns", r.took}, {"bytes", r.bytes}, {"peer", r.peer}, {"why", r.why});
  } else if (r.status >= 400) {
    HOLDFAST_LOG(sink_, warn, "request refused", {"method", r.method}, {"path", path}, {"status", r.status},
                 {"tier", tier}, {"duration_ns", r.took}, {"bytes", r.bytes}, {"peer", r.peer}, {"why", r.why});
  } else {
    HOLDFAST_LOG(sink_, info, "request", {"method", r.method}, {"path", path}, {"status", r.status}, {"tier", tier},
                 {"duration_ns", r.took}, {"bytes", r.bytes}, {"peer", r.peer});
  }
}

void service_log::probed(const context& whose, std::string_view dependency, const attempt& which, verdict kind,
                         duration took) noexcept {
  const auto watched = watch_.enter();
  const context_scope scope(whose);
  HOLDFAST_LOG(sink_, info, "probe", {"dependency", dependency}, {"generation", which.generation}, {"verdict", kind},
               {"duration_ns", took});
}

void service_log::attempt_failed(const context& whose, std::string_view dependency, const attempt& which, verdict kind,
                                 duration took) noexcept {
  const auto watched = watch_.enter();
  const context_scope scope(whose);
  HOLDFAST_LOG(sink_, debug, "attempt failed", {"dependency", dependency}, {"attempt", which.number},
               {"generation", which.generation}, {"verdict", kind}, {"duration_ns", took});
}

void service_log::retrying(const context& whose, std::string_view dependency, unsigned tries, duration after,
                           const error& why) noexcept {
  const auto watched = watch_.enter();
  const context_scope scope(whose);
  HOLDFAST_LOG(sink_, debug, "retrying", {"dependency", dependency}, {"tries", tries}, {"after_ns", after},
               {"error", why});
}

void service_log::tier_failed(const context& whose, std::string_view dependency, const error& why) noexcept {
  const auto watched = watch_.enter();
  const context_scope scope(whose);
  HOLDFAST_LOG(sink_, info, "tier failed", {"dependency", dependency}, {"error", why});
}

void service_log::breaker_moved(const context& whose, std::string_view dependency, const breaker_transition& moved,
                                const breaker_snapshot& now, const dependency_options& rule) noexcept {
  const auto watched = watch_.enter();
  const context_scope scope(whose);
  HOLDFAST_LOG(sink_, warn, "breaker moved", {"breaker", dependency}, {"from", moved.from}, {"to", moved.to},
               {"cause", moved.cause}, {"generation", moved.generation}, {"opens", now.opens}, {"closes", now.closes},
               {"open_remaining_ns", now.open_remaining}, {"probes", rule.probes}, {"probes_issued", now.probes_issued},
               {"probes_ok", now.probes_ok}, {"window_ok", now.window_ok}, {"window_failed", now.window_failed},
               {"window_slow", now.window_slow}, {"failures_in_row", now.failures_in_row},
               {"rule_consecutive", rule.consecutive_failures}, {"rule_permille", rule.failure_permille},
               {"rule_slow_call_ns", rule.slow_call}, {"rule_slow_permille", rule.slow_permille},
               {"rule_min_calls", rule.min_calls});
}

void service_log::budget_exhausted(const context& whose, std::string_view dependency, const error& why,
                                   std::uint32_t held_back) noexcept {
  const auto watched = watch_.enter();
  const context_scope scope(whose);
  HOLDFAST_LOG(sink_, warn, "retry budget exhausted", {"dependency", dependency}, {"held_back", held_back},
               {"error", why});
}

void service_log::follower_changed(std::string_view follower, const error* why) noexcept {
  if (why == nullptr) {
    HOLDFAST_LOG(sink_, info, "follower is complete again", {"follower", follower});
  } else {
    HOLDFAST_LOG(sink_, warn, "follower falls behind", {"follower", follower}, {"error", *why});
  }
}

void service_log::startup_incomplete(milliseconds waited) noexcept {
  HOLDFAST_LOG(sink_, warn, "serving before all followers are complete", {"waited_ns", waited});
}

void service_log::cdn_process(std::string_view what, int pid, unsigned port) noexcept {
  HOLDFAST_LOG(sink_, warn, "CDN process", {"event", what}, {"pid", pid}, {"port", port});
}

void service_log::started(unsigned port, unsigned admin_port, int cdn_pid) noexcept {
  HOLDFAST_LOG(sink_, info, "serving", {"port", port}, {"admin_port", admin_port}, {"cdn_pid", cdn_pid});
}

void service_log::draining(std::int64_t connections) noexcept {
  HOLDFAST_LOG(sink_, info, "draining", {"connections", connections});
}

void service_log::stopped(bool drained) noexcept {
  sink_.flush();
  const log_stats stats = sink_.stats();
  HOLDFAST_LOG(sink_, info, "stopped", {"drained", drained}, {"log_written", stats.written},
               {"log_lost", stats.lost()});
}

}  // namespace holdfast::serve
