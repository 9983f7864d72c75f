// SPDX-License-Identifier: MIT
#include "holdfast/policy/circuit_breaker.hpp"

#include <algorithm>
#include <chrono>

namespace holdfast {
namespace {

// When a state began, to a microsecond, which one, to tell it from those around it, and why.
class beginning {
 public:
  beginning(breaker_word of, breaker_cause cause, time_point now) noexcept
      : bits_(std::uint64_t{of.generation() & 0xFFU} << 56U |
              (static_cast<std::uint64_t>(now.time_since_epoch().count() >> 10) & time_mask) << 4U |
              static_cast<std::uint64_t>(cause)) {}
  explicit beginning(std::uint64_t bits) noexcept : bits_(bits) {}

  [[nodiscard]] std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] bool is_of(breaker_word word) const noexcept {
    return ((bits_ >> 56U ^ word.generation()) & 0xFFU) == 0;
  }
  [[nodiscard]] bool is_after(beginning other) const noexcept {
    return static_cast<std::int8_t>(static_cast<std::uint8_t>((bits_ >> 56U) - (other.bits_ >> 56U))) > 0;
  }
  [[nodiscard]] time_point when() const noexcept {
    // The sign is the highest bit of 52.
    return time_point(duration((static_cast<std::int64_t>(bits_ << 8U) >> 12U) * 1024));
  }
  [[nodiscard]] breaker_cause why() const noexcept { return static_cast<breaker_cause>(bits_ & 0xFU); }

 private:
  static constexpr std::uint64_t time_mask = (std::uint64_t{1} << 52U) - 1;
  std::uint64_t bits_;
};
static_assert(static_cast<std::uint8_t>(breaker_cause::manual) <= 0xF);
static_assert(static_cast<std::uint8_t>(breaker_cause::lease_over) <= 7, "what opens a circuit fits into error::cause");

}  // namespace

circuit_breaker::circuit_breaker(const circuit_breaker_options& options) noexcept
    : open_longest_(0),
      slow_from_(0),
      last_rule_(0),
      first_((HOLDFAST_ASSERT(!validate(options)), options)),
      plans_(packed_breaker_plan(first_)) {
  // Before it is shared.
  open_longest_.store(first_.rules.open_longest(), mo::relaxed);    // init:
  slow_from_.store(first_.rules.slow_from().count(), mo::relaxed);  // init:
  last_rule_.store(first_.last.bits(), mo::relaxed);                // init:
}

// The one way in which the word changes. On failure `seen` is what it is now.
bool circuit_breaker::swap(breaker_word& seen, breaker_word next) noexcept {
  std::uint64_t bits = seen.bits();
  // [R2] release, pairs with [R1]: the plan that this step was made by
  // counter: a failure is tried again
  if (word_.compare_exchange_weak(bits, next.bits(), mo::release, mo::relaxed)) return true;
  seen = load();
  return false;
}

// The books of a transition that this thread made.
breaker_transition circuit_breaker::happened(breaker_word from, breaker_word to, breaker_cause cause,
                                             time_point now) noexcept {
  if (cause == breaker_cause::none) return {};
  if (to.state() == breaker_state::open) opens_.fetch_add(1, mo::relaxed);         // counter:
  if (cause == breaker_cause::probes_passed) closes_.fetch_add(1, mo::relaxed);    // counter:
  if (cause == breaker_cause::lease_over) leases_over_.fetch_add(1, mo::relaxed);  // counter:
  const beginning mine(to, cause, now);
  // hint: for people. The latest state wins, whoever of two callers comes here first, and whatever their clocks say.
  std::uint64_t seen = since_.load(mo::relaxed);
  while (mine.is_after(beginning(seen)) &&
         !since_.compare_exchange_weak(seen, mine.bits(), mo::relaxed, mo::relaxed)) {  // hint: the same
  }
  return {from.state(), to.state(), cause, to.generation()};
}

circuit_breaker::slow_admission circuit_breaker::admit_slowly(time_point now) noexcept {
  breaker_word word = load();
  breaker_plan_room room;
  for (;;) {
    const breaker_rules::step step = current(room).rules.admit(word, now);
    if (step.next != word && !swap(word, step.next)) continue;
    const breaker_transition made = happened(word, step.next, step.cause, now);
    if (step.refusal != errc{}) window_.count_refused();
    return {step.next, made, step.refusal};
  }
}

