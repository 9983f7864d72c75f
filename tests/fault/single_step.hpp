// SPDX-License-Identifier: MIT
// Something happens at the k-th instruction of a piece of code: a signal handler runs there, or the process dies there. A
// timer only samples the instructions at which a thread can be interrupted; this goes through all of them.
//
//   const auto n = single_step::count([&] { ... });
//   for (std::uint64_t k = 1; k <= n; ++k) single_step::at(k, [] { ... }, [&] { ... });
//
// Method: the processor's trap flag raises SIGTRAP after every instruction; it is off in the handler, and stays off once
// the k-th has come. Only on x86-64; a system call counts as one instruction.
#pragma once

#include <cstdint>

#if defined(__linux__) && defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>
#define HOLDFAST_TEST_SINGLE_STEP 1
#endif

namespace fault::single_step {

#if defined(HOLDFAST_TEST_SINGLE_STEP)

inline constexpr bool works = true;

using action = void (*)();

inline thread_local volatile std::uint64_t passed = 0;
inline thread_local volatile std::uint64_t target = 0;
inline thread_local volatile action what = nullptr;

inline void on_trap(int, siginfo_t*, void* context) {
  passed = passed + 1;
  if (passed != target) return;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100LL;
  what();
}

// The red zone below the stack pointer belongs to the code around: the pushes go beneath it.
[[gnu::always_inline]] inline void on() {
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}
[[gnu::always_inline]] inline void off() {
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}

inline bool prepare(std::uint64_t k, action then) {
  static const bool installed = [] {
    struct sigaction trap {};
    trap.sa_sigaction = &on_trap;
    trap.sa_flags = SA_SIGINFO;
    return ::sigaction(SIGTRAP, &trap, nullptr) == 0;
  }();
  passed = 0;
  target = k;
  what = then;
  return installed;
}

// Does `then` at the k-th instruction from here on; off() ends it.
[[gnu::always_inline]] inline void from_here(std::uint64_t k, action then) {
  if (prepare(k, then)) on();
}

// Does `then` at the k-th instruction of `work`; returns how many were passed.
template <class Work>
std::uint64_t at(std::uint64_t k, action then, Work&& work) {
  from_here(k, then);
  work();
  off();
  return passed;
}

template <class Work>
std::uint64_t count(Work&& work) {
  return at(~std::uint64_t{0}, nullptr, work);
}

#else

inline constexpr bool works = false;
using action = void (*)();
inline void off() {}
inline void from_here(std::uint64_t, action) {}
template <class Work>
std::uint64_t at(std::uint64_t, action, Work&&) {
  return 0;
}
template <class Work>
std::uint64_t count(Work&&) {
  return 0;
}

#endif

}  // namespace fault::single_step
