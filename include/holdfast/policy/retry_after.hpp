// SPDX-License-Identifier: MIT
// parse_retry_after: the HTTP header Retry-After as a duration from now, whichever of its forms the server chose.
//
//   operation           progress    cost   allocates   when refused
//   parse_retry_after   wait-free   O(n)   never       nullopt: not a valid field value
//
// In short: any thread | wait-free | never | nothing that it can read
//
// RFC 9110, 10.2.3: a number of seconds, or a date in one of the three forms that a recipient must accept (IMF-fixdate,
// RFC 850, asctime). A date that has passed is zero. A number too large for a duration is the largest there is: a hint
// beyond every deadline, which should_retry() answers at once. Nothing is trimmed and nothing is guessed: the field
// value comes without its surrounding spaces, as HTTP parsers hand it over.
//
// Only the date needs the wall clock; the result is an interval and goes into `error::retry_after`.
// Proof: unit/retry_after_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "holdfast/time/clock.hpp"

namespace holdfast {

// `wall_now_ns` as wall_clock::now_ns() gives it.
[[nodiscard]] std::optional<duration> parse_retry_after(std::string_view value, std::int64_t wall_now_ns) noexcept;

// Seconds since 1970-01-01T00:00:00Z of an HTTP-date. `wall_now_s` settles the century of RFC 850's two-digit year.
[[nodiscard]] std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t wall_now_s) noexcept;

}  // namespace holdfast
