// SPDX-License-Identifier: MIT
// The compact breaker: its word as circuit_breaker_model.cpp shows it, and the window in words that all threads share.
#include <array>
#include <utility>

#include "holdfast/policy/compact_breaker.hpp"

#include "model/breaker_scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace holdfast {
struct compact_start {
  static void set(compact_breaker& breaker, breaker_word word) { breaker.word_.store(word.bits(), mo::relaxed); }
  static void set(compact_window& window, std::uint64_t epoch, std::uint16_t generation, std::uint64_t ok,
                  std::uint64_t failed) {
    window.ring_[epoch % compact_window::buckets].store(
        compact_window::empty(epoch, generation) | ok << compact_window::ok_at | failed << compact_window::failed_at,
        mo::relaxed);
  }
  static breaker_word get(const compact_breaker& breaker) { return breaker.load(); }
};
}  // namespace holdfast

namespace {

constexpr std::uint16_t last_generation = 0xFFFF;
constexpr time_point before_wrap = at_tick(tick_wrap - 1);
constexpr time_point after_wrap = at_tick(tick_wrap + 1);
constexpr time_point later = at_tick(tick_wrap + 4);
constexpr time_point much_later = at_tick(tick_wrap + 20);
constexpr duration two_ms = duration(2 * one_tick);

constexpr breaker_word closed_word{breaker_state::closed, last_generation, 0, tick_wrap - 100};
constexpr breaker_word open_word{breaker_state::open, last_generation, 1, tick_wrap - 1};
constexpr breaker_word half_open_word{breaker_state::half_open, last_generation, 1,
                                      breaker_tick::after(before_wrap, two_ms)};

// A window of 150 ms: a bucket is 37.5 ms, and what is unused is so after 150 ms.
constexpr compact_breaker_options compact(circuit_breaker_options rules) {
  rules.window = std::chrono::milliseconds(150);
  return {.rules = rules, .keep = rules.window};
}
constexpr time_point a_bucket_later = before_wrap + std::chrono::milliseconds(40);
constexpr time_point a_window_later = before_wrap + std::chrono::milliseconds(400);

struct compact_scenario {
  compact_breaker_rules rules;
  compact_breaker breaker;
  breaker_word begin;
  ledger told;

  explicit compact_scenario(const circuit_breaker_options& o, breaker_word word = closed_word)
      : rules(compact(o)), begin(word) {
    compact_start::set(breaker, word);
  }
  compact_breaker::permit admit(unsigned thread, time_point now) {
    compact_breaker::admission a = breaker.admit(rules, now);
    told.add(thread, a.transition);
    return std::move(a.ticket);
  }
  bool report(unsigned thread, compact_breaker::permit&& ticket, verdict v, time_point now, duration took = fast) {
    const compact_breaker::report_result r = breaker.report(std::move(ticket), v, now, took);
    told.add(thread, r.transition);
    return !r.dropped_stale;
  }
  void call(unsigned thread, verdict v, time_point now, duration took = fast) {
    if (auto ticket = admit(thread, now)) report(thread, std::move(ticket), v, now, took);
  }
  compact_breaker_snapshot check_chain(time_point now) const {
    const compact_breaker_snapshot s = breaker.snapshot(rules, now);
    told.check_chain(begin, s);
    return s;
  }
  void check_opened_once(breaker_cause why) const {
    MODEL_CHECK(check_chain(before_wrap).state == breaker_state::open);
    MODEL_CHECK(told.count(why) == 1);
  }
  // I3 and I9, whoever died: calls that keep coming get in.
  void check_not_wedged(time_point from = later) {
    if (admit(3, from) || admit(3, from + two_ms)) return;
    MODEL_CHECK(admit(3, from + two_ms + two_ms));
  }
};

// --- the word

struct compact_fail_at_once : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_fail_at_once() : compact_scenario(in_row(2)) {}
  void run(unsigned thread) { call(thread, verdict::transient, before_wrap); }
  void after() {
    check_opened_once(breaker_cause::consecutive_failures);
    MODEL_CHECK(!breaker.admit(rules, after_wrap - duration(1)));  // I4, over the wrap
  }
  void after_death(unsigned) { check_not_wedged(); }
};
MODEL_SCENARIO("compact_breaker", compact_fail_at_once, {});

