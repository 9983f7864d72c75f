// SPDX-License-Identifier: MIT
#include "holdfast/policy/adaptive_limit.hpp"

namespace holdfast {

adaptive_limit::adaptive_limit(const adaptive_limit_options& options, std::uint32_t initial,
                               step_function step) noexcept
    : limit_(initial), window_(options.window), min_results_(options.min_results), step_(step) {
  HOLDFAST_ASSERT(!validate(options));
}

void adaptive_limit::raise_highest(std::uint64_t mine) noexcept {
  std::uint64_t seen = highest_.load(mo::relaxed);  // hint: the exchange decides
  // counter: publishes nothing but itself
  while (is_above(mine, seen) && !highest_.compare_exchange_weak(seen, mine, mo::relaxed, mo::relaxed)) {
  }
}

limit_window adaptive_limit::read(std::uint32_t window) const noexcept {
  counters::sums sums{};
  counts_.read_one(window, sums);
  latency_counts latencies;
  std::copy_n(sums.begin(), latencies.counts.size(), latencies.counts.begin());
  const std::uint64_t highest = highest_.load(mo::relaxed);  // counter: what was counted before is not later
  return {.min_rtt = latencies.least(),
          .p50 = latencies.percentile(500),
          .p90 = latencies.percentile(900),
          .samples = latencies.count(),
          .drops = sums[drops],
          .in_flight_max = window_of(highest >> 32U) == window ? highest & 0xFFFF'FFFFU : 0};
}

bool adaptive_limit::try_close(std::int64_t due, time_point now) noexcept {
  // [V1] acquire, pairs with [V2]: the algorithm as who closed last left it
  // hint: on failure another closes this window, or has
  if (!closes_at_.compare_exchange_strong(due, being_closed, mo::acquire, mo::relaxed)) return false;
  const std::int64_t ns = now.time_since_epoch().count();
  const std::int64_t probe_until = probe_until_.get();
  const std::uint64_t turn = turn_.load(mo::relaxed);  // own: written below alone
  const limit_window seen = read(window_of(turn));
  const bool enough = seen.samples + seen.drops >= min_results_;
  // A probe of slow calls goes on until it can measure anything.
  const bool probed = probe_until != 0 && ns >= probe_until &&
                      (seen.samples >= least_probed || ns >= probe_until + (most_probe_windows - 1) * window_.count());
  const bool over = due != not_begun && (enough || probed);
  bool probing = probe_until != 0;
  if (over) {
    const limit_step next = step_(*this, seen);
    HOLDFAST_ASSERT(next.limit != 0);
    probing = next.probe;
    probe_until_.set(probing ? ns + window_.count() : 0);
    limit_.store(next.limit, mo::relaxed);  // counter: only itself; [V2] orders it for who closes next
    // own: who reads an older one counts for an older window
    turn_.store(pack(epoch_of(turn) + (next.new_epoch ? 1 : 0), window_of(turn) + 1), mo::relaxed);
    const totals before = totals_.read();
    totals_.write({before.windows + 1, before.drops + seen.drops, probing ? 1U : 0U, seen});
  }
  // Whether a probe has enough calls is looked at more often.
  const std::int64_t length = probing ? window_.count() / 8 : window_.count();
  closes_at_.store(ns + length, mo::release);  // [V2] release, pairs with [V1]: hands the algorithm on
  return over;
}

adaptive_limit_snapshot adaptive_limit::snapshot() const noexcept {
  const totals all = totals_.read();
  return {.limit = limit(),
          .epoch = epoch_of(turn_.load(mo::relaxed)),  // hint: a stale observer's view
          .windows = all.windows,
          .drops = all.drops,
          .stale = stale_.load(mo::relaxed),  // counter:
          .probing = all.probing != 0,
          .last = all.last};
}

}  // namespace holdfast
