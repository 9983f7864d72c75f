// SPDX-License-Identifier: MIT
// hot_path_scope: neither an allocation nor a system call until its end, or the running test fails by the scope's name.
#pragma once

#include "support/no_alloc.hpp"
#include "support/no_syscall.hpp"

namespace test_support {

class hot_path_scope {
 public:
  explicit hot_path_scope(const char* name) noexcept : allocations_(name), calls_(name) {}
  hot_path_scope(const hot_path_scope&) = delete;
  hot_path_scope& operator=(const hot_path_scope&) = delete;
  ~hot_path_scope() {
    // Both stop looking before either tells, because telling allocates and writes.
    calls_.end();
    allocations_.end();
  }

 private:
  no_alloc_scope allocations_;
  no_syscall_scope calls_;
};

}  // namespace test_support
