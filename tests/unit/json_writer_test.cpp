// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/json_writer.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

std::string escaped(std::string_view text, std::uint64_t* invalid = nullptr) {
  std::vector<char> out(6 * text.size() + 16);
  std::uint64_t bad = 0;
  char* const end = put_escaped(out.data(), text, bad);
  if (invalid != nullptr) *invalid = bad;
  return {out.data(), end};
}

std::string number(double v) {
  char out[json_number_space];
  return {out, put_double(out, v)};
}

std::string stamp(std::int64_t ns) {
  rfc3339_writer writer;
  char out[rfc3339_space];
  return {out, writer.put(out, ns)};
}

// A character beyond ASCII is written as one code point; everything else as a random byte.
std::string random_text(splitmix64& random) {
  std::string text;
  const auto length = random() % 80;
  const auto style = random() % 4;
  while (text.size() < length) {
    const auto r = random();
    if (style == 0) {
      text += static_cast<char>(r);
    } else if (style == 1 || r % 8 != 0) {
      text += static_cast<char>(' ' + r / 8 % 95);
    } else {
      static constexpr const char* some[] = {
          "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xEF\xBF\xBD", "\"", "\\", "\n", "\x01", "\x7F", "\xD0\x96"};
      text += some[r / 8 % std::size(some)];
    }
  }
  return text;
}

