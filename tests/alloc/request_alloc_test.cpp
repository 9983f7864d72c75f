// SPDX-License-Identifier: MIT
// A request's whole way through the library: context, guarded calls that succeed, fail, retry and are refused, fallback to
// a cache, metrics and log lines. No step of it allocates, whichever way the request ends.
#include <cstdint>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/fallback.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/log_sink.hpp"
#include "holdfast/telemetry/metrics.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;

namespace {

constexpr verdict_mask any_failure{verdict::transient, verdict::throttled, verdict::timeout,
                                   verdict::permanent, verdict::rejected,  verdict::stale};
constexpr fallback_plan plan{.tiers = {{{"primary", any_failure}, {"cache", any_failure}, {"default", any_failure}}}};

struct logging_observer {
  log_sink& sink;
  counter& attempts;
  histogram& latency;

  void on_attempt(const guard& g, const attempt& a, verdict kind, duration took) noexcept {
    attempts.add();
    latency.record(took);
    if (kind != verdict::ok) {
      HOLDFAST_LOG(sink, warn, "attempt failed", {"dependency", g.name}, {"attempt", a.number}, {"verdict", kind});
    }
  }
  void on_refusal(const guard& g, const error& why) noexcept {
    HOLDFAST_LOG(sink, info, "refused", {"dependency", g.name}, {"error", why});
  }
  void on_transition(const guard& g, const breaker_transition& moved) noexcept {
    HOLDFAST_LOG(sink, warn, "breaker moved", {"dependency", g.name}, {"to", moved.to});
  }
  void on_retry(const guard& g, const error& why, std::uint16_t, duration after) noexcept {
    HOLDFAST_LOG(sink, info, "retrying", {"dependency", g.name}, {"error", why}, {"after_ns", after});
  }
  void on_give_up(const guard& g, const error& why) noexcept {
    HOLDFAST_LOG(sink, warn, "gave up", {"dependency", g.name}, {"error", why});
  }
};

void discard(void*, std::string_view) {}

}  // namespace

TEST_CASE("a request allocates nothing in the library, healthy or in an outage", "[alloc][call]") {
  manual_clock clock;
  bulkhead room({.limit = 8});
  circuit_breaker breaker({.consecutive_failures = 4, .probes = 2, .open_base = 100ms, .open_max = 200ms});
  retry_budget budget({.ratio_permille = 100});
  const guard primary{.name = "primary",
                      .room = &room,
                      .breaker = &breaker,
                      .budget = &budget,
                      .retry = {.max_attempts = 3, .backoff = {.base = 1ms, .cap = 5ms}},
                      .attempt_timeout = 50ms};
  cache<std::uint64_t, std::uint64_t> kept({.capacity = 1024, .fresh_for = 10ms, .stale_for = 10min});
  metrics_registry registry({});
  log_options to_nowhere;
  to_nowhere.output = log_output::to_callback(discard, nullptr);
  log_sink sink(to_nowhere);
  REQUIRE_FALSE(sink.start());
  logging_observer observer{sink, *registry.add_counter("attempts_total", "Attempts.").metric,
                            *registry.add_histogram("latency_seconds", "Latency.").metric};
  HOLDFAST_LOG(sink, info, "the first call of a thread takes its lane");

  int by_primary = 0;
  int by_cache = 0;
  int by_default = 0;
  const auto request = [&](std::uint64_t id, bool outage) {
    clock.advance(100us);  // requests come on, also while the breaker refuses
    const context_scope scope(accept_context("", ""));
    const auto until = deadline::after(clock.now(), 200ms);
    for (fallback_walk walk(plan, clock.now(), until); walk.has_tier();) {
      if (walk.tier() == 0) {
        const auto answer = run(
            primary, {.until = until, .safety = idempotency::idempotent}, clock,
            [&](const attempt&) -> outcome<std::uint64_t> {
              clock.advance(100us);
              if (outage) return make_error(sqlite_error(5));
              return id * 2;
            },
            [&](time_point wake) {
              clock.set(wake);
              return true;
            },
            observer);
        if (answer) {
          static_cast<void>(kept.put(id, *answer, clock.now()));
          ++by_primary;
          return;
        }
        walk.failed(answer.error(), clock.now());
      } else if (walk.tier() == 1) {
        if (const auto hit = kept.get(id, clock.now())) {
          ++by_cache;
          return;
        }
        walk.failed(make_error(http_error(404)), clock.now());
      } else {
        ++by_default;
        return;
      }
    }
  };

  CHECK(allocations_in([&] {
          for (std::uint64_t i = 0; i < 30'000; ++i) {
            const bool outage = i >= 10'000 && i < 20'000;
            request(i % 700 + (outage ? i % 3 * 1'000 : 0), outage);
          }
        }) == 0);
  CHECK(by_primary >= 15'000);
  CHECK(by_cache > 1'000);
  CHECK(by_default > 1'000);
  CHECK(breaker.snapshot(clock.now()).opens > 0);
  CHECK(breaker.state() == breaker_state::closed);
  sink.stop();
}
