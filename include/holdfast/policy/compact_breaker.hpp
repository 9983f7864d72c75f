// SPDX-License-Identifier: MIT
// compact_breaker: a circuit breaker in one cache line, for where there are a hundred thousand of them.
//
//   operation     caller   progress    cost                                   allocates   when refused
//   admit         anyone   lock-free   closed: one load, one branch           never       an admission without a ticket;
//                                      open: one load                         `refusal` says why, till when
//   report        anyone   lock-free   success, nothing wrong: two loads,     never       dropped_stale: the result is of
//                                      one CAS; failed or slow: two CAS and   a state that has ended
//                                      ten loads, all of one line
//   ~permit       anyone   lock-free   closed: nothing; probe: one CAS        never       -
//   isolate, force_close, metrics_only, release
//                 anyone   lock-free   one CAS                                never       an empty transition
//   state         anyone   wait-free   one load                               never       -
//   snapshot      anyone   wait-free   eleven loads of one line               never       -
//
// In short: any thread | lock-free | never | why, and when to come again
//
// The states, the verdicts and the rules are those of circuit_breaker (policy/circuit_breaker.hpp), by the same functions
// on the same word. The options are not in the object: all breakers of a kind share one compact_breaker_rules, which is
// handed to each call and outlives its permits. What differs:
//   - The window has five buckets instead of sixteen: a result counts up to a quarter of the window longer than it.
//   - At most 1,000 min_calls, and no rules of the last calls; validate() says so.
//   - Up to 4,095 calls (2,047 failed or slow ones) in a quarter of the window shares are exact. Above, they go by the latest few
//     thousand calls (policy/compact_window.hpp): a burst of failures weighs more than its share of the window, and may open
//     earlier than that share would. Use circuit_breaker there.
//   - Failures in a row are forgotten when nothing was counted for `keep`, so that what nobody uses any more becomes as
//     good as new.
//   - It keeps no books: refusals, openings and late results are told to who meets them, and counted by whoever wants to.
//   - Breakers that share a seed do not wake in step: each is jittered by its own name().
//
// What is promised, each with a test of that label:
//   I1-I5, I7, I8 as by circuit_breaker. (I2: a result whose state ends while it is being counted may be told either.)
//   I6 While nothing is wrong, admission writes nothing and a success one word of the breaker's one line.
//   I9 All zero is a new breaker, and at every instruction of every thread the object is one that the others can go on
//      with: it may lie in memory that processes share, and one that is killed costs at most the probes that it had.
// Exactness: failures in a row are counted exactly. As long as shares are, none trips on counts that no order of the reports
// would give; with T threads reporting at once it may trip up to T results later than one thread would.
//
// When to use it: one of very many breakers, each called now and then (policy/breaker_table.hpp finds it by a key). Threads
// that report to the same one at once meet on its line: for a callee that all threads call, use circuit_breaker.
//
// Memory: 64 bytes, one line, no pointer, standard layout. A permit holds two pointers of its process.
//
// Method: as circuit_breaker, with one word a bucket. Orders: the word publishes nothing but itself.
// Proof: model/compact_breaker_model.cpp, unit/compact_breaker_test.cpp,
// stress/compact_breaker_stress.cpp, fault/shared_breaker_fault.cpp (I9), bench/circuit_breaker_bench.cpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/breaker_answer.hpp"
#include "holdfast/policy/breaker_options.hpp"
#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/policy/breaker_word.hpp"
#include "holdfast/policy/compact_window.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/epochs.hpp"

namespace holdfast {

struct compact_breaker_options {
  // Beside a breaker in memory that processes share, so that all go by the same rules: each makes compact_breaker_rules of them.
  static constexpr shared_layout shared{"compact_breaker_options", 1};

