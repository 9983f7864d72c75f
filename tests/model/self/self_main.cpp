// SPDX-License-Identifier: MIT
// The checker's own tests.
//
//   model_self_tests litmus [--all]                   every litmus program; --all tells what each ended with
//   model_self_tests fuzz [--programs N] [--seed S] [--largest E]
//                                                     random programs of at most E executions without the reduction;
//                                                     half without seq_cst, half with
//   model_self_tests flaws                            what the checker can be told to get wrong, and who notices
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "model/self/flaws.hpp"
#include "model/self/fuzz.hpp"
#include "model/self/litmus.hpp"

using namespace holdfast_model;

namespace {

[[noreturn]] void usage() {
  std::fputs("usage: model_self_tests litmus [--all] | fuzz [--programs N] [--seed S] [--largest E] | flaws\n", stderr);
  std::exit(2);
}

}  // namespace

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (count < 2) usage();
  bool all = false;
  std::uint64_t programs = 20'000, seed = 1, largest = 4'000;
  for (int i = 2; i < count; ++i) {
    const auto number = [&] {
      if (i + 1 >= count) usage();
      char* end = nullptr;
      const std::uint64_t value = std::strtoull(words[++i], &end, 10);
      if (end == words[i] || *end != '\0') usage();
      return value;
    };
    if (std::strcmp(words[i], "--all") == 0) {
      all = true;
    } else if (std::strcmp(words[i], "--programs") == 0) {
      programs = number();
    } else if (std::strcmp(words[i], "--seed") == 0) {
      seed = number();
    } else if (std::strcmp(words[i], "--largest") == 0) {
      largest = number();
    } else {
      usage();
    }
  }
  if (std::strcmp(words[1], "litmus") == 0) return judge_litmus(all) ? 0 : 1;
  if (std::strcmp(words[1], "fuzz") == 0) return fuzz_reduction(programs, seed, largest) ? 0 : 1;
  if (std::strcmp(words[1], "flaws") == 0) return seed_flaws() ? 0 : 1;
  usage();
}
