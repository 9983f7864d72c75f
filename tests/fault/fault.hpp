// SPDX-License-Identifier: MIT
// What the fault tests share: how often, the summary line, children that are killed, and memory that outlives them.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/time/clock.hpp"

namespace fault {

// HOLDFAST_LONG=1 asks for the long run.
inline bool long_run() noexcept {
  const char* const wish = std::getenv("HOLDFAST_LONG");
  return wish != nullptr && std::string_view(wish) != "0" && *wish != '\0';
}
inline int rounds(int usual, int in_a_long_run) noexcept {
  return long_run() ? in_a_long_run : usual;
}

// One line a test, for whoever collects the figures: `FAULT name: key=value ...`.
[[gnu::format(printf, 2, 3)]] inline void report(const char* name, const char* format, ...) {
  std::printf("FAULT %s: ", name);
  va_list values;
  va_start(values, format);
  std::vprintf(format, values);
  va_end(values);
  std::printf("\n");
  std::fflush(stdout);
}

inline void pause_for(holdfast::duration d) noexcept {
  const timespec t{static_cast<time_t>(d.count() / 1'000'000'000), static_cast<long>(d.count() % 1'000'000'000)};
  ::nanosleep(&t, nullptr);
}

// Waits for what another thread or process does, and no longer than that can take on a busy machine.
template <class Condition>
bool within(holdfast::duration limit, Condition&& condition) noexcept {
  const auto until = holdfast::steady_clock::now() + limit;
  for (int tries = 0; !condition(); ++tries) {
    if (holdfast::steady_clock::now() >= until) return false;
    if (tries < 100) {
      ::sched_yield();
    } else {
      pause_for(std::chrono::microseconds(50));
    }
  }
  return true;
}

// A process that runs `body` and ends with what it returns; killed if it is still there when its owner goes.
class child {
 public:
  template <class Body>
  explicit child(Body&& body) {
    std::fflush(stdout);
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(body());
  }
  child(child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  child& operator=(child&&) = delete;
  ~child() { kill(); }

  [[nodiscard]] bool started() const noexcept { return pid_ > 0; }
  [[nodiscard]] pid_t id() const noexcept { return pid_; }
  // kill -9, and gone when it returns.
  void kill() noexcept {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    collect();
  }
  // Its exit code; -1: a signal ended it; -2: it was still running after `limit`, and was killed.
  int wait(holdfast::duration limit) noexcept {
    if (pid_ <= 0) return -1;
    int status = 0;
    const bool over = within(limit, [&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!over) {
      kill();
      return -2;
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  void collect() noexcept {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  pid_t pid_ = -1;
};

// A T in pages that this process and the children forked later have in common, at the same address in each.
template <class T>
class shared {
 public:
  template <class... Args>
  explicit shared(Args&&... args) {
    void* const memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    object_ = std::construct_at(static_cast<T*>(memory), std::forward<Args>(args)...);
  }
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;
  ~shared() {
    std::destroy_at(object_);
    ::munmap(object_, sizeof(T));
  }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }

 private:
  T* object_ = nullptr;
};

}  // namespace fault
