// SPDX-License-Identifier: MIT
// service_log: every line that serve writes, in one place, so that their fields are the same wherever they come from.
#pragma once

#include <cstdint>
#include <string_view>

#include "holdfast/core/error.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/log_sink.hpp"
#include "holdfast/time/clock.hpp"

#include "serve/library_watch.hpp"
#include "serve/options.hpp"

namespace holdfast::serve {

struct request_record {
  std::string_view method{};
  std::string_view path{};
  std::string_view peer{};
  std::string_view tier{};
  std::string_view why{};
  int status = 0;
  duration took{};
  std::size_t bytes = 0;
};

class service_log {
 public:
  service_log(log_sink& sink, std::int64_t sample_ok_permille, library_watch& watch)
      : sink_(sink), sample_(sample_ok_permille), watch_(watch) {}

  // One line a request; of the answers below 400 only the sampled ones.
  void request(const context& whose, const request_record& r) noexcept;
  // One line for each of the few attempts that a half-open breaker is decided by.
  void probed(const context& whose, std::string_view dependency, const attempt& which, verdict kind,
              duration took) noexcept;
  void attempt_failed(const context& whose, std::string_view dependency, const attempt& which, verdict kind,
                      duration took) noexcept;
  void retrying(const context& whose, std::string_view dependency, unsigned tries, duration after,
                const error& why) noexcept;
  void tier_failed(const context& whose, std::string_view dependency, const error& why) noexcept;
  void breaker_moved(const context& whose, std::string_view dependency, const breaker_transition& moved,
                     const breaker_snapshot& now, const dependency_options& rule) noexcept;
  // The first denied retry of a cool-down; so many were denied without a line since the last such line.
  void budget_exhausted(const context& whose, std::string_view dependency, const error& why,
                        std::uint32_t held_back) noexcept;
  void follower_changed(std::string_view follower, const error* why) noexcept;
  void startup_incomplete(milliseconds waited) noexcept;
  void cdn_process(std::string_view what, int pid, unsigned port) noexcept;
  void started(unsigned port, unsigned admin_port, int cdn_pid) noexcept;
  void draining(std::int64_t connections) noexcept;
  void stopped(bool drained) noexcept;

  log_sink& sink() noexcept { return sink_; }
  library_watch& watch() noexcept { return watch_; }

 private:
  log_sink& sink_;
  std::int64_t sample_;
  library_watch& watch_;
};

}  // namespace holdfast::serve