// I1 with every end that a probe can have.
struct compact_probes_end : compact_scenario {
  static constexpr unsigned threads = 2;
  std::array<bool, 2> kept{};
  std::array<std::uint16_t, 2> generation{};
  compact_probes_end() : compact_scenario(in_row(2), open_word) {}
  void run(unsigned thread) {
    constexpr verdict ends[] = {verdict::ok, verdict::transient, verdict::cancelled};
    auto ticket = admit(thread, after_wrap);
    if (!ticket) return;
    const bool probe = ticket.is_probe();
    generation[thread] = ticket.generation();
    const unsigned end = choose(4);
    if (end == 3) return;  // dropped without a report
    const bool counted = report(thread, std::move(ticket), ends[end], after_wrap);
    kept[thread] = probe && (end < 2 || !counted);
  }
  void after() {
    const compact_breaker_snapshot s = check_chain(after_wrap);
    MODEL_CHECK(!(kept[0] && kept[1] && generation[0] == generation[1]));
    MODEL_CHECK(s.probes_issued <= 1);
    check_not_wedged();
  }
  void after_death(unsigned) { check_not_wedged(); }
};
MODEL_SCENARIO("compact_breaker", compact_probes_end, {});

struct compact_lease_ends : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_breaker::permit probe;
  compact_breaker::permit out;
  bool counted = false;
  compact_lease_ends() : compact_scenario(in_row(2), half_open_word) { probe = admit(3, before_wrap); }
  void run(unsigned thread) {
    constexpr verdict ends[] = {verdict::ok, verdict::timeout, verdict::cancelled};
    if (thread == 0) {
      counted = report(0, std::move(probe), ends[choose(3)], later);
    } else {
      out = admit(thread, later);
    }
  }
  void after() {
    check_chain(later);
    const unsigned over = told.count(breaker_cause::lease_over);
    MODEL_CHECK(over <= 1);
    MODEL_CHECK(counted == (over == 0));
  }
  void after_death(unsigned) { check_not_wedged(); }
};
MODEL_SCENARIO("compact_breaker", compact_lease_ends, {});

// I2: a result of the closed state before, while another thread goes through open and half-open to closed.
struct compact_late_result : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_breaker::permit old;
  bool counted = false;
  compact_late_result() : compact_scenario(in_row(1)) { old = admit(3, before_wrap); }
  void run(unsigned thread) {
    constexpr verdict ends[] = {verdict::ok, verdict::transient, verdict::cancelled};
    if (thread == 0) {
      counted = report(0, std::move(old), ends[choose(3)], later);
    } else {
      call(1, verdict::transient, before_wrap);
      call(1, verdict::ok, later);
    }
  }
  void after() {
    const compact_breaker_snapshot s = check_chain(later);
    MODEL_CHECK(s.failures_in_row == 0);
    MODEL_CHECK(s.window_failed == 0);
    if (!counted) MODEL_CHECK(s.generation == static_cast<std::uint16_t>(last_generation + 3));
  }
};
MODEL_SCENARIO("compact_breaker", compact_late_result, {});

struct compact_level_falls : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_level_falls()
      : compact_scenario(in_row(2), breaker_word(breaker_state::closed, last_generation, 3, tick_wrap - 2)) {}
  void run(unsigned thread) { call(thread, verdict::ok, later); }
  void after() {
    MODEL_CHECK(check_chain(later).level == 2);
    call(3, verdict::ok, later + duration(one_tick));
    MODEL_CHECK(check_chain(later).level == 2);
    call(3, verdict::ok, much_later);
    MODEL_CHECK(check_chain(later).level == 1);
  }
};
MODEL_SCENARIO("compact_breaker", compact_level_falls, {});

struct compact_hand_and_report : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_hand_and_report() : compact_scenario(in_row(1)) {}
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::transient, before_wrap);
    } else {
      told.add(1, breaker.isolate(before_wrap));
      told.add(1, breaker.release(before_wrap, choose(2) == 0 ? breaker_state::closed : breaker_state::half_open));
    }
  }
  void after() {
    check_chain(before_wrap);
    check_not_wedged();
  }
};
MODEL_SCENARIO("compact_breaker", compact_hand_and_report, {});

