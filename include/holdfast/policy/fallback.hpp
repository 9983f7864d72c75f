// SPDX-License-Identifier: MIT
// fallback: who answers when the one who should does not: tiers in order, and what remains visible of why.
//
//   operation   progress    cost       allocates   when refused
//   next_tier   wait-free   O(tiers)   never       no_tier: answer with exhausted()
//   validate    constexpr   O(tiers^2) never       -
//
// In short: the request's owner | wait-free | never | no tier is left; the first error stays visible
//
// A tier hands a request on when its error's verdict is in its `falls_through`; the next tier that can still finish
// (`needs` against the deadline) gets it. By default everything falls through that another tier might do better:
// transient, throttled, timeout, rejected. permanent does not: "no such profile" is an answer, and an older copy that
// says otherwise would be wrong. cancelled does not: nobody is waiting. A tier that needs no time (a cache, a constant)
// is tried even when the deadline has passed: it is the reason why there still is an answer.
//
// served<T> keeps what a fallback would hide: which tier answered, how old the answer is, and why the first tier failed.
// Count failures where they happen, before the fallback.
//
// When to use: for reads whose older or poorer answer is better than none. Not for writes: let them fail fast and say so.
// Memory: the plan is a value; names are not copied and outlive it. Proof: unit/fallback_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// A set of verdicts.
class verdict_mask {
 public:
  constexpr verdict_mask() noexcept = default;
  template <class... Verdicts>
    requires(sizeof...(Verdicts) > 0 && (std::is_same_v<Verdicts, verdict> && ...))
  constexpr verdict_mask(Verdicts... kinds) noexcept  // NOLINT(google-explicit-constructor): a mask reads as its list
      : bits_(static_cast<std::uint8_t>((0U | ... | bit(kinds)))) {}

  [[nodiscard]] constexpr bool has(verdict kind) const noexcept { return (bits_ & bit(kind)) != 0; }
  friend constexpr bool operator==(verdict_mask, verdict_mask) noexcept = default;

 private:
  static constexpr unsigned bit(verdict kind) noexcept { return 1U << static_cast<unsigned>(kind); }
  std::uint8_t bits_ = 0;
};

struct fallback_tier {
  std::string_view name{};
  verdict_mask falls_through{verdict::transient, verdict::throttled, verdict::timeout, verdict::rejected};
  duration needs{0};  // an attempt of this tier with less time left is not worth its start
};

inline constexpr std::size_t most_tiers = 8;
inline constexpr std::size_t no_tier = most_tiers;
static_assert(most_tiers <= 8, "error::tier has three bits");

struct fallback_plan {
  std::array<fallback_tier, most_tiers> tiers{};  // in order; the first without a name ends them

  [[nodiscard]] constexpr std::size_t size() const noexcept {
    std::size_t n = 0;
    while (n < most_tiers && !tiers[n].name.empty()) ++n;
    return n;
  }
};
static_assert(std::is_aggregate_v<fallback_plan>);

constexpr option_error validate(const fallback_plan& plan) noexcept {
  const std::size_t n = plan.size();
  if (n == 0) return {"tiers", 0, "at least", 1};
  for (std::size_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::int64_t>(i);
    if (plan.tiers[i].needs < duration::zero()) return {"needs", plan.tiers[i].needs.count(), "at least", 0};
    if (plan.tiers[i].falls_through.has(verdict::ok)) return {"falls_through", at, "without verdict::ok", 0};
    if (plan.tiers[i].falls_through.has(verdict::cancelled))
      return {"falls_through", at, "without verdict::cancelled", 0};
    for (std::size_t k = 0; k < i; ++k) {
      if (plan.tiers[k].name == plan.tiers[i].name)
        return {"name", at, "different from that of tier", static_cast<std::int64_t>(k)};
    }
  }
  for (std::size_t i = n; i < most_tiers; ++i) {
    if (!plan.tiers[i].name.empty()) return {"name", static_cast<std::int64_t>(n), "not empty before the last tier", 0};
  }
  return {};
}

// The tier to try first: the first that can finish in time; no_tier when none can.
[[nodiscard]] constexpr std::size_t first_tier(const fallback_plan& plan, time_point now, deadline until) noexcept {
  const std::size_t n = plan.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (plan.tiers[i].needs <= until.remaining(now)) return i;
  }
  return no_tier;
}

