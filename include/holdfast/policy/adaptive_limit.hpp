// SPDX-License-Identifier: MIT
// adaptive_limit: how many calls there may be at once, found out from how the calls go.
//
//   operation   caller         progress                        cost                              allocates   when refused
//   begin       any thread     wait-free                       one load                          never       -
//   end         any thread     lock-free; waits for nobody     some loads and a store of its     never       `counted` is false
//                              who reads a window              own; seldom a CAS, once a window
//                                                              a pass over its counters
//   limit       any observer   wait-free                       one load                          never       -
//   snapshot    any observer   lock-free                       a copy of some words              never       -
//
// In short: any thread | lock-free | never | the call is not judged by, and is told so
//
// begin() gives a ticket for a call, end() takes it back with what came of the call, and once a window (a second) one of
// those who end a call reads what the others counted, asks the algorithm and publishes the new limit. Nobody waits for it: who
// comes meanwhile counts on. The limit is a number, and whoever has something to limit sets it: end() returns it each time,
// so that a bulkhead that has another one is set right by the next call that ends, whichever thread was late.
//
//   verdict                          counts as
//   ok, permanent                    a sample: how long the callee took to answer
//   throttled, timeout               a drop
//   transient                        nothing: how long a failure took says nothing of the room that there is
//   cancelled, rejected, stale       nothing, and a ticket that is never ended is nothing as well
//
// A refused connection takes 0.3 ms. Were that a sample, a callee that is down would be the fastest there ever was: the limit
// would climb, and the latency of its recovery be held against it (Netflix's limits ignore such calls, too). So a callee
// that sheds load, with a quick 503 for instance, has to be classified as `throttled`, not as transient: else nothing
// tells the limit that it is too high.
//
//   A1 A call that began in an older epoch than the one in which it ends is not counted (Envoy #11579): it ran under other
//      conditions. Epochs begin where the limit is cut at once (a probe of vegas, a cut of aimd), and not with windows: else
//      calls longer than a window would never be seen.
//   A2 The smallest limit and the limit of a probe are two numbers.
//   A3 After a latency that was ten times as high for a minute, a limit that is used comes back to 90 % of what it was, within
//      the windows that policy/limit_algorithm.hpp names for each algorithm. For calls well shorter than a window.
//   A4 The limit is within the algorithm's bounds at every moment, but for a probe's.
//
// A window in which fewer than `min_results` calls were counted goes on for another: so few say nothing. A probe ends as soon
// as there are as many, or after one window if ten were answered, and after sixteen windows at the latest, with the next call
// that ends, so that it takes nobody's calls for long and yet measures a callee whose calls are longer than a window. Only
// calls that end move anything: while none does, the limit stays as it is, that of a probe as well. Calls that end while a
// window is read, which takes microseconds, may count in neither.
//
// When to use: in front of a callee whose capacity is not known or changes. Where it is known, a bulkhead with that limit says
// more. Not for how many per second: rate_limiter.
//
// Memory: 60 KiB, of which is touched what latency_sketch touches. A thread that dies inside end() while it reads a window
// leaves the limit as it is for good.
// Method: Netflix's concurrency-limits (windowed limit), Envoy's adaptive concurrency (epochs, probes). Each call is a sample,
// counted as policy/latency_sketch.hpp counts. (Netflix exchanges a new object for each; brpc's auto limiter locks a mutex and
// so takes but one sample in 100 us.)
// Orders: the times at which a window is over are a lock that nobody waits for: who exchanges one for `being_closed` alone
// reads and writes the algorithm until it stores the next one. All else is counts, and hints that another exchange judges.
// Proof: unit/adaptive_limit_test.cpp (A1-A4, the histories), unit/limit_algorithm_test.cpp, stress/adaptive_limit_stress.cpp,
// model/adaptive_limit_model.cpp (who closes, and what counts where), fuzz/adaptive_limit_fuzz.cpp (every window, and A4),
// alloc/policy_alloc_test.cpp, bench/adaptive_limit_bench.cpp.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/seq_latch.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/latency_sketch.hpp"
#include "holdfast/policy/limit_algorithm.hpp"
#include "holdfast/policy/window_counts.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

struct adaptive_limit_options {
  duration window = std::chrono::seconds(1);
  std::uint32_t min_results = 50;  // that end a window
};
static_assert(std::is_aggregate_v<adaptive_limit_options>);

constexpr option_error validate(const adaptive_limit_options& o) noexcept {
  using std::chrono::milliseconds, std::chrono::minutes;
  return first_of(at_least("window", o.window.count(), duration(milliseconds(10)).count()),
                  at_most("window", o.window.count(), duration(minutes(1)).count()),
                  at_least("min_results", o.min_results, 1), at_most("min_results", o.min_results, 1'000'000));
}

struct adaptive_limit_snapshot {
  std::uint32_t limit = 0;
  std::uint32_t epoch = 0;
  std::uint64_t windows = 0;  // that an algorithm was told of
  std::uint64_t drops = 0;    // in all of those
  std::uint64_t stale = 0;    // calls of an older epoch, not counted
  bool probing = false;
  limit_window last{};  // the last of those windows
};

// Without the algorithm, for those who hold a pointer to one: what is made is an adaptive_limit_by.
class adaptive_limit {
 public:
  // A call under way.
  struct ticket {
    time_point begun{};
    std::uint32_t epoch = 0;
    std::uint32_t in_flight = 0;
  };

