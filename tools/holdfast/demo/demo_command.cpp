// SPDX-License-Identifier: MIT
#include "demo/demo_command.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>

#include "demo/chaos.hpp"
#include "demo/live_view.hpp"
#include "demo/report.hpp"
#include "demo/runner.hpp"
#include "demo/stop_signal.hpp"
#include "demo/summary.hpp"
#include "demo/temp_dir.hpp"

namespace holdfast::demo {
namespace {

constexpr std::int64_t short_profiles = 2'000;

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.compare(0, 10, "model name") == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

std::string machine_line() {
  ::utsname name{};
  ::uname(&name);
  return processor() + ", " + std::to_string(std::thread::hardware_concurrency()) + " CPUs, " + name.sysname + " " +
         name.release;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 40> out{};
  std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return out.data();
}

void check(run_record& run, std::FILE* out) {
  std::fprintf(out, "policies %s: reading %s\n", run.policies ? "on" : "off", run.log_file.c_str());
  std::fflush(out);
  std::ifstream log(run.log_file, std::ios::binary);
  run.log = check_log(log, run.id_prefix, run.fates);
  run.log.jq = check_with_jq(run.log_file, run.log.lines);
}

// The runs come first and the reading of their logs after, so that it takes no time away from either service.
int demonstrate(const demo_options& options, const std::string& program) {
  const bool picture = is_terminal(STDOUT_FILENO);
  const painter with(options.color && picture);
  const stop_signal signals;
  const temp_dir dir;
  demonstration d;
  d.options = options;
  d.machine = machine_line();
  d.made_at = now_text();
  live_view view(stdout, d.options, picture, with);
  const auto run = [&](bool policies) {
    const char* name = policies ? "on" : "off";
    return run_timeline({program, (dir.path() / name).string(), options, policies}, view);
  };
  d.on = run(true);
  d.has_off = options.contrast && d.on.trouble.empty();
  if (d.has_off) d.off = run(false);
  if (stop_signal::which() != 0) {
    std::fputs("stopped: everything is mended, every process has ended\n", stdout);
    return 128 + stop_signal::which();
  }
  check(d.on, stdout);
  d.on_promises = judge(d.on);
  if (d.has_off) {
    check(d.off, stdout);
    d.off_promises = judge(d.off);
  }
  const bool written =
      write_text(options.out, to_html(d)) && (options.json.empty() || write_text(options.json, to_json(d) + "\n"));
  std::fputs(summary(d, with).c_str(), stdout);
  if (!written) std::fprintf(stderr, "holdfast demo: the report could not be written\n");
  const std::string trouble = d.on.trouble + d.off.trouble;
  if (!trouble.empty()) std::fprintf(stderr, "holdfast demo: %s\n", trouble.c_str());
  return written && trouble.empty() && all_kept(d.on_promises) ? 0 : 1;
}

std::string command_line(const demo_options& o) {
  std::string out = "holdfast demo";
  if (o.short_mode) out += " --short";
  out += " --seed " + std::to_string(o.seed) + " --rate " + std::to_string(o.rate);
  const demo_options defaults;
  if (o.connections != defaults.connections) out += " --connections " + std::to_string(o.connections);
  if (o.profiles != defaults.profiles) out += " --profiles " + std::to_string(o.profiles);
  return out;
}

}  // namespace

void add_demo(CLI::App& app, int& exit_code) {
  auto o = std::make_shared<demo_options>();
  auto program = std::make_shared<std::string>("/proc/self/exe");
  auto* demo =
      app.add_subcommand("demo", "breaks what the service calls while it is under load, and shows what happens");
  demo->add_flag("--short", o->short_mode, "about 20 seconds instead of 80, with fewer profiles");
  demo->add_option("--seed", o->seed, "of profiles, ids and arrival times")->capture_default_str();
  demo->add_option("--rate", o->rate, "requests a second")->check(CLI::Range(10, 100'000))->capture_default_str();
  demo->add_option("--connections", o->connections, "kept alive, one request in flight each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  demo->add_option("--profiles", o->profiles, "that serve makes")
      ->check(CLI::Range(100, 1'000'000))
      ->capture_default_str();
  demo->add_option("--out", o->out, "the report, one HTML file")->capture_default_str();
  demo->add_option("--json", o->json, "the same figures as JSON");
  demo->add_flag("!--no-color", o->color, "no colours in the terminal; $NO_COLOR does the same");
  demo->add_flag("!--no-contrast", o->contrast, "leave out the second run, without policies");
  demo->add_option("--program", *program, "the holdfast program to start")->group("");
  demo->footer("Exit codes: 0 every promise was kept, 1 one was broken or the demo could not run, 2 wrong options.");
  demo->callback([o, program, demo, &exit_code] {
    if (o->short_mode && demo->count("--profiles") == 0) o->profiles = short_profiles;
    const char* no_color = std::getenv("NO_COLOR");
    if (no_color != nullptr && *no_color != '\0') o->color = false;
    o->command = command_line(*o);
    exit_code = demonstrate(*o, *program);
  });

  auto file = std::make_shared<std::string>();
  auto* lock =
      app.add_subcommand("demo-lock", "holds BEGIN EXCLUSIVE on a SQLite file until standard input ends")->group("");
  lock->add_option("file", *file)->required();
  lock->callback([file, &exit_code] { exit_code = hold_lock(*file); });
}

}  // namespace holdfast::demo
