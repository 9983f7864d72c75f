// SPDX-License-Identifier: MIT
// The guard itself: it sees system calls by their number and lets them happen, and sees nothing in atomics and clock reads.
#include "support/no_syscall.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <string_view>
#include <thread>

#include "holdfast/core/atomic.hpp"
#include "holdfast/time/clock.hpp"

#include "support/catch.hpp"

using test_support::no_syscall_scope;
using test_support::syscall_count;
using test_support::syscalls_in;

namespace {

bool not_seen_here() {
  const char* const why = test_support::why_syscalls_are_not_seen();
  if (why != nullptr) WARN("skipped: " << why);
  return why != nullptr;
}

struct told {
  std::string_view scope{};
  syscall_count seen{};
  int times = 0;
};
told last;
void listen(const char* scope, syscall_count seen) {
  last = {scope, seen, last.times + 1};
}

}  // namespace

TEST_CASE("system calls are counted by number and happen all the same", "[alloc]") {
  if (not_seen_here()) return;
  const auto expect_one = [](int number, auto&& work) {
    const syscall_count seen = syscalls_in(work);
    CHECK(seen.calls == 1);
    CHECK(seen.first == number);
  };
  const auto me = ::gettid();
  pid_t asked = 0;
  expect_one(SYS_gettid, [&] { asked = ::gettid(); });
  CHECK(asked == me);

  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  REQUIRE(nowhere >= 0);
  ssize_t written = 0;
  expect_one(SYS_write, [&] { written = ::write(nowhere, "four", 4); });
  CHECK(written == 4);
  expect_one(SYS_write, [&] { written = ::write(-1, "four", 4); });
  CHECK(written == -1);
  CHECK(errno == EBADF);
  ::close(nowhere);

  expect_one(SYS_clock_nanosleep, [] { ::usleep(1); });
  expect_one(SYS_sched_yield, [] { std::this_thread::yield(); });
  const syscall_count three = syscalls_in([] {
    for (int i = 0; i < 3; ++i) ::getppid();
  });
  CHECK(three.calls == 3);
  CHECK(three.first == SYS_getppid);
}

TEST_CASE("atomics and clock reads are no system calls", "[alloc]") {
  if (not_seen_here()) return;
  holdfast::atomic<std::uint64_t> word{0};
  std::int64_t sum = 0;
  const syscall_count seen = syscalls_in([&] {
    for (int i = 0; i < 1'000; ++i) {
      word.fetch_add(1, holdfast::mo::acq_rel);
      std::uint64_t expected = word.load(holdfast::mo::acquire);
      static_cast<void>(
          word.compare_exchange_strong(expected, expected + 1, holdfast::mo::acq_rel, holdfast::mo::relaxed));
      sum += holdfast::steady_clock::now().time_since_epoch().count() & 1;
      sum += holdfast::coarse_clock::now().time_since_epoch().count() & 1;
      sum += holdfast::wall_clock::now_ns() & 1;
    }
  });
  CHECK(seen.calls == 0);
  CHECK(word.load(holdfast::mo::relaxed) == 2'000);
}

TEST_CASE("a scope with a system call in it fails by its name, one without does not; afterwards nothing is seen",
          "[alloc]") {
  if (not_seen_here()) return;
  last = {};
  const auto before = test_support::listen_to_syscalls(&listen);
  { const no_syscall_scope scope("quiet"); }
  CHECK(last.times == 0);
  {
    const no_syscall_scope scope("asks who it is");
    ::getppid();
    ::gettid();
  }
  CHECK(last.times == 1);
  CHECK(last.scope == "asks who it is");
  CHECK(last.seen.calls == 2);
  CHECK(last.seen.first == SYS_getppid);
  ::getppid();
  CHECK(last.times == 1);
  test_support::listen_to_syscalls(before);
}

TEST_CASE("another thread's system calls are its own", "[alloc]") {
  if (not_seen_here()) return;
  std::atomic<int> step{0};
  syscall_count theirs;
  std::thread other([&] {
    while (step.load() == 0) {
    }
    theirs = syscalls_in([] { ::getppid(); });
    step.store(2);
  });
  const syscall_count mine = syscalls_in([&] {
    step.store(1);
    while (step.load() != 2) {
    }
  });
  other.join();
  CHECK(mine.calls == 0);
  CHECK(theirs.calls == 1);
}
