// SPDX-License-Identifier: MIT
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "demo/demo_command.hpp"
#include "serve/commands.hpp"

namespace {

int run(int argc, char** argv) {
  CLI::App app{"holdfast: a user-profile service that keeps answering when what it calls does not"};
  app.set_version_flag("--version", HOLDFAST_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  holdfast::serve::add_serve(app, exit_code);
  holdfast::serve::add_cdn(app, exit_code);
  holdfast::serve::add_generate(app, exit_code);
  holdfast::demo::add_demo(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // A wrong command line is 2, as wrong settings are; --help and --version are 0.
    return app.exit(e) == 0 ? 0 : 2;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "holdfast: %s\n", e.what());
  }
  return 1;
}
