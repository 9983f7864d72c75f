// SPDX-License-Identifier: MIT
// 10,000 clients that failed together: how they come back, and how few of them find out whether the store works again.
#include <algorithm>
#include <map>

#include "checks.hpp"
#include "herd_world.hpp"
#include "support/catch.hpp"

using namespace sim;
using namespace std::chrono_literals;
using holdfast::backoff_kind;

namespace {

constexpr std::size_t clients = 10'000;

// All ask within a millisecond, are refused, and come again by their backoff until the store is back at `recovers`.
herd_options crowd(const holdfast::backoff_options& backoff, duration recovers, std::uint64_t seed) {
  herd_options o{.seed = seed,
                 .clients = {.clients = clients, .once = true, .lasts = 24h},
                 .client_retry = holdfast::retry_options{.max_attempts = 65'535, .backoff = backoff}};
  o.store.faults = {{.kind = fault_kind::outage, .from = 0s, .to = recovers}};
  return o;
}

std::size_t fullest_after(const herd_world& world, duration recovered) {
  return fullest_window(world.store().arrivals(), 100ms, timeline::zero + recovered,
                        [](const server::arrival& a) { return a.at; });
}

bool all_served(const herd_world& world) {
  return std::ranges::all_of(world.clients().served(), [](std::uint32_t n) { return n == 1; });
}

}  // namespace

TEST_CASE("R3 after a recovery no 100 ms has over 3 % of 10,000 clients, however often they have tried", "[sim]") {
  // The first wait already covers 8 s, since a store may come back at once.
  struct wait {
    backoff_kind kind;
    duration base;
    duration cap;
  };
  const wait waits[] = {{backoff_kind::full_jitter, 8s, 30s},
                        {backoff_kind::equal_jitter, 16s, 32s},
                        {backoff_kind::decorrelated, 4s, 30s},
                        {backoff_kind::proportional, 20s, 60s},
                        {backoff_kind::smooth_exponential, 8s, 30s}};
  for (const wait& w : waits) {
    const bool longer = w.kind == backoff_kind::full_jitter;  // the default
    for (const duration recovers : {500ms, 3'900ms, 7'500ms, 120'000ms}) {
      if (!longer && recovers > 10s) continue;
      for (std::uint64_t seed = 1; seed <= seeds(1, 20); ++seed) {
        herd_world world(crowd({.kind = w.kind, .base = w.base, .cap = w.cap}, recovers, seed));
        world.run();
        const std::size_t fullest = fullest_after(world, recovers);
        CAPTURE(name_of(w.kind), recovers.count(), seed, fullest);
        CHECK(fullest * 100 <= clients * 3);
        CHECK(all_served(world));
      }
    }
  }
}

TEST_CASE("R3 of no attempt number, the cap included, do over 3 % of 10,000 clients come in 100 ms", "[sim]") {
  for (std::uint64_t seed = 1; seed <= seeds(1, 20); ++seed) {
    herd_world world(crowd({.base = 8s, .cap = 30s}, 150s, seed));
    world.run();
    std::map<std::uint16_t, std::vector<time_point>> by_attempt;
    for (const auto& s : world.libraries().sends()) by_attempt[s.attempt].push_back(s.at);
    CHECK(by_attempt.size() > 10);  // the cap is reached with the third
    for (const auto& [attempt, times] : by_attempt) {
      if (attempt == 1) continue;  // which came together
      const std::size_t fullest = fullest_window(times, 100ms, timeline::zero, [](time_point t) { return t; });
      CAPTURE(seed, attempt, fullest);
      CHECK(fullest * 100 <= clients * 3);
    }
  }
}

TEST_CASE("R3 with a first wait of a second the herd is spread once the outage has lasted as long as the cap",
          "[sim]") {
  herd_world world(crowd({.base = 1s, .cap = 30s}, 60s, 1));
  world.run();
  CHECK(fullest_after(world, 60s) * 100 <= clients * 3);
  CHECK(all_served(world));
}

TEST_CASE("D2 R2 clients whose waits outgrow their patience give up at once: nobody sleeps past a deadline", "[sim]") {
  for (std::uint64_t seed = 1; seed <= seeds(2, 50); ++seed) {
    herd_options o = crowd({.base = 1s, .cap = 30s}, 1h, seed);
    o.clients.patience = 5s;
    o.clients.lasts = 0s;  // each asks once
    herd_world world(o);
    world.run();
    const layer& libraries = world.libraries();
    CAPTURE(seed);
    CHECK(libraries.found().sleeps_past_deadline == 0);
    CHECK(libraries.found().sleeps_past_client == 0);
    CHECK(libraries.found().ends_past_deadline == 0);
    CHECK(libraries.sends().size() > 2 * clients);  // they did try again
    const auto gave_up =
        std::ranges::count_if(world.clients().wishes(), [](const wish& w) { return w.done < w.until; });
    CHECK(gave_up == clients);
  }
}

TEST_CASE("control: without jitter the whole herd comes in one 100 ms", "[sim]") {
  herd_world world(crowd({.kind = backoff_kind::exponential, .base = 8s, .cap = 30s}, 20s, 1));
  world.run();
  CHECK(fullest_after(world, 20s) == clients);
}

TEST_CASE("I1 I4 of 10,000 callers at the instant when a circuit's open time is over exactly N become probes",
          "[sim]") {
  // Each sleeps exactly as long as the refusal said, so all of them come at once.
  const unsigned probes = GENERATE(1U, 3U, 31U);
  const auto kind = GENERATE(fault_kind::outage, fault_kind::silence);
  for (std::uint64_t seed = 1; seed <= seeds(1, 50); ++seed) {
    herd_options o{
        .seed = seed,
        .clients = {.clients = clients, .first_within = 500ms, .thinks = 1s, .obeys_hints = true, .lasts = 10s},
        .front_breaker = holdfast::circuit_breaker_options{
            .probes = static_cast<std::uint8_t>(probes), .probe_lease = 1s, .open_base = 2s}};
    o.store.faults = {{.kind = kind, .from = 1s, .to = 6s}};
    herd_world world(o);
    world.run();
    const breaker_watch& watch = world.front().watch();
    CAPTURE(probes, name_of(kind), seed);
    REQUIRE(watch.trials().size() >= 2);
    for (const auto& trial : watch.trials()) {
      const auto callers = std::ranges::count(world.front().calls_begun(), trial.begun);
      const auto sent =
          std::ranges::count_if(world.front().sends(), [&](const layer::send& s) { return s.at == trial.begun; });
      CHECK(callers == clients);
      CHECK(sent == probes);
      CHECK(trial.probes == probes);
    }
    CHECK(watch.trials().front().ended == breaker_state::open);
    CHECK(watch.trials().back().ended == breaker_state::closed);
    CHECK(watch.probes_over() == 0);
    CHECK(watch.left_early() == 0);
    CHECK(watch.begun_while_open() == 0);
    CHECK(watch.chain_broken() == 0);
  }
}

TEST_CASE("R3 clients who are told when to come again come spread, if hint_spread is as long as their crowd needs",
          "[sim]") {
  const auto fullest = [](duration hint_spread) {
    herd_options o = crowd({.base = 8s, .cap = 30s}, 20s, 1);
    o.client_retry->hint_spread = hint_spread;
    o.front_breaker = holdfast::circuit_breaker_options{.open_base = 30s};
    herd_world world(o);
    world.run();
    CHECK(all_served(world));
    return fullest_window(world.front().calls_begun(), 100ms, timeline::zero + 20s, [](time_point t) { return t; });
  };
  CHECK(fullest(8s) * 100 <= clients * 3);
  CHECK(fullest(1s) * 100 > clients * 9);   // control: the default is for smaller crowds
  CHECK(fullest(0s) * 100 > clients * 90);  // control: at the instant that all were told
}
