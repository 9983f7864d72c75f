// SPDX-License-Identifier: MIT
// log_level: how much a log line matters. Names are the SeverityText of OpenTelemetry.
// Proof: tests/unit/log_sink_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast {

enum class log_level : std::uint8_t { trace, debug, info, warn, error, fatal, off };

constexpr std::string_view name_of(log_level level) noexcept {
  switch (level) {
    case log_level::trace: return "TRACE";
    case log_level::debug: return "DEBUG";
    case log_level::info: return "INFO";
    case log_level::warn: return "WARN";
    case log_level::error: return "ERROR";
    case log_level::fatal: return "FATAL";
    case log_level::off: return "OFF";
  }
  return "OFF";
}

// For configuration: upper or lower case; empty for anything else.
constexpr std::optional<log_level> parse_log_level(std::string_view text) noexcept {
  for (int i = 0; i <= static_cast<int>(log_level::off); ++i) {
    const auto level = static_cast<log_level>(i);
    const std::string_view name = name_of(level);
    bool same = name.size() == text.size();
    for (std::size_t k = 0; same && k < name.size(); ++k) {
      same = name[k] == text[k] || static_cast<char>(name[k] + ('a' - 'A')) == text[k];
    }
    if (same) return level;
  }
  return std::nullopt;
}

}  // namespace holdfast
