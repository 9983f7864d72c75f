// SPDX-License-Identifier: MIT
// breaker_part: windows of calls that a circuit breaker lets through or refuses, on virtual time that differs by thread.
//
// Before each window one thread walks the breaker some way, and the permits that are then out are dealt to the threads: so
// windows begin closed, open, half-open, with probes out and with permits that are stale.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/core/random.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/circuit_breaker.hpp"

#include "breaker_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

template <class Breaker, unsigned Threads>
class breaker_part {
 public:
  using spec = breaker_spec;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    const spec::terms terms{.failures = static_cast<std::int64_t>(1 + random() % 2),
                            .probes = static_cast<std::int64_t>(1 + random() % 2),
                            .lease = 4,
                            .open_base = 2,
                            .open_max = 8,
                            .reopens = random() % 2 == 0};
    for (caller& c : callers_) c.count = 0;
    breaker_.emplace(options_of(terms));
    std::int64_t now = first_tick;
    for (std::uint64_t left = random() % 12; left != 0; --left) {
      now += static_cast<std::int64_t>(random() % 3);
      const std::uint64_t bits = random();
      opening.note(step(callers_[bits % Threads], bits >> 8U, now));
    }
    now_ = now;
    return spec(terms);
  }

  void run(unsigned thread, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    caller& self = callers_[thread];
    std::int64_t now = now_ + static_cast<std::int64_t>(random() % 4) - 1;
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t bits = random();
      now += static_cast<std::int64_t>(bits % 3);
      made.record(clock, [&] { return step(self, bits >> 8U, now); });
    }
  }

  void close(recorder& closing) {
    const holdfast::breaker_snapshot s = breaker_->snapshot(at(now_));
    closing.note(spec::state(now_, {.kind = kind_of(s.state),
                                    .generation = s.generation,
                                    .level = s.level,
                                    .issued = s.probes_issued,
                                    .succeeded = s.probes_ok,
                                    .streak = s.failures_in_row,
                                    .left = ticks_of(s.open_remaining + s.lease_remaining)}));
    for (caller& c : callers_) {
      while (c.count != 0) closing.note(abandon(c));
    }
  }

 private:
  using permit = typename Breaker::permit;
  static constexpr std::int64_t first_tick = 1000;
  static constexpr std::int64_t tick_ns = std::int64_t{1} << 20U;  // what breaker_word counts time in

  struct alignas(2 * holdfast::cache_line_size) caller {
    std::array<permit, 20> held;
    std::size_t count = 0;
  };

  static holdfast::time_point at(std::int64_t tick) { return holdfast::time_point(holdfast::duration(tick * tick_ns)); }
  // -1 for a time that is no whole number of ticks: nothing here makes such a one.
  static std::int64_t ticks_of(holdfast::duration d) { return d.count() % tick_ns == 0 ? d.count() / tick_ns : -1; }

  static holdfast::circuit_breaker_options options_of(const spec::terms& t) {
    return {.consecutive_failures = static_cast<std::uint16_t>(t.failures),
            .failure_permille = 0,
            .probes = static_cast<std::uint8_t>(t.probes),
            .probe_lease = holdfast::duration(t.lease * tick_ns),
            .on_lease_over = t.reopens ? holdfast::lease_expiry::reopen : holdfast::lease_expiry::renew,
            .open_base = holdfast::duration(t.open_base * tick_ns),
            .open_max = holdfast::duration(t.open_max * tick_ns),
            .jitter_permille = 0,
            .healthy_decay = std::chrono::hours(24)};
  }
  static breaker_kind kind_of(holdfast::breaker_state s) {
    return s == holdfast::breaker_state::closed ? breaker_kind::closed
           : s == holdfast::breaker_state::open ? breaker_kind::open
                                                : breaker_kind::half_open;
  }
  static std::int64_t number_of(const holdfast::breaker_transition& t) {
    using holdfast::breaker_cause;
    breaker_reason why = breaker_reason::none;
    switch (t.cause) {
      case breaker_cause::none: return 0;
      case breaker_cause::consecutive_failures: why = breaker_reason::failures; break;
      case breaker_cause::open_time_over: why = breaker_reason::open_time_over; break;
      case breaker_cause::probe_failed: why = breaker_reason::probe_failed; break;
      case breaker_cause::probes_passed: why = breaker_reason::probes_passed; break;
      case breaker_cause::lease_over: why = breaker_reason::lease_over; break;
      case breaker_cause::failure_rate:
      case breaker_cause::slow_rate:
      case breaker_cause::manual: break;  // never here: no transition of the specification has no reason
    }
    return transition_of(why, kind_of(t.from), kind_of(t.to), t.generation);
  }

  // Mostly reports what it holds, so that few permits pile up.
  operation step(caller& self, std::uint64_t bits, std::int64_t now) {
    if (self.count == 0 || bits % 8 < 3) return admit(self, now);
    std::swap(self.held[(bits >> 8U) % self.count], self.held[self.count - 1]);
    const std::uint64_t what = (bits >> 16U) % 16;
    if (what == 0) return abandon(self);
    return report(self, now,
                  what < 7    ? report_effect::success
                  : what < 14 ? report_effect::failure
                              : report_effect::neutral);
  }
  operation admit(caller& self, std::int64_t now) {
    auto answer = breaker_->admit(at(now));
    const std::int64_t made = number_of(answer.transition);
    if (answer.ticket) {
      const operation op = spec::admitted(now, answer.ticket.generation(), answer.ticket.is_probe(), made);
      self.held[self.count++] = std::move(answer.ticket);
      return op;
    }
    return spec::refused(now,
                         answer.refusal.code == holdfast::errc::probe_quota ? admit_answer::quota : admit_answer::open,
                         ticks_of(answer.refusal.retry_after), made);
  }
  operation report(caller& self, std::int64_t now, report_effect effect) {
    permit& ticket = self.held[--self.count];
    const std::int64_t generation = ticket.generation();
    const bool probe = ticket.is_probe();
    const auto verdict = effect == report_effect::success   ? holdfast::verdict::ok
                         : effect == report_effect::failure ? holdfast::verdict::transient
                                                            : holdfast::verdict::cancelled;
    const auto answer = breaker_->report(std::move(ticket), verdict, at(now));
    return spec::report(now, generation, probe, effect, answer.dropped_stale, number_of(answer.transition));
  }
  operation abandon(caller& self) {
    permit& ticket = self.held[--self.count];
    const operation op = spec::abandon(ticket.generation(), ticket.is_probe());
    ticket = permit();
    return op;
  }

  std::optional<Breaker> breaker_;
  std::array<caller, Threads> callers_;
  std::int64_t now_ = first_tick;
};

}  // namespace holdfast_lin
