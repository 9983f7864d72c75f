// SPDX-License-Identifier: MIT
// soak: long continuous traffic on one part of the library, with its promises checked all the way. tools/stress builds
// it under a sanitizer and runs it.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "soak.hpp"

namespace {

constexpr std::array<soak::suite, 11> suites{{
    {"queue", "an item pushed, or popped; items of a batch are also counted as batched", soak::play_queue},
    {"waiting", "an item pushed, or popped, by a thread that may sleep for it or by a coroutine", soak::play_waiting},
    {"ring", "a record written, or read", soak::play_ring},
    {"broadcast", "a record written, or a look for one", soak::play_broadcast},
    {"breaker", "an admission, refused or not, a report, or a permit dropped", soak::play_breaker},
    {"budget", "a deposit, or a take, granted or not", soak::play_budget},
    {"rate", "a take or a reservation, granted or not", soak::play_rate},
    {"bulkhead", "an attempt to enter, granted or not, or a leave", soak::play_bulkhead},
    {"log", "a log call", soak::play_log},
    {"cache", "a get, a put or an erase", soak::play_cache},
    {"metrics", "an add to a counter, or a record in a histogram", soak::play_metrics},
}};

[[noreturn]] void help(std::FILE* to, int code) {
  std::fprintf(to,
               "usage: soak SUITE [--seconds S] [--ops N] [--seed N] [--sabotage]\n"
               "  ends after S seconds (default 10) or about N operations, whichever comes first; 1 if a check failed\n"
               "  --sabotage   does one thing wrong, so that a check has to fail\n\n"
               "suites, and what an operation is:\n");
  for (const auto& s : suites)
    std::fprintf(to, "  %-10.*s %.*s\n", static_cast<int>(s.name.size()), s.name.data(),
                 static_cast<int>(s.operation.size()), s.operation.data());
  std::exit(code);
}

[[noreturn]] void refuse(const char* what, const char* text) {
  std::fprintf(stderr, "soak: %s: %s\n", what, text);
  help(stderr, 2);
}

std::uint64_t whole_number(const char* option, const char* text) {
  char* end = nullptr;
  errno = 0;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) refuse(option, text);
  return value;
}

double positive_seconds(const char* option, const char* text) {
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !std::isfinite(value) || value <= 0) refuse(option, text);
  return value;
}

}  // namespace

int main(int count, char** arguments) {
  soak::options chosen;
  const soak::suite* suite = nullptr;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    const auto value = [&] {
      if (++i >= count) refuse("no value for", arguments[i - 1]);
      return arguments[i];
    };
    if (name == "-h" || name == "--help") {
      help(stdout, 0);
    } else if (name == "--seconds") {
      chosen.seconds = positive_seconds("--seconds", value());
    } else if (name == "--ops") {
      chosen.operations = whole_number("--ops", value());
      if (chosen.operations == 0) refuse("--ops", "0");
    } else if (name == "--seed") {
      chosen.seed = whole_number("--seed", value());
    } else if (name == "--sabotage") {
      chosen.sabotage = true;
    } else {
      const auto* found = std::find_if(suites.begin(), suites.end(), [&](const auto& s) { return s.name == name; });
      if (found == suites.end()) refuse("no such suite or option", arguments[i]);
      if (suite != nullptr) refuse("one suite at a time, and this is another", arguments[i]);
      suite = found;
    }
  }
  if (suite == nullptr) refuse("which suite?", "none was named");
  soak::run run(suite->name, chosen);
  suite->play(run);
  std::printf("STRESS %.*s: ops=%" PRIu64 " seconds=%.3f seed=%" PRIu64 " failures=%" PRIu64 " batched=%" PRIu64 "\n",
              static_cast<int>(suite->name.size()), suite->name.data(), run.operations(), run.seconds(), chosen.seed,
              run.failures(), run.batched());
  return run.failures() == 0 ? 0 : 1;
}
