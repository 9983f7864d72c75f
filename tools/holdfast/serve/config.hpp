// SPDX-License-Identifier: MIT
// Reading the configuration: one TOML or JSON file, then flags. Every wrong key, type, range and syntax is reported
// with file, line, field and limit, all of them at once, before anything is started.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/config_fields.hpp"
#include "serve/options.hpp"

namespace holdfast::serve {

struct config_error {
  std::string file;  // or "command line"
  std::size_t line = 0;
  std::string field;
  std::string what;
};

// "serve.toml:12: server.port: must be 0 to 65535, is 70000"
std::string to_text(const config_error& error);

// Reads the file (by its name's end, .json or .toml) over what the fields are bound to. A file that cannot be read is an
// error too.
std::vector<config_error> read_config_file(const std::string& path, const std::vector<field>& fields);
std::vector<config_error> read_toml(const std::string& file, std::string_view text, const std::vector<field>& fields);
std::vector<config_error> read_json(const std::string& file, std::string_view text, const std::vector<field>& fields);
// What no field can know alone, after file and flags are in: relations between fields, and what the policies that are
// told them would refuse.
std::vector<config_error> check_relations(const options& o);
// The whole configuration as a TOML file that read_toml() takes back.
std::string print_config(const std::vector<field>& fields);

}  // namespace holdfast::serve
