// SPDX-License-Identifier: MIT
// A compact breaker with its rules beside it, so that it is used as a circuit_breaker is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "holdfast/policy/compact_breaker.hpp"

namespace test_support {

struct held_compact {
  using permit = holdfast::compact_breaker::permit;
  using admission = holdfast::compact_breaker::admission;
  using time_point = holdfast::time_point;
  using transition = holdfast::breaker_transition;

  static holdfast::duration keep(const holdfast::circuit_breaker_options& o) {
    return std::max<holdfast::duration>(o.window, std::chrono::seconds(30));
  }
  explicit held_compact(const holdfast::circuit_breaker_options& o, std::uint64_t name = 0)
      : rules({.rules = o, .keep = keep(o)}), breaker(name) {}

  admission admit(time_point now) { return breaker.admit(rules, now); }
  holdfast::compact_breaker::report_result report(permit&& ticket, holdfast::verdict v, time_point now,
                                                  holdfast::duration took = {}) {
    return breaker.report(std::move(ticket), v, now, took);
  }
  transition isolate(time_point now) { return breaker.isolate(now); }
  transition force_close(time_point now) { return breaker.force_close(now); }
  transition metrics_only(time_point now) { return breaker.metrics_only(now); }
  transition release(time_point now, holdfast::breaker_state to = holdfast::breaker_state::closed) {
    return breaker.release(now, to);
  }
  [[nodiscard]] holdfast::compact_breaker_snapshot snapshot(time_point now) const {
    return breaker.snapshot(rules, now);
  }
  [[nodiscard]] holdfast::breaker_state state() const { return breaker.state(); }
  [[nodiscard]] std::uint16_t generation() const { return breaker.generation(); }
  [[nodiscard]] const holdfast::circuit_breaker_options& options() const { return rules.options(); }

  holdfast::compact_breaker_rules rules;
  holdfast::compact_breaker breaker;
};

}  // namespace test_support
