// SPDX-License-Identifier: MIT
// circuit_breaker: stops calling a callee that fails, and finds out with a counted few calls when it works again.
//
//   operation     caller   progress    cost                                   allocates   when refused
//   admit         anyone   lock-free   closed: one load, one branch           never       an admission without a ticket;
//                                      open: two loads, one own store                     `refusal` says why, till when
//   report        anyone   lock-free   success, nothing wrong: one load of    never       dropped_stale: the result is of
//                                      the state; loads and one store of                  a state that has ended
//                                      the thread's own two lines
//                                      failed or slow: a scan of the window
//                                      with last_calls: one CAS of a shared word
//   ~permit       anyone   lock-free   closed: nothing; probe: one CAS        never       -
//   isolate, force_close, metrics_only, release
//                 anyone   lock-free   one CAS                                never       an empty transition
//   reconfigure   anyone   lock-free   two copies of the options, a store     never       why, or that another thread is
//                                      to each thread's place                             at it: nothing has changed
//   state         anyone   wait-free   one load                               never       -
//   options       anyone   lock-free   a copy of the options                  never       -
//   explain       anyone   lock-free   one load, a little arithmetic          never       -
//   snapshot      anyone   lock-free   a scan of the window                   never       -
//
// In short: any thread | lock-free | never | why, and when to come again
//
// The states. Closed: all calls pass and are counted. When a rule says so (failures in a row, or the share of failed or of
// slow calls in a window of time, or among the last so many calls) it opens: calls are refused until the open time is over,
// which doubles with every opening that is not forgotten yet. Then it is half-open: exactly `probes` calls pass; that many
// successes close it, one failure opens it again. Forced open, forced closed and metrics-only are entered and left by hand
// only; metrics-only counts and never refuses.
//
// What is promised, each with a test of that label:
//   I1 At most `probes` calls of one half-open generation are out or have succeeded at any time: the largest `probes` that
//      there was in that generation.
//   I2 A result of an earlier generation changes nothing, and its caller is told (dropped_stale).
//   I3 From every state that is not forced, calls that keep coming get through within the open time plus a lease,
//      whatever becomes of the probes: a permit that is destroyed unreported gives its place back, one that is never
//      destroyed loses it when its lease is over. (A circuit that nobody asked for 26 days, or a multiple of that, less
//      up to 73 minutes and an open time, takes its past tick for a future one, and refuses for that much longer.)
//   I4 An open circuit is not left before its time, except by hand. (A caller whose `now` is older than the opening by
//      more than an hour may open the half-open state early.)
//   I5 Every transition is returned to exactly one caller, and they form a chain: each begins where the one before it
//      ended, with the next generation. A renewed lease is a transition from half-open to half-open.
//   I6 While nothing is wrong, admission and success write the thread's own two pairs of lines in the window and nothing else.
//      (Threads beyond breaker_window::slots share one place. With last_calls each success writes a word that all share, too:
//      which calls are the last ones is something that threads can only say together.)
//   I7 The same calls at the same times with the same seed have the same results.
//   I8 Reading the breaker changes nothing. Other options change no state and no permit that is out, and no step of a call
//      goes by some of the old ones and some of the new ones.
// Exactness: failures in a row are counted exactly, in one atomic word. A share never trips on counts that no order of the
// reports would give; with T threads reporting at once it may trip up to T results later than one thread would, because
// results that are being counted may not see each other. Among the last calls all results have one order, and the one that
// brings a share to its limit there opens the circuit. A signal handler may use the breaker; a success that it reports
// inside a report of the thread that it interrupts may go uncounted in the window.
//
// Verdicts (core/verdict.hpp): ok and permanent are successes (it answered), transient and timeout failures; cancelled,
// rejected, stale and, unless asked otherwise, throttled say nothing: a probe that ends so gives its place back.
//
// Slow calls. A report may say how long the call took; from slow_call on it was slow, whether it succeeded or failed, and is
// counted as that besides. A call that says nothing says nothing by its time either. A probe is judged by its answer: the
// first calls after an outage meet cold caches and new connections, and a circuit that asked them to be quick might never
// close. If all calls are still slow it opens again, for twice as long.
//
// When to use it: around every call to something that can be down, one breaker a callee, inside the retry loop and inside
// the bulkhead (a probe's place must not be lost to a full bulkhead; if it is, destroying the permit returns it).
// Not to limit load (bulkhead, rate limiter), and not one for all instances of a service whose instances fail singly.
//
// Memory: 22 KiB in the object (policy/breaker_window.hpp and policy/count_window.hpp say why), nothing else. No pointers in
// it, standard layout. All the same it is of one process: threads count without an exchange in places that they own by the
// numbers of their process, so that two processes would own the same ones. Between processes use compact_breaker, or
// breaker_table (ipc/shared_segment.hpp).
//
// Method: the state is one 64-bit word and every transition one compare-and-swap of it, so no half-done transition can be
// seen or left behind by a thread that dies. Orders: what belongs to a state (its counts, its decay time) carries that
// state's generation instead of being ordered by it, so on the hot path relaxed will do. Who takes a step learns from the word
// which options it was made by, at least: a step is never judged by older ones. The options are one value in a seq_latch
// (policy/breaker_plan.hpp), which those of a breaker that never got others do not even read.
// Sources: Nygard, "Release It!", 2007, for the pattern; the breakers of Polly, resilience4j, gobreaker, Finagle and
// brpc for what their users were hurt by; Envoy for levels that fall on evidence only.
//
// Proof: model/circuit_breaker_model.cpp, model/breaker_window_model.cpp, model/breaker_plan_model.cpp,
// unit/circuit_breaker_test.cpp, stress/circuit_breaker_stress.cpp, bench/circuit_breaker_bench.cpp.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/seq_latch.hpp"
#include "holdfast/core/thread_slot.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/breaker_answer.hpp"
#include "holdfast/policy/breaker_options.hpp"
#include "holdfast/policy/breaker_plan.hpp"
#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/policy/breaker_window.hpp"
#include "holdfast/policy/breaker_word.hpp"
#include "holdfast/policy/count_window.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

