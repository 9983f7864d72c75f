// SPDX-License-Identifier: MIT
// Runs the scenarios that are linked in. A scenario passes only when every execution was looked at: `complete`.
//
//   model_tests [PART ...]           all scenarios, or those of these parts or with these names
//   model_tests --list
//   model_tests --random N --seed S  N executions of each at random instead of all; of those that must fail in one, none
//   model_tests --random N --at-least E
//                                    again and again, each time with the next seed, until there were E executions
//   model_tests --preemptions N      only executions with at most N preemptions
//   model_tests --no-deaths          no thread dies in the middle
//   model_tests --replay PATH NAME   one execution again, told step by step
//   model_tests --long FACTOR        more seconds for each search
//   model_tests --mutate FILE        then weakens each order that was used, and asks who notices (mutation.hpp)
//   model_tests --first-failure      looks for one failure, quickly, and stops there
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "model/engine/engine.hpp"
#include "model/engine/mutation.hpp"
#include "model/engine/runner.hpp"
#include "support/proof_fact.hpp"

using namespace holdfast_model;

namespace {

struct wishes {
  std::vector<std::string> names;
  std::string replay;
  std::string justified;
  std::uint64_t random = 0;
  std::uint64_t seed = 1;
  std::uint64_t at_least = 0;
  int preemptions = -1;
  double longer = 1;
  bool list = false;
  bool mutate = false;
  bool first_failure = false;
  bool no_deaths = false;
};

[[noreturn]] void usage(const char* why) {
  std::fprintf(stderr,
               "%s\nusage: model_tests [--list] [--random N [--at-least E]] [--seed S] [--preemptions N] [--no-deaths] "
               "[--replay PATH]\n"
               "                   [--long FACTOR] [--mutate JUSTIFIED_FILE] [--first-failure] [PART or NAME ...]\n",
               why);
  std::exit(2);
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') usage("not a number");
  return value;
}

wishes read(int count, char** words) {
  wishes w;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto next = [&] {
      if (i + 1 >= count) usage(("nothing after " + word).c_str());
      return words[++i];
    };
    if (word == "--list") {
      w.list = true;
    } else if (word == "--random") {
      w.random = number(next());
    } else if (word == "--seed") {
      w.seed = number(next());
    } else if (word == "--at-least") {
      w.at_least = number(next());
    } else if (word == "--preemptions") {
      w.preemptions = static_cast<int>(number(next()));
    } else if (word == "--replay") {
      w.replay = next();
    } else if (word == "--long") {
      w.longer = static_cast<double>(number(next()));
    } else if (word == "--mutate") {
      w.mutate = true;
      w.justified = next();
    } else if (word == "--no-deaths") {
      w.no_deaths = true;
    } else if (word == "--first-failure") {
      w.first_failure = true;
    } else if (word[0] == '-') {
      usage(("unknown: " + word).c_str());
    } else {
      w.names.push_back(word);
    }
  }
  if (w.at_least != 0 && w.random == 0) usage("--at-least goes with --random");
  return w;
}

std::vector<scenario> chosen(const wishes& w) {
  std::vector<scenario> some;
  for (const scenario& s : all_scenarios()) {
    bool wanted = w.names.empty();
    for (const std::string& n : w.names) wanted = wanted || n == s.part || n == s.name;
    // What must fail in some execution need not do so in those that are drawn.
    if (!wanted || (w.random != 0 && s.options.refutes)) continue;
    some.push_back(s);
    search_options& o = some.back().options;
    o.seed = w.seed;
    o.seconds *= w.longer;
    if (w.no_deaths) o.dies = false;
    if (w.random != 0) o.random = w.random;
    if (w.preemptions >= 0) o.preemptions = w.preemptions;
  }
  if (some.empty()) usage("no scenario has that name");
  return some;
}

// Rounds of executions at random, up to so many or to the first failure.
int run_at_length(std::vector<scenario> some, const wishes& w) {
  std::uint64_t executions = 0;
  double seconds = 0;
  for (std::uint64_t round = 1; executions < w.at_least; ++round) {
    for (scenario& s : some) {
      s.options.seed = w.seed + round - 1;
      const run_summary r = run_with_deaths(s);
      executions += r.executions;
      seconds += r.seconds;
      if (r.good) continue;
      tell(s, r);
      return 1;
    }
    const auto done = static_cast<double>(executions), wanted = static_cast<double>(w.at_least);
    std::printf("round %llu, seed %llu: %llu executions (%.0f %%), about %.0f min left\n",
                static_cast<unsigned long long>(round), static_cast<unsigned long long>(w.seed + round - 1),
                static_cast<unsigned long long>(executions), 100 * std::min(1.0, done / wanted),
                std::max(0.0, (wanted - done) / done * seconds / 60));
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const wishes w = read(count, words);
  const std::vector<scenario> some = chosen(w);
  if (w.list) {
    for (const scenario& s : some) std::printf("%-20s %s\n", s.part, s.name);
    return 0;
  }
  if (!w.replay.empty()) {
    if (some.size() != 1) usage("--replay takes one scenario");
    const search_result r = engine::instance().replay(some[0], some[0].options, w.replay);
    std::printf("%s%s\n", r.trace.c_str(), r.failed ? "failed" : "did not fail");
    return r.failed ? 1 : 0;
  }
  if (w.at_least != 0) return run_at_length(some, w);
  if (w.first_failure) {
    std::vector<const scenario*> all;
    for (const scenario& s : some) all.push_back(&s);
    run_summary failure;
    const scenario* const failed = first_to_fail(all, effort::whole, failure);
    if (failed != nullptr) tell(*failed, failure);
    return failed != nullptr ? 1 : 0;
  }
  int passed = 0, failed = 0;
  std::uint64_t executions = 0;
  engine& e = engine::instance();
  std::vector<reach> reaches;
  e.records_sites = w.mutate;
  for (const scenario& s : some) {
    e.sites.clear();
    const run_summary r = run_with_deaths(s);
    if (!s.options.refutes) reaches.push_back({&s, r.executions, e.sites});
    executions += r.executions;
    ++(r.good ? passed : failed);
    tell(s, r);
  }
  e.records_sites = false;
  std::printf("%d scenarios as they should be, %d not, %llu executions\n", passed, failed,
              static_cast<unsigned long long>(executions));
  using test_support::proof_fact;
  // What was not explored whole is no figure of the proof.
  const bool whole = w.random == 0 && w.preemptions < 0;
  const bool told = !whole || (proof_fact("model.executions", executions, "executions") &&
                               proof_fact("model.scenarios", static_cast<std::uint64_t>(passed), "scenarios") &&
                               proof_fact("model.incomplete", static_cast<std::uint64_t>(failed), "scenarios"));
  if (failed != 0 || !told) return 1;
  return w.mutate ? mutate_orders(std::move(reaches), w.justified) : 0;
}
