// SPDX-License-Identifier: MIT
// breaker_spec: what a circuit breaker with the rule of failures in a row may answer, on virtual time.
//
// Closed until so many failures come in a row; open until its time is over, which doubles with each opening; half-open
// with a counted number of probes under a lease. Each transition begins the next generation and is told to the one caller
// that made it. A result of an earlier generation changes nothing. Written without the library's rules, in whole ticks.
//
// One answer may be weaker than that: the report of a call that a closed circuit let through, if that circuit opened while
// the report was being made, may change nothing and yet not be called stale (its generation still held when it came in).
// If the circuit had opened before the report was called, it is stale and told so.
//
// Left out: the share of failures in a window, which is exact for one thread only and says so; levels that fall with time;
// states entered by hand; jitter.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class breaker_op : std::uint8_t {
  admit,  // args: now; results: an admit_answer; the generation and 1 for a probe, or the ticks to wait; _; a transition
  report,   // args: now, generation, 1 for a probe, an effect; results: 1 dropped as stale; _; _; a transition
  abandon,  // args: _, generation, 1 for a probe
  state,    // args: now; results: a breaker_view
};
enum class admit_answer : std::uint8_t { admitted, open, quota };
enum class breaker_kind : std::uint8_t { closed, open, half_open };
enum class report_effect : std::uint8_t { success, failure, neutral };
enum class breaker_reason : std::uint8_t { none, failures, open_time_over, probe_failed, probes_passed, lease_over };

// A transition in one number; 0 is none.
constexpr std::int64_t transition_of(breaker_reason why, breaker_kind from, breaker_kind to,
                                     std::int64_t generation) noexcept {
  return static_cast<std::int64_t>(why) | static_cast<std::int64_t>(from) << 8 | static_cast<std::int64_t>(to) << 16 |
         generation << 24;
}

class breaker_spec {
 public:
  struct terms {
    std::int64_t failures = 2;   // in a row
    std::int64_t probes = 2;     // and as many successes
    std::int64_t lease = 4;      // ticks
    std::int64_t open_base = 2;  // ticks
    std::int64_t open_max = 8;   // ticks
    bool reopens = false;        // when a lease is over: opens again, rather than to let new probes through
    friend bool operator==(const terms&, const terms&) = default;
  };
  struct view {
    breaker_kind kind = breaker_kind::closed;
    std::int64_t generation = 0;
    std::int64_t level = 0;
    std::int64_t issued = 0;     // half-open
    std::int64_t succeeded = 0;  // half-open
    std::int64_t streak = 0;     // closed
    std::int64_t left = 0;       // open, half-open: ticks
  };
  // No more generations than this in a history with what came before it.
  static constexpr std::size_t most_generations = 48;

  breaker_spec() { ended_by_.fill(no_operation); }
  explicit breaker_spec(const terms& t) : breaker_spec() { terms_ = t; }

