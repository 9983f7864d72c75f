// SPDX-License-Identifier: MIT
#include "support/no_syscall.hpp"

#include "support/catch.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#if defined(__linux__) && defined(__x86_64__) && !defined(SANITIZED)
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#endif

namespace test_support {
namespace {

void fail_the_test(const char* scope, syscall_count seen) {
  FAIL_CHECK(scope << ": " << seen.calls << " system calls where there must be none, the first is number "
                   << seen.first);
}
constinit syscall_listener listener = &fail_the_test;

}  // namespace

syscall_listener listen_to_syscalls(syscall_listener next) noexcept {
  const syscall_listener before = listener;
  listener = next;
  return before;
}

void no_syscall_scope::end() noexcept {
  if (!ended_) seen_ = unwatch_syscalls();
  ended_ = true;
}

no_syscall_scope::~no_syscall_scope() {
  end();
  if (seen_.calls != 0) listener(name_, seen_);
}

#if defined(__linux__) && defined(__x86_64__) && !defined(SANITIZED)

namespace {

constexpr int set_user_dispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH; older headers do not have the names
constexpr unsigned long dispatch_on = 1;
constexpr char allow = 0;
constexpr char block = 1;

// The kernel reads the selector at every system call of the thread.
[[gnu::tls_model("initial-exec")]] constinit thread_local volatile char selector = allow;
[[gnu::tls_model("initial-exec")]] constinit thread_local syscall_count seen{};
[[gnu::tls_model("initial-exec")]] constinit thread_local bool armed = false;

long make_call(const greg_t* g) noexcept {
  long result = g[REG_RAX];
  register long r10 asm("r10") = g[REG_R10];
  register long r8 asm("r8") = g[REG_R8];
  register long r9 asm("r9") = g[REG_R9];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(g[REG_RDI]), "S"(g[REG_RSI]), "d"(g[REG_RDX]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

void on_call(int, siginfo_t* info, void* context) noexcept {
  selector = allow;
  if (seen.calls++ == 0) seen.first = info->si_syscall;
  greg_t* const g = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  g[REG_RAX] = make_call(g);
  selector = block;
}

// The return from the handler is a system call too: the code that makes it must stay allowed. The C library says where
// it is only to the kernel, so the kernel is asked.
struct kernel_action {
  void* handler;
  unsigned long flags;
  void* restorer;
  unsigned long mask;
};

unsigned long install() noexcept {
  struct sigaction action {};
  action.sa_sigaction = &on_call;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return 0;
  kernel_action installed{};
  if (::syscall(SYS_rt_sigaction, SIGSYS, nullptr, &installed, sizeof installed.mask) != 0) return 0;
  return reinterpret_cast<unsigned long>(installed.restorer);
}

bool arm() noexcept {
  if (armed) return true;
  static const unsigned long way_back = install();
  constexpr unsigned long way_back_bytes = 16;  // mov of the number, syscall
  armed = way_back != 0 && ::prctl(set_user_dispatch, dispatch_on, way_back, way_back_bytes, &selector) == 0;
  return armed;
}

}  // namespace

const char* why_syscalls_are_not_seen() noexcept {
  return arm() ? nullptr : "this kernel has no syscall user dispatch (Linux 5.11)";
}

void watch_syscalls() noexcept {
  const bool works = arm();
  seen = {};
  if (works) selector = block;
}

syscall_count unwatch_syscalls() noexcept {
  selector = allow;
  return seen;
}

#else

const char* why_syscalls_are_not_seen() noexcept {
#if defined(SANITIZED)
  return "a sanitizer's runtime makes system calls of its own";
#else
  return "only Linux on x86-64 has syscall user dispatch";
#endif
}
void watch_syscalls() noexcept {}
syscall_count unwatch_syscalls() noexcept {
  return {};
}

#endif

}  // namespace test_support
