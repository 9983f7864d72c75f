// SPDX-License-Identifier: MIT
// circuit_breaker: any options and any sequence of admissions, reports of fast and slow calls, lost permits, manual steps and
// times both ways does what a model written from the header's promises does (I1 to I5, I8).
#include <array>
#include <utility>

#include "holdfast/policy/circuit_breaker.hpp"

#include "fuzz/breaker_model.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;
using namespace std::chrono_literals;
using answer = breaker_model::answer;
using state = breaker_state;

constexpr std::size_t most_steps = 96;
constexpr duration slow_call = 100ms;

circuit_breaker_options options_from(input& in) {
  const std::uint8_t a = in.byte();
  const std::uint8_t b = in.byte();
  circuit_breaker_options o;
  o.consecutive_failures = a & 7U;
  o.failure_permille = static_cast<std::uint16_t>(std::array{0, 1, 500, 1000}.at(a >> 3U & 3U));
  // By what both bytes say together, so that the inputs that there were mean what they did.
  o.slow_call = std::array<duration, 4>{0s, slow_call, slow_call, slow_call}.at((a ^ b) & 3U);
  o.slow_permille = static_cast<std::uint16_t>(std::array{0, 0, 500, 1}.at((a ^ b) & 3U));
  // Seldom, for the same reason.
  if (((a ^ b) & 7U) == 7U) {
    o.last_calls = std::array<std::uint16_t, 4>{1, 2, 7, 1024}.at(b >> 4U & 3U);
    o.last_failure_permille = std::array<std::uint16_t, 4>{0, 600, 1000, 1}.at(a >> 6U);
    o.last_slow_permille = o.last_failure_permille == 0 ? 400 : 700;
    o.last_min_calls = std::min<std::uint16_t>(o.last_calls, 1 + (a >> 5U));
  }
  if (o.consecutive_failures == 0 && o.failure_permille == 0 && o.slow_permille == 0 && o.last_calls == 0)
    o.failure_permille = 333;
  o.min_calls = 1 + (a >> 5U);
  o.probes = static_cast<std::uint8_t>(1 + (b & 3U));
  o.on_lease_over = static_cast<lease_expiry>(b >> 2U & 1U);
  o.throttled_is_failure = (b & 8U) != 0;
  o.jitter_permille = static_cast<std::uint16_t>(std::array{0, 100, 1000, 7}.at(b >> 4U & 3U));
  o.window = std::array<duration, 2>{10s, 100ms}.at(b >> 6U & 1U);
  o.probe_lease = std::array<duration, 2>{5s, 2ms}.at(b >> 7U);
  o.open_base = 1s;
  o.open_max = 20s;
  o.healthy_decay = 30s;
  o.seed = a;
  return o;
}

class trial {
 public:
  explicit trial(const circuit_breaker_options& o) : model_(o), breaker_(o) {}

