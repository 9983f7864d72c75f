// SPDX-License-Identifier: MIT
// chaos: breaks what the service depends on, for real, and mends it again. Whatever is broken when this object goes is
// mended by its destructor; the process that holds the lock dies with us in any case.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>

#include "demo/child_process.hpp"
#include "demo/timeline.hpp"

namespace holdfast::demo {

struct chaos_targets {
  std::string program;      // this program: it also plays the process that holds the lock
  std::string primary;      // the SQLite file
  std::string replica_dir;  // the directory that holds the replica
  ::pid_t cdn = 0;
};

class chaos {
 public:
  explicit chaos(chaos_targets targets) : targets_(std::move(targets)) {}
  ~chaos() { heal_all(); }
  chaos(const chaos&) = delete;
  chaos& operator=(const chaos&) = delete;

  // Empty: done. Otherwise why it could not be done.
  std::string begin(fault what);
  std::string heal(fault what);
  void heal_all() noexcept;

 private:
  std::string lock_primary();

  chaos_targets targets_;
  child_process locker_;
  std::array<bool, fault_count> broken_{};
};

// The other side of `primary_locked`: holds BEGIN EXCLUSIVE on the file, says "locked", and lets go when its standard
// input ends. Returns an exit code.
int hold_lock(const std::string& file);

}  // namespace holdfast::demo
