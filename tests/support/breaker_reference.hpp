// SPDX-License-Identifier: MIT
// A circuit breaker for one thread, written from the contract with plain containers and no packed word, and random
// histories in which a form of the breaker must do the same at each step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/circuit_breaker.hpp"

#include "support/catch.hpp"

namespace test_support {

using namespace holdfast;
using namespace std::chrono_literals;
using state = breaker_state;
// A tick is what an open time or a lease may end late by.
constexpr duration tick{std::int64_t{breaker_tick::nanoseconds}};

// What the contract leaves to the form.
template <class B>
struct form {
  static constexpr std::uint32_t parts = breaker_window::buckets - 1;
  static constexpr duration keep(const circuit_breaker_options&) { return duration::max(); }
  static constexpr bool counts_last = true;
};

class reference {
 public:
  struct ticket {
    state kind{};
    std::uint64_t generation = 0;
    std::int64_t lease_end = 0;
  };
  struct answer {
    std::optional<ticket> got{};
    errc refusal{};
    duration retry_after{0};
    breaker_transition transition{};
    bool stale = false;
  };

  // The window's parts are what a form of the breaker counts in; where a bucket ends is not what is compared. A form may
  // forget failures in a row when nothing was counted for `keep`.
  reference(const circuit_breaker_options& o, std::uint32_t parts, duration keep)
      : o_(o), parts_(parts), keep_(keep), epochs_(o.window, parts), times_(o) {}

  answer admit(time_point now) {
    const std::int64_t t = tick_of(now);
    switch (state_) {
      case state::closed:
      case state::forced_closed:
      case state::metrics_only: return {.got = ticket{state_, generation_, 0}};
      case state::forced_open: ++rejected; return {.refusal = errc::breaker_isolated};
      case state::open:
        if (t < open_until_) return refuse(errc::breaker_open, open_until_, now);
        return half_open(now, breaker_cause::open_time_over);
      case state::half_open: break;
    }
    if (passed_ >= o_.probes) {
      closed_at_ = t;
      const auto made = enter(state::closed, breaker_cause::probes_passed, now);
      return {.got = ticket{state_, generation_, 0}, .transition = made};
    }
    if (issued_ > passed_ && t >= lease_end_) {
      if (o_.on_lease_over == lease_expiry::renew) return half_open(now, breaker_cause::lease_over);
      const auto made = open(now, breaker_cause::lease_over);
      auto a = refuse(errc::breaker_open, open_until_, now);
      a.transition = made;
      return a;
    }
    if (issued_ >= o_.probes) return refuse(errc::probe_quota, lease_end_, now);
    ++issued_;
    lease_end_ = std::max(t < lease_end_ ? lease_end_ : 0, tick_after(now, o_.probe_lease));
    return {.got = ticket{state_, generation_, lease_end_}};
  }

  answer report(const ticket& p, verdict v, time_point now, duration took) {
    if (stale(p)) {
      ++dropped;
      return {.stale = true};
    }
    const bool good = v == verdict::ok || v == verdict::permanent;
    const bool bad =
        v == verdict::transient || v == verdict::timeout || (v == verdict::throttled && o_.throttled_is_failure);
    if (state_ == state::half_open) {
      if (bad) return {.transition = open(now, breaker_cause::probe_failed)};
      if (!good) {
        --issued_;
        return {};
      }
      if (++passed_ < o_.probes) return {};
      closed_at_ = tick_of(now);
      return {.transition = enter(state::closed, breaker_cause::probes_passed, now)};
    }
    if (state_ == state::forced_closed || (!good && !bad)) return {};
    if (bad && forgotten(now)) in_row_ = 0;
    results_.push_back({epochs_.of(now), bad, o_.slow_call > 0s && took >= o_.slow_call});
    last_.emplace_back(results_.back());
    if (last_.size() > o_.last_calls) last_.pop_front();
    if (state_ == state::metrics_only) return {};
    if (bad && o_.consecutive_failures != 0 && ++in_row_ >= o_.consecutive_failures)
      return {.transition = open(now, breaker_cause::consecutive_failures)};
    if (good) {
      in_row_ = 0;
      const std::int64_t healthy_since = std::max(closed_at_ + decay_span(), decay_due_);
      if (level_ > 0 && tick_of(now) >= healthy_since) {
        --level_;
        decay_due_ = tick_after(now, o_.healthy_decay);
      }
    }
    const auto exceeds = [](std::uint64_t n, const sums& of, std::uint64_t permille, std::uint64_t least) {
      return permille != 0 && of.ok + of.failed >= least && n * 1000 >= permille * (of.ok + of.failed);
    };
    const sums recent = window(now);
    const sums last = last_calls();
    if (exceeds(recent.failed, recent, o_.failure_permille, o_.min_calls) ||
        exceeds(last.failed, last, o_.last_failure_permille, o_.last_min_calls))
      return {.transition = open(now, breaker_cause::failure_rate)};
    if (exceeds(recent.slow, recent, o_.slow_permille, o_.min_calls) ||
        exceeds(last.slow, last, o_.last_slow_permille, o_.last_min_calls))
      return {.transition = open(now, breaker_cause::slow_rate)};
    return {};
  }

