// SPDX-License-Identifier: MIT
#include "serve/profile.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <nlohmann/json.hpp>

namespace holdfast::serve {
namespace {

using json = nlohmann::ordered_json;

bool id_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::uint64_t fnv1a(std::string_view bytes) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

std::size_t characters(std::string_view utf8) noexcept {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string reason_against(const json& document, std::string_view id) {
  if (!document.is_object()) return "must be a JSON object";
  const auto given = document.find("id");
  if (given != document.end() && (!given->is_string() || given->get_ref<const std::string&>() != id)) {
    return "\"id\" must be left out or be the profile's own id";
  }
  const auto name = document.find("name");
  if (name == document.end() || !name->is_string()) return "\"name\" must be a text";
  const std::size_t length = characters(name->get_ref<const std::string&>());
  if (length < 1 || length > 120) return "\"name\" must have 1 to 120 characters";
  const auto email = document.find("email");
  if (email != document.end()) {
    if (!email->is_string()) return "\"email\" must be a text";
    const auto& text = email->get_ref<const std::string&>();
    if (text.size() > 254 || text.find('@') == std::string::npos)
      return "\"email\" must have an @ and at most 254 bytes";
  }
  if (document.contains("default")) return "\"default\" is reserved";
  return {};
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

bool valid_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= max_id_bytes && std::all_of(id.begin(), id.end(), id_char);
}

std::string etag_of(std::int64_t version, std::string_view body) {
  std::array<char, 20> digits{};
  char* const end = digits.data() + digits.size();
  std::string tag = "\"";
  tag.append(digits.data(), std::to_chars(digits.data(), end, version).ptr) += '-';
  tag.append(digits.data(), std::to_chars(digits.data(), end, fnv1a(body), 16).ptr) += '"';
  return tag;
}

bool etag_listed(std::string_view list, std::string_view etag, bool weak) noexcept {
  list = trimmed(list);
  if (list == "*") return true;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());  // our tags hold no comma
    std::string_view tag = trimmed(list.substr(0, comma));
    if (weak && tag.substr(0, 2) == "W/") tag.remove_prefix(2);
    if (!tag.empty() && tag == etag) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

checked_document check_document(std::string_view text, std::string_view id) {
  json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return {{}, "is not JSON"};
  std::string reason = reason_against(document, id);
  if (!reason.empty()) return {{}, std::move(reason)};
  json canonical{{"id", id}};
  for (auto& [key, value] : document.items()) {
    if (key != "id") canonical[key] = std::move(value);
  }
  std::string body = canonical.dump(-1, ' ', false, json::error_handler_t::replace);
  if (body.size() > max_profile_bytes) {
    return {
        {},
        "has " + std::to_string(body.size()) + " bytes, at most " + std::to_string(max_profile_bytes) + " are allowed"};
  }
  return {std::move(body), {}};
}

std::string default_document(std::string_view id) {
  return json{{"id", id}, {"name", "Guest"}, {"default", true}}.dump();
}

}  // namespace holdfast::serve
