// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "serve/commands.hpp"
#include "serve/generator.hpp"

namespace holdfast::serve {
namespace {

struct generate_arguments {
  std::string out = "-";
  std::uint64_t seed = 1;
  std::uint64_t count = 10'000;
  std::string format;
};

int run_generate(const generate_arguments& a) {
  auto format = format_of(a.out);
  if (a.format == "csv") format = row_format::csv;
  if (a.format == "jsonl" || !format) format = row_format::json_lines;
  if (a.out == "-") {
    write_generated(std::cout, *format, a.seed, a.count);
    return std::cout.flush() ? 0 : 1;
  }
  std::ofstream file(a.out, std::ios::binary | std::ios::trunc);
  write_generated(file, *format, a.seed, a.count);
  file.close();
  if (!file) std::fprintf(stderr, "holdfast generate: %s cannot be written\n", a.out.c_str());
  return file ? 0 : 1;
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  auto a = std::make_shared<generate_arguments>();
  auto* command = app.add_subcommand("generate", "write seeded profiles to a file that `serve --import` takes");
  command->add_option("--out", a->out, "file, by its end .csv or .jsonl; -: standard output")->capture_default_str();
  command->add_option("--seed", a->seed, "the same seed makes the same profiles")->capture_default_str();
  command->add_option("--count", a->count, "how many")->capture_default_str()->check(CLI::Range(0, 100'000'000));
  command->add_option("--format", a->format, "csv or jsonl, when the name does not say")
      ->check(CLI::IsMember({"csv", "jsonl"}));
  command->callback([a, &exit_code] { exit_code = run_generate(*a); });
}

}  // namespace holdfast::serve
