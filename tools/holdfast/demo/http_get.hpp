// SPDX-License-Identifier: MIT
// One HTTP GET on loopback, blocking and bounded: for the sampler, apart from the load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "demo/options.hpp"

namespace holdfast::demo {

// The body of a 200; nothing otherwise.
std::optional<std::string> http_get(std::uint16_t port, const std::string& path, milliseconds within);

}  // namespace holdfast::demo
