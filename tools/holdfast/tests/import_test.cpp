// SPDX-License-Identifier: MIT
#include "serve/import.hpp"

#include <map>
#include <sstream>
#include <vector>

#include "serve/generator.hpp"
#include "serve/profile.hpp"
#include "support/catch.hpp"

using namespace holdfast::serve;

namespace {

struct loaded {
  std::vector<profile_row> rows;
  std::map<std::size_t, std::string> bad;
  bool usable = false;
};

loaded load(const std::string& text, row_format format) {
  loaded all;
  std::istringstream in(text);
  all.usable = read_rows(
      in, format,
      [&](profile_row&& row) {
        all.rows.push_back(std::move(row));
        return true;
      },
      [&](bad_row&& row) { all.bad[row.line] = row.reason; });
  return all;
}

}  // namespace

TEST_CASE("import: CSV with quotes, commas, line breaks and CRLF is read as RFC 4180 has it") {
  const auto all = load("\xEF\xBB\xBFid,name,note\r\na1,\"Ada, \"\"the\"\" first\",\"two\nlines\"\r\n\r\na2,Bo,\r\n",
                        row_format::csv);
  REQUIRE(all.usable);
  CHECK(all.bad.empty());
  REQUIRE(all.rows.size() == 2);
  CHECK(all.rows[0].body == R"({"id":"a1","name":"Ada, \"the\" first","note":"two\nlines"})");
  CHECK(all.rows[1].body == R"({"id":"a2","name":"Bo"})");
}

TEST_CASE("import: what only begins like a byte order mark is text, and keeps its bytes") {
  const auto all = load("\xEF\xBD\x89,id,name\nx,a1,Ada\n", row_format::csv);  // a full-width i
  REQUIRE(all.usable);
  REQUIRE(all.rows.size() == 1);
  CHECK(all.rows[0].body == "{\"id\":\"a1\",\"\xEF\xBD\x89\":\"x\",\"name\":\"Ada\"}");
  CHECK_FALSE(load("\xEF\xBB", row_format::csv).usable);
}

TEST_CASE("import: bad CSV rows are named with line and reason, and the rest is loaded") {
  const auto all = load(
      "id,name,email\n"
      "ok1,Ada,a@example.com\n"
      "../etc,Bo,b@example.com\n"
      "x2,,c@example.com\n"
      "x3,Carl\n"
      "x4,\"multi\nline\",no-at-sign\n"
      "x5,\"Dora\"x,d@example.com\n"
      "ok2,Eve,e@example.com\n"
      "x6,\"open",
      row_format::csv);
  REQUIRE(all.usable);
  CHECK(all.rows.size() == 2);
  REQUIRE(all.bad.size() == 6);
  CHECK(all.bad.at(3).find("id must be") != std::string::npos);
  CHECK(all.bad.at(4).find("\"name\" must be a text") != std::string::npos);
  CHECK(all.bad.at(5) == "has 2 fields, the first line names 3");
  CHECK(all.bad.at(6).find("\"email\"") != std::string::npos);
  CHECK(all.bad.at(8) == "text behind a closing quote");
  CHECK(all.bad.at(10) == "a quote is left open");
}

TEST_CASE("import: a quote left open does not swallow the rest of a large file into memory") {
  std::string text = "id,name\nx1,\"open\n";
  for (int i = 0; i < 20'000; ++i) text += "y" + std::to_string(i) + ",Name\n";
  const auto all = load(text, row_format::csv);
  REQUIRE(all.bad.size() == 1);
  CHECK(all.bad.at(2).find("longer than") != std::string::npos);
  CHECK(all.rows.size() > 10'000);
}

TEST_CASE("import: bytes that are not UTF-8 are a bad row, not changed data") {
  const auto all = load("id,name\na,\xFF\xFE\nb,\xC3\xA9\n", row_format::csv);
  CHECK(all.bad.at(2) == "is not UTF-8");
  REQUIRE(all.rows.size() == 1);
}

TEST_CASE("import: a CSV file without usable header is refused as a whole") {
  CHECK_FALSE(load("", row_format::csv).usable);
  CHECK_FALSE(load("name,email\nAda,a@b\n", row_format::csv).usable);
  CHECK_FALSE(load("id,name,name\n1,2,3\n", row_format::csv).usable);
}

TEST_CASE("import: bad JSON lines are named with line and reason, and the rest is loaded") {
  const auto all = load(
      "{\"id\":\"a\",\"name\":\"Ada\",\"tags\":[1,2]}\n"
      "\n"
      "{\"id\":\"b\",\n"
      "[1]\n"
      "{\"name\":\"nobody\"}\n"
      "{\"id\":7,\"name\":\"seven\"}\n"
      "{\"id\":\"big\",\"name\":\"B\",\"bio\":\"" +
          std::string(2000, 'x') +
          "\"}\n"
          "{\"id\":\"c\",\"name\":\"Carl\"}",
      row_format::json_lines);
  CHECK(all.rows.size() == 2);
  REQUIRE(all.bad.size() == 5);
  CHECK(all.bad.at(3) == "is not JSON");
  CHECK(all.bad.at(4) == "is not a JSON object");
  CHECK(all.bad.at(7).find("at most 960") != std::string::npos);
}

TEST_CASE("generator: the same seed gives the same people, in both formats, and all pass the import") {
  CHECK(generated_id(1) == "u000001");
  CHECK(generated_id(1'234'567) == "u1234567");
  CHECK(generated_profile(1, 7).body == generated_profile(1, 7).body);
  CHECK(generated_profile(1, 7).body != generated_profile(2, 7).body);
  std::ostringstream csv;
  std::ostringstream lines;
  write_generated(csv, row_format::csv, 5, 300);
  write_generated(lines, row_format::json_lines, 5, 300);
  const auto a = load(csv.str(), row_format::csv);
  const auto b = load(lines.str(), row_format::json_lines);
  CHECK(a.bad.empty());
  CHECK(b.bad.empty());
  REQUIRE(a.rows.size() == 300);
  REQUIRE(b.rows.size() == 300);
  for (std::size_t i = 0; i < 300; ++i) CHECK(a.rows[i].body == b.rows[i].body);
}
