// SPDX-License-Identifier: MIT
// library_watch: counts, while the service runs, what its requests allocate inside the library and outside of it.
//
//   operation        caller       progress    allocates
//   enter, around    any thread   wait-free   never
//   the numbers      any thread   wait-free   never
//
// A visit is a stretch of a thread's way in which only the library runs. The outermost one counts; it never spans a
// co_await, behind which the thread is somebody else's. "Elsewhere" is all that a thread allocated before a visit and
// since its last: Asio, Beast, SQLite's answers and the service's own strings, so that a zero inside can be told from a
// counter that does not count.
//
// Not watched, because they are documented to allocate: the coroutine frames and the block an attempt of
// interop/asio_call.hpp, and the text that /metrics writes.
#pragma once

#include <cstdint>

#include "holdfast/telemetry/counter.hpp"

#include "serve/thread_allocations.hpp"

namespace holdfast::serve {

class library_watch {
 public:
  class visit {
   public:
    explicit visit(library_watch& watch) noexcept;
    ~visit();
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

   private:
    library_watch& watch_;
    std::uint64_t begun_ = 0;
  };

  [[nodiscard]] visit enter() noexcept { return visit(*this); }
  // What `work` returns, done within a visit.
  template <class Work>
  auto around(const Work& work) noexcept {
    const visit watched(*this);
    return work();
  }

  // False: this build cannot count, and the numbers below mean nothing.
  [[nodiscard]] bool counts() const noexcept { return counts_; }
  [[nodiscard]] std::uint64_t visits() const noexcept { return visits_.value(); }
  [[nodiscard]] std::uint64_t allocations() const noexcept { return inside_.value(); }
  [[nodiscard]] std::uint64_t allocations_elsewhere() const noexcept { return elsewhere_.value(); }

 private:
  counter visits_;
  counter inside_;
  counter elsewhere_;
  bool counts_ = thread_allocations_are_counted();
};

}  // namespace holdfast::serve
