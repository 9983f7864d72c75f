// SPDX-License-Identifier: MIT
// Every execution's answers, as a history that a specification must accept.
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "linearizability/breaker_spec.hpp"
#include "linearizability/budget_spec.hpp"
#include "linearizability/queue_spec.hpp"
#include "linearizability/rate_spec.hpp"
#include "linearizability/semaphore_spec.hpp"
#include "model/engine/scenario.hpp"
#include "model/linearized.hpp"

using namespace holdfast;
using namespace holdfast_model;
using namespace holdfast_lin;

namespace {

template <refusals Refusals, bool Fences>
struct queue_history {
  static constexpr unsigned threads = 2;
  using spec = queue_spec<2, 2, Refusals>;
  spsc_queue<std::int64_t, 2> queue;
  linearized<spec> answers;

  void run(unsigned thread) {
    for (std::int64_t i = 1; i <= 3; ++i) {
      if (thread == 0) {
        answers.record([&] { return spec::push(i, queue.try_push(i)); });
      } else {
        answers.record([&] {
          std::int64_t out = 0;
          return queue.try_pop(out) ? spec::pop(true, out) : spec::pop(false);
        });
      }
      if (Fences) fence(mo::seq_cst);
    }
  }
  void after() { answers.judge(); }
};
// A refusal may overlook what the other side is doing: two threads that each publish and then look may both look too early.
using queue_as_known = queue_history<refusals::as_known, false>;
MODEL_SCENARIO("linearizability", queue_as_known, {});
using queue_not_strict = queue_history<refusals::exact, false>;
MODEL_SCENARIO("linearizability", queue_not_strict, {.refutes = true});
// With a seq_cst fence between a caller's operations the queue is the strict one.
using queue_strict = queue_history<refusals::exact, true>;
MODEL_SCENARIO("linearizability", queue_strict, {});

struct semaphore_history {
  static constexpr unsigned threads = 3;
  using spec = semaphore_spec;
  bulkhead room{bulkhead_options{.limit = 1}};
  linearized<spec> answers{spec(1)};

  void run(unsigned thread) {
    if (thread == 2) {
      answers.record([&] {
        room.set_limit(2);
        return spec::set_limit(2);
      });
      return;
    }
    bulkhead::permit place;
    answers.record([&] {
      place = room.try_acquire();
      return spec::acquire(static_cast<bool>(place));
    });
    if (!place) return;
    answers.record([&] {
      place.release();
      return spec::leave();
    });
  }
  void after() {
    answers.record([&] { return spec::state(room.in_flight(), room.limit()); });
    answers.judge();
  }
};
MODEL_SCENARIO("linearizability", semaphore_history, {});

// Three places, three takers of the last token, one of them with an older clock, and a deposit.
struct token_history {
  static constexpr unsigned threads = 3;
  using spec = budget_spec;
  retry_budget budget{retry_budget_options{.ratio_permille = 500, .min_per_second = 200, .burst = 1}};
  linearized<spec> answers{spec({500, 200, 1})};

  static time_point at(std::int64_t ms) { return time_point(std::chrono::milliseconds(ms)); }
  void take(std::int64_t ms) {
    answers.record([&] { return spec::take(ms, 1, budget.try_take(at(ms))); });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      take(1'000'000);
      answers.record([&] {
        budget.on_first_attempt(at(1'000'001));
        return spec::first_attempt(1'000'001);
      });
    } else {
      take(thread == 1 ? 1'000'004 : 1'000'002);
    }
  }
  void after() {
    for (const std::int64_t ms : {1'000'000, 1'000'010})
      answers.record([&] { return spec::balance(ms, budget.balance_milli(at(ms))); });
    answers.judge();
  }
};
MODEL_SCENARIO("linearizability", token_history, {});

// One who takes at once, one whose clock is late, and one who reserves and gives back.
struct rate_history {
  static constexpr unsigned threads = 3;
  using spec = rate_spec;
  rate_limiter limiter{rate_limiter_options{.permits = 1, .per = duration(10), .burst = 2}};
  linearized<spec> answers{spec({.period = 10, .burst = 2})};

