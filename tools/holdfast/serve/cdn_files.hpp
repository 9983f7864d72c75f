// SPDX-License-Identifier: MIT
// The CDN's static files: one JSON file a profile, as any static file server can hand it out.
//
//   <root>/<two hex digits of a hash>/<id>.json    {"version":3,"as_of_ms":1700000000000,"profile":"<document>"}
//
// A file is replaced by renaming, so a reader sees an old or a new one, never a half. The document travels as a text,
// so that it keeps its bytes, and with them its ETag.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/core/outcome.hpp"

#include "serve/profile.hpp"

namespace holdfast::serve {

// "/3f/u000001.json"
std::string cdn_path(std::string_view id);
std::string cdn_file(const profile& p);
// Nothing when it is no such file, or another id's.
std::optional<profile> parse_cdn_file(std::string_view text, std::string_view id);

class cdn_exporter {
 public:
  explicit cdn_exporter(std::filesystem::path root) : root_(std::move(root)) {}
  outcome<> prepare();
  outcome<> write(const profile& p);

 private:
  std::filesystem::path root_;
};

// A whole small file, by its path; errors are errno.
outcome<> write_file_by_rename(const std::filesystem::path& to, std::string_view text);
outcome<std::string> read_file(const std::filesystem::path& from, std::size_t max_bytes);

}  // namespace holdfast::serve
