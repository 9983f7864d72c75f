// SPDX-License-Identifier: MIT
// mutation: weakens each memory order that the scenarios reach, one step at a time, and asks whether one of them notices.
#pragma once

#include <string>
#include <vector>

#include "model/engine/scenario.hpp"

namespace holdfast_model {

// 0 when every weaker order is noticed, or stands in the file of the justified ones with its reason and is not noticed.
int mutate_orders(const std::vector<scenario>& scenarios, const std::string& justified_file);

}  // namespace holdfast_model
