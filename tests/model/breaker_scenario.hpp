// SPDX-License-Identifier: MIT
// What the breaker's scenarios share: times that pass the wrap of the tick, a word to begin with, and the ledger of
// transitions that must form a chain.
#pragma once

#include <array>
#include <cstdint>

#include "holdfast/policy/circuit_breaker.hpp"

#include "model/engine/scenario.hpp"

namespace holdfast {
struct breaker_start {
  static void set(circuit_breaker& breaker, breaker_word word) { breaker.word_.store(word.bits(), mo::relaxed); }
  static breaker_word get(const circuit_breaker& breaker) { return breaker_word(breaker.word_.load(mo::relaxed)); }
};
}  // namespace holdfast

namespace holdfast_model {

using namespace holdfast;

constexpr std::int64_t one_tick = std::int64_t{1} << breaker_tick::shift;
constexpr time_point at_tick(std::int64_t n) noexcept {
  return time_point(duration(n * one_tick));
}
constexpr std::int64_t tick_wrap = std::int64_t{1} << 31U;

// One rule, and the shortest times there are: two ticks each, rounded up.
constexpr circuit_breaker_options in_row(std::uint16_t failures, std::uint8_t probes = 1,
                                         lease_expiry on_lease_over = lease_expiry::renew) {
  using std::chrono::milliseconds;
  return {.consecutive_failures = failures,
          .failure_permille = 0,
          .probes = probes,
          .probe_lease = milliseconds(2),
          .on_lease_over = on_lease_over,
          .open_base = milliseconds(2),
          .open_max = milliseconds(2),
          .jitter_permille = 0,
          .healthy_decay = milliseconds(2)};
}
constexpr circuit_breaker_options by_rate(std::uint16_t permille, std::uint32_t min_calls) {
  circuit_breaker_options o = in_row(0);
  o.failure_permille = permille;
  o.min_calls = min_calls;
  o.window = std::chrono::milliseconds(150);  // a bucket is 10 ms
  return o;
}
constexpr duration fast{0};
constexpr duration slow = std::chrono::milliseconds(1);
constexpr circuit_breaker_options by_time(std::uint16_t permille, std::uint32_t min_calls) {
  circuit_breaker_options o = by_rate(0, min_calls);
  o.slow_call = slow;
  o.slow_permille = permille;
  return o;
}

// Who was told which transitions. Each thread writes its own row; the last row is the main thread's.
class ledger {
 public:
  void add(unsigned thread, const breaker_transition& t) {
    if (t) rows_[thread].told[rows_[thread].count++] = t;
  }
  [[nodiscard]] unsigned count(breaker_cause cause) const {
    unsigned n = 0;
    for (const row& r : rows_) {
      for (unsigned i = 0; i < r.count; ++i) n += r.told[i].cause == cause ? 1U : 0U;
    }
    return n;
  }
  // I5: from `begin` each transition begins where the one before it ended, with the next generation, was told once, and
  // the last one is where the breaker is. Automatic ones never leave a forced state.
  template <class Snapshot>
  void check_chain(breaker_word begin, const Snapshot& now) const {
    breaker_state state = begin.state();
    std::uint16_t generation = begin.generation();
    unsigned all = 0;
    for (const row& r : rows_) all += r.count;
    for (unsigned step = 0; step < all; ++step) {
      ++generation;
      const breaker_transition* next = nullptr;
      for (const row& r : rows_) {
        for (unsigned i = 0; i < r.count; ++i) {
          if (r.told[i].generation != generation) continue;
          MODEL_CHECK(next == nullptr);
          next = &r.told[i];
        }
      }
      MODEL_CHECK(next != nullptr);
      MODEL_CHECK(next->from == state);
      MODEL_CHECK(state < breaker_state::forced_open || next->cause == breaker_cause::manual);
      state = next->to;
    }
    MODEL_CHECK(now.generation == generation);
    MODEL_CHECK(now.state == state);
  }

 private:
  struct row {
    std::array<breaker_transition, 8> told{};
    unsigned count = 0;
  };
  std::array<row, 4> rows_{};
};

}  // namespace holdfast_model