// What a decoder makes of bytes that may be no UTF-8, written after Unicode 15, table 3-7, by its rows.
std::string replaced(std::string_view in, std::uint64_t& bad) {
  struct row {
    unsigned lead_low, lead_high, low, high, length;
  };
  static constexpr row rows[] = {{0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                 {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
                                 {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  std::string out;
  std::size_t i = 0;
  while (i < in.size()) {
    const auto at = [&](std::size_t k) { return static_cast<unsigned>(static_cast<unsigned char>(in[k])); };
    const row* found = nullptr;
    for (const auto& r : rows) {
      if (at(i) >= r.lead_low && at(i) <= r.lead_high) found = &r;
    }
    std::size_t good = found == nullptr ? 0 : 1;
    while (found != nullptr && good < found->length && i + good < in.size()) {
      const unsigned low = good == 1 ? found->low : 0x80U;
      const unsigned high = good == 1 ? found->high : 0xBFU;
      if (at(i + good) < low || at(i + good) > high) break;
      ++good;
    }
    if (found != nullptr && good == found->length) {
      out += in.substr(i, good);
    } else {
      out += "\xEF\xBF\xBD";
      ++bad;
    }
    i += good == 0 ? 1 : good;
  }
  return out;
}

}  // namespace

TEST_CASE("text is escaped as JSON asks, at every position of a 16-byte block", "[json]") {
  CHECK(escaped("") == "");
  CHECK(escaped("plain") == "plain");
  CHECK(escaped("a\"b\\c/d") == "a\\\"b\\\\c/d");
  CHECK(escaped("\b\f\n\r\t") == "\\b\\f\\n\\r\\t");
  CHECK(escaped(std::string_view("\0\x1F\x7F", 3)) == "\\u0000\\u001f\x7F");
  for (std::size_t length = 1; length < 50; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::string text(length, 'x');
      text[at] = '\n';
      std::string want(at, 'x');
      want.append("\\n").append(length - at - 1, 'x');
      REQUIRE(escaped(text) == want);
      text.replace(at, 1, "\xE2\x82\xAC");
      REQUIRE(escaped(text) == text);
    }
  }
}

TEST_CASE("bytes that are no UTF-8 are replaced one by one and counted", "[json]") {
  const std::string fffd = "\xEF\xBF\xBD";
  std::uint64_t bad = 0;
  CHECK(escaped("d\xC3\xA9j\xC3\xA0", &bad) == "d\xC3\xA9j\xC3\xA0");
  CHECK(bad == 0);
  CHECK(escaped("a\x80z", &bad) == "a\xEF\xBF\xBDz");
  CHECK(bad == 1);
  CHECK(escaped("\xC0\xAF", &bad) == fffd + fffd);             // overlong
  CHECK(escaped("\xED\xA0\x80", &bad) == fffd + fffd + fffd);  // a surrogate
  CHECK(bad == 3);
  CHECK(escaped("\xF4\x90\x80\x80", &bad) == fffd + fffd + fffd + fffd);  // beyond U+10FFFF
  CHECK(escaped("\xE2\x82", &bad) == fffd);  // cut off: one replacement for the maximal beginning
  CHECK(bad == 1);
  CHECK(escaped("\xE2\x82\"", &bad) == fffd + "\\\"");
}

TEST_CASE("random text is valid JSON that reads back as the text with its bad bytes replaced", "[json]") {
  splitmix64 random(20'231'123);
  for (int i = 0; i < 20'000; ++i) {
    const auto text = random_text(random);
    std::uint64_t want_bad = 0;
    const auto want = replaced(text, want_bad);
    std::uint64_t bad = 0;
    std::string json(1, '"');
    json.append(escaped(text, &bad)).append(1, '"');
    const auto parsed = nlohmann::json::parse(json, nullptr, false);
    REQUIRE_FALSE(parsed.is_discarded());
    REQUIRE(parsed.get<std::string>() == want);
    REQUIRE(bad == want_bad);
  }
}

TEST_CASE("a text that is cut ends on a character, inside its limit", "[json]") {
  splitmix64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    const auto text = random_text(random);
    std::vector<char> out(random() % 600, '#');
    std::uint64_t bad = 0;
    const auto put = put_escaped_within(out.data(), out.data() + out.size(), text, bad);
    REQUIRE(put.end <= out.data() + out.size());
    std::string json(1, '"');
    json.append(out.data(), put.end).append(1, '"');
    const auto parsed = nlohmann::json::parse(json, nullptr, false);
    REQUIRE_FALSE(parsed.is_discarded());
    if (!put.cut) {
      std::uint64_t ignored = 0;
      REQUIRE(parsed.get<std::string>() == replaced(text, ignored));
    } else {
      REQUIRE(out.size() < 6 * text.size() + 24);
    }
  }
  CHECK(cut_at_character("ab\xE2\x82\xAC", 4) == "ab");
  CHECK(cut_at_character("ab\xE2\x82\xAC", 5) == "ab\xE2\x82\xAC");
  CHECK(cut_at_character("\x80\x80\x80\x80\x80", 4).size() == 4);  // no characters at all: still progress
  // A byte that goes on with no character is no reason to give up the one before it.
  CHECK(cut_at_character("a\x80\x80", 2) == "a\x80");
  CHECK(cut_at_character("\xC3\xA9\x80\x80", 3) == "\xC3\xA9\x80");
  CHECK(cut_at_character("\xE2\x82\xAC\x80\x80", 4) == "\xE2\x82\xAC\x80");
}

TEST_CASE("doubles are written with a point or an exponent and nothing that JSON lacks", "[json]") {
  CHECK(number(0) == "0.0");
  CHECK(number(-0.0) == "-0.0");
  CHECK(number(100) == "100.0");
  CHECK(number(100.25) == "100.25");
  CHECK(number(-1.5) == "-1.5");
  CHECK(number(0.1) == "0.1");
  CHECK(number(0.001) == "0.001");
  CHECK(number(200.06) == "200.06");
  CHECK(number(123456.789012) == "123456.789012");
  CHECK(number(0.1 + 0.2) == "0.30000000000000004");
  CHECK(number(1e22) == "1e+22");
  CHECK(number(std::numeric_limits<double>::max()) == "1.7976931348623157e+308");
  CHECK(number(std::numeric_limits<double>::denorm_min()) == "5e-324");
  CHECK(number(16'000'000.0) == "16000000.0");
  CHECK(number(1.6e12) == "1.6e+12");
  CHECK(number(std::nan("")) == "null");
  CHECK(number(std::numeric_limits<double>::infinity()) == "null");
  CHECK(number(-std::numeric_limits<double>::infinity()) == "null");
  char out[json_number_space];
  CHECK(std::string(out, put_float(out, 0.1F)) == "0.1");
  CHECK(std::string(out, put_float(out, 16777216.0F)) == "16777216.0");
}

TEST_CASE("every double reads back equal, with no more digits than the shortest needs", "[json]") {
  splitmix64 random(42);
  const auto digits = [](std::string_view text) {
    std::string only;
    for (const char c : text) {
      if (c == 'e') break;
      if (c >= '0' && c <= '9') only += c;
    }
    const auto first = only.find_first_not_of('0');
    if (first == only.npos) return std::size_t{0};
    return only.find_last_not_of('0') - first + 1;
  };
  for (int i = 0; i < 100'000; ++i) {
    double v = 0;
    switch (i % 4) {
      case 0: v = std::bit_cast<double>(random()); break;
      case 1: v = static_cast<double>(random() % 10'000'000) / 100.0; break;
      case 2: v = static_cast<double>(random() % 1'000'000'000'000) / 1e6; break;
      default: v = static_cast<double>(random()) / 1e9; break;
    }
    if (!std::isfinite(v)) continue;
    const auto text = number(v);
    double back = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), back);
    REQUIRE(result.ptr == text.data() + text.size());
    REQUIRE(std::bit_cast<std::uint64_t>(back) == std::bit_cast<std::uint64_t>(v));
    REQUIRE(text.find_first_of(".e") != text.npos);
    char shortest[64];
    const auto end = std::to_chars(shortest, shortest + sizeof shortest, v).ptr;
    REQUIRE(digits(text) <= digits(std::string_view(shortest, static_cast<std::size_t>(end - shortest))));
    REQUIRE(nlohmann::json::accept(text));
  }
}