  [[nodiscard]] static operation admitted(std::int64_t now, std::int64_t generation, bool probe,
                                          std::int64_t transition = 0) noexcept {
    return recorded(breaker_op::admit, {now}, {0, generation, probe ? 1 : 0, transition});
  }
  [[nodiscard]] static operation refused(std::int64_t now, admit_answer why, std::int64_t wait,
                                         std::int64_t transition = 0) noexcept {
    return recorded(breaker_op::admit, {now}, {static_cast<std::int64_t>(why), wait, 0, transition});
  }
  [[nodiscard]] static operation report(std::int64_t now, std::int64_t generation, bool probe, report_effect effect,
                                        bool dropped, std::int64_t transition = 0) noexcept {
    return recorded(breaker_op::report, {now, generation, probe ? 1 : 0, static_cast<std::int64_t>(effect)},
                    {dropped ? 1 : 0, 0, 0, transition});
  }
  [[nodiscard]] static operation abandon(std::int64_t generation, bool probe) noexcept {
    return recorded(breaker_op::abandon, {0, generation, probe ? 1 : 0}, {});
  }
  [[nodiscard]] static operation state(std::int64_t now, const view& v) noexcept {
    return recorded(breaker_op::state, {now},
                    {static_cast<std::int64_t>(v.kind) | v.generation << 8, v.level,
                     v.issued | v.succeeded << 8 | v.streak << 16, v.left});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    const std::int64_t now = op.args[0];
    operation expected = op;
    expected.results = {};
    std::int64_t made = 0;
    switch (static_cast<breaker_op>(op.code)) {
      case breaker_op::admit: {
        const admit_answer answer = admit(now, op.id, made);
        if (answer == admit_answer::admitted) {
          expected.results = {0, generation_, kind_ == breaker_kind::half_open ? 1 : 0, made};
        } else {
          expected.results = {static_cast<std::int64_t>(answer), until_ - now, 0, made};
        }
        break;
      }
      case breaker_op::report: {
        const bool probe = op.args[2] != 0;
        if (!is_current(op.args[1], probe)) {
          if (!probe && op.results[0] == 0 && ended_meanwhile(op)) return op.results[3] == 0;
          expected.results[0] = 1;
          break;
        }
        expected.results[3] = report(now, static_cast<report_effect>(op.args[3]), op.id);
        break;
      }
      case breaker_op::abandon:
        if (op.args[2] != 0 && is_current(op.args[1], true)) --issued_;
        break;
      case breaker_op::state: expected.results = state(now, seen_at(now)).results; break;
    }
    return expected.results == op.results && static_cast<std::size_t>(generation_) < most_generations;
  }