circuit_breaker::report_result circuit_breaker::report_slowly(breaker_word seen, verdict v, time_point now,
                                                              duration took) noexcept {
  if (is_answer(v) && took < slow_from()) {
    // hint: by a rule whose plan is not seen yet nothing is counted
    const last_calls_rule rule(last_rule_.load(mo::relaxed));
    const std::uint32_t mine = thread_slot::cached();
    // Nothing is wrong, but the last calls are counted.
    if (rule.calls() != 0 && mine < breaker_window::slots &&
        word_.load(mo::relaxed) == seen.bits() &&  // hint: as in report
        window_.try_count_ok_too(mine, seen, now)) {
      const breaker_cause cause = count_last(rule, seen, false, false);
      if (cause == breaker_cause::none) [[likely]]
        return {};
      return {.transition = open(seen, cause, now)};
    }
  }
  const breaker_word before = load();
  breaker_plan_room room;
  const breaker_plan& plan = current(room);
  const breaker_effect effect = plan.rules.effect_of(v);
  // What says nothing about the callee says nothing by its time either.
  const bool slow = effect != breaker_effect::neutral && plan.rules.is_slow(took);
  switch (seen.state()) {
    case breaker_state::closed: return report_closed(plan, before, seen, effect, slow, now);
    case breaker_state::metrics_only:
      if (plan.rules.same_generation(seen, before)) {
        count(plan, before, effect, slow, now);
        if (plan.last.calls() != 0 && effect != breaker_effect::neutral)
          count_last(plan.last, seen, effect == breaker_effect::failure, slow);
      }
      break;
    case breaker_state::half_open:
    case breaker_state::forced_closed:
    case breaker_state::open:
    case breaker_state::forced_open: break;
  }
  return told(report_by_word(plan, before, seen, effect, slow, now));
}

// True: the first of its kind in this stretch of time, of this thread.
bool circuit_breaker::count(const breaker_plan& plan, breaker_word word, breaker_effect effect, bool slow,
                            time_point now) noexcept {
  if (effect == breaker_effect::neutral) return false;
  const bool failed = effect == breaker_effect::failure;
  if (slow) return window_.count_slow(plan.window, word, failed, now);
  return failed ? window_.count_failed(plan.window, word, now)
                : window_.count_ok(plan.window, word, now, plan.last.calls() == 0);
}

// Among the last calls. What their shares say then.
breaker_cause circuit_breaker::count_last(last_calls_rule rule, breaker_word seen, bool failed, bool slow) noexcept {
  const auto lasts = [&] {
    // Who has begun another era there has seen its state and its plan, and so does who finds it there.
    const breaker_word word = load();
    breaker_plan_room room;
    const breaker_plan& plan = current(room);
    return plan.rules.same_generation(seen, word) && plan.last.shape() == rule.shape();
  };
  return rule.judge(
      last_.count({.generation = seen.generation(), .shape = rule.shape()}, rule.calls(), failed, slow, lasts));
}

circuit_breaker::report_result circuit_breaker::told(report_result result) noexcept {
  if (result.dropped_stale) stale_dropped_.fetch_add(1, mo::relaxed);  // counter:
  return result;
}

// What the result does to the word, if the word is still of the permit's generation.
circuit_breaker::report_result circuit_breaker::report_by_word(const breaker_plan& plan, breaker_word before,
                                                               breaker_word seen, breaker_effect effect, bool slow,
                                                               time_point now) noexcept {
  breaker_word word = load();
  breaker_plan_room room;
  for (;;) {
    // The plan was asked for after `before`.
    const breaker_rules& rules = word == before ? plan.rules : current(room).rules;
    if (!rules.same_generation(seen, word)) return {.dropped_stale = true};
    const breaker_rules::step step = rules.report(word, effect, now, slow);
    if (step.next != word && !swap(word, step.next)) continue;
    if (word.state() == breaker_state::half_open && effect == breaker_effect::neutral)
      probes_returned_.fetch_add(1, mo::relaxed);  // counter:
    if (step.cause == breaker_cause::none) return {};
    return {.transition = happened(word, step.next, step.cause, now)};
  }
}

