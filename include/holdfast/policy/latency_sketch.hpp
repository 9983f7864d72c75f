// SPDX-License-Identifier: MIT
// latency_sketch: how long the calls of the last while took, for policies that ask what is usual.
//
//   operation    caller       progress                         cost                             allocates   when refused
//   record       any thread   wait-free with a place of its    a multiplication, two loads      never       -
//                             own, else lock-free              and a store; else one CAS
//   recent       any thread   wait-free                        32 loads a thread, for each      never       -
//                                                              factor of four there is
//   percentile   any thread   wait-free                        the same                         never       zero when empty
//
// In short: any thread | wait-free with a slot, else lock-free | never | zero when nothing was recorded
//
//   L1 A percentile is never below the true one of what was recorded, and at most a sixteenth of it or 64 ns above, up to
//      68 s. Longer calls count as 68 s; a duration below zero as zero.
//   L2 What was recorded counts for one to two windows, and then no more, though nothing clears it. A reading of the clock
//      that is older than what was recorded finds that as well: a clock that goes back makes it longer, never blind.
//      The exception: a bucket that nothing came to for 2^24 windows may show its old counts for 65 of them
//      (policy/window_counts.hpp).
//   L3 What many threads record is there, all of it, once they are done (up to 2^20 - 1 a window, bucket and place: sixteen
//      threads have one each, all others share one).
//
// When to use: the delay of a hedge from the latencies that its own dependency has; windows of an adaptive limit. To be asked
// seldom beside how often it is told. For people's eyes, over all time: telemetry/histogram.hpp.
//
// Memory: 60 KiB, and no pointer: 432 buckets for each of 16 threads and for all others together. Latencies within a factor
// of four touch 256 bytes a thread.
// Method: two rotating histograms (tower's hedge), in buckets of HdrHistogram; the number of the window stands in each word, so
// that rotation is nobody's task: policy/window_counts.hpp.
// Proof: unit/latency_sketch_test.cpp (L1, L2), stress/latency_sketch_stress.cpp (L3), model/latency_sketch_model.cpp,
// alloc/policy_alloc_test.cpp, bench/adaptive_limit_bench.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/log_buckets.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/policy/window_counts.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/epochs.hpp"

namespace holdfast {

struct latency_sketch_options {
  duration window = std::chrono::seconds(10);
};
static_assert(std::is_aggregate_v<latency_sketch_options>);

constexpr option_error validate(const latency_sketch_options& o) noexcept {
  using std::chrono::hours, std::chrono::milliseconds;
  return first_of(at_least("window", o.window.count(), duration(milliseconds(10)).count()),
                  at_most("window", o.window.count(), duration(hours(1)).count()));
}

// Latencies, counted by how long they are.
struct latency_counts {
  static constexpr unsigned unit_bits = 6;  // a unit is 64 ns: nobody adapts to less
  using buckets = log_buckets<4, 29>;
  static constexpr duration longest{(std::int64_t{1} << (30U + unit_bits)) - 1};

  static constexpr std::size_t bucket_of(duration took) noexcept {
    return buckets::index_of(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)) >> unit_bits);
  }

  [[nodiscard]] constexpr std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const auto n : counts) all += n;
    return all;
  }
  // The longest that counts as a call that took so long does: what a percentile says of it.
  static constexpr duration rounded_up(duration took) noexcept { return end_of(bucket_of(took)); }

  // What a share of `permille` thousandths does not exceed: 500 is the median. Zero if there is nothing.
  [[nodiscard]] constexpr duration percentile(std::uint32_t permille) const noexcept {
    HOLDFAST_ASSERT(permille <= 1000);
    const std::uint64_t rank = rank_of(permille, count());
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      passed += counts[i];
      if (passed >= rank) return end_of(i);
    }
    return duration::zero();
  }
  // The shortest: never above the true one, and at most a sixteenth of it or 64 ns below. Zero if there is nothing.
  [[nodiscard]] constexpr duration least() const noexcept {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] != 0) return duration(static_cast<std::int64_t>(buckets::lower_bound(i) << unit_bits));
    }
    return duration::zero();
  }

  std::array<std::uint64_t, buckets::count> counts{};

 private:
  static constexpr duration end_of(std::size_t bucket) noexcept {
    return duration(static_cast<std::int64_t>((buckets::upper_bound(bucket) + 1) << unit_bits) - 1);
  }
};

class latency_sketch {
 public:
  explicit latency_sketch(const latency_sketch_options& options) noexcept : epochs_(options.window) {
    HOLDFAST_ASSERT(!validate(options));
  }
  latency_sketch(const latency_sketch&) = delete;
  latency_sketch& operator=(const latency_sketch&) = delete;

  [[gnu::always_inline]] void record(duration took, time_point now) noexcept {
    counts_.add(latency_counts::bucket_of(took), epochs_.of(now));
  }
  // This window and the last one.
  [[nodiscard]] latency_counts recent(time_point now) const noexcept {
    latency_counts all;
    counts_.read_last_two(epochs_.of(now), all.counts);
    return all;
  }
  [[nodiscard]] duration percentile(std::uint32_t permille, time_point now) const noexcept {
    return recent(now).percentile(permille);
  }

 private:
  epochs epochs_;
  window_counts<latency_counts::buckets::count> counts_;
};

}  // namespace holdfast
