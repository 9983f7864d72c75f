// SPDX-License-Identifier: MIT
// That this links is the test: every header stands in a file of its own, so one that defines a function or an object
// without `inline` ends here with two of it.
#include <cstdio>

int main() {
#if defined(HOLDFAST_WITHOUT_EXCEPTIONS) && (defined(__cpp_exceptions) || defined(__GXX_RTTI))
  std::puts("built with exceptions or RTTI, so it has shown nothing");
  return 1;
#else
  std::puts("every header stands alone");
  return 0;
#endif
}
