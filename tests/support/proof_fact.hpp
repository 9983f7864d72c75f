// SPDX-License-Identifier: MIT
// proof_fact("model.executions", n, "executions"): a figure for the proof report (tools/proof_report.py, which says what
// becomes of it). Without the environment variable HOLDFAST_PROOF, as when a test is run by hand, it does nothing.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace test_support {

// `name` and `unit` need no escaping in JSON. False: a report was asked for and could not be written to, which is for
// the caller to fail on.
[[nodiscard]] inline bool proof_fact(const char* name, std::uint64_t value, const char* unit) {
  const char* const path = std::getenv("HOLDFAST_PROOF");
  if (path == nullptr || *path == '\0') return true;
  char line[512];
  const int size = std::snprintf(line, sizeof line, "{\"name\": \"%s\", \"value\": %" PRIu64 ", \"unit\": \"%s\"}\n",
                                 name, value, unit);
  if (size <= 0 || static_cast<std::size_t>(size) >= sizeof line) return false;
  const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return false;
  // One write at the end of the file, so that tests that run side by side do not mix their lines.
  const bool written = ::write(file, line, static_cast<std::size_t>(size)) == size;
  return ::close(file) == 0 && written;
}

}  // namespace test_support
