// SPDX-License-Identifier: MIT
// A pipeline allocates nothing, whichever way its calls end: answered, repeated, refused by each of its layers, out of time,
// cancelled, or answered by a tier.
#include <cstdint>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/pipeline.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;

TEST_CASE("a pipeline's calls allocate nothing, however they end", "[alloc][pipeline]") {
  manual_clock clock;
  rate_limiter door({.permits = 1'000, .burst = 20});
  rate_limiter pace({.permits = 1'000, .burst = 20});
  bulkhead room({.limit = 1});
  circuit_breaker judge({.consecutive_failures = 5, .probes = 1, .open_base = 20ms, .open_max = 40ms});
  retry_budget budget({.ratio_permille = 100, .min_per_second = 10, .burst = 20});
  int from_cache = 0;
  const pipeline pipe("orders",
                      with::fallback(with::tier("cache",
                                                [&](const error&, const call_context&) -> aged<int> {
                                                  ++from_cache;
                                                  return {1, 10s};
                                                })),
                      with::deadline(30ms), with::rate(door), with::bulkhead(room),
                      with::retry({.max_attempts = 3, .backoff = {.base = 1ms, .cap = 4ms}}, budget, with::idempotent),
                      with::breaker(judge), with::rate(pace), with::attempt_timeout(5ms));
  int ok = 0;
  int cancelled = 0;
  std::uint64_t refused_by[64]{};
  CHECK(allocations_in([&] {
          for (int i = 0; i < 20'000; ++i) {
            const bool outage = i / 500 % 2 == 1;
            const auto held = i % 50 == 7 ? room.try_acquire() : bulkhead::permit{};
            const served<int> got = pipe(
                {},
                [&](const attempt&) -> outcome<int> {
                  clock.advance(i % 11 == 0 ? 6ms : 100us);
                  if (outage) return make_error(http_error(503));
                  return 2;
                },
                clock,
                [&](time_point until) {
                  clock.set(until);
                  return i % 5 != 0;
                });
            ok += got.ok() && !got.degraded() ? 1 : 0;
            cancelled += !got.ok() && got.result.error().code == errc::cancelled ? 1 : 0;
            if (got.has_origin() && got.origin.kind == verdict::rejected) ++refused_by[got.origin.code.value()];
            if (i % 40 == 0) clock.advance(20ms);
          }
        }) == 0);
  CHECK(ok > 2'000);
  CHECK(from_cache > 2'000);
  CHECK(cancelled > 10);
  CHECK(refused_by[static_cast<int>(errc::rate_limited)] > 10);
  CHECK(refused_by[static_cast<int>(errc::bulkhead_full)] > 10);
  CHECK(refused_by[static_cast<int>(errc::breaker_open)] > 10);
}
