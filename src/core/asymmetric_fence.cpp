// SPDX-License-Identifier: MIT
#include "holdfast/core/asymmetric_fence.hpp"

#include <chrono>
#include <thread>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/membarrier.h>
#endif

namespace holdfast {
inline namespace native {

constinit atomic<membarrier_use> asymmetric_fence_form{membarrier_use::unknown};

namespace {

#if defined(__linux__)
bool interrupt_others() noexcept {
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}
bool declare_intent() noexcept {
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
#else
bool interrupt_others() noexcept {
  return false;
}
bool declare_intent() noexcept {
  return false;
}
#endif

membarrier_use ask_the_kernel() noexcept {
  const membarrier_use answer = declare_intent() && interrupt_others() ? membarrier_use::yes : membarrier_use::no;
  asymmetric_fence_form.store(answer, mo::relaxed);  // own: every thread that asks gets the same answer
  return answer;
}

[[maybe_unused]] const membarrier_use at_load = ask_the_kernel();

}  // namespace

void asymmetric_fence_heavy() noexcept {
  fence(mo::seq_cst);  // [AF2] seq_cst, pairs with [AF1]: a light one that has not read `yes`
  membarrier_use form = asymmetric_fence_form.load(mo::relaxed);  // own: as in the light one
  if (form == membarrier_use::unknown) form = ask_the_kernel();   // before this file's own initialisation
  if (form != membarrier_use::yes || interrupt_others()) return;
  // A forked child whose kernel has forgotten the intent declares it again.
  if (declare_intent() && interrupt_others()) return;
  // A sandbox that was put up since then refuses it. Light fences are whole ones from now on; those that were none are
  // waited for, much longer than a processor keeps a store to itself.
  asymmetric_fence_form.store(membarrier_use::no, mo::relaxed);  // own: as in ask_the_kernel()
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace native
}  // namespace holdfast