circuit_breaker::report_result circuit_breaker::report_closed(const breaker_plan& plan, breaker_word before,
                                                              breaker_word seen, breaker_effect effect, bool slow,
                                                              time_point now) noexcept {
  const std::uint32_t epoch = plan.window.epoch(now);
  if (!plan.rules.same_generation(seen, before)) return told({.dropped_stale = true});
  // A state that ends between the check and the count costs nothing: the count carries the generation.
  const bool fresh = count(plan, before, effect, slow, now);
  const breaker_cause last = plan.last.calls() != 0 && effect != breaker_effect::neutral
                                 ? count_last(plan.last, seen, effect == breaker_effect::failure, slow)
                                 : breaker_cause::none;
  // Does the window have to be looked at? For a call that a rule of shares counts: yes. Any other can only lift the number of
  // calls to the minimum, or be the first to see that those have left the window.
  const bool counts = plan.rules.weighs(effect == breaker_effect::failure ? 1 : 0, slow ? 1 : 0);
  const bool look =
      counts || (effect != breaker_effect::neutral && before.dirty() && (fresh || !quorum_known(plan, seen, epoch)));
  if (look) {
    // [F1] seq_cst, pairs with [F2] and itself: of two threads that each count a result and then look at the window, at
    // least one finds both; and either a thread with a failed or slow call sees that the dirty mark is gone and sets it,
    // or the one that took it away finds the call at its second look.
    fence(mo::seq_cst);
  }
  report_result result = report_by_word(plan, before, seen, effect, slow, now);
  // The state ended meanwhile, perhaps because of this very result, counted above: it was not too late.
  if (result.dropped_stale) return {};
  if (result.transition) return result;
  if (effect == breaker_effect::success && before.level() != 0) decay_level(plan, seen, now);
  if (last == breaker_cause::failure_rate) result.transition = open(seen, last, now);
  if (look && !result.transition) result.transition = judge_shares(plan, seen, epoch, now);
  if (last == breaker_cause::slow_rate && !result.transition) result.transition = open(seen, last, now);
  return result;
}

// Unless the state of `seen` has ended.
breaker_transition circuit_breaker::open(breaker_word seen, breaker_cause cause, time_point now) noexcept {
  breaker_plan_room room;
  breaker_word word = load();
  for (;;) {
    const breaker_rules& rules = current(room).rules;
    if (!rules.same_generation(seen, word)) return {};
    const breaker_word next = rules.opened(word, now);
    if (swap(word, next)) return happened(word, next, cause, now);
  }
}

// Opens if the window says so; takes the dirty mark away if the window holds nothing that a rule counts.
breaker_transition circuit_breaker::judge_shares(const breaker_plan& plan, breaker_word seen, std::uint32_t epoch,
                                                 time_point now) noexcept {
  const breaker_rules& rules = plan.rules;
  const breaker_window::sums sums = window_.counts(epoch, seen.generation(), plan.slow_ones);
  const bool failing = rules.rate_exceeded(sums.failed, sums.total());
  if (failing || rules.slow_exceeded(sums.slow, sums.timed()))
    return open(seen, failing ? breaker_cause::failure_rate : breaker_cause::slow_rate, now);
  if (rules.weighs(sums.failed, sums.slow)) {
    // hint: the worst that a lost one costs is another look
    if (sums.timed() >= rules.options().min_calls) quorum_.store(quorum_key(plan, seen, epoch), mo::relaxed);
    return {};
  }
  breaker_word word = load();
  while (rules.same_generation(seen, word) && word.dirty()) {
    if (!swap(word, word.with_dirty(false))) continue;
    // [F2] seq_cst, pairs with [F1]: a call that was counted meanwhile, by a thread that still saw the mark
    fence(mo::seq_cst);
    const breaker_window::sums again = window_.counts(epoch, seen.generation(), plan.slow_ones);
    if (rules.weighs(again.failed, again.slow)) mark_dirty(seen);
    break;
  }
  return {};
}

