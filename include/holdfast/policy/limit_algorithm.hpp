// SPDX-License-Identifier: MIT
// limit_algorithm: what the calls of a window say about how many there may be at once: aimd, vegas, gradient and gradient2.
//
//   operation   caller       progress    cost                     allocates   when refused
//   on_window   one at a     wait-free   some ten instructions    never       -
//               time
//   limit       the same     wait-free   one load                 never       -
//
// Pure arithmetic on whole numbers, not by itself: policy/adaptive_limit.hpp collects the windows. Equal windows give equal
// limits on every machine. One of your own has these two members, and options with a validate().
//
//   aimd        gives way by a tenth where calls were dropped or too slow, once for all that were under way, else one more.
//               Knows nothing of queues, needs nothing but a timeout, and so never takes a slow callee for a full one. From S
//               back to L: L - S windows.
//   vegas       estimates from the latency how many calls wait in the callee's queue, and keeps them few. Has to know what
//               the callee takes without a queue, and measures that anew from time to time with few calls at once: a probe.
//               From S back to L: (L - S) / 6 windows, and five more where it has to measure first.
//   gradient    changes the limit by as much as the latency is above or below what it should be, with a headroom of its square
//               root; probes as vegas does, and more often. Fast: from S back to L in (L - S) / sqrt(S) windows at the most.
//   gradient2   compares the latency with that of the last ten minutes. Needs no probe, and takes a queue that stays for what
//               is usual. From S back to L: (L - S) / 0.8 windows.
//
//   A2 The smallest limit and the limit of a probe are two numbers, and a probe never raises the limit (Envoy #46532).
//   A3 After a latency that was ten times as high for a minute, a limit that is used is 90 % of what it was within the windows
//      above, to which it adds three at the most for what waits in the callee's queue by then. For calls well shorter than a
//      window: of a fiftieth. Of a tenth, aimd and gradient2 take three windows more at the most, vegas and gradient may
//      take several times as many.
//   A4 The limit is never below `smallest` or above `largest`, but in a probe, which may be below.
//
// No limit grows of which less than half was in flight. Where latencies are compared it is medians with medians: a shortest
// latency of so many calls is an exception (a cached answer, a check of health), and a mean is made of exceptions of the other
// kind.
//
// A limitation: the baseline of vegas and gradient is the least of many medians, and a probe's is that of a few calls. Where what
// calls take varies much and a window has few of them it is too low by chance, and the limit of a healthy callee sinks: before
// a simulated one at loads above 0.8, of calls of 100 ms or more on average. There gradient2 or aimd do better.
//
// Methods: Netflix's concurrency-limits, with its numbers (aimd, vegas, gradient2); Envoy's gradient controller (gradient), and
// from it what a probe is, when there is one and that there is noise to allow for. Other than there: a window gives way to
// drops if they are more than a tolerated share, since it is a thousand calls and not one (aimd, vegas); the gradients, which
// do not look at drops there, give way by the share of the calls that were dropped; and a baseline that a window undercuts is
// lowered in gradient too, not by the next probe only.
// Proof: unit/limit_algorithm_test.cpp (A2, A4), unit/adaptive_limit_test.cpp (A3, before a simulated callee).
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/latency_sketch.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// What came of the calls that ended in a window.
struct limit_window {
  duration min_rtt{};  // of those that were answered, as are the percentiles; all zero if none was
  duration p50{};      // at most 68 s
  duration p90{};
  std::uint64_t samples = 0;        // calls that were answered
  std::uint64_t drops = 0;          // calls that were throttled, or not answered in time
  std::uint64_t in_flight_max = 0;  // the most that one of them found under way, itself included

  // More drops than this share of all.
  [[nodiscard]] constexpr bool drops_above(std::uint32_t permille) const noexcept {
    return drops * 1000 > permille * (samples + drops);
  }
  [[nodiscard]] constexpr bool uses(std::uint32_t limit) const noexcept { return 2 * in_flight_max >= limit; }
};

// A probe that fewer calls answered has not measured anything.
inline constexpr std::uint64_t least_probed = 10;

