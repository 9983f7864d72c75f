// SPDX-License-Identifier: MIT
#include "serve/router.hpp"

#include <algorithm>
#include <array>

#include "serve/profile.hpp"

namespace holdfast::serve {
namespace {

struct rule {
  std::string_view prefix;
  bool takes_argument;
  endpoint to;
  std::string_view allow;
  bool admin;
};

constexpr std::array rules{
    rule{"/profiles/", true, endpoint::profile, "GET, HEAD, PUT", false},
    rule{"/profiles", false, endpoint::profiles, "POST", false},
    rule{"/healthz", false, endpoint::health, "GET, HEAD", false},
    rule{"/metrics", false, endpoint::metrics, "GET, HEAD", false},
    rule{"/admin/breakers/", true, endpoint::breaker, "POST", true},
    rule{"/admin/breakers", false, endpoint::breakers, "GET, HEAD", true},
};

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool allows(std::string_view allow, std::string_view method) {
  while (!allow.empty()) {
    const std::size_t comma = std::min(allow.find(", "), allow.size());
    if (allow.substr(0, comma) == method) return true;
    allow.remove_prefix(std::min(comma + 2, allow.size()));
  }
  return false;
}

route refused(int status, std::string_view why, std::string_view allow = {}) {
  return {endpoint::none, {}, status, why, allow};
}

bool matches(const rule& r, std::string_view path) {
  return r.takes_argument ? starts_with(path, r.prefix) && path.size() > r.prefix.size() : path == r.prefix;
}

}  // namespace

std::string_view path_of(std::string_view target) {
  if (starts_with(target, "http://") || starts_with(target, "https://")) {
    const std::size_t slash = target.find('/', target.find("//") + 2);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  if (target.empty() || target.front() != '/') return {};
  return target.substr(0, std::min(target.find_first_of("?#"), target.size()));
}

bool plain_path(std::string_view path) {
  const auto odd = [](char c) { return c <= 0x20 || c >= 0x7F || c == '%' || c == '\\'; };
  if (std::any_of(path.begin(), path.end(), odd)) return false;
  if (path.find("//") != std::string_view::npos) return false;
  for (std::size_t at = path.find("/."); at != std::string_view::npos; at = path.find("/.", at + 1)) {
    const std::string_view segment = path.substr(at + 1, path.find('/', at + 1) - at - 1);
    if (segment == "." || segment == "..") return false;
  }
  return true;
}

route find_route(std::string_view method, std::string_view target, bool admin) {
  const std::string_view path = path_of(target);
  if (path.empty()) return refused(400, "the request target is no path");
  if (!plain_path(path)) return refused(400, "the path is not a plain one");
  for (const rule& r : rules) {
    if ((r.admin && !admin) || !matches(r, path)) continue;
    const std::string_view argument = r.takes_argument ? path.substr(r.prefix.size()) : std::string_view{};
    if (r.takes_argument && !valid_id(argument)) return refused(400, "an id is 1 to 64 of A-Z a-z 0-9 _ -");
    if (!allows(r.allow, method)) return refused(405, "the method is not allowed here", r.allow);
    return {r.to, argument, 0, {}, r.allow};
  }
  return refused(404, "there is nothing at this path");
}

}  // namespace holdfast::serve