  // What is counted stays as it is, unless the window of it is another one.
  void reconfigure(const circuit_breaker_options& o) {
    if (o.window != o_.window) results_.clear();
    if (o.last_calls != o_.last_calls) last_.clear();
    o_ = o;
    epochs_ = epochs(o.window, parts_);
    times_ = breaker_rules(o);
    moves_ = std::max(moves_, moves_of(o));
  }

  void abandon(const ticket& p) {
    if (p.kind == state::half_open && !stale(p)) --issued_;
  }

  breaker_transition force(state to, time_point now) {
    if (state_ == to) return {};
    return enter(to, breaker_cause::manual, now);
  }
  breaker_transition release(time_point now, state to) {
    if (state_ != state::forced_open && state_ != state::forced_closed && state_ != state::metrics_only) return {};
    const auto made = enter(to, breaker_cause::manual, now);
    closed_at_ = tick_of(now);
    lease_end_ = tick_of(now);
    issued_ = passed_ = 0;
    return made;
  }

  struct sums {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
    std::uint64_t slow = 0;
  };
  sums window(time_point now) {
    sums sum;
    for (const result& r : results_) {
      if (epochs_.of(now) - r.epoch > parts_) continue;
      ++(r.bad ? sum.failed : sum.ok);
      sum.slow += r.slow ? 1 : 0;
    }
    return sum;
  }

  sums last_calls() const {
    sums sum;
    for (const result& r : last_) {
      ++(r.bad ? sum.failed : sum.ok);
      sum.slow += r.slow ? 1 : 0;
    }
    return sum;
  }

  // One question a step: assertions are slow.
  template <class Snapshot>
  bool agrees(const Snapshot& seen, time_point now) {
    if constexpr (requires { seen.rejected; }) {  // a form may keep no books
      if (seen.rejected != rejected || seen.stale_dropped != dropped) return false;
    }
    const auto [ok, failed, slow] = window(now);
    const bool counts = state_ == state::closed || state_ == state::metrics_only;
    if constexpr (requires { seen.last_calls; }) {
      const sums last = counts ? last_calls() : sums{};
      if (seen.last_calls != last.ok + last.failed || seen.last_failed != last.failed || seen.last_slow != last.slow)
        return false;
    }
    return seen.state == state_ && seen.generation == static_cast<std::uint16_t>(generation_) && seen.level == level_ &&
           seen.probes_issued == (state_ == state::half_open ? issued_ : 0) &&
           seen.probes_ok == (state_ == state::half_open ? passed_ : 0) &&
           seen.failures_in_row == (state_ == state::closed ? in_row_ : 0) && seen.window_ok == (counts ? ok : 0) &&
           seen.window_failed == (counts ? failed : 0) && seen.window_slow == (counts ? slow : 0);
  }

  std::uint64_t rejected = 0;
  std::uint64_t dropped = 0;

