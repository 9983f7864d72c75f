// SPDX-License-Identifier: MIT
// breaker_rules: what a circuit breaker does next, as pure functions from one word to the next.
//
// A breaker is a loop around these: read the word, ask for the step, compare-and-swap, tell the caller. Everything that
// can be decided from the word alone is here; the rules of shares need the window as well and are the breaker's.
//
// Wait-free, no allocation, no clock, no atomics: the same functions serve every form of the breaker and its tests.
// Proof: unit/circuit_breaker_test.cpp, against a reference written without them; model/circuit_breaker_model.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "holdfast/core/error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/breaker_options.hpp"
#include "holdfast/policy/breaker_word.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// Why a transition happened.
enum class breaker_cause : std::uint8_t {
  none,
  consecutive_failures,
  failure_rate,
  slow_rate,
  open_time_over,  // open -> half_open
  probe_failed,    // half_open -> open
  probes_passed,   // half_open -> closed
  lease_over,      // half_open -> half_open (renewed) or open
  manual,
};

constexpr std::string_view name_of(breaker_cause cause) noexcept {
  switch (cause) {
    case breaker_cause::none: return "none";
    case breaker_cause::consecutive_failures: return "consecutive_failures";
    case breaker_cause::failure_rate: return "failure_rate";
    case breaker_cause::slow_rate: return "slow_rate";
    case breaker_cause::open_time_over: return "open_time_over";
    case breaker_cause::probe_failed: return "probe_failed";
    case breaker_cause::probes_passed: return "probes_passed";
    case breaker_cause::lease_over: return "lease_over";
    case breaker_cause::manual: return "manual";
  }
  return "unknown";
}

// What a verdict says about the callee's health.
enum class breaker_effect : std::uint8_t { success, failure, neutral };

class breaker_rules {
 public:
  struct step {
    breaker_word next{};
    breaker_cause cause = breaker_cause::none;  // not none: `next` is a transition
    errc refusal{};                             // errc{}: the call may go on
    duration retry_after{0};
  };

  // How many ticks ahead the times of a word may lie, and how many a half-open one's may move.
  struct longest {
    std::uint32_t open = 0;
    std::uint32_t lease = 0;
    std::uint32_t decay = 0;
    std::uint32_t moves = 0;
  };

  constexpr explicit breaker_rules(const circuit_breaker_options& o) noexcept : breaker_rules(o, longest{}) {}
  // Where words may have been made by other options, whose spans are `before`: what they wrote is understood.
  constexpr breaker_rules(const circuit_breaker_options& o, const longest& before) noexcept
      : options_(o),
        spans_{.open = std::max(before.open, breaker_tick::span(o.open_max + jitter_of(o, o.open_max))),
               .lease = std::max(before.lease, breaker_tick::span(o.probe_lease)),
               .decay = std::max(before.decay, breaker_tick::span(o.healthy_decay)),
               .moves = std::max(before.moves, (o.probes + 1U) * breaker_tick::span(o.probe_lease))} {}

  [[nodiscard]] constexpr const circuit_breaker_options& options() const noexcept { return options_; }
  [[nodiscard]] constexpr const longest& spans() const noexcept { return spans_; }
  [[nodiscard]] constexpr std::uint32_t open_longest() const noexcept { return spans_.open; }
  [[nodiscard]] constexpr bool counts_slow() const noexcept { return options_.slow_call > duration::zero(); }
  [[nodiscard]] constexpr bool is_slow(duration took) const noexcept {
    return counts_slow() && took >= options_.slow_call;
  }
  // What took less than this is not slow.
  [[nodiscard]] constexpr duration slow_from() const noexcept {
    return counts_slow() ? options_.slow_call : duration::max();
  }

  [[nodiscard]] constexpr breaker_effect effect_of(verdict v) const noexcept {
    if (is_answer(v)) return breaker_effect::success;
    if (is_failure(v)) return breaker_effect::failure;
    return v == verdict::throttled && options_.throttled_is_failure ? breaker_effect::failure : breaker_effect::neutral;
  }

