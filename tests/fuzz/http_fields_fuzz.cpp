// SPDX-License-Identifier: MIT
// Retry-After, gRPC's pushback, traceparent and correlation ids: what strangers put into header fields, read as the
// standards say. Dates are judged by the C library's calendar, both ways.
#include <time.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>

#include "holdfast/policy/retry_after.hpp"
#include "holdfast/telemetry/context.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;
__extension__ using wide = __int128;

// The grammar of asctime's form takes the day's two digits as well (RFC 9110, 5.6.7: date3).
constexpr std::array formats{"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y",
                             "%a %b %d %H:%M:%S %Y"};
constexpr std::int64_t year_zero = -62'167'219'200;  // 0000-01-01
constexpr std::int64_t year_ten_thousand = 253'402'300'800;
constexpr std::int64_t giga = 1'000'000'000;

std::tm calendar(std::int64_t second) {
  const time_t t = second;
  std::tm date{};
  ::gmtime_r(&t, &date);
  return date;
}

std::string written(const std::tm& date, std::size_t form) {
  std::array<char, 64> text{};
  std::string out(text.data(), std::strftime(text.data(), text.size(), formats.at(form), &date));
  // %Y has no leading zeros here; HTTP's year has four digits.
  if (form == 1 || date.tm_year + 1900 > 999) return out;
  std::array<char, 16> year{};
  std::snprintf(year.data(), year.size(), "%04d", date.tm_year + 1900);
  const std::string plain = std::to_string(date.tm_year + 1900);
  const std::size_t at = form == 0 ? 12 : out.size() - plain.size();
  return out.replace(at, plain.size(), year.data());
}

// RFC 9110, 5.6.7: of the years with these two digits, the last that is at most 50 ahead.
bool right_century(std::int64_t second, std::int64_t now) {
  const int ahead = calendar(second).tm_year - calendar(now).tm_year;
  return ahead <= 50 && ahead > -50;
}

// Any text: if it is a date, then it is how that date is written.
void any_date(std::string_view text, std::int64_t now) {
  const auto second = parse_http_date(text, now);
  if (!second) return;
  expect(*second >= year_zero && *second <= year_ten_thousand, "a year of four digits");
  for (std::size_t form = 0; form < formats.size(); ++form) {
    std::tm date = calendar(*second);
    // A leap second is written as the sixtieth of the minute before.
    if (text.find(":60") != text.npos) {
      date = calendar(*second - 1);
      date.tm_sec = 60;
    }
    if (written(date, form) != text) continue;
    expect(form != 1 || right_century(*second - (date.tm_sec == 60 ? 1 : 0), now), "RFC 850: the right century");
    return;
  }
  expect(false, "what was read as a date is written as one");
}

// Any date: written in each form it reads back.
void every_form(std::int64_t second, std::int64_t now) {
  for (std::size_t form = 0; form < formats.size(); ++form) {
    if (form == 1 && !right_century(second, now)) continue;
    const auto back = parse_http_date(written(calendar(second), form), now);
    expect(back && *back == second, "a date reads back as it was");
  }
}

void any_retry_after(std::string_view value, std::int64_t now_ns) {
  const auto got = parse_retry_after(value, now_ns);
  const bool digits = !value.empty() && value.find_first_not_of("0123456789") == value.npos;
  constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max();
  if (digits) {
    wide seconds = 0;
    for (const char c : value) seconds = std::min<wide>(seconds * 10 + (c - '0'), longest);
    const wide wanted = std::min<wide>(seconds * giga, longest);
    expect(got && got->count() == static_cast<std::int64_t>(wanted), "seconds: exact, or the largest duration");
    return;
  }
  const auto date = parse_http_date(value, now_ns / giga);
  expect(date.has_value() == got.has_value(), "a number of seconds or a date, and nothing else");
  if (!date) return;
  const wide ahead = static_cast<wide>(*date) * giga - now_ns;
  const wide wanted = std::clamp<wide>(ahead, 0, longest);
  expect(got->count() == static_cast<std::int64_t>(wanted), "a date: the time until then, never negative");
}

void any_pushback(std::string_view value) {
  const auto got = parse_retry_pushback(value);
  bool number = !value.empty() && value.find_first_not_of("0123456789") == value.npos;
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  std::int64_t wanted = 0;
  for (std::size_t i = 0; number && i < value.size(); ++i) {
    wanted = std::min<std::int64_t>(wanted * 10 + (value[i] - '0'), most + 1);
  }
  number = number && wanted <= most;
  expect(got.never != number, "a number of 31 bits, or never again");
  expect(got.retry_after == (number ? std::chrono::milliseconds(wanted) : std::chrono::milliseconds(0)), "exact");
}

