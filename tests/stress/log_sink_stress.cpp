// SPDX-License-Identifier: MIT
// Several threads log and end while the backend drains: calls = lines + losses exactly, each thread's lines in order.
#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "holdfast/telemetry/log_sink.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

struct seen {
  std::map<std::uint64_t, std::uint64_t> next;  // producer: the number after its last
  std::uint64_t lines = 0;
  std::uint64_t told = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t wrong_context = 0;
};

std::uint64_t number_after(std::string_view line, std::string_view key) {
  const auto at = line.find(key);
  if (at == line.npos) return ~std::uint64_t{0};
  std::uint64_t n = 0;
  for (const char c : line.substr(at + key.size())) {
    if (c < '0' || c > '9') break;
    n = n * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return n;
}

void take(void* user, std::string_view lines) {
  auto& s = *static_cast<seen*>(user);
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    const auto line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    if (line.find("\"message\":\"log records lost\"") != line.npos) {
      s.told += number_after(line, "\"lost\":");
      continue;
    }
    ++s.lines;
    const auto producer = number_after(line, "\"producer\":");
    const auto n = number_after(line, "\"n\":");
    auto& next = s.next[producer];
    if (n < next) ++s.out_of_order;
    next = n + 1;
    if (number_after(line, "\"correlation_id\":\"c") != producer * 1'000 + n / 8) ++s.wrong_context;
  }
}

seen run(log_options o, unsigned threads, unsigned generations, std::uint64_t each) {
  seen s;
  o.output = log_output::to_callback(take, &s);
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  std::atomic<std::uint64_t> producers{0};
  for (unsigned g = 0; g < generations; ++g) {
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
      workers.emplace_back([&] {
        const std::uint64_t producer = ++producers;
        for (std::uint64_t n = 0; n < each;) {
          context c;
          char id[1 + json_number_space] = "c";
          c.correlation_id =
              std::string_view(id, static_cast<std::size_t>(put_unsigned(id + 1, producer * 1'000 + n / 8) - id));
          const context_scope scope(c);
          for (int k = 0; k < 8 && n < each; ++k, ++n) {
            HOLDFAST_LOG(sink, info, "stress", {"producer", producer}, {"n", n}, {"text", "some text of a record"});
          }
        }
      });
    }
    for (int i = 0; i < 3; ++i) sink.flush(1s);
    for (auto& w : workers) w.join();
  }
  CHECK(sink.flush(10s));
  sink.stop();
  const auto stats = sink.stats();
  const std::uint64_t calls = std::uint64_t{threads} * generations * each;
  CHECK(calls == stats.written + stats.lost());
  CHECK(s.lines == stats.written);
  CHECK(s.told == stats.lost());
  CHECK(s.out_of_order == 0);
  CHECK(s.wrong_context == 0);
  return s;
}

}  // namespace

TEST_CASE("log_sink: calls are lines plus losses while threads come and go", "[log][stress]") {
  log_options o;
  o.ring_bytes = 64 << 10;
  o.max_threads = 8;
  run(o, 3, 12, 2'000);
}

TEST_CASE("log_sink: more threads than lanes, full lanes, and still an exact count", "[log][stress]") {
  log_options o;
  o.ring_bytes = 64 << 10;
  o.max_threads = 2;
  const auto s = run(o, 4, 4, 4'000);
  CHECK(s.told > 0);
}

TEST_CASE("log_sink: a sink that blocks loses nothing to a writer that keeps up", "[log][stress]") {
  log_options o;
  o.ring_bytes = 64 << 10;
  o.max_threads = 8;
  o.when_full = full_policy::block;
  o.block_for = 20s;
  const auto s = run(o, 3, 2, 8'000);
  CHECK(s.told == 0);
}