  static void prepare(history&) noexcept {}
  friend bool operator==(const breaker_spec&, const breaker_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept {
    std::uint64_t h = mixed(static_cast<std::uint64_t>(generation_) << 32U | static_cast<std::uint64_t>(until_));
    h = mixed(h + static_cast<std::uint64_t>(issued_ | succeeded_ << 8 | streak_ << 16));
    return h + ended_by_[static_cast<std::size_t>(generation_ > 0 ? generation_ - 1 : 0)];
  }

  [[nodiscard]] static std::string describe(const operation& op) {
    const std::string when = words(" at ", op.args[0]);
    const std::string whose = words(op.args[2] != 0 ? " probe of " : " call of ", op.args[1]);
    const auto& r = op.results;
    std::string then;
    if (r[3] != 0) then = words(", ", name(r[3] >> 8 & 255), " to ", name(r[3] >> 16 & 255), " ", r[3] >> 24);
    constexpr std::array<const char*, 3> effects{", success", ", failure", ", neutral"};
    switch (static_cast<breaker_op>(op.code)) {
      case breaker_op::admit:
        if (r[0] == 0) return words("admit", when, r[2] != 0 ? ": probe of " : ": call of ", r[1], then);
        return words("admit", when, r[0] == 1 ? ": open for " : ": no probe for ", r[1], then);
      case breaker_op::report:
        return words("report", when, whose, effects[static_cast<std::size_t>(op.args[3]) % 3],
                     r[0] != 0 ? ": stale" : ": taken", then);
      case breaker_op::abandon: return words("abandon", whose);
      case breaker_op::state:
        return words("state", when, ": ", name(r[0] & 255), " ", r[0] >> 8, ", level ", r[1], ", probes ", r[2] & 255,
                     "/", r[2] >> 8 & 255, ", failures ", r[2] >> 16, ", left ", r[3]);
    }
    return "?";
  }
  [[nodiscard]] std::string text() const {
    return words(name(static_cast<std::int64_t>(kind_)), " ", generation_, ", level ", level_, ", probes ", issued_,
                 "/", succeeded_, ", failures ", streak_, ", until ", until_);
  }

 private:
  static const char* name(std::int64_t kind) noexcept {
    constexpr std::array<const char*, 3> names{"closed", "open", "half_open"};
    return kind >= 0 && kind < 3 ? names[static_cast<std::size_t>(kind)] : "?";
  }
  [[nodiscard]] bool is_current(std::int64_t generation, bool probe) const noexcept {
    return generation == generation_ && (probe ? kind_ == breaker_kind::half_open : kind_ == breaker_kind::closed);
  }
  // Did the permit's generation end by an operation that had not returned when this one was called?
  [[nodiscard]] bool ended_meanwhile(const operation& op) const noexcept {
    if (op.args[1] < 0 || op.args[1] >= generation_) return false;
    const std::uint8_t by = ended_by_[static_cast<std::size_t>(op.args[1])];
    return by != no_operation && (op.before >> by & 1U) == 0;
  }
  // The next generation, made by operation `id`; the transition as a number.
  std::int64_t enter(breaker_kind to, std::int64_t until, breaker_reason why, std::uint8_t id) noexcept {
    const breaker_kind from = kind_;
    if (static_cast<std::size_t>(generation_) < most_generations) ended_by_[static_cast<std::size_t>(generation_)] = id;
    kind_ = to;
    ++generation_;
    until_ = until;
    issued_ = succeeded_ = streak_ = 0;
    return transition_of(why, from, to, generation_);
  }
  std::int64_t open(std::int64_t now, breaker_reason why, std::uint8_t id) noexcept {
    const std::int64_t span = std::min(terms_.open_base << level_, terms_.open_max);
    level_ = std::min<std::int64_t>(level_ + 1, 15);
    return enter(breaker_kind::open, now + span, why, id);
  }
  std::int64_t let_probe_in(std::int64_t now, breaker_reason why, std::uint8_t id) noexcept {
    const std::int64_t made = enter(breaker_kind::half_open, now + terms_.lease, why, id);
    issued_ = 1;
    return made;
  }
  admit_answer admit(std::int64_t now, std::uint8_t id, std::int64_t& made) noexcept {
    if (kind_ == breaker_kind::closed) return admit_answer::admitted;
    if (kind_ == breaker_kind::open) {
      if (now < until_) return admit_answer::open;
      made = let_probe_in(now, breaker_reason::open_time_over, id);
      return admit_answer::admitted;
    }
    const bool leased = now < until_;
    if (issued_ > succeeded_ && !leased) {
      if (terms_.reopens) {
        made = open(now, breaker_reason::lease_over, id);
        return admit_answer::open;
      }
      made = let_probe_in(now, breaker_reason::lease_over, id);
      return admit_answer::admitted;
    }
    if (issued_ == terms_.probes) return admit_answer::quota;
    ++issued_;
    until_ = leased ? std::max(until_, now + terms_.lease) : now + terms_.lease;
    return admit_answer::admitted;
  }
  std::int64_t report(std::int64_t now, report_effect effect, std::uint8_t id) noexcept {
    if (kind_ == breaker_kind::half_open) {
      if (effect == report_effect::failure) return open(now, breaker_reason::probe_failed, id);
      if (effect == report_effect::neutral) {
        --issued_;
      } else if (++succeeded_ == terms_.probes) {
        return enter(breaker_kind::closed, now, breaker_reason::probes_passed, id);
      }
      return 0;
    }
    if (effect == report_effect::success) streak_ = 0;
    if (effect == report_effect::failure && ++streak_ == terms_.failures) {
      return open(now, breaker_reason::failures, id);
    }
    return 0;
  }
  [[nodiscard]] view seen_at(std::int64_t now) const noexcept {
    view v{kind_, generation_, level_, issued_, succeeded_, streak_, 0};
    if (kind_ != breaker_kind::closed) v.left = std::max<std::int64_t>(0, until_ - now);
    return v;
  }

  terms terms_;
  breaker_kind kind_ = breaker_kind::closed;
  std::int64_t generation_ = 0;
  std::int64_t level_ = 0;
  std::int64_t issued_ = 0;
  std::int64_t succeeded_ = 0;
  std::int64_t streak_ = 0;
  std::int64_t until_ = 0;  // open: till when; half-open: the end of the lease
  std::array<std::uint8_t, most_generations> ended_by_{};
};

}  // namespace holdfast_lin
