// SPDX-License-Identifier: MIT
// The program's configuration: whatever a file or a flag holds, either every wrong place is named or each value is within
// its limits, and what is printed reads back as it was.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "fuzz/target.hpp"
#include "fuzz/utf8_reference.hpp"
#include "serve/config.hpp"

namespace {

using namespace holdfast::fuzz;
using namespace holdfast::serve;

// The table is dear to build under sanitizers: each is bound once, to an object that is fresh for each input.
struct settings {
  options value;
  const std::vector<field> fields = fields_of(value);

  // Swapped, so that no text keeps the room of an older one.
  void refresh() {
    options fresh;
    std::swap(value, fresh);
  }
};
settings first;
settings back;

void within_limits(const field& f) {
  if (const auto* number = std::get_if<std::int64_t*>(&f.into))
    expect(**number >= f.min && **number <= f.max, "a number is within its limits");
  if (const auto* time = std::get_if<milliseconds*>(&f.into))
    expect((*time)->count() >= f.min && (*time)->count() <= f.max, "a duration is within its limits");
  if (const auto* text = std::get_if<std::string*>(&f.into)) {
    expect(f.choices.empty() || std::count(f.choices.begin(), f.choices.end(), **text) == 1, "one of the choices");
    expect((*text)->find('\0') == std::string::npos, "no NUL in a text");
  }
}

void whole_file(std::string_view text, bool json) {
  const auto errors = json ? read_json("f", text, first.fields) : read_toml("f", text, first.fields);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const auto& e : errors) {
    expect(!e.what.empty() && e.file == "f", "an error says what is wrong, and in which file");
    expect(e.line >= 1 && e.line <= lines + 1, "and on which of its lines");
  }
  // What was read before an error is within its limits too.
  for (const auto& f : first.fields) within_limits(f);
  if (json && !nlohmann::json::accept(text)) expect(!errors.empty(), "what is no JSON is an error");
  static const std::string untouched = print_config(back.fields);
  if (!errors.empty()) return;
  const std::string printed = print_config(first.fields);
  if (printed == untouched) return;
  expect(read_toml("printed", printed, back.fields).empty(), "what is printed is read without an error");
  expect(print_config(back.fields) == printed, "and is the same configuration");
}

void one_flag(std::size_t which, const std::string& text) {
  const field& f = first.fields.at(which % first.fields.size());
  if (assign_text(f, text)) return;
  within_limits(f);
  if (!is_utf8(text)) return;  // a path may be no UTF-8, and a TOML file then cannot hold it
  const std::string value = to_toml(f);
  expect(read_toml("printed", f.key + " = " + value, back.fields).empty(), "a value as TOML is read without an error");
  expect(to_toml(*find_field(back.fields, f.key)) == value, "and is the same value");
}

void any_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(digits);
  const long double factor = unit == "ms"  ? 1
                             : unit == "s" ? 1'000
                             : unit == "m" ? 60'000
                             : unit == "h" ? 3'600'000
                                           : 0;
  const bool minus_zero = text.substr(0, 1) == "-";  // "-0s" is zero
  const auto got = parse_duration(text);
  if (minus_zero) return expect(!got || got->count() == 0, "never a negative duration");
  long double value = 0;
  for (const char c : text.substr(0, digits)) value = value * 10 + (c - '0');
  const bool good =
      digits > 0 && factor != 0 && value * factor <= static_cast<long double>(INT64_MAX) && value <= 0x1p63L - 1;
  expect(got.has_value() == good, "digits and a unit, and nothing else");
  if (!got) return;
  expect(static_cast<long double>(got->count()) == value * factor, "so many milliseconds");
  expect(parse_duration(format_duration(*got)) == got, "a duration as text reads back as it was");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 4) {
    case 0: whole_file(in.rest(), true); break;
    case 1: whole_file(in.rest(), false); break;
    case 2: any_duration(in.rest()); break;
    default: {
      const std::size_t which = in.byte();
      one_flag(which, std::string(in.rest()));
    }
  }
  first.refresh();
  back.refresh();
  return 0;
}
