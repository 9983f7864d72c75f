// SPDX-License-Identifier: MIT
// crew: some threads that run one function, started and joined together.
//
//   operation   caller   progress   allocates     errors
//   start       owner    blocking   the threads   the system's, where it gives no more threads; those that it gave run
//   join        owner    blocking   never         none
//   size        owner    wait-free  never         none
//
// In short: one owner | blocking | at the start: threads | the system's reason
//
// The threads take no signals, which belong to the threads of the application, and are named, up to 15 characters, as ps
// and a debugger show it. The function does not throw. A crew that has been started is joined before it ends.
//
// Proof: unit/work_pipeline_test.cpp.
#pragma once

#include <pthread.h>

#include <array>
#include <cstddef>
#include <string_view>
#include <system_error>

#include "holdfast/core/assert.hpp"

namespace holdfast {

class crew {
 public:
  static constexpr unsigned most = 64;
  using work = void (*)(void* of) noexcept;

  crew() noexcept = default;
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;
  ~crew() { HOLDFAST_ASSERT(size_ == 0); }

  // `count` more, together at most `most`.
  [[nodiscard]] std::error_code start(unsigned count, std::string_view name, work run, void* of) noexcept;
  void join() noexcept;
  [[nodiscard]] unsigned size() const noexcept { return size_; }

 private:
  struct duty {
    work run = nullptr;
    void* of = nullptr;
  };
  static void* carry_out(void* what) noexcept;

  std::array<pthread_t, most> threads_{};
  std::array<duty, most> duties_{};
  unsigned size_ = 0;
};

}  // namespace holdfast
