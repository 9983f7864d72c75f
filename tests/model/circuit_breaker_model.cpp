// SPDX-License-Identifier: MIT
// The breaker's word: openings, probes, leases, hands on the switch, and threads that die. The window is not in play.
#include <array>
#include <utility>

#include "holdfast/policy/circuit_breaker.hpp"

#include "model/breaker_scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// The last generation before the wrap, and times around the wrap of the tick.
constexpr std::uint16_t last_generation = 0xFFFF;
constexpr time_point before_wrap = at_tick(tick_wrap - 1);
constexpr time_point after_wrap = at_tick(tick_wrap + 1);
constexpr time_point later = at_tick(tick_wrap + 4);
constexpr time_point much_later = at_tick(tick_wrap + 20);
constexpr duration two_ms = duration(2 * one_tick);  // a lease or an open time, rounded up to ticks

struct breaker_scenario {
  circuit_breaker breaker;
  breaker_word begin;
  ledger told;

  explicit breaker_scenario(const circuit_breaker_options& options, breaker_word word = {})
      : breaker(options), begin(word) {
    breaker_start::set(breaker, word);
  }
  circuit_breaker::permit admit(unsigned thread, time_point now) {
    circuit_breaker::admission a = breaker.admit(now);
    told.add(thread, a.transition);
    return std::move(a.ticket);
  }
  bool report(unsigned thread, circuit_breaker::permit&& ticket, verdict v, time_point now) {
    const circuit_breaker::report_result r = breaker.report(std::move(ticket), v, now);
    told.add(thread, r.transition);
    return !r.dropped_stale;
  }
  void call(unsigned thread, verdict v, time_point now) {
    if (auto ticket = admit(thread, now)) report(thread, std::move(ticket), v, now);
  }
  breaker_snapshot check_chain(time_point now) const {
    const breaker_snapshot s = breaker.snapshot(now);
    told.check_chain(begin, s);
    return s;
  }
  // I3, whoever died: calls that keep coming get in. At worst one finds the quota taken, the next the lease over and
  // the circuit opened anew, and the one after that open time is let through.
  void check_not_wedged() {
    if (admit(3, later) || admit(3, later + two_ms)) return;
    MODEL_CHECK(admit(3, later + two_ms + two_ms));
  }
};

constexpr breaker_word closed_word{breaker_state::closed, last_generation, 0, tick_wrap - 2};
constexpr breaker_word open_word{breaker_state::open, last_generation, 1, tick_wrap - 1};
constexpr breaker_word half_open_word =
    breaker_word(breaker_state::half_open, last_generation, 1, breaker_tick::after(before_wrap, two_ms));

// --- opening

template <unsigned Threads>
struct fail_at_once : breaker_scenario {
  static constexpr unsigned threads = Threads;
  fail_at_once() : breaker_scenario(in_row(2), closed_word) {}
  void run(unsigned thread) { call(thread, verdict::transient, before_wrap); }
  void after() {
    const breaker_snapshot s = check_chain(before_wrap);
    MODEL_CHECK(s.state == breaker_state::open);
    MODEL_CHECK(s.opens == 1);
    MODEL_CHECK(told.count(breaker_cause::consecutive_failures) == 1);
    // I4, over the wrap
    MODEL_CHECK(!breaker.admit(after_wrap - duration(1)));
  }
  void after_death(unsigned) { check_not_wedged(); }
};
using two_fail_at_once = fail_at_once<2>;
using three_fail_at_once = fail_at_once<3>;
MODEL_SCENARIO("circuit_breaker", two_fail_at_once, {});
MODEL_SCENARIO("circuit_breaker", three_fail_at_once, {.weak_failures = 0});

// A success between two failures breaks the row, in whatever order; the count is exact.
struct success_breaks_the_row : breaker_scenario {
  static constexpr unsigned threads = 2;
  bool between = false;
  success_breaks_the_row() : breaker_scenario(in_row(2), closed_word) {}
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::transient, before_wrap);
      call(0, verdict::ok, before_wrap);
      call(0, verdict::transient, before_wrap);
    } else {
      call(1, verdict::ok, before_wrap);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(before_wrap);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(s.failures_in_row <= 1);
  }
};
MODEL_SCENARIO("circuit_breaker", success_breaks_the_row, {});

