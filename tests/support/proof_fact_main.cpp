// SPDX-License-Identifier: MIT
// NAME VALUE UNIT: hands its arguments to proof_fact(), for the test of it.
#include "proof_fact.hpp"

int main(int count, char** arguments) {
  if (count != 4) return 2;
  return test_support::proof_fact(arguments[1], std::strtoull(arguments[2], nullptr, 10), arguments[3]) ? 0 : 1;
}
