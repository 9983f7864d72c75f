// SPDX-License-Identifier: MIT
// The head of an HTTP/1.1 answer, as far as the load's client needs it: nothing is allocated, all views point into the
// text that was read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::demo {

struct answer_head {
  int status = 0;
  std::size_t head_bytes = 0;  // with the empty line
  std::size_t body_bytes = 0;
  bool keep_alive = true;
  std::string_view served_by{};
  std::string_view etag{};
  std::string_view location{};
  std::string_view content_type{};
  std::string_view correlation_id{};
  std::int64_t age_ms = -1;  // -1: not said
};

enum class head_result : std::uint8_t { incomplete, complete, malformed };

// A body without Content-Length (and chunked ones) count as malformed: the service never sends them.
head_result parse_head(std::string_view text, answer_head& out);

}  // namespace holdfast::demo
