// SPDX-License-Identifier: MIT
// breaker_plan: all that a circuit breaker goes by, as one value that another takes the place of while calls go on.
//
// A plan that follows another one goes on where that one was: what the state word holds was made by the old options and is
// judged by the new ones, so the spans that times in it may lie ahead are the longest that there ever were. A window of
// another length, or of another number of calls, is another shape: its counts begin anew, and those of the old shape are
// none of it.
//
// packed_breaker_plan is the same without a gap, for a seq_latch. Values; nothing here is shared or allocates.
// Proof: unit/breaker_plan_test.cpp, unit/circuit_breaker_test.cpp (I8), model/breaker_plan_model.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "holdfast/policy/breaker_options.hpp"
#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/policy/breaker_window.hpp"
#include "holdfast/policy/count_window.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// The rules of the last calls in one word, so that a call that has nothing else to ask for reads no more than that.
class last_calls_rule {
 public:
  constexpr explicit last_calls_rule(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr last_calls_rule(const circuit_breaker_options& o, std::uint8_t shape) noexcept
      : bits_(std::uint64_t{o.last_calls} | std::uint64_t{o.last_min_calls} << 16U |
              std::uint64_t{o.last_failure_permille} << 32U | std::uint64_t{o.last_slow_permille} << 44U |
              std::uint64_t{shape & 0xFU} << 56U) {}

  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr std::uint32_t calls() const noexcept { return field(0, 0xFFFF); }  // 0: there is no such rule
  [[nodiscard]] constexpr std::uint8_t shape() const noexcept { return static_cast<std::uint8_t>(field(56, 0xF)); }
  // What opens the circuit if these are the last calls. Integers only, as in breaker_rules.
  [[nodiscard]] constexpr breaker_cause judge(const count_window::sums& last) const noexcept {
    if (last.failed == 0 && last.slow == 0) return breaker_cause::none;
    if (last.calls < field(16, 0xFFFF)) return breaker_cause::none;
    const auto exceeds = [&](std::uint32_t n, std::uint32_t permille) {
      return permille != 0 && n * 1000 >= permille * last.calls;
    };
    if (exceeds(last.failed, field(32, 0xFFF))) return breaker_cause::failure_rate;
    if (exceeds(last.slow, field(44, 0xFFF))) return breaker_cause::slow_rate;
    return breaker_cause::none;
  }

 private:
  [[nodiscard]] constexpr std::uint32_t field(unsigned at, std::uint32_t mask) const noexcept {
    return static_cast<std::uint32_t>(bits_ >> at) & mask;
  }
  std::uint64_t bits_;
};

struct breaker_plan {
  // The first one.
  constexpr explicit breaker_plan(const circuit_breaker_options& o) noexcept
      : rules(o), window(o.window), last(o, 0), slow_ones(rules.counts_slow()) {}
  // The one that follows `before` at `now`.
  constexpr breaker_plan(const circuit_breaker_options& o, const breaker_plan& before, time_point now) noexcept
      : rules(o, before.rules.spans()),
        window(o.window, before.window, before.keeps_window(o), now),
        last(o, static_cast<std::uint8_t>(before.last.shape() + (before.keeps_last(o) ? 0U : 1U))),
        slow_ones(rules.counts_slow() || (before.slow_ones && before.keeps_window(o))) {}

  [[nodiscard]] constexpr bool keeps_window(const circuit_breaker_options& o) const noexcept {
    return rules.options().window == o.window;
  }
  [[nodiscard]] constexpr bool keeps_last(const circuit_breaker_options& o) const noexcept {
    return rules.options().last_calls == o.last_calls;
  }

  breaker_rules rules;
  window_shape window;
  last_calls_rule last;
  bool slow_ones;  // some of what the window of time holds may have been counted as slow
};

// Room for a plan, not even zeroed until there is one.
class breaker_plan_room {
 public:
  breaker_plan_room() noexcept {}  // NOLINT(modernize-use-equals-default): of a union it would be deleted
  const breaker_plan& put(const breaker_plan& plan) noexcept { return *std::construct_at(&plan_, plan); }

