// SPDX-License-Identifier: MIT
// flight_budget: at most a share of the calls that are under way are retries: the budget of Envoy.
//
//   operation          caller         progress    cost                          allocates   when refused
//   on_first_attempt   any thread     wait-free   one fetch_add                 never       -
//   on_call_end        any thread     wait-free   one fetch_sub                 never       -
//   try_take           any thread     lock-free   one CAS, no check-then-add;   never       denied, counted; one of them
//                                                 denied: two counters                      gives notice
//   give_back          any thread     wait-free   one fetch_sub                 never       -
//   calls, retries     any observer   wait-free   one load                      never       -
//   snapshot           any observer   wait-free   four loads                    never       -
//
// In short: any thread | lock-free | never | counted, and one a cool-down gives notice
//
// A retry or hedge is allowed if with it no more than `percent` of the calls under way are retries under way, or no more than
// `min_concurrency`. A call is under way from its first attempt to its end, its waits among that; a retry, from when it is allowed
// to the end of its attempt.
//
//   R7 At each moment the retries under way are at most the larger of min_concurrency and percent / 100 of the calls that were
//      under way when the last of them was allowed, whatever the number of threads that ask.
//   R5 as by retry_budget: of all that are denied one a cool-down gives notice.
//
// When to use it: where the number of calls at once says how much the dependency has to do, and as Envoy's clusters say it
// (retry_budget: budget_percent, min_retry_concurrency). It knows no time: a dependency that fails at once may be asked again at
// once, as often as retries end. Where that matters, retry_budget. One for each dependency.
//
// Memory: 64 bytes. Not for memory that processes share: who dies with a call under way has not ended it.
// Method: both numbers in one word, so that check and take are one exchange. Source: Envoy's RetryBudget, circuit_breaker.proto.
// Proof: model/budget_kinds_model.cpp (R7), unit/budget_kinds_test.cpp, stress/budget_kinds_stress.cpp (R7).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/cool_down.hpp"

namespace holdfast {

struct flight_budget_options {
  std::uint32_t percent = 20;         // of the calls under way; Envoy: budget_percent
  std::uint32_t min_concurrency = 3;  // retries at once that are always allowed; Envoy: min_retry_concurrency
  duration notice_every = std::chrono::minutes(1);  // one denied take in this time gives notice
};
static_assert(std::is_aggregate_v<flight_budget_options>);

constexpr option_error validate(const flight_budget_options& o) noexcept {
  return first_of(at_most("percent", o.percent, 100), at_most("min_concurrency", o.min_concurrency, 1'000'000),
                  at_least("notice_every", o.notice_every.count(), 1),
                  at_most("notice_every", o.notice_every.count(), duration(std::chrono::hours(24)).count()));
}
static_assert(!validate(flight_budget_options{}));

// A stale observer's view.
struct flight_budget_snapshot {
  std::uint32_t calls = 0;    // under way
  std::uint32_t retries = 0;  // under way
  std::uint32_t most = 0;     // retries that are allowed beside so many calls
  std::uint64_t granted = 0;
  std::uint64_t denied = 0;
  std::uint32_t held_back = 0;  // denied without a notice since the last one
};

class alignas(cache_line_size) flight_budget {
 public:
  explicit flight_budget(const flight_budget_options& options) noexcept : options_(options) {
    HOLDFAST_ASSERT(!validate(options));
  }
  flight_budget(const flight_budget&) = delete;
  flight_budget& operator=(const flight_budget&) = delete;

  // A call that is not itself a retry is sent for the first time; and it is over, whatever came of it.
  void on_first_attempt() noexcept {
    word_.fetch_add(one_call, mo::relaxed);  // own: the word publishes nothing but itself
  }
  void on_call_end() noexcept {
    [[maybe_unused]] const std::uint64_t was = word_.fetch_sub(one_call, mo::relaxed);  // own: as above
    HOLDFAST_ASSERT(calls_in(was) != 0);
  }

  // One retry, whatever it costs elsewhere; a cost of 0 is granted and not counted. What is granted is given back when the retry's
  // attempt has ended, or is not made.
  budget_answer try_take(time_point now, std::uint32_t cost = 1) noexcept {
    if (cost == 0) return {.granted = true};
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the word publishes nothing but itself
    while (retries_in(seen) < most(calls_in(seen))) {
      // own: one word holds the whole state, so the exchange alone makes check and take one step
      if (word_.compare_exchange_weak(seen, seen + 1, mo::relaxed, mo::relaxed)) {
        granted_.fetch_add(1, mo::relaxed);  // counter:
        return {.granted = true, .taken = 1};
      }
    }
    denied_.fetch_add(1, mo::relaxed);  // counter:
    const cool_down_claim notice = notice_.try_claim(now, options_.notice_every);
    return {.gives_notice = notice.granted, .held_back = notice.held_back};
  }
  // Of as many retries as were taken.
  void give_back(std::uint32_t retries = 1) noexcept {
    [[maybe_unused]] const std::uint64_t was = word_.fetch_sub(retries, mo::relaxed);  // own: as above
    HOLDFAST_ASSERT(retries_in(was) >= retries);
  }

  // A moment's view, each.
  [[nodiscard]] std::uint32_t calls() const noexcept {
    return calls_in(word_.load(mo::relaxed));  // hint: old as soon as it is known
  }
  [[nodiscard]] std::uint32_t retries() const noexcept {
    return retries_in(word_.load(mo::relaxed));  // hint: as above
  }
  [[nodiscard]] std::uint64_t granted() const noexcept { return granted_.load(mo::relaxed); }  // counter:
  [[nodiscard]] std::uint64_t denied() const noexcept { return denied_.load(mo::relaxed); }    // counter:
  [[nodiscard]] flight_budget_snapshot snapshot() const noexcept {
    const std::uint64_t seen = word_.load(mo::relaxed);  // hint: as above
    return {calls_in(seen), retries_in(seen), most(calls_in(seen)), granted(), denied(), notice_.held_back()};
  }
  // How many retries may be under way beside so many calls.
  [[nodiscard]] std::uint32_t most(std::uint32_t calls) const noexcept {
    const std::uint64_t share = std::uint64_t{calls} * options_.percent / 100;
    return std::max(options_.min_concurrency, static_cast<std::uint32_t>(share));
  }
  [[nodiscard]] const flight_budget_options& options() const noexcept { return options_; }

 private:
  static constexpr std::uint64_t one_call = std::uint64_t{1} << 32U;
  static constexpr std::uint32_t calls_in(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32U);
  }
  static constexpr std::uint32_t retries_in(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }

  const flight_budget_options options_;
  atomic<std::uint64_t> word_{0};     // calls : 32 | retries : 32; written by all
  atomic<std::uint64_t> granted_{0};  // written by takers
  atomic<std::uint64_t> denied_{0};   // written by takers
  cool_down notice_;                  // written by takers that are denied
};
static_assert(sizeof(flight_budget) == cache_line_size);

}  // namespace holdfast
