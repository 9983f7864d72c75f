// SPDX-License-Identifier: MIT
// The report of a demonstration: one HTML file that needs nothing else, and the same figures as JSON.
#pragma once

#include <string>
#include <vector>

#include "demo/options.hpp"
#include "demo/promises.hpp"
#include "demo/run_record.hpp"

namespace holdfast::demo {

struct demonstration {
  demo_options options;
  std::string machine;  // in a line
  std::string made_at;
  run_record on;
  std::vector<promise> on_promises;
  bool has_off = false;
  run_record off;
  std::vector<promise> off_promises;
};

std::string to_json(const demonstration& d);
std::string to_html(const demonstration& d);
// False: it could not be written.
bool write_text(const std::string& file, const std::string& text);

}  // namespace holdfast::demo
