// SPDX-License-Identifier: MIT
// The subcommands of the program. Each adds itself to the command line; the one that was chosen runs after parsing and
// leaves its exit code: 0 done, 1 it failed, 2 it was told something wrong.
#pragma once

namespace CLI {
class App;
}

namespace holdfast::serve {

void add_serve(CLI::App& app, int& exit_code);
void add_cdn(CLI::App& app, int& exit_code);
void add_generate(CLI::App& app, int& exit_code);

}  // namespace holdfast::serve
