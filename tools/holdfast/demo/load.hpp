// SPDX-License-Identifier: MIT
// load: clients that do not wait for one another. Requests are due at times that were fixed beforehand (open loop), and
// a request's latency counts from the time that it was due, not from when a connection was free for it: a service
// that stalls cannot hide it by slowing the load down (coordinated omission).
//
// One thread, epoll, a fixed number of kept-alive connections with one request in flight each. A request that is over
// its patience, in line or in flight, is a timeout.
//
//   operation   caller          waits
//   start       one, once       no
//   take        any thread      no; what was counted since the last take
//   stop        one             for requests in flight, at most their patience
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "demo/client_counts.hpp"
#include "demo/options.hpp"

namespace holdfast::demo {

struct load_options {
  std::uint16_t port = 0;
  std::int64_t rate = 1'000;
  std::int64_t connections = 64;
  std::uint32_t profiles = 10'000;
  std::uint64_t seed = 1;
  std::string id_prefix;  // of the correlation ids; a sequence number follows
  milliseconds patience = client_patience;
};

// How far the request with a sequence number has come.
enum class request_fate : std::uint8_t { never_sent, sent, answered };

class load {
 public:
  explicit load(load_options options);
  ~load();
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  void start();
  client_counts take();
  void stop();
  // After stop(): by sequence number.
  [[nodiscard]] const std::vector<request_fate>& fates() const { return fates_; }
  // Empty, or why the load itself has ended early.
  std::string trouble();

 private:
  class engine;

  load_options options_;
  std::mutex mutex_;
  client_counts counts_;             // guarded by mutex_
  std::string trouble_;              // likewise
  std::vector<request_fate> fates_;  // the thread's until it has ended
  int wake_ = -1;                    // an eventfd: stop
  std::thread thread_;
};

}  // namespace holdfast::demo
