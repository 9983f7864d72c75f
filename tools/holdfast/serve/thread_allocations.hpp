// SPDX-License-Identifier: MIT
// thread_allocations: how many blocks the calling thread has asked malloc for.
//
// Whoever links this gets malloc and its relatives replaced by ones that count, then ask glibc; operator new comes to
// them too. It is part of the program alone: a library must not replace its user's malloc. Where that cannot be done,
// under a sanitizer that brings its own malloc or without glibc, nothing is counted, and that is said.
#pragma once

#include <cstdint>

namespace holdfast::serve {

// Since the thread began.
[[nodiscard]] std::uint64_t thread_allocations() noexcept;

// Found out by asking for a block and looking.
[[nodiscard]] bool thread_allocations_are_counted() noexcept;

}  // namespace holdfast::serve
