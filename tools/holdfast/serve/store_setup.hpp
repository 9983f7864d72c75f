// SPDX-License-Identifier: MIT
// What happens to the data before anything is served: directories and databases are made, a user's file is imported, an
// empty primary gets generated profiles.
#pragma once

#include <filesystem>
#include <string>

#include "holdfast/core/outcome.hpp"

#include "serve/options.hpp"
#include "serve/profile_store.hpp"

namespace holdfast::serve {

struct data_paths {
  explicit data_paths(const std::string& dir);
  std::filesystem::path root, primary, replica, cdn, log;
};

struct import_summary {
  std::int64_t loaded = 0;
  std::int64_t replaced = 0;
  std::int64_t bad = 0;
  bool usable = true;  // false: nothing of the file could be read
};

outcome<> make_directories(const data_paths& paths);
// Every bad row goes to standard error as "file:line: reason".
outcome<import_summary> import_file(profile_store& into, const std::string& file);
// Returns how many were made: none when there are profiles already.
outcome<std::int64_t> generate_when_empty(profile_store& into, const data_options& o);

}  // namespace holdfast::serve