struct limit_step {
  std::uint32_t limit = 1;
  // Calls that began before this step ran under other conditions: they are not to be judged by.
  bool new_epoch = false;
  // A step into a probe: what is wanted is a few calls at this limit, and soon.
  bool probe = false;
};

template <class A>
concept limit_algorithm = requires(A algorithm, const A& same, const limit_window& window) {
  { algorithm.on_window(window) }
  noexcept->std::same_as<limit_step>;
  { same.limit() }
  noexcept->std::same_as<std::uint32_t>;
};

// What the largest bulkhead takes, whose limit it becomes (exec/guard.hpp holds the two together).
inline constexpr std::uint32_t largest_limit = (std::uint32_t{1} << 21U) - 1;

struct limit_bounds {
  std::uint32_t initial = 20;
  std::uint32_t smallest = 20;
  std::uint32_t largest = 200;

  [[nodiscard]] constexpr std::uint32_t clamp(std::uint64_t limit) const noexcept {
    return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(limit, smallest, largest));
  }
};
static_assert(std::is_aggregate_v<limit_bounds>);

constexpr option_error validate(const limit_bounds& o) noexcept {
  return first_of(at_least("smallest", o.smallest, 1), at_least("largest", o.largest, o.smallest),
                  at_most("largest", o.largest, largest_limit), at_least("initial", o.initial, o.smallest),
                  at_most("initial", o.initial, o.largest));
}

// --- aimd

struct aimd_options {
  limit_bounds bounds{};
  duration timeout = std::chrono::seconds(5);   // where a tenth takes longer there is overload; up to 68 s
  std::uint16_t keep_permille = 900;            // of the limit, then
  std::uint16_t tolerated_drops_permille = 10;  // of a window's calls
};
static_assert(std::is_aggregate_v<aimd_options>);

constexpr option_error validate(const aimd_options& o) noexcept {
  return first_of(validate(o.bounds), at_least("timeout", o.timeout.count(), 1),
                  at_most("timeout", o.timeout.count(), latency_counts::longest.count()),
                  at_least("keep_permille", o.keep_permille, 100), at_most("keep_permille", o.keep_permille, 999),
                  at_most("tolerated_drops_permille", o.tolerated_drops_permille, 999));
}

class aimd {
 public:
  using options = aimd_options;
  constexpr explicit aimd(const options& o) noexcept : o_(o), limit_(o.bounds.initial) {
    HOLDFAST_ASSERT(!validate(o));
    o_.timeout =
        latency_counts::rounded_up(o.timeout);  // as a percentile is, else a call that is in time may be too slow
  }

  [[nodiscard]] constexpr std::uint32_t limit() const noexcept { return limit_; }

  constexpr limit_step on_window(const limit_window& w) noexcept {
    if (w.drops_above(o_.tolerated_drops_permille) || w.p90 > o_.timeout) {
      limit_ = o_.bounds.clamp(std::uint64_t{limit_} * o_.keep_permille / 1000);
      // What was under way at the time is part of the same overload, and no reason to give way again.
      return {.limit = limit_, .new_epoch = true};
    }
    if (w.uses(limit_)) limit_ = o_.bounds.clamp(std::uint64_t{limit_} + 1);
    return {.limit = limit_};
  }

 private:
  options o_;
  std::uint32_t limit_;
};
static_assert(limit_algorithm<aimd>);

// --- those that compare with what a call takes without a queue

// What that is, and when it is measured anew: by a probe.
class baseline_probe {
 public:
  constexpr baseline_probe(std::uint32_t every, std::uint64_t seed) noexcept : every_(every), seed_(seed) { plan(); }

  [[nodiscard]] constexpr bool is_running() const noexcept { return running_; }
  // Zero: nothing is known.
  [[nodiscard]] constexpr duration baseline() const noexcept { return baseline_; }

  // A window that is no probe's: what is shorter than the baseline is a better one.
  constexpr void lower(const limit_window& w) noexcept {
    if (w.samples != 0 && (baseline_ == duration::zero() || w.p50 < baseline_))
      baseline_ = std::max(w.p50, duration(1));
  }
  // At its end. `crowded`: the lowest limit there is was too high by what is known.
  constexpr void count_window(bool crowded) noexcept {
    crowded_ = crowded ? crowded_ + 1 : 0;
    if (every_ == 0 || (--next_in_ != 0 && crowded_ != enough)) return;
    running_ = true;
    crowded_ = 0;
  }
  constexpr void end(const limit_window& w) noexcept {
    running_ = false;
    if (w.samples >= least_probed) baseline_ = std::max(w.p50, duration(1));
    plan();
  }

