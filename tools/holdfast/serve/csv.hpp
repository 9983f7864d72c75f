// SPDX-License-Identifier: MIT
// CSV as RFC 4180 has it, read from a stream: quoted fields may hold commas, doubled quotes and line breaks. CRLF and
// LF end a record; a byte order mark is skipped; empty lines are skipped.
#pragma once

#include <istream>
#include <string>
#include <vector>

namespace holdfast::serve {

class csv_reader {
 public:
  // A record longer than this is a bad row, so that a quote that is never closed does not swallow the file into memory.
  static constexpr std::size_t max_record_bytes = 65'536;

  explicit csv_reader(std::istream& in);
  // False at the end of the input. After true, either error() is empty and `fields` hold the record, or it says what
  // is wrong with it; line() is the line it began on.
  bool next(std::vector<std::string>& fields);
  [[nodiscard]] std::size_t line() const noexcept { return record_line_; }
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

 private:
  int bump();
  int get();
  void read_record(int first, std::vector<std::string>& fields);
  int read_quoted(std::string& field);
  int read_plain(int c, std::string& field);
  void skip_line(int c);

  std::streambuf& in_;
  std::string ahead_;  // the beginning of a byte order mark that turned out to be none
  std::size_t line_ = 1;
  std::size_t record_line_ = 0;
  std::size_t record_bytes_ = 0;
  std::string error_;
};

}  // namespace holdfast::serve