  void step(input& in) {
    const std::uint8_t choice = in.byte();
    const std::size_t at = choice >> 4U & 7U;
    took_ = (choice & 128U) != 0 ? slow_call : slow_call - 1ns;
    switch (choice & 15U) {
      case 0:
      case 1:
      case 2: admit(at); break;
      case 3:
      case 4: report(at, verdict::ok); break;
      case 5:
      case 6: report(at, verdict::transient); break;
      case 7: report(at, static_cast<verdict>(in.byte() & 7U)); break;
      case 8: drop(at); break;
      case 9: move_on(in.byte()); break;
      case 10:
        now_ += std::array{1, 1'000'000, 60'000'000, 400'000'000}.at(at & 3U) * std::int64_t{1 + (choice >> 7U)};
        break;
      case 11: reach(at); break;
      case 12: manual(choice >> 4U); break;
      case 13: look(at); break;
      // A call from beginning to end.
      case 14: admit(at), report(at, verdict::ok); break;
      default: admit(at), report(at, verdict::timeout); break;
    }
    latest_ = std::max(latest_, now_);
    // A reading that is older by an hour and more may open the half-open state early.
    now_ = std::max(now_, latest_ - std::int64_t{3500} * 1'000'000'000);
    expect(breaker_.state() == model_.state, "the state of the model");
    expect(breaker_.generation() == static_cast<std::uint16_t>(model_.generation), "I5: one generation a transition");
  }

  // I3: calls that keep coming get through, whatever became of the probes.
  void finish() {
    compare_books();
    if (model_.state == state::forced_open) return;
    now_ = latest_;
    for (int calls = 0; calls < 3; ++calls) {
      auto admission = breaker_.admit(time());
      if (admission) return;
      expect(admission.refusal.retry_after > 0s, "a refusal says when to come again");
      expect(admission.refusal.retry_after <= 40s + 2 * 5s, "within the longest open time, jittered, or a lease");
      now_ += admission.refusal.retry_after.count();
    }
    expect(false, "I3: a call that comes when it was told to gets through");
  }

 private:
  struct slot {
    circuit_breaker::permit permit;
    breaker_model::ticket ticket;
  };

  [[nodiscard]] time_point time() const { return time_point(duration(now_)); }

  void move_on(std::uint8_t by) {
    constexpr std::array<duration, 8> steps{1s, 2s, 5s, 10s, 31s, -1s, -10s, -300s};
    now_ += steps.at(by & 7U).count() + (by >> 3U) * 50'000'000;
  }
  // The very moments at which something ends, and the ones before and after.
  void reach(std::size_t at) {
    if (model_.until > latest_ - std::int64_t{3000} * 1'000'000'000)
      now_ = model_.until + std::array<std::int64_t, 4>{0, -1, 1, -breaker_model::tick}.at(at & 3U);
  }

  // What the breaker made of a step is the one transition that the model says, or none.
  void expect_transition(const breaker_transition& made, state from, breaker_cause cause) {
    expect(static_cast<bool>(made), "I5: a transition is told to the caller who made it");
    expect(made.from == from && made.to == model_.state && made.cause == cause, "I5: from, to and why");
    expect(made.generation == static_cast<std::uint16_t>(model_.generation), "I5: the next generation");
  }
  void expect_none(const breaker_transition& made) { expect(!made, "no transition without a reason"); }

  void open(breaker_cause cause, const breaker_transition& made) {
    const state from = model_.state;
    const auto allowed = model_.open_range(now_);
    const auto seen = breaker_.snapshot(time());
    const std::int64_t until = now_ + seen.open_remaining.count();
    expect(static_cast<std::uint64_t>(until) >= allowed.low && static_cast<std::uint64_t>(until) <= allowed.high,
           "the open time is the doubled base, cut, and then jittered");
    model_.enter_open(now_, until);
    ++opens_;
    expect(seen.level == model_.level, "each opening is a level");
    expect_transition(made, from, cause);
  }

  void admit(std::size_t at) {
    drop(at);
    auto admission = breaker_.admit(time());
    const auto refusal = admission.refusal;
    const state from = model_.state;
    bool granted = true;
    switch (from) {
      case state::closed:
      case state::forced_closed:
      case state::metrics_only: expect_none(admission.transition); break;
      case state::forced_open:
        granted = false;
        expect_none(admission.transition);
        expect(refusal.code == errc::breaker_isolated && refusal.retry_after == 0s, "isolated: no time to come again");
        break;
      case state::open:
        granted = now_ >= model_.until;
        if (!granted) {
          expect_none(admission.transition);
          expect_refused(refusal, errc::breaker_open);
          break;
        }
        model_.enter_half_open(now_);
        expect_transition(admission.transition, from, breaker_cause::open_time_over);
        break;
      case state::half_open: granted = admit_half_open(admission); break;
    }
    expect(static_cast<bool>(admission) == granted, "I1, I3, I4: let through when it may be, and only then");
    if (!granted) {
      ++rejected_;
      return;
    }
    expect(refusal.code == errc{}, "what is let through is not refused");
    expect(admission.ticket.is_probe() == (model_.state == state::half_open), "a probe in half-open, and only there");
    slots_.at(at) = {std::move(admission.ticket), {model_.generation, model_.state, model_.until}};
  }
  bool admit_half_open(circuit_breaker::admission& admission) {
    const bool under_lease = now_ < model_.until;
    if (model_.issued > model_.succeeded && !under_lease) {
      if (model_.options.on_lease_over == lease_expiry::renew) {
        model_.enter_half_open(now_);
        expect_transition(admission.transition, state::half_open, breaker_cause::lease_over);
        ++leases_over_;
        return true;
      }
      open(breaker_cause::lease_over, admission.transition);
      ++leases_over_;
      expect_refused(admission.refusal, errc::breaker_open);
      return false;
    }
    expect_none(admission.transition);
    if (model_.issued == model_.options.probes) {
      expect_refused(admission.refusal, errc::probe_quota);
      return false;
    }
    ++model_.issued;
    const auto fresh = breaker_model::rounded_up(now_ + model_.options.probe_lease.count());
    model_.until = under_lease ? std::max(model_.until, fresh) : fresh;
    return true;
  }
  void expect_refused(const breaker_refusal& refusal, errc why) const {
    expect(refusal.code == why, "a refusal says why");
    expect(refusal.retry_after.count() == model_.until - now_, "and till when, to the nanosecond");
  }

  // Does a permit's state still hold? A probe that overslept its lease, while others went on, may be taken for lost.
  [[nodiscard]] answer current(const breaker_model::ticket& t) const {
    if (t.generation != model_.generation) return answer::no;
    if (t.state != state::half_open) return answer::yes;
    const auto lease = model_.options.probe_lease.count();
    return model_.until - t.lease <= model_.options.probes * lease ? answer::yes : answer::either;
  }

  void report(std::size_t at, verdict v) {
    slot& s = slots_.at(at);
    if (!s.permit) return;
    const auto result = breaker_.report(std::move(s.permit), v, time(), took_);
    expect(!s.permit, "a permit is used up by its report");
    const answer holds = current(s.ticket);
    if (holds != answer::either) expect(result.dropped_stale == (holds == answer::no), "I2: stale, and told so");
    if (result.dropped_stale) {
      ++stale_;
      return expect_none(result.transition);
    }
    const bool failed = is_failure(v) || (v == verdict::throttled && model_.options.throttled_is_failure);
    switch (model_.state) {
      case state::closed: return report_closed(result.transition, failed, is_answer(v));
      case state::half_open: return report_probe(result.transition, failed, is_answer(v));
      case state::metrics_only:
        if (failed || is_answer(v)) model_.count(now_, failed, slow());
        break;
      default: break;
    }
    expect_none(result.transition);
  }

  void report_probe(const breaker_transition& made, bool failed, bool good) {
    if (failed) return open(breaker_cause::probe_failed, made);
    if (!good) {
      --model_.issued;
      ++returned_;
    } else if (++model_.succeeded == model_.options.probes) {
      model_.enter(state::closed, now_);
      ++closes_;
      return expect_transition(made, state::half_open, breaker_cause::probes_passed);
    }
    expect_none(made);
  }

  void report_closed(const breaker_transition& made, bool failed, bool good) {
    if (!failed && !good) return expect_none(made);
    model_.count(now_, failed, slow());
    model_.streak = failed ? model_.streak + 1 : 0;
    const auto in_row = model_.options.consecutive_failures;
    if (failed && in_row != 0 && model_.streak >= in_row) return open(breaker_cause::consecutive_failures, made);
    if (good) decay(made);
    const answer failing = model_.failing(now_);
    const answer slowing = model_.slowing(now_);
    if (made.cause == breaker_cause::slow_rate) {
      expect(slowing != answer::no, "opens only when the share of slow calls says so");
      expect(failing != answer::yes, "names the failures when both shares say so");
      return open(breaker_cause::slow_rate, made);
    }
    if (made) {
      expect(failing != answer::no, "opens only when the share of failures says so");
      return open(breaker_cause::failure_rate, made);
    }
    expect(failing != answer::yes, "opens when the share of failures says so");
    expect(slowing != answer::yes, "opens when the share of slow calls says so");
  }
  [[nodiscard]] bool slow() const { return model_.options.slow_call != 0s && took_ >= model_.options.slow_call; }
  void decay(const breaker_transition& made) {
    const answer due = model_.decay_due(now_);
    if (due == answer::no) return;
    // If it opened in the same call, the level went up again.
    const std::uint32_t seen = breaker_.snapshot(time()).level - (made ? 1U : 0U);
    const bool fell = seen + 1 == model_.level;
    expect(fell || (seen == model_.level && due == answer::either), "a level falls when it is due");
    if (!fell) return;
    --model_.level;
    model_.evidence_from = now_;
  }

  // Destroyed unreported: in closed nothing, in half-open the place comes back, and never a failure.
  void drop(std::size_t at) {
    slot& s = slots_.at(at);
    if (!s.permit) return;
    s.permit = circuit_breaker::permit();
    if (s.ticket.state != state::half_open) return;
    const answer holds = current(s.ticket);
    if (holds == answer::no) return;
    const bool came_back = breaker_.snapshot(time()).probes_issued + 1 == model_.issued;
    expect(came_back || holds == answer::either, "an abandoned probe gives its place back");
    if (!came_back) return;
    --model_.issued;
    ++returned_;
  }

  void manual(unsigned which) {
    const state from = model_.state;
    const auto forced = [&](state to, const breaker_transition& made) {
      if (from == to) return expect_none(made);
      model_.enter(to, now_);
      expect_transition(made, from, breaker_cause::manual);
    };
    switch (which % 5) {
      case 0: return forced(state::forced_open, breaker_.isolate(time()));
      case 1: return forced(state::forced_closed, breaker_.force_close(time()));
      case 2: return forced(state::metrics_only, breaker_.metrics_only(time()));
      default: break;
    }
    const state to = which % 5 == 3 ? state::closed : state::half_open;
    const auto made = breaker_.release(time(), to);
    if (from != state::forced_open && from != state::forced_closed && from != state::metrics_only)
      return expect_none(made);
    model_.enter(to, now_);
    expect_transition(made, from, breaker_cause::manual);
  }

  // I8: reading changes nothing, at whatever time; and says what is so.
  void look(std::size_t at) {
    const auto when = time() + std::array<duration, 4>{0s, -3600s, 3600s, 1ns}.at(at & 3U);
    const auto seen = breaker_.snapshot(when);
    expect(seen.state == model_.state && seen.level == model_.level, "a snapshot says what is so");
    if (model_.state == state::half_open) {
      expect(seen.probes_issued == model_.issued && seen.probes_ok == model_.succeeded, "the probes that are out");
      expect(model_.issued <= model_.options.probes, "I1: never more than there may be");
    }
    const bool counting = model_.state == state::closed || model_.state == state::metrics_only;
    if (when != time() || !counting) return;
    const auto bad = model_.in_window(now_, true);
    const auto good = model_.in_window(now_, false);
    expect(seen.window_failed >= bad.low && seen.window_failed <= bad.high, "the failures of the window");
    expect(seen.window_ok >= good.low && seen.window_ok <= good.high, "the successes of the window");
    const auto slow = model_.slow_in_window(now_);
    expect(seen.window_slow >= slow.low && seen.window_slow <= slow.high, "the slow calls of the window");
    const auto last = model_.last();
    expect(seen.last_calls == last.calls && seen.last_failed == last.failed && seen.last_slow == last.slow,
           "the last calls, exactly");
    if (model_.state == state::closed && model_.options.consecutive_failures != 0)
      expect(seen.failures_in_row == model_.streak, "the failures in a row");
  }
  void compare_books() const {
    const auto seen = breaker_.snapshot(time());
    expect(seen.rejected == rejected_, "each refusal is counted");
    expect(seen.opens == opens_ && seen.closes == closes_ && seen.leases_over == leases_over_,
           "each transition is too");
    expect(seen.stale_dropped == stale_ && seen.probes_returned == returned_, "and what came too late, and came back");
  }

  std::int64_t now_ = std::int64_t{10'000} * 1'000'000'000;
  std::int64_t latest_ = now_;
  duration took_{0};  // by the call that is reported next
  breaker_model model_;
  circuit_breaker breaker_;
  std::array<slot, 8> slots_;
  std::uint64_t rejected_ = 0;
  std::uint64_t opens_ = 0;
  std::uint64_t closes_ = 0;
  std::uint64_t leases_over_ = 0;
  std::uint64_t stale_ = 0;
  std::uint64_t returned_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  trial breaker(options_from(in));
  for (std::size_t steps = 0; steps < most_steps && !in.empty(); ++steps) breaker.step(in);
  breaker.finish();
  return 0;
}
