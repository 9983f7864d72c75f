// SPDX-License-Identifier: MIT
// log_lines FILE COUNT SEED: writes COUNT records of random bytes and numbers; tests/tools/log_lines_test.py reads them with
// other people's parsers. Prints `written lost`.
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "holdfast/core/random.hpp"
#include "holdfast/telemetry/log_sink.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  log_sink sink(
      {.output = log_output::to_file(argv[1]), .logger = "lines", .when_full = full_policy::block, .block_for = 30s});
  if (const auto failed = sink.start()) {
    std::fprintf(stderr, "%s: %d\n", argv[1], failed.value());
    return 1;
  }
  splitmix64 random(std::strtoull(argv[3], nullptr, 10));
  const auto count = std::strtoull(argv[2], nullptr, 10);
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i) {
    text.clear();
    const bool any_byte = random() % 2 == 0;
    auto length = random() % 100;
    if (random() % 500 == 0) length = 20'000;  // to be cut
    for (; length > 0; --length) text += static_cast<char>(any_byte ? random() : random() % 128);
    char id[32] = "req-";
    const auto id_end = put_unsigned(id + 4, i);
    context c;
    c.correlation_id = std::string_view(id, static_cast<std::size_t>(id_end - id));
    if (i % 2 == 0) c.trace = make_trace();
    const context_scope scope(c);
    const double number = std::bit_cast<double>(random());
    HOLDFAST_LOG(sink, info, "random", {"i", i}, {"text", text}, {"number", number},
                 {"price", static_cast<double>(i) / 100}, {"small", static_cast<std::int8_t>(random())},
                 {"single", std::bit_cast<float>(static_cast<std::uint32_t>(random()))});
    if (i % 100 == 0)
      HOLDFAST_LOG(sink, warn, "a \"quoted\" message \\ with\ttab", {"error", error(errc::rate_limited)});
  }
  sink.stop();
  const auto stats = sink.stats();
  std::printf("%llu %llu\n", static_cast<unsigned long long>(stats.written),
              static_cast<unsigned long long>(stats.lost()));
  return 0;
}
