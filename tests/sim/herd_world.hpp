// SPDX-License-Identifier: MIT
// herd_world: 10,000 clients that fail together -> front -> store. Each client is a process of its own, with its retries and
// nothing that it shares with the others; the front may guard the store with a circuit breaker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "clients.hpp"
#include "event_log.hpp"
#include "layer.hpp"
#include "server.hpp"
#include "timeline.hpp"
#include "wire.hpp"

namespace sim {

struct herd_options {
  std::uint64_t seed = 1;
  bool keeps_text = false;
  duration way{};  // of every message
  closed_loop_clients::options clients{};
  std::optional<holdfast::retry_options> client_retry{};  // none: they ask and take what comes
  std::optional<holdfast::circuit_breaker_options> front_breaker{};
  duration front_timeout = std::chrono::milliseconds(100);
  server_options store{.workers = 100'000, .service_time = std::chrono::milliseconds(10)};
};

class herd_world {
 public:
  explicit herd_world(const herd_options& o);
  void run() { time_.run(); }

  [[nodiscard]] const event_log& log() const noexcept { return log_; }
  [[nodiscard]] const timeline& time() const noexcept { return time_; }
  [[nodiscard]] const server& store() const noexcept { return *store_; }
  [[nodiscard]] const layer& front() const noexcept { return *front_; }
  // What the clients' libraries have sent, all together; only with client_retry.
  [[nodiscard]] const layer& libraries() const noexcept { return *libraries_; }
  [[nodiscard]] const closed_loop_clients& clients() const noexcept { return *clients_; }

 private:
  timeline time_;
  event_log log_;
  holdfast::splitmix64 bits_;
  wire net_;
  std::unique_ptr<server> store_;
  std::unique_ptr<layer> front_;
  std::unique_ptr<layer> libraries_;  // of the clients: one object, since they share nothing
  std::unique_ptr<closed_loop_clients> clients_;
};

}  // namespace sim
