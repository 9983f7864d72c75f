// SPDX-License-Identifier: MIT
#include "chain_world.hpp"

namespace sim {

using namespace std::chrono_literals;

namespace {

constexpr std::array<std::string_view, 3> names{"edge", "mid", "leaf"};

wire_options wire_of(const chain_options& o) {
  return {.carries_deadline = o.policies,
          .carries_repetition = o.policies,
          .carries_no_retry = o.policies,
          .refusals_are_429 = o.refusals_are_429};
}

}  // namespace

chain_world::chain_world(const chain_options& o)
    : options_(o), log_(time_, o.keeps_text), bits_(o.seed), net_(time_, {&bits_}, wire_of(o)) {
  const world_bits bits{&bits_};
  store_ = std::make_unique<server>(time_, net_, bits, log_, o.store);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    callee& inward = i + 1 < layers_.size() ? static_cast<callee&>(*layers_[i + 1]) : *store_;
    layers_[i] = std::make_unique<layer>(time_, net_, bits, log_, layer_of(i), inward);
  }
  clients_ = std::make_unique<open_loop_clients>(time_, net_, bits, log_, o.clients, *layers_[0]);
}

void chain_world::run() {
  if (options_.leap > duration::zero()) {
    time_.run(timeline::zero + options_.leaps_at);
    time_.leap(options_.leap);
  }
  time_.run();
}

layer_options chain_world::layer_of(std::size_t number) const {
  // An attempt outside lasts as long as three of the next layer inside and the waits between them.
  constexpr std::array<duration, 3> timeouts{900ms, 420ms, 120ms};
  layer_options o{.name = names[number], .attempt_timeout = timeouts[number], .thread_lags = options_.thread_lags};
  if (!options_.policies) {
    o.retry = {.max_attempts = 3, .backoff = {.kind = holdfast::backoff_kind::constant, .base = 10ms}};
    return o;
  }
  o.retry = {.max_attempts = 3, .backoff = backoff, .min_attempt_time = options_.min_attempt_time};
  o.budget = budget;
  o.room = holdfast::bulkhead_options{.limit = 64U << (2 - number)};
  if (options_.breakers) {
    o.breaker = holdfast::circuit_breaker_options{.failure_permille = 500,
                                                  .min_calls = 20,
                                                  .window = 2s,
                                                  .probes = 3,
                                                  .probe_lease = 2s,
                                                  .open_base = 500ms,
                                                  .open_max = 4s,
                                                  .healthy_decay = 10s,
                                                  .seed = options_.seed + number};
  }
  return o;
}

const std::vector<named_world>& named_worlds() {
  static const std::vector<named_world> all{
      {"calm", "nothing goes wrong"},
      {"brown_out", "three of ten requests to the store fail: three times what a budget of a tenth repeats"},
      {"outage", "the store refuses every request for 10 s"},
      {"silence", "the store answers nothing for 10 s"},
      {"slow", "the store needs ten times as long for 10 s"},
      {"flapping", "the store is down in every other second"},
      {"leap", "the machine is suspended in an outage: the clock leaps by an hour, which the axis leaves out"},
      {"lag", "the store is down for 10 s, and some threads read an older time than others"},
  };
  return all;
}

chain_options options_of(std::string_view name) {
  chain_options o{.clients = {.per_second = 600, .patience = 1s, .lasts = 40s}};
  const auto fails = [&](fault f) { o.store.faults.push_back(f); };
  if (name == "brown_out") fails({.kind = fault_kind::brown_out, .from = 10s, .to = 20s, .permille = 300});
  if (name == "outage") fails({.kind = fault_kind::outage, .from = 10s, .to = 20s});
  if (name == "silence") fails({.kind = fault_kind::silence, .from = 10s, .to = 20s});
  if (name == "slow") fails({.kind = fault_kind::slow, .from = 10s, .to = 20s, .factor = 10});
  if (name == "flapping") fails({.kind = fault_kind::flapping, .from = 10s, .to = 20s, .period = 2s});
  if (name == "leap") {
    fails({.kind = fault_kind::outage, .from = 8s, .to = 1h + 12s});
    o.leaps_at = 10s;
    o.leap = 1h;
    o.clients.lasts = 1h + 40s;
  }
  if (name == "lag") {
    fails({.kind = fault_kind::outage, .from = 10s, .to = 20s});
    o.thread_lags = {0s, 3ms, 700ms, 20min};
  }
  return o;
}

}  // namespace sim