  // How long the opening with this generation lasts, if `level` openings went before it: the cap first, then the jitter,
  // so that breakers that reached the cap do not come back in step. Breakers that share their rules, and so the seed, each
  // say a `salt` of their own for that.
  [[nodiscard]] constexpr duration open_time(std::uint32_t level, std::uint16_t generation,
                                             std::uint64_t salt = 0) const noexcept {
    const duration capped = options_.open_base > duration(options_.open_max.count() >> level)
                                ? options_.open_max
                                : duration(options_.open_base.count() << level);
    const duration swing = jitter_of(options_, capped);
    splitmix64 bits(splitmix64_mix(options_.seed ^ salt) ^ generation);
    return capped - swing +
           duration(static_cast<std::int64_t>(uniform_up_to(bits, 2 * static_cast<std::uint64_t>(swing.count()))));
  }

  // Do a permit that was given under `seen` and the state `now` belong together? The generation decides; the tick keeps
  // a permit apart that slept through 65,536 generations. A closed state's tick never changes. A half-open one's moves
  // by at most a lease with each probe, and a permit in its own lease is never more than one lease behind.
  [[nodiscard]] constexpr bool same_generation(breaker_word seen, breaker_word now) const noexcept {
    if (seen.state() != now.state()) return false;
    if (seen.generation() != now.generation()) return false;
    const std::uint32_t moved = breaker_tick::distance(seen.tick(), now.tick());
    return now.state() == breaker_state::half_open ? moved <= spans_.moves : moved == 0;
  }

  // A call asks to be let through.
  [[nodiscard]] constexpr step admit(breaker_word word, time_point now, std::uint64_t salt = 0) const noexcept {
    const std::uint32_t tick = breaker_tick::of(now);
    switch (word.state()) {
      case breaker_state::open:
        if (breaker_tick::ahead(word.tick(), tick, spans_.open))
          return {word, breaker_cause::none, errc::breaker_open, breaker_tick::until(word.tick(), now)};
        return {half_open(word, now), breaker_cause::open_time_over};
      case breaker_state::half_open: {
        // As many as there are to be, since fewer are asked for than were when the last one succeeded.
        if (word.succeeded() >= options_.probes) return {closed(word, now), breaker_cause::probes_passed};
        const bool under_lease = leased(word, now);
        if (word.issued() > word.succeeded() && !under_lease) {
          if (options_.on_lease_over == lease_expiry::renew) return {half_open(word, now), breaker_cause::lease_over};
          const breaker_word reopened = opened(word, now, salt);
          return {reopened, breaker_cause::lease_over, errc::breaker_open, breaker_tick::until(reopened.tick(), now)};
        }
        if (word.issued() < options_.probes) {
          // Each probe has a whole lease; an older `now` does not shorten another's.
          const std::uint32_t fresh = breaker_tick::after(now, options_.probe_lease);
          const bool keep =
              under_lease && breaker_tick::distance(tick, word.tick()) > breaker_tick::distance(tick, fresh);
          return {word.with_issued(word.issued() + 1).with_tick(keep ? word.tick() : fresh)};
        }
        return {word, breaker_cause::none, errc::probe_quota, breaker_tick::until(word.tick(), now)};
      }
      case breaker_state::forced_open: return {word, breaker_cause::none, errc::breaker_isolated};
      case breaker_state::closed:
      case breaker_state::forced_closed:
      case breaker_state::metrics_only: break;
    }
    return {word};
  }

  [[nodiscard]] static constexpr bool opens(breaker_cause cause) noexcept {
    return cause == breaker_cause::consecutive_failures || cause == breaker_cause::failure_rate ||
           cause == breaker_cause::slow_rate || cause == breaker_cause::probe_failed ||
           cause == breaker_cause::lease_over;
  }
  // How long a call that `word` refused is to stay away; nothing is known of a state that is left by hand.
  [[nodiscard]] static constexpr duration wait_of(breaker_word word, time_point now) noexcept {
    return word.state() == breaker_state::forced_open ? duration::zero() : breaker_tick::until(word.tick(), now);
  }

  // For how long the open `word` has been so, to a tick, if it has `left` to go. (At the highest level, of openings that have not
  // come to open_max by then, it may be half of it.)
  [[nodiscard]] constexpr duration open_for(breaker_word word, duration left) const noexcept {
    return open_time(std::max(word.level(), 1U) - 1, word.generation()) - left;
  }

