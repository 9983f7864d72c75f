// SPDX-License-Identifier: MIT
// runner: takes one service through the timeline, with the load on it, and writes down what is seen.
#pragma once

#include <string>

#include "demo/options.hpp"
#include "demo/run_record.hpp"

namespace holdfast::demo {

// Hears what happens while it happens: the live picture, or lines of text.
class run_watcher {
 public:
  virtual ~run_watcher() = default;
  virtual void on_start(const run_record& run) = 0;
  virtual void on_event(const run_record& run, const event& what) = 0;
  virtual void on_sample(const run_record& run) = 0;  // the last of run.samples is new
  virtual void on_end(const run_record& run) = 0;
};

struct run_options {
  std::string program;   // that plays the service and the holder of the lock
  std::string data_dir;  // of this run
  demo_options demo;
  bool policies = true;
};

// Throws std::exception when there is nothing to run; a run that was cut short says so in `trouble`.
run_record run_timeline(const run_options& options, run_watcher& watcher);

}  // namespace holdfast::demo
