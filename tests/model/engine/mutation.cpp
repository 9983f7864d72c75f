// SPDX-License-Identifier: MIT
#include "model/engine/mutation.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include "model/engine/runner.hpp"
#include "model/engine/source.hpp"
#include "support/proof_fact.hpp"

namespace holdfast_model {
namespace {

struct mutant {
  order_site site;
  order weaker;
  std::vector<const scenario*> reached_by;  // the shortest first
};

// One step down. An RMW's acq_rel has two.
std::vector<order> weaker_than(order o, op_kind kind, bool of_failure) {
  const bool reads = kind == op_kind::load || of_failure, writes = kind == op_kind::store;
  switch (o) {
    case order::seq_cst: return {reads ? order::acquire : writes ? order::release : order::acq_rel};
    case order::acq_rel: return {order::acquire, order::release};
    case order::acquire:
    case order::release: return {order::relaxed};
    default: return {};
  }
}

// The code that the site stands in, so that a justification survives lines that move: `file | code | what | order -> order`.
std::string key_of(const mutant& m) {
  std::string line = line_at(m.site.where);
  line = line.substr(0, line.find("  //"));
  return path_of(m.site.where.file) + " | " + line + " | " + name_of(m.site.kind) +
         (m.site.of_failure ? " failure" : "") + " | " + name_of(m.site.is) + " -> " + name_of(m.weaker);
}

// Lines of `key | reason`; a # begins a comment.
std::vector<std::string> read_lines(const std::string& file, bool& there) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  there = in.good();
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  return lines;
}

std::vector<mutant> find_mutants(std::vector<reach> reaches) {
  std::stable_sort(reaches.begin(), reaches.end(),
                   [](const reach& a, const reach& b) { return a.executions < b.executions; });
  std::vector<mutant> all;
  for (const reach& r : reaches) {
    for (const order_site& site : r.sites) {
      const std::string file = path_of(site.where.file);
      if (file.rfind("tests/", 0) == 0) continue;  // a scenario's own atomics
      for (const order weaker : weaker_than(site.is, site.kind, site.of_failure)) {
        auto it =
            std::find_if(all.begin(), all.end(), [&](const mutant& m) { return m.site == site && m.weaker == weaker; });
        if (it == all.end()) it = all.insert(all.end(), {site, weaker, {}});
        it->reached_by.push_back(r.by);
      }
    }
  }
  return all;
}

// The scenario that notices, or null.
const scenario* killer_of(const mutant& m, bool listed) {
  engine& e = engine::instance();
  e.weakens = true;
  e.weakened = m.site;
  e.weakened.is = m.weaker;
  run_summary failure;
  const scenario* const killer = first_to_fail(m.reached_by, listed ? effort::without_deaths : effort::whole, failure);
  e.weakens = false;
  return killer;
}

}  // namespace

int mutate_orders(std::vector<reach> reaches, const std::string& justified_file) {
  bool there = false;
  std::vector<std::string> justified = read_lines(justified_file, there);
  if (!there) {
    std::printf("no such file: %s\n", justified_file.c_str());
    return 2;
  }
  std::vector<mutant> mutants = find_mutants(std::move(reaches));
  std::sort(mutants.begin(), mutants.end(), [](const mutant& a, const mutant& b) {
    const std::string left = path_of(a.site.where.file), right = path_of(b.site.where.file);
    return left != right ? left < right : a.site.where.line < b.site.where.line;
  });
  int killed = 0, excused = 0, bad = 0;
  for (const mutant& m : mutants) {
    const std::string key = key_of(m);
    const auto reason = std::find_if(justified.begin(), justified.end(), [&](const std::string& line) {
      return line.rfind(key + " | ", 0) == 0 && line.size() > key.size() + 3;
    });
    const bool listed = reason != justified.end();
    const scenario* const killer = killer_of(m, listed);
    if (killer != nullptr && !listed) {
      ++killed;
    } else if (killer == nullptr && listed) {
      ++excused;
    } else {
      ++bad;
    }
    const char* const state =
        killer != nullptr ? (listed ? "KILLED, BUT LISTED" : "killed") : (listed ? "justified" : "SURVIVED");
    std::printf("%-18s %s:%u %s\n", state, path_of(m.site.where.file).c_str(), m.site.where.line,
                key.substr(key.find(" | ") + 3).c_str());
    if (killer != nullptr) {
      std::printf("%-18s   by %s\n", "", killer->name);
    } else if (listed) {
      std::printf("%-18s   %s\n", "", reason->substr(key.size() + 3).c_str());
    }
    if (listed) justified.erase(reason);
  }
  for (const std::string& line : justified) {
    ++bad;
    std::printf("%-18s %s\n", "NOT REACHED", line.c_str());
  }
  const int all = static_cast<int>(mutants.size());
  std::printf("orders: %d mutants, %d killed, %d justified, %d wrong\n", all, killed, excused, bad);
  using test_support::proof_fact;
  const bool told = proof_fact("mutants.order_killed", static_cast<std::uint64_t>(killed), "mutants") &&
                    proof_fact("mutants.order_justified", static_cast<std::uint64_t>(excused), "mutants") &&
                    proof_fact("mutants.order_unlisted", static_cast<std::uint64_t>(bad), "mutants");
  return bad == 0 && told ? 0 : 1;
}

}  // namespace holdfast_model
