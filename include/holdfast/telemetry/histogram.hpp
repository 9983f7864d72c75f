// SPDX-License-Identifier: MIT
// histogram: how long things took, in buckets whose width grows with the value.
//
//   operation            caller       progress    cost                        allocates   when refused
//   record               any thread   lock-free   two fetch_add, one load     never       -
//   snapshot             any thread   wait-free   one load a bucket           never       -
//   snapshot::quantile   its owner    -           one pass over the buckets   never       zero when empty
//
// In short: any thread | lock-free | never | -
//
// Log-linear: each power of two of nanoseconds is split into 16 equal buckets, and values below 16 ns have one each. So
// the bound that quantile() names is at most 1/16 above the true value, from nanoseconds to the longest value that is
// told apart, 2^42 ns (73 minutes); longer ones count in the last bucket, and max() still tells how long. Negative
// durations count as zero.
//
// A snapshot is not one instant: records that run beside it may be in its buckets and not yet in its sum. Its count is
// the sum of its buckets, so that quantiles always refer to what is in it. Snapshots can be added (several services) and
// subtracted (what happened between two).
//
// Memory: 5 KiB, the same for a snapshot. Method: HdrHistogram (Tene), with one significant figure of four bits, by
// core/log_buckets.hpp.
// Proof: model/histogram_model.cpp (every execution of small cases), unit/metrics_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/log_buckets.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

using histogram_buckets = log_buckets<4, 41>;

class histogram_snapshot {
 public:
  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const auto n : buckets) all += n;
    return all;
  }
  // Records of at most `bound`, exact where `bound` + 1 ns is a power of two, else by the bucket that `bound` falls into.
  [[nodiscard]] std::uint64_t count_up_to(duration bound) const noexcept {
    if (bound < duration::zero()) return 0;
    const auto last = histogram_buckets::index_of(static_cast<std::uint64_t>(bound.count()));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i <= last; ++i) below += buckets[i];
    return below;
  }
  // The value that a share of `permille` thousandths of the records does not exceed: 500 is the median, 999 the p99.9.
  // Never above max().
  [[nodiscard]] duration quantile(std::uint32_t permille) const noexcept {
    HOLDFAST_ASSERT(permille <= 1000);
    const std::uint64_t all = count();
    if (all == 0) return duration::zero();
    const std::uint64_t rank = rank_of(permille, all);
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      passed += buckets[i];
      if (passed >= rank) {
        if (i + 1 == buckets.size()) return max;
        return std::min(max, duration(static_cast<std::int64_t>(histogram_buckets::upper_bound(i))));
      }
    }
    return max;
  }

  histogram_snapshot& operator+=(const histogram_snapshot& other) noexcept {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
    sum += other.sum;
    max = std::max(max, other.max);
    return *this;
  }
  // What came after `earlier`, an older snapshot of the same histogram. `max` stays that of the whole time.
  histogram_snapshot& operator-=(const histogram_snapshot& earlier) noexcept {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] -= earlier.buckets[i];
    sum -= earlier.sum;
    return *this;
  }

  std::array<std::uint64_t, histogram_buckets::count> buckets{};
  duration sum{};
  duration max{};
};

class histogram {
 public:
  histogram() noexcept = default;
  histogram(const histogram&) = delete;
  histogram& operator=(const histogram&) = delete;

  void record(duration value) noexcept {
    const std::int64_t ns = std::max<std::int64_t>(0, value.count());
    // counter: a bucket publishes nothing but itself
    buckets_[histogram_buckets::index_of(static_cast<std::uint64_t>(ns))].fetch_add(1, mo::relaxed);
    sum_.fetch_add(ns, mo::relaxed);                                                              // counter: as above
    std::int64_t longest = max_.load(mo::relaxed);                                                // counter: as above
    while (ns > longest && !max_.compare_exchange_weak(longest, ns, mo::relaxed, mo::relaxed)) {  // counter: as above
    }
  }

  [[nodiscard]] histogram_snapshot snapshot() const noexcept {
    histogram_snapshot s;
    for (std::size_t i = 0; i < s.buckets.size(); ++i)
      s.buckets[i] = buckets_[i].load(mo::relaxed);  // counter: as above
    s.sum = duration(sum_.load(mo::relaxed));        // counter: as above
    s.max = duration(max_.load(mo::relaxed));        // counter: as above
    return s;
  }

 private:
  std::array<atomic<std::uint64_t>, histogram_buckets::count> buckets_{};
  alignas(cache_line_size) atomic<std::int64_t> sum_{0};  // nanoseconds; wraps after 292 years of waiting
  atomic<std::int64_t> max_{0};
};

}  // namespace holdfast
