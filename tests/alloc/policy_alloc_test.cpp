// SPDX-License-Identifier: MIT
// Policies and metrics allocate nothing after construction, whichever way a call ends.
#include <array>
#include <string_view>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/cached_call.hpp"
#include "holdfast/interop/prometheus.hpp"
#include "holdfast/policy/adaptive_limit.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/fallback.hpp"
#include "holdfast/policy/latency_sketch.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/policy/retry_after.hpp"
#include "holdfast/telemetry/metrics.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;

namespace {
constexpr time_point start{1h};
constexpr int rounds = 1'000;
}  // namespace

TEST_CASE("retries are decided, granted and refused without an allocation", "[alloc]") {
  retry_budget budget({.ratio_permille = 100, .min_per_second = 10, .burst = 20});
  const std::array<error, 4> errors = {error(http_error(503), verdict::transient),
                                       error(http_error(429), verdict::throttled, 1s), error(errc::bulkhead_full),
                                       error(http_error(404), verdict::permanent)};
  int retried = 0;
  int refused = 0;
  CHECK(allocations_in([&] {
          for (int kind = 0; kind <= static_cast<int>(backoff_kind::smooth_exponential); ++kind) {
            const retry_options options{.max_attempts = 3, .backoff = {.kind = static_cast<backoff_kind>(kind)}};
            for (int i = 0; i < rounds; ++i) {
              const time_point now = start + i * 1ms;
              budget.on_first_attempt(now);
              const auto next = should_retry(options, errors[static_cast<std::size_t>(i) % errors.size()],
                                             static_cast<std::uint16_t>(1 + i % 3), idempotency::idempotent, now,
                                             deadline::after(now, 5s), &budget, 10ms, shared_random);
              next.retry ? ++retried : ++refused;
            }
          }
          static_cast<void>(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 0));
          static_cast<void>(parse_retry_after("120", 0));
          static_cast<void>(parse_retry_pushback("120"));
          static_cast<void>(parse_retry_pushback("-1"));
        }) == 0);
  CHECK(retried > 0);
  CHECK(refused > 0);
  CHECK(budget.denied() > 0);
}

TEST_CASE("a bulkhead admits, refuses and changes its limit without an allocation", "[alloc]") {
  bulkhead room({.limit = 2});
  CHECK(allocations_in([&] {
          for (int i = 0; i < rounds; ++i) {
            const auto a = room.try_acquire();
            auto b = room.try_acquire();
            const auto refused = room.try_acquire();
            auto moved = std::move(b);
            room.set_limit(static_cast<std::uint32_t>(1 + i % 3));
          }
        }) == 0);
  CHECK(room.refused() > 0);
}

TEST_CASE("latencies are recorded and asked for, and limits found from them, without an allocation", "[alloc]") {
  latency_sketch sketch({});
  adaptive_limit_by<vegas> by_vegas({.min_results = 10}, {.probe_every = 5});
  adaptive_limit_by<gradient> by_gradient({.min_results = 10}, {.probe_every = 5});
  adaptive_limit_by<gradient2> by_gradient2({.min_results = 10});
  adaptive_limit_by<aimd> by_aimd({.min_results = 10});
  CHECK(allocations_in([&] {
          for (int i = 0; i < rounds; ++i) {
            const time_point now = start + i * 20ms;
            sketch.record(i * 1us, now);
            static_cast<void>(sketch.percentile(950, now));
            for (adaptive_limit* limit :
                 {static_cast<adaptive_limit*>(&by_vegas), static_cast<adaptive_limit*>(&by_gradient),
                  static_cast<adaptive_limit*>(&by_gradient2), static_cast<adaptive_limit*>(&by_aimd)}) {
              limit->end(limit->begin(now - 5ms, 30), static_cast<verdict>(i % 8), now);
              static_cast<void>(limit->snapshot());
            }
          }
        }) == 0);
  CHECK(by_vegas.snapshot().windows > 10);
  CHECK(by_vegas.snapshot().epoch > 1);
  CHECK(by_aimd.snapshot().windows > 10);
}

