// SPDX-License-Identifier: MIT
// Threads come and go, count and record, while a page is read: nothing is lost, nothing runs back.
#include <string>
#include <thread>
#include <vector>

#include "holdfast/interop/prometheus.hpp"
#include "holdfast/telemetry/metrics.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("no count is lost when threads end and others take over their stripes", "[metrics]") {
  metrics_registry registry({});
  auto& c = *registry.add_counter("c_total", "").metric;
  auto& h = *registry.add_histogram("h_seconds", "").metric;
  constexpr int generations = 30;
  constexpr std::uint64_t each = 2'000;
  atomic<std::uint32_t> stop{0};
  std::uint64_t backwards = 0;
  std::thread reader([&] {
    std::uint64_t last = 0;
    while (stop.load(mo::acquire) == 0) {
      const std::uint64_t now = c.value();
      backwards += now < last ? 1U : 0U;
      last = now;
      std::string page;
      write_prometheus(registry, [&](std::string_view piece) { page += piece; });
    }
  });
  for (int g = 0; g < generations; ++g) {
    std::vector<std::thread> workers;
    for (int t = 0; t < 4; ++t) {
      workers.emplace_back([&] {
        for (std::uint64_t i = 0; i < each; ++i) {
          c.add();
          h.record(duration(static_cast<std::int64_t>(i)));
        }
      });
    }
    for (auto& w : workers) w.join();
  }
  stop.store(1, mo::release);
  reader.join();
  CHECK(backwards == 0);
  CHECK(c.value() == generations * 4 * each);
  CHECK(h.snapshot().count() == generations * 4 * each);
  CHECK(h.snapshot().max.count() == each - 1);
}
