// SPDX-License-Identifier: MIT
// A circuit breaker for one thread, written from what circuit_breaker.hpp promises and not from how it does it: nanoseconds
// that never wrap, a list of results instead of buckets. What the promise leaves open (a result counts for the window and
// up to a fifteenth longer) it answers with a range.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "holdfast/policy/circuit_breaker.hpp"

namespace holdfast::fuzz {

struct breaker_model {
  using ns = std::int64_t;
  enum class answer : std::uint8_t { no, yes, either };

  struct result {
    ns at;
    ns newest;  // of all times seen when it came in: its bucket may be that of a newer one
    bool failed;
    bool slow;
    bool doubtful = false;  // the clock stepped back so far that it may be taken for a very old one
  };
  struct range {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
  };
  struct ticket {
    std::uint32_t generation = 0;
    breaker_state state = breaker_state::closed;
    ns lease = 0;  // the end of the lease when it was given
  };

  explicit breaker_model(const circuit_breaker_options& o) : options(o) {}

  static constexpr ns tick = ns{1} << 20U;
  static ns rounded_up(ns t) { return (t + tick - 1) / tick * tick; }

  void enter(breaker_state to, ns now) {
    state = to;
    ++generation;
    issued = succeeded = streak = 0;
    results = 0;
    // A lease that nobody holds yet has ended when it began.
    until = to == breaker_state::half_open ? now / tick * tick : 0;
    evidence_from = now;
  }
  void enter_half_open(ns now) {
    enter(breaker_state::half_open, now);
    issued = 1;
    until = rounded_up(now + options.probe_lease.count());
  }
  // How long it stays open is the jitter's choice within limits; the caller says what the breaker chose.
  range open_range(ns now) const {
    const ns longest = options.open_max.count();
    const ns base = options.open_base.count();
    const ns capped = level < 40 && base <= longest >> level ? base << level : longest;
    const ns swing = capped / 1000 * options.jitter_permille + capped % 1000 * options.jitter_permille / 1000;
    return {static_cast<std::uint64_t>(rounded_up(now + std::max(tick, capped - swing))),
            static_cast<std::uint64_t>(rounded_up(now + std::max(tick, capped + swing)))};
  }
  void enter_open(ns now, ns open_until) {
    enter(breaker_state::open, now);
    level = std::min(level + 1, 15U);
    until = open_until;
  }

  void count(ns now, bool failed, bool slow) {
    newest = std::max(newest, now);
    if (far_ahead(newest, now)) {
      for (std::size_t i = 0; i < results; ++i) all.at(i).doubtful |= far_ahead(all.at(i).newest, now);
    }
    all.at(results++) = {now, newest, failed, slow};
  }
  // 4,096 fifteenths of the window ahead, a result is of a caller with a newer clock; farther, it is a very old one.
  bool far_ahead(ns at, ns now) const { return at - now > options.window.count() / 15 * 4000; }
  range in_window(ns now, bool failed) const {
    return in_window(now, [=](const result& r) { return r.failed == failed; });
  }
  range slow_in_window(ns now) const {
    return in_window(now, [](const result& r) { return r.slow; });
  }
  template <class Counts>
  range in_window(ns now, Counts counts) const {
    const ns window = options.window.count();
    range r;
    for (std::size_t i = 0; i < results; ++i) {
      if (!counts(all.at(i))) continue;
      // A newer time that was seen may have taken the place of what was too old for it.
      const bool doubtful = all.at(i).doubtful || far_ahead(all.at(i).newest, now);
      if (!doubtful && all.at(i).at > std::max(now, newest) - window) ++r.low;
      if (all.at(i).newest > now - window - window / 15 - 2 * tick) ++r.high;
    }
    return r;
  }
  static answer any(answer a, answer b) {
    if (a == answer::yes || b == answer::yes) return answer::yes;
    return a == answer::either || b == answer::either ? answer::either : answer::no;
  }
  // The last calls are what they are, whatever the clock says.
  struct last_sums {
    std::uint64_t calls = 0;
    std::uint64_t failed = 0;
    std::uint64_t slow = 0;
  };
  last_sums last() const {
    last_sums sum{.calls = std::min<std::uint64_t>(results, options.last_calls)};
    for (std::size_t i = results - sum.calls; i < results; ++i) {
      sum.failed += all.at(i).failed ? 1U : 0U;
      sum.slow += all.at(i).slow ? 1U : 0U;
    }
    return sum;
  }
  answer last_exceeded(std::uint64_t n, std::uint64_t permille) const {
    const std::uint64_t calls = last().calls;
    return permille != 0 && calls >= options.last_min_calls && n * 1000 >= permille * calls ? answer::yes : answer::no;
  }
  answer failing(ns now) const {
    return any(rate_exceeded(now), last_exceeded(last().failed, options.last_failure_permille));
  }
  answer slowing(ns now) const {
    return any(slow_exceeded(now), last_exceeded(last().slow, options.last_slow_permille));
  }
  answer rate_exceeded(ns now) const {
    if (options.failure_permille == 0) return answer::no;
    const range bad = in_window(now, true);
    const range good = in_window(now, false);
    const auto exceeds = [&](std::uint64_t f, std::uint64_t g) {
      return f + g >= options.min_calls && f * 1000 >= options.failure_permille * (f + g);
    };
    // Enough calls with the fewest successes, and a high enough share with the most.
    if (bad.low + good.low >= options.min_calls && exceeds(bad.low, good.high)) return answer::yes;
    for (std::uint64_t g = good.low; g <= good.high; ++g) {
      if (exceeds(bad.high, g)) return answer::either;
    }
    return answer::no;
  }
  answer slow_exceeded(ns now) const {
    if (options.slow_permille == 0) return answer::no;
    const range slow = slow_in_window(now);
    const range calls = in_window(now, [](const result&) { return true; });
    const auto exceeds = [&](std::uint64_t s, std::uint64_t n) { return s * 1000 >= options.slow_permille * n; };
    if (calls.low >= options.min_calls && exceeds(slow.low, calls.high)) return answer::yes;
    for (std::uint64_t n = std::max<std::uint64_t>(calls.low, options.min_calls); n <= calls.high; ++n) {
      if (exceeds(std::min(slow.high, n), n)) return answer::either;
    }
    return answer::no;
  }
  // One level less for each healthy_decay of closed time with a success in it; a few ticks late at most.
  answer decay_due(ns now) const {
    if (level == 0 || now < evidence_from + options.healthy_decay.count()) return answer::no;
    return now >= evidence_from + options.healthy_decay.count() + 4 * tick ? answer::yes : answer::either;
  }

  circuit_breaker_options options;
  breaker_state state = breaker_state::closed;
  std::uint32_t generation = 0;
  std::uint32_t level = 0;
  std::uint32_t issued = 0;
  std::uint32_t succeeded = 0;
  std::uint32_t streak = 0;
  ns until = 0;          // open: till when; half-open: the end of the lease
  ns evidence_from = 0;  // closed: since when the level has not fallen
  ns newest = 0;
  std::size_t results = 0;      // of this generation
  std::array<result, 128> all;  // as far as `results`
};

}  // namespace holdfast::fuzz