TEST_CASE("a cache is read, written, evicts and forgets without an allocation", "[alloc]") {
  cache<std::uint64_t, byte_payload<1'000>> c({.capacity = 32});
  std::uint64_t hits = 0;
  CHECK(allocations_in([&] {
          for (std::uint64_t i = 0; i < rounds; ++i) {
            byte_payload<1'000> value;
            value.assign("a profile");
            static_cast<void>(c.put(i % 100, value, start));
            hits += c.get(i % 100, start) ? 1U : 0U;
            static_cast<void>(c.get(i * 7, start + 1h));
            if (i % 10 == 0) c.erase(i % 100);
          }
        }) == 0);
  CHECK(hits > 0);
  CHECK(c.evicted() > 0);
}

TEST_CASE("reads through a cache, their flights, failures and refreshes allocate nothing", "[alloc]") {
  swr_cache<std::uint64_t, byte_payload<100>> c({.capacity = 32, .failures = 32, .flights = 8});
  manual_clock clock(start);
  std::array<std::uint64_t, 6> ends{};
  CHECK(allocations_in([&] {
          for (std::uint64_t i = 0; i < rounds; ++i) {
            byte_payload<100> value;
            value.assign("a profile");
            const auto fetch = [&](const call_context&) -> outcome<byte_payload<100>> {
              if (i % 3 == 0) return error(http_error(404), verdict::permanent);
              return value;
            };
            auto got = get_or_fetch(c, i % 5, {.until = deadline(clock.now() + 1s)}, clock, fetch);
            ++ends.at(static_cast<std::size_t>(got.by));
            if (got.due) static_cast<void>(refresh(c, std::move(got.due), {}, clock, fetch));
            const auto others = c.ask(i % 5, clock.now());
            const auto follower = c.ask(i % 5, clock.now());
            if (follower.other) CHECK_FALSE(follower.other.wait(deadline(time_point{})));
            if (i % 10 == 0) c.forget(i % 5);
            clock.advance(150ms);
          }
        }) == 0);
  for (const answered_by by : {answered_by::fresh, answered_by::stale, answered_by::negative, answered_by::fetch}) {
    CHECK(ends.at(static_cast<std::size_t>(by)) > 0);
  }
}

TEST_CASE("a request walks its tiers without an allocation, to an answer or to none", "[alloc]") {
  constexpr fallback_plan plan{.tiers = {{{.name = "primary"}, {.name = "cache"}, {.name = "default"}}}};
  int answered = 0;
  CHECK(allocations_in([&] {
          for (int i = 0; i < rounds; ++i) {
            fallback_walk walk(plan, start, {});
            for (int failures = i % 4; failures > 0 && walk.has_tier(); --failures) {
              walk.failed(errc::breaker_open, start);
            }
            answered += (walk.has_tier() ? walk.answered(outcome<int>(i)) : walk.exhausted<int>()).ok() ? 1 : 0;
          }
        }) == 0);
  CHECK(answered == rounds * 3 / 4);
}

TEST_CASE("metrics are counted, read and written as a page without an allocation", "[alloc]") {
  metrics_registry registry({});
  const std::array labels{metric_label{"tier", "primary"}};
  auto& requests = *registry.add_counter("requests_total", "Requests.", labels).metric;
  auto& depth = *registry.add_gauge("depth", "Depth.").metric;
  auto& latency = *registry.add_histogram("latency_seconds", "Latency.").metric;
  std::vector<char> page(64 * 1024);
  std::size_t used = 0;
  CHECK(allocations_in([&] {
          for (int i = 0; i < rounds; ++i) {
            requests.add();
            depth.add(i);
            latency.record(i * 1us);
          }
          static_cast<void>(latency.snapshot().quantile(990));
          // Registering too: the storage is there.
          static_cast<void>(registry.add_counter("later_total", "Later.", labels));
          write_prometheus(registry, [&](std::string_view piece) {
            piece.copy(page.data() + used, page.size() - used);
            used += piece.size();
          });
        }) == 0);
  CHECK(used > 500);
  CHECK(requests.value() == rounds);
}
