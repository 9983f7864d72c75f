// SPDX-License-Identifier: MIT
// Ten lines of somebody else's program: what a user writes after he has found holdfast.
#include <cstdio>

#include "holdfast/core/outcome.hpp"
#include "holdfast/policy/circuit_breaker.hpp"

int main() {
  holdfast::circuit_breaker breaker({.consecutive_failures = 3});
  const auto now = holdfast::steady_clock::now();
  for (int i = 0; i < 3; ++i) breaker.report(breaker.admit(now).ticket, holdfast::verdict::transient, now);
  const auto refused = breaker.admit(now);
  const holdfast::outcome<> seen = holdfast::error(refused.refusal);
  std::printf("%s\n", seen.error().code.message().c_str());
  return !refused && seen.error().code == holdfast::failure::rejected ? 0 : 1;
}
