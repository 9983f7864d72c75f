// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/metrics.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("a counter counts what all threads add", "[metrics]") {
  counter hits;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) hits.add();
      hits.add(5);
    });
  }
  for (auto& t : threads) t.join();
  CHECK(hits.value() == 4 * 10'005);
}

TEST_CASE("a gauge goes up and down", "[metrics]") {
  gauge depth;
  depth.set(7);
  depth.add(-9);
  CHECK(depth.value() == -2);
}

TEST_CASE("histogram buckets join without a gap or an overlap, and are at most a sixteenth wide", "[metrics]") {
  using b = histogram_buckets;
  for (std::size_t i = 0; i + 1 < b::count; ++i) {
    CAPTURE(i);
    REQUIRE(b::index_of(b::upper_bound(i)) == i);
    REQUIRE(b::index_of(b::upper_bound(i) + 1) == i + 1);
    const auto width = b::upper_bound(i + 1) - b::upper_bound(i);
    REQUIRE(width * 16 <= std::max<std::uint64_t>(16, b::upper_bound(i) + 1));
  }
  CHECK(b::index_of(~std::uint64_t{0}) == b::count - 1);
}

TEST_CASE("a quantile is at most a sixteenth above the true one, and never below it", "[metrics]") {
  splitmix64 random(3);
  histogram h;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto v = static_cast<std::int64_t>(random() >> (24 + random() % 30));
    values.push_back(v);
    h.record(duration(v));
  }
  std::sort(values.begin(), values.end());
  const auto s = h.snapshot();
  REQUIRE(s.count() == values.size());
  for (const unsigned permille : {1U, 10U, 250U, 500U, 900U, 990U, 999U, 1000U}) {
    const auto rank = (values.size() * permille + 999) / 1000;
    const auto truth = values[rank - 1];
    CAPTURE(permille, truth, s.quantile(permille).count());
    CHECK(s.quantile(permille).count() >= truth);
    CHECK(s.quantile(permille).count() <= truth + truth / 16 + 1);
  }
  CHECK(s.max.count() == values.back());
  CHECK(s.quantile(1000) == s.max);
}

TEST_CASE("an empty histogram has quantile zero; negative durations count as zero; giants keep their length",
          "[metrics]") {
  histogram h;
  CHECK(h.snapshot().quantile(990) == 0ns);
  h.record(-5ns);
  CHECK(h.snapshot().count() == 1);
  CHECK(h.snapshot().quantile(1000) == 0ns);
  CHECK(h.snapshot().count_up_to(0ns) == 1);
  CHECK(h.snapshot().count_up_to(-1ns) == 0);
  h.record(100h);
  CHECK(h.snapshot().max == 100h);
  CHECK(h.snapshot().quantile(1000) == 100h);
}

TEST_CASE("snapshots add up over services and subtract over time", "[metrics]") {
  histogram h;
  h.record(1ms);
  const auto before = h.snapshot();
  h.record(4ms);
  h.record(4ms);
  auto since = h.snapshot();
  since -= before;
  CHECK(since.count() == 2);
  CHECK(since.sum == 8ms);
  since += before;
  CHECK(since.count() == 3);
  CHECK(since.count_up_to(2ms) == 1);
}

TEST_CASE("the registry refuses what Prometheus would, and says why", "[metrics]") {
  metrics_registry registry({.counters = 3});
  const metric_label ok[] = {{"tier", "cache"}};
  CHECK(registry.add_counter("requests_total", "Requests.", ok));
  CHECK(registry.add_counter("requests_total", "Requests.", ok).why == metric_errc::duplicate);
  CHECK(registry.add_gauge("requests_total", "Requests.").why == metric_errc::other_kind);
  CHECK(registry.add_counter("9lives", "?").why == metric_errc::bad_name);
  CHECK(registry.add_counter("", "?").why == metric_errc::bad_name);
  CHECK(registry.add_counter("h\xC3\xA9", "?").why == metric_errc::bad_name);
  for (const char* name : {"le", "__name__", "a-b", "", "1a"}) {
    CAPTURE(name);
    const metric_label bad[] = {{name, "x"}};
    CHECK(registry.add_counter("a", "?", bad).why == metric_errc::bad_label);
  }
  const metric_label twice[] = {{"a", "1"}, {"a", "2"}};
  CHECK(registry.add_counter("a", "?", twice).why == metric_errc::bad_label);
  const std::vector<metric_label> many(9, metric_label{"a", "b"});
  CHECK(registry.add_counter("a", "?", many).why == metric_errc::too_many_labels);
  CHECK(registry.all_series().size() == 1);
}

TEST_CASE("a name that a histogram writes is taken, whichever came first", "[metrics]") {
  metrics_registry registry({});
  CHECK(registry.add_histogram("latency_seconds", "?"));
  CHECK(registry.add_counter("latency_seconds_count", "?").why == metric_errc::other_kind);
  CHECK(registry.add_gauge("latency_seconds_bucket", "?").why == metric_errc::other_kind);
  CHECK(registry.add_counter("latency_seconds_total", "?"));
  CHECK(registry.add_counter("wait_seconds_sum", "?"));
  CHECK(registry.add_histogram("wait_seconds", "?").why == metric_errc::other_kind);
}

TEST_CASE("a registry that is full says so and stays as it was", "[metrics]") {
  metrics_registry registry({.counters = 1, .gauges = 1, .histograms = 0, .readers = 0, .text_bytes = 16});
  CHECK(registry.add_counter("a", "?"));
  CHECK(registry.add_counter("b", "?").why == metric_errc::no_room);
  CHECK(registry.add_histogram("c", "?").why == metric_errc::no_room);
  const auto read = [](const void*) noexcept { return 1.0; };
  CHECK(registry.add_reader(metric_kind::gauge, "d", "?", read, nullptr) == metric_errc::no_room);
  CHECK(registry.add_gauge("e", "a help text that is longer than the room").why == metric_errc::no_room);
  CHECK(registry.add_gauge("e", "short"));
  CHECK(registry.all_series().size() == 2);
}

TEST_CASE("the series of a family come together, whenever they were registered", "[metrics]") {
  metrics_registry registry({});
  const metric_label one[] = {{"n", "1"}};
  const metric_label two[] = {{"n", "2"}};
  std::string name = "a_total";
  CHECK(registry.add_counter(name, "A.", one));
  CHECK(registry.add_gauge("b", "B."));
  CHECK(registry.add_counter(name, "A.", two));
  name = "overwritten";  // texts are copied
  std::string order;
  registry.for_each([&](const metric_series& s) { order += std::string(s.name) + " "; });
  CHECK(order == "a_total a_total b ");
}

TEST_CASE("metrics options name the field that is wrong", "[metrics]") {
  static_assert(!validate(metrics_options{}));
  CHECK(validate(metrics_options{.text_bytes = 0}).field == "text_bytes");
  CHECK(validate(metrics_options{.counters = 2'000'000}).field == "counters");
}
