// SPDX-License-Identifier: MIT
// cdn_client: gets a profile's file from the CDN over HTTP/1.1, on connections that are kept.
//
// get() belongs to the io thread whose number it is given. Asio's cancellation ends it at once: its connection is
// closed, so that an answer that comes too late meets nobody. A kept connection that turns out to be closed is replaced
// without that counting as a failure, once.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "holdfast/core/outcome.hpp"
#include "holdfast/time/deadline.hpp"

#include "serve/profile.hpp"

namespace holdfast::serve {

struct cdn_request {
  std::string id;
  std::string correlation_id;
  std::string traceparent;  // empty: not sent
};

class cdn_client {
 public:
  cdn_client(std::size_t io_threads, const std::string& address, std::uint16_t port);
  ~cdn_client();

  // The profile, or nothing (404: the CDN does not have it).
  boost::asio::awaitable<outcome<std::optional<profile>>> get(std::size_t io_thread, cdn_request request);
  // Kept connections are bound to their io_context: dropped before those end.
  void close();

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace holdfast::serve
