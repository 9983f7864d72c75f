// SPDX-License-Identifier: MIT
#include "model/self/flaws.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include "model/self/fuzz.hpp"
#include "model/self/program.hpp"
#include "support/proof_fact.hpp"

namespace holdfast_model {
namespace {

constexpr std::uint64_t fuzz_programs = 1'000;  // with seq_cst and without, of seed 1
constexpr std::uint64_t largest_program = 4'000;

// The first random program that ends otherwise with the reduction than without; none: empty.
std::string first_difference(flaw seeded) {
  for (std::uint64_t number = 0; number < fuzz_programs; ++number) {
    for (const bool seq_cst : {false, true}) {
      const comparison c = compare(random_program(1, number, seq_cst), largest_program, seeded);
      if (!c.difference.empty()) return std::to_string(number) + (seq_cst ? " with seq_cst" : " without seq_cst");
    }
  }
  return {};
}

}  // namespace

bool seed_flaws() {
  const std::vector<program> programs = all_programs();
  std::size_t caught = 0;
  for (const flaw f : all_flaws) {
    std::size_t by = 0;
    std::string first;
    for (const program& p : programs) {
      if (judge(p, f).wrong.empty()) continue;
      if (by++ == 0) first = p.name;
    }
    std::string told = by == 0 ? "" : std::to_string(by) + " litmus programs, \"" + first + "\" first";
    if (by == 0) {
      const std::string number = first_difference(f);
      if (!number.empty()) told = "the reduction: random program " + number;
    }
    if (!told.empty()) ++caught;
    std::printf("%-7s %-50s %s\n", told.empty() ? "MISSED" : "caught", name_of(f), told.c_str());
  }
  std::printf("FLAWS seeded=%zu caught=%zu\n", all_flaws.size(), caught);
  using test_support::proof_fact;
  const bool told = proof_fact("checker.faults_caught", caught, "faults") &&
                    proof_fact("checker.faults_missed", all_flaws.size() - caught, "faults");
  return told && caught == all_flaws.size();
}

}  // namespace holdfast_model
