// SPDX-License-Identifier: MIT
#include "holdfast/core/assert.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast {

void assertion_failed(const char* relation, const char* file, unsigned line) noexcept {
  char text[512];
  const int length = std::snprintf(text, sizeof text, "holdfast: %s:%u: expected %s\n", file, line, relation);
  if (length > 0) {
    const auto size = static_cast<unsigned>(length) < sizeof text ? static_cast<unsigned>(length) : sizeof text - 1;
    // The process is about to end: there is nobody left to tell that this write failed.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, size);
  }
  std::abort();
}

}  // namespace holdfast