struct breaker_snapshot {
  breaker_state state = breaker_state::closed;
  std::uint16_t generation = 0;
  std::uint32_t level = 0;            // openings not forgotten yet
  duration open_remaining{0};         // open: until probes are let through
  duration lease_remaining{0};        // half-open: until unreported probes lose their places
  std::uint32_t probes_issued = 0;    // half-open: places taken, reported successes included
  std::uint32_t probes_ok = 0;        // half-open: successes so far
  std::uint32_t failures_in_row = 0;  // closed, if that rule is on
  std::uint64_t window_ok = 0;        // closed and metrics-only: the window's counts
  std::uint64_t window_failed = 0;
  std::uint64_t window_slow = 0;  // of both, those that took slow_call or longer
  std::uint32_t last_calls = 0;   // closed and metrics-only, if asked for: how many of the last calls there are,
  std::uint32_t last_failed = 0;  // how many of them failed,
  std::uint32_t last_slow = 0;    // and how many were slow
  time_point
      since{};  // when this state began, to a microsecond, by the `now` of the caller that began it; {}: at construction
  breaker_cause cause = breaker_cause::none;  // about why; none: at construction
  // Since construction:
  std::uint64_t rejected = 0;         // admissions refused
  std::uint64_t opens = 0;            // transitions to open
  std::uint64_t closes = 0;           // half-open to closed
  std::uint64_t stale_dropped = 0;    // reports that came too late
  std::uint64_t probes_returned = 0;  // probes that ended neutral or abandoned
  std::uint64_t leases_over = 0;      // leases that ended with probes unreported
};

class circuit_breaker {
 public:
  // The right to make one call. Report it; destroyed unreported it is abandoned, which never counts as a failure.
  // It must not outlive its breaker.
  class [[nodiscard]] permit {
   public:
    permit() noexcept = default;
    permit(permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), seen_(other.seen_) {}
    permit& operator=(permit&& other) noexcept {
      permit taken(std::move(other));
      std::swap(owner_, taken.owner_);
      std::swap(seen_, taken.seen_);
      return *this;
    }
    ~permit() {
      if (owner_ != nullptr) owner_->abandon(seen_);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }
    [[nodiscard]] circuit_breaker* owner() const noexcept { return owner_; }
    [[nodiscard]] bool is_probe() const noexcept { return seen_.state() == breaker_state::half_open; }
    [[nodiscard]] std::uint16_t generation() const noexcept { return seen_.generation(); }

   private:
    friend class circuit_breaker;
    permit(circuit_breaker* owner, breaker_word seen) noexcept : owner_(owner), seen_(seen) {
      // `this` of admit; said again, because the optimiser has lost it by here and would test for it in every call.
      if (owner == nullptr) __builtin_unreachable();
    }

    circuit_breaker* owner_ = nullptr;
    breaker_word seen_{};  // the word that admitted it
  };

