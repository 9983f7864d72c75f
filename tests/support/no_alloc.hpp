// SPDX-License-Identifier: MIT
// Counts what the calling thread allocates: malloc and its relatives are replaced in the test executable, and operator
// new comes to malloc. Under a sanitizer, which replaces them itself, nothing is counted and counting_works is false.
#pragma once

#include <cstdint>

namespace test_support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool counting_works = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
inline constexpr bool counting_works = false;
#else
inline constexpr bool counting_works = true;
#endif
#else
inline constexpr bool counting_works = true;
#endif

// Blocks asked for by this thread since it began.
std::uint64_t allocations_of_this_thread() noexcept;

// allocations_in([&] { ... }): how many blocks the callable asks for, on this thread.
template <class Work>
std::uint64_t allocations_in(Work&& work) {
  const std::uint64_t before = allocations_of_this_thread();
  work();
  return allocations_of_this_thread() - before;
}

}  // namespace test_support
