// SPDX-License-Identifier: MIT
// prefetch_for_write, prefetch_for_read: ask for a line that this thread will soon touch, so that it need not wait then.
//
// A hint only: nothing is read or written, and a machine without such an instruction does nothing. Worth its slot only
// where a benchmark shows it: a producer that fills whole lines which another core has just read.
//
// Why assembly: __builtin_prefetch(p, 1) is a read prefetch on x86-64 unless the whole program is built with -mprfchw,
// and a read prefetch fetches the line without the right to write it.
#pragma once

#include <cstddef>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

[[gnu::always_inline]] inline void prefetch_for_write(const std::byte* line) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" ::"m"(*line));
#else
  __builtin_prefetch(line, 1);
#endif
}

[[gnu::always_inline]] inline void prefetch_for_read(const std::byte* line) noexcept {
  __builtin_prefetch(line, 0);
}

// Every line of [from, from + size).
[[gnu::always_inline]] inline void prefetch_for_write(const std::byte* from, std::size_t size) noexcept {
  for (std::size_t at = 0; at < size; at += cache_line_size) prefetch_for_write(from + at);
}

}  // namespace holdfast
