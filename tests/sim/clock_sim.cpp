// SPDX-License-Identifier: MIT
// Clocks that leap while everything is under way, and threads whose reading of the clock is behind that of the others.
#include <algorithm>

#include "checks.hpp"
#include "support/catch.hpp"

using namespace sim;
using namespace std::chrono_literals;

TEST_CASE("a clock that leaps by an hour in an outage ends what was under way, earns one purse and hides no recovery",
          "[sim]") {
  for (std::uint64_t seed = 1; seed <= seeds(3, 60); ++seed) {
    chain_options o = options_of("leap");
    o.seed = seed;
    chain_world world(o);
    world.run();
    CAPTURE(seed);
    for (const layer* l : world.layers()) {
      CAPTURE(l->name());
      CHECK(l->watch().probes_over() == 0);         // I1
      CHECK(l->watch().left_early() == 0);          // I4
      CHECK(l->watch().begun_while_open() == 0);    // I4
      CHECK(l->watch().chain_broken() == 0);        // I5
      CHECK(l->found().sleeps_past_deadline == 0);  // D2
      CHECK(l->calls_open() == 0);
      CHECK(l->in_room() == 0);
    }
    CHECK(std::ranges::all_of(world.clients().wishes(), [](const wish& w) { return w.done != time_point::max(); }));
    CHECK(served_percent(world, 0s, 7s) == 100.0);
    CHECK(served_percent(world, 1h + 18s, 1h + 40s) == 100.0);  // the store is back at 1 h 12 s
    // The breakers' probes came once the clock said so, and not an hour's worth of them at once.
    const auto at_once =
        fullest_window(world.store().arrivals(), 1s, timeline::zero + 1h,
                       [](const server::arrival& a) { return since_start(a.at) < 1h + 12s ? a.at : timeline::zero; });
    CHECK(at_once <= 20);
  }
}

TEST_CASE("R1 a leap or a lag of the clock earns no tokens twice", "[sim]") {
  const bool leaps = GENERATE(true, false);
  for (std::uint64_t seed = 1; seed <= seeds(3, 100); ++seed) {
    chain_options o{.seed = seed, .breakers = false, .clients = {.lasts = 8s}};
    o.store.faults = {{.kind = fault_kind::outage, .from = 0s, .to = 10h}};
    if (leaps) {
      o.leaps_at = 4s;
      o.leap = 1h;
      o.clients.lasts = 1h + 4s;
    } else {
      o.thread_lags = {0s, 3ms, 700ms, 20min};
    }
    chain_world world(o);
    world.run();
    const auto worst = worst_amplification(world.store().arrivals(), chain_world::budget,
                                           holdfast::longest_delay(chain_world::backoff) + wire_options{}.longest);
    CAPTURE(leaps, seed, worst.of_bound);
    CHECK(worst.of_bound <= 1.0);
    CHECK(world.leaf().retries().size() > 100);
  }
}
