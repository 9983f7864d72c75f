// SPDX-License-Identifier: MIT
// log_check: reads the service's log as a stranger would: every line strictly, every request's lines by its id, and the
// transitions of the breakers as they were written down.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "demo/load.hpp"

namespace holdfast::demo {

// A line about a breaker, and the attempts in the generation that it ended, by their own lines.
struct logged_transition {
  std::int64_t wall_ms = 0;
  std::string breaker;
  std::string from;
  std::string to;
  std::string cause;
  std::uint64_t generation = 0;  // the one that begins
  std::uint64_t failed = 0;      // attempts of the generation before that failed or took too long
  std::uint64_t probes_ok = 0;   // probes of the generation before
  std::uint64_t probes_not_ok = 0;
};

struct log_facts {
  bool read = false;
  std::uint64_t lines = 0;
  std::uint64_t bad_lines = 0;
  std::uint64_t first_bad_line = 0;
  std::uint64_t ids_sent = 0;     // that reached the socket
  std::uint64_t ids_missing = 0;  // of these: without a single line
  std::string first_missing;
  std::optional<std::uint64_t> written;  // as the service itself counted at its end, that line included
  std::optional<std::uint64_t> lost;
  std::uint64_t loss_lines = 0;  // that tell of losses where they happened; they are no records themselves
  std::uint64_t lost_told = 0;   // the sum of what they tell
  std::vector<logged_transition> transitions;
  std::string jq = "not installed";  // or "ok", or what it said
};

// `fates` by sequence number: the ids are `id_prefix` and that number.
log_facts check_log(std::istream& log, const std::string& id_prefix, const std::vector<request_fate>& fates);
// The same file through jq, where it is installed: every line, bounded in time.
std::string check_with_jq(const std::string& file, std::uint64_t lines);

// "2026-01-31T12:00:00.123456789Z" in milliseconds since 1970; nothing when it is no such text.
std::optional<std::int64_t> wall_ms_of(std::string_view timestamp);

}  // namespace holdfast::demo
