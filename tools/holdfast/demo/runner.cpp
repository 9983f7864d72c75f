// SPDX-License-Identifier: MIT
#include "demo/runner.hpp"

#include <filesystem>

#include "holdfast/time/clock.hpp"

#include "demo/chaos.hpp"
#include "demo/service_process.hpp"
#include "demo/stop_signal.hpp"

namespace holdfast::demo {
namespace {

// The sampler must not keep the timeline waiting: a service that does not answer in this time is not reached.
constexpr milliseconds look_within{100};

milliseconds since(time_point start) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
}

class timeline_run {
 public:
  timeline_run(run_record& run, service_process& service, chaos& chaos, load& load, run_watcher& watcher)
      : run_(run), service_(service), chaos_(chaos), load_(load), watcher_(watcher) {}

  void go() {
    start_ = steady_clock::now();
    run_.wall_start_ms = wall_clock::now_ns() / 1'000'000;
    load_.start();
    watcher_.on_start(run_);
    milliseconds next_sample = sample_every;
    std::size_t next_step = 0;
    while (run_.trouble.empty() && since(start_) < run_.plan.total) {
      const bool steps_left = next_step < run_.plan.steps.size();
      if (steps_left && since(start_) >= run_.plan.steps[next_step].at) {
        do_step(run_.plan.steps[next_step++]);
      } else if (since(start_) >= next_sample) {
        take_sample();
        next_sample += sample_every;
      } else {
        const milliseconds at = steps_left ? std::min(next_sample, run_.plan.steps[next_step].at) : next_sample;
        stop_signal::sleep(start_ + at - steady_clock::now());
      }
      if (stop_signal::which() != 0) run_.trouble = "stopped";
    }
    chaos_.heal_all();
    load_.stop();
    take_sample();
  }

 private:
  void do_step(const step& s) {
    const milliseconds at = since(start_);  // what is broken may show before we hear that it is done
    const std::string failure = s.begins ? chaos_.begin(s.what) : chaos_.heal(s.what);
    if (!failure.empty()) {
      run_.trouble = failure;
      return;
    }
    run_.events.push_back({at, s.what, s.begins});
    watcher_.on_event(run_, run_.events.back());
  }

  void take_sample() {
    sample s;
    s.server = look_at_server(service_.at().admin_port, look_within);
    s.client = load_.take();
    s.at = since(start_);
    s.span = s.at - (run_.samples.empty() ? milliseconds(0) : run_.samples.back().at);
    run_.samples.push_back(std::move(s));
    if (run_.trouble.empty()) run_.trouble = service_.trouble();
    if (run_.trouble.empty()) run_.trouble = load_.trouble();
    watcher_.on_sample(run_);
  }

  run_record& run_;
  service_process& service_;
  chaos& chaos_;
  load& load_;
  run_watcher& watcher_;
  time_point start_{};
};

run_record empty_record(const run_options& o) {
  run_record run;
  run.policies = o.policies;
  run.plan = make_timeline(o.demo.short_mode);
  run.rules.times = make_breaker_times(o.demo.short_mode);
  run.id_prefix = "demo-" + std::to_string(o.demo.seed) + (o.policies ? "-on-" : "-off-");
  return run;
}

}  // namespace

run_record run_timeline(const run_options& o, run_watcher& watcher) {
  run_record run = empty_record(o);
  const time_point begun = steady_clock::now();
  service_process service({.program = o.program,
                           .data_dir = o.data_dir,
                           .profiles = o.demo.profiles,
                           .seed = o.demo.seed,
                           .policies = o.policies,
                           .rules = run.rules});
  run.ready_after = since(begun);
  run.log_file = service.at().log;
  load clients({.port = service.at().port,
                .rate = o.demo.rate,
                .connections = o.demo.connections,
                .profiles = static_cast<std::uint32_t>(o.demo.profiles),
                .seed = o.demo.seed,
                .id_prefix = run.id_prefix});
  {
    chaos chaos({.program = o.program,
                 .primary = service.at().primary,
                 .replica_dir = std::filesystem::path(service.at().replica).parent_path().string(),
                 .cdn = service.at().cdn_pid});
    timeline_run(run, service, chaos, clients, watcher).go();
  }
  run.fates = clients.fates();
  const time_point told = steady_clock::now();
  run.exit_code = service.drain();
  run.drained_in = since(told);
  watcher.on_end(run);
  return run;
}

}  // namespace holdfast::demo
