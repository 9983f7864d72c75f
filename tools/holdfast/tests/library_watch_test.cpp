// SPDX-License-Identifier: MIT
#include "serve/library_watch.hpp"

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "holdfast/exec/call.hpp"

#include "serve/profile_cache.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace holdfast::serve;
using namespace std::chrono_literals;

namespace {

// Volatile: an allocation that nobody looks at may be left out by the compiler.
void allocate(int blocks) {
  for (int i = 0; i < blocks; ++i) {
    void* volatile block = ::operator new(24);
    ::operator delete(block);
  }
}

// An observer that allocates where the library would not: in the middle of a machine's steps.
struct allocating_observer {
  library_watch* watch;
  [[nodiscard]] library_watch::visit watch_step() const noexcept { return watch->enter(); }
  static void on_attempt(const guard&, const attempt&, verdict, duration) noexcept { allocate(1); }
  static void on_refusal(const guard&, const error&) noexcept {}
  static void on_transition(const guard&, const breaker_transition&) noexcept {}
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}
  static void on_give_up(const guard&, const error&) noexcept {}
};

// Where a sanitizer owns malloc there is nothing to count.
bool counting() {
  const bool works = thread_allocations_are_counted();
  if (!works) WARN("malloc is not counted in this build");
  return works;
}

}  // namespace

#if defined(MALLOC_MUST_COUNT)
TEST_CASE("this build counts: without that no other figure here means anything", "[watch]") {
  CHECK(thread_allocations_are_counted());
  CHECK(library_watch().counts());
}
#endif

TEST_CASE("each way to ask for memory is counted", "[watch]") {
  if (!counting()) return;
  const auto blocks_of = [](auto work) {
    const std::uint64_t before = thread_allocations();
    work();
    return thread_allocations() - before;
  };
  void* volatile block = nullptr;
  CHECK(blocks_of([&] { block = std::malloc(8); }) == 1);
  CHECK(blocks_of([&] { block = std::realloc(block, 4'096); }) == 1);
  std::free(block);
  CHECK(blocks_of([&] { block = std::calloc(2, 8); }) == 1);
  std::free(block);
  CHECK(blocks_of([&] { block = std::aligned_alloc(64, 128); }) == 1);
  std::free(block);
  CHECK(blocks_of([&] { block = ::operator new (128, std::align_val_t{64}); }) == 1);
  ::operator delete (block, std::align_val_t{64});
  CHECK(blocks_of([] { const std::string text(100, 'x'); }) == 1);
}

TEST_CASE("what is allocated within a visit is the library's, and what is not is not", "[watch]") {
  if (!counting()) return;
  library_watch watch;
  { const auto watched = watch.enter(); }
  const std::uint64_t elsewhere = watch.allocations_elsewhere();
  allocate(5);
  {
    const auto watched = watch.enter();
    allocate(3);
  }
  CHECK(watch.visits() == 2);
  CHECK(watch.allocations() == 3);
  CHECK(watch.allocations_elsewhere() == elsewhere + 5);
  CHECK(watch.around([] {
    allocate(2);
    return 7;
  }) == 7);
  CHECK(watch.visits() == 3);
  CHECK(watch.allocations() == 5);
}

TEST_CASE("a visit within a visit counts once", "[watch]") {
  if (!counting()) return;
  library_watch watch;
  {
    const auto outer = watch.enter();
    allocate(1);
    {
      const auto inner = watch.enter();
      allocate(1);
    }
    allocate(1);
  }
  CHECK(watch.visits() == 1);
  CHECK(watch.allocations() == 3);
}

TEST_CASE("a visit sees its own thread alone", "[watch]") {
  if (!counting()) return;
  library_watch watch;
  std::uint64_t seen = 0;
  std::thread other([&] {
    { const auto watched = watch.enter(); }
    allocate(100);
    seen = thread_allocations();
  });
  other.join();
  CHECK(seen >= 100);
  CHECK(watch.visits() == 1);
  CHECK(watch.allocations() == 0);
}

TEST_CASE("each step of a guarded call is watched, and an allocation in the middle of one is found", "[watch]") {
  if (!counting()) return;
  library_watch watch;
  manual_clock clock;
  circuit_breaker breaker({.consecutive_failures = 100});
  const guard protects{.name = "it", .breaker = &breaker, .retry = {.max_attempts = 3, .backoff = {.base = 1ms}}};
  const auto wait = [&](time_point until) {
    clock.set(until);
    return true;
  };
  const auto answer = run(
      protects, {.safety = idempotency::idempotent}, clock,
      [](const attempt&) -> outcome<int> {
        allocate(10);  // the callee's own business
        return errc::attempt_timeout;
      },
      wait, allocating_observer{&watch});
  CHECK_FALSE(answer.ok());
  CHECK(watch.visits() == 6);  // start, finish, and twice resume and finish
  CHECK(watch.allocations() == 3);
}

TEST_CASE("the cache of profiles allocates nothing but the answer's own text", "[watch]") {
  if (!counting()) return;
  library_watch watch;
  profile_cache kept({.entries = 64}, watch);
  const profile one{"u000001", R"({"id":"u000001","name":"A text that is longer than a small string"})", 1, 0};
  const time_point now = steady_clock::now();
  kept.put(one, now);
  const auto hit = kept.get(one.id, now);
  REQUIRE(hit);
  CHECK(hit->found.body == one.body);
  CHECK(watch.visits() == 2);
  CHECK(watch.allocations() == 0);
}