  // A result comes in that belongs to `word`. Whether it was slow matters to the window alone.
  [[nodiscard]] constexpr step report(breaker_word word, breaker_effect effect, time_point now, bool slow = false,
                                      std::uint64_t salt = 0) const noexcept {
    if (word.state() == breaker_state::half_open) {
      switch (effect) {
        case breaker_effect::failure: return {opened(word, now, salt), breaker_cause::probe_failed};
        case breaker_effect::neutral: return {returned(word)};
        case breaker_effect::success: break;
      }
      if (word.succeeded() + 1 >= options_.probes) return {closed(word, now), breaker_cause::probes_passed};
      return {word.with_succeeded(word.succeeded() + 1)};
    }
    if (word.state() == breaker_state::closed && effect != breaker_effect::neutral) {
      const bool failed = effect == breaker_effect::failure;
      if (weighs(failed ? 1 : 0, slow ? 1 : 0)) word = word.with_dirty(true);
      if (!failed) return {word.with_streak(0)};
      if (options_.consecutive_failures != 0) {
        if (word.streak() + 1 >= options_.consecutive_failures)
          return {opened(word, now, salt), breaker_cause::consecutive_failures};
        word = word.with_streak(word.streak() + 1);
      }
    }
    return {word};
  }

  // A probe's place comes back unused. Needs no time.
  [[nodiscard]] static constexpr breaker_word returned(breaker_word word) noexcept {
    return word.with_issued(word.issued() - 1);
  }

  [[nodiscard]] constexpr breaker_word opened(breaker_word word, time_point now,
                                              std::uint64_t salt = 0) const noexcept {
    const duration closed_for = open_time(word.level(), static_cast<std::uint16_t>(word.generation() + 1U), salt);
    return word.next(breaker_state::open, std::min(word.level() + 1, breaker_word::most_level),
                     breaker_tick::after(now, std::max(closed_for, duration(breaker_tick::nanoseconds))));
  }

  // Is the level that the closed `word` carries due to fall, `due` being when?
  [[nodiscard]] constexpr bool decay_due(std::uint32_t due, time_point now) const noexcept {
    return !breaker_tick::ahead(due, breaker_tick::of(now), spans_.decay);
  }

  // Half-open: may the probes that are out still report?
  [[nodiscard]] constexpr bool leased(breaker_word word, time_point now) const noexcept {
    return breaker_tick::ahead(word.tick(), breaker_tick::of(now), spans_.lease);
  }

  // Integers only: no rounding decides whether a circuit opens.
  [[nodiscard]] constexpr bool rate_exceeded(std::uint64_t failed, std::uint64_t total) const noexcept {
    return options_.failure_permille != 0 && total >= options_.min_calls &&
           failed * 1000 >= options_.failure_permille * total;
  }
  [[nodiscard]] constexpr bool slow_exceeded(std::uint64_t slow, std::uint64_t total) const noexcept {
    return options_.slow_permille != 0 && total >= options_.min_calls && slow * 1000 >= options_.slow_permille * total;
  }
  // Is there a rule of shares in the window of time that counts any of these? While the window holds such a call the word is dirty.
  [[nodiscard]] constexpr bool weighs(std::uint64_t failed, std::uint64_t slow) const noexcept {
    return (options_.failure_permille != 0 && failed != 0) || (options_.slow_permille != 0 && slow != 0);
  }

 private:
  static constexpr duration jitter_of(const circuit_breaker_options& o, duration d) noexcept {
    return d * o.jitter_permille / 1000;
  }
  [[nodiscard]] static constexpr breaker_word closed(breaker_word word, time_point now) noexcept {
    return word.next(breaker_state::closed, word.level(), breaker_tick::of(now));
  }
  // Half-open with the caller as its first probe.
  [[nodiscard]] constexpr breaker_word half_open(breaker_word word, time_point now) const noexcept {
    return word.next(breaker_state::half_open, word.level(), breaker_tick::after(now, options_.probe_lease))
        .with_issued(1);
  }

  circuit_breaker_options options_;
  longest spans_;
};

}  // namespace holdfast
