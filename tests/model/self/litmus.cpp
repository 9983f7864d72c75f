// SPDX-License-Identifier: MIT
#include "model/self/litmus.hpp"

#include <chrono>
#include <cstdio>

#include "model/self/program.hpp"
#include "support/proof_fact.hpp"

namespace holdfast_model {

bool judge_litmus(bool tells_all) {
  const auto start = std::chrono::steady_clock::now();
  unsigned programs = 0, failures = 0;
  std::uint64_t executions = 0;
  const auto count = [&](const std::string& name, const std::string& wrong) {
    ++programs;
    if (wrong.empty()) return;
    ++failures;
    std::printf("WRONG  %s\n  %s\n", name.c_str(), wrong.c_str());
  };
  for (const program& p : all_programs()) {
    const verdict v = judge(p);
    executions += v.executions;
    count(p.name, v.wrong);
    if (tells_all)
      std::printf("%-66s %6llu  %s\n", p.name.c_str(), static_cast<unsigned long long>(v.executions),
                  p.fails.empty() ? v.outcomes.c_str() : v.search.why.c_str());
  }
  for (const mode_test& test : mode_tests()) count(test.name, test.run(executions));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("LITMUS programs=%u executions=%llu failures=%u  (%.2f s, %.0f executions/s)\n", programs,
              static_cast<unsigned long long>(executions), failures, seconds,
              static_cast<double>(executions) / seconds);
  return test_support::proof_fact("checker.litmus", programs - failures, "programs") && failures == 0;
}

}  // namespace holdfast_model
