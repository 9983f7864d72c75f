// SPDX-License-Identifier: MIT
// A run is a function of its seed: the same one gives the same log to the last byte, whatever ran before it.
#include "checks.hpp"
#include "herd_world.hpp"
#include "support/catch.hpp"

using namespace sim;
using namespace std::chrono_literals;

namespace {

chain_options short_world(std::string_view name, bool policies, std::uint64_t seed) {
  chain_options o = options_of(name);
  o.seed = seed;
  o.policies = policies;
  o.keeps_text = true;
  for (fault& f : o.store.faults) f.from = 1s;
  o.clients.lasts = policies ? 4s : 2s;
  if (o.leap > 0s) {
    o.leaps_at = 2s;
    o.clients.lasts += o.leap;
  }
  return o;
}

}  // namespace

TEST_CASE("I7 the same seed gives the same event log to the last byte, another seed another", "[sim]") {
  for (const named_world& w : named_worlds()) {
    for (const bool policies : {true, false}) {
      if (!policies && w.name != "outage" && w.name != "lag") continue;  // they take long
      const auto run = [&](std::uint64_t seed) {
        auto world = std::make_unique<chain_world>(short_world(w.name, policies, seed));
        world->run();
        return world;
      };
      const auto first = run(7);
      const auto again = run(7);
      const auto other = run(8);
      CAPTURE(w.name, policies);
      CHECK(first->log().lines() > 10'000);
      CHECK(first->log().text() == again->log().text());
      CHECK(first->log().hash() == again->log().hash());
      CHECK(first->log().text() != other->log().text());
      CHECK(first->log().hash() != other->log().hash());
    }
  }
}

TEST_CASE("I7 a herd's log is the same for the same seed, and its hash is that of the text", "[sim]") {
  const auto run = [](std::uint64_t seed, bool keeps_text) {
    herd_options o{.seed = seed,
                   .keeps_text = keeps_text,
                   .clients = {.clients = 1'000, .thinks = 1s, .lasts = 8s},
                   .client_retry = holdfast::retry_options{.max_attempts = 10},
                   .front_breaker = holdfast::circuit_breaker_options{}};
    o.store.faults = {{.kind = fault_kind::flapping, .from = 1s, .to = 5s}};
    auto world = std::make_unique<herd_world>(o);
    world->run();
    return world;
  };
  const auto first = run(7, true);
  const auto again = run(7, false);
  std::uint64_t hash = 14'695'981'039'346'656'037U;
  for (const char c : first->log().text()) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211U;
  CHECK(first->log().hash() == hash);
  CHECK(again->log().hash() == hash);
  CHECK(again->log().text().empty());
  CHECK(run(8, false)->log().hash() != hash);
}
