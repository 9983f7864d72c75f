// SPDX-License-Identifier: MIT
// retry_throttle: no retries to a dependency of which too much failed lately: the budget of gRPC clients.
//
//   operation       caller         progress    cost                            allocates   when refused
//   on_result       any thread     lock-free   ok: full: one load; else one    never       -
//                                              CAS; failed: one CAS
//   try_take        any thread     lock-free   one load, one counter           never       denied, counted; one of them
//                                                                                          gives notice
//   balance_milli   any observer   wait-free   one load                        never       -
//   snapshot        any observer   wait-free   four loads                      never       -
//
// In short: any thread | lock-free | never | counted, and one a cool-down gives notice
//
// It begins with `max_tokens`. Each attempt that fails in a way that could be tried again takes one token, whether it is tried
// again or not, and each that succeeds puts `ratio_permille` thousandths of one back; there are never less than none, nor more
// than at the beginning. Retries and hedges may be made while there is more than half. What was answered for good (permanent), what
// the caller gave up, and what a policy turned away says nothing.
//
//   R6 Between two successes at most half of max_tokens retries are allowed, however many threads fail at once: a failure
//      takes its token before its retry is asked for, so each one that is allowed had one of its own above the half.
//      Each success allows ratio_permille thousandths of one more.
//   R5 as by retry_budget: of all that are denied one a cool-down gives notice.
//
// When to use it: where all share of failures is what should end retries, as gRPC's service configs say it (retryThrottling:
// maxTokens, tokenRatio). It allows bursts of retries that retry_budget would not, and none at all to what fails more often than
// ratio_permille of it succeeds. One for each server name, shared by all that call it.
//
// Memory: 64 bytes and no pointer, so it can live in shared memory (ipc/shared_segment.hpp). A thread or process that dies between
// any two instructions has told its result, or not.
// Method: the number of tokens in one word. Source: gRPC proposal A6, client retries, throttling.
// Proof: model/budget_kinds_model.cpp (R6), unit/budget_kinds_test.cpp, stress/budget_kinds_stress.cpp (R6).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/cool_down.hpp"

namespace holdfast {

struct retry_throttle_options {
  std::uint32_t max_tokens = 100;                   // gRPC: maxTokens
  std::uint32_t ratio_permille = 100;               // of a token that a success puts back; gRPC: tokenRatio
  duration notice_every = std::chrono::minutes(1);  // one denied take in this time gives notice
};
static_assert(std::is_aggregate_v<retry_throttle_options>);

constexpr option_error validate(const retry_throttle_options& o) noexcept {
  return first_of(at_least("max_tokens", o.max_tokens, 1), at_most("max_tokens", o.max_tokens, 1000),
                  at_least("ratio_permille", o.ratio_permille, 1),
                  at_most("ratio_permille", o.ratio_permille, 1'000'000),
                  at_least("notice_every", o.notice_every.count(), 1),
                  at_most("notice_every", o.notice_every.count(), duration(std::chrono::hours(24)).count()));
}
static_assert(!validate(retry_throttle_options{}));

class alignas(cache_line_size) retry_throttle {
 public:
  static constexpr shared_layout shared{"retry_throttle", 1};

  explicit retry_throttle(const retry_throttle_options& options) noexcept : options_(options), milli_(full()) {
    HOLDFAST_ASSERT(!validate(options));
  }
  retry_throttle(const retry_throttle&) = delete;
  retry_throttle& operator=(const retry_throttle&) = delete;

  // What an attempt came to, before its retry is asked for.
  void on_result(verdict v) noexcept {
    if (v == verdict::ok) {
      move([&](std::uint32_t seen) { return std::min(full(), seen + options_.ratio_permille); });
    } else if (v == verdict::transient || v == verdict::throttled || v == verdict::timeout) {
      move([](std::uint32_t seen) { return seen - std::min(seen, 1000U); });
    }
  }

  // May the failure that was told be tried again? A cost of 0 is granted and not counted.
  budget_answer try_take(time_point now, std::uint32_t cost = 1) noexcept {
    if (cost == 0) return {.granted = true};
    if (2 * milli_.load(mo::relaxed) > full()) {  // own: not newer than this thread's own failure, nor older
      granted_.fetch_add(1, mo::relaxed);         // counter:
      return {.granted = true};
    }
    denied_.fetch_add(1, mo::relaxed);  // counter:
    const cool_down_claim notice = notice_.try_claim(now, options_.notice_every);
    return {.gives_notice = notice.granted, .held_back = notice.held_back};
  }

  [[nodiscard]] std::uint32_t balance_milli() const noexcept {
    return milli_.load(mo::relaxed);  // hint: a stale observer's view
  }
  [[nodiscard]] std::uint64_t granted() const noexcept { return granted_.load(mo::relaxed); }  // counter:
  [[nodiscard]] std::uint64_t denied() const noexcept { return denied_.load(mo::relaxed); }    // counter:
  // A stale observer's view, field by field; `burst` is max_tokens.
  [[nodiscard]] retry_budget_snapshot snapshot() const noexcept {
    return {balance_milli(), options_.max_tokens, granted(), denied(), notice_.held_back()};
  }
  [[nodiscard]] const retry_throttle_options& options() const noexcept { return options_; }
  // Could these bytes be a throttle's? (For memory that others may have written.)
  [[nodiscard]] bool sound() const noexcept { return !validate(options_) && balance_milli() <= full(); }

 private:
  [[nodiscard]] std::uint32_t full() const noexcept { return options_.max_tokens * 1000U; }

  template <class Next>
  void move(Next next) noexcept {
    std::uint32_t seen = milli_.load(mo::relaxed);  // own: the word publishes nothing but itself
    for (std::uint32_t then = next(seen); then != seen; then = next(seen)) {
      // own: one word holds the whole state
      if (milli_.compare_exchange_weak(seen, then, mo::relaxed, mo::relaxed)) return;
    }
  }

  const retry_throttle_options options_;
  atomic<std::uint32_t> milli_;       // thousandths of tokens; written by who tells results
  atomic<std::uint64_t> granted_{0};  // written by takers
  atomic<std::uint64_t> denied_{0};   // written by takers
  cool_down notice_;                  // written by takers that are denied
};
static_assert(std::is_standard_layout_v<retry_throttle> && sizeof(retry_throttle) == cache_line_size);

}  // namespace holdfast