// The tier to try after `current` failed with `why`; no_tier when `why` is final, or no later tier can finish in time.
[[nodiscard]] constexpr std::size_t next_tier(const fallback_plan& plan, std::size_t current, const error& why,
                                              time_point now, deadline until) noexcept {
  const std::size_t n = plan.size();
  HOLDFAST_ASSERT(current < n);
  if (!plan.tiers[current].falls_through.has(why.kind)) return no_tier;
  for (std::size_t i = current + 1; i < n; ++i) {
    if (plan.tiers[i].needs <= until.remaining(now)) return i;
  }
  return no_tier;
}

// The answer of a tier that keeps answers.
template <class T>
struct aged {
  outcome<T> result;
  duration age{0};
};

// An outcome and where it comes from.
template <class T>
struct [[nodiscard]] served {
  outcome<T> result;
  std::uint8_t tier = 0;  // the one that answered, or that failed last
  std::string_view tier_name{};
  duration age{0};  // of the answer: zero from who owns the data
  error origin{};   // why the first tier that was tried did not answer; no code when it did

  [[nodiscard]] bool ok() const noexcept { return result.ok(); }
  [[nodiscard]] bool degraded() const noexcept { return tier != 0; }
  // For the log and for the answer's headers.
  [[nodiscard]] bool has_origin() const noexcept { return static_cast<bool>(origin.code); }
};

// Walks the tiers of one request and keeps its history; the caller runs each tier as it likes.
//
//   fallback_walk walk(plan, now, until);
//   while (walk.has_tier()) {
//     auto result = try_tier(walk.tier());                                     // outcome<T>
//     if (result.ok()) return walk.answered(std::move(result), age);
//     if (!walk.failed(result.error(), clock.now())) return walk.exhausted<T>();
//   }
//   return walk.exhausted<T>();
class fallback_walk {
 public:
  fallback_walk(const fallback_plan& plan, time_point now, deadline until) noexcept
      : plan_(plan), until_(until), tier_(first_tier(plan, now, until)) {
    HOLDFAST_ASSERT(!validate(plan));
    if (tier_ == no_tier) last_ = error(errc::deadline_exceeded);
  }

  [[nodiscard]] bool has_tier() const noexcept { return tier_ != no_tier; }
  [[nodiscard]] std::size_t tier() const noexcept { return tier_; }
  [[nodiscard]] std::string_view tier_name() const noexcept { return plan_.tiers[tier_].name; }

  // True: tier() is the next to try. False: that was all.
  bool failed(const error& why, time_point now) noexcept {
    HOLDFAST_ASSERT(has_tier());
    const bool final_word = last_.no_retry || why.no_retry;  // what was repeated before it stays repeated
    last_ = why;
    last_.no_retry = final_word;
    last_.tier = tier_ & 7U;
    if (failures_++ == 0) origin_ = last_;
    tier_ = next_tier(plan_, tier_, why, now, until_);
    return has_tier();
  }

  template <class T>
  served<T> answered(outcome<T> result, duration age = duration::zero()) const noexcept {
    HOLDFAST_ASSERT(has_tier());
    return {std::move(result), static_cast<std::uint8_t>(tier_), tier_name(), age, origin_};
  }

  // The error of a request that nobody answered: the last tier's, because its word was final or there was nobody left;
  // stopped_by says fallback_exhausted when another tier would have been tried had there been one.
  template <class T>
  served<T> exhausted() const noexcept {
    error why = last_;
    if (failures_ > 0 && plan_.tiers[why.tier].falls_through.has(why.kind)) why.stopped_by = errc::fallback_exhausted;
    return {outcome<T>(why), why.tier, failures_ > 0 ? plan_.tiers[why.tier].name : std::string_view{}, {}, origin_};
  }

  [[nodiscard]] const error& origin() const noexcept { return origin_; }
  [[nodiscard]] std::size_t failures() const noexcept { return failures_; }

 private:
  const fallback_plan& plan_;
  deadline until_;
  std::size_t tier_;
  std::size_t failures_ = 0;
  error origin_{};
  error last_{};
};

}  // namespace holdfast
