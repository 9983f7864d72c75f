// SPDX-License-Identifier: MIT
// The chain before, during and after each kind of fault: what is promised holds all the time, and what failed comes back.
#include <algorithm>

#include "checks.hpp"
#include "support/catch.hpp"

using namespace sim;
using namespace std::chrono_literals;

namespace {

void check_promises(const chain_world& world) {
  for (const layer* l : world.layers()) {
    CAPTURE(l->name());
    CHECK(l->watch().probes_over() == 0);         // I1
    CHECK(l->watch().left_early() == 0);          // I4
    CHECK(l->watch().begun_while_open() == 0);    // I4
    CHECK(l->watch().chain_broken() == 0);        // I5
    CHECK(l->found().deadlines_grown == 0);       // D1
    CHECK(l->found().sleeps_past_deadline == 0);  // D2
    CHECK(l->found().sleeps_past_client == 0);    // D2
    CHECK(l->found().ends_past_deadline == 0);    // R2
    CHECK(l->found().unmarked == 0);              // layers do not multiply
    CHECK(l->calls_open() == 0);
    CHECK(l->in_room() == 0);
  }
  CHECK(world.store().most_open() <= world.leaf().options().room->limit);  // B1
  CHECK(world.store().open() == 0);
  CHECK(std::ranges::all_of(world.clients().wishes(), [](const wish& w) { return w.done != time_point::max(); }));
}

// The first second from which on 99 of 100 clients are served in time, until the end.
duration back_from(const chain_world& world) {
  duration from = world.options().clients.lasts;
  while (from > 0s && served_percent(world, from - 1s, from) >= 99.0) from -= 1s;
  return from;
}

chain_options world_of(std::string_view name, std::uint64_t seed) {
  chain_options o = options_of(name);
  o.seed = seed;
  return o;
}

}  // namespace

TEST_CASE("B1 D1 D2 R2 I1 I4 I5 hold through every fault, and who asks afterwards is served", "[sim]") {
  const std::string_view name = GENERATE("calm", "brown_out", "outage", "silence", "slow", "flapping", "lag");
  for (std::uint64_t seed = 1; seed <= seeds(3, 60); ++seed) {
    chain_world world(world_of(name, seed));
    world.run();
    CAPTURE(name, seed, back_from(world).count());
    check_promises(world);
    CHECK(served_percent(world, 0s, 9s) == 100.0);
    // All faults end at 20 s. An open circuit is then asked again within its longest open time, and nobody waits longer.
    CHECK(served_percent(world, 26s, 40s) == 100.0);
  }
}

TEST_CASE("control: without policies the load outlives its cause, deadlines grow, and the store has no limit",
          "[sim]") {
  const std::string_view name = GENERATE("outage", "slow");
  chain_options o = world_of(name, 1);
  o.policies = false;
  // A shorter fault, a shorter run: 27 times the load is a lot to simulate.
  o.store.faults[0].from = 4s;
  o.store.faults[0].to = 8s;
  o.clients.lasts = 18s;
  chain_world world(o);
  world.run();
  CHECK(served_percent(world, 0s, 3s) == 100.0);
  CHECK(served_percent(world, 12s, 18s) < 5.0);
  CHECK(world.leaf().found().deadlines_grown > 0);
  CHECK(world.leaf().found().unmarked > 0);
  CHECK(world.leaf().found().sleeps_past_client > 0);
  CHECK(world.store().most_open() > 64);
}

TEST_CASE("a circuit's refusal that travels as a failure keeps the chain down when the store is back", "[sim]") {
  // Asked by the probe of an outer circuit, an inner one that is still open says 503: the outer one opens again, and for
  // twice as long. 429 says nothing about health, and the outer one goes on probing.
  duration longest{};
  for (std::uint64_t seed = 1; seed <= seeds(3, 50); ++seed) {
    chain_options o = world_of("outage", seed);
    chain_world told_apart(o);
    told_apart.run();
    o.refusals_are_429 = false;
    chain_world as_failure(o);
    as_failure.run();
    CAPTURE(seed);
    CHECK(back_from(told_apart) <= 26s);
    longest = std::max(longest, back_from(as_failure));
  }
  CHECK(longest > 28s);
}

TEST_CASE("without min_attempt_time, retries that wake with no time left take the probes and fail them", "[sim]") {
  // Told to come when the open time is over, they wait as long as their deadline allows: those with the least time left come
  // first.
  chain_options o = world_of("silence", 1);
  chain_world enough(o);
  enough.run();
  o.min_attempt_time = 0s;
  chain_world none(o);
  none.run();
  CHECK(back_from(enough) <= 26s);
  CHECK(back_from(none) > 30s);
}
