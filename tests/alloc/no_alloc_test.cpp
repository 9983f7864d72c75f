// SPDX-License-Identifier: MIT
// The guard itself: it sees every way to ask for memory and to give it back, and only those of its own thread; the scope
// tells by name.
#include "support/no_alloc.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "support/catch.hpp"

using test_support::allocations_in;
using test_support::no_alloc_scope;

namespace {
// What the scopes below told while a test listened.
struct told {
  std::string_view scope{};
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  int times = 0;
};
told last;
void listen(const char* scope, std::uint64_t allocations, std::uint64_t frees) {
  last = {scope, allocations, frees, last.times + 1};
}
template <class Work>
told told_by(Work&& work) {
  last = {};
  const auto before = test_support::listen_to_allocations(&listen);
  work();
  test_support::listen_to_allocations(before);
  return last;
}

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
  if (test_support::aligned_c_calls_are_counted) {
    CHECK(allocations_in([] { keep(std::aligned_alloc(64, 128)); }) == 1);
    CHECK(allocations_in([] {
            void* block = nullptr;
            if (::posix_memalign(&block, 64, 100) == 0) keep(block);
          }) == 1);
  }
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

TEST_CASE("a block given back is counted, nothing given back is not", "[alloc]") {
  if (!test_support::counting_works) return;
  void* const volatile block = std::malloc(10);
  const auto before = test_support::frees_of_this_thread();
  std::free(nullptr);
  CHECK(test_support::frees_of_this_thread() == before);
  std::free(block);
  CHECK(test_support::frees_of_this_thread() == before + 1);
}

TEST_CASE("a scope with an allocation or a free in it fails by its name, one without does not", "[alloc]") {
  if (!test_support::counting_works) return;
  const told quiet = told_by([] {
    const no_alloc_scope scope("quiet");
    kept = nullptr;
  });
  CHECK(quiet.times == 0);

  const told both = told_by([] {
    const no_alloc_scope scope("one of each");
    keep(std::malloc(10));
  });
  CHECK(both.times == 1);
  CHECK(both.scope == "one of each");
  CHECK(both.allocations == 1);
  CHECK(both.frees == 1);

  void* const volatile block = std::malloc(10);
  const told free_alone = told_by([&] {
    const no_alloc_scope scope("a free");
    std::free(block);
  });
  CHECK(free_alone.times == 1);
  CHECK(free_alone.allocations == 0);
  CHECK(free_alone.frees == 1);

  const told after_end = told_by([] {
    no_alloc_scope scope("ended");
    scope.end();
    keep(std::malloc(10));
  });
  CHECK(after_end.times == 0);
}
