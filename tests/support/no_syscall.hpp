// SPDX-License-Identifier: MIT
// Counts the system calls of the calling thread, and makes a test fail that makes one where it must not.
//
//   {
//     const no_syscall_scope scope("breaker: admit and report");  // fails the running test, by this name and the number
//     ...
//   }
//   const syscall_count seen = syscalls_in([&] { ... });          // the counting form, for any thread
//
// Method: Linux's syscall user dispatch (since 5.11). A byte of the thread's own says whether its calls go to the kernel
// or come back as SIGSYS, whose handler counts the call and then makes it, so that what is watched goes on as it would.
// A seccomp filter with SECCOMP_RET_TRAP does the same but can never be taken off: every later call of the thread, its end
// included, would have to be made up for, and the watched code would have to live in a process or thread of its own,
// where a failed check cannot be told. With the byte the scope costs nothing once it is over, and other threads (the log's
// backend) are not watched at all. A clock read through the vDSO is no system call and is not seen.
//
// Where it cannot watch (an older kernel, another processor, a sanitizer, whose runtime makes calls of its own)
// why_syscalls_are_not_seen() says so, and the scopes watch nothing.
#pragma once

#include <cstdint>

namespace test_support {

struct syscall_count {
  std::uint64_t calls = 0;
  int first = -1;  // the number of the first of them
};

// nullptr where they are seen.
const char* why_syscalls_are_not_seen() noexcept;

// Where a scope's failure goes. The default fails the running Catch2 test. Returns who listened before.
using syscall_listener = void (*)(const char* scope, syscall_count seen);
syscall_listener listen_to_syscalls(syscall_listener listener) noexcept;

// From watch() to unwatch() the thread's calls are counted. Does not nest.
void watch_syscalls() noexcept;
syscall_count unwatch_syscalls() noexcept;

template <class Work>
syscall_count syscalls_in(Work&& work) {
  watch_syscalls();
  work();
  return unwatch_syscalls();
}

// On the test's own thread, because Catch2 takes reports from that one alone.
class no_syscall_scope {
 public:
  explicit no_syscall_scope(const char* name) noexcept : name_(name) { watch_syscalls(); }
  no_syscall_scope(const no_syscall_scope&) = delete;
  no_syscall_scope& operator=(const no_syscall_scope&) = delete;
  ~no_syscall_scope();

  // Looks no further; the verdict still comes with the end of the scope.
  void end() noexcept;

 private:
  const char* name_;
  syscall_count seen_{};
  bool ended_ = false;
};

}  // namespace test_support
