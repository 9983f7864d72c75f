// SPDX-License-Identifier: MIT
#include "holdfast/policy/compact_breaker.hpp"

namespace holdfast {
namespace {

breaker_transition step_from(breaker_word from, breaker_word to, breaker_cause cause) noexcept {
  if (cause == breaker_cause::none) return {};
  return {from.state(), to.state(), cause, to.generation()};
}

}  // namespace

// The one way in which the word changes. On failure `seen` is what it is now.
bool compact_breaker::swap(breaker_word& seen, breaker_word next) noexcept {
  std::uint64_t bits = seen.bits();
  // [C3] release, pairs with [C4]: whoever sees a failure in the row finds it in the window too
  // counter: on failure it is tried again
  if (word_.compare_exchange_weak(bits, next.bits(), mo::release, mo::relaxed)) return true;
  seen = breaker_word(bits);
  return false;
}

bool compact_breaker::try_admit(const compact_breaker_rules& rules, breaker_word& word, time_point now,
                                admission& out) noexcept {
  const breaker_rules::step step = rules.admit(word, now, name());
  const breaker_word from = word;
  if (step.next != word && !swap(word, step.next)) return false;
  out.transition = step_from(from, step.next, step.cause);
  if (step.refusal == errc{}) {
    out.ticket = permit(this, &rules, step.next);
  } else {
    out.refusal = {step.refusal, step.retry_after, step.next};
  }
  return true;
}

compact_breaker::admission compact_breaker::admit_slowly(const compact_breaker_rules& rules, breaker_word word,
                                                         time_point now) noexcept {
  admission out;
  while (!try_admit(rules, word, now, out)) {
  }
  return out;
}

compact_breaker::report_result compact_breaker::report_slowly(const compact_breaker_rules& rules, breaker_word seen,
                                                              verdict v, time_point now, duration took) noexcept {
  const breaker_effect effect = rules.effect_of(v);
  // What says nothing about the callee says nothing by its time either.
  const bool slow = effect != breaker_effect::neutral && rules.is_slow(took);
  if (seen.state() == breaker_state::closed) return report_closed(rules, seen, effect, slow, now);
  if (seen.state() == breaker_state::metrics_only && effect != breaker_effect::neutral) {
    if (rules.same_generation(seen, load()))
      window_.count(rules.epoch(now), seen.generation(), effect == breaker_effect::failure, slow);
  }
  return report_by_word(rules, seen, effect, slow, now);
}

// What the result does to the word, if the word is still of the permit's generation.
compact_breaker::report_result compact_breaker::report_by_word(const compact_breaker_rules& rules, breaker_word seen,
                                                               breaker_effect effect, bool slow,
                                                               time_point now) noexcept {
  breaker_word word = load();
  for (;;) {
    if (!rules.same_generation(seen, word)) return {.dropped_stale = true};
    const breaker_rules::step step = rules.report(word, effect, now, slow, name());
    const breaker_word from = word;
    if (step.next != word && !swap(word, step.next)) continue;
    return {.transition = step_from(from, step.next, step.cause)};
  }
}

compact_breaker::report_result compact_breaker::report_closed(const compact_breaker_rules& rules, breaker_word seen,
                                                              breaker_effect effect, bool slow,
                                                              time_point now) noexcept {
  const breaker_word before = load();
  if (!rules.same_generation(seen, before)) return {.dropped_stale = true};
  if (effect == breaker_effect::neutral) return {};
  const bool failed = effect == breaker_effect::failure;
  if (failed && before.streak() != 0) forget_streak(rules, now);
  // A state that ends between the check and the count costs nothing: the count carries the generation.
  window_.count(rules.epoch(now), seen.generation(), failed, slow);
  // Does the window have to be looked at? For a call that a rule of shares counts: yes. Any other can only lift the number
  // of calls to the minimum, or find that those have left the window.
  const bool look = rules.weighs(failed ? 1 : 0, slow ? 1 : 0) || before.dirty();
  if (look) {
    // [C1] seq_cst, pairs with [C2] and itself: of two threads that each count a result and then look at the window, at
    // least one finds both; and either a thread with a failed or slow call sees that the dirty mark is gone and sets it,
    // or the one that took it away finds the call at its second look.
    fence(mo::seq_cst);
  }
  report_result result = report_by_word(rules, seen, effect, slow, now);
  if (result.dropped_stale) {
    // The state ended meanwhile, perhaps because of this very result, counted above: then it was not too late.
    const breaker_word after = load();
    const bool next = after.generation() == static_cast<std::uint16_t>(seen.generation() + 1U);
    return {.dropped_stale = !next || after.state() == vacant};
  }
  if (result.transition) return result;
  if (!failed && before.level() != 0) decay_level(rules, seen, now);
  if (look) result.transition = judge_shares(rules, seen, now);
  return result;
}

// Opens if the window says so; takes the dirty mark away if the window holds nothing that a rule counts.
breaker_transition compact_breaker::judge_shares(const compact_breaker_rules& rules, breaker_word seen,
                                                 time_point now) noexcept {
  const std::uint64_t epoch = rules.epoch(now);
  const compact_window::sums sums = window_.counts(epoch, seen.generation());
  breaker_word word = load();
  const bool failing = rules.rate_exceeded(sums.failed, sums.total());
  if (failing || rules.slow_exceeded(sums.slow, sums.timed)) {
    while (rules.same_generation(seen, word)) {
      const breaker_word next = rules.opened(word, now, name());
      const breaker_word from = word;
      if (!swap(word, next)) continue;
      return step_from(from, next, failing ? breaker_cause::failure_rate : breaker_cause::slow_rate);
    }
    return {};
  }
  if (rules.weighs(sums.failed, sums.slow)) return {};
  while (rules.same_generation(seen, word) && word.dirty()) {
    if (!swap(word, word.with_dirty(false))) continue;
    // [C2] seq_cst, pairs with [C1]: a call that was counted meanwhile, by a thread that still saw the mark
    fence(mo::seq_cst);
    const compact_window::sums again = window_.counts(epoch, seen.generation());
    if (rules.weighs(again.failed, again.slow)) mark_dirty(rules, seen);
    break;
  }
  return {};
}

void compact_breaker::mark_dirty(const compact_breaker_rules& rules, breaker_word seen) noexcept {
  breaker_word word = load();
  while (rules.same_generation(seen, word) && !word.dirty()) {
    if (swap(word, word.with_dirty(true))) return;
  }
}

// One level less, if a span of healthy_decay has gone by since the circuit closed or the level last fell. Only ever called
// with a success in hand: no level falls without evidence.
void compact_breaker::decay_level(const compact_breaker_rules& rules, breaker_word seen, time_point now) noexcept {
  const std::uint64_t mine = (std::uint64_t{seen.generation()} + 1) << 32U;
  std::uint64_t kept = decay_.load(mo::relaxed);  // own: carries its generation, publishes nothing else
  std::uint32_t due = static_cast<std::uint32_t>(kept) & breaker_tick::mask;
  const duration decay = rules.options().healthy_decay;
  // No level has fallen in this generation yet: the closing is the beginning.
  if (kept >> 32U != mine >> 32U) due = (seen.tick() + breaker_tick::span(decay)) & breaker_tick::mask;
  if (!rules.decay_due(due, now)) return;
  // Whoever moves the time takes the level; strong, so that a due level does not stay for no reason.
  // counter: as above
  if (!decay_.compare_exchange_strong(kept, mine | breaker_tick::after(now, decay), mo::relaxed, mo::relaxed)) return;
  breaker_word word = load();
  while (rules.same_generation(seen, word) && word.level() != 0) {
    if (swap(word, word.with_level(word.level() - 1))) return;
  }
}

void compact_breaker::return_place(const compact_breaker_rules& rules, breaker_word seen) noexcept {
  breaker_word word = load();
  while (rules.same_generation(seen, word)) {
    if (swap(word, breaker_rules::returned(word))) return;
  }
}

// Closed for `keep`, and nothing counted or touched for as long?
bool compact_breaker::unused(const compact_breaker_rules& rules, breaker_word word, time_point now) const noexcept {
  return rules.settled(word, now) && !window_.used_within(rules.keep_buckets(), rules.epoch(now), word.generation());
}

// A failure that ends the disuse is in the window before it is in the row: so a row that is forgotten has none of it.
void compact_breaker::forget_streak(const compact_breaker_rules& rules, time_point now) noexcept {
  // [C4] acquire, pairs with [C3]: the window that is looked at next has every failure that this row has
  std::uint64_t seen = word_.load(mo::acquire);
  const breaker_word word(seen);
  if (!word.is_closed() || word.streak() == 0 || !unused(rules, word, now)) return;
  // counter: publishes nothing; if it fails, the row goes on or was forgotten by another
  word_.compare_exchange_strong(seen, word.with_streak(0).bits(), mo::relaxed, mo::relaxed);
}

// Takes what is marked in the word of an unused breaker away, so that a failure that is counted from here on changes the word.
// False: it is not as `word` says, or not unused.
bool compact_breaker::forget_marks(const compact_breaker_rules& rules, breaker_word& word, time_point now) noexcept {
  if (!word.dirty() && word.streak() == 0) return true;
  std::uint64_t seen = word.bits();
  word = word.with_dirty(false).with_streak(0);
  // counter: publishes nothing
  if (!word_.compare_exchange_strong(seen, word.bits(), mo::relaxed, mo::relaxed)) return false;
  // [C5] seq_cst, pairs with [C1]: a failure that was counted by who still saw the mark
  fence(mo::seq_cst);
  if (unused(rules, word, now)) return true;
  mark_dirty(rules, word);
  return false;
}

breaker_transition compact_breaker::force(breaker_state to, time_point now) noexcept {
  breaker_word word = load();
  while (word.state() != to) {
    const breaker_word from = word;
    const breaker_word next = word.next(to, word.level(), breaker_tick::of(now));
    if (swap(word, next)) return step_from(from, next, breaker_cause::manual);
  }
  return {};
}

breaker_transition compact_breaker::isolate(time_point now) noexcept {
  return force(breaker_state::forced_open, now);
}
breaker_transition compact_breaker::force_close(time_point now) noexcept {
  return force(breaker_state::forced_closed, now);
}
breaker_transition compact_breaker::metrics_only(time_point now) noexcept {
  return force(breaker_state::metrics_only, now);
}

breaker_transition compact_breaker::release(time_point now, breaker_state to) noexcept {
  const bool half = to == breaker_state::half_open;
  HOLDFAST_ASSERT(half || to == breaker_state::closed);
  breaker_word word = load();
  while (word.state() >= breaker_state::forced_open) {
    const breaker_word from = word;
    const breaker_word next =
        word.next(half ? breaker_state::half_open : breaker_state::closed, word.level(), breaker_tick::of(now));
    if (swap(word, next)) return step_from(from, next, breaker_cause::manual);
  }
  return {};
}

compact_breaker_snapshot compact_breaker::snapshot_of(const compact_breaker_rules& rules, breaker_word word,
                                                      time_point now) const noexcept {
  compact_breaker_snapshot s;
  s.state = word.state();
  s.generation = word.generation();
  s.level = word.level();
  switch (word.state()) {
    case breaker_state::open: s.open_remaining = rules.admit(word, now).retry_after; break;
    case breaker_state::half_open:
      s.probes_issued = word.issued();
      s.probes_ok = word.succeeded();
      if (rules.leased(word, now)) s.lease_remaining = breaker_tick::until(word.tick(), now);
      break;
    case breaker_state::closed: s.failures_in_row = word.streak(); [[fallthrough]];
    case breaker_state::metrics_only: {
      const compact_window::sums sums = window_.counts(rules.epoch(now), word.generation());
      s.window_ok = sums.ok;
      s.window_failed = sums.failed;
      s.window_slow = sums.slow;
      break;
    }
    case breaker_state::forced_open:
    case breaker_state::forced_closed: break;
  }
  return s;
}

}  // namespace holdfast
