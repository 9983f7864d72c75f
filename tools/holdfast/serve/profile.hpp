// SPDX-License-Identifier: MIT
// A profile: one JSON object under an id, with the version that its ETag names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::serve {

inline constexpr std::size_t max_id_bytes = 64;
// The largest document: it fits one slot of the cache.
inline constexpr std::size_t max_profile_bytes = 960;

struct profile {
  std::string id;
  std::string body;           // the JSON document as it is sent
  std::int64_t version = 0;   // 1, 2, ... by each change
  std::int64_t as_of_ms = 0;  // wall time at which this was known to be the current version

  friend bool operator==(const profile&, const profile&) = default;
};

// [A-Za-z0-9_-], 1 to 64: nothing that a path, a file name or a log could take for something else.
bool valid_id(std::string_view id) noexcept;

// A strong validator: the version, and a hash of the bytes in case two histories ever meet.
std::string etag_of(std::int64_t version, std::string_view body);
inline std::string etag_of(const profile& p) {
  return etag_of(p.version, p.body);
}
// Does an If-Match or If-None-Match list name this tag? `*` is any; weak tags match only where `weak` is asked for.
bool etag_listed(std::string_view list, std::string_view etag, bool weak) noexcept;

// A document that has passed the rules, or the reason why not.
struct checked_document {
  std::string body;    // canonical: "id" first, no white space
  std::string reason;  // empty: good
  explicit operator bool() const noexcept { return reason.empty(); }
};
// Rules: a JSON object of at most 960 bytes; "name" a text of 1 to 120 characters; "email", where given, a text with an
// @ of at most 254; "id", where given, must be this id; "default" is ours. All other members are the user's own.
checked_document check_document(std::string_view json, std::string_view id);

// What a reader gets when every tier has failed; marked, never cached, without an ETag.
std::string default_document(std::string_view id);

}  // namespace holdfast::serve