// --- shares

// Two failures are the limit: at least one of those who report them sees both, and one opens. In one bucket, and in two. [C1]
template <bool TwoBuckets>
struct compact_two_failures : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_two_failures() : compact_scenario(by_rate(1000, 2)) {}
  void run(unsigned thread) {
    call(thread, verdict::transient, TwoBuckets && thread == 1 ? a_bucket_later : before_wrap);
  }
  void after() { check_opened_once(breaker_cause::failure_rate); }
  void after_death(unsigned) { check_not_wedged(a_bucket_later + two_ms); }
};
using compact_two_failures_in_one = compact_two_failures<false>;
using compact_two_failures_in_two = compact_two_failures<true>;
MODEL_SCENARIO("compact_breaker", compact_two_failures_in_one, {.weak_failures = 0});
MODEL_SCENARIO("compact_breaker", compact_two_failures_in_two, {.weak_failures = 0});

struct compact_two_slow : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_two_slow() : compact_scenario(by_time(1000, 2)) {}
  void run(unsigned thread) { call(thread, verdict::ok, thread == 0 ? before_wrap : a_bucket_later, slow); }
  void after() { check_opened_once(breaker_cause::slow_rate); }
};
MODEL_SCENARIO("compact_breaker", compact_two_slow, {.weak_failures = 0});

// The window holds a failure; a success that brings the minimum, and a failure: whoever looks last sees both.
struct compact_success_brings_the_minimum : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_success_brings_the_minimum() : compact_scenario(by_rate(600, 3)) { call(3, verdict::transient, before_wrap); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::ok, a_bucket_later);
    } else {
      call(1, verdict::timeout, before_wrap);
    }
  }
  void after() { check_opened_once(breaker_cause::failure_rate); }
};
MODEL_SCENARIO("compact_breaker", compact_success_brings_the_minimum, {.weak_failures = 0});

// It never opens on a share that no order of the reports gives: the success comes before the failure, in another bucket.
struct compact_never_too_early : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_never_too_early() : compact_scenario(by_rate(600, 1)) { call(3, verdict::ok, before_wrap); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::ok, before_wrap);
      call(0, verdict::transient, a_bucket_later);
    } else {
      call(1, verdict::transient, a_bucket_later);
    }
  }
  void after() {
    const compact_breaker_snapshot s = check_chain(a_bucket_later);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.window_ok == 2);
    MODEL_CHECK(s.window_failed == 2);
  }
};
MODEL_SCENARIO("compact_breaker", compact_never_too_early, {.weak_failures = 0});

// Who reads the sums meanwhile finds with each failure the successes before it, in whichever bucket they lie. [K1] [K2]
struct compact_sums {
  static constexpr unsigned threads = 2;
  compact_window window;
  static void check(const compact_window::sums& s) {
    MODEL_CHECK(s.failed <= s.ok);
    MODEL_CHECK(s.slow <= s.timed);
    MODEL_CHECK(s.timed <= 4);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      window.count(11, 5, false, false);
      window.count(12, 5, true, false);
      window.count(12, 5, false, false);
      window.count(11, 5, true, true);
    } else {
      check(window.counts(12, 5));
    }
  }
  void after() { MODEL_CHECK((window.counts(12, 5) == compact_window::sums{2, 2, 1, 4})); }
  void after_death(unsigned) { check(window.counts(12, 5)); }
};
MODEL_SCENARIO("compact_breaker", compact_sums, {});

// A bucket that is halved between the two looks of a reader gives no share that it never had.
struct compact_halved {
  static constexpr unsigned threads = 2;
  compact_window window;
  compact_halved() { compact_start::set(window, 11, 5, compact_window::most_bad, compact_window::most_bad); }
  void run(unsigned thread) {
    if (thread == 0) {
      window.count(11, 5, false, false);
      window.count(11, 5, true, false);
    } else {
      const compact_window::sums s = window.counts(11, 5);
      MODEL_CHECK(s.failed <= s.ok);
    }
  }
  void after() { MODEL_CHECK(window.counts(11, 5).ok == compact_window::most_bad / 2 + 1U); }
};
MODEL_SCENARIO("compact_breaker", compact_halved, {});