  struct answer {
    std::uint32_t limit = 0;  // as of now
    bool counted = false;     // as a sample or a drop; else the verdict says nothing, or the call began too long ago
    bool closed = false;      // this call ended a window
  };

  adaptive_limit(const adaptive_limit&) = delete;
  adaptive_limit& operator=(const adaptive_limit&) = delete;

  // `in_flight`: calls that are under way, this one included, so at least one; a bulkhead's in_flight() after it let the call in.
  [[nodiscard]] ticket begin(time_point now, std::uint32_t in_flight) const noexcept {
    HOLDFAST_ASSERT(in_flight >= 1);
    return {now, epoch_of(turn_.load(mo::relaxed)), in_flight};  // hint: an older epoch costs the sample, no more
  }
  answer end(const ticket& call, verdict kind, time_point now) noexcept {
    const bool counted = is_judged(kind) && count(call, kind, now);
    const std::int64_t due = closes_at_.load(mo::relaxed);  // hint: the exchange decides
    const bool closed = now.time_since_epoch().count() >= due && try_close(due, now);
    return {limit(), counted, closed};
  }

  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_.load(mo::relaxed); }  // counter: only itself
  // A stale observer's view; windows, drops and the last one belong together.
  [[nodiscard]] adaptive_limit_snapshot snapshot() const noexcept;

 protected:
  using step_function = limit_step (*)(adaptive_limit&, const limit_window&) noexcept;
  adaptive_limit(const adaptive_limit_options& options, std::uint32_t initial, step_function step) noexcept;
  ~adaptive_limit() = default;

  // Of two pairs of a window and how many were in flight: first by the window, whose number wraps, then by how many.
  static constexpr bool is_above(std::uint64_t mine, std::uint64_t seen) noexcept {
    return static_cast<std::int64_t>(mine - seen) > 0;
  }

 private:
  // The counters of a window: the latencies of samples, and the drops.
  static constexpr std::size_t drops = latency_counts::buckets::count;
  using counters = window_counts<drops + 1>;
  static constexpr std::int64_t most_probe_windows = 16;
  static constexpr std::int64_t being_closed = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t not_begun = std::numeric_limits<std::int64_t>::min();

  struct totals {
    std::uint64_t windows = 0;
    std::uint64_t drops = 0;
    std::uint64_t probing = 0;
    limit_window last{};
  };

  static constexpr std::uint64_t pack(std::uint32_t epoch, std::uint32_t window) noexcept {
    return std::uint64_t{epoch} << 32U | window;
  }
  static constexpr std::uint32_t epoch_of(std::uint64_t turn) noexcept {
    return static_cast<std::uint32_t>(turn >> 32U);
  }
  static constexpr std::uint32_t window_of(std::uint64_t turn) noexcept { return static_cast<std::uint32_t>(turn); }
  static constexpr bool is_judged(verdict kind) noexcept {
    return kind == verdict::ok || kind == verdict::permanent || kind == verdict::throttled || kind == verdict::timeout;
  }

  [[gnu::always_inline]] bool count(const ticket& call, verdict kind, time_point now) noexcept {
    const std::uint64_t turn = turn_.load(mo::relaxed);  // hint: late by a window, it counts in that one or in none
    if (epoch_of(turn) != call.epoch) {
      stale_.fetch_add(1, mo::relaxed);  // counter:
      return false;
    }
    const bool drop = kind == verdict::throttled || kind == verdict::timeout;
    counts_.add(drop ? drops : latency_counts::bucket_of(now - call.begun), window_of(turn));
    const std::uint64_t mine = std::uint64_t{window_of(turn)} << 32U | call.in_flight;
    if (is_above(mine, highest_.load(mo::relaxed))) raise_highest(mine);  // hint: the exchange decides
    return true;
  }
  void raise_highest(std::uint64_t mine) noexcept;
  bool try_close(std::int64_t due, time_point now) noexcept;
  [[nodiscard]] limit_window read(std::uint32_t window) const noexcept;

  // Read by all, written once a window by who closes it.
  atomic<std::uint64_t> turn_{0};              // epoch : 32 | window : 32
  atomic<std::int64_t> closes_at_{not_begun};  // or being_closed; the first call that ends begins the first window
  atomic<std::uint32_t> limit_;
  // Some times a window, by who finds more in flight than anybody before: window : 32 | in flight : 32
  atomic<std::uint64_t> highest_{0};
  const duration window_;
  const std::uint32_t min_results_;
  const step_function step_;

  alignas(cache_line_size) atomic<std::uint64_t> stale_{0};  // written by calls of older epochs
  seq_latch<totals> totals_{totals{}};                       // written by who closes
  plain<std::int64_t> probe_until_{0};                       // of who closes alone; 0: not in a probe
  counters counts_;
};

template <limit_algorithm Algorithm>
class adaptive_limit_by final : public adaptive_limit {
 public:
  explicit adaptive_limit_by(const adaptive_limit_options& options = {},
                             const typename Algorithm::options& how = {}) noexcept
      : adaptive_limit(options, Algorithm(how).limit(), &step), algorithm_(Algorithm(how)) {}

 private:
  static limit_step step(adaptive_limit& self, const limit_window& window) noexcept {
    return static_cast<adaptive_limit_by&>(self).algorithm_.ref().on_window(window);
  }
  plain<Algorithm> algorithm_;  // of who closes alone
};

}  // namespace holdfast
