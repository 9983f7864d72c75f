// SPDX-License-Identifier: MIT
// What ThreadSanitizer finds in the code of the peers behind the bridges (holdfast/interop/) is theirs: see those headers for
// what it is. A report is left out if one of its stacks goes through their code; what a bridge does beside a call of theirs,
// and what a user does, is not. By file as well as by name: clang names a function that it inlined without its namespace.
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier): the runtime's own

extern "C" const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "race:boost::lockfree::\nrace:/boost/lockfree/\n"
         "race:moodycamel::\nrace:/concurrentqueue.h\nrace:/readerwriterqueue.h\nrace:/atomicops.h\n";
}
