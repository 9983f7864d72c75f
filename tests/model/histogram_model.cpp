// SPDX-License-Identifier: MIT
// A snapshot reads more than six hundred buckets, so one beside other threads is looked at with one writer, and the others
// are taken when all have ended.
#include <cstddef>
#include <cstdint>

#include "holdfast/telemetry/histogram.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr duration most{std::int64_t{1} << 62U};

// Three record, two of them into one bucket: none is lost, and the maximum is that of all.
struct three_record {
  static constexpr unsigned threads = 3;
  histogram h;

  void run(unsigned thread) {
    h.record(duration(thread == 2 ? 900 : 7));
    if (thread == 0) h.record(duration(901));
  }
  void after() {
    const histogram_snapshot s = h.snapshot();
    MODEL_CHECK(s.count() == 4);
    MODEL_CHECK(s.buckets[7] == 2);
    MODEL_CHECK(s.buckets[histogram_buckets::index_of(900)] == 2);
    MODEL_CHECK(s.sum == duration(7 + 7 + 900 + 901));
    MODEL_CHECK(s.max == duration(901));
    MODEL_CHECK(s.quantile(500) == duration(7));
  }
};
MODEL_SCENARIO("histogram", three_record, {});

// The longest and the shortest: beyond the last bucket, below zero; the sum wraps.
struct extremes {
  static constexpr unsigned threads = 3;
  histogram h;

  void run(unsigned thread) {
    h.record(thread == 2 ? duration(-5) : most);
    if (thread == 0) h.record(most);
  }
  void after() {
    const histogram_snapshot s = h.snapshot();
    MODEL_CHECK(s.count() == 4);
    MODEL_CHECK(s.buckets.front() == 1);
    MODEL_CHECK(s.buckets.back() == 3);
    MODEL_CHECK(s.max == most);
    MODEL_CHECK(static_cast<std::uint64_t>(s.sum.count()) == 3 * static_cast<std::uint64_t>(most.count()));
  }
};
MODEL_SCENARIO("histogram", extremes, {});

// A snapshot has what its thread recorded before, and of the other's record any part, but nothing that was not recorded.
struct snapshot_beside_a_record {
  static constexpr unsigned threads = 2;
  histogram h;

  void run(unsigned thread) {
    h.record(duration(thread == 0 ? 3 : 5));
    if (thread == 1) return;
    const histogram_snapshot s = h.snapshot();
    MODEL_CHECK(s.buckets[3] == 1);
    MODEL_CHECK(s.count() == 1 + s.buckets[5]);
    MODEL_CHECK(s.buckets[5] <= 1);
    MODEL_CHECK(s.sum == duration(3) || s.sum == duration(8));
    MODEL_CHECK(s.max == duration(3) || s.max == duration(5));
  }
  void after() {
    const histogram_snapshot s = h.snapshot();
    MODEL_CHECK(s.count() == 2);
    MODEL_CHECK(s.sum == duration(8));
    MODEL_CHECK(s.max == duration(5));
  }
};
MODEL_SCENARIO("histogram", snapshot_beside_a_record, {});

// The same for one that only looks at two that record.
struct two_record_one_looks {
  static constexpr unsigned threads = 3;
  histogram h;

  void run(unsigned thread) {
    if (thread < 2) {
      h.record(duration(thread == 0 ? 3 : 5));
      return;
    }
    const histogram_snapshot s = h.snapshot();
    MODEL_CHECK(s.count() == s.buckets[3] + s.buckets[5]);
    MODEL_CHECK(s.buckets[3] <= 1);
    MODEL_CHECK(s.buckets[5] <= 1);
    MODEL_CHECK(s.sum == duration(0) || s.sum == duration(3) || s.sum == duration(5) || s.sum == duration(8));
    MODEL_CHECK(s.max == duration(0) || s.max == duration(3) || s.max == duration(5));
  }
  void after() {
    const histogram_snapshot s = h.snapshot();
    MODEL_CHECK(s.count() == 2);
    MODEL_CHECK(s.sum == duration(8));
    MODEL_CHECK(s.max == duration(5));
  }
};
MODEL_SCENARIO("histogram", two_record_one_looks, {});

// Lock-free: one dies in the middle, and the others' records are whole.
struct death_of_a_record {
  static constexpr unsigned threads = 3;
  histogram h;

  void run(unsigned thread) { h.record(duration(thread + 1)); }
  void after() { MODEL_CHECK(h.snapshot().count() == 3); }
  void after_death(unsigned dead) {
    const histogram_snapshot s = h.snapshot();
    std::int64_t sum = 0, longest = 0;
    for (unsigned t = 0; t < threads; ++t) {
      if (t == dead) continue;
      MODEL_CHECK(s.buckets[t + 1] == 1);
      sum += t + 1;
      longest = t + 1;
    }
    MODEL_CHECK(s.sum.count() == sum || s.sum.count() == sum + dead + 1);
    MODEL_CHECK(s.max.count() >= longest);
    MODEL_CHECK(s.max.count() <= 3);
  }
};
MODEL_SCENARIO("histogram", death_of_a_record, {});

}  // namespace