 private:
  static std::int64_t tick_of(time_point t) { return t.time_since_epoch().count() / tick.count(); }
  static std::int64_t tick_after(time_point t, duration d) {
    return ((t + d).time_since_epoch().count() + tick.count() - 1) / tick.count();
  }
  std::int64_t decay_span() const { return o_.healthy_decay.count() / tick.count() + 2; }
  bool forgotten(time_point now) const {
    if (keep_ == duration::max() || tick_of(now) - entered_at_ < keep_.count() / tick.count() + 2) return false;
    const std::int64_t buckets = (parts_ * keep_.count() + o_.window.count() - 1) / o_.window.count() + 1;
    return results_.empty() || epochs_.of(now) - results_.back().epoch >= buckets;
  }
  static std::int64_t moves_of(const circuit_breaker_options& o) {
    return (o.probes + 1) * (o.probe_lease.count() / tick.count() + 2);
  }
  bool stale(const ticket& p) const {
    if (p.kind != state_ || p.generation != generation_) return true;
    // A probe long past its own lease while others moved on: a lost one.
    return state_ == state::half_open && lease_end_ - p.lease_end > moves_;
  }
  answer refuse(errc why, std::int64_t until, time_point now) {
    ++rejected;
    return {.refusal = why, .retry_after = duration(until * tick.count()) - now.time_since_epoch()};
  }
  breaker_transition enter(state to, breaker_cause cause, time_point now) {
    const breaker_transition made{state_, to, cause, static_cast<std::uint16_t>(++generation_)};
    state_ = to;
    entered_at_ = tick_of(now);
    results_.clear();
    last_.clear();
    in_row_ = 0;
    decay_due_ = 0;
    return made;
  }
  answer half_open(time_point now, breaker_cause cause) {
    const auto made = enter(state::half_open, cause, now);
    issued_ = 1;
    passed_ = 0;
    lease_end_ = tick_after(now, o_.probe_lease);
    return {.got = ticket{state_, generation_, lease_end_}, .transition = made};
  }
  breaker_transition open(time_point now, breaker_cause cause) {
    const auto made = enter(state::open, cause, now);
    open_until_ = tick_after(now, std::max(tick, times_.open_time(level_, made.generation)));
    level_ = std::min(level_ + 1, 15U);
    return made;
  }

