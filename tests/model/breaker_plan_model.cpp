// SPDX-License-Identifier: MIT
// Other options while a breaker is called (I8): no step goes by some of the old ones and some of the new ones, what is out
// counts as if nothing had happened, and no state is left by options older than those that it was entered by.
#include <array>
#include <chrono>
#include <utility>

#include "holdfast/policy/circuit_breaker.hpp"

#include "model/breaker_scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point early = at_tick(tick_wrap - 100);
constexpr breaker_word closed_word(breaker_state::closed, 0xFFFF, 0, tick_wrap - 200);

constexpr circuit_breaker_options opens_for(std::uint16_t failures, duration open) {
  circuit_breaker_options o = in_row(failures);
  o.open_base = o.open_max = open;
  return o;
}

struct changed_scenario {
  circuit_breaker breaker;
  breaker_word begin;
  ledger told;
  explicit changed_scenario(const circuit_breaker_options& o, breaker_word word = closed_word)
      : breaker(o), begin(word) {
    breaker_start::set(breaker, word);
  }
  circuit_breaker::report_result call(unsigned thread, verdict v, time_point now) {
    auto a = breaker.admit(now);
    told.add(thread, a.transition);
    if (!a) return {};
    const auto r = breaker.report(std::move(a.ticket), v, now);
    told.add(thread, r.transition);
    return r;
  }
};

// By the old options one failure opens it for two milliseconds, by the new ones two failures for a second.
struct changed_while_one_fails : changed_scenario {
  static constexpr unsigned threads = 2;
  static constexpr auto other = opens_for(2, std::chrono::seconds(1));
  changed_while_one_fails() : changed_scenario(opens_for(1, std::chrono::milliseconds(2))) {}
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(breaker.reconfigure(other, early));
    } else {
      call(1, verdict::transient, early);
    }
  }
  void after() {
    const breaker_snapshot s = breaker.snapshot(early);
    told.check_chain(begin, s);
    if (s.state == breaker_state::open) {
      MODEL_CHECK(s.open_remaining <= duration(3 * one_tick));
    } else {
      MODEL_CHECK(s.failures_in_row == 1);
      MODEL_CHECK(call(3, verdict::transient, early).transition.to == breaker_state::open);
      MODEL_CHECK(breaker.snapshot(early).open_remaining >= std::chrono::seconds(1));
    }
    MODEL_CHECK(breaker.options().consecutive_failures == 2);
  }
};
MODEL_SCENARIO("breaker_plan", changed_while_one_fails, {.weak_failures = 0});

// I4: opened for a day by one who knows the new options, it is not left after three hours by one who knows the old ones.
// [R1] [R2]
struct opened_for_longer : changed_scenario {
  static constexpr unsigned threads = 3;
  opened_for_longer() : changed_scenario(opens_for(1, std::chrono::milliseconds(2))) {}
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(breaker.reconfigure(opens_for(1, std::chrono::hours(24)), early));
    } else if (thread == 1) {
      if (breaker.options().open_max != std::chrono::hours(24)) return;
      call(1, verdict::transient, early);
    } else {
      const auto a = breaker.admit(early + std::chrono::hours(3));
      MODEL_CHECK(!a.ticket.is_probe());
    }
  }
  void after() { MODEL_CHECK(breaker.state() != breaker_state::half_open); }
};
MODEL_SCENARIO("breaker_plan", opened_for_longer, {.weak_failures = 0, .dies = false});

// A probe that is out while leases become shorter and probes more: its result counts, and the circuit is not wedged.
struct changed_while_a_probe_is_out : changed_scenario {
  static constexpr unsigned threads = 2;
  circuit_breaker::permit probe;
  static constexpr circuit_breaker_options with_probes(std::uint8_t probes, duration lease) {
    circuit_breaker_options o = in_row(1, probes);
    o.probe_lease = lease;
    return o;
  }
  changed_while_a_probe_is_out()
      : changed_scenario(with_probes(1, std::chrono::hours(1)),
                         breaker_word(breaker_state::open, 0xFFFF, 1, tick_wrap - 200)) {
    auto a = breaker.admit(early);
    told.add(3, a.transition);
    probe = std::move(a.ticket);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(breaker.reconfigure(with_probes(2, std::chrono::milliseconds(2)), early));
    } else {
      const auto r = breaker.report(std::move(probe), verdict::ok, early);
      MODEL_CHECK(!r.dropped_stale);
      told.add(1, r.transition);
    }
  }
  void after() {
    const breaker_snapshot s = breaker.snapshot(early);
    told.check_chain(begin, s);
    if (s.state == breaker_state::closed) return;
    MODEL_CHECK(s.state == breaker_state::half_open);
    MODEL_CHECK(s.probes_ok == 1);
    MODEL_CHECK(call(3, verdict::ok, early).transition.to == breaker_state::closed);
  }
};
MODEL_SCENARIO("breaker_plan", changed_while_a_probe_is_out, {.weak_failures = 0});

