// SPDX-License-Identifier: MIT
// program: a litmus program, and exactly what C++20 lets its executions end with. One outcome more or less is a failure.
//
// Its outcomes are those of C++20 but for what the checker says that it does not model (memory.hpp): no cycle of program
// order and reads-from, and no seq_cst order against program order and reads-from.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/core/atomic.hpp"

#include "model/engine/scenario.hpp"

namespace holdfast_model {

inline constexpr int unset = 7;  // a result that nobody wrote

struct cells {
  holdfast::atomic<int> x, y, z;
  holdfast::plain<int> d{0};
  test_mutex a, b;
  std::array<int, 8> r{unset, unset, unset, unset, unset, unset, unset, unset};
  alignas(16) std::array<unsigned char, 64> raw{};  // where nothing has been constructed yet
  void* block = nullptr;
};

struct program {
  std::string name;
  std::vector<void (*)(cells&)> threads;
  std::string allowed{};            // "01 10": r[0] and r[1]; each word is an outcome
  std::string fails{};              // or: the search must end with a failure that has these words
  void (*after)(cells&) = nullptr;  // alone, to look at the final values
  void (*before)(cells&) = nullptr;
  search_options options{};
  bool dies = false;  // also with each thread dying after each of its steps
};

struct verdict {
  std::string wrong;  // empty: as expected
  std::string outcomes;
  std::uint64_t executions = 0;
  search_result search;
};

verdict judge(const program& p, flaw seeded = flaw::none);
// As the search sees it; whoever runs it reads outcomes_seen() afterwards.
scenario scenario_of(const program& p, flaw seeded = flaw::none);
std::string outcomes_seen(const program& p);

// All words of so many of these digits but for those named.
std::string all_but(const std::string& digits, std::size_t length, const std::string& excluded);
template <class Predicate>
std::string words_where(const std::string& digits, std::size_t length, Predicate holds) {
  std::string words;
  std::vector<std::size_t> at(length, 0);
  for (;;) {
    std::string word;
    for (const std::size_t i : at) word += digits[i];
    if (holds(word)) words += (words.empty() ? "" : " ") + word;
    std::size_t place = length;
    while (place-- > 0 && ++at[place] == digits.size()) at[place] = 0;
    if (place >= length) return words;
  }
}

// Each in a file of its own.
std::vector<program> coherence_programs();
std::vector<program> causality_programs();
std::vector<program> total_order_programs();
std::vector<program> exchange_programs();
std::vector<program> asymmetric_programs();
std::vector<program> misuse_programs();
std::vector<program> waiting_programs();
std::vector<program> mode_programs();
std::vector<program> all_programs();

// What needs more than a set of outcomes: ways to search, and to see a failure again.
struct mode_test {
  const char* name;
  std::string (*run)(std::uint64_t& executions);  // what went wrong, or nothing
};
std::vector<mode_test> mode_tests();

}  // namespace holdfast_model
