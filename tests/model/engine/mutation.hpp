// SPDX-License-Identifier: MIT
// mutation: weakens each memory order that the scenarios reach, one step at a time, and asks whether one of them notices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/engine/engine.hpp"
#include "model/engine/scenario.hpp"

namespace holdfast_model {

// A scenario that passed, and the orders that its executions used (engine::records_sites).
struct reach {
  const scenario* by = nullptr;
  std::uint64_t executions = 0;
  std::vector<order_site> sites;
};

// 0 when every weaker order is noticed, or stands in the file of the justified ones with its reason and is not noticed.
int mutate_orders(std::vector<reach> reaches, const std::string& justified_file);

}  // namespace holdfast_model
