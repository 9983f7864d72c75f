// SPDX-License-Identifier: MIT
// The breaker's window: results counted by threads with places of their own and by threads that share one, the shares of
// failed and slow calls that are read from them, and the dirty mark that says when to look.
#include <utility>

#include "holdfast/policy/breaker_window.hpp"
#include "holdfast/policy/circuit_breaker.hpp"

#include "model/breaker_scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point early = at_tick(tick_wrap - 100);
constexpr time_point next_window = at_tick(tick_wrap + 100);  // the window of `early` is over, and the tick has wrapped

struct window_scenario {
  circuit_breaker breaker;
  ledger told;
  explicit window_scenario(const circuit_breaker_options& o)
      : breaker(o), begin(breaker_state::closed, 0xFFFF, 0, tick_wrap - 200) {
    breaker_start::set(breaker, begin);
  }
  void call(unsigned thread, verdict v, time_point now, duration took = fast) {
    auto a = breaker.admit(now);
    told.add(thread, a.transition);
    if (a) told.add(thread, breaker.report(std::move(a.ticket), v, now, took).transition);
  }
  breaker_snapshot check_chain(time_point now) const {
    const breaker_snapshot s = breaker.snapshot(now);
    told.check_chain(begin, s);
    return s;
  }
  void check_opened_once(breaker_cause why = breaker_cause::failure_rate) const {
    const breaker_snapshot s = check_chain(early);
    MODEL_CHECK(s.state == breaker_state::open);
    MODEL_CHECK(s.opens == 1);
    MODEL_CHECK(told.count(why) == 1);
  }
  breaker_word begin;
};

// --- the rate

// Two failures together are the limit: at least one of those who report them sees both, and one opens. [F1]
struct two_failures : window_scenario {
  static constexpr unsigned threads = 2;
  two_failures() : window_scenario(by_rate(1000, 2)) {}
  void run(unsigned thread) { call(thread, verdict::transient, early); }
  void after() { check_opened_once(); }
};
struct two_failures_own : two_failures {};
struct two_failures_one_shares : two_failures {};
struct two_failures_both_share : two_failures {};
MODEL_SCENARIO("breaker_window", two_failures_own, {.weak_failures = 0, .slots = 2});
MODEL_SCENARIO("breaker_window", two_failures_one_shares, {.weak_failures = 0, .slots = 1});
MODEL_SCENARIO("breaker_window", two_failures_both_share, {.weak_failures = 1, .slots = 0});

// The window holds a failure; a success that brings the minimum and a failure: whoever looks last sees both.
struct success_brings_the_minimum : window_scenario {
  static constexpr unsigned threads = 2;
  success_brings_the_minimum() : window_scenario(by_rate(600, 3)) { call(3, verdict::transient, early); }
  void run(unsigned thread) { call(thread, thread == 0 ? verdict::ok : verdict::timeout, early); }
  void after() { check_opened_once(); }
};
MODEL_SCENARIO("breaker_window", success_brings_the_minimum, {.weak_failures = 0, .slots = 1});

// It never opens on a rate that no order of the reports gives: the success of each comes before its failure.
struct never_too_early : window_scenario {
  static constexpr unsigned threads = 2;
  never_too_early() : window_scenario(by_rate(600, 1)) { call(3, verdict::ok, early); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::ok, early);
      call(0, verdict::transient, early);
    } else {
      call(1, verdict::transient, early);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(early);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.window_ok == 2);
    MODEL_CHECK(s.window_failed == 2);
  }
};
struct never_too_early_own : never_too_early {};
MODEL_SCENARIO("breaker_window", never_too_early_own, {.weak_failures = 0, .slots = 2});

// --- slow calls

// As two_failures: of two threads that report a slow success at least one sees both. [F1]
struct two_slow : window_scenario {
  static constexpr unsigned threads = 2;
  two_slow() : window_scenario(by_time(1000, 2)) {}
  void run(unsigned thread) { call(thread, verdict::ok, early, slow); }
  void after() { check_opened_once(breaker_cause::slow_rate); }
};
struct two_slow_own : two_slow {};
struct two_slow_one_shares : two_slow {};
MODEL_SCENARIO("breaker_window", two_slow_own, {.weak_failures = 0, .slots = 2});
MODEL_SCENARIO("breaker_window", two_slow_one_shares, {.weak_failures = 0, .slots = 1});

