// SPDX-License-Identifier: MIT
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "serve/commands.hpp"
#include "serve/config.hpp"
#include "serve/config_fields.hpp"
#include "serve/serve_process.hpp"

namespace holdfast::serve {
namespace {

struct serve_arguments {
  std::string config_file;
  std::string import;
  bool print_config = false;
  std::map<std::string, std::string> flags;  // what was given, by key
};

// File first, flags over it; everything that is wrong with either.
std::vector<config_error> settle(const serve_arguments& a, options& o) {
  std::vector<config_error> errors;
  const auto fields = fields_of(o);
  if (!a.config_file.empty()) errors = read_config_file(a.config_file, fields);
  for (const auto& [key, text] : a.flags) {
    const field& f = *find_field(fields, key);
    if (const auto wrong = assign_text(f, text)) errors.push_back({"command line", 0, f.flag, *wrong});
  }
  if (errors.empty()) errors = check_relations(o);
  return errors;
}

int run_serve(const serve_arguments& a) {
  options o;
  const auto errors = settle(a, o);
  for (const auto& e : errors) std::fprintf(stderr, "holdfast serve: %s\n", to_text(e).c_str());
  if (!errors.empty()) return 2;
  if (a.print_config) {
    std::fputs(print_config(fields_of(o)).c_str(), stdout);
    return 0;
  }
  serve_process process(o);
  std::string failed = process.prepare(a.import);
  if (failed.empty()) failed = process.start();
  if (!failed.empty()) {
    std::fprintf(stderr, "holdfast serve: %s\n", failed.c_str());
    return 1;
  }
  return process.run_until_told() ? 0 : 3;
}

std::string described(const field& f) {
  std::string text = f.help + " [" + to_toml(f) + "]";
  if (f.max != 0 && std::holds_alternative<std::int64_t*>(f.into)) {
    text += " " + std::to_string(f.min) + " to " + (f.max == INT64_MAX ? "2^63-1" : std::to_string(f.max));
  }
  if (std::holds_alternative<milliseconds*>(f.into)) {
    text += " " + format_duration(milliseconds(f.min)) + " to " + format_duration(milliseconds(f.max));
  }
  return text;
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  auto a = std::make_shared<serve_arguments>();
  auto* command = app.add_subcommand("serve", "the user-profile service");
  command->add_option("--config", a->config_file, "TOML or JSON file with settings; flags go over it");
  command->add_option("--import", a->import, "load profiles from a .csv, .jsonl or .ndjson file before serving");
  command->add_flag("--print-config", a->print_config, "print all settings as TOML, and end");
  options defaults;
  for (const field& f : fields_of(defaults)) {
    const auto dot = f.key.find('.');
    const std::string group = dot == std::string::npos ? "policies" : f.key.substr(0, dot);
    command
        ->add_option_function<std::string>(
            f.flag, [a, key = f.key](const std::string& text) { a->flags[key] = text; }, described(f))
        ->group(group)
        ->type_name(std::holds_alternative<bool*>(f.into) ? "on|off" : "");
  }
  command->callback([a, &exit_code] { exit_code = run_serve(*a); });
  command->footer(
      "Prints one JSON line when it is ready. SIGTERM and SIGINT drain it.\n"
      "Exit codes: 0 drained, 1 could not start, 2 wrong settings, 3 requests were cut off by the drain timeout.");
}

}  // namespace holdfast::serve
