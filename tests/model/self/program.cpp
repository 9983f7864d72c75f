// SPDX-License-Identifier: MIT
#include "model/self/program.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>

#include "model/engine/engine.hpp"
#include "model/engine/runner.hpp"
#include "model/self/outcomes.hpp"

namespace holdfast_model {
namespace {

const program* running = nullptr;
outcome_set seen;

struct litmus {
  static constexpr unsigned threads = 1;  // as many as the program has: see scenario_of
  cells c;

  litmus() {
    if (running->before != nullptr) running->before(c);
  }
  void run(unsigned thread) { running->threads[thread](c); }
  void after() {
    if (running->after != nullptr) running->after(c);
    outcome o{};
    for (std::size_t i = 0; i < c.r.size(); ++i) o[i] = static_cast<std::uint8_t>(c.r[i]);
    seen.add(o);
  }
  void after_death(unsigned) { after(); }
};

std::set<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::set<std::string> all;
  for (std::string word; in >> word;) all.insert(word);
  return all;
}

std::string joined(const std::set<std::string>& all) {
  std::string text;
  for (const std::string& word : all) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string without(const std::set<std::string>& these, const std::set<std::string>& those) {
  std::set<std::string> rest;
  std::set_difference(these.begin(), these.end(), those.begin(), those.end(), std::inserter(rest, rest.end()));
  return joined(rest);
}

}  // namespace

scenario scenario_of(const program& p, flaw seeded) {
  running = &p;
  seen.clear();
  scenario s = describe<litmus>("self", p.name.c_str(), p.options);
  s.threads = static_cast<unsigned>(p.threads.size());
  s.options.wrong = seeded;
  s.options.dies = p.dies;
  s.options.seconds = 10;
  return s;
}

std::string outcomes_seen(const program& p) {
  const std::size_t width = p.allowed.empty() ? cells{}.r.size() : std::min(p.allowed.find(' '), p.allowed.size());
  std::set<std::string> all;
  for (const outcome& o : seen.sorted()) {
    std::string word;
    for (std::size_t i = 0; i < width; ++i) word += static_cast<char>(o[i] < 10 ? '0' + o[i] : 'a' + (o[i] - 10));
    all.insert(word);
  }
  return joined(all);
}

verdict judge(const program& p, flaw seeded) {
  verdict v;
  const run_summary ran = run_with_deaths(scenario_of(p, seeded));
  v.executions = ran.executions;
  v.search = ran.last;
  v.outcomes = outcomes_seen(p);
  if (!p.fails.empty()) {
    if (!ran.last.failed) {
      v.wrong = "did not fail, but should with: " + p.fails;
    } else if (ran.last.why.find(p.fails) == std::string::npos) {
      v.wrong = "failed with: " + ran.last.why + "\n  but should with: " + p.fails;
    }
    return v;
  }
  if (ran.last.failed) {
    v.wrong = "failed: " + ran.last.why + "\n" + ran.last.trace;
  } else if (!ran.good) {
    v.wrong = "not complete";
  } else {
    const std::string missing = without(words(p.allowed), words(v.outcomes));
    const std::string extra = without(words(v.outcomes), words(p.allowed));
    if (!missing.empty()) v.wrong += "never seen, but allowed: " + missing;
    if (!extra.empty()) v.wrong += (missing.empty() ? "" : "\n  ") + ("seen, but not allowed: " + extra);
  }
  return v;
}

std::string all_but(const std::string& digits, std::size_t length, const std::string& excluded) {
  const std::set<std::string> out = words(excluded);
  return words_where(digits, length, [&out](const std::string& word) { return out.count(word) == 0; });
}

std::vector<program> all_programs() {
  std::vector<program> all;
  for (const auto part : {coherence_programs, exchange_programs, causality_programs, total_order_programs,
                          misuse_programs, waiting_programs, asymmetric_programs, mode_programs}) {
    for (program& p : part()) all.push_back(std::move(p));
  }
  return all;
}

}  // namespace holdfast_model