// Of a closed state, whose permits and words any plan tells apart.
void circuit_breaker::mark_dirty(breaker_word seen) noexcept {
  breaker_word word = load();
  while (first_.rules.same_generation(seen, word) && !word.dirty()) {
    if (swap(word, word.with_dirty(true))) return;
  }
}

// One level less, if a span of healthy_decay has gone by since the circuit closed or the level last fell. Only ever called
// with a success in hand: no level falls without evidence.
void circuit_breaker::decay_level(const breaker_plan& plan, breaker_word seen, time_point now) noexcept {
  const duration healthy_decay = plan.rules.options().healthy_decay;
  constexpr auto packed = [](std::uint16_t generation, std::uint32_t tick) {
    return std::uint64_t{generation} << 32U | tick;
  };
  std::uint64_t kept = decay_.load(mo::relaxed);  // own: carries its generation, publishes nothing else
  std::uint32_t due = static_cast<std::uint32_t>(kept) & breaker_tick::mask;
  // No level has fallen in this generation yet: the closing is the beginning.
  if (kept >> 32U != seen.generation()) due = (seen.tick() + breaker_tick::span(healthy_decay)) & breaker_tick::mask;
  if (!plan.rules.decay_due(due, now)) return;
  const std::uint64_t later = packed(seen.generation(), breaker_tick::after(now, healthy_decay));
  // Whoever moves the time takes the level; strong, so that a due level does not stay for no reason.
  if (!decay_.compare_exchange_strong(kept, later, mo::relaxed, mo::relaxed)) return;  // counter: as above
  breaker_word word(word_.load(mo::relaxed));                                          // hint: the exchange decides
  while (plan.rules.same_generation(seen, word) && word.level() != 0) {
    if (swap(word, word.with_level(word.level() - 1))) return;
  }
}

void circuit_breaker::return_place(breaker_word seen) noexcept {
  breaker_plan_room room;
  breaker_word word = load();
  while (current(room).rules.same_generation(seen, word)) {
    if (!swap(word, breaker_rules::returned(word))) continue;
    probes_returned_.fetch_add(1, mo::relaxed);  // counter:
    return;
  }
}

breaker_transition circuit_breaker::force(breaker_state to, time_point now) noexcept {
  breaker_word word = load();
  while (word.state() != to) {
    const breaker_word next = word.next(to, word.level(), breaker_tick::of(now));
    if (swap(word, next)) return happened(word, next, breaker_cause::manual, now);
  }
  return {};
}

breaker_transition circuit_breaker::isolate(time_point now) noexcept {
  return force(breaker_state::forced_open, now);
}
breaker_transition circuit_breaker::force_close(time_point now) noexcept {
  return force(breaker_state::forced_closed, now);
}
breaker_transition circuit_breaker::metrics_only(time_point now) noexcept {
  return force(breaker_state::metrics_only, now);
}

breaker_transition circuit_breaker::release(time_point now, breaker_state to) noexcept {
  const bool half = to == breaker_state::half_open;
  HOLDFAST_ASSERT(half || to == breaker_state::closed);
  breaker_word word = load();
  while (word.state() >= breaker_state::forced_open) {
    const breaker_word next =
        word.next(half ? breaker_state::half_open : breaker_state::closed, word.level(), breaker_tick::of(now));
    if (swap(word, next)) return happened(word, next, breaker_cause::manual, now);
  }
  return {};
}

