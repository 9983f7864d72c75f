// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "serve/cdn_process.hpp"
#include "serve/commands.hpp"
#include "serve/http_server.hpp"
#include "serve/static_files.hpp"

namespace holdfast::serve {
namespace {

struct cdn_arguments {
  std::string root;
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  bool die_with_parent = false;
};

int run_cdn(const cdn_arguments& a) {
  if (a.die_with_parent) {
    // Not SIGTERM: it would wait while the process is stopped.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == 1) return 1;  // the parent had ended before that line
  }
  ::sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  static_files files(a.root);
  io_threads threads(1);
  http_server server(threads, server_options{});
  const auto port = server.listen(a.address, a.port, files);
  if (!port) {
    std::fprintf(stderr, "holdfast cdn: %s:%u: %s\n", a.address.c_str(), a.port, port.error().code.message().c_str());
    return 1;
  }
  threads.start();
  std::fputs(ready_line(*port, ::getpid()).c_str(), stdout);
  std::fflush(stdout);
  int which = 0;
  ::sigwait(&ends, &which);
  server.drain(milliseconds(1'000));
  threads.stop();
  return 0;
}

}  // namespace

void add_cdn(CLI::App& app, int& exit_code) {
  auto a = std::make_shared<cdn_arguments>();
  auto* command = app.add_subcommand("cdn", "serve the files below a directory over HTTP (serve starts one by itself)");
  command->add_option("--root", a->root, "directory with the files")->required()->check(CLI::ExistingDirectory);
  command->add_option("--address", a->address, "address to listen on")->capture_default_str();
  command->add_option("--port", a->port, "port, 0 picks a free one")->capture_default_str();
  command->add_flag("--die-with-parent", a->die_with_parent, "end when the process that started this one ends");
  command->callback([a, &exit_code] { exit_code = run_cdn(*a); });
}

}  // namespace holdfast::serve
