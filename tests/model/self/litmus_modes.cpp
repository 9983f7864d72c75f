// SPDX-License-Identifier: MIT
// The ways to search: with deaths, with few preemptions, at random, by choice; and a failure seen again by its string.
#include "model/engine/engine.hpp"
#include "model/engine/runner.hpp"
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;

void three_stores(cells& c) {
  for (int i = 1; i <= 3; ++i) c.x.store(i, relaxed);
}
void final_x(cells& c) {
  c.r[0] = c.x.load(relaxed);
}
void lock_and_store(cells& c) {
  c.a.lock();
  c.x.store(1, relaxed);
  c.a.unlock();
}
// Loses the other's addition only if that one comes between.
void load_and_store(cells& c) {
  c.x.store(c.x.load(seq_cst) + 1, seq_cst);
}
program with_preemptions(const char* name, int most, const char* allowed) {
  return {.name = name,
          .threads = {load_and_store, load_and_store},
          .allowed = allowed,
          .after = final_x,
          .options = {.preemptions = most}};
}

program named(const char* name) {
  for (const auto part :
       {coherence_programs, causality_programs, total_order_programs, exchange_programs, waiting_programs}) {
    for (program& p : part()) {
      if (p.name == name) return p;
    }
  }
  std::fprintf(stderr, "no program is called %s\n", name);
  std::abort();
}
program at_random(const char* name, std::uint64_t executions) {
  program p = named(name);
  p.name += ", at random";
  p.options.random = executions;
  return p;
}

// Fails for one choice of fifty, in one of the outcomes of SB.
program rare_failure() {
  return {.name = "rare failure",
          .threads = {[](cells& c) {
                        c.x.store(1, release);
                        c.r[0] = c.y.load(acquire);
                      },
                      [](cells& c) {
                        const unsigned chosen = choose(50);
                        c.y.store(1, release);
                        c.r[1] = c.x.load(acquire);
                        if (chosen == 41) c.r[2] = 1;
                      }},
          .fails = "does not hold",
          .after = [](cells& c) { MODEL_CHECK(c.r[0] + c.r[1] != 0 || c.r[2] != 1); }};
}

std::string replay_shows_it(const program& p, std::uint64_t& executions) {
  const scenario s = scenario_of(p);
  const search_result found = engine::instance().explore(s, s.options);
  executions += found.executions + 2;
  if (!found.failed) return "the search found no failure";
  const search_result again = engine::instance().replay(s, s.options, found.replay);
  if (!again.failed || again.why != found.why)
    return "the replay of " + found.replay + " does not fail as the search did";
  if (again.trace != found.trace) return "the replay tells another story:\n" + found.trace + again.trace;
  if (found.replay == "0" || found.replay == ".0") return "the failure was in the first execution, which shows nothing";
  if (engine::instance().replay(s, s.options, found.replay[0] == '.' ? ".0" : "0").failed)
    return "the first path fails as well";
  return {};
}

std::string replay_of_search(std::uint64_t& executions) {
  return replay_shows_it(rare_failure(), executions);
}
std::string replay_of_random(std::uint64_t& executions) {
  program p = rare_failure();
  p.options.random = 100'000;
  return replay_shows_it(p, executions);
}

std::string replay_of_preemptions(std::uint64_t& executions) {
  program p = rare_failure();
  p.options.preemptions = 1;
  std::string wrong = replay_shows_it(p, executions);
  if (!wrong.empty()) return wrong;
  p.options.preemptions = -1;  // the string knows
  const scenario s = scenario_of(p);
  search_options bounded = s.options;
  bounded.preemptions = 1;
  const search_result found = engine::instance().explore(s, bounded);
  executions += found.executions + 1;
  return engine::instance().replay(s, s.options, found.replay).failed ? "" : "the string forgets the bound";
}

std::string replay_of_death(std::uint64_t& executions) {
  program p = named("lock, two add");
  p.dies = true;
  const scenario s = scenario_of(p);
  const run_summary found = run_with_deaths(s);
  executions += found.executions + 1;
  if (found.good || found.victim == main_thread) return "a death with the lock held holds nobody up";
  const search_result again = engine::instance().replay(s, s.options, found.last.replay);
  return again.failed && again.trace == found.last.trace ? "" : "the replay tells another story:\n" + again.trace;
}

