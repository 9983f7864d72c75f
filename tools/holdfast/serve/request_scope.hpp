// SPDX-License-Identifier: MIT
// One request on its way through its handler: whose it is, and what will be written about it.
#pragma once

#include <string>
#include <string_view>

#include "holdfast/core/error.hpp"
#include "holdfast/telemetry/context.hpp"

#include "serve/http_types.hpp"
#include "serve/problem.hpp"

namespace holdfast::serve {

struct request_scope {
  const http_request& http;
  context whose;
  std::string_view path{};
  std::string_view tier{};  // who answered; empty: nobody was asked
  std::string_view why{};   // a word for the log when the answer is a refusal

  // A refusal in this request's name; `because` of what a dependency's guards said, where there is such an error.
  [[nodiscard]] http_response refuse(int status, std::string_view type, std::string detail,
                                     std::chrono::nanoseconds retry_after = {}, const error* because = nullptr) const {
    return to_response({.status = status,
                        .type = type,
                        .detail = std::move(detail),
                        .instance = path,
                        .correlation_id = whose.correlation_id,
                        .retry_after = retry_after,
                        .because = because});
  }
};

}  // namespace holdfast::serve
