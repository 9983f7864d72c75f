// SPDX-License-Identifier: MIT
// fuzz: small random programs, each searched with the reduction and without it; both must end with the same outcomes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/engine/operation.hpp"

namespace holdfast_model {

inline constexpr unsigned fuzz_locations = 3;

struct fuzz_step {
  op_kind kind = op_kind::load;
  std::uint8_t location = 0;
  order success = order::relaxed;
  order failure = order::relaxed;
  std::uint8_t value = 0;     // stored, added or exchanged for
  std::uint8_t expected = 0;  // of an exchange
};

struct fuzz_program {
  std::vector<std::vector<fuzz_step>> threads;
  unsigned locations = 2;
};

// A program is given by its seed and number alone.
fuzz_program random_program(std::uint64_t seed, std::uint64_t number, bool seq_cst);
std::string text_of(const fuzz_program& p);

struct comparison {
  bool too_large = false;  // for the search without reduction
  std::string difference;  // empty: none
  std::uint64_t reduced = 0;
  std::uint64_t pruned = 0;
  std::uint64_t brute = 0;
  std::size_t outcomes = 0;
};
// `largest`: a program with more executions than that, without the reduction, is not searched to its end.
comparison compare(const fuzz_program& p, std::uint64_t largest, flaw seeded = flaw::none);

// True: no differences in so many programs that are not too large. Tells what it did.
bool fuzz_reduction(std::uint64_t programs, std::uint64_t seed, std::uint64_t largest);

}  // namespace holdfast_model