// Two change at once: one of them may be told that it is busy, and the options are whole.
struct two_change : changed_scenario {
  static constexpr unsigned threads = 2;
  std::array<bool, 2> done{};
  two_change() : changed_scenario(opens_for(1, std::chrono::milliseconds(2))) {}
  static constexpr circuit_breaker_options of(unsigned n) {
    return opens_for(static_cast<std::uint16_t>(n + 2), std::chrono::seconds(n + 2));
  }
  void run(unsigned thread) {
    const auto r = breaker.reconfigure(of(thread), early);
    MODEL_CHECK(!r.refused);
    MODEL_CHECK(r.busy != static_cast<bool>(r));
    done[thread] = static_cast<bool>(r);
  }
  unsigned check_whole() const {
    const circuit_breaker_options o = breaker.options();
    MODEL_CHECK(o.consecutive_failures >= 1);
    MODEL_CHECK(o.consecutive_failures <= 3);
    if (o.consecutive_failures > 1) MODEL_CHECK(o.open_max == std::chrono::seconds(o.consecutive_failures));
    return o.consecutive_failures;
  }
  void after() {
    const unsigned by = check_whole();
    MODEL_CHECK(by >= 2);
    MODEL_CHECK(done[by - 2]);
    MODEL_CHECK(breaker.reconfigure(of(5), early));
  }
  void after_death(unsigned) { check_whole(); }
};
MODEL_SCENARIO("breaker_plan", two_change, {.weak_failures = 0});

// The hot path ends with the shape that it was taken by, whichever of both comes first. [F3] [F4]
struct shape_ends_under_a_hot_path {
  static constexpr unsigned threads = 2;
  static constexpr window_shape shape{std::chrono::milliseconds(150)};
  static constexpr breaker_word word{breaker_state::closed, 0xFFFF, 0, 1};
  breaker_window window;
  void run(unsigned thread) {
    if (thread == 0) {
      window.changed(1);
    } else {
      window.count_ok(shape, word, early);
    }
  }
  void after() {
    for (std::uint32_t i = 0; i < 2; ++i) {
      MODEL_CHECK(!window.try_count_ok(i, word, early));
      MODEL_CHECK(!window.try_count_ok_too(i, word, early));
    }
  }
};
MODEL_SCENARIO("breaker_plan", shape_ends_under_a_hot_path, {.slots = 2});

// Another number of last calls while one fails: that one counts among the old ones or among the new ones, and the new window
// holds nothing else.
struct last_calls_change : changed_scenario {
  static constexpr unsigned threads = 2;
  static constexpr circuit_breaker_options of(std::uint16_t calls) {
    circuit_breaker_options o = in_row(0);
    o.last_calls = o.last_min_calls = calls;
    o.last_failure_permille = 1000;
    return o;
  }
  last_calls_change() : changed_scenario(of(2)) { call(3, verdict::transient, early); }
  void run(unsigned thread) {
    if (thread == 0) {
      const auto r = breaker.reconfigure(of(3), early);
      MODEL_CHECK(r);
      MODEL_CHECK(!r.last_kept);
      MODEL_CHECK(r.window_kept);
    } else {
      call(1, verdict::transient, early);
    }
  }
  void after() {
    const breaker_snapshot s = breaker.snapshot(early);
    told.check_chain(begin, s);
    if (s.state == breaker_state::open) return;  // two of the old two
    MODEL_CHECK(s.last_calls <= 1);
    MODEL_CHECK(s.last_failed == s.last_calls);
    for (std::uint32_t i = s.last_calls; i < 2; ++i) MODEL_CHECK(!call(3, verdict::transient, early).transition);
    MODEL_CHECK(call(3, verdict::transient, early).transition.to == breaker_state::open);
  }
};
MODEL_SCENARIO("breaker_plan", last_calls_change, {.weak_failures = 0, .slots = 0});

