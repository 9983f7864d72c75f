// SPDX-License-Identifier: MIT
// Words and colours of the terminal: escape sequences when it is one and colours are wanted, nothing otherwise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "demo/client_counts.hpp"

namespace holdfast::demo {

enum class paint : std::uint8_t { plain, strong, dim, good, bad, warning, primary, replica, cache, cdn, standby };

class painter {
 public:
  explicit painter(bool color) : color_(color) {}
  [[nodiscard]] std::string operator()(paint with, std::string_view text) const;

 private:
  bool color_;
};

paint paint_of(tier t);

// Cuts or fills to so many columns. UTF-8 counts a column a code point; escape sequences must not be in it yet.
std::string fitted(std::string_view text, std::size_t columns);
// A bar of eighths of blocks; `share` of 0 to 1.
std::string bar(double share, std::size_t columns);
// One column a value, the last ones; the highest value fills it.
std::string sparkline(const std::vector<double>& values, std::size_t columns, double full);

bool is_terminal(int fd);

}  // namespace holdfast::demo
