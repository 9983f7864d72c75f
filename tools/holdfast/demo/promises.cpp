// SPDX-License-Identifier: MIT
#include "demo/promises.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace holdfast::demo {
namespace {

constexpr double p99_bound = 2.0;
// A p99 of fewer is the word of a few dozen requests, and one hiccup of the machine would be the judge.
constexpr std::uint64_t enough_reads = 5'000;
// Log lines have wall time, cut to milliseconds, and the timeline has steady time.
constexpr std::int64_t clock_slack_ms = 2;

judgement kept_if(bool kept) {
  return kept ? judgement::kept : judgement::broken;
}

promise reads_answered(const run_record& run) {
  const client_counts all = counts_in(run, whole_run);
  const request_ends& r = all.reads;
  std::string figure = grouped(r.failed) + " 5xx";
  if (r.timeouts + r.broken > 0) figure += ", " + grouped(r.timeouts + r.broken) + " unanswered";
  return {"no read fails: no 5xx, timeout, broken connection", figure + " of " + grouped(r.all()),
          kept_if(r.all() > 0 && r.errors() == 0)};
}

promise latency_held(const run_record& run) {
  const client_counts calm = counts_in(run, before_faults(run));
  const auto before = calm.read_time.quantile(990);
  const auto during = counts_in(run, during_faults(run)).read_time.quantile(990);
  const double factor =
      before.count() > 0 ? static_cast<double>(during.count()) / static_cast<double>(before.count()) : 0.0;
  std::array<char, 32> times{};
  std::snprintf(times.data(), times.size(), " (%.2fx)", factor);
  return {"p99 of reads in the outage at most 2x of before", text_of(before) + " -> " + text_of(during) + times.data(),
          calm.read_time.count() < enough_reads ? judgement::unknown : kept_if(factor > 0 && factor <= p99_bound)};
}

// The rules of failures need so many of one closed period at least, and none lets many more through: those that were
// under way when the breaker opened. Slow attempts that succeed have no lines to be counted by, so of that rule is known only
// whether there is one.
bool by_rule(const logged_transition& t, const guard_rules& rules) {
  const std::uint64_t by_rate = (std::uint64_t{rules.min_calls} * rules.failure_permille + 999) / 1000;
  if (t.cause == "slow_rate") return rules.slow_permille != 0;
  return t.cause == "consecutive_failures" ? t.failed >= rules.consecutive_failures
                                           : t.cause == "failure_rate" && t.failed >= by_rate;
}

promise opened_by_rule(const run_record& run) {
  const std::string what = "breakers open by their rule and only by it";
  if (!run.policies) return {what, "no breakers", judgement::unknown};
  std::uint64_t opened = 0, wrong = 0, failures = 0;
  std::int64_t first_ms = -1;
  bool early = false;
  const std::int64_t fault_at = run.wall_start_ms + time_of(run, fault::primary_locked, true, {}).count();
  for (const auto& t : run.log.transitions) {
    if (t.from != "closed" || t.to != "open") continue;
    ++opened;
    if (!by_rule(t, run.rules)) ++wrong;
    // One that opened before the fault, on a machine that kept the service waiting, was by rule too, but is not the answer.
    const bool answers = t.breaker == "primary" && t.wall_ms + clock_slack_ms >= fault_at;
    if (t.breaker == "primary" && !answers) early = true;
    if (first_ms >= 0 || !answers) continue;
    first_ms = std::max<std::int64_t>(0, t.wall_ms - fault_at);
    failures = t.failed;
  }
  std::string figure = grouped(opened) + " opened" + (wrong == 0 ? "" : ", " + grouped(wrong) + " not by rule");
  if (first_ms >= 0) {
    figure += ", primary after " + grouped(failures) + " failures, " + std::to_string(first_ms) + " ms";
  } else if (early) {
    figure += ", primary before it was locked";
  }
  return {what, figure, kept_if(opened > 0 && wrong == 0)};
}

promise recovered_by_probes(const run_record& run) {
  const std::string n = std::to_string(run.rules.probes);
  const std::string what = "all breakers close again, by exactly " + n + " probes";
  if (!run.policies) return {what, "no breakers", judgement::unknown};
  std::uint64_t closed = 0, wrong = 0;
  for (const auto& t : run.log.transitions) {
    if (t.from != "half_open" || t.to != "closed") continue;
    ++closed;
    if (t.probes_ok != run.rules.probes || t.probes_not_ok != 0) ++wrong;
  }
  std::string not_closed;
  if (!run.samples.empty()) {
    for (const auto& g : run.samples.back().server.guards) {
      if (g.state != "closed") not_closed += (not_closed.empty() ? "" : ", ") + g.name + " " + g.state;
    }
  }
  std::string figure =
      grouped(closed) + " recoveries, " + (wrong == 0 ? "each with " + n : grouped(wrong) + " not with " + n);
  if (!not_closed.empty()) figure += "; still " + not_closed;
  return {what, figure, kept_if(closed > 0 && wrong == 0 && not_closed.empty())};
}

// For every two samples: what was retried between them is bounded by the purse, the calls and the time.
promise retries_in_budget(const run_record& run) {
  const std::string what = "retries within their budget, in any interval";
  if (!run.policies) return {what, "no retries", judgement::unknown};
  std::uint64_t retries = 0, calls = 0, denied = 0;
  double fullest = 0;
  for (std::size_t g = 0; !run.samples.empty() && g < run.samples.back().server.guards.size(); ++g) {
    const auto& last = run.samples.back().server.guards[g];
    retries += last.retries;
    calls += last.calls;
    denied += last.denied;
    for (std::size_t b = 0; b < run.samples.size(); ++b) {
      const guard_view* end = run.samples[b].server.find(last.name);
      for (std::size_t a = 0; end != nullptr && a < b; ++a) {
        const guard_view* begin = run.samples[a].server.find(last.name);
        if (begin == nullptr) continue;
        // Both ends were read within their sample, so the interval is one span longer at most.
        const double seconds =
            static_cast<double>((run.samples[b].at - run.samples[a].at + run.samples[a].span).count()) / 1000.0;
        const double allowed = last.budget_burst + last.budget_per_second * seconds +
                               last.budget_ratio * static_cast<double>(end->calls - begin->calls);
        fullest = std::max(fullest, static_cast<double>(end->retries - begin->retries) / allowed);
      }
    }
  }
  std::array<char, 96> figure{};
  std::snprintf(figure.data(), figure.size(), "%s of %s calls, %s denied, peak %.0f %%", grouped(retries).c_str(),
                grouped(calls).c_str(), grouped(denied).c_str(), 100 * fullest);
  return {what, figure.data(), calls == 0 ? judgement::unknown : kept_if(fullest <= 1.0)};
}

promise ids_found(const run_record& run) {
  return {"every request's log lines are found by its id",
          grouped(run.log.ids_sent - run.log.ids_missing) + " of " + grouped(run.log.ids_sent) + " found",
          kept_if(run.log.ids_sent > 0 && run.log.ids_missing == 0)};
}

promise lines_parse(const run_record& run) {
  const log_facts& log = run.log;
  std::string figure = grouped(log.lines - log.bad_lines) + " of " + grouped(log.lines) + ", jq: " + log.jq;
  return {"every log line is strict JSON", figure,
          kept_if(log.lines > 0 && log.bad_lines == 0 && (log.jq == "ok" || log.jq == "not installed"))};
}

promise nothing_lost(const run_record& run) {
  const std::string what = "log records: none lost, or all losses counted";
  const log_facts& log = run.log;
  if (!log.lost) return {what, "not said by the service", judgement::unknown};
  const std::uint64_t written = log.written.value_or(log.lines);
  const bool exact = written + log.loss_lines == log.lines && log.lost_told == *log.lost;
  return {what, grouped(*log.lost) + " lost, " + grouped(written) + " written" + (exact ? "" : ", not what is there"),
          kept_if(exact)};
}

promise posts_once(const run_record& run) {
  const client_counts all = counts_in(run, whole_run);
  return {"a POST repeated under its key is done once",
          grouped(all.replays) + " sent again, " + grouped(all.duplicates) + " twice",
          all.replays == 0 ? judgement::unknown : kept_if(all.duplicates == 0)};
}

promise writes_fail_clearly(const run_record& run) {
  const client_counts all = counts_in(run, whole_run);
  const client_counts outage = counts_in(run, during_faults(run));
  const request_ends& w = all.writes;
  return {"a write that fails says so, as RFC 9457",
          grouped(w.failed) + " of " + grouped(w.all()) + ", p99 " + text_of(outage.write_time.quantile(990)),
          kept_if(w.timeouts + w.broken == 0 && all.problems == w.failed + all.reads.failed)};
}

// What the service counted from its first request on; there is no warm-up that would be left out.
promise nothing_allocated(const run_record& run) {
  const std::string what = "the library allocates nothing for a request";
  const auto last = std::find_if(run.samples.rbegin(), run.samples.rend(), [](const sample& s) {
    return s.server.library_visits && s.server.library_allocations && s.server.other_allocations;
  });
  if (last == run.samples.rend()) return {what, "this build cannot count it", judgement::unknown};
  const server_view& seen = last->server;
  const client_counts all = counts_in(run, whole_run);
  const std::uint64_t answered =
      all.reads.ok + all.reads.refused + all.reads.failed + all.writes.ok + all.writes.refused + all.writes.failed;
  std::string figure = grouped(*seen.library_allocations) + " in " + grouped(*seen.library_visits) + " calls, " +
                       grouped(*seen.other_allocations) + " elsewhere";
  // Whoever answers a request is in the library several times, and allocates for it elsewhere: else nothing was counted.
  const bool counted = *seen.library_visits >= answered && *seen.other_allocations >= answered;
  return {what, counted ? figure : figure + ", too few", kept_if(counted && *seen.library_allocations == 0)};
}

promise drained(const run_record& run) {
  return {"SIGTERM: requests in flight finish, exit code 0",
          "exit code " + std::to_string(run.exit_code) + " in " + text_of(run.drained_in), kept_if(run.exit_code == 0)};
}

promise answers_carry_ids(const run_record& run) {
  const client_counts all = counts_in(run, whole_run);
  return {"every answer carries its correlation id", grouped(all.wrong_ids) + " did not", kept_if(all.wrong_ids == 0)};
}

}  // namespace

std::vector<promise> judge(const run_record& run) {
  return {reads_answered(run),
          latency_held(run),
          opened_by_rule(run),
          recovered_by_probes(run),
          retries_in_budget(run),
          writes_fail_clearly(run),
          posts_once(run),
          answers_carry_ids(run),
          ids_found(run),
          lines_parse(run),
          nothing_lost(run),
          nothing_allocated(run),
          drained(run)};
}

bool all_kept(const std::vector<promise>& promises) {
  for (const promise& p : promises) {
    if (p.verdict == judgement::broken) return false;
  }
  return true;
}

std::string text_of(std::chrono::nanoseconds time) {
  const double ms = static_cast<double>(time.count()) / 1e6;
  const double shown = ms >= 1000 ? ms / 1000 : ms;
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(),
                shown >= 100  ? "%.0f %s"
                : shown >= 10 ? "%.1f %s"
                              : "%.2f %s",
                shown, ms >= 1000 ? "s" : "ms");
  return out.data();
}

std::string grouped(std::uint64_t number) {
  std::string out = std::to_string(number);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, " ");
  return out;
}

}  // namespace holdfast::demo
