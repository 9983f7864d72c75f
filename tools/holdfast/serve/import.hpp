// SPDX-License-Identifier: MIT
// Profiles from a user's file: CSV (first line: the names of the columns, `id` and `name` among them) or JSON lines
// (one object a line). A bad row is reported with its line and its reason; all others are loaded.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::serve {

enum class row_format : std::uint8_t { csv, json_lines };

struct profile_row {
  std::string id;
  std::string body;  // checked and canonical
};
struct bad_row {
  std::size_t line = 0;
  std::string reason;
};

// By the name's end: .csv, .jsonl or .ndjson.
std::optional<row_format> format_of(std::string_view path);

// Calls one of the two for each row, in the file's order. `take` returns false to stop (the store failed).
// Returns false when the file as a whole is unusable (no header line, no id column); `refuse` has said why.
bool read_rows(std::istream& in, row_format format, const std::function<bool(profile_row&&)>& take,
               const std::function<void(bad_row&&)>& refuse);

}  // namespace holdfast::serve
