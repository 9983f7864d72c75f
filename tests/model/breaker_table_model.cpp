// SPDX-License-Identifier: MIT
// The table of breakers: claims of one key and of several, evictions beside admissions and reports, and claims whose thread dies.
#include <array>
#include <optional>
#include <utility>

#include "holdfast/policy/breaker_table.hpp"

#include "model/breaker_scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr breaker_key a{1};
constexpr breaker_key b{2};
constexpr time_point begin = at_tick(tick_wrap - 1000);
// Who was asked for at `begin` and not since is as good as new by then.
constexpr time_point idle = begin + std::chrono::milliseconds(400);

constexpr breaker_table_options options(circuit_breaker_options rules) {
  rules.window = std::chrono::milliseconds(150);
  return {.breaker = {.rules = rules, .keep = rules.window}, .secret = {1, 2}};
}

template <std::size_t Slots>
struct table_scenario {
  breaker_table_memory<Slots> memory;
  breaker_table table;

  explicit table_scenario(const circuit_breaker_options& rules) : table(memory, options(rules)) {}

  breaker_table::admission admit(breaker_key key, time_point now) { return table.admit(key, now); }
  bool report(breaker_table::permit&& ticket, verdict v, time_point now) {
    return !table.report(std::move(ticket), v, now).dropped_stale;
  }
  std::optional<breaker_state> state(breaker_key key, time_point now) const {
    const auto seen = table.look(key, now);
    return seen ? std::optional(seen->state) : std::nullopt;
  }
  unsigned places(breaker_key key, time_point now) const {
    unsigned n = 0;
    table.visit(now, [&](const breaker_table::entry& e) { n += e.id == breaker_table::id(key) ? 1U : 0U; });
    return n;
  }
};

// T1: two ask for a key that is new: both get through by one breaker, which counts both results.
template <std::size_t Slots>
struct one_key : table_scenario<Slots> {
  static constexpr unsigned threads = 2;
  std::array<breaker_table::permit, 2> out;
  one_key() : table_scenario<Slots>(in_row(2)) {}
  void run(unsigned thread) {
    auto made = this->admit(a, begin);
    MODEL_CHECK(made);
    MODEL_CHECK(!made.overflowed);
    out[thread] = std::move(made.ticket);
  }
  void after() {
    for (auto& ticket : out) MODEL_CHECK(this->report(std::move(ticket), verdict::transient, begin));
    MODEL_CHECK(this->places(a, begin) == 1);
    MODEL_CHECK(this->state(a, begin) == breaker_state::open);
    MODEL_CHECK(this->table.totals().entries == 1);
    MODEL_CHECK(this->table.totals().opens == 1);
  }
  // T7
  void after_death(unsigned) {
    auto made = this->admit(a, begin);
    MODEL_CHECK(!made.overflowed);
    MODEL_CHECK(this->places(a, begin) == 1);
  }
};
using one_key_one_slot = one_key<1>;
using one_key_two_slots = one_key<2>;
MODEL_SCENARIO("breaker_table", one_key_one_slot, {.weak_failures = 0});
MODEL_SCENARIO("breaker_table", one_key_two_slots, {.weak_failures = 0});

// T1: the first slot becomes free between the two claims, so that they may go for different ones.
struct claims_of_two_slots : table_scenario<2> {
  static constexpr unsigned threads = 2;
  std::array<breaker_table::permit, 2> out;
  claims_of_two_slots() : table_scenario(in_row(2)) { table.isolate(b, begin); }
  void run(unsigned thread) {
    if (thread == 1) table.forget(b);
    auto made = admit(a, begin);
    MODEL_CHECK(made);
    MODEL_CHECK(!made.overflowed);
    out[thread] = std::move(made.ticket);
  }
  void after() {
    for (auto& ticket : out) MODEL_CHECK(report(std::move(ticket), verdict::transient, begin));
    MODEL_CHECK(places(a, begin) == 1);
    MODEL_CHECK(state(a, begin) == breaker_state::open);
  }
  void after_death(unsigned) {
    MODEL_CHECK(!admit(a, begin).overflowed);
    MODEL_CHECK(places(a, begin) == 1);
  }
};
MODEL_SCENARIO("breaker_table", claims_of_two_slots, {.weak_failures = 0, .dies = false});

