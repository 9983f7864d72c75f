// SPDX-License-Identifier: MIT
// Threads come, log and end while the backend drains: calls are lines plus losses exactly, every line is whole, and each
// thread's lines stand in their order.
#include <string_view>

#include "holdfast/telemetry/log_sink.hpp"

#include "soak.hpp"

namespace soak {
namespace {

struct seen {
  // Of each producer, the number after its last. A vector, because the nodes of a map are linked by code of libstdc++ that
  // MemorySanitizer does not see.
  std::vector<std::uint64_t> next;
  std::uint64_t lines = 0;
  std::uint64_t told = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t broken = 0;
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
    if (end == lines.npos) {
      ++s.broken;
      return;
    }
    const auto line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    if (line.size() < 2 || line.front() != '{' || line.back() != '}') ++s.broken;
    if (line.find("\"message\":\"log records lost\"") != line.npos) {
      s.told += number_after(line, "\"lost\":");
      continue;
    }
    ++s.lines;
    if (line.find("\"text\":\"some text of a record\"") == line.npos) ++s.broken;
    const auto producer = number_after(line, "\"producer\":");
    const auto n = number_after(line, "\"n\":");
    if (producer >= s.next.size()) {
      ++s.broken;
      continue;
    }
    auto& next = s.next[producer];
    if (n < next) ++s.out_of_order;
    next = n + 1;
  }
}

void write_log(run& r, const holdfast::log_options& wanted, unsigned threads, std::uint64_t each) {
  constexpr unsigned generations = 3;
  seen s;
  s.next.resize(std::size_t{threads} * generations);
  holdfast::log_options o = wanted;
  o.output = holdfast::log_output::to_callback(take, &s);
  holdfast::log_sink sink(o);
  if (sink.start()) {
    r.expect(false, "the sink did not start");
    return;
  }
  for (unsigned g = 0; g < generations; ++g) {
    std::vector<std::function<void()>> bodies;
    for (unsigned t = 0; t < threads; ++t) {
      bodies.emplace_back([&, producer = std::uint64_t{g} * threads + t] {
        for (std::uint64_t n = 0; n < each; ++n) {
          if (r.sabotage() && producer == 0 && n == each / 2) continue;
          HOLDFAST_LOG(sink, info, "stress", {"producer", producer}, {"n", n}, {"text", "some text of a record"});
        }
      });
    }
    together(bodies);
  }
  r.expect(sink.flush(std::chrono::seconds(20)), "flush() did not end");
  sink.stop();
  const auto stats = sink.stats();
  const std::uint64_t calls = std::uint64_t{threads} * generations * each;
  r.expect(calls == stats.written + stats.lost(), "calls are not lines and losses");
  r.expect(s.lines == stats.written, "the output saw another number of lines than were counted");
  r.expect(s.told == stats.lost(), "the log told of another number of losses than were counted");
  r.expect(s.out_of_order == 0, "a thread's lines are out of order");
  r.expect(s.broken == 0, "a line is broken");
  if (o.when_full == holdfast::full_policy::block) r.expect(stats.lost() == 0, "a sink that blocks lost a record");
  r.did(calls);
}

}  // namespace

void play_log(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    holdfast::log_options o;
    o.ring_bytes = std::size_t{64} << 10U;
    o.max_threads = 8;
    switch (kind % 3) {
      case 0: write_log(r, o, 3, 5'000); break;
      case 1:  // more threads than lanes
        o.max_threads = 2;
        write_log(r, o, 4, 3'000);
        break;
      default:
        o.when_full = holdfast::full_policy::block;
        o.block_for = std::chrono::seconds(20);
        write_log(r, o, 3, 5'000);
        break;
    }
  }
}

}  // namespace soak
