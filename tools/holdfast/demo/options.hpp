// SPDX-License-Identifier: MIT
// What `holdfast demo` can be told. Every default gives the demonstration that the README shows.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::demo {

using milliseconds = std::chrono::milliseconds;

struct demo_options {
  bool short_mode = false;
  std::uint64_t seed = 1;
  std::int64_t rate = 1'500;       // requests a second, reads and writes together
  std::int64_t connections = 64;   // kept alive
  std::int64_t profiles = 10'000;  // that serve makes
  std::string out = "demo-report.html";
  std::string json;     // empty: none
  std::string command;  // as it was typed, for the report
  bool color = true;
  bool contrast = true;  // run the timeline a second time without policies
};

// One sample of both sides, and one frame of the live picture, every so often.
inline constexpr milliseconds sample_every{250};
// A client that waits longer than this has gone away. Counted from the moment the request was meant to be sent.
inline constexpr milliseconds client_patience{2'000};

}  // namespace holdfast::demo