// The window holds a slow call; a fast one of any kind that brings the minimum, and a slow one: whoever looks last sees
// both.
struct fast_call_brings_the_minimum : window_scenario {
  static constexpr unsigned threads = 2;
  fast_call_brings_the_minimum() : window_scenario(by_time(600, 3)) { call(3, verdict::ok, early, slow); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, choose(2) == 0 ? verdict::ok : verdict::transient, early);
    } else {
      call(1, verdict::ok, early, slow);
    }
  }
  void after() { check_opened_once(breaker_cause::slow_rate); }
};
MODEL_SCENARIO("breaker_window", fast_call_brings_the_minimum, {.weak_failures = 0, .slots = 1});

// It never opens on a share that no order of the reports gives: a fast failure comes before the slow success.
struct never_too_early_by_time : window_scenario {
  static constexpr unsigned threads = 2;
  never_too_early_by_time() : window_scenario(by_time(600, 1)) { call(3, verdict::ok, early); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::transient, early);
      call(0, verdict::ok, early, slow);
    } else {
      call(1, verdict::ok, early, slow);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(early);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.window_ok == 3);
    MODEL_CHECK(s.window_failed == 1);
    MODEL_CHECK(s.window_slow == 2);
  }
};
MODEL_SCENARIO("breaker_window", never_too_early_by_time, {.weak_failures = 0, .slots = 2});

// Nor on a share of failures, when the success before the failure was slow.
struct never_too_early_after_slow : window_scenario {
  static constexpr unsigned threads = 2;
  static constexpr circuit_breaker_options both() {
    circuit_breaker_options o = by_time(1000, 1);
    o.failure_permille = 600;
    return o;
  }
  never_too_early_after_slow() : window_scenario(both()) { call(3, verdict::ok, early); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::ok, early, slow);
      call(0, verdict::transient, early);
    } else {
      call(1, verdict::transient, early);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(early);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.window_ok == 2);
    MODEL_CHECK(s.window_failed == 2);
    MODEL_CHECK(s.window_slow == 1);
  }
};
MODEL_SCENARIO("breaker_window", never_too_early_after_slow, {.weak_failures = 0, .slots = 2});

// --- the last calls

constexpr circuit_breaker_options by_last(std::uint16_t calls, std::uint16_t permille, std::uint16_t min_calls) {
  circuit_breaker_options o = in_row(0);
  o.last_calls = calls;
  o.last_failure_permille = permille;
  o.last_min_calls = min_calls;
  return o;
}

// Two reporters at the edge: the one that comes second in the order of the results opens, and no one else.
struct two_among_the_last : window_scenario {
  static constexpr unsigned threads = 2;
  two_among_the_last() : window_scenario(by_last(2, 1000, 2)) {}
  void run(unsigned thread) { call(thread, verdict::transient, early); }
  void after() { check_opened_once(); }
};
MODEL_SCENARIO("breaker_window", two_among_the_last, {.weak_failures = 0, .slots = 1});

// The success that brings the minimum and the failure that brings the share: the second one of them opens.
struct success_brings_the_minimum_of_the_last : window_scenario {
  static constexpr unsigned threads = 2;
  success_brings_the_minimum_of_the_last() : window_scenario(by_last(8, 600, 3)) { call(3, verdict::transient, early); }
  void run(unsigned thread) { call(thread, thread == 0 ? verdict::ok : verdict::timeout, early); }
  void after() { check_opened_once(); }
};
MODEL_SCENARIO("breaker_window", success_brings_the_minimum_of_the_last, {.weak_failures = 0, .slots = 1});

// It never opens on a share that no order of the reports gives: of the last two one is always a success, but where both
// failures come together.
struct never_too_early_among_the_last : window_scenario {
  static constexpr unsigned threads = 2;
  never_too_early_among_the_last() : window_scenario(by_last(4, 600, 1)) { call(3, verdict::ok, early); }
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::ok, early);
      call(0, verdict::transient, early);
    } else {
      call(1, verdict::transient, early);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(early);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.last_calls == 4);
    MODEL_CHECK(s.last_failed == 2);
  }
};
MODEL_SCENARIO("breaker_window", never_too_early_among_the_last, {.weak_failures = 0, .slots = 0});