circuit_breaker::reconfigure_result circuit_breaker::reconfigure(const circuit_breaker_options& options,
                                                                 time_point now) noexcept {
  if (const option_error wrong = validate(options)) return {.refused = wrong};
  // [R3] acquire, pairs with [R4]: the plan of whoever was here before
  if (reconfiguring_.exchange(1, mo::acquire) != 0) return {.busy = true};
  breaker_plan_room room;
  const breaker_plan before = current(room);
  const breaker_plan plan(options, before, now);
  const bool window_kept = before.keeps_window(options);
  const bool last_kept = before.keeps_last(options);
  open_longest_.store(plan.rules.open_longest(), mo::relaxed);    // hint: it only grows
  slow_from_.store(plan.rules.slow_from().count(), mo::relaxed);  // hint: it stands for itself
  plans_.write(packed_breaker_plan(plan));
  last_rule_.store(plan.last.bits(), mo::relaxed);  // hint: the plan says which rule there is
  window_.changed(plan.window.serial());
  const breaker_word word = load();
  if (!last_kept) last_.begin({.generation = word.generation(), .shape = plan.last.shape()});
  // Calls that no rule counted so far are in the window without a mark that it has to be looked at.
  if (window_kept && word.is_closed() &&
      ((plan.rules.weighs(1, 0) && !before.rules.weighs(1, 0)) ||
       (plan.rules.weighs(0, 1) && !before.rules.weighs(0, 1))))
    mark_dirty(word);
  reconfiguring_.store(0, mo::release);  // [R4] release, pairs with [R3]: this plan
  return {.window_kept = window_kept, .last_kept = last_kept};
}

breaker_snapshot circuit_breaker::snapshot(time_point now) const noexcept {
  const breaker_word word = load();
  breaker_plan_room room;
  const breaker_plan& plan = current(room);
  breaker_snapshot s;
  s.state = word.state();
  s.generation = word.generation();
  s.level = word.level();
  if (s.state == breaker_state::open) {
    const breaker_rules::step step = plan.rules.admit(word, now);
    if (step.refusal == errc::breaker_open) s.open_remaining = step.retry_after;
  }
  if (s.state == breaker_state::half_open) {
    s.probes_issued = word.issued();
    s.probes_ok = word.succeeded();
    if (plan.rules.leased(word, now)) s.lease_remaining = breaker_tick::until(word.tick(), now);
  }
  if (s.state == breaker_state::closed) s.failures_in_row = word.streak();
  if (s.state == breaker_state::closed || s.state == breaker_state::metrics_only) {
    const breaker_window::sums sums = window_.counts(plan.window.epoch(now), word.generation(), plan.slow_ones);
    s.window_ok = sums.ok;
    s.window_failed = sums.failed;
    s.window_slow = sums.slow;
    const count_window::sums last =
        last_.counts({.generation = word.generation(), .shape = plan.last.shape()}, plan.last.calls());
    s.last_calls = last.calls;
    s.last_failed = last.failed;
    s.last_slow = last.slow;
  }
  const beginning since(since_.load(mo::relaxed));  // hint: for people
  s.since = since.when();
  s.cause = since.why();
  s.rejected = window_.refused();
  s.opens = opens_.load(mo::relaxed);                      // counter:
  s.closes = closes_.load(mo::relaxed);                    // counter:
  s.stale_dropped = stale_dropped_.load(mo::relaxed);      // counter:
  s.probes_returned = probes_returned_.load(mo::relaxed);  // counter:
  s.leases_over = leases_over_.load(mo::relaxed);          // counter:
  return s;
}

error circuit_breaker::explain(const breaker_refusal& refusal, time_point now) const noexcept {
  error why = refusal;
  breaker_plan_room room;
  const beginning since(since_.load(mo::relaxed));  // hint: for people
  duration age{0};
  switch (refusal.seen.state()) {
    case breaker_state::open:
      // What the circuit was opened by may be other options by now.
      age = plans_.writes() != 0 && since.is_of(refusal.seen)
                ? now - since.when()
                : current(room).rules.open_for(refusal.seen, refusal.retry_after);
      // The one who opened it may not have said why yet: then what is there is of another state.
      if (since.is_of(refusal.seen)) why.cause = static_cast<std::uint8_t>(since.why()) & 7U;
      break;
    case breaker_state::forced_open: {
      const std::uint32_t ticks = breaker_tick::distance(refusal.seen.tick(), breaker_tick::of(now));
      if (ticks < breaker_tick::mask - breaker_tick::skew) age = duration(std::int64_t{ticks} << breaker_tick::shift);
      break;
    }
    case breaker_state::half_open:
      if (since.is_of(refusal.seen)) age = now - since.when();
      break;
    case breaker_state::closed:
    case breaker_state::forced_closed:
    case breaker_state::metrics_only: break;
  }
  why.age = coarse_age(std::max(age, duration(std::chrono::microseconds(1))));
  return why;
}

}  // namespace holdfast
