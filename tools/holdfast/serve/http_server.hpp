// SPDX-License-Identifier: MIT
// http_server: HTTP/1.1 over Boost.Beast's parser, keep-alive and pipelining, with a bound on everything a client
// chooses: sizes of head and body, time for head, body, answer and idling, number of connections.
//
//   operation   caller       waits
//   listen      start-up     no; returns the port, or why not
//   drain       any thread   until all requests in flight are answered, or the time is over
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/core/outcome.hpp"

#include "serve/http_types.hpp"
#include "serve/io_threads.hpp"
#include "serve/options.hpp"

namespace holdfast::serve {

class http_server {
 public:
  http_server(io_threads& threads, const server_options& limits);
  ~http_server();

  // Each listener has its app; several may share one.
  outcome<std::uint16_t> listen(const std::string& address, std::uint16_t port, http_app& app);
  // No new connection; idle ones close; busy ones close behind the answer. False: some were cut off.
  bool drain(milliseconds within);
  [[nodiscard]] std::int64_t connections() const noexcept;

 private:
  struct core;
  std::shared_ptr<core> core_;
};

}  // namespace holdfast::serve