  static time_point at(std::int64_t ns) { return time_point(duration(ns)); }
  void take(std::int64_t now, std::uint32_t permits) {
    answers.record([&] { return spec::take(now, permits, limiter.try_take(at(now), permits).retry_after.count()); });
  }
  void run(unsigned thread) {
    if (thread < 2) {
      take(thread == 0 ? 100 : 95, 1);
      return;
    }
    rate_reservation r;
    answers.record([&] {
      r = limiter.reserve(at(100), duration(10), 1);
      return spec::reserve(100, 1, 10, r.retry_after.count(), r.starts_at.time_since_epoch().count(),
                           spec::word(r.taken.before), r.taken.until);
    });
    answers.record([&] {
      const rate_span span = r.taken;
      return spec::give_back(spec::word(span.before), span.until, limiter.give_back(r));
    });
  }
  void after() {
    for (const std::int64_t now : {90, 110}) {
      answers.record([&] {
        const rate_snapshot s = limiter.snapshot(at(now));
        return spec::look(now, s.available, s.full_in.count());
      });
    }
    answers.judge();
  }
};
MODEL_SCENARIO("linearizability", rate_history, {});

constexpr std::int64_t tick_ns = std::int64_t{1} << 20U;  // what breaker_word counts time in
constexpr std::int64_t first_tick = 1000;

// Two callers whose failures open the circuit, and who come back when its time is over.
struct breaker_history {
  static constexpr unsigned threads = 2;
  using spec = breaker_spec;
  circuit_breaker breaker{{.consecutive_failures = 2,
                           .failure_permille = 0,
                           .probes = 1,
                           .probe_lease = duration(4 * tick_ns),
                           .open_base = duration(2 * tick_ns),
                           .open_max = duration(8 * tick_ns),
                           .jitter_permille = 0,
                           .healthy_decay = std::chrono::hours(24)}};
  linearized<spec> answers{spec({.failures = 2, .probes = 1, .lease = 4, .open_base = 2, .open_max = 8})};

  static time_point at(std::int64_t tick) { return time_point(duration(tick * tick_ns)); }
  static breaker_kind kind_of(breaker_state s) {
    return s == breaker_state::closed ? breaker_kind::closed
           : s == breaker_state::open ? breaker_kind::open
                                      : breaker_kind::half_open;
  }
  static std::int64_t number_of(const breaker_transition& t) {
    breaker_reason why = breaker_reason::none;
    switch (t.cause) {
      case breaker_cause::none: return 0;
      case breaker_cause::consecutive_failures: why = breaker_reason::failures; break;
      case breaker_cause::open_time_over: why = breaker_reason::open_time_over; break;
      case breaker_cause::probe_failed: why = breaker_reason::probe_failed; break;
      case breaker_cause::probes_passed: why = breaker_reason::probes_passed; break;
      default: break;  // a transition without a reason is refused by the specification
    }
    return transition_of(why, kind_of(t.from), kind_of(t.to), t.generation);
  }

  void call(std::int64_t tick, report_effect effect) {
    circuit_breaker::permit ticket;
    answers.record([&] {
      auto answer = breaker.admit(at(tick));
      const std::int64_t made = number_of(answer.transition);
      if (answer.ticket) {
        ticket = std::move(answer.ticket);
        return spec::admitted(tick, ticket.generation(), ticket.is_probe(), made);
      }
      return spec::refused(tick, answer.refusal.code == errc::probe_quota ? admit_answer::quota : admit_answer::open,
                           answer.refusal.retry_after.count() / tick_ns, made);
    });
    if (!ticket) return;
    answers.record([&] {
      const std::int64_t generation = ticket.generation();
      const bool probe = ticket.is_probe();
      const auto answer = breaker.report(std::move(ticket),
                                         effect == report_effect::success ? verdict::ok : verdict::transient, at(tick));
      return spec::report(tick, generation, probe, effect, answer.dropped_stale, number_of(answer.transition));
    });
  }
  void run(unsigned thread) {
    call(first_tick, report_effect::failure);
    call(first_tick + 3, thread == 0 ? report_effect::success : report_effect::failure);
  }
  void after() { answers.judge(); }
};
MODEL_SCENARIO("linearizability", breaker_history, {});

}  // namespace
