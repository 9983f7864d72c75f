// SPDX-License-Identifier: MIT
// That this links is the test: every header stands in a file of its own, so one that defines a function or an object
// without `inline` ends here with two of it.
#include <cstdio>

int main() {
  std::puts("every header stands alone");
  return 0;
}