// A result of the state before never takes away one of the next.
struct compact_two_generations {
  static constexpr unsigned threads = 2;
  compact_window window;
  void run(unsigned thread) { window.count(11, thread == 0 ? last_generation : 2, true, false); }
  void after() {
    MODEL_CHECK(window.counts(11, 2).failed == 1);
    MODEL_CHECK(window.counts(11, last_generation).failed == 0);
  }
};
MODEL_SCENARIO("compact_breaker", compact_two_generations, {});

// A result of a generation that is half around the circle from a bucket's is a newer one.
struct compact_far_generations {
  static constexpr unsigned threads = 2;
  compact_window window;
  compact_far_generations() { window.count(11, 5, true, false); }
  void run(unsigned thread) {
    if (thread == 0) {
      window.count(11, 3005, true, false);
    } else {
      window.touch(11, 3005);
    }
  }
  void after() { MODEL_CHECK(window.counts(11, 3005).failed == 1); }
};
MODEL_SCENARIO("compact_breaker", compact_far_generations, {});

// A touch that is late takes no trace of the next state away.
struct compact_late_touch {
  static constexpr unsigned threads = 2;
  compact_window window;
  void run(unsigned thread) { window.touch(11, thread == 0 ? last_generation : 2); }
  void after() { MODEL_CHECK(window.used_within(4, 11, 2)); }
};
MODEL_SCENARIO("compact_breaker", compact_late_touch, {});

// What lies in the ring for 2^18 buckets, in which its epoch has come around but not its place, is not counted again.
struct compact_long_ago {
  static constexpr unsigned threads = 2;
  static constexpr std::uint64_t now = 11 + (std::uint64_t{1} << 18U);
  compact_window window;
  compact_long_ago() { window.count(11, 5, true, true); }
  void run(unsigned thread) {
    if (thread == 0) {
      window.count(now, 5, false, false);
    } else {
      MODEL_CHECK(window.counts(now, 5).failed == 0);
    }
  }
  void after() { MODEL_CHECK((window.counts(now, 5) == compact_window::sums{1, 0, 0, 1})); }
};
MODEL_SCENARIO("compact_breaker", compact_long_ago, {});

// A touch takes nothing away that is counted.
struct compact_touched {
  static constexpr unsigned threads = 2;
  compact_window window;
  compact_touched() { window.count(6, 5, true, false); }  // the same place, long ago
  void run(unsigned thread) {
    if (thread == 0) {
      window.touch(11, 5);
    } else {
      window.count(11, 5, true, false);
    }
  }
  void after() { MODEL_CHECK((window.counts(11, 5) == compact_window::sums{0, 1, 0, 1})); }
};
MODEL_SCENARIO("compact_breaker", compact_touched, {});

// The failures have left the window and a success takes the mark away, while another failure comes in: the mark is there
// when both are done, so the next success looks and opens. [C1] [C2]
struct compact_mark_taken : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_mark_taken() : compact_scenario(by_rate(300, 3)) { call(3, verdict::transient, before_wrap); }
  void run(unsigned thread) { call(thread, thread == 0 ? verdict::transient : verdict::ok, a_window_later); }
  void after() {
    MODEL_CHECK(check_chain(a_window_later).state == breaker_state::closed);
    MODEL_CHECK(compact_start::get(breaker).dirty());
    call(3, verdict::ok, a_window_later);
    MODEL_CHECK(check_chain(a_window_later).state == breaker_state::open);
  }
};
MODEL_SCENARIO("compact_breaker", compact_mark_taken, {.weak_failures = 0});

// --- what is forgotten

// A row of long ago is forgotten once: both failures that end the disuse are in the row behind it, whoever forgot. [C3] [C4]
struct compact_row_forgotten : compact_scenario {
  static constexpr unsigned threads = 2;
  compact_row_forgotten() : compact_scenario(in_row(4), closed_word.with_streak(3)) {}
  void run(unsigned thread) { call(thread, verdict::transient, a_window_later); }
  void after() {
    const compact_breaker_snapshot s = check_chain(a_window_later);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.failures_in_row == 2);
  }
};
MODEL_SCENARIO("compact_breaker", compact_row_forgotten, {});

}  // namespace
