// SPDX-License-Identifier: MIT
#include "holdfast/policy/retry_after.hpp"

#include <limits>
#include <string>

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr std::int64_t now_s = 784'111'700;  // 1994-11-06 08:48:20
constexpr std::int64_t now_ns = now_s * 1'000'000'000;
}  // namespace

TEST_CASE("Retry-After in seconds", "[retry_after]") {
  CHECK(parse_retry_after("0", now_ns) == 0s);
  CHECK(parse_retry_after("120", now_ns) == 120s);
  CHECK(parse_retry_after("007", now_ns) == 7s);
  CHECK(parse_retry_after("9223372036", now_ns) == 9'223'372'036s);
  CHECK(parse_retry_after("9223372037", now_ns) == duration::max());
  CHECK(parse_retry_after(std::string(4'000, '9'), now_ns) == duration::max());
}

TEST_CASE("Retry-After as a date, in the three forms that HTTP knows", "[retry_after]") {
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now_s) == 784'111'777);
  CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now_s) == 784'111'777);
  CHECK(parse_http_date("Sun Nov  6 08:49:37 1994", now_s) == 784'111'777);
  CHECK(parse_http_date("Sun Nov 06 08:49:37 1994", now_s) == 784'111'777);  // date3 takes both
  CHECK(parse_http_date("Wed Nov 16 08:49:37 1994", now_s) == 784'111'777 + 10 * 86'400);
  CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT", now_s) == 0);
  CHECK(parse_http_date("Thu, 29 Feb 2024 12:00:00 GMT", now_s) == 1'709'208'000);
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now_ns) == 77s);
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now_ns + 500'000'000) == 76'500ms);
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:40:00 GMT", now_ns) == 0s);  // has passed
  CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now_ns) == duration::max());
}

TEST_CASE("a two-digit year is at most fifty years ahead", "[retry_after]") {
  constexpr std::int64_t in_2026 = 1'780'000'000;
  CHECK(parse_http_date("Friday, 06-Nov-76 08:49:37 GMT", in_2026) > in_2026);            // 2076
  CHECK_FALSE(parse_http_date("Saturday, 06-Nov-76 08:49:37 GMT", in_2026).has_value());  // 1976 was a Saturday
  CHECK(parse_http_date("Sunday, 06-Nov-77 08:49:37 GMT", in_2026) < in_2026);            // 1977
}

TEST_CASE("a two-digit year of the next century is understood before it begins", "[retry_after]") {
  constexpr std::int64_t in_2099 = 4'102'444'799;                                                   // its last second
  CHECK(parse_http_date("Friday, 01-Jan-00 00:00:09 GMT", in_2099) == in_2099 + 10);                // 2100
  CHECK_FALSE(parse_http_date("Saturday, 01-Jan-00 00:00:09 GMT", in_2099).has_value());            // 2000
  CHECK(parse_http_date("Wednesday, 31-Dec-49 23:59:59 GMT", in_2099) == in_2099 + 1'577'836'800);  // 50 years
  CHECK(parse_http_date("Saturday, 01-Jan-50 00:00:00 GMT", in_2099) < in_2099);                    // 2050
}

TEST_CASE("a wall clock before 1970 does not overflow the way to a date", "[retry_after]") {
  constexpr auto first_ns = std::numeric_limits<std::int64_t>::min();
  CHECK(parse_retry_after("Fri, 11 Apr 2262 00:00:00 GMT", first_ns) == duration::max());
  CHECK(parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", -500'000'000) == 500ms);
  CHECK(parse_retry_after("Sun, 01 Jan 0001 00:00:00 GMT", first_ns).has_value() == false);  // a Monday
  CHECK(parse_retry_after("Mon, 01 Jan 0001 00:00:00 GMT", first_ns) == 0s);
}

TEST_CASE("what is no Retry-After is refused, not guessed", "[retry_after]") {
  for (const char* text : {"",
                           " ",
                           "-1",
                           "+1",
                           "1.5",
                           "1s",
                           "12 ",
                           " 12",
                           "0x10",
                           "soon",
                           "Sun",
                           "Sun,",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 gmt",
                           "Sun, 06 Nov 1994 08:49:37 GMT ",
                           "Mon, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 31 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:00 GMT",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 94 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994",
                           "Sun Nov 06  08:49:37 1994",
                           "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Sunday, 06-Nov-94 08:49:37",
                           ",",
                           "Sunday",
                           "Sun Nov  6"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_retry_after(text, now_ns).has_value());
  }
}

TEST_CASE("a gRPC pushback is a number of milliseconds", "[retry_after]") {
  const auto waits = [](std::string_view text) {
    const auto told = parse_retry_pushback(text);
    CHECK_FALSE(told.never);
    return told.retry_after;
  };
  CHECK(waits("0") == 0ms);
  CHECK(waits("1") == 1ms);
  CHECK(waits("250") == 250ms);
  CHECK(waits("007") == 7ms);
  CHECK(waits("2147483647") == 2'147'483'647ms);
  CHECK(waits(std::string(4'000, '0') + "12") == 12ms);
}

TEST_CASE("a gRPC pushback that is negative or no number of 32 bits means never again", "[retry_after]") {
  for (const std::string& text :
       {std::string("-1"), std::string("-0"), std::string("-2147483648"), std::string("2147483648"),
        std::string("99999999999999999999999"), std::string(4'000, '9'), std::string(), std::string(" "),
        std::string("+1"), std::string("1 "), std::string(" 1"), std::string("1.5"), std::string("1ms"),
        std::string("0x10"), std::string("soon"), std::string("1\0", 2), std::string("\xFF")}) {
    CAPTURE(text);
    const auto told = parse_retry_pushback(text);
    CHECK(told.never);
    CHECK(told.retry_after == 0ms);
  }
}

TEST_CASE("no prefix and no changed byte of a date breaks the parser", "[retry_after]") {
  for (const std::string whole :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      CHECK_FALSE(parse_retry_after(whole.substr(0, n), now_ns).has_value());
      for (int c = 0; c < 256; ++c) {
        std::string changed = whole;
        changed[n] = static_cast<char>(c);
        const auto result = parse_retry_after(changed, now_ns);
        if (result) REQUIRE(*result >= 0s);
      }
    }
  }
}