  struct [[nodiscard]] admission {
    permit ticket{};
    breaker_refusal refusal{};
    breaker_transition transition{};

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(ticket); }
  };

  struct report_result {
    bool dropped_stale = false;
    breaker_transition transition{};
  };

  // What became of a change of options. False: nothing has changed.
  struct [[nodiscard]] reconfigure_result {
    option_error refused{};    // the options are invalid, and this is why
    bool busy = false;         // another thread was at it, or one died at it
    bool window_kept = false;  // the window of time is as long as it was: its counts go on. Else they begin anew.
    bool last_kept = false;    // there are as many last calls as there were: the same

    constexpr explicit operator bool() const noexcept { return !refused && !busy; }
  };

  // Asserts that the options are valid.
  explicit circuit_breaker(const circuit_breaker_options& options = {}) noexcept;
  circuit_breaker(const circuit_breaker&) = delete;
  circuit_breaker& operator=(const circuit_breaker&) = delete;
  ~circuit_breaker() = default;

  // May a call be made at `now`?
  [[nodiscard, gnu::always_inline]] admission admit(time_point now) noexcept {
    const breaker_word word(word_.load(mo::relaxed));  // hint: the word publishes nothing but itself
    if (word.is_closed()) [[likely]]
      return {.ticket = permit(this, word)};
    if (word.state() == breaker_state::open &&
        breaker_tick::ahead(word.tick(), breaker_tick::of(now), open_longest())) {
      window_.count_refused();
      return {.refusal = {errc::breaker_open, breaker_tick::until(word.tick(), now), word}};
    }
    const slow_admission slow = admit_slowly(now);
    if (slow.refusal != errc{})
      return {.refusal = {slow.refusal, breaker_rules::wait_of(slow.word, now), slow.word},
              .transition = slow.transition};
    return {.ticket = permit(this, slow.word), .transition = slow.transition};
  }

  // What became of the call. The permit is used up. Without the time that it took the call is not a slow one.
  [[gnu::always_inline]] report_result report(permit&& ticket, verdict v, time_point now) noexcept {
    return settle(std::move(ticket), v, now, duration::zero(), true);
  }
  [[gnu::always_inline]] report_result report(permit&& ticket, verdict v, time_point now, duration took) noexcept {
    return settle(std::move(ticket), v, now, took, took < slow_from());
  }

  // By hand. Each is a transition of its own generation; what is out when it happens comes back stale. Asked for the
  // state that holds already, they do nothing.
  breaker_transition isolate(time_point now) noexcept;       // -> forced_open: refuse all
  breaker_transition force_close(time_point now) noexcept;   // -> forced_closed: let all through, count nothing
  breaker_transition metrics_only(time_point now) noexcept;  // -> metrics_only: let all through and count
  // Ends what the three above began: to closed, or to half_open to be probed first. In other states does nothing.
  breaker_transition release(time_point now, breaker_state to = breaker_state::closed) noexcept;

  // Other options from now on, in any state and while calls go on; `now` as for a call. The state stays: generation, level,
  // open time, failures in a row and probes that are out; permits are reported as if nothing had happened. An open circuit
  // stays so until the time that it has told its callers, and the next opening is by the new options. Counts go on where the
  // window has the shape that it had, by the old slow_call as far as they are old, and are judged by the new shares when the
  // next call is counted (if a call by the old options comes in between, when the next one fails).
  reconfigure_result reconfigure(const circuit_breaker_options& options, time_point now) noexcept;

  [[nodiscard]] breaker_state state() const noexcept {
    return breaker_word(word_.load(mo::relaxed)).state();  // hint: old as soon as it is known
  }
  [[nodiscard]] std::uint16_t generation() const noexcept {
    return breaker_word(word_.load(mo::relaxed)).generation();  // hint: the same
  }
  [[nodiscard]] breaker_snapshot snapshot(time_point now) const noexcept;
  // A refusal with error::age and error::cause: for how long the circuit had been open, isolated or half-open when it refused, and
  // a breaker_cause. Where another transition comes in between, the cause is none, and so is the age of a half-open circuit.
  [[nodiscard]] error explain(const breaker_refusal& refusal, time_point now) const noexcept;
  [[nodiscard]] circuit_breaker_options options() const noexcept {
    breaker_plan_room room;
    return current(room).rules.options();
  }

 private:
  friend struct breaker_start;  // tests/model: begins at a word that no run would reach

  // An admission that fits in two registers, so that those that are not slow never touch memory.
  struct slow_admission {
    breaker_word word;  // that admitted or refused
    breaker_transition transition;
    errc refusal;
  };
  static_assert(sizeof(slow_admission) == 16 && std::is_trivially_copyable_v<slow_admission>);
  [[gnu::noinline]] slow_admission admit_slowly(time_point now) noexcept;
  [[gnu::always_inline]] report_result settle(permit&& ticket, verdict v, time_point now, duration took,
                                              bool fast) noexcept {
    HOLDFAST_ASSERT(ticket.owner_ == this);
    const breaker_word seen = ticket.seen_;
    ticket.owner_ = nullptr;
    if (is_answer(v) && fast) [[likely]] {
      const breaker_word word(word_.load(mo::relaxed));  // hint: the word publishes nothing but itself
      const std::uint32_t mine = thread_slot::cached();
      if (word == seen && mine < breaker_window::slots) [[likely]] {
        if (window_.try_count_ok(mine, word, now)) [[likely]]
          return {};
      }
    }
    return report_slowly(seen, v, now, took);
  }
  [[gnu::noinline]] report_result report_slowly(breaker_word seen, verdict v, time_point now, duration took) noexcept;
  // The word that a step begins from.
  [[nodiscard]] breaker_word load() const noexcept {
    // [R1] acquire, pairs with [R2]: the plan that the state was made by, or a later one
    return breaker_word(word_.load(mo::acquire));
  }
  // The plan, in `room` where it has to be read. Asked after load(), it is no older than the word's.
  [[nodiscard]] const breaker_plan& current(breaker_plan_room& room) const noexcept {
    if (plans_.writes() == 0) [[likely]]
      return first_;
    return room.put(plans_.read().plan());
  }
  [[nodiscard]] std::uint32_t open_longest() const noexcept {
    return open_longest_.load(mo::relaxed);  // hint: too short a one costs a look at the plan
  }
  [[nodiscard]] duration slow_from() const noexcept {
    return duration(
        slow_from_.load(mo::relaxed));  // hint: alone decides whether a call is slow, by one plan or the next
  }
  bool count(const breaker_plan& plan, breaker_word word, breaker_effect effect, bool slow, time_point now) noexcept;
  breaker_cause count_last(last_calls_rule rule, breaker_word seen, bool failed, bool slow) noexcept;
  report_result told(report_result result) noexcept;
  report_result report_by_word(const breaker_plan& plan, breaker_word before, breaker_word seen, breaker_effect effect,
                               bool slow, time_point now) noexcept;
  report_result report_closed(const breaker_plan& plan, breaker_word before, breaker_word seen, breaker_effect effect,
                              bool slow, time_point now) noexcept;
  // Within one bucket of time the number of calls in the window only grows: once enough, enough till the bucket ends.
  static constexpr std::uint64_t quorum_key(const breaker_plan& plan, breaker_word seen, std::uint32_t epoch) noexcept {
    return std::uint64_t{1} << 63U | std::uint64_t{plan.window.serial() & 0x7FFFU} << 48U |
           std::uint64_t{seen.generation()} << 32U | epoch;
  }
  [[nodiscard]] bool quorum_known(const breaker_plan& plan, breaker_word seen, std::uint32_t epoch) const noexcept {
    return quorum_.load(mo::relaxed) == quorum_key(plan, seen, epoch);  // hint: not known costs a look at the window
  }
  breaker_transition open(breaker_word seen, breaker_cause cause, time_point now) noexcept;
  breaker_transition judge_shares(const breaker_plan& plan, breaker_word seen, std::uint32_t epoch,
                                  time_point now) noexcept;
  void mark_dirty(breaker_word seen) noexcept;
  void decay_level(const breaker_plan& plan, breaker_word seen, time_point now) noexcept;
  void abandon(breaker_word seen) noexcept {
    if (seen.state() == breaker_state::half_open) return_place(seen);
  }
  void return_place(breaker_word seen) noexcept;
  breaker_transition force(breaker_state to, time_point now) noexcept;
  bool swap(breaker_word& seen, breaker_word next) noexcept;
  breaker_transition happened(breaker_word from, breaker_word to, breaker_cause cause, time_point now) noexcept;

  // Read by every call, written by transitions and, while something is wrong, by failures.
  alignas(2 * cache_line_size) atomic<std::uint64_t> word_{0};
  // Of the plan, on the line that is here anyway. Written by reconfigure.
  atomic<std::uint32_t> open_longest_;      // the longest that there ever was
  atomic<std::uint32_t> reconfiguring_{0};  // by whom it is taken
  atomic<duration::rep> slow_from_;
  atomic<std::uint64_t> last_rule_;
  breaker_plan first_;                    // as constructed
  seq_latch<packed_breaker_plan> plans_;  // since then; written by who has taken reconfiguring_
  // Written seldom.
  // {generation, tick} when the level may next fall; at first of no generation
  alignas(2 * cache_line_size) atomic<std::uint64_t> decay_{~std::uint64_t{0}};
  atomic<std::uint64_t> quorum_{0};  // the bucket of time in which min_calls was reached, while the word is dirty
  atomic<std::uint64_t> since_{0};   // which state began when, and why
  atomic<std::uint64_t> opens_{0};
  atomic<std::uint64_t> closes_{0};
  atomic<std::uint64_t> stale_dropped_{0};
  atomic<std::uint64_t> probes_returned_{0};
  atomic<std::uint64_t> leases_over_{0};
  // Written by each thread in its own place.
  breaker_window window_;
  // Written by each result, if there are rules of the last calls.
  count_window last_;
};
static_assert(std::is_standard_layout_v<circuit_breaker>);

}  // namespace holdfast