TEST_CASE("integers are exact to the last digit", "[json]") {
  char out[json_number_space];
  CHECK(std::string(out, put_unsigned(out, UINT64_MAX)) == "18446744073709551615");
  CHECK(std::string(out, put_signed(out, INT64_MIN)) == "-9223372036854775808");
}

TEST_CASE("times are RFC 3339 with nanoseconds, before 1970 and on leap days too", "[json]") {
  constexpr std::int64_t giga = 1'000'000'000;
  CHECK(stamp(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(stamp(-1) == "1969-12-31T23:59:59.999999999Z");
  CHECK(stamp(951'782'400 * giga + 1) == "2000-02-29T00:00:00.000000001Z");
  CHECK(stamp(1'709'251'199 * giga + 999'999'999) == "2024-02-29T23:59:59.999999999Z");
  CHECK(stamp(1'795'450'976 * giga + 795'723'430) == "2026-11-23T16:22:56.795723430Z");
  CHECK(stamp(INT64_MAX) == "2262-04-11T23:47:16.854775807Z");
  CHECK(stamp(INT64_MIN) == "1677-09-21T00:12:43.145224192Z");
  rfc3339_writer kept;  // the prefix of one second must not leak into the next
  char out[rfc3339_space];
  CHECK(std::string(out, kept.put(out, 59 * giga)) == "1970-01-01T00:00:59.000000000Z");
  CHECK(std::string(out, kept.put(out, 60 * giga)) == "1970-01-01T00:01:00.000000000Z");
  CHECK(std::string(out, kept.put(out, 59 * giga + 5)) == "1970-01-01T00:00:59.000000005Z");
}

TEST_CASE("json_writer keeps commas, keys and nesting", "[json]") {
  char buffer[512];
  json_writer w(buffer);
  w.begin_object().member("a", 1).member("b", "x\"y").member("c", true).member("d", 2.0);
  w.key("list").begin_array().value(1U).value(std::string_view("two")).null().end_array();
  w.key("empty").begin_object().end_object();
  w.member("n", static_cast<const char*>(nullptr)).end_object();
  CHECK(w.view() == R"({"a":1,"b":"x\"y","c":true,"d":2.0,"list":[1,"two",null],"empty":{},"n":null})");
  CHECK_FALSE(w.truncated());
}

TEST_CASE("a buffer that is too small still gives valid JSON that says so", "[json]") {
  splitmix64 random(9);
  for (std::size_t size = json_writer::min_buffer; size < 700; ++size) {
    std::vector<char> buffer(size + 16, '#');
    json_writer w(std::span<char>(buffer).first(size));
    w.begin_object().member("first", random());
    w.key("deep").begin_object().key("list").begin_array();
    for (int i = 0; i < 8; ++i) w.value(random_text(random)).value(static_cast<double>(i));
    w.end_array().end_object().member("last", random_text(random)).end_object();
    REQUIRE(std::string(buffer.data() + size, 16) == std::string(16, '#'));
    const auto parsed = nlohmann::json::parse(w.view(), nullptr, false);
    REQUIRE_FALSE(parsed.is_discarded());
    REQUIRE(parsed.contains("truncated") == w.truncated());
    REQUIRE((w.truncated() || parsed["deep"]["list"].size() == 16));
  }
}