// T5: two keys and one slot: one has it, the other the shared breaker; what fails opens its own.
struct two_keys : table_scenario<1> {
  static constexpr unsigned threads = 2;
  std::array<bool, 2> overflowed{};
  std::array<bool, 2> told{};
  two_keys() : table_scenario(in_row(1)) {}
  void run(unsigned thread) {
    auto made = admit(thread == 0 ? a : b, begin);
    MODEL_CHECK(made || (thread == 1 && made.overflowed));  // the shared breaker may be open by then
    overflowed[thread] = made.overflowed;
    told[thread] = made.tell;
    if (thread == 0) MODEL_CHECK(report(std::move(made.ticket), verdict::transient, begin));
  }
  void after() {
    MODEL_CHECK(overflowed[0] != overflowed[1]);
    MODEL_CHECK(told == overflowed);
    MODEL_CHECK(state(a, begin).has_value() != state(b, begin).has_value());
    if (overflowed[0]) {
      MODEL_CHECK(state(b, begin) == breaker_state::closed);
      MODEL_CHECK(table.overflow(begin).state == breaker_state::open);
    } else {
      MODEL_CHECK(state(a, begin) == breaker_state::open);
      MODEL_CHECK(table.overflow(begin).state == breaker_state::closed);
    }
  }
  // T7: a claim that was left behind is taken over, by this key or another.
  void after_death(unsigned) {
    if (state(a, begin).has_value() || state(b, begin).has_value()) return;
    const time_point soon = begin + std::chrono::milliseconds(600);
    MODEL_CHECK(!admit(b, soon).overflowed);
    MODEL_CHECK(state(b, soon) == breaker_state::closed);
  }
};
MODEL_SCENARIO("breaker_table", two_keys, {.weak_failures = 0});

// T2, T3: the place of an idle key is given to another while someone asks for the first again. A failure of the one never
// moves the breaker of the other.
struct evict_and_admit : table_scenario<1> {
  static constexpr unsigned threads = 2;
  bool counted = false;
  bool overflowed = false;
  evict_and_admit() : table_scenario(in_row(1)) { static_cast<void>(admit(a, begin)); }
  void run(unsigned thread) {
    if (thread == 0) {
      auto made = admit(b, idle);
      MODEL_CHECK(made || made.overflowed);  // the shared breaker may be open by then
      return;
    }
    auto made = admit(a, idle);
    MODEL_CHECK(made);
    overflowed = made.overflowed;
    counted = report(std::move(made.ticket), verdict::transient, idle);
  }
  void after() {
    if (const auto other = state(b, idle)) MODEL_CHECK(other == breaker_state::closed);
    if (counted && !overflowed) MODEL_CHECK(state(a, idle) == breaker_state::open);
    if (counted && overflowed) MODEL_CHECK(table.overflow(idle).state == breaker_state::open);
    if (!counted) MODEL_CHECK(!state(a, idle).has_value());
  }
};
MODEL_SCENARIO("breaker_table", evict_and_admit, {.weak_failures = 0});

// T2, T3: the same while a call that was let through long ago reports. Its failure is counted and the place kept, or it is
// told that it came too late.
struct evict_and_report : table_scenario<1> {
  static constexpr unsigned threads = 2;
  breaker_table::permit old;
  bool counted = false;
  bool overflowed = false;
  explicit evict_and_report(const circuit_breaker_options& rules = in_row(1)) : table_scenario(rules) {
    old = admit(a, begin).ticket;
  }
  void run(unsigned thread) {
    if (thread == 0) {
      auto made = admit(b, idle);
      MODEL_CHECK(made);
      overflowed = made.overflowed;
    } else {
      counted = report(std::move(old), verdict::transient, idle);
    }
  }
  void after() {
    MODEL_CHECK(counted == overflowed);
    MODEL_CHECK(state(a, idle).has_value() == counted);
    if (counted) MODEL_CHECK(state(a, idle) == breaker_state::open);
    if (!counted) MODEL_CHECK(state(b, idle) == breaker_state::closed);
  }
};
MODEL_SCENARIO("breaker_table", evict_and_report, {.weak_failures = 0});

