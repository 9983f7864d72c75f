// SPDX-License-Identifier: MIT
// The subcommand `demo`, and the hidden `demo-lock` with which it locks a database from another process.
#pragma once

namespace CLI {
class App;
}

namespace holdfast::demo {

// Exit codes: 0 all promises kept, 1 one was broken or the demonstration could not run, 130 and the like: stopped.
void add_demo(CLI::App& app, int& exit_code);

}  // namespace holdfast::demo
