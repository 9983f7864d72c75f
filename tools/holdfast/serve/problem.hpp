// SPDX-License-Identifier: MIT
// Problem details (RFC 9457): the one form in which this service says no.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "holdfast/core/error.hpp"

#include "serve/http_types.hpp"

namespace holdfast::serve {

struct problem {
  int status = 400;
  std::string_view type{};   // the last part of its URI, "stale-etag"; empty: about:blank
  std::string_view title{};  // empty: the status's own words
  std::string detail{};
  std::string_view instance{};
  std::string_view correlation_id{};
  std::chrono::nanoseconds retry_after{0};  // rounded up to seconds in Retry-After, exact in the body
  const error* because = nullptr;           // what a dependency's guards said: the policy, since when, why
};

http_response to_response(const problem& p);

}  // namespace holdfast::serve
