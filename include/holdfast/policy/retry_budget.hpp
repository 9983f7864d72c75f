// SPDX-License-Identifier: MIT
// retry_budget: how much extra traffic a dependency may be sent, whoever wants it sent: retries and hedges alike.
//
//   operation          caller        progress    cost                            allocates   when refused
//   on_first_attempt   any thread    lock-free   full: one load; else one CAS    never       -
//   try_take           any thread    lock-free   one CAS, no check-then-add;     never       denied, counted; one of them
//                                                denied: two counters                        gives notice
//   give_back          any thread    lock-free   one CAS; full: one load         never       -
//   balance_milli      any observer  wait-free   one load                        never       -
//   snapshot           any observer  wait-free   four loads                      never       -
//
// In short: any thread | lock-free | never | counted, and one a cool-down gives notice
//
// Every first attempt deposits ratio_permille thousandths of a token, every second earns min_per_second tokens, a retry
// costs one token (two when the callee said that it is overloaded or did not answer in time), and the purse holds
// `burst` tokens. So a dependency that fails everything gets a tenth more traffic, not three times as much; a quiet
// client may still retry, out of the reserve.
//
// R1, for every interval [a, b]: tokens taken, less those given back <= burst + ratio * first attempts +
// min_per_second * (b - a), where b - a is rounded up to a whole millisecond. A clock reading older than one already
// seen earns nothing, and earns nothing twice.
//
// R5: of all takes that are denied within `notice_every` at most one is told to give notice, and the first that is denied after
// that is; with it, how many were not since the last one (time/cool_down.hpp), so that an exhausted budget is one line in the
// log and not one for each call.
//
// When to use: one budget per dependency, shared by all that call it; one layer of a call chain retries. Not a rate
// limiter: first attempts are never refused. Two other kinds stand beside it, for whoever knows gRPC's (retry_throttle) or
// Envoy's (flight_budget); wherever a budget is referred to, any of them may be (budget_ref).
//
// Memory: 64 bytes and no pointer, so it can live in shared memory (ipc/shared_segment.hpp). A thread or process that dies
// between any two instructions may have taken what it did not use, and never adds any. In a healthy system the purse is
// full and no thread writes to it.
// Method: balance and time in one word, so that a take is one compare-and-swap and can never overdraw, and the time
// only moves forward, so that no millisecond is earned twice. Sources: Finagle RetryBudget (ratio, reserve), gRPC
// proposal A6 (retry throttling). Ticks are milliseconds and not a power of two of nanoseconds, so that the reserve is
// earned in whole milli-tokens without a remainder to lose; they have 38 bits, so that a purse left alone for weeks
// does not meet its own past. (One whose first use falls into the last day of 8.7 years of steady time lives on its first
// filling and on deposits until that day is over.)
// Proof: model/retry_budget_model.cpp (every execution of small cases: R1, to a thousandth; old times, the wrap, deaths),
// unit/retry_budget_test.cpp, stress/retry_budget_stress.cpp (R1).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/cool_down.hpp"