std::string misfit_is_told(std::uint64_t& executions) {
  const program p = rare_failure();
  const scenario s = scenario_of(p);
  ++executions;
  const search_result r = engine::instance().replay(s, s.options, "(60)");
  return r.failed && r.why.find("does not fit") != std::string::npos ? "" : "a path that does not fit was followed";
}

std::string random_is_seeded(std::uint64_t& executions) {
  program p = rare_failure();
  p.options.random = 100'000;
  std::string paths[3];
  for (const std::size_t i : {0U, 1U, 2U}) {
    const std::uint64_t seed = i == 2 ? 2 : 1;
    p.options.seed = seed;
    const scenario s = scenario_of(p);
    const search_result r = engine::instance().explore(s, s.options);
    executions += r.executions;
    paths[i] = std::to_string(r.executions) + "/" + r.replay;
  }
  if (paths[0] != paths[1]) return "one seed, two searches: " + paths[0] + " and " + paths[1];
  if (paths[0] == paths[2]) return "two seeds, one search";
  return {};
}

std::string deaths_are_counted(std::uint64_t& executions) {
  program p{.name = "deaths", .threads = {three_stores}, .after = final_x};
  p.dies = true;
  const run_summary r = run_with_deaths(scenario_of(p));
  executions += r.executions;
  if (!r.good) return r.last.why;
  // After its third store the thread has ended.
  return r.deaths == 2 ? "" : "2 deaths expected, not " + std::to_string(r.deaths);
}

std::string time_runs_out(std::uint64_t& executions) {
  program p = named("IRIW relaxed");
  scenario s = scenario_of(p);
  s.options.reduce = false;
  s.options.executions = 100;
  const search_result r = engine::instance().explore(s, s.options);
  executions += r.executions;
  return !r.complete && !r.failed && r.executions == 100 ? "" : "a search that was cut short calls itself complete";
}

}  // namespace

std::vector<program> mode_programs() {
  return {
      {.name = "choose",
       .threads = {[](cells& c) { c.r[0] = static_cast<int>(choose(3)); },
                   [](cells& c) { c.r[1] = static_cast<int>(choose(2)); }},
       .allowed = "00 01 10 11 20 21"},
      with_preemptions("preemptions: none", 0, "2"),
      with_preemptions("preemptions: one", 1, "1 2"),
      with_preemptions("preemptions: any", 9, "1 2"),
      {.name = "deaths: what a dead thread had stored",
       .threads = {three_stores},
       .allowed = "1 2 3",
       .after = final_x,
       .dies = true},
      {.name = "deaths: another thread is not held up",
       .threads = {three_stores, [](cells& c) { c.r[1] = c.y.fetch_add(1, relaxed); }},
       .allowed = "10 20 30",
       .after = final_x,
       .dies = true},
      {.name = "deaths: the others wait for its lock",
       .threads = {lock_and_store, lock_and_store},
       .fails = "every thread waits",
       .dies = true},
      {.name = "no deaths: nobody waits for ever", .threads = {lock_and_store, lock_and_store}, .allowed = "7"},
      at_random("SB relaxed", 500),
      at_random("MP relaxed", 500),
      at_random("2+2W relaxed", 500),
      at_random("IRIW relaxed", 5'000),
      at_random("CAS weak, one wins at most", 500),
      at_random("any old value may be read", 1'000),
  };
}

std::vector<mode_test> mode_tests() {
  return {
      {"replay of a search's failure", replay_of_search},
      {"replay of a random failure", replay_of_random},
      {"replay of a search with a bound", replay_of_preemptions},
      {"replay of a death", replay_of_death},
      {"replay that does not fit", misfit_is_told},
      {"random, by its seed", random_is_seeded},
      {"deaths are counted", deaths_are_counted},
      {"a search cut short", time_runs_out},
  };
}

}  // namespace holdfast_model
