// SPDX-License-Identifier: MIT
// parse_retry_after, parse_retry_pushback: what a server says about coming again, read from the HTTP header Retry-After,
// whichever of its forms the server chose, and from gRPC's trailer grpc-retry-pushback-ms.
//
//   operation              progress    cost   allocates   when refused
//   parse_retry_after      wait-free   O(n)   never       nullopt: not a valid field value
//   parse_retry_pushback   wait-free   O(n)   never       never again: so the protocol has it
//
// In short: any thread | wait-free | never | nothing that it can read
//
// RFC 9110, 10.2.3: a number of seconds, or a date in one of the three forms that a recipient must accept (IMF-fixdate,
// RFC 850, asctime). A date that has passed is zero. A number too large for a duration is the largest there is: a hint
// beyond every deadline, which should_retry() answers at once. Nothing is trimmed and nothing is guessed: the field
// value comes without its surrounding spaces, as HTTP parsers hand it over.
//
// Only the date needs the wall clock; the result is an interval and goes into `error::retry_after`.
//
// gRPC proposal A6: milliseconds as a signed number of 32 bits. A negative one, and whatever is no such number, tells the
// client not to try again at all: it goes into `error::no_retry`. Who gets no trailer at all does not ask here.
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

struct retry_pushback {
  bool never = false;       // for error::no_retry
  duration retry_after{0};  // for error::retry_after; zero when `never`
};

[[nodiscard]] retry_pushback parse_retry_pushback(std::string_view value) noexcept;

}  // namespace holdfast
