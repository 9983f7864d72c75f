// SPDX-License-Identifier: MIT
// What the clients saw in a stretch of time, counted when a request was over: answered, failed or given up.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "demo/histogram.hpp"

namespace holdfast::demo {

enum class tier : std::uint8_t { primary, replica, cache, cdn, standby, other };
inline constexpr std::size_t tier_count = 6;
inline constexpr std::array<std::string_view, tier_count> tier_names{"primary", "replica", "cache",
                                                                     "cdn",     "default", "other"};

constexpr tier tier_of(std::string_view served_by) noexcept {
  for (std::size_t i = 0; i + 1 < tier_count; ++i) {
    if (tier_names[i] == served_by) return static_cast<tier>(i);
  }
  return tier::other;
}

// One request has one of these ends.
struct request_ends {
  std::uint64_t ok = 0;        // 2xx
  std::uint64_t refused = 0;   // 4xx
  std::uint64_t failed = 0;    // 5xx
  std::uint64_t timeouts = 0;  // the client's patience was over
  std::uint64_t broken = 0;    // the connection failed, or the answer was no HTTP

  [[nodiscard]] std::uint64_t all() const noexcept { return ok + refused + failed + timeouts + broken; }
  // What a user would call "it does not work".
  [[nodiscard]] std::uint64_t errors() const noexcept { return failed + timeouts + broken; }
  void add(const request_ends& other) noexcept {
    ok += other.ok;
    refused += other.refused;
    failed += other.failed;
    timeouts += other.timeouts;
    broken += other.broken;
  }
};

struct client_counts {
  request_ends reads;
  request_ends writes;
  std::array<std::uint64_t, tier_count> reads_by_tier{};  // of reads.ok
  std::uint64_t problems = 0;                             // of the 5xx: with an RFC 9457 body
  std::uint64_t replays = 0;                              // POSTs sent again under the key of an earlier one
  std::uint64_t duplicates = 0;                           // of these: the answer named another profile than before
  std::uint64_t wrong_ids = 0;                            // answers that did not carry their request's correlation id
  std::int64_t oldest_ms = 0;                             // age of the oldest answer
  latency_histogram read_time;                            // of all reads that ended, timeouts too
  latency_histogram write_time;

  void add(const client_counts& other) noexcept {
    reads.add(other.reads);
    writes.add(other.writes);
    for (std::size_t i = 0; i < tier_count; ++i) reads_by_tier[i] += other.reads_by_tier[i];
    problems += other.problems;
    replays += other.replays;
    duplicates += other.duplicates;
    wrong_ids += other.wrong_ids;
    oldest_ms = std::max(oldest_ms, other.oldest_ms);
    read_time.add(other.read_time);
    write_time.add(other.write_time);
  }
};

}  // namespace holdfast::demo
