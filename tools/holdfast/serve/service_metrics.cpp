// SPDX-License-Identifier: MIT
#include "serve/service_metrics.hpp"

#include <algorithm>
#include <stdexcept>

#include "holdfast/interop/prometheus.hpp"

#include "serve/dependency.hpp"
#include "serve/library_watch.hpp"
#include "serve/replicator.hpp"

namespace holdfast::serve {
namespace {

constexpr metrics_options room{.counters = 96, .gauges = 1, .histograms = 16, .readers = 64, .text_bytes = 64 * 1024};

// All names are ours: one that is refused is a defect of this file, and is found by the first start.
template <class Registered>
auto* must(Registered made) {
  if (!made) throw std::logic_error("a metric was not registered: " + std::string(name_of(made.why)));
  return made.metric;
}
void must(metric_errc why) {
  if (why != metric_errc::none) throw std::logic_error("a metric was not registered: " + std::string(name_of(why)));
}

// A number that `T` is asked for when the page is written.
template <class T, class Read>
void show(metrics_registry& registry, metric_kind kind, std::string_view name, std::string_view help, const T& of,
          std::string_view dependency_name, Read) {
  static_assert(std::is_empty_v<Read>);
  const metric_reader read = [](const void* self) noexcept -> double {
    return static_cast<double>(Read{}(*static_cast<const T*>(self)));
  };
  const std::array labels{metric_label{"dependency", dependency_name}};
  must(registry.add_reader(kind, name, help, read, &of,
                           dependency_name.empty() ? std::span<const metric_label>{} : labels));
}

constexpr auto age_seconds = [](const follower& f) noexcept {
  return f.as_of_ms() == 0 ? -1.0 : static_cast<double>(wall_ms() - f.as_of_ms()) / 1'000;
};

}  // namespace

dependency_metrics::dependency_metrics(metrics_registry& registry, std::string_view name) {
  const std::array labels{metric_label{"dependency", name}};
  calls_ = must(registry.add_counter("holdfast_calls_total", "Calls begun, retries not included.", labels));
  for (std::size_t i = 0; i < verdicts; ++i) {
    const std::array both{metric_label{"dependency", name}, metric_label{"verdict", name_of(static_cast<verdict>(i))}};
    attempts_[i] = must(registry.add_counter("holdfast_attempts_total", "Attempts that reached it, by verdict.", both));
  }
  retries_ = must(registry.add_counter("holdfast_retries_total", "Attempts that are repetitions.", labels));
  refused_ = must(registry.add_counter("holdfast_refused_total", "Attempts a policy refused before the call.", labels));
  given_up_ = must(registry.add_counter("holdfast_given_up_total", "Calls that ended with an error.", labels));
  latency_ = must(registry.add_histogram("holdfast_attempt_seconds", "How long attempts took.", labels));
}

dependency_counts dependency_metrics::counts() const noexcept {
  dependency_counts n{calls_->value(), 0, retries_->value(), refused_->value(), given_up_->value()};
  for (const counter* one : attempts_) n.attempts += one->value();
  return n;
}

service_metrics::service_metrics(const replicator& followers, const log_sink& log, library_watch& watch)
    : watch_(watch), registry_(room) {
  for (std::size_t t = 0; t < tiers.size(); ++t) {
    for (std::size_t c = 0; c < classes.size(); ++c) {
      const std::array labels{metric_label{"tier", tiers[t]}, metric_label{"status", classes[c]}};
      requests_[t][c] = must(registry_.add_counter("holdfast_requests_total", "Requests, by who answered.", labels));
    }
    const std::array labels{metric_label{"tier", tiers[t]}};
    latency_[t] = must(registry_.add_histogram("holdfast_request_seconds", "How long requests took.", labels));
  }
  show(registry_, metric_kind::gauge, "holdfast_follower_age_seconds",
       "Since the follower was known to be complete; -1: never yet.", followers.replica(), "replica", age_seconds);
  if (followers.has_cdn()) {
    show(registry_, metric_kind::gauge, "holdfast_follower_age_seconds", "", followers.cdn(), "cdn", age_seconds);
  }
  show(registry_, metric_kind::counter, "holdfast_log_records_written_total", "Log lines written.", log, "",
       [](const log_sink& l) noexcept { return l.stats().written; });
  show(registry_, metric_kind::counter, "holdfast_log_records_lost_total", "Log lines lost, each of them counted.", log,
       "", [](const log_sink& l) noexcept { return l.stats().lost(); });
  if (watch_.counts()) show_watch();
}

// A build that cannot count shows nothing: a zero would be a lie.
void service_metrics::show_watch() {
  show(registry_, metric_kind::counter, "holdfast_library_visits_total", "Times a request's way led into the library.",
       watch_, "", [](const library_watch& w) noexcept { return w.visits(); });
  show(registry_, metric_kind::counter, "holdfast_library_allocations_total",
       "Blocks that requests allocated inside the library.", watch_, "",
       [](const library_watch& w) noexcept { return w.allocations(); });
  show(registry_, metric_kind::counter, "holdfast_other_allocations_total",
       "Blocks that the same threads allocated outside of it.", watch_, "",
       [](const library_watch& w) noexcept { return w.allocations_elsewhere(); });
}

void service_metrics::watch(dependency& d) {
  const std::string_view name = d.name();
  show(registry_, metric_kind::gauge, "holdfast_breaker_state",
       "0 closed, 1 open, 2 half-open, 3 forced open, 4 forced closed, 5 metrics only.", d.breaker(), name,
       [](const circuit_breaker& b) noexcept { return static_cast<int>(b.state()); });
  show(registry_, metric_kind::counter, "holdfast_breaker_opens_total", "Times it opened.", d.breaker(), name,
       [](const circuit_breaker& b) noexcept { return b.snapshot(steady_clock::now()).opens; });
  show(registry_, metric_kind::counter, "holdfast_breaker_rejected_total", "Calls it refused.", d.breaker(), name,
       [](const circuit_breaker& b) noexcept { return b.snapshot(steady_clock::now()).rejected; });
  show(registry_, metric_kind::gauge, "holdfast_breaker_window_slow", "Slow calls in its window.", d.breaker(), name,
       [](const circuit_breaker& b) noexcept { return b.snapshot(steady_clock::now()).window_slow; });
  show(registry_, metric_kind::gauge, "holdfast_retry_budget_tokens", "Retries that are allowed now.", d.budget(), name,
       [](const retry_budget& b) noexcept { return b.balance_milli(steady_clock::now()) / 1e3; });
  show(registry_, metric_kind::counter, "holdfast_retry_budget_denied_total", "Retries it refused.", d.budget(), name,
       [](const retry_budget& b) noexcept { return b.denied(); });
  show(registry_, metric_kind::gauge, "holdfast_bulkhead_in_flight", "Attempts inside now.", d.room(), name,
       [](const bulkhead& b) noexcept { return b.in_flight(); });
  show(registry_, metric_kind::counter, "holdfast_bulkhead_refused_total", "Attempts it had no place for.", d.room(),
       name, [](const bulkhead& b) noexcept { return b.refused(); });
  show(registry_, metric_kind::gauge, "holdfast_bulkhead_waiting", "Attempts that wait for a place now.", d.room(),
       name, [](const bulkhead& b) noexcept { return b.waiting(); });
  show(registry_, metric_kind::counter, "holdfast_bulkhead_timed_out_total", "Attempts that waited for one in vain.",
       d.room(), name, [](const bulkhead& b) noexcept { return b.snapshot().timed_out; });
}

std::size_t service_metrics::index_of_tier(std::string_view tier) noexcept {
  const auto at = std::find(tiers.begin(), tiers.end(), tier);
  return at == tiers.end() ? tiers.size() - 1 : static_cast<std::size_t>(at - tiers.begin());
}

void service_metrics::on_request(int status, std::string_view tier, duration took) noexcept {
  const auto watched = watch_.enter();
  const std::size_t t = index_of_tier(tier);
  const auto c = static_cast<std::size_t>(std::clamp(status / 100, 2, 5) - 2);
  requests_[t][c]->add();
  latency_[t]->record(took);
}

std::string service_metrics::page() const {
  std::string text;
  auto sink = [&](std::string_view piece) { text += piece; };
  write_prometheus(registry_, sink);
  return text;
}

}  // namespace holdfast::serve
