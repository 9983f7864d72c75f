// SPDX-License-Identifier: MIT
// source: the code that a place stands in, for people who read a failure or a table of mutants.
#pragma once

#include <string>
#include <string_view>

#include "model/engine/place.hpp"

namespace holdfast_model {

// From the project's folder on: include/holdfast/..., src/..., tests/...
std::string path_of(std::string_view file);
// The place's line without its indentation; empty, if the source is not there.
std::string line_at(const place& where);
// The label of its order, `[Q3]`: on the line, further on in the statement, or in the comment above. Empty: none.
std::string label_at(const place& where);

}  // namespace holdfast_model
