// SPDX-License-Identifier: MIT
// The program's import: any file of rows gives only profiles that keep the rules, with true line numbers; and fields written
// as RFC 4180 has them read back as they were.
#include <cstring>
#include <istream>
#include <streambuf>
#include <string>
#include <vector>

#include "fuzz/strict_json.hpp"
#include "fuzz/target.hpp"
#include "serve/csv.hpp"
#include "serve/import.hpp"

namespace {

using namespace holdfast::fuzz;
using namespace holdfast::serve;

class bytes_in : public std::streambuf {
 public:
  explicit bytes_in(std::string& text) { setg(text.data(), text.data(), text.data() + text.size()); }
};

void check_profile(const profile_row& row) {
  expect(!row.id.empty() && row.id.size() <= 64, "an id of 1 to 64");
  for (const char c : row.id) expect(std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-', "plain");
  expect(row.body.size() <= 960, "a document that fits the cache");
  strict_json json(row.body);
  expect(json.read(), "a document of strict JSON");
  const auto& events = json.events();
  expect(events.size() > 4 && events[0].kind == json_event_kind::begin_object, "an object");
  expect(events[1] == json_event{json_event_kind::key, "id"} && events[2] == json_event{json_event_kind::text, row.id},
         "its id first");
  bool named = false;
  for (std::size_t i = 0; i + 1 < events.size(); ++i)
    named = named || (events[i] == json_event{json_event_kind::key, "name"} && !events[i + 1].text.empty());
  expect(named, "and a name");
}

void any_file(std::string text, row_format format) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  bytes_in bytes(text);
  std::istream in(&bytes);
  std::size_t rows = 0;
  std::size_t last_line = 0;
  const bool usable = read_rows(
      in, format,
      [&](profile_row&& row) {
        ++rows;
        check_profile(row);
        return true;
      },
      [&](bad_row&& bad) {
        ++rows;
        expect(!bad.reason.empty(), "a refused row is told why");
        expect(bad.line >= 1 && bad.line <= lines, "and its line");
        expect(bad.line > last_line, "in the file's order");
        last_line = bad.line;
      });
  expect(rows <= lines, "at most a row a line");
  expect(usable || rows == 1, "a file that cannot be used is told so once");
}

// A field that must be quoted, or that the input wants to be.
bool needs_quotes(std::string_view field, bool wanted) {
  return wanted || field.empty() || field.find_first_of(",\"\r\n") != field.npos;
}

void fields_and_back(input& in) {
  std::vector<std::vector<std::string>> rows;
  std::string text;
  if (in.byte() % 4 == 0) text = "\xEF\xBB\xBF";
  while (!in.empty()) {
    auto& row = rows.emplace_back();
    const std::uint8_t shape = in.byte();
    for (std::size_t i = 0; i <= shape % 4U; ++i) {
      const std::uint8_t style = in.byte();
      std::string field(in.text(style % 16U));
      // A byte order mark at the very beginning is one, whoever meant it as text.
      const bool mark = rows.size() == 1 && i == 0 && field.compare(0, 3, "\xEF\xBB\xBF") == 0;
      const bool quotes = needs_quotes(field, style >= 128 || mark);
      if (i > 0) text += ',';
      if (quotes) text += '"';
      for (const char c : field) text += c == '"' && quotes ? "\"\"" : std::string(1, c);
      if (quotes) text += '"';
      // A line break in a field comes in as LF, however it is written.
      for (std::size_t at = field.find("\r\n"); at != field.npos; at = field.find("\r\n", at)) field.erase(at, 1);
      row.push_back(std::move(field));
    }
    text += shape >= 128 ? "\r\n" : "\n";
  }
  bytes_in bytes(text);
  std::istream stream(&bytes);
  csv_reader csv(stream);
  std::vector<std::string> got;
  for (const auto& row : rows) {
    expect(csv.next(got) && csv.error().empty(), "a row for each that was written");
    expect(got == row, "its fields as they were");
  }
  expect(!csv.next(got), "and no more");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 4) {
    case 0: any_file(std::string(in.rest()), row_format::csv); break;
    case 1: any_file("id,name\n" + std::string(in.rest()), row_format::csv); break;
    case 2: any_file(std::string(in.rest()), row_format::json_lines); break;
    default: fields_and_back(in); break;
  }
  return 0;
}
