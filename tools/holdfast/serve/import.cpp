// SPDX-License-Identifier: MIT
#include "serve/import.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "serve/csv.hpp"
#include "serve/profile.hpp"

namespace holdfast::serve {
namespace {

using take_row = std::function<bool(profile_row&&)>;
using refuse_row = std::function<void(bad_row&&)>;

constexpr std::string_view id_rule = "id must be 1 to 64 of A-Z a-z 0-9 _ -";

std::string shown(std::string_view text) {
  constexpr std::size_t longest = 40;
  std::string out;
  for (const char c : text.substr(0, longest)) out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return text.size() > longest ? out + "..." : out;
}

bool accept(std::string id, std::string_view document, std::size_t line, const take_row& take,
            const refuse_row& refuse) {
  if (!valid_id(id)) {
    refuse({line, std::string(id_rule) + ", is \"" + shown(id) + "\""});
    return true;
  }
  auto checked = check_document(document, id);
  if (!checked) {
    refuse({line, "the profile " + id + ": " + checked.reason});
    return true;
  }
  return take({std::move(id), std::move(checked.body)});
}

// Where the columns are; an empty reason means usable.
struct csv_header {
  std::vector<std::string> names;
  std::size_t id = 0;
  std::string reason;
};

csv_header read_header(csv_reader& csv) {
  csv_header header;
  if (!csv.next(header.names)) {
    header.reason = "the file is empty";
  } else if (!csv.error().empty()) {
    header.reason = csv.error();
  } else {
    const auto at = std::find(header.names.begin(), header.names.end(), "id");
    header.id = static_cast<std::size_t>(at - header.names.begin());
    if (at == header.names.end()) header.reason = "the first line names no column \"id\"";
    if (std::set<std::string>(header.names.begin(), header.names.end()).size() != header.names.size()) {
      header.reason = "the first line names a column twice";
    }
  }
  return header;
}

bool read_csv(std::istream& in, const take_row& take, const refuse_row& refuse) {
  csv_reader csv(in);
  const csv_header header = read_header(csv);
  if (!header.reason.empty()) {
    refuse({1, header.reason});
    return false;
  }
  std::vector<std::string> fields;
  while (csv.next(fields)) {
    if (!csv.error().empty()) {
      refuse({csv.line(), csv.error()});
      continue;
    }
    if (fields.size() != header.names.size()) {
      refuse({csv.line(), "has " + std::to_string(fields.size()) + " fields, the first line names " +
                              std::to_string(header.names.size())});
      continue;
    }
    nlohmann::ordered_json document;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i != header.id && !fields[i].empty()) document[header.names[i]] = fields[i];
    }
    if (document.is_null()) document = nlohmann::ordered_json::object();
    // dump() of bytes that are not UTF-8 would put a replacement into the user's data: such a row is refused instead.
    std::string text;
    try {
      text = document.dump();
    } catch (const nlohmann::json::exception&) {
      refuse({csv.line(), "is not UTF-8"});
      continue;
    }
    if (!accept(fields[header.id], text, csv.line(), take, refuse)) return true;
  }
  return true;
}

bool read_json_lines(std::istream& in, const take_row& take, const refuse_row& refuse) {
  std::string text;
  for (std::size_t line = 1; std::getline(in, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto row = nlohmann::json::parse(text, nullptr, false);
    if (!row.is_object()) {
      refuse({line, row.is_discarded() ? "is not JSON" : "is not a JSON object"});
      continue;
    }
    const auto id = row.find("id");
    if (id == row.end() || !id->is_string()) {
      refuse({line, "\"id\" must be a text"});
      continue;
    }
    if (!accept(id->get<std::string>(), text, line, take, refuse)) return true;
  }
  return true;
}

}  // namespace

std::optional<row_format> format_of(std::string_view path) {
  const auto ends = [&](std::string_view end) {
    return path.size() >= end.size() && path.substr(path.size() - end.size()) == end;
  };
  if (ends(".csv")) return row_format::csv;
  if (ends(".jsonl") || ends(".ndjson")) return row_format::json_lines;
  return std::nullopt;
}

bool read_rows(std::istream& in, row_format format, const take_row& take, const refuse_row& refuse) {
  return format == row_format::csv ? read_csv(in, take, refuse) : read_json_lines(in, take, refuse);
}

}  // namespace holdfast::serve