// A new shape of the last calls begins while a result of the old one is put away: one of them only has the place.
struct last_calls_begin {
  static constexpr unsigned threads = 2;
  static constexpr count_window::era old_one{.generation = 1, .shape = 1};
  static constexpr count_window::era new_one{.generation = 1, .shape = 2};
  atomic<std::uint64_t> shape{1};
  count_window window;
  last_calls_begin() {
    window.count(old_one, 2, true, false, [] { return true; });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      shape.store(2, mo::relaxed);
      window.begin(new_one);
      window.count(new_one, 2, false, false, [] { return true; });
      window.count(new_one, 2, true, false, [] { return true; });
    } else {
      window.count(old_one, 2, true, false, [&] { return shape.load(mo::relaxed) == 1; });
    }
  }
  void after() {
    MODEL_CHECK((window.counts(new_one, 2) == count_window::sums{2, 1, 0}));
    MODEL_CHECK((window.count(new_one, 2, false, false, [] { return true; }) == count_window::sums{2, 1, 0}));
    MODEL_CHECK((window.count(new_one, 2, false, false, [] { return true; }) == count_window::sums{2, 0, 0}));
  }
};
MODEL_SCENARIO("breaker_plan", last_calls_begin, {});

// Who begins a shape hands on what it put away of the old one. [N1] [N5]
struct last_calls_begun_by_another {
  static constexpr unsigned threads = 2;
  static constexpr count_window::era old_one{.generation = 1, .shape = 1};
  static constexpr count_window::era new_one{.generation = 1, .shape = 2};
  count_window window;
  last_calls_begun_by_another() {
    window.count(old_one, 2, true, false, [] { return true; });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      window.begin(new_one);
    } else {
      window.count(new_one, 2, false, false, [] { return true; });
      window.count(new_one, 2, true, false, [] { return true; });
    }
  }
  void after() {
    MODEL_CHECK((window.counts(new_one, 2) == count_window::sums{2, 1, 0}));
    MODEL_CHECK((window.count(new_one, 2, false, false, [] { return true; }) == count_window::sums{2, 1, 0}));
    MODEL_CHECK((window.count(new_one, 2, false, false, [] { return true; }) == count_window::sums{2, 0, 0}));
  }
};
MODEL_SCENARIO("breaker_plan", last_calls_begun_by_another, {});

// The newest result of the old shape differs from what its place held two states ago. Who begins the new one puts it away, or
// a thread that is still at that would do so later. [N1]
struct last_calls_begin_over_an_old_place {
  static constexpr unsigned threads = 2;
  static constexpr count_window::era first{.generation = 1, .shape = 1};
  static constexpr count_window::era second{.generation = 2, .shape = 1};
  static constexpr count_window::era third{.generation = 2, .shape = 2};
  static constexpr auto lasts = [] { return true; };
  atomic<std::uint64_t> shape{1};
  count_window window;
  void run(unsigned thread) {
    if (thread == 0) {
      shape.store(2, mo::relaxed);
      window.begin(third);
      window.count(third, 3, false, false, lasts);
      window.count(third, 3, true, false, lasts);
      window.count(third, 3, false, false, lasts);
    } else {
      const auto still = [&] { return shape.load(mo::relaxed) == 1; };
      window.count(first, 3, false, false, still);
      window.count(first, 3, true, false, still);
      window.count(second, 3, false, false, still);
      window.count(second, 3, false, false, still);
      window.count(second, 3, false, false, still);
    }
  }
  void after() {
    MODEL_CHECK((window.counts(third, 3) == count_window::sums{3, 1, 0}));
    MODEL_CHECK((window.count(third, 3, false, false, lasts) == count_window::sums{3, 1, 0}));
    MODEL_CHECK((window.count(third, 3, false, false, lasts) == count_window::sums{3, 0, 0}));
  }
};
MODEL_SCENARIO("breaker_plan", last_calls_begin_over_an_old_place, {.dies = false});

}  // namespace
