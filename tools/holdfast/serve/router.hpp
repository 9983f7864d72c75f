// SPDX-License-Identifier: MIT
// router: what a request is for, decided from its method and target alone. Whatever it refuses touches nothing else.
//
// No target of this service needs percent-encoding, so a `%` in a path is refused together with all that hides behind
// it (%2e%2e, %2f, %00), and so are dot segments, empty segments, backslashes and control characters.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast::serve {

enum class endpoint : std::uint8_t { none, profile, profiles, health, metrics, breakers, breaker };

struct route {
  endpoint to = endpoint::none;
  std::string_view argument{};  // the id, or the breaker's name
  int status = 0;               // 0: go on; else 400, 404 or 405
  std::string_view why{};
  std::string_view allow{};  // the methods there are, with a 405
};

route find_route(std::string_view method, std::string_view target, bool admin);

// The path of a request target in origin or absolute form, without its query; empty when it is neither.
std::string_view path_of(std::string_view target);
// Is this a path that means exactly what it says?
bool plain_path(std::string_view path);

}  // namespace holdfast::serve
