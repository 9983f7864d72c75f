// SPDX-License-Identifier: MIT
#include "demo/promises.hpp"
#include "demo/report.hpp"
#include "demo/summary.hpp"
#include "support/catch.hpp"

using namespace holdfast::demo;
using namespace std::chrono_literals;

namespace {

guard_view guard(std::uint64_t calls, std::uint64_t retries) {
  guard_view g;
  g.name = "primary";
  g.state = "closed";
  g.calls = calls;
  g.retries = retries;
  g.budget_burst = 50;
  g.budget_ratio = 0.1;
  g.budget_per_second = 10;
  g.balance = 50;
  return g;
}

// A run in which every promise is kept.
run_record good_run() {
  run_record run;
  run.plan = make_timeline(true);
  run.id_prefix = "p";
  run.exit_code = 0;
  for (const step& s : run.plan.steps) run.events.push_back({s.at, s.what, s.begins});
  std::uint64_t n = 0;
  for (milliseconds at = sample_every; at <= run.plan.total; at += sample_every) {
    ++n;
    sample s;
    s.at = at;
    s.span = sample_every;
    s.client.reads.ok = 100;
    s.client.reads_by_tier[0] = 100;
    for (int i = 0; i < 1'000; ++i) s.client.read_time.record(i >= 990 ? 8ms : 1ms);
    s.client.writes.ok = 3;
    s.client.replays = 1;
    s.client.writes.failed = 1;
    s.client.problems = 1;
    s.server.reached = true;
    s.server.guards.push_back(guard(100 * n, n));
    s.server.library_visits = 500 * n;
    s.server.library_allocations = 0;
    s.server.other_allocations = 2'000 * n;
    run.samples.push_back(s);
  }
  run.log.lines = run.log.ids_sent = 1000;
  run.log.written = 1000;
  run.log.lost = 0;
  run.log.jq = "ok";
  run.log.transitions = {{.wall_ms = 2300,
                          .breaker = "primary",
                          .from = "closed",
                          .to = "open",
                          .cause = "consecutive_failures",
                          .generation = 1,
                          .failed = 11},
                         {.wall_ms = 2400,
                          .breaker = "primary",
                          .from = "open",
                          .to = "half_open",
                          .cause = "open_time_over",
                          .generation = 2},
                         {.wall_ms = 2410,
                          .breaker = "primary",
                          .from = "half_open",
                          .to = "closed",
                          .cause = "probes_passed",
                          .generation = 3,
                          .probes_ok = 3}};
  return run;
}

std::size_t broken_in(const run_record& run) {
  std::size_t n = 0;
  for (const promise& p : judge(run)) n += p.verdict == judgement::broken ? 1U : 0U;
  return n;
}

}  // namespace

TEST_CASE("a run without a fault in the service keeps all promises", "[demo]") {
  for (const promise& p : judge(good_run())) {
    CAPTURE(p.what, p.figure);
    CHECK(p.verdict == judgement::kept);
  }
}

TEST_CASE("each promise is broken by what it promises not to happen", "[demo]") {
  const auto breaks = [](auto change) {
    run_record run = good_run();
    change(run);
    return broken_in(run);
  };
  CHECK(breaks([](run_record& r) { r.samples[5].client.reads.timeouts = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples[5].client.reads.broken = 1; }) == 1);
  CHECK(breaks([](run_record& r) {
          r.samples[5].client.reads.failed = 1;
          r.samples[5].client.problems += 1;
        }) == 1);
  CHECK(breaks([](run_record& r) {
          for (int i = 0; i < 600; ++i) r.samples[15].client.read_time.record(900ms);
        }) == 1);
  CHECK(breaks([](run_record& r) { r.log.transitions[0].failed = 9; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.transitions[0].cause = "manual"; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.transitions[2].probes_ok = 2; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.transitions[2].probes_not_ok = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples.back().server.guards[0].state = "open"; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples[9].client.problems = 0; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples[9].client.duplicates = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples[9].client.wrong_ids = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.ids_missing = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.bad_lines = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.jq = "refused a line"; }) == 1);
  CHECK(breaks([](run_record& r) { r.log.written = 1001; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples.back().server.library_allocations = 1; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples.back().server.library_visits = 5; }) == 1);
  CHECK(breaks([](run_record& r) { r.samples.back().server.other_allocations = 5; }) == 1);
  CHECK(breaks([](run_record& r) { r.exit_code = 3; }) == 1);
}

TEST_CASE("a p99 of few reads is told, not judged", "[demo]") {
  run_record run = good_run();
  for (sample& s : run.samples) {
    s.client.read_time = {};
    for (int i = 0; i < 10; ++i) s.client.read_time.record(s.at > run.plan.total / 3 ? 900ms : 1ms);
  }
  const auto promises = judge(run);
  CHECK(all_kept(promises));
  CHECK(std::any_of(promises.begin(), promises.end(), [](const promise& p) {
    return p.verdict == judgement::unknown && p.what.find("p99 of reads") == 0;
  }));
}

TEST_CASE("retries are held to their budget in every interval, not only over all", "[demo]") {
  run_record run = good_run();
  // 50 in the purse, 10 a second and a tenth of the calls: 65 in half a second is what may be; all others stay idle.
  for (std::size_t i = 10; i < run.samples.size(); ++i) run.samples[i].server.guards[0].retries = 10 + 65;
  CHECK(broken_in(run) == 0);
  for (std::size_t i = 10; i < run.samples.size(); ++i) run.samples[i].server.guards[0].retries = 10 + 90;
  CHECK(broken_in(run) == 1);
}

TEST_CASE("the opening that answers the fault is told, not one before it", "[demo]") {
  run_record run = good_run();
  logged_transition early = run.log.transitions[0];
  early.wall_ms = 700;
  early.failed = 31;
  run.log.transitions.insert(run.log.transitions.begin(), early);
  const auto promises = judge(run);
  CHECK(promises[2].verdict == judgement::kept);
  CHECK(promises[2].figure == "2 opened, primary after 11 failures, 50 ms");
  run.log.transitions.erase(run.log.transitions.begin() + 1);
  CHECK(judge(run)[2].figure == "1 opened, primary before it was locked");
}

TEST_CASE("a breaker that opens by slow calls does so by rule where there is such a rule, and only there", "[demo]") {
  run_record run = good_run();
  run.log.transitions[0].cause = "slow_rate";
  run.log.transitions[0].failed = 0;
  CHECK(broken_in(run) == 1);
  run.rules.slow_permille = 500;
  run.rules.slow_call = 50ms;
  CHECK(broken_in(run) == 0);
}

TEST_CASE("a service that cannot count its allocations is told so, not judged", "[demo]") {
  run_record run = good_run();
  for (sample& s : run.samples) s.server.library_allocations.reset();
  const auto promises = judge(run);
  CHECK(all_kept(promises));
  CHECK(std::any_of(promises.begin(), promises.end(), [](const promise& p) {
    return p.verdict == judgement::unknown && p.figure == "this build cannot count it";
  }));
}

TEST_CASE("losses that are counted exactly keep the promise", "[demo]") {
  run_record run = good_run();
  run.log.lost = run.log.lost_told = 12;
  run.log.loss_lines = 2;
  run.log.lines += 2;
  CHECK(broken_in(run) == 0);
  run.log.lost = 13;  // one that no line tells of
  CHECK(broken_in(run) == 1);
}

TEST_CASE("a run that was cut short before anything happened is judged without harm", "[demo]") {
  run_record run;
  run.plan = make_timeline(true);
  CHECK_FALSE(all_kept(judge(run)));
}

TEST_CASE("the summary fits one screen of 24 lines and 100 columns", "[demo]") {
  demonstration d;
  d.on = d.off = good_run();
  d.off.policies = false;
  d.on_promises = judge(d.on);
  d.off_promises = judge(d.off);
  d.has_off = true;
  const std::string text = summary(d, painter(false));
  std::size_t lines = 0, columns = 0;
  for (const char c : text) {
    if (c == '\n') {
      ++lines;
      columns = 0;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
      REQUIRE(++columns <= 100);
    }
  }
  CHECK(lines <= 24);
  CHECK(text.find("All promises were kept.") != std::string::npos);
}

TEST_CASE("the report needs nothing from elsewhere, and a name in it cannot become markup", "[demo]") {
  demonstration d;
  d.on = d.off = good_run();
  d.on_promises = d.off_promises = judge(d.on);
  d.has_off = true;
  d.options.command = "holdfast demo </script><script>alert(1)</script>";
  const std::string page = to_html(d);
  for (const char* elsewhere : {"http:", "https:", "src=", "@import", "url("}) {
    CAPTURE(elsewhere);
    CHECK(page.find(elsewhere) == std::string::npos);
  }
  CHECK(page.find("<script>alert") == std::string::npos);
  CHECK(page.find("prefers-color-scheme: dark") != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
  const std::string again = to_json(d);
  CHECK(again.find("\"kept\":true") != std::string::npos);
}
