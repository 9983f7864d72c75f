// SPDX-License-Identifier: MIT
#include "holdfast/policy/latency_sketch.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <thread>
#include <vector>

#include "holdfast/core/log_buckets.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/window_counts.hpp"
#include "holdfast/time/epochs.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};

std::uint64_t last_two(window_word word, std::uint32_t window) {
  const auto halves = word.in_last_two(window);
  return halves.last + halves.before;
}

template <class Buckets>
void join_without_a_gap() {
  const auto share = std::uint64_t{1} << (Buckets::linear == 1 ? 0 : std::bit_width(Buckets::linear) - 1);
  REQUIRE(Buckets::lower_bound(0) == 0);
  for (std::size_t i = 0; i < Buckets::count; ++i) {
    const auto low = Buckets::lower_bound(i);
    const auto high = Buckets::upper_bound(i);
    CAPTURE(i, low, high);
    REQUIRE(low <= high);
    REQUIRE(Buckets::index_of(low) == i);
    REQUIRE(Buckets::index_of(high) == i);
    REQUIRE((high - low + 1) * share <= std::max(low, share));
    if (i + 1 < Buckets::count) REQUIRE(Buckets::index_of(high + 1) == i + 1);
  }
  CHECK(Buckets::index_of(~std::uint64_t{0}) == Buckets::count - 1);
}

// The true percentile, by sorting.
std::int64_t true_percentile(std::vector<std::int64_t> values, std::uint32_t permille) {
  std::sort(values.begin(), values.end());
  return values[std::max<std::size_t>(1, (values.size() * permille + 999) / 1000) - 1];
}
}  // namespace

TEST_CASE("buckets of every shape join without a gap, and are as wide as they say", "[latency_sketch]") {
  join_without_a_gap<log_buckets<4, 29>>();
  join_without_a_gap<log_buckets<4, 41>>();
  join_without_a_gap<log_buckets<0, 5>>();
  join_without_a_gap<log_buckets<3, 3>>();
  join_without_a_gap<log_buckets<7, 62>>();
}

