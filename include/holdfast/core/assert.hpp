// SPDX-License-Identifier: MIT
// HOLDFAST_ASSERT: a programmer's error ends the process with the place and the relation that was expected.
//
// On in debug builds and under sanitizers, off with NDEBUG; -DHOLDFAST_ASSERTIONS=0 or 1 decides it by hand. Operating
// errors (a full queue, a bad configuration, a dead peer) are returned, never asserted.
#pragma once

#if !defined(HOLDFAST_ASSERTIONS)
#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOLDFAST_ASSERTIONS 1
#else
#define HOLDFAST_ASSERTIONS 0
#endif
#endif

namespace holdfast {

// Writes "file:line: expected <relation>" to standard error without allocating, then aborts.
[[noreturn]] void assertion_failed(const char* relation, const char* file, unsigned line) noexcept;

}  // namespace holdfast

#if HOLDFAST_ASSERTIONS
#define HOLDFAST_ASSERT(relation) \
  ((relation) ? static_cast<void>(0) : ::holdfast::assertion_failed(#relation, __FILE__, __LINE__))
#else
#define HOLDFAST_ASSERT(relation) static_cast<void>(sizeof((relation) ? 1 : 0))
#endif
