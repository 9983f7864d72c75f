// SPDX-License-Identifier: MIT
// call_events: an observer of calls that publishes what happens to one guard, and does not flood who is told of it.
//
//   operation                caller      progress    cost                        allocates   when refused
//   on_..., publish          any thread  lock-free   a look at the clock and a   never       the ring's word: dropped,
//                                                    push; held back: a CAS                  counted, and seen as a gap
//
// In short: any thread | lock-free | never | dropped by a full ring, which counts it
//
//   type                 published         from, to           code               a                     b
//   breaker_transition   each one          breaker_state      breaker_cause      0                     0
//   call_refused         one a cool-down   -                  errc, why          retry_after in ns     held back before it
//   call_given_up        one a cool-down   verdict, attempts  errc, stopped_by   the error's value     held back before it
//   budget_exhausted     one a cool-down   verdict            errc               the error's value     held back before it
//                        of the budget
//
// Transitions are never held back: they are few, and each is made by one call. Refusals can be as many as calls, so one is
// published and the next one, when `every` is over, says how many were not, those that a full ring dropped among them.
// `generation` is the breaker's for transitions and 0 for the others. `to` holds at most 255 attempts. What breakers do by hand
// (isolate and the like) is published by whoever does it: `publish(transition, now)`.
//
// One call_events belongs to one guard and is shared by all its calls, as their observer or by being called from theirs; it
// outlives them. An event is published after what it tells of: event_ring says what that means for the order.
//
// Memory: 56 bytes, and a clock.
// Method: each transition is handed to exactly one call (I5 of circuit_breaker), outside of every policy; time/cool_down.hpp.
// Proof: unit/call_events_test.cpp, stress/event_ring_stress.cpp (every transition of a breaker that many threads use, and no
// order that a handler cannot put right).
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/telemetry/event.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/cool_down.hpp"

namespace holdfast {

struct call_events_options {
  std::uint64_t object = 0;                  // event::object of this guard
  duration every = std::chrono::seconds(1);  // one refusal, and one call given up, in this time
};
static_assert(std::is_aggregate_v<call_events_options>);

constexpr option_error validate(const call_events_options& o) noexcept {
  return first_of(at_least("every", o.every.count(), 1),
                  at_most("every", o.every.count(), duration(std::chrono::hours(24)).count()));
}

template <class R>
concept takes_events = requires(R& ring, const event& what) {
  { ring.publish(what) }
  noexcept->std::convertible_to<bool>;
};

// The clock stamps events and measures cool-downs; the ring and the clock outlive this.
template <takes_events Ring, clock_source Clock = coarse_clock>
class call_events {
 public:
  explicit call_events(Ring& ring, const call_events_options& options = {}, const Clock& clock = {}) noexcept
      : ring_(ring), clock_(clock), options_(options) {
    HOLDFAST_ASSERT(!validate(options));
  }
  call_events(const call_events&) = delete;
  call_events& operator=(const call_events&) = delete;

  void publish(const breaker_transition& moved, time_point now) noexcept {
    ring_.publish({.at = now,
                   .object = options_.object,
                   .generation = moved.generation,
                   .type = event_type::breaker_transition,
                   .from = static_cast<std::uint8_t>(moved.from),
                   .to = static_cast<std::uint8_t>(moved.to),
                   .code = static_cast<std::uint16_t>(moved.cause)});
  }

  // --- as an observer

  static void on_attempt(const guard&, const attempt&, verdict, duration) noexcept {}
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}
  void on_transition(const guard&, const breaker_transition& moved) noexcept { publish(moved, clock_.now()); }
  void on_refusal(const guard&, const error& why) noexcept {
    const time_point now = clock_.now();
    const cool_down_claim claim = refusals_.try_claim(now, options_.every);
    if (!claim) return;
    publish_counted(lost_refusals_, claim.held_back,
                    {.at = now,
                     .object = options_.object,
                     .type = event_type::call_refused,
                     .code = static_cast<std::uint16_t>(why.code.value()),
                     .a = why.retry_after.count()});
  }
  void on_give_up(const guard&, const error& why) noexcept {
    const time_point now = clock_.now();
    const cool_down_claim claim = give_ups_.try_claim(now, options_.every);
    if (!claim) return;
    publish_counted(lost_give_ups_, claim.held_back,
                    {.at = now,
                     .object = options_.object,
                     .type = event_type::call_given_up,
                     .from = static_cast<std::uint8_t>(why.kind),
                     .to = static_cast<std::uint8_t>(std::min<std::uint16_t>(why.attempts, 255)),
                     .code = static_cast<std::uint16_t>(why.stopped_by),
                     .a = why.code.value()});
  }
  void on_budget_exhausted(const guard&, const error& why, std::uint32_t held_back) noexcept {
    ring_.publish({.at = clock_.now(),
                   .object = options_.object,
                   .type = event_type::budget_exhausted,
                   .from = static_cast<std::uint8_t>(why.kind),
                   .code = static_cast<std::uint16_t>(errc::retry_budget_exhausted),
                   .a = why.code.value(),
                   .b = held_back});
  }

 private:
  // What a full ring drops is held back as well: itself, and those that it would have told of.
  void publish_counted(atomic<std::uint64_t>& lost, std::uint64_t held_back, event what) noexcept {
    held_back += lost.exchange(0, mo::relaxed);  // counter:
    what.b = static_cast<decltype(what.b)>(held_back);
    if (!ring_.publish(what)) lost.fetch_add(held_back + 1, mo::relaxed);  // counter:
  }

  Ring& ring_;
  [[no_unique_address]] const Clock clock_;
  const call_events_options options_;
  cool_down refusals_;                      // written by calls that are refused
  cool_down give_ups_;                      // written by calls that end with an error
  atomic<std::uint64_t> lost_refusals_{0};  // written by them, where the ring was full
  atomic<std::uint64_t> lost_give_ups_{0};
};

// What a breaker_transition event tells of; of another event: none.
constexpr breaker_transition transition_of(const event& what) noexcept {
  if (what.type != event_type::breaker_transition) return {};
  return {static_cast<breaker_state>(what.from), static_cast<breaker_state>(what.to),
          static_cast<breaker_cause>(what.code), what.generation};
}

}  // namespace holdfast