TEST_CASE("an epoch is as long as it should be, and says how much of it is left", "[latency_sketch]") {
  const duration length = GENERATE(1ns, 7ns, 10ms, 1s, 3600s);
  const epochs e(length);
  // Longer than asked for by so much at the most, and by the nanosecond that rounding takes.
  __extension__ using wide = unsigned __int128;
  const auto asked = static_cast<wide>(length.count());
  const std::int64_t longest =
      length.count() + 1 + static_cast<std::int64_t>(asked * asked / ((wide{1} << 64U) - asked));
  CHECK(longest - length.count() <= (length < 4s ? 1 : 710'000));
  splitmix64 bits(5);
  for (int i = 0; i < 10'000; ++i) {
    const time_point now{duration(static_cast<std::int64_t>(bits() >> 8U))};
    const auto left = static_cast<std::int64_t>(e.left(now));
    CAPTURE(now.time_since_epoch().count(), left);
    REQUIRE(left >= 1);
    REQUIRE(left <= longest);
    REQUIRE(e.of(now + duration(left)) == e.of(now) + 1);
    REQUIRE(e.of(now + duration(left - 1)) == e.of(now));
    // At its start all of it is left.
    const auto all = static_cast<std::int64_t>(e.left(now + duration(left)));
    REQUIRE(all >= length.count());
    REQUIRE(all <= longest);
  }
}

TEST_CASE("a word counts for its window and for the one before, and is empty for all others", "[latency_sketch]") {
  // About the wrap of a word's number, and about that of all numbers.
  const std::uint32_t w = GENERATE(1U, 1000U, 0xFF'FFFFU, 0x100'0000U, 0x100'0001U, 0xFFFF'FFFEU, 0xFFFF'FFFFU, 0U);
  window_word word(0);
  word = word.one_more(w).one_more(w).one_more(w);
  CHECK(word.in(w) == 3);
  CHECK(word.in(w - 1) == 0);
  CHECK(last_two(word, w + 1) == 3);
  CHECK(last_two(word, w + 2) == 0);
  CHECK(word.one_more(w - 1).in(w - 1) == 1);  // late by a window
  CHECK(word.one_more(w - 1).in(w) == 3);
  CHECK(word.one_more(w - 2).bits() == word.bits());  // late by more
  const window_word next = word.one_more(w + 1);
  CHECK(next.in(w + 1) == 1);
  CHECK(next.in(w) == 3);
  CHECK(next.in(w + 2) == 0);
  CHECK(last_two(next, w + 1) == 4);
  CHECK(last_two(next, w) == 4);  // an older clock finds what a newer one counted
  CHECK(next.one_more(w).in(w) == 4);
  const window_word later = next.one_more(w + 3);
  CHECK(later.in(w + 3) == 1);
  CHECK(later.in(w + 2) == 0);
  CHECK(last_two(later, w + 3) == 1);
  // A word that is 63 ahead is one of a newer clock, and one farther ahead a very old one.
  CHECK(next.one_more(w + 1 - 63).bits() == next.bits());
  CHECK(last_two(next, w + 1 - 63) == 4);
  for (const std::uint32_t far : {64U, 65U, 4'000U, 5'000U, (1U << 24U) - 64U}) {
    CHECK(next.one_more(w + 1 - far).in(w + 1 - far) == 1);
    CHECK(last_two(next, w + 1 - far) == 0);
  }
}

TEST_CASE("a word that is full stays full, in either half", "[latency_sketch]") {
  window_word word(0);
  for (std::uint64_t i = 0; i < window_word::most + 3; ++i) word = word.one_more(7);
  CHECK(word.in(7) == window_word::most);
  CHECK(word.in(6) == 0);
  for (std::uint64_t i = 0; i < window_word::most + 3; ++i) word = word.one_more(6);
  CHECK(word.in(6) == window_word::most);
  CHECK(word.in(7) == window_word::most);
  CHECK(word.in(8) == 0);
  CHECK(word.one_more(8).in(7) == window_word::most);
}

TEST_CASE("L1 a percentile is never below the true one and at most a sixteenth or 64 ns above", "[latency_sketch]") {
  latency_sketch sketch({});
  splitmix64 bits(3);
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto v = static_cast<std::int64_t>(bits() >> (28 + bits() % 34));
    values.push_back(v);
    sketch.record(duration(v), start);
  }
  const latency_counts all = sketch.recent(start);
  REQUIRE(all.count() == values.size());
  for (const std::uint32_t permille : {0U, 1U, 10U, 250U, 500U, 900U, 950U, 990U, 999U, 1000U}) {
    const std::int64_t truth = true_percentile(values, permille);
    const std::int64_t said = sketch.percentile(permille, start).count();
    CAPTURE(permille, truth, said);
    CHECK(said >= truth);
    CHECK(said <= truth + std::max<std::int64_t>(64, truth / 16 + 1));
    CHECK(all.percentile(permille).count() == said);
  }
  const std::int64_t shortest = true_percentile(values, 0);
  CHECK(all.least().count() <= shortest);
  CHECK(all.least().count() >= shortest - std::max<std::int64_t>(64, shortest / 16));
}

TEST_CASE("L1 nothing is zero, less than nothing counts as zero, and giants as the longest", "[latency_sketch]") {
  latency_sketch sketch({});
  CHECK(sketch.percentile(500, start) == 0ns);
  CHECK(sketch.recent(start).least() == 0ns);
  CHECK(sketch.recent(start).count() == 0);
  sketch.record(-1h, start);
  CHECK(sketch.percentile(1000, start) == 63ns);
  sketch.record(latency_counts::longest, start);
  CHECK(sketch.percentile(1000, start) == latency_counts::longest);
  sketch.record(duration::max(), start);
  CHECK(sketch.percentile(1000, start) == latency_counts::longest);
  CHECK(sketch.recent(start).count() == 3);
  CHECK(latency_counts::longest > 68s);
}

TEST_CASE("L2 a latency counts for one to two windows, though nothing clears it", "[latency_sketch]") {
  const duration window = GENERATE(duration(10ms), duration(1s), duration(1h));
  latency_sketch sketch({.window = window});
  splitmix64 bits(11);
  time_point now = start;
  for (int i = 0; i < 200; ++i) {
    now += duration(static_cast<std::int64_t>(uniform_up_to(bits, static_cast<std::uint64_t>(5 * window.count()))));
    if (sketch.recent(now).count() != 0) now += 2 * window + 1us;
    sketch.record(3ms, now);
    CHECK(sketch.recent(now + window - 1us).count() == 1);
    CHECK(sketch.percentile(500, now + window - 1us) >= 3ms);
    CHECK(sketch.recent(now + 2 * window + 1us).count() == 0);
  }
}

TEST_CASE("L2 old and new latencies are told apart bucket by bucket", "[latency_sketch]") {
  latency_sketch sketch({.window = 1s});
  for (int i = 0; i < 100; ++i) sketch.record(1ms, start);
  for (int i = 0; i < 100; ++i) sketch.record(100ms, start + 1s);
  CHECK(sketch.recent(start + 1s).count() == 200);
  CHECK(sketch.percentile(500, start + 1s) < 2ms);
  CHECK(sketch.recent(start + 2s).count() == 100);
  CHECK(sketch.percentile(0, start + 2s) >= 100ms);
  CHECK(sketch.recent(start + 3s).count() == 0);
}

TEST_CASE("L2 a clock that goes back makes the windows longer, and never blind", "[latency_sketch]") {
  latency_sketch sketch({.window = 1s});
  sketch.record(1ms, start + 10s);
  CHECK(sketch.recent(start).count() == 1);
  sketch.record(1ms, start + 9s);  // late by a window
  sketch.record(1ms, start + 5s);  // late by more: dropped
  CHECK(sketch.recent(start + 10s).count() == 2);
  sketch.record(1ms, start - 59min + 1s);  // an hour back is another time
  CHECK(sketch.recent(start - 59min + 1s).count() >= 1);
}

TEST_CASE("L2 latencies of nearly 2^24 windows ago come back for 65 windows and no more", "[latency_sketch]") {
  latency_sketch sketch({.window = 10ms});  // in which that is 46 hours
  for (int i = 0; i < 100; ++i) sketch.record(1ms, start + 5ms);
  const auto found = [&](std::int64_t windows) { return sketch.recent(start + 5ms + windows * 10ms).count(); };
  constexpr std::int64_t all = std::int64_t{1} << 24U;
  CHECK(found(all - 2'000) == 0);
  CHECK(found(all - 64) == 0);
  CHECK(found(all - 63) == 100);
  CHECK(found(all + 1) == 100);
  CHECK(found(all + 2) == 0);
  // Two hours before, they are in nobody's way.
  for (int i = 0; i < 10; ++i) sketch.record(1ms, start + 5ms + (all - 4'000) * 10ms);
  CHECK(found(all - 4'000) == 10);
}

TEST_CASE("L3 threads with places of their own and those that share one lose nothing", "[latency_sketch]") {
  constexpr std::uint32_t threads = window_counts<1>::slots + 8;
  constexpr int each = 5'000;
  latency_sketch sketch({});
  atomic<std::uint32_t> sharing{0};
  atomic<std::uint32_t> ready{0};
  std::vector<std::thread> workers;
  for (std::uint32_t t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      if (thread_slot::current() >= window_counts<1>::slots) sharing.fetch_add(1, mo::relaxed);
      ready.fetch_add(1, mo::acq_rel);
      while (ready.load(mo::acquire) != threads) std::this_thread::yield();
      for (int i = 0; i < each; ++i) sketch.record(i * 1us, start);
    });
  }
  for (auto& w : workers) w.join();
  CHECK(sketch.recent(start).count() == std::uint64_t{threads} * each);
  CHECK(sharing.load(mo::relaxed) >= 8);
}

TEST_CASE("the window of a sketch is validated", "[latency_sketch]") {
  CHECK(!validate(latency_sketch_options{}));
  CHECK(validate(latency_sketch_options{.window = 9ms}).field == "window");
  CHECK(validate(latency_sketch_options{.window = 61min}).relation == "at most");
  static_assert(!validate(latency_sketch_options{.window = 10ms}));
}
