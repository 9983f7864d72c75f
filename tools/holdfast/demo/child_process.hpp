// SPDX-License-Identifier: MIT
// child_process: one process that we have started. It never outlives us: the kernel kills it when we die, and the
// destructor kills and reaps it. It is in a process group of its own, so that Ctrl-C on the terminal is ours to handle.
//
// Belongs to the main thread: the kernel ties "dies with its parent" to the thread that started the child.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "demo/options.hpp"

namespace holdfast::demo {

struct child_options {
  std::string program;             // a path
  std::vector<std::string> words;  // with the program's name first
  std::string errors_to;           // file that takes its standard error; empty: ours
};

class child_process {
 public:
  child_process() = default;
  explicit child_process(const child_options& options);  // throws std::system_error
  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&& other) noexcept;
  ~child_process();

  // The next line of its standard output without the line end; nothing when it ended or the time is over.
  std::optional<std::string> read_line(milliseconds within);
  // Sends the signal, waits; after the time SIGKILL. The exit code; 128 + signal when a signal ended it.
  int stop(int signal, milliseconds within);
  void send(int signal) const;
  // Has it ended by itself? Then its exit code.
  std::optional<int> ended();
  [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] bool running() const noexcept { return pid_ > 0; }

 private:
  std::optional<int> reap(int flags);

  ::pid_t pid_ = 0;
  int in_ = -1;   // our end of its standard input: it sees the end of it when we are gone
  int out_ = -1;  // our end of its standard output
  std::string read_;
  int exit_code_ = 0;
};

// Looks in $PATH. Empty: not there.
std::string find_program(const std::string& name);

}  // namespace holdfast::demo