  circuit_breaker_options o_;
  std::uint32_t parts_;
  duration keep_;
  epochs epochs_;
  breaker_rules times_;  // nor is the length of an open time, tested above
  state state_ = state::closed;
  std::uint64_t generation_ = 0;
  std::uint32_t level_ = 0;
  std::int64_t open_until_ = 0;
  std::int64_t lease_end_ = 0;
  std::int64_t closed_at_ = 0;
  std::int64_t entered_at_ = 0;
  std::int64_t decay_due_ = 0;
  std::uint32_t issued_ = 0;
  std::uint32_t passed_ = 0;
  std::uint32_t in_row_ = 0;
  std::int64_t moves_ = moves_of(o_);
  struct result {
    std::uint32_t epoch;
    bool bad;
    bool slow;
  };
  std::deque<result> results_;
  std::deque<result> last_;
};

struct covered {
  std::set<std::pair<breaker_cause, state>> transitions{};
  std::uint64_t stale = 0;
  std::uint64_t refused = 0;
  std::uint64_t kept = 0;  // changes of options that kept the counts of both windows
  std::uint64_t anew = 0;  // and that began one of them anew
};

// Some of the options as others may have them.
template <class Random>
circuit_breaker_options changed(circuit_breaker_options o, Random& random) {
  const auto up_to = [&](std::uint64_t n) { return uniform_up_to(random, n); };
  const auto ms = [&](std::uint64_t low, std::uint64_t high) {
    return duration(std::chrono::milliseconds(low + up_to(high - low)));
  };
  const auto permille = [&] { return static_cast<std::uint16_t>(up_to(2) == 0 ? 0 : 1 + up_to(999)); };
  for (std::uint64_t changes = 1 + up_to(3); changes > 0; --changes) {
    switch (up_to(12)) {
      case 0: o.consecutive_failures = static_cast<std::uint16_t>(up_to(12)); break;
      case 1: o.failure_permille = permille(); break;
      case 2: o.slow_call = ms(0, 400); break;
      case 3: o.slow_permille = permille(); break;
      case 4: o.min_calls = static_cast<std::uint32_t>(1 + up_to(30)); break;
      case 5: o.window = ms(100, 20'000); break;
      case 6: o.last_calls = static_cast<std::uint16_t>(up_to(1) * (1 + up_to(40))); break;
      case 7: o.last_failure_permille = permille(); break;
      case 8: o.last_slow_permille = permille(); break;
      case 9: o.probes = static_cast<std::uint8_t>(1 + up_to(5)); break;
      case 10: o.probe_lease = ms(2, 6'000); break;
      case 11: o.open_max = ms(3'000, 20'000), o.open_base = ms(2, 3'000); break;
      default: o.healthy_decay = ms(2, 20'000); break;
    }
  }
  o.last_min_calls = static_cast<std::uint16_t>(1 + up_to(o.last_calls == 0 ? 10 : o.last_calls - 1U));
  return o;
}

// One random history of a breaker in the form B, both sides compared at each step. Returns all transitions.
template <class B>
std::vector<breaker_transition> compare(std::uint64_t seed, int steps, covered& seen) {
  splitmix64 random(seed);
  const auto up_to = [&](std::uint64_t n) { return uniform_up_to(random, n); };
  const auto ms = [&](std::uint64_t low, std::uint64_t high) {
    return duration(std::chrono::milliseconds(low + up_to(high - low)));
  };
  circuit_breaker_options o{
      .consecutive_failures = static_cast<std::uint16_t>(up_to(1) * up_to(12)),
      .failure_permille = static_cast<std::uint16_t>(1 + up_to(999)),
      .slow_call = ms(1, 500),
      .slow_permille = static_cast<std::uint16_t>(up_to(1) * (1 + up_to(999))),
      .min_calls = static_cast<std::uint32_t>(1 + up_to(30)),
      .window = ms(100, 20'000),
      .probes = static_cast<std::uint8_t>(1 + up_to(up_to(3) == 0 ? 30 : 4)),
      .probe_lease = ms(2, 6'000),
      .on_lease_over = up_to(1) == 0 ? lease_expiry::renew : lease_expiry::reopen,
      .open_base = ms(2, 3'000),
      .open_max = ms(3'000, 20'000),
      .jitter_permille = static_cast<std::uint16_t>(up_to(1) * up_to(1000)),
      .healthy_decay = ms(2, 20'000),
      .throttled_is_failure = up_to(1) == 0,
      .seed = random(),
  };
  if (o.slow_permille != 0 && up_to(3) == 0) o.failure_permille = 0;
  // Drawn apart, so that the forms that have no such rule see the same histories.
  if (splitmix64 more(seed ^ 0x6C617374); form<B>::counts_last && uniform_up_to(more, 2) != 0) {
    o.last_calls = static_cast<std::uint16_t>(1 + uniform_up_to(more, uniform_up_to(more, 3) == 0 ? 1023 : 30));
    o.last_failure_permille = static_cast<std::uint16_t>(uniform_up_to(more, 1) * (1 + uniform_up_to(more, 999)));
    o.last_slow_permille = static_cast<std::uint16_t>(
        o.last_failure_permille == 0 || uniform_up_to(more, 1) == 0 ? 1 + uniform_up_to(more, 999) : 0);
    o.last_min_calls = static_cast<std::uint16_t>(1 + uniform_up_to(more, o.last_calls - 1U));
    if (uniform_up_to(more, 2) == 0) o.consecutive_failures = o.failure_permille = o.slow_permille = 0;
  }
  REQUIRE_FALSE(validate(o));
  INFO("seed " << seed);
  using permit = typename B::permit;
  B breaker(o);
  reference expected(o, form<B>::parts, form<B>::keep(o));
  std::vector<std::pair<permit, reference::ticket>> out;
  std::vector<permit> lost;
  std::vector<breaker_transition> all;
  auto now = time_point(1000s) + duration(static_cast<std::int64_t>(up_to(2'000'000'000)));
  splitmix64 other_options(seed ^ 0x6F74686572);
  std::uint64_t failing = 30;  // percent, changes with time as a callee's health does
  const auto note = [&](const breaker_transition& made, const breaker_transition& wanted) {
    if (made != wanted) FAIL("the transitions differ");
    if (!made) return;
    all.push_back(made);
    seen.transitions.emplace(made.cause, made.to);
  };
  for (int step = 0; step < steps; ++step) {
    if (up_to(200) == 0) failing = up_to(100);
    switch (up_to(3)) {
      case 0: now += duration(static_cast<std::int64_t>(up_to(2'000'000))); break;
      case 1: now += ms(0, 300); break;
      case 2:
        if (up_to(40) == 0) now += ms(0, 90'000);
        if (up_to(2000) == 0) now += std::chrono::hours(up_to(120));
        break;
      default: break;
    }
    const std::uint64_t what = up_to(999);
    if (what < 500) {
      auto got = breaker.admit(now);
      const auto wanted = expected.admit(now);
      if (static_cast<bool>(got) != wanted.got.has_value() || got.refusal.code != wanted.refusal ||
          got.refusal.retry_after != wanted.retry_after)
        FAIL("the admissions differ");
      note(got.transition, wanted.transition);
      if (got) out.emplace_back(std::move(got.ticket), *wanted.got);
      if (wanted.refusal != errc{}) ++seen.refused;
    } else if (what < 990 && !out.empty()) {
      const std::size_t which = out.size() > 20 ? up_to(out.size() - 1) : up_to(1) * up_to(out.size() - 1);
      auto [ticket, other] = std::move(out[which]);
      out.erase(out.begin() + static_cast<std::ptrdiff_t>(which));
      const std::uint64_t fate = up_to(39);
      if (fate == 0) {
        lost.push_back(std::move(ticket));  // never heard of again
      } else if (fate == 1) {
        ticket = permit();
        expected.abandon(other);
      } else {
        const std::uint64_t luck = up_to(99);
        const auto v = luck < failing  ? (up_to(1) == 0 ? verdict::transient : verdict::timeout)
                       : up_to(9) == 0 ? static_cast<verdict>(up_to(7))
                                       : verdict::ok;
        // Mostly fast, and one in eight of any length at all.
        const duration took = up_to(7) == 0 ? ms(0, 600) : duration(o.slow_call) / 3;
        const auto got = breaker.report(std::move(ticket), v, now, took);
        const auto wanted = expected.report(other, v, now, took);
        if (got.dropped_stale != wanted.stale) FAIL("one calls it stale, one does not");
        note(got.transition, wanted.transition);
        if (wanted.stale) ++seen.stale;
      }
    } else if (what >= 996) {
      switch (up_to(5)) {
        case 0: note(breaker.isolate(now), expected.force(state::forced_open, now)); break;
        case 1: note(breaker.force_close(now), expected.force(state::forced_closed, now)); break;
        case 2: note(breaker.metrics_only(now), expected.force(state::metrics_only, now)); break;
        default: {
          const auto to = up_to(1) == 0 ? state::closed : state::half_open;
          note(breaker.release(now, to), expected.release(now, to));
        }
      }
    }
    if constexpr (requires { breaker.reconfigure(o, now); }) {
      if (seed % 2 == 0 && uniform_up_to(other_options, 99) == 0) {
        const circuit_breaker_options next = changed(o, other_options);
        const auto done = breaker.reconfigure(next, now);
        if (static_cast<bool>(done) == static_cast<bool>(validate(next))) FAIL("one takes the options, one does not");
        if (done) {
          if (done.window_kept != (next.window == o.window) || done.last_kept != (next.last_calls == o.last_calls))
            FAIL("what is kept is not what is said to be");
          ++(done.window_kept && done.last_kept ? seen.kept : seen.anew);
          o = next;
          expected.reconfigure(o);
        }
      }
    }
    if (!expected.agrees(breaker.snapshot(now), now)) FAIL("the snapshots differ");
  }
  return all;
}

}  // namespace test_support
