// SPDX-License-Identifier: MIT
// The table of all settings: its name in a file, its flag, its type, its limits and where it lands. Files, flags,
// --help and --print-config all read this one table, so they cannot disagree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "serve/options.hpp"

namespace holdfast::serve {

struct field {
  using target = std::variant<std::int64_t*, milliseconds*, bool*, std::string*>;
  std::string key;   // "server.port"
  std::string flag;  // "--port"
  std::string help;
  target into;
  std::int64_t min = 0;  // numbers and durations (in milliseconds)
  std::int64_t max = 0;
  std::vector<std::string> choices{};  // texts; empty: any text
};

// The table, bound to one options object.
std::vector<field> fields_of(options& o);
const field* find_field(const std::vector<field>& fields, std::string_view key);
// The known key most like a wrong one, for the error message; empty when none is near.
std::string nearest_key(const std::vector<field>& fields, std::string_view wrong);

// A value as a file or a flag gives it.
using raw_value = std::variant<std::int64_t, double, bool, std::string>;

// Stores the value, or says what is wrong with it ("must be at most 65535, is 70000").
std::optional<std::string> assign(const field& f, const raw_value& value);
// The same from a flag's text, where everything is text.
std::optional<std::string> assign_text(const field& f, const std::string& text);

// "250ms", "5s", "2m", "1h"; nothing for anything else.
std::optional<milliseconds> parse_duration(std::string_view text);
std::string format_duration(milliseconds value);
// The field's present value as TOML.
std::string to_toml(const field& f);

}  // namespace holdfast::serve
