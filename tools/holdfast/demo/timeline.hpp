// SPDX-License-Identifier: MIT
// The timeline: what is broken when, and when it heals. Pure data, the same for every run of a demonstration.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "demo/options.hpp"

namespace holdfast::demo {

enum class fault : std::uint8_t { primary_locked, primary_moved, replica_stopped, cdn_stopped };
inline constexpr std::size_t fault_count = 4;

std::string_view name_of(fault f);     // "primary locked"
std::string_view method_of(fault f);   // what is done to make it so, in a sentence
std::string_view healing_of(fault f);  // and to undo it

struct step {
  milliseconds at{};
  fault what{};
  bool begins = true;  // false: it heals
};

struct timeline {
  milliseconds judged_from{};  // before: caches and branch predictors warm up
  milliseconds total{};
  std::vector<step> steps;  // in order of time

  [[nodiscard]] milliseconds first_fault() const { return steps.empty() ? total : steps.front().at; }
  [[nodiscard]] milliseconds last_heal() const { return steps.empty() ? total : steps.back().at; }
};

timeline make_timeline(bool short_mode);

// What the breakers of the service are told, so that an outage of seconds has room for opening and recovery.
struct breaker_times {
  milliseconds open_base;
  milliseconds open_max;
};
breaker_times make_breaker_times(bool short_mode);

}  // namespace holdfast::demo
