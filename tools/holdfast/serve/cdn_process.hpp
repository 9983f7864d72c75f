// SPDX-License-Identifier: MIT
// cdn_process: the CDN as a child process of serve (this program again, as `holdfast cdn`), in a process group of its
// own so that a Ctrl-C on the terminal does not end it before its parent has drained. It never outlives its parent.
//
// All members belong to the main thread: the kernel ties "dies with its parent" to the thread that started the child.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "holdfast/core/outcome.hpp"

namespace holdfast::serve {

class cdn_process {
 public:
  cdn_process(std::string root, std::uint16_t port) : root_(std::move(root)), port_(port) {}
  ~cdn_process() { stop(); }
  cdn_process(const cdn_process&) = delete;
  cdn_process& operator=(const cdn_process&) = delete;

  // Waits, at most five seconds, until the child says that it listens. A restart takes the port it had before.
  outcome<> start();
  // Has it ended by itself? Reaps it.
  bool has_died();
  void stop();
  [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  outcome<int> spawn();
  outcome<> wait_until_ready(int pipe);

  std::string root_;
  std::uint16_t port_;
  ::pid_t pid_ = 0;
};

// What the child prints, and its parent reads, when it listens.
std::string ready_line(std::uint16_t port, ::pid_t pid);

}  // namespace holdfast::serve
