// SPDX-License-Identifier: MIT
// Counts what the calling thread allocates and frees, and makes a test fail that does either where it must not.
//
//   {
//     const no_alloc_scope scope("spsc_queue: push and pop");  // fails the running test, by this name
//     ...
//   }
//   CHECK(allocations_in([&] { ... }) == 0);                   // the counting form, for any thread
//
// Natively malloc and its relatives are replaced in the test executable, and operator new comes to malloc. The sanitizers
// replace them themselves, and a replacement under ThreadSanitizer hangs before main; there their own hooks are used
// (__sanitizer_install_malloc_and_free_hooks), which see the same calls.
#pragma once

#include <cstdint>

namespace test_support {

#if defined(__GLIBC__)
inline constexpr bool counting_works = true;
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool counting_works = true;
#else
inline constexpr bool counting_works = false;
#endif

// ThreadSanitizer's runtimes do not call their hook for aligned_alloc and posix_memalign. operator new with an alignment
// is counted there too, and nothing in the library asks for memory in another way.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool aligned_c_calls_are_counted = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool aligned_c_calls_are_counted = false;
#else
inline constexpr bool aligned_c_calls_are_counted = counting_works;
#endif
#else
inline constexpr bool aligned_c_calls_are_counted = counting_works;
#endif

// Blocks asked for, and given back, by this thread since it began.
std::uint64_t allocations_of_this_thread() noexcept;
std::uint64_t frees_of_this_thread() noexcept;

// allocations_in([&] { ... }): how many blocks the callable asks for, on this thread.
template <class Work>
std::uint64_t allocations_in(Work&& work) {
  const std::uint64_t before = allocations_of_this_thread();
  work();
  return allocations_of_this_thread() - before;
}

// Where a scope's failure goes. The default fails the running Catch2 test; a test of the guard itself listens instead.
// Returns who listened before.
using alloc_listener = void (*)(const char* scope, std::uint64_t allocations, std::uint64_t frees);
alloc_listener listen_to_allocations(alloc_listener listener) noexcept;

// On the test's own thread, because Catch2 takes reports from that one alone.
class no_alloc_scope {
 public:
  explicit no_alloc_scope(const char* name) noexcept
      : name_(name), allocations_(allocations_of_this_thread()), frees_(frees_of_this_thread()) {}
  no_alloc_scope(const no_alloc_scope&) = delete;
  no_alloc_scope& operator=(const no_alloc_scope&) = delete;
  ~no_alloc_scope();

  // Looks no further; the verdict still comes with the end of the scope.
  void end() noexcept;

 private:
  const char* name_;
  std::uint64_t allocations_;  // before; after end(): within
  std::uint64_t frees_;
  bool ended_ = false;
};

}  // namespace test_support
