// SPDX-License-Identifier: MIT
#include "demo/terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace holdfast::demo {
namespace {

// The colours of the report, as near as 256 colours come.
constexpr std::array<std::string_view, 11> codes{"0",       "1",       "2",        "32",       "1;31",    "33",
                                                 "38;5;33", "38;5;36", "38;5;178", "38;5;169", "38;5;247"};
constexpr std::array<std::string_view, 9> eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
constexpr std::array<std::string_view, 9> levels{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

bool begins_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

}  // namespace

std::string painter::operator()(paint with, std::string_view text) const {
  if (!color_ || with == paint::plain) return std::string(text);
  return "\x1b[" + std::string(codes[static_cast<std::size_t>(with)]) + "m" + std::string(text) + "\x1b[0m";
}

paint paint_of(tier t) {
  switch (t) {
    case tier::primary: return paint::primary;
    case tier::replica: return paint::replica;
    case tier::cache: return paint::cache;
    case tier::cdn: return paint::cdn;
    case tier::standby: return paint::standby;
    case tier::other: break;
  }
  return paint::plain;
}

std::string fitted(std::string_view text, std::size_t columns) {
  std::string out;
  std::size_t used = 0;
  for (const char c : text) {
    if (begins_code_point(c) && used++ == columns) return out;
    out += c;
  }
  out.append(columns - std::min(used, columns), ' ');
  return out;
}

std::string bar(double share, std::size_t columns) {
  const double cells = std::clamp(share, 0.0, 1.0) * static_cast<double>(columns);
  const auto full = static_cast<std::size_t>(cells);
  std::string out;
  for (std::size_t i = 0; i < full; ++i) out += eighths[8];
  out += eighths[static_cast<std::size_t>((cells - static_cast<double>(full)) * 8)];
  return fitted(out, columns);
}

std::string sparkline(const std::vector<double>& values, std::size_t columns, double full) {
  std::string out;
  const std::size_t first = values.size() - std::min(values.size(), columns);
  for (std::size_t i = first; i < values.size(); ++i) {
    const double share = full > 0 ? std::clamp(values[i] / full, 0.0, 1.0) : 0;
    // Anything above nothing shows.
    out += levels[values[i] > 0 ? std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(share * 8))) : 0];
  }
  return fitted(out, columns);
}

bool is_terminal(int fd) {
  const char* kind = std::getenv("TERM");
  return ::isatty(fd) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

}  // namespace holdfast::demo
