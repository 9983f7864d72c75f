// SPDX-License-Identifier: MIT
// What the HTTP server and those who answer requests say to each other. No Boost.Beast here: it compiles slowly.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "holdfast/time/clock.hpp"

namespace holdfast::serve {

struct http_response {
  int status = 200;
  std::string content_type{};
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
  bool close = false;  // the connection ends with this answer
};

// Lives as long as its handling; header() and target view into the server's own message.
struct http_request {
  std::string_view method{};
  std::string_view target{};
  std::string_view body{};
  std::string_view peer{};
  time_point begun{};  // when its first byte was there
  std::size_t io_thread = 0;
  const void* message = nullptr;
  std::string_view (*find_header)(const void* message, std::string_view name) = nullptr;

  // The first header of that name, empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const {
    return find_header == nullptr ? std::string_view{} : find_header(message, name);
  }
};

// A request that was turned away before it was one: too large, malformed, too slow.
struct http_refusal {
  int status = 400;
  std::string_view why{};
  std::string_view peer{};
  time_point begun{};
};

// Who answers. handle() is called on the connection's thread and must not block it.
class http_app {
 public:
  virtual ~http_app() = default;
  virtual boost::asio::awaitable<http_response> handle(const http_request& request) = 0;
  virtual http_response refuse(const http_refusal& refusal) = 0;
  // The answer has been handed to the kernel, or the client was gone (`sent` false).
  virtual void on_sent(const http_request&, const http_response&, bool /*sent*/) {}
};

}  // namespace holdfast::serve