namespace holdfast {

struct retry_budget_options {
  std::uint32_t ratio_permille = 100;               // tokens that 1,000 first attempts deposit
  std::uint32_t min_per_second = 10;                // tokens that time alone earns
  std::uint32_t burst = 100;                        // tokens that the purse holds, and starts with
  duration notice_every = std::chrono::minutes(1);  // one denied take in this time gives notice
};
static_assert(std::is_aggregate_v<retry_budget_options>);

constexpr option_error validate(const retry_budget_options& o) noexcept {
  return first_of(at_most("ratio_permille", o.ratio_permille, 10'000),
                  at_most("min_per_second", o.min_per_second, 1'000'000), at_least("burst", o.burst, 1),
                  at_most("burst", o.burst, 67'000), at_least("notice_every", o.notice_every.count(), 1),
                  at_most("notice_every", o.notice_every.count(), duration(std::chrono::hours(24)).count()));
}

struct retry_budget_snapshot {
  std::uint32_t balance_milli = 0;  // what a take would find
  std::uint32_t burst = 0;          // tokens that the purse holds
  std::uint64_t granted = 0;        // takes
  std::uint64_t denied = 0;         // takes
  std::uint32_t held_back = 0;      // of the denied: without notice since the last one that gave it
};

// What a take was told.
struct [[nodiscard]] budget_answer {
  bool granted = false;
  bool gives_notice = false;    // denied, as the first in its cool-down
  std::uint32_t held_back = 0;  // gives_notice: takes that were denied without notice since the last one that gave it
  std::uint32_t taken = 0;      // granted: what to give back if the retry is not made

  constexpr operator bool() const noexcept { return granted; }  // NOLINT(google-explicit-constructor)
};

class alignas(cache_line_size) retry_budget {
 public:
  static constexpr shared_layout shared{"retry_budget", 1};

  explicit retry_budget(const retry_budget_options& options) noexcept
      : options_(options), word_(pack(options.burst * 1000U, 0)) {
    HOLDFAST_ASSERT(!validate(options));
  }
  retry_budget(const retry_budget&) = delete;
  retry_budget& operator=(const retry_budget&) = delete;

  // Deposits for a call that is not itself a retry, when it is sent: who is turned away before pays nothing in.
  void on_first_attempt(time_point now) noexcept {
    add(options_.ratio_permille, [&](std::uint64_t word) { return at(word, now); });
  }

  // All or nothing. A cost of 0 is granted and not counted.
  budget_answer try_take(time_point now, std::uint32_t cost = 1) noexcept {
    if (cost == 0) return {.granted = true};
    const std::uint64_t price = std::uint64_t{cost} * 1000U;
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the word publishes nothing but itself
    for (;;) {
      const earned now_holds = at(seen, now);
      if (now_holds.balance < price) {
        denied_.fetch_add(1, mo::relaxed);  // counter:
        const cool_down_claim notice = notice_.try_claim(now, options_.notice_every);
        return {.gives_notice = notice.granted, .held_back = notice.held_back};
      }
      const auto left = static_cast<std::uint32_t>(now_holds.balance - price);
      // own: one word holds the whole state, so the exchange alone makes check and take one step
      if (word_.compare_exchange_weak(seen, pack(left, now_holds.tick), mo::relaxed, mo::relaxed)) {
        granted_.fetch_add(1, mo::relaxed);  // counter:
        return {.granted = true, .taken = cost};
      }
    }
  }

  // For a retry or hedge that was paid for and not sent.
  void give_back(time_point now, std::uint32_t cost = 1) noexcept {
    add(std::uint64_t{cost} * 1000U, [&](std::uint64_t word) { return at(word, now); });
  }
  // The same by one who has no clock, such as a destructor. What time earns comes on top, when somebody brings it: the
  // purse is then as full as if that had come first.
  void give_back(std::uint32_t cost) noexcept {
    add(std::uint64_t{cost} * 1000U, [](std::uint64_t word) { return earned{balance_of(word), word & tick_mask}; });
  }

  // What a take at `now` would find, in thousandths of a token.
  [[nodiscard]] std::uint32_t balance_milli(time_point now) const noexcept {
    return at(word_.load(mo::relaxed), now).balance;  // hint: a stale observer's view
  }
  // Takes, not tokens; those given back later among them: who wants what was sent counts where it is sent.
  [[nodiscard]] std::uint64_t granted() const noexcept { return granted_.load(mo::relaxed); }  // counter:
  [[nodiscard]] std::uint64_t denied() const noexcept { return denied_.load(mo::relaxed); }    // counter: as granted()
  // A stale observer's view, field by field.
  [[nodiscard]] retry_budget_snapshot snapshot(time_point now) const noexcept {
    return {balance_milli(now), options_.burst, granted(), denied(), notice_.held_back()};
  }
  [[nodiscard]] const retry_budget_options& options() const noexcept { return options_; }
  // Could these bytes be a budget's? (For memory that others may have written.)
  [[nodiscard]] bool sound() const noexcept {
    return !validate(options_) && balance_of(word_.load(mo::relaxed)) <= full();  // hint: a moment's view
  }

 private:
  struct earned {
    std::uint32_t balance;
    std::uint64_t tick;
  };
  static constexpr std::uint32_t tick_bits = 38;  // 8.7 years of milliseconds
  static constexpr std::uint64_t tick_mask = (std::uint64_t{1} << tick_bits) - 1;

  static constexpr std::uint64_t pack(std::uint32_t balance, std::uint64_t tick) noexcept {
    return (std::uint64_t{balance} << tick_bits) | tick;
  }
  static constexpr std::uint32_t balance_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> tick_bits);
  }
  [[nodiscard]] std::uint32_t full() const noexcept { return options_.burst * 1000U; }

  // The word with the reserve earned up to `now`: one tick earns exactly min_per_second milli-tokens.
  [[nodiscard]] earned at(std::uint64_t word, time_point now) const noexcept {
    const auto tick = static_cast<std::uint64_t>(now.time_since_epoch() / std::chrono::milliseconds(1)) & tick_mask;
    // A thread's reading may lag behind another's, by scheduling or by a debugger, but not by a day: up to there a
    // difference reads as lag, beyond it as time that passed.
    constexpr std::uint64_t longest_lag = 86'400'000;
    const std::uint64_t elapsed = (tick - word) & tick_mask;
    if (elapsed > tick_mask - longest_lag) return {balance_of(word), word & tick_mask};
    const std::uint64_t balance = balance_of(word) + elapsed * options_.min_per_second;
    return {static_cast<std::uint32_t>(std::min<std::uint64_t>(balance, full())), tick};
  }

  // `holds` is what a word is worth to the one who adds.
  template <class Holds>
  void add(std::uint64_t milli, Holds holds) noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the word publishes nothing but itself
    // Full: nothing to add, and nothing to note: a full purse earns nothing, however long it stays full.
    while (balance_of(seen) != full()) {
      const earned now_holds = holds(seen);
      const auto sum = static_cast<std::uint32_t>(std::min<std::uint64_t>(now_holds.balance + milli, full()));
      // own: one word holds the whole state
      if (word_.compare_exchange_weak(seen, pack(sum, now_holds.tick), mo::relaxed, mo::relaxed)) return;
    }
  }

  const retry_budget_options options_;
  atomic<std::uint64_t> word_;        // balance in milli-tokens : 26 | tick in ms : 38; written by all
  atomic<std::uint64_t> granted_{0};  // written by takers
  atomic<std::uint64_t> denied_{0};   // written by takers
  cool_down notice_;                  // written by takers that are denied
};
static_assert(std::is_standard_layout_v<retry_budget> && sizeof(retry_budget) == cache_line_size);

}  // namespace holdfast
