// SPDX-License-Identifier: MIT
#include "serve/csv.hpp"

namespace holdfast::serve {
namespace {
constexpr int eof = std::char_traits<char>::eof();

bool ends_field(int c) noexcept {
  return c == ',' || c == '\n' || c == eof;
}
}  // namespace

csv_reader::csv_reader(std::istream& in) : in_(*in.rdbuf()) {
  for (const int mark : {0xEF, 0xBB, 0xBF}) {
    if (in_.sgetc() != mark) return;  // no mark: what looked like one so far is text
    ahead_ += static_cast<char>(in_.sbumpc());
  }
  ahead_.clear();
}

int csv_reader::bump() {
  if (ahead_.empty()) return in_.sbumpc();
  const auto c = static_cast<unsigned char>(ahead_.front());
  ahead_.erase(0, 1);
  return c;
}

// The next character; a CR before an LF is taken with it.
int csv_reader::get() {
  int c = bump();
  if (c == '\r' && in_.sgetc() == '\n') c = in_.sbumpc();
  if (c == '\n') ++line_;
  if (++record_bytes_ > max_record_bytes && error_.empty()) {
    error_ = "the row is longer than " + std::to_string(max_record_bytes) + " bytes (is a quote left open?)";
  }
  return c;
}

bool csv_reader::next(std::vector<std::string>& fields) {
  fields.clear();
  error_.clear();
  for (;;) {
    record_line_ = line_;
    record_bytes_ = 0;
    const int c = get();
    if (c == eof) return false;
    if (c == '\n') continue;
    read_record(c, fields);
    return true;
  }
}

void csv_reader::read_record(int c, std::vector<std::string>& fields) {
  for (;;) {
    std::string field;
    if (c == '"') {
      c = read_quoted(field);
    } else {
      c = read_plain(c, field);
    }
    if (!error_.empty()) return skip_line(c);
    fields.push_back(std::move(field));
    if (c != ',') return;
    c = get();
  }
}

// From behind the opening quote to the character behind the closing one.
int csv_reader::read_quoted(std::string& field) {
  for (;;) {
    int c = get();
    if (c == eof) {
      error_ = "a quote is left open";
      return eof;
    }
    if (!error_.empty()) return c;
    if (c == '"') {
      c = get();
      if (c != '"') {
        if (!ends_field(c)) error_ = "text behind a closing quote";
        return c;
      }
    }
    field.push_back(static_cast<char>(c));
  }
}

int csv_reader::read_plain(int c, std::string& field) {
  while (!ends_field(c) && error_.empty()) {
    if (c == '"') error_ = "a quote within a field that is not quoted";
    field.push_back(static_cast<char>(c));
    c = get();
  }
  return c;
}

void csv_reader::skip_line(int c) {
  while (c != '\n' && c != eof) {
    c = bump();
    if (c == '\n') ++line_;
  }
}

}  // namespace holdfast::serve
