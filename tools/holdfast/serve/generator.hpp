// SPDX-License-Identifier: MIT
// Seeded profiles: the same seed gives the same people. Ids are "u" and six or more digits, from u000001 on.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "serve/import.hpp"

namespace holdfast::serve {

std::string generated_id(std::uint64_t number);
// The number-th profile (from 1) of a seed; needs none of the others.
profile_row generated_profile(std::uint64_t seed, std::uint64_t number);
// Writes `count` profiles as a file that --import takes.
void write_generated(std::ostream& out, row_format format, std::uint64_t seed, std::uint64_t count);

}  // namespace holdfast::serve
