// SPDX-License-Identifier: MIT
// The end of a demonstration in the terminal: one screen, at most 24 lines of 100 columns.
#pragma once

#include <string>

#include "demo/report.hpp"
#include "demo/terminal.hpp"

namespace holdfast::demo {

std::string summary(const demonstration& d, painter with);

}  // namespace holdfast::demo