// I2: a state ends, by hand, while results of it are counted: the window of the next closed state holds its own results alone.
struct state_ends_among_the_last : window_scenario {
  static constexpr unsigned threads = 2;
  bool counted_anew = false;
  state_ends_among_the_last() : window_scenario(by_last(4, 1000, 4)) { call(3, verdict::transient, early); }
  void run(unsigned thread) {
    if (thread == 0) {
      told.add(0, breaker.metrics_only(early));
      told.add(0, breaker.release(early));
      call(0, verdict::transient, early);
      return;
    }
    auto a = breaker.admit(early);
    const std::uint16_t generation = a.ticket.generation();
    const auto r = breaker.report(std::move(a.ticket), verdict::transient, early);
    counted_anew = !r.dropped_stale && generation == 1;
  }
  void after() {
    const breaker_snapshot s = check_chain(early);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.generation == 1);
    MODEL_CHECK(s.last_calls == (counted_anew ? 2U : 1U));
    MODEL_CHECK(s.last_failed == s.last_calls);
  }
};
MODEL_SCENARIO("breaker_window", state_ends_among_the_last, {.weak_failures = 0, .slots = 1});

// --- the window by itself

constexpr window_shape shape(by_rate(500, 1).window);
constexpr breaker_word counted_word(breaker_state::closed, 0xFFFF, 0, 1);

// Who reads the sums meanwhile finds no more than was reported, and with each failure the successes before it. [W1] [W2]
template <unsigned Writers>
struct sums {
  static constexpr unsigned threads = Writers + 1;
  breaker_window window;
  void run(unsigned thread) {
    if (thread < Writers) {
      window.count_ok(shape, counted_word, early);
      window.count_failed(shape, counted_word, early);
      return;
    }
    const breaker_window::sums s = window.counts(shape.epoch(early), counted_word.generation());
    MODEL_CHECK(s.ok <= Writers);
    MODEL_CHECK(s.failed <= s.ok);
  }
  void after() {
    const breaker_window::sums s = window.counts(shape.epoch(early), counted_word.generation());
    MODEL_CHECK(s.ok == Writers);
    MODEL_CHECK(s.failed == Writers);
  }
  // Either a result was counted or it was not; the rest is there.
  void after_death(unsigned dead) {
    const breaker_window::sums s = window.counts(shape.epoch(early), counted_word.generation());
    MODEL_CHECK(s.ok <= Writers);
    MODEL_CHECK(s.failed <= s.ok);
    if (dead == Writers) MODEL_CHECK(s.failed == Writers);
  }
};
struct sums_own : sums<1> {};
struct sums_shared : sums<1> {};
struct sums_of_two : sums<2> {};
MODEL_SCENARIO("breaker_window", sums_own, {.slots = 1});
MODEL_SCENARIO("breaker_window", sums_shared, {.slots = 0});
MODEL_SCENARIO("breaker_window", sums_of_two, {.weak_failures = 0, .dies = false, .slots = 0});

// Slow calls: who reads finds with each failure the successes before it and with each slow call the fast ones before it,
// though one success is slow and one failure fast. [W1] [W2]
struct slow_and_failed_count {
  static constexpr unsigned threads = 2;
  breaker_window window;
  [[nodiscard]] breaker_window::sums look() const {
    return window.counts(shape.epoch(early), counted_word.generation(), true);
  }
  static void check(const breaker_window::sums& s) {
    MODEL_CHECK(s.ok <= 2);
    MODEL_CHECK(s.fast <= 2);
    MODEL_CHECK(s.failed <= s.ok);
    MODEL_CHECK(s.slow <= s.fast);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      window.count_ok(shape, counted_word, early);
      window.count_slow(shape, counted_word, false, early);
      window.count_failed(shape, counted_word, early);
      window.count_slow(shape, counted_word, true, early);
      return;
    }
    check(look());
  }
  void after() { MODEL_CHECK((look() == breaker_window::sums{.ok = 2, .failed = 2, .fast = 2, .slow = 2})); }
  void after_death(unsigned) { check(look()); }
};
struct slow_count_own : slow_and_failed_count {};
struct slow_count_shared : slow_and_failed_count {};
MODEL_SCENARIO("breaker_window", slow_count_own, {.slots = 1});
MODEL_SCENARIO("breaker_window", slow_count_shared, {.slots = 0});