  circuit_breaker_options rules{};
  // What nobody used for so long is as good as new. Longer than the longest call, so that no call outlives what its result
  // belongs to; at least rules.window, at most 16,000 of them and a day.
  duration keep = std::chrono::seconds(30);
};
static_assert(std::is_aggregate_v<compact_breaker_options>);

constexpr option_error validate(const compact_breaker_options& o) noexcept {
  // Of a window that is no valid one nothing overflows.
  const std::int64_t window = std::clamp(o.rules.window, duration(0), duration(std::chrono::hours(1))).count();
  return first_of(validate(o.rules),
                  // A bucket that is full is halved: it must still hold enough to judge by.
                  at_most("rules.min_calls", o.rules.min_calls, 1000),
                  // There is no room for them in a cache line.
                  at_most("rules.last_calls", o.rules.last_calls, 0),
                  at_least("keep", o.keep.count(), o.rules.window.count()),
                  at_most("keep", o.keep.count(), 16'000 * window),
                  at_most("keep", o.keep.count(), duration(std::chrono::hours(24)).count()));
}
static_assert(!validate(compact_breaker_options{}));
static_assert(shareable<compact_breaker_options>);

// What breakers of a kind share: their options, made ready.
class compact_breaker_rules : public breaker_rules {
 public:
  // Asserts that the options are valid.
  constexpr explicit compact_breaker_rules(const compact_breaker_options& o) noexcept
      : breaker_rules(checked(o).rules),
        epochs_(o.rules.window, compact_window::buckets - 1),
        keep_(o.keep),
        keep_buckets_(static_cast<std::uint32_t>(
            (4 * o.keep.count() + o.rules.window.count() - 1) / o.rules.window.count() + 1)) {
    static_assert(4 * 16'000 + 2 < compact_window::farthest);
  }

  [[nodiscard]] constexpr duration keep() const noexcept { return keep_; }
  [[nodiscard]] constexpr std::uint32_t keep_buckets() const noexcept { return keep_buckets_; }
  [[nodiscard]] constexpr std::uint64_t epoch(time_point now) const noexcept { return epochs_.whole(now); }
  // Has the state of `word`, which is no open or half-open one, lasted for `keep`?
  [[nodiscard]] constexpr bool settled(breaker_word word, time_point now) const noexcept {
    const std::uint32_t lasted = breaker_tick::distance(word.tick(), breaker_tick::of(now));
    return lasted >= breaker_tick::span(keep_) && lasted < breaker_tick::mask - breaker_tick::skew;
  }

 private:
  // Before anything is divided by what may be zero.
  static constexpr const compact_breaker_options& checked(const compact_breaker_options& o) noexcept {
    HOLDFAST_ASSERT(!validate(o));
    return o;
  }

  epochs epochs_;
  duration keep_;
  std::uint32_t keep_buckets_;
};

struct compact_breaker_snapshot {
  breaker_state state = breaker_state::closed;
  std::uint16_t generation = 0;
  std::uint32_t level = 0;            // openings not forgotten yet
  duration open_remaining{0};         // open: until probes are let through
  duration lease_remaining{0};        // half-open: until unreported probes lose their places
  std::uint32_t probes_issued = 0;    // half-open: places taken, reported successes included
  std::uint32_t probes_ok = 0;        // half-open: successes so far
  std::uint32_t failures_in_row = 0;  // closed, if that rule is on
  std::uint32_t window_ok = 0;        // closed and metrics-only: the window's counts
  std::uint32_t window_failed = 0;
  std::uint32_t window_slow = 0;  // of both, those that took slow_call or longer
};

class alignas(cache_line_size) compact_breaker {
 public:
  static constexpr shared_layout shared{"compact_breaker", 1};

  // The right to make one call. Report it; destroyed unreported it is abandoned, which never counts as a failure.
  // It outlives neither its breaker nor the rules that it was given by.
  class [[nodiscard]] permit {
   public:
    permit() noexcept = default;
    permit(permit&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), rules_(other.rules_), seen_(other.seen_) {}
    permit& operator=(permit&& other) noexcept {
      permit taken(std::move(other));
      std::swap(owner_, taken.owner_);
      std::swap(rules_, taken.rules_);
      std::swap(seen_, taken.seen_);
      return *this;
    }
    ~permit() {
      if (owner_ != nullptr && is_probe()) owner_->return_place(*rules_, seen_);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }
    [[nodiscard]] compact_breaker* owner() const noexcept { return owner_; }
    [[nodiscard]] bool is_probe() const noexcept { return seen_.state() == breaker_state::half_open; }
    [[nodiscard]] std::uint16_t generation() const noexcept { return seen_.generation(); }

   private:
    friend class compact_breaker;
    permit(compact_breaker* owner, const compact_breaker_rules* rules, breaker_word seen) noexcept
        : owner_(owner), rules_(rules), seen_(seen) {
      // `this` of admit; said again, because the optimiser has lost it by here and would test for it in every call.
      if (owner == nullptr) __builtin_unreachable();
    }

    compact_breaker* owner_ = nullptr;
    const compact_breaker_rules* rules_ = nullptr;
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

  compact_breaker() noexcept = default;
  // By its name it is jittered; breakers of one name and history wake in step.
  explicit compact_breaker(std::uint64_t name) noexcept : name_(name) {}
  compact_breaker(const compact_breaker&) = delete;
  compact_breaker& operator=(const compact_breaker&) = delete;
  ~compact_breaker() = default;

  // May a call be made at `now`?
  [[nodiscard, gnu::always_inline]] admission admit(const compact_breaker_rules& rules, time_point now) noexcept {
    const breaker_word word = load();
    if (word.is_closed()) [[likely]]
      return {.ticket = permit(this, &rules, word)};
    if (word.state() == breaker_state::open &&
        breaker_tick::ahead(word.tick(), breaker_tick::of(now), rules.open_longest()))
      return {.refusal = {errc::breaker_open, breaker_tick::until(word.tick(), now), word}};
    return admit_slowly(rules, word, now);
  }

  // What became of the call. The permit is used up. Without the time that it took the call is not a slow one.
  [[gnu::always_inline]] report_result report(permit&& ticket, verdict v, time_point now,
                                              duration took = duration::zero()) noexcept {
    HOLDFAST_ASSERT(ticket.owner_ == this);
    const breaker_word seen = ticket.seen_;
    const compact_breaker_rules& rules = *ticket.rules_;
    ticket.owner_ = nullptr;
    if (is_answer(v) && took < rules.slow_from()) [[likely]] {
      if (const breaker_word word = load(); word == seen && word.is_calm()) [[likely]] {
        window_.count(rules.epoch(now), word.generation(), false, false);
        return {};
      }
    }
    return report_slowly(rules, seen, v, now, took);
  }

  // By hand. Each is a transition of its own generation; what is out when it happens comes back stale. Asked for the
  // state that holds already, they do nothing.
  breaker_transition isolate(time_point now) noexcept;       // -> forced_open: refuse all
  breaker_transition force_close(time_point now) noexcept;   // -> forced_closed: let all through, count nothing
  breaker_transition metrics_only(time_point now) noexcept;  // -> metrics_only: let all through and count
  // Ends what the three above began: to closed, or to half_open to be probed first. In other states does nothing.
  breaker_transition release(time_point now, breaker_state to = breaker_state::closed) noexcept;

  [[nodiscard]] breaker_state state() const noexcept { return load().state(); }
  [[nodiscard]] std::uint16_t generation() const noexcept { return load().generation(); }
  [[nodiscard]] compact_breaker_snapshot snapshot(const compact_breaker_rules& rules, time_point now) const noexcept {
    return snapshot_of(rules, load(), now);
  }
  // Could these bytes be a breaker's? (For memory that others may have written.)
  [[nodiscard]] bool sound() const noexcept { return state() <= breaker_state::metrics_only; }
  [[nodiscard]] std::uint64_t name() const noexcept { return name_.load(mo::relaxed); }  // own: see breaker_table

 private:
  friend class breaker_table;
  friend struct compact_start;  // tests: begins at a word that no run would reach

  // Of a breaker that is nobody's: a state that only breaker_table enters and leaves.
  static constexpr auto vacant = static_cast<breaker_state>(7);

  [[nodiscard]] breaker_word load() const noexcept {
    return breaker_word(word_.load(mo::relaxed));  // hint: the word publishes nothing but itself
  }
  [[nodiscard]] compact_breaker_snapshot snapshot_of(const compact_breaker_rules& rules, breaker_word word,
                                                     time_point now) const noexcept;
  bool swap(breaker_word& seen, breaker_word next) noexcept;
  // One attempt from `word`. False: the word is another by now, and `word` says which.
  bool try_admit(const compact_breaker_rules& rules, breaker_word& word, time_point now, admission& out) noexcept;
  [[gnu::noinline]] admission admit_slowly(const compact_breaker_rules& rules, breaker_word word,
                                           time_point now) noexcept;
  [[gnu::noinline]] report_result report_slowly(const compact_breaker_rules& rules, breaker_word seen, verdict v,
                                                time_point now, duration took) noexcept;
  report_result report_by_word(const compact_breaker_rules& rules, breaker_word seen, breaker_effect effect, bool slow,
                               time_point now) noexcept;
  report_result report_closed(const compact_breaker_rules& rules, breaker_word seen, breaker_effect effect, bool slow,
                              time_point now) noexcept;
  breaker_transition judge_shares(const compact_breaker_rules& rules, breaker_word seen, time_point now) noexcept;
  void mark_dirty(const compact_breaker_rules& rules, breaker_word seen) noexcept;
  void decay_level(const compact_breaker_rules& rules, breaker_word seen, time_point now) noexcept;
  void return_place(const compact_breaker_rules& rules, breaker_word seen) noexcept;
  breaker_transition force(breaker_state to, time_point now) noexcept;
  [[nodiscard]] bool unused(const compact_breaker_rules& rules, breaker_word word, time_point now) const noexcept;
  bool forget_marks(const compact_breaker_rules& rules, breaker_word& word, time_point now) noexcept;
  void forget_streak(const compact_breaker_rules& rules, time_point now) noexcept;

  atomic<std::uint64_t> word_;   // by whoever takes a step
  compact_window window_;        // by every report in closed and metrics_only
  atomic<std::uint64_t> decay_;  // {generation + 1, tick} when the level may next fall; 0: at no generation yet
  atomic<std::uint64_t> name_;   // by the constructor, or by breaker_table
};
static_assert(sizeof(compact_breaker) == 64);
static_assert(std::is_standard_layout_v<compact_breaker>);

}  // namespace holdfast
