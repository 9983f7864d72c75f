// SPDX-License-Identifier: MIT
#include "support/no_alloc.hpp"

#include <malloc.h>

#include <cerrno>
#include <cstddef>

#include "support/catch.hpp"

namespace {

// initial-exec and constant-initialised: reading it must not allocate.
[[gnu::tls_model("initial-exec")]] constinit thread_local std::uint64_t blocks = 0;
[[gnu::tls_model("initial-exec")]] constinit thread_local std::uint64_t freed = 0;

void fail_the_test(const char* scope, std::uint64_t allocations, std::uint64_t frees) {
  FAIL_CHECK(scope << ": " << allocations << " allocations and " << frees << " frees where there must be none");
}
constinit test_support::alloc_listener listener = &fail_the_test;

}  // namespace

namespace test_support {

std::uint64_t allocations_of_this_thread() noexcept {
  return blocks;
}
std::uint64_t frees_of_this_thread() noexcept {
  return freed;
}

alloc_listener listen_to_allocations(alloc_listener next) noexcept {
  const alloc_listener before = listener;
  listener = next;
  return before;
}

void no_alloc_scope::end() noexcept {
  if (ended_) return;
  allocations_ = blocks - allocations_;
  frees_ = freed - frees_;
  ended_ = true;
}

no_alloc_scope::~no_alloc_scope() {
  end();
  if (allocations_ != 0 || frees_ != 0) listener(name_, allocations_, frees_);
}

}  // namespace test_support

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED_MALLOC
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED_MALLOC
#endif

#if defined(SANITIZED_MALLOC)
extern "C" int __sanitizer_install_malloc_and_free_hooks(  // NOLINT(bugprone-reserved-identifier): the runtime's own
    void (*malloc_hook)(const volatile void* block, std::size_t size), void (*free_hook)(const volatile void* block));

namespace {
// Each hook is called by the runtime on the thread that asked. 0 comes back when there is no place for another pair.
[[maybe_unused]] const bool hooked = [] {
  const int place = __sanitizer_install_malloc_and_free_hooks([](const volatile void*, std::size_t) { ++blocks; },
                                                              [](const volatile void*) { ++freed; });
  return place != 0;
}();
}  // namespace

#elif defined(__GLIBC__)
extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT(bugprone-reserved-identifier): glibc's own
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* block, std::size_t size);             // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT(bugprone-reserved-identifier)
void __libc_free(void* block);                                   // NOLINT(bugprone-reserved-identifier)

void* malloc(std::size_t size) noexcept {
  ++blocks;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++blocks;
  return __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) noexcept {
  ++blocks;
  return __libc_realloc(block, size);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  ++blocks;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  ++blocks;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  ++blocks;
  void* const made = __libc_memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}
void free(void* block) noexcept {
  if (block == nullptr) return;
  ++freed;
  __libc_free(block);
}
}
#endif
