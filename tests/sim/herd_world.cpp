// SPDX-License-Identifier: MIT
#include "herd_world.hpp"

namespace sim {

herd_world::herd_world(const herd_options& o)
    : log_(time_, o.keeps_text), bits_(o.seed), net_(time_, {&bits_}, {.shortest = o.way, .longest = o.way}) {
  const world_bits bits{&bits_};
  store_ = std::make_unique<server>(time_, net_, bits, log_, o.store);
  layer_options front{.name = "front", .retry = {.max_attempts = 1}, .attempt_timeout = o.front_timeout};
  if (o.front_breaker) {
    front.breaker = o.front_breaker;
    front.breaker->seed = o.seed;
  }
  front_ = std::make_unique<layer>(time_, net_, bits, log_, front, *store_);
  callee* first = front_.get();
  if (o.client_retry) {
    libraries_ = std::make_unique<layer>(time_, net_, bits, log_,
                                         layer_options{.name = "library", .retry = *o.client_retry}, *front_);
    first = libraries_.get();
  }
  clients_ = std::make_unique<closed_loop_clients>(time_, net_, bits, log_, o.clients, *first);
}

}  // namespace sim