 private:
  // So many windows in a row that are crowded say that the baseline may be wrong (Envoy #10647).
  static constexpr std::uint32_t enough = 5;
  constexpr void plan() noexcept {
    next_in_ = every_ + static_cast<std::uint32_t>(splitmix64_mix(seed_ + plans_++) % (every_ / 7 + 1));
  }

  std::uint32_t every_;
  std::uint32_t next_in_ = 0;  // windows
  std::uint64_t seed_;
  std::uint64_t plans_ = 0;
  std::uint32_t crowded_ = 0;  // windows in a row
  bool running_ = false;
  duration baseline_{};
};

// --- vegas

struct vegas_options {
  limit_bounds bounds{};
  std::uint16_t noise_permille = 250;           // so much longer than without a queue is not yet one
  std::uint16_t tolerated_drops_permille = 10;  // of a window's calls
  std::uint32_t probe_limit = 3;                // while it is measured what a call takes without a queue
  std::uint32_t probe_every = 300;              // windows, and up to a seventh more; 0: never
  std::uint64_t seed = 0;                       // of that: services with different ones do not probe together
};
static_assert(std::is_aggregate_v<vegas_options>);

constexpr option_error validate(const vegas_options& o) noexcept {
  return first_of(validate(o.bounds), at_most("noise_permille", o.noise_permille, 10'000),
                  at_most("tolerated_drops_permille", o.tolerated_drops_permille, 999),
                  at_least("probe_limit", o.probe_limit, 1), at_most("probe_limit", o.probe_limit, o.bounds.largest),
                  at_most("probe_every", o.probe_every, 1'000'000'000));
}

class vegas {
 public:
  using options = vegas_options;
  constexpr explicit vegas(const options& o) noexcept : o_(o), limit_(o.bounds.initial), probe_(o.probe_every, o.seed) {
    HOLDFAST_ASSERT(!validate(o));
  }

  [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
    return probe_.is_running() ? std::min(limit_, o_.probe_limit) : limit_;
  }
  // What a call takes without a queue, as far as it is known.
  [[nodiscard]] constexpr duration baseline() const noexcept { return probe_.baseline(); }

  constexpr limit_step on_window(const limit_window& w) noexcept {
    if (probe_.is_running()) {
      probe_.end(w);
      return {.limit = limit()};
    }
    probe_.lower(w);
    probe_.count_window(change(w));
    return {.limit = limit(), .new_epoch = probe_.is_running(), .probe = probe_.is_running()};
  }

 private:
  // The queue is kept between these, times the digits of the limit after the first.
  static constexpr std::uint32_t least_digits = 3;
  static constexpr std::uint32_t most_digits = 6;

  static constexpr std::uint32_t log10_of(std::uint32_t n) noexcept {
    std::uint32_t digits = 0;
    for (; n >= 10; n /= 10) ++digits;
    return std::max(digits, 1U);
  }

  // Whether half of the lowest limit was a queue.
  constexpr bool change(const limit_window& w) noexcept {
    const std::uint32_t unit = log10_of(limit_);
    const bool drops = w.drops_above(o_.tolerated_drops_permille);
    const bool used = w.samples != 0 && w.uses(limit_);
    if (!drops && !used) return false;
    // By latency alone: drops say nothing of the baseline.
    const std::uint64_t queue = used ? queue_at(w.p50) : 0;
    const bool crowded = limit_ <= std::max(o_.bounds.smallest, most_digits) && 2 * queue > limit_;
    if (drops || queue > most_digits * unit) {
      limit_ = o_.bounds.clamp(limit_ - std::min(limit_, unit));
    } else if (queue <= unit) {
      limit_ = o_.bounds.clamp(std::uint64_t{limit_} + most_digits * unit);
    } else if (queue < least_digits * unit) {
      limit_ = o_.bounds.clamp(std::uint64_t{limit_} + unit);
    }
    return crowded;
  }
  // Of the calls under way, those that are there only because it takes so long; rounded up.
  [[nodiscard]] constexpr std::uint64_t queue_at(duration rtt) const noexcept {
    __extension__ using wide = unsigned __int128;
    const auto longest = static_cast<wide>(baseline().count()) * (1000U + o_.noise_permille);
    const auto now = static_cast<wide>(rtt.count()) * 1000U;
    return now <= longest ? 0 : static_cast<std::uint64_t>((limit_ * (now - longest) + now - 1) / now);
  }

  options o_;
  std::uint32_t limit_;  // the one that a probe comes back to
  baseline_probe probe_;
};
static_assert(limit_algorithm<vegas>);

// --- gradient

struct gradient_options {
  limit_bounds bounds{};
  std::uint16_t noise_permille = 250;  // so much longer than without a queue is not yet one
  std::uint32_t probe_limit = 3;       // while it is measured what a call takes without a queue
  std::uint32_t probe_every = 60;      // windows, and up to a seventh more; 0: never
  std::uint64_t seed = 0;              // of that: services with different ones do not probe together
};
static_assert(std::is_aggregate_v<gradient_options>);

constexpr option_error validate(const gradient_options& o) noexcept {
  return first_of(validate(o.bounds), at_most("noise_permille", o.noise_permille, 10'000),
                  at_least("probe_limit", o.probe_limit, 1), at_most("probe_limit", o.probe_limit, o.bounds.largest),
                  at_most("probe_every", o.probe_every, 1'000'000'000));
}

class gradient {
 public:
  using options = gradient_options;
  constexpr explicit gradient(const options& o) noexcept
      : o_(o), limit_(o.bounds.initial), probe_(o.probe_every, o.seed) {
    HOLDFAST_ASSERT(!validate(o));
  }

  [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
    return probe_.is_running() ? std::min(limit_, o_.probe_limit) : limit_;
  }
  // What a call takes without a queue, as far as it is known.
  [[nodiscard]] constexpr duration baseline() const noexcept { return probe_.baseline(); }

  constexpr limit_step on_window(const limit_window& w) noexcept {
    if (probe_.is_running()) {
      probe_.end(w);
      return {.limit = limit()};
    }
    probe_.lower(w);
    probe_.count_window(change(w));
    return {.limit = limit(), .new_epoch = probe_.is_running(), .probe = probe_.is_running()};
  }

 private:
  // In thousandths.
  static constexpr std::uint64_t least_slope = 500;
  static constexpr std::uint64_t most_slope = 2000;
  // Half of a limit and its root: no latency brings it below four, and one a little shorter not below five.
  static constexpr std::uint32_t lowest_by_latency = 5;

  // Whether the lowest limit there is was still too high by latency: drops say nothing of the baseline.
  constexpr bool change(const limit_window& w) noexcept {
    if (w.samples + w.drops == 0 || !w.uses(limit_)) return false;
    const std::uint32_t floor = std::max(o_.bounds.smallest, lowest_by_latency);
    const bool was_low = limit_ <= floor;
    const std::uint64_t slope = w.samples == 0 ? least_slope : slope_at(w.p50);
    const std::uint64_t left = std::max(slope * w.samples / (w.samples + w.drops), least_slope);
    limit_ = o_.bounds.clamp(limit_ * left / 1000 + root_of(limit_));
    return was_low && limit_ <= floor && w.samples != 0 && slope < 1000;
  }
  [[nodiscard]] constexpr std::uint64_t slope_at(duration rtt) const noexcept {
    __extension__ using wide = unsigned __int128;
    const auto longest = static_cast<wide>(baseline().count()) * (1000U + o_.noise_permille);
    const auto now = static_cast<wide>(std::max(rtt, duration(1)).count());
    return static_cast<std::uint64_t>(std::clamp<wide>(longest / now, least_slope, most_slope));
  }
  // Rounded down.
  static constexpr std::uint32_t root_of(std::uint32_t n) noexcept {
    std::uint64_t root = 0;
    for (std::uint64_t bit = 1U << 15U; bit != 0; bit >>= 1U) {
      if ((root + bit) * (root + bit) <= n) root += bit;
    }
    return static_cast<std::uint32_t>(root);
  }

  options o_;
  std::uint32_t limit_;  // the one that a probe comes back to
  baseline_probe probe_;
};
static_assert(limit_algorithm<gradient>);

// --- gradient2

struct gradient2_options {
  limit_bounds bounds{};
  std::uint16_t tolerance_permille = 1500;  // of the long latency: up to it a window is as usual
  std::uint16_t queue = 4;                  // calls that may wait in the callee, and by which the limit grows
  std::uint16_t smoothing_permille = 200;   // how much of the new limit is taken at once
  std::uint16_t long_windows = 600;         // that the long latency remembers
};
static_assert(std::is_aggregate_v<gradient2_options>);

constexpr option_error validate(const gradient2_options& o) noexcept {
  return first_of(validate(o.bounds), at_least("tolerance_permille", o.tolerance_permille, 1000),
                  at_most("tolerance_permille", o.tolerance_permille, 10'000), at_least("queue", o.queue, 1),
                  at_least("smoothing_permille", o.smoothing_permille, 1),
                  at_most("smoothing_permille", o.smoothing_permille, 1000),
                  at_least("long_windows", o.long_windows, 10));
}

class gradient2 {
 public:
  using options = gradient2_options;
  constexpr explicit gradient2(const options& o) noexcept
      : o_(o), thousandths_(std::uint64_t{o.bounds.initial} * 1000) {
    HOLDFAST_ASSERT(!validate(o));
  }

  [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
    return static_cast<std::uint32_t>(thousandths_ / 1000);
  }
  // What was usual over the long windows.
  [[nodiscard]] constexpr duration usual() const noexcept { return duration(static_cast<std::int64_t>(long_ / parts)); }

  constexpr limit_step on_window(const limit_window& w) noexcept {
    if (w.samples + w.drops == 0) return {.limit = limit()};
    std::uint64_t gradient = std::max<std::uint64_t>(500, 1000 * w.samples / (w.samples + w.drops));
    if (w.samples != 0) gradient = std::min(gradient, compare(static_cast<std::uint64_t>(w.p50.count())));
    if (w.uses(limit())) {
      const std::uint64_t next = thousandths_ * gradient / 1000 + o_.queue * 1000U;
      thousandths_ = std::clamp<std::uint64_t>(
          (thousandths_ * (1000U - o_.smoothing_permille) + next * o_.smoothing_permille) / 1000,
          std::uint64_t{o_.bounds.smallest} * 1000, std::uint64_t{o_.bounds.largest} * 1000);
    }
    return {.limit = limit()};
  }

 private:
  static constexpr std::uint64_t parts = 1024;  // of a nanosecond, so that small steps of the average are not lost
  static constexpr std::uint32_t warm_up = 10;  // windows that count alike
  static constexpr std::uint64_t longest = std::uint64_t{1} << 40U;  // nanoseconds: nothing below overflows

  // In thousandths, of 500 to 1000.
  constexpr std::uint64_t compare(std::uint64_t rtt) noexcept {
    const std::uint64_t now = std::clamp<std::uint64_t>(rtt, 1, longest) * parts;
    windows_ = std::min<std::uint32_t>(windows_ + 1, warm_up + 1);
    const std::uint64_t share = windows_ <= warm_up ? windows_ : (o_.long_windows + 1U) / 2;
    long_ = now > long_ ? long_ + (now - long_) / share : long_ - (long_ - now) / share;
    // It comes down faster than it went up, so that a time of overload is soon forgotten.
    if (long_ > 2 * now) long_ -= long_ / 20;
    return std::clamp<std::uint64_t>(long_ / parts * o_.tolerance_permille / (now / parts), 500, 1000);
  }

  options o_;
  std::uint64_t thousandths_;  // of the limit
  std::uint64_t long_ = 0;     // the long latency, in parts of a nanosecond
  std::uint32_t windows_ = 0;  // seen, up to the end of the warm-up
};
static_assert(limit_algorithm<gradient2>);

}  // namespace holdfast