// The same where the word is marked already, by a failure that has left the window: the report need not change it. [C1] [C5]
struct evict_marked_and_report : evict_and_report {
  static constexpr circuit_breaker_options shares() {
    circuit_breaker_options o = by_rate(1000, 1);
    o.min_calls = 2;
    return o;
  }
  evict_marked_and_report() : evict_and_report(shares()) {
    auto made = admit(a, begin);
    report(std::move(made.ticket), verdict::transient, begin);
  }
  void after() {
    MODEL_CHECK(counted == overflowed);
    MODEL_CHECK(state(a, idle).has_value() == counted);
    if (!counted) return;
    MODEL_CHECK(table.look(a, idle)->window_failed == 1);
    // One more, and it opens: the mark is there.
    auto made = admit(a, idle);
    report(std::move(made.ticket), verdict::transient, idle);
    MODEL_CHECK(state(a, idle) == breaker_state::open);
  }
};
MODEL_SCENARIO("breaker_table", evict_marked_and_report, {.weak_failures = 0});

// Two keys go for the place of a third that is idle: one gets it, and it changes hands once.
struct two_evict : table_scenario<1> {
  static constexpr unsigned threads = 2;
  static constexpr breaker_key c{3};
  std::array<bool, 2> overflowed{};
  two_evict() : table_scenario(in_row(1)) { static_cast<void>(admit(c, begin)); }
  void run(unsigned thread) { overflowed[thread] = admit(thread == 0 ? a : b, idle).overflowed; }
  void after() {
    MODEL_CHECK(overflowed[0] != overflowed[1]);
    MODEL_CHECK(!state(c, idle).has_value());
    MODEL_CHECK(table.totals().evicted == 1);
    MODEL_CHECK(table.totals().entries == 1);
  }
};
MODEL_SCENARIO("breaker_table", two_evict, {.weak_failures = 0});

// I1 through the table: at the end of the open time two ask for the same key, and one gets in.
struct table_probes : table_scenario<1> {
  static constexpr unsigned threads = 2;
  time_point over{};
  std::array<breaker_table::permit, 2> out;
  table_probes() : table_scenario(in_row(1)) {
    auto made = admit(a, begin);
    report(std::move(made.ticket), verdict::transient, begin);
    over = begin + admit(a, begin).refusal.retry_after;
  }
  void run(unsigned thread) { out[thread] = admit(a, over).ticket; }
  void after() {
    MODEL_CHECK(static_cast<bool>(out[0]) != static_cast<bool>(out[1]));
    MODEL_CHECK(table.look(a, over)->probes_issued == 1);
    out = {};
    MODEL_CHECK(table.look(a, over)->probes_issued == 0);
  }
};
MODEL_SCENARIO("breaker_table", table_probes, {.weak_failures = 0});

// What is forced is never given away; a hand on the switch of a key whose place is being given away finds it anew.
struct evict_and_isolate : table_scenario<1> {
  static constexpr unsigned threads = 2;
  bool placed = false;
  evict_and_isolate() : table_scenario(in_row(1)) { static_cast<void>(admit(a, begin)); }
  void run(unsigned thread) {
    if (thread == 0) {
      static_cast<void>(admit(b, idle));
    } else {
      const breaker_table::step made = table.isolate(a, idle);
      placed = made.placed;
      MODEL_CHECK(static_cast<bool>(made.transition) == placed);
    }
  }
  void after() {
    MODEL_CHECK((state(a, idle) == breaker_state::forced_open) == placed);
    if (const auto other = state(b, idle)) MODEL_CHECK(other == breaker_state::closed);
  }
};
MODEL_SCENARIO("breaker_table", evict_and_isolate, {.weak_failures = 0});

// A look, and forgetting, beside the one who makes the key's breaker: the whole of it or nothing.
struct forget_and_admit : table_scenario<1> {
  static constexpr unsigned threads = 2;
  forget_and_admit() : table_scenario(in_row(1)) {
    auto made = admit(a, begin);
    report(std::move(made.ticket), verdict::transient, begin);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(table.forget(a));
      MODEL_CHECK(admit(a, begin));
    } else {
      if (const auto seen = table.look(a, begin))
        MODEL_CHECK(seen->state == breaker_state::open || seen->state == breaker_state::closed);
      auto made = admit(a, begin);
      MODEL_CHECK(!made.overflowed);
      if (made) MODEL_CHECK(report(std::move(made.ticket), verdict::ok, begin));
    }
  }
  void after() {
    MODEL_CHECK(places(a, begin) == 1);
    MODEL_CHECK(state(a, begin) == breaker_state::closed);
    MODEL_CHECK(table.totals().forgotten == 1);
  }
};
MODEL_SCENARIO("breaker_table", forget_and_admit, {.weak_failures = 0});

}  // namespace