// The hot path counts on in a place of its own, from one stretch of time to the next and over the wrap of the epoch.
struct hot_path {
  static constexpr unsigned threads = 3;
  static constexpr std::int64_t epoch_wrap = (std::int64_t{1} << 24U) * 10'000'000;  // of the epoch in a bucket's word
  static constexpr time_point before{duration(epoch_wrap - 1'000'000)};
  static constexpr time_point behind{duration(epoch_wrap + 1'000'000)};
  breaker_window window;
  void count(unsigned thread, time_point now) {
    if (!window.try_count_ok(thread, counted_word, now)) window.count_ok(shape, counted_word, now);
  }
  void run(unsigned thread) {
    if (thread < 2) {
      count(thread, before);
      count(thread, before);
      count(thread, behind);
      return;
    }
    const std::uint64_t ok = window.counts(shape.epoch(behind), counted_word.generation()).ok;
    MODEL_CHECK(ok <= 6);
  }
  void after() {
    MODEL_CHECK(window.counts(shape.epoch(behind), counted_word.generation()).ok == 6);
    MODEL_CHECK(window.counts(shape.epoch(behind) + 15, counted_word.generation()).ok == 2);
    MODEL_CHECK(window.counts(shape.epoch(behind) + 16, counted_word.generation()).ok == 0);
    // I2: a count of another generation is no count of this one.
    MODEL_CHECK(window.counts(shape.epoch(behind), 0).ok == 0);
  }
};
MODEL_SCENARIO("breaker_window", hot_path, {.slots = 2});

// In the shared place a result of the generation before never takes away one of the next; over the wrap.
struct two_generations {
  static constexpr unsigned threads = 2;
  breaker_window window;
  void run(unsigned thread) {
    if (thread == 0) {
      window.count_failed(shape, counted_word, early);
    } else {
      window.count_failed(shape, counted_word.next(breaker_state::closed, 0, 1), early);
    }
  }
  void after() {
    MODEL_CHECK(window.counts(shape.epoch(early), 0).failed == 1);
    MODEL_CHECK(window.counts(shape.epoch(early), 0xFFFF).failed == 0);
  }
};
MODEL_SCENARIO("breaker_window", two_generations, {.slots = 0});

// Refusals are counted where results are.
struct refused {
  static constexpr unsigned threads = 3;
  breaker_window window;
  void run(unsigned thread) {
    if (thread < 2) {
      window.count_refused();
      window.count_refused();
    } else {
      MODEL_CHECK(window.refused() <= 4);
    }
  }
  void after() { MODEL_CHECK(window.refused() == 4); }
};
struct refused_own : refused {};
struct refused_one_shares : refused {};
MODEL_SCENARIO("breaker_window", refused_own, {.slots = 2});
MODEL_SCENARIO("breaker_window", refused_one_shares, {.slots = 1});

// --- the dirty mark

// The failures have left the window and a success takes the mark away, while another failure comes in: the mark is there
// when both are done, so the next success looks and opens. [F1] [F2]
template <unsigned Threads>
struct mark_taken : window_scenario {
  static constexpr unsigned threads = Threads;
  mark_taken() : window_scenario(by_rate(300, Threads + 1)) { call(3, verdict::transient, early); }
  void run(unsigned thread) { call(thread, thread == 0 ? verdict::transient : verdict::ok, next_window); }
  void after() {
    MODEL_CHECK(check_chain(next_window).state == breaker_state::closed);
    MODEL_CHECK(breaker_start::get(breaker).dirty());
    call(3, verdict::ok, next_window);
    if (Threads == 2) MODEL_CHECK(check_chain(next_window).state == breaker_state::open);
  }
};
struct mark_taken_own : mark_taken<2> {};
struct mark_taken_shared : mark_taken<2> {};
MODEL_SCENARIO("breaker_window", mark_taken_own, {.weak_failures = 0, .slots = 2});
MODEL_SCENARIO("breaker_window", mark_taken_shared, {.weak_failures = 0, .slots = 0});

// The same with slow calls; the one that looks at last is a failure, which no rule counts here.
struct mark_taken_from_slow : window_scenario {
  static constexpr unsigned threads = 2;
  mark_taken_from_slow() : window_scenario(by_time(300, 3)) { call(3, verdict::ok, early, slow); }
  void run(unsigned thread) { call(thread, verdict::ok, next_window, thread == 0 ? slow : fast); }
  void after() {
    MODEL_CHECK(check_chain(next_window).state == breaker_state::closed);
    MODEL_CHECK(breaker_start::get(breaker).dirty());
    call(3, verdict::transient, next_window);
    MODEL_CHECK(check_chain(next_window).state == breaker_state::open);
  }
};
struct mark_taken_from_slow_own : mark_taken_from_slow {};
struct mark_taken_from_slow_shared : mark_taken_from_slow {};
MODEL_SCENARIO("breaker_window", mark_taken_from_slow_own, {.weak_failures = 0, .slots = 2});
MODEL_SCENARIO("breaker_window", mark_taken_from_slow_shared, {.weak_failures = 0, .slots = 0});

}  // namespace
