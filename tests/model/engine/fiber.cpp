// SPDX-License-Identifier: MIT
#include "model/engine/fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define UNPOISON_STACKS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNPOISON_STACKS
#endif
#endif
#if defined(UNPOISON_STACKS)
#include <sanitizer/asan_interface.h>
#endif

#if !defined(__x86_64__) || defined(HOLDFAST_MODEL_UCONTEXT)
#define PORTABLE_FIBERS
#include <ucontext.h>
#else
// Saves what the System V ABI lets a callee not change; swapcontext would also make a system call each time.
extern "C" void holdfast_model_switch(void** from, void* to);
asm(R"(
.text
.globl holdfast_model_switch
.type holdfast_model_switch, @function
holdfast_model_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size holdfast_model_switch, .-holdfast_model_switch
)");
#endif

namespace holdfast_model {
namespace {
constexpr std::size_t guard_bytes = 4096;
#if defined(PORTABLE_FIBERS)
constexpr std::size_t context_bytes = (2 * sizeof(ucontext_t) + 63) / 64 * 64;
ucontext_t* context_at(void* place) {
  return static_cast<ucontext_t*>(place);
}
#endif
}  // namespace

fiber::~fiber() {
  if (stack_ != nullptr) ::munmap(stack_ - guard_bytes, stack_bytes + guard_bytes);
}

void fiber::make(void (*entry)()) {
  if (stack_ == nullptr) {
    void* const mapped =
        ::mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || ::mprotect(mapped, guard_bytes, PROT_NONE) != 0) {
      std::perror("model checker: no memory for a stack");
      std::abort();
    }
    stack_ = static_cast<std::byte*>(mapped) + guard_bytes;
  }
#if defined(UNPOISON_STACKS)
  __asan_unpoison_memory_region(stack_, stack_bytes);
#endif
#if defined(PORTABLE_FIBERS)
  own_ = ::new (static_cast<void*>(stack_)) ucontext_t{};
  owner_ = ::new (static_cast<void*>(stack_ + sizeof(ucontext_t))) ucontext_t{};
  ucontext_t* const own = context_at(own_);
  ::getcontext(own);
  own->uc_stack.ss_sp = stack_ + context_bytes;
  own->uc_stack.ss_size = stack_bytes - context_bytes;
  own->uc_link = nullptr;
  ::makecontext(own, entry, 0);
#else
  auto** top = reinterpret_cast<void**>(stack_ + stack_bytes);
  *--top = nullptr;  // where entry would return to; also what makes its stack aligned as the ABI wants
  *--top = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  own_ = static_cast<void*>(top);
#endif
}

void fiber::enter() {
#if defined(PORTABLE_FIBERS)
  ::swapcontext(context_at(owner_), context_at(own_));
#else
  holdfast_model_switch(&owner_, own_);
#endif
}

void fiber::leave() {
#if defined(PORTABLE_FIBERS)
  ::swapcontext(context_at(own_), context_at(owner_));
#else
  holdfast_model_switch(&own_, owner_);
#endif
}

}  // namespace holdfast_model
