// SPDX-License-Identifier: MIT
// The promises of the service, each with its figure from a run and whether it was kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "demo/run_record.hpp"

namespace holdfast::demo {

enum class judgement : std::uint8_t { kept, broken, unknown };

struct promise {
  std::string what;
  std::string figure;
  judgement verdict = judgement::unknown;
};

std::vector<promise> judge(const run_record& run);
bool all_kept(const std::vector<promise>& promises);

// "1.3 ms", "12 s": three digits at most.
std::string text_of(std::chrono::nanoseconds time);
std::string grouped(std::uint64_t number);  // "12 345"

}  // namespace holdfast::demo
