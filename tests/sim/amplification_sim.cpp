// SPDX-License-Identifier: MIT
// How much more than its calls a store is sent when it fails everything, through three layers that repeat what failed.
#include "checks.hpp"
#include "support/catch.hpp"

using namespace sim;
using namespace std::chrono_literals;

namespace {

// From when a retry is paid for till the store sees it.
constexpr duration longest_wait = holdfast::longest_delay(chain_world::backoff) + wire_options{}.longest;

chain_options total_failure(fault_kind kind, std::uint64_t seed) {
  chain_options o{.seed = seed, .breakers = false, .clients = {.lasts = 8s}};
  o.store.faults = {{.kind = kind, .from = 0s, .to = 1h, .permille = 1000}};
  return o;
}

}  // namespace

TEST_CASE(
    "R1 under total failure three layers send the store at most its calls, a tenth of them and the reserve a second",
    "[sim]") {
  // Without breakers, which would leave it alone altogether: this is about the budgets.
  const auto kind = GENERATE(fault_kind::outage, fault_kind::brown_out, fault_kind::silence);
  double most = 0;
  for (std::uint64_t seed = 1; seed <= seeds(4, 300); ++seed) {
    chain_world world(total_failure(kind, seed));
    world.run();
    const auto worst = worst_amplification(world.store().arrivals(), chain_world::budget, longest_wait);
    const double paid = worst_payment(world.leaf(), chain_world::budget);
    CAPTURE(name_of(kind), seed, worst.of_bound, worst.of_calls, paid);
    // In silence the bulkhead turns most retries away, and what was paid for them goes back.
    if (kind != fault_kind::silence) CHECK(paid <= 1.0);
    CHECK(worst.of_bound <= 1.0);
    CHECK(served_percent(world, 0s, 8s) == 0.0);
    CHECK(world.leaf().retries().size() > 100);  // it was tried
    most = std::max(most, paid);
  }
  // The bound is one that is reached.
  if (kind != fault_kind::silence) CHECK(most > 0.9);
}

TEST_CASE("control: without policies three layers of three attempts send 27 times what was asked for", "[sim]") {
  chain_options o = total_failure(fault_kind::outage, 1);
  o.policies = false;
  o.clients.lasts = 3s;
  chain_world world(o);
  world.run();
  const auto worst = worst_amplification(world.store().arrivals(), chain_world::budget, longest_wait);
  CHECK(worst.of_bound > 20.0);
  CHECK(worst.of_calls > 25.0);
  CHECK(world.store().arrivals().size() == 27 * world.clients().wishes().size());
}

TEST_CASE("an open circuit leaves the store alone but for its probes", "[sim]") {
  for (std::uint64_t seed = 1; seed <= seeds(3, 100); ++seed) {
    chain_options o = options_of("outage");
    o.seed = seed;
    o.clients.lasts = 20s;
    chain_world world(o);
    world.run();
    std::uint64_t sent = 0;
    for (const auto& a : world.store().arrivals()) {
      sent += since_start(a.at) >= 12s && since_start(a.at) < 20s ? 1U : 0U;
    }
    std::uint64_t probes = 0;
    for (const auto& t : world.leaf().watch().trials()) probes += since_start(t.begun) >= 11s ? t.probes : 0U;
    CAPTURE(seed, sent, probes);
    CHECK(sent <= probes);
    CHECK(sent >= 1);
  }
}