// A slow success breaks the row and leaves the mark, in one step: neither takes away what a failure does meanwhile.
struct slow_success_breaks_the_row : breaker_scenario {
  static constexpr unsigned threads = 2;
  static constexpr circuit_breaker_options both() {
    circuit_breaker_options o = in_row(2);
    o.slow_call = slow;
    o.slow_permille = 1000;
    o.min_calls = 100;
    return o;
  }
  slow_success_breaks_the_row() : breaker_scenario(both(), closed_word) {}
  void run(unsigned thread) {
    if (thread == 0) {
      call(0, verdict::transient, before_wrap);
    } else {
      auto ticket = admit(1, before_wrap);
      told.add(1, breaker.report(std::move(ticket), verdict::ok, before_wrap, slow).transition);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(before_wrap);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(breaker_start::get(breaker).dirty());
    MODEL_CHECK(s.window_slow == 1);
    call(3, verdict::transient, before_wrap);
    MODEL_CHECK((breaker.state() == breaker_state::open) == (s.failures_in_row != 0));
  }
};
MODEL_SCENARIO("circuit_breaker", slow_success_breaks_the_row, {});

// --- probes

// I1: at the end of the open time three ask; as many as there are probes get in, all in one generation.
template <unsigned Probes>
struct three_ask : breaker_scenario {
  static constexpr unsigned threads = 3;
  std::array<circuit_breaker::permit, 3> out;
  three_ask() : breaker_scenario(in_row(2, Probes), open_word) {}
  void run(unsigned thread) { out[thread] = admit(thread, after_wrap); }
  void after() {
    check_chain(after_wrap);
    unsigned in = 0;
    for (auto& p : out) {
      if (!p) continue;
      ++in;
      MODEL_CHECK(p.is_probe());
      MODEL_CHECK(p.generation() == 0);
    }
    MODEL_CHECK(in == Probes);
    MODEL_CHECK(told.count(breaker_cause::open_time_over) == 1);
    out = {};
    MODEL_CHECK(breaker.snapshot(after_wrap).probes_issued == 0);
    MODEL_CHECK(breaker.snapshot(after_wrap).probes_returned == Probes);
  }
  void after_death(unsigned) { check_not_wedged(); }
};
using three_ask_for_one = three_ask<1>;
using three_ask_for_two = three_ask<2>;
MODEL_SCENARIO("circuit_breaker", three_ask_for_one, {.weak_failures = 0});
MODEL_SCENARIO("circuit_breaker", three_ask_for_two, {.weak_failures = 0});

// I1 with every end that a probe can have. A place that came back may be given again; the others may not.
template <unsigned Threads, unsigned Probes>
struct probes_end : breaker_scenario {
  static constexpr unsigned threads = Threads;
  struct fate {
    bool kept = false;  // was a probe, and did not give its place back
    std::uint16_t generation = 0;
  };
  std::array<fate, 3> fates{};
  probes_end() : breaker_scenario(in_row(2, Probes), open_word) {}
  void run(unsigned thread) {
    constexpr verdict ends[] = {verdict::ok, verdict::transient, verdict::cancelled};
    auto ticket = admit(thread, after_wrap);
    if (!ticket) return;
    const bool probe = ticket.is_probe();
    fates[thread].generation = ticket.generation();
    // With three threads one end each, or there are too many: the first succeeds or is dropped, the second fails.
    const unsigned end = Threads == 2 ? choose(4) : thread == 0 ? choose(2) * 3 : thread == 1 ? 1 : 0;
    if (end == 3) return;  // dropped without a report
    const bool counted = report(thread, std::move(ticket), ends[end], after_wrap);
    fates[thread].kept = probe && (end < 2 || !counted);
  }
  void after() {
    const breaker_snapshot s = check_chain(after_wrap);
    for (const fate& f : fates) {
      unsigned same = 0;
      for (const fate& g : fates) same += f.kept && g.kept && f.generation == g.generation ? 1U : 0U;
      MODEL_CHECK(same <= Probes);
    }
    MODEL_CHECK(s.probes_issued <= Probes);
    MODEL_CHECK(s.probes_ok <= s.probes_issued);
    check_not_wedged();
  }
  void after_death(unsigned) { check_not_wedged(); }
};
using two_probes_end = probes_end<2, 1>;
using three_probes_end = probes_end<3, 2>;
MODEL_SCENARIO("circuit_breaker", two_probes_end, {});
MODEL_SCENARIO("circuit_breaker", three_probes_end, {.weak_failures = 0, .dies = false});

// With two probes the circuit closes by the second success, whoever has it, and never by the first.
struct closes_by_the_last : breaker_scenario {
  static constexpr unsigned threads = 2;
  unsigned reporting = 0;  // successes that have begun to be reported
  closes_by_the_last() : breaker_scenario(in_row(2, 2), open_word) {}
  void run(unsigned thread) {
    auto ticket = admit(thread, after_wrap);
    MODEL_CHECK(ticket.is_probe());
    ++reporting;
    report(thread, std::move(ticket), verdict::ok, after_wrap);
    if (breaker.state() == breaker_state::closed) MODEL_CHECK(reporting == 2);
  }
  void after() {
    const breaker_snapshot s = check_chain(after_wrap);
    MODEL_CHECK(s.state == breaker_state::closed);
    MODEL_CHECK(told.count(breaker_cause::probes_passed) == 1);
  }
};
MODEL_SCENARIO("circuit_breaker", closes_by_the_last, {});

// A probe that is dropped gives its place back to one of those that ask.
struct dropped_probe : breaker_scenario {
  static constexpr unsigned threads = 3;
  circuit_breaker::permit probe;
  std::array<circuit_breaker::permit, 3> out;
  dropped_probe() : breaker_scenario(in_row(2), half_open_word) { probe = admit(3, before_wrap); }
  void run(unsigned thread) {
    if (thread == 0) {
      probe = {};
    } else {
      out[thread] = admit(thread, before_wrap);
    }
  }
  void after() {
    check_chain(before_wrap);
    MODEL_CHECK(!(out[1] && out[2]));
    const bool taken = out[1] || out[2];
    MODEL_CHECK(static_cast<bool>(admit(3, before_wrap)) != taken);
  }
  void after_death(unsigned) { check_not_wedged(); }
};
MODEL_SCENARIO("circuit_breaker", dropped_probe, {.weak_failures = 0});

// --- leases

// The lease ends while its probe reports: the result counts or is dropped, never both, and only the asking thread may
// renew.
template <unsigned Threads, lease_expiry Then>
struct lease_ends : breaker_scenario {
  static constexpr unsigned threads = Threads;
  circuit_breaker::permit probe;
  std::array<circuit_breaker::permit, 3> out;
  bool counted = false;
  unsigned verdict_chosen = 0;
  lease_ends() : breaker_scenario(in_row(2, 1, Then), half_open_word) { probe = admit(3, before_wrap); }
  void run(unsigned thread) {
    constexpr verdict ends[] = {verdict::ok, verdict::timeout, verdict::cancelled};
    if (thread == 0) {
      verdict_chosen = choose(3);
      counted = report(0, std::move(probe), ends[verdict_chosen], later);
    } else {
      out[thread] = admit(thread, later);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(later);
    const unsigned over = told.count(breaker_cause::lease_over);
    MODEL_CHECK(over <= 1);
    MODEL_CHECK(counted == (over == 0));
    MODEL_CHECK(s.leases_over == over);
    MODEL_CHECK(s.stale_dropped == over);
    if (over == 1)
      MODEL_CHECK(s.state == (Then == lease_expiry::renew ? breaker_state::half_open : breaker_state::open));
    unsigned probes = 0;
    for (auto& p : out) probes += p && p.is_probe() ? 1U : 0U;
    MODEL_CHECK(probes <= 1);
  }
  void after_death(unsigned) { check_not_wedged(); }
};
using lease_ends_renewed = lease_ends<2, lease_expiry::renew>;
using lease_ends_reopened = lease_ends<2, lease_expiry::reopen>;
using lease_ends_two_ask = lease_ends<3, lease_expiry::renew>;
MODEL_SCENARIO("circuit_breaker", lease_ends_renewed, {});
MODEL_SCENARIO("circuit_breaker", lease_ends_reopened, {});
MODEL_SCENARIO("circuit_breaker", lease_ends_two_ask, {.weak_failures = 0});

// --- late results

// I2: a result of the closed state before, while another thread takes the breaker through open and half-open to closed.
struct late_result : breaker_scenario {
  static constexpr unsigned threads = 2;
  circuit_breaker::permit old;
  bool counted = false;
  late_result() : breaker_scenario(in_row(1), closed_word) { old = admit(3, before_wrap); }
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
    const breaker_snapshot s = check_chain(later);
    MODEL_CHECK(s.stale_dropped == (counted ? 0 : 1) || s.stale_dropped == 1);
    MODEL_CHECK(s.failures_in_row == 0);
    MODEL_CHECK(s.opens <= 2);
    // What is dropped has moved nothing: the other thread's three steps are all that happened.
    if (!counted) MODEL_CHECK(s.generation == static_cast<std::uint16_t>(last_generation + 3));
  }
};
MODEL_SCENARIO("circuit_breaker", late_result, {});

// The same when the generation has come around to the permit's own: the tick tells them apart.
struct slept_through_the_wrap : breaker_scenario {
  static constexpr unsigned threads = 3;
  circuit_breaker::permit old;
  bool counted = true;
  slept_through_the_wrap() : breaker_scenario(in_row(2), closed_word) {
    old = admit(3, before_wrap);
    begin = closed_word.with_tick(tick_wrap + 1);
    breaker_start::set(breaker, begin);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      counted = report(0, std::move(old), verdict::transient, later);
    } else {
      call(thread, thread == 1 ? verdict::transient : verdict::ok, later);
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(later);
    MODEL_CHECK(!counted);
    MODEL_CHECK(s.stale_dropped == 1);
    MODEL_CHECK(s.state == breaker_state::closed);
  }
};
MODEL_SCENARIO("circuit_breaker", slept_through_the_wrap, {});

// --- by hand

// Whatever is done by hand meets reports in one chain, and a report never leaves a forced state.
template <unsigned Threads>
struct hands : breaker_scenario {
  static constexpr unsigned threads = Threads;
  hands() : breaker_scenario(in_row(1), closed_word) {}
  void run(unsigned thread) {
    switch (thread) {
      case 0: call(0, verdict::transient, before_wrap); break;
      case 1: {
        const unsigned what = choose(3);
        told.add(1, what == 0   ? breaker.isolate(before_wrap)
                    : what == 1 ? breaker.force_close(before_wrap)
                                : breaker.metrics_only(before_wrap));
        if (Threads == 2)
          told.add(1, breaker.release(before_wrap, choose(2) == 0 ? breaker_state::closed : breaker_state::half_open));
        break;
      }
      default: told.add(2, breaker.isolate(before_wrap)); break;
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(before_wrap);
    MODEL_CHECK(told.count(breaker_cause::manual) >= 1);
    if (Threads == 3) MODEL_CHECK(s.state >= breaker_state::forced_open);
    told.add(3, breaker.release(before_wrap));
    check_chain(before_wrap);
    check_not_wedged();
  }
  void after_death(unsigned) {
    told.add(3, breaker.release(before_wrap));
    check_not_wedged();
  }
};
using hand_and_report = hands<2>;
using two_hands_and_report = hands<3>;
MODEL_SCENARIO("circuit_breaker", hand_and_report, {});
MODEL_SCENARIO("circuit_breaker", two_hands_and_report, {.weak_failures = 0});

// Released to half-open while one asks and one with a permit of the forced state reports.
struct release_to_half_open : breaker_scenario {
  static constexpr unsigned threads = 3;
  circuit_breaker::permit old;
  circuit_breaker::permit out;
  bool counted = false;
  release_to_half_open()
      : breaker_scenario(in_row(1), breaker_word(breaker_state::forced_closed, last_generation, 0, tick_wrap - 2)) {
    old = admit(3, before_wrap);
  }
  void run(unsigned thread) {
    switch (thread) {
      case 0: told.add(0, breaker.release(before_wrap, breaker_state::half_open)); break;
      case 1: out = admit(1, before_wrap); break;
      default: counted = report(2, std::move(old), verdict::transient, before_wrap); break;
    }
  }
  void after() {
    const breaker_snapshot s = check_chain(before_wrap);
    MODEL_CHECK(out);  // forced closed lets through, and so does the first probe's place
    MODEL_CHECK(s.state == breaker_state::half_open);
    MODEL_CHECK(s.stale_dropped == (counted ? 0 : 1));
    MODEL_CHECK(s.probes_issued == (out.is_probe() ? 1 : 0));
  }
};
MODEL_SCENARIO("circuit_breaker", release_to_half_open, {});

// --- levels

// A level that is due falls once, however many successes see it due.
template <unsigned Threads>
struct level_falls : breaker_scenario {
  static constexpr unsigned threads = Threads;
  level_falls() : breaker_scenario(in_row(2), breaker_word(breaker_state::closed, 0, 3, tick_wrap - 2)) {}
  void run(unsigned thread) { call(thread, verdict::ok, later); }
  void after() {
    MODEL_CHECK(check_chain(later).level == 2);
    call(3, verdict::ok, later + duration(one_tick));
    MODEL_CHECK(check_chain(later).level == 2);
    call(3, verdict::ok, much_later);
    MODEL_CHECK(check_chain(later).level == 1);
  }
  void after_death(unsigned) {
    call(3, verdict::ok, much_later);
    MODEL_CHECK(breaker.snapshot(much_later).level <= 2);
  }
};
using level_falls_once = level_falls<2>;
using level_falls_once_for_three = level_falls<3>;
MODEL_SCENARIO("circuit_breaker", level_falls_once, {});
MODEL_SCENARIO("circuit_breaker", level_falls_once_for_three, {.weak_failures = 0});

// Not before it is due, in generation zero as in any other: it comes again after 2^16 transitions.
struct level_stays : breaker_scenario {
  static constexpr unsigned threads = 2;
  static constexpr std::int64_t closed_at = tick_wrap / 2;
  level_stays() : breaker_scenario(in_row(2), breaker_word(breaker_state::closed, 0, 3, closed_at)) {}
  void run(unsigned thread) { call(thread, verdict::ok, at_tick(closed_at + 1)); }
  void after() { MODEL_CHECK(check_chain(at_tick(closed_at + 1)).level == 3); }
};
MODEL_SCENARIO("circuit_breaker", level_stays, {});

// I8, and wait-free: who looks while states change sees one that was, and changes nothing.
struct looked_at : breaker_scenario {
  static constexpr unsigned threads = 3;
  looked_at() : breaker_scenario(in_row(1), closed_word) {}
  void run(unsigned thread) {
    if (thread < 2) {
      call(thread, verdict::transient, before_wrap);
      return;
    }
    const breaker_state first = breaker.state();
    const breaker_snapshot s = breaker.snapshot(before_wrap);
    MODEL_CHECK(first == breaker_state::closed || first == breaker_state::open);
    MODEL_CHECK(s.state >= first);  // never back
    MODEL_CHECK(s.generation == static_cast<std::uint16_t>(last_generation + (s.state == breaker_state::open ? 1 : 0)));
    MODEL_CHECK(s.opens <= 1);
    MODEL_CHECK(s.rejected <= 1);
  }
  void after() { check_chain(before_wrap); }
};
MODEL_SCENARIO("circuit_breaker", looked_at, {});

}  // namespace
