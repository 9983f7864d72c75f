// SPDX-License-Identifier: MIT
// The report page's own style sheet and script.
#pragma once

#include <string_view>

namespace holdfast::demo {

extern const std::string_view page_style;
extern const std::string_view page_script;

}  // namespace holdfast::demo
