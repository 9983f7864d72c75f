// SPDX-License-Identifier: MIT
// service_process: `holdfast serve` as a child, on a free port, with its data in a directory of ours.
#pragma once

#include <cstdint>
#include <string>

#include "demo/child_process.hpp"
#include "demo/run_record.hpp"

namespace holdfast::demo {

struct service_options {
  std::string program;
  std::string data_dir;
  std::int64_t profiles = 10'000;
  std::uint64_t seed = 1;
  bool policies = true;
  guard_rules rules;
};

// What its ready line says.
struct service_address {
  std::uint16_t port = 0;
  std::uint16_t admin_port = 0;
  ::pid_t cdn_pid = 0;
  std::string primary;
  std::string replica;
  std::string log;
};

class service_process {
 public:
  // Waits until it is ready; throws std::runtime_error with what it said when it does not become so.
  explicit service_process(const service_options& options);

  [[nodiscard]] const service_address& at() const noexcept { return address_; }
  // SIGTERM; its exit code.
  int drain();
  // Empty while it runs; otherwise how it ended.
  std::string trouble();

 private:
  child_process process_;
  service_address address_;
  std::string errors_;  // the file with its standard error
};

}  // namespace holdfast::demo