 private:
  static_assert(std::is_trivially_destructible_v<breaker_plan>);
  union {
    breaker_plan plan_;
  };
};

struct packed_breaker_plan {
  constexpr explicit packed_breaker_plan(const breaker_plan& p) noexcept
      : packed_breaker_plan(p, p.rules.options(), p.rules.spans()) {}
  [[nodiscard]] constexpr breaker_plan plan() const noexcept {
    const circuit_breaker_options o{.consecutive_failures = consecutive_failures,
                                    .failure_permille = failure_permille,
                                    .slow_call = duration(slow_call),
                                    .slow_permille = slow_permille,
                                    .min_calls = min_calls,
                                    .window = duration(window),
                                    .last_calls = last_calls,
                                    .last_failure_permille = last_failure_permille,
                                    .last_slow_permille = last_slow_permille,
                                    .last_min_calls = last_min_calls,
                                    .probes = probes,
                                    .probe_lease = duration(probe_lease),
                                    .on_lease_over = static_cast<lease_expiry>(on_lease_over),
                                    .open_base = duration(open_base),
                                    .open_max = duration(open_max),
                                    .jitter_permille = jitter_permille,
                                    .healthy_decay = duration(healthy_decay),
                                    .throttled_is_failure = (flags & 1U) != 0,
                                    .seed = seed};
    breaker_plan p(o);
    p.rules = breaker_rules(o, {open_longest, lease_longest, decay_longest, moves_longest});
    p.window = window_shape(o.window, window_offset, window_serial);
    p.last = last_calls_rule(o, last_shape);
    p.slow_ones = (flags & 2U) != 0;
    return p;
  }

  std::int64_t slow_call;
  std::int64_t window;
  std::int64_t probe_lease;
  std::int64_t open_base;
  std::int64_t open_max;
  std::int64_t healthy_decay;
  std::uint64_t seed;
  std::uint32_t min_calls;
  std::uint32_t open_longest;
  std::uint32_t lease_longest;
  std::uint32_t decay_longest;
  std::uint32_t moves_longest;
  std::uint32_t window_offset;
  std::uint32_t window_serial;
  std::uint8_t probes;
  std::uint8_t on_lease_over;
  std::uint8_t flags;  // 1: throttled_is_failure, 2: slow_ones
  std::uint8_t last_shape;
  std::uint16_t consecutive_failures;
  std::uint16_t failure_permille;
  std::uint16_t slow_permille;
  std::uint16_t last_calls;
  std::uint16_t last_failure_permille;
  std::uint16_t last_slow_permille;
  std::uint16_t last_min_calls;
  std::uint16_t jitter_permille;

 private:
  constexpr packed_breaker_plan(const breaker_plan& p, const circuit_breaker_options& o,
                                const breaker_rules::longest& spans) noexcept
      : slow_call(o.slow_call.count()),
        window(o.window.count()),
        probe_lease(o.probe_lease.count()),
        open_base(o.open_base.count()),
        open_max(o.open_max.count()),
        healthy_decay(o.healthy_decay.count()),
        seed(o.seed),
        min_calls(o.min_calls),
        open_longest(spans.open),
        lease_longest(spans.lease),
        decay_longest(spans.decay),
        moves_longest(spans.moves),
        window_offset(p.window.offset()),
        window_serial(p.window.serial()),
        probes(o.probes),
        on_lease_over(static_cast<std::uint8_t>(o.on_lease_over)),
        flags(static_cast<std::uint8_t>((o.throttled_is_failure ? 1U : 0U) | (p.slow_ones ? 2U : 0U))),
        last_shape(p.last.shape()),
        consecutive_failures(o.consecutive_failures),
        failure_permille(o.failure_permille),
        slow_permille(o.slow_permille),
        last_calls(o.last_calls),
        last_failure_permille(o.last_failure_permille),
        last_slow_permille(o.last_slow_permille),
        last_min_calls(o.last_min_calls),
        jitter_permille(o.jitter_permille) {}
};
static_assert(std::is_trivially_copyable_v<packed_breaker_plan>);
static_assert(std::has_unique_object_representations_v<packed_breaker_plan>, "no gap in what is copied word by word");
static_assert(sizeof(packed_breaker_plan) == 104);

}  // namespace holdfast
