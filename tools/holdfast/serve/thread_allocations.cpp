// SPDX-License-Identifier: MIT
#include "serve/thread_allocations.hpp"

#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace {
// initial-exec and constant-initialised: reading it must not allocate.
[[gnu::tls_model("initial-exec")]] constinit thread_local std::uint64_t blocks = 0;
}  // namespace

namespace holdfast::serve {

std::uint64_t thread_allocations() noexcept {
  return blocks;
}

bool thread_allocations_are_counted() noexcept {
  const std::uint64_t before = blocks;
  void* volatile block = std::malloc(1);  // volatile: a pair of malloc and free that nobody sees may be left out
  std::free(block);
  return blocks != before;
}

}  // namespace holdfast::serve

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED_MALLOC
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED_MALLOC
#endif

#if !defined(SANITIZED_MALLOC) && defined(__GLIBC__)
extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT(bugprone-reserved-identifier): glibc's own
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* block, std::size_t size);             // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT(bugprone-reserved-identifier)

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
}
#endif