// The value of hexadecimal digits, by the C library; the caller has checked them.
std::uint8_t byte_at(std::string_view text, std::size_t at) {
  const std::array<char, 3> digits{text[at], text[at + 1], '\0'};
  return static_cast<std::uint8_t>(std::strtoul(digits.data(), nullptr, 16));
}

void any_traceparent(std::string_view header) {
  constexpr std::string_view shape = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  bool good = header.size() >= shape.size();
  for (std::size_t i = 0; good && i < shape.size(); ++i)
    good =
        shape[i] == 'x' ? std::strchr("0123456789abcdef", header[i]) != nullptr && header[i] != '\0' : header[i] == '-';
  good = good && header.substr(0, 2) != "ff";
  good = good && (header.size() == shape.size() || (header.substr(0, 2) != "00" && header[shape.size()] == '-'));
  good = good && header.substr(3, 32).find_first_not_of('0') != header.npos;
  good = good && header.substr(36, 16).find_first_not_of('0') != header.npos;
  const auto trace = parse_traceparent(header);
  expect(trace.has_value() == good, "what the standard calls valid, and nothing else");
  if (!trace) return;
  for (std::size_t i = 0; i < trace->trace_id.size(); ++i)
    expect(trace->trace_id.at(i) == byte_at(header, 3 + 2 * i), "the trace id as it is written");
  for (std::size_t i = 0; i < trace->span_id.size(); ++i)
    expect(trace->span_id.at(i) == byte_at(header, 36 + 2 * i), "the span id as it is written");
  expect(trace->flags == (byte_at(header, 53) & 3), "the flags that are known, and no other");
  const auto sent = format_traceparent(*trace);
  expect(sent.view().substr(0, 53) == "00" + std::string(header.substr(2, 51)), "what goes on is what came");
  expect(sent.view().size() == 55 && parse_traceparent(sent) == trace, "what is written reads back");
}

void any_trace(input& in) {
  trace_context trace;
  for (auto& b : trace.trace_id) b = in.byte();
  for (auto& b : trace.span_id) b = in.byte();
  trace.flags = in.byte();
  const auto text = format_traceparent(trace);
  const auto back = parse_traceparent(text);
  expect(back.has_value() == trace.valid() && text.empty() != trace.valid(), "written, and read, if it is valid");
  trace.flags &= 3;
  expect(!back || *back == trace, "a trace reads back as it was");
}

void any_correlation_id(std::string_view id) {
  bool good = !id.empty() && id.size() <= 64;
  for (const char c : id) good = good && c > 32 && c < 127 && std::strchr("\"'`\\", c) == nullptr;
  const auto got = parse_correlation_id(id);
  expect(got.has_value() == good, "1 to 64 printable characters without quotes, and nothing else");
  expect(!got || (got->view() == id && !got->truncated()), "kept as it is");
}

void any_request(std::string_view traceparent, std::string_view correlation) {
  const context mine = accept_context(traceparent, correlation);
  const auto parent = parse_traceparent(traceparent);
  expect(mine.trace.valid(), "every request has a trace");
  expect(!parent || (mine.trace.trace_id == parent->trace_id && mine.trace.flags == parent->flags),
         "the peer's trace goes on");
  expect(!parent || mine.trace.span_id != parent->span_id, "with a span of ours");
  const auto given = parse_correlation_id(correlation);
  expect(given ? mine.correlation_id.view() == given->view() : parse_correlation_id(mine.correlation_id).has_value(),
         "the peer's id is kept, or a good one is made");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 8) {
    case 0: {
      const auto now = static_cast<std::int64_t>(in.number(8));
      const std::string_view value = in.rest();
      any_retry_after(value, now);
      any_pushback(value);
      break;
    }
    case 1: {
      const auto now = static_cast<std::int64_t>(in.number(5) % 250'000'000'000);
      any_date(in.rest(), now);
      break;
    }
    case 2: {
      const auto now = static_cast<std::int64_t>(in.number(5) % 250'000'000'000);
      constexpr auto seconds = static_cast<std::uint64_t>(year_ten_thousand - year_zero);
      every_form(year_zero + static_cast<std::int64_t>(in.number(8) % seconds), now);
      break;
    }
    // Near to `now`, so that all three forms are tried.
    case 3: {
      const auto now = static_cast<std::int64_t>(in.number(4));
      every_form(now + static_cast<std::int32_t>(in.number(4)), now);
      break;
    }
    case 4: any_trace(in); break;
    case 5: any_correlation_id(in.rest()); break;
    case 6: {
      const std::string_view correlation = in.text(in.byte());
      any_request(in.rest(), correlation);
      break;
    }
    default: any_traceparent(in.rest()); break;
  }
  return 0;
}
