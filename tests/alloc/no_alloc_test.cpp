// SPDX-License-Identifier: MIT
// The guard itself: it sees every way to ask for memory, and only those of its own thread.
#include "support/no_alloc.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "support/catch.hpp"

using test_support::allocations_in;

namespace {
void* volatile kept = nullptr;  // so that no compiler removes an allocation that nobody uses

void keep(void* block) {
  kept = block;
  std::free(kept);
}
struct alignas(128) wide {
  char bytes[128];
};
}  // namespace

TEST_CASE("every way to allocate is counted", "[alloc]") {
  if (!test_support::counting_works) return;
  CHECK(allocations_in([] {}) == 0);
  CHECK(allocations_in([] { keep(std::malloc(10)); }) == 1);
  CHECK(allocations_in([] { keep(std::calloc(10, 10)); }) == 1);
  CHECK(allocations_in([] { keep(std::realloc(nullptr, 10)); }) == 1);
  CHECK(allocations_in([] { keep(std::aligned_alloc(64, 128)); }) == 1);
  CHECK(allocations_in([] {
          void* block = nullptr;
          if (::posix_memalign(&block, 64, 100) == 0) keep(block);
        }) == 1);
  CHECK(allocations_in([] { keep(::strdup("text")); }) == 1);
  CHECK(allocations_in([] {
          auto* const volatile one = new int(1);
          delete one;
        }) == 1);
  CHECK(allocations_in([] {
          auto* const volatile one = new wide;
          delete one;
        }) == 1);
  CHECK(allocations_in([] {
          const std::string text(200, 'x');
          kept = const_cast<char*>(text.data());
        }) == 1);
}

TEST_CASE("another thread's allocations are its own", "[alloc]") {
  if (!test_support::counting_works) return;
  std::uint64_t theirs = 0;
  std::uint64_t mine = 0;
  std::thread other([&] {
    theirs = allocations_in([] {
      for (int i = 0; i < 10; ++i) keep(std::malloc(10));
    });
  });
  mine = allocations_in([&] { other.join(); });
  CHECK(theirs == 10);
  CHECK(mine == 0);
}
