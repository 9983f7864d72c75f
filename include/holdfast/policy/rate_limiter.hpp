// SPDX-License-Identifier: MIT
// rate_limiter: at most so many calls in so much time and a burst of them at once, paced by one word.
//
//   operation   caller         progress    cost                           allocates   when refused
//   try_take    any thread     lock-free   one CAS; refused: two loads    never       why, and when to come again
//   reserve     any thread     lock-free   one CAS; refused: two loads    never       as try_take
//   admit       any thread     lock-free   one CAS; refused: two loads    never       an admission without a ticket
//   give_back   any thread     wait-free   one CAS                        never       false: it counts as used
//   ~permit     any thread     wait-free   nothing if kept; else one CAS  never       as give_back
//   set_rate    any thread     lock-free   one CAS                        never       -
//   snapshot    any observer   wait-free   two loads                      never       -
//
// In short: any thread | lock-free | never | why, and when to come again
//
// A call costs one permit, or as many as it says. Permits come one each `period`, which is `per / permits` rounded up to a
// nanosecond, so that three a second are never four; up to `burst` of them are kept. There is no window and so no edge
// between two of them, around which twice the limit would get through.
//
//   G1 For all a <= b, the permits of calls that may begin in [a, b] and were not given back are at most
//      burst + (b - a) / period, whatever the order in which threads bring their readings of the clock. (From one change of
//      the rate to the next.)
//   G2 A refusal writes nothing, not even a counter: a limiter that refuses everybody is read by all and owned by none.
//      So who wants refusals counted counts them where they are handled.
//   G3 A clock that goes back grants nothing, and one that jumps ahead grants a burst. Until a clock that went back is
//      again where it was, less the burst, calls are refused.
//   G4 However many threads ask, they are granted together exactly what one thread would be.
//
// reserve() grants what will be free within `longest_wait` and says when the call may begin. admit() is for a call that
// another policy may still turn away: the permit is given back when it is destroyed, unless keep() has said that the call
// goes on. What others took after it is never put in doubt: a permit can be given back only as long as it is the last one
// that was taken; the limiter is then as if nobody had asked for it. Later it counts as used, because whoever took it again
// could begin beside one who was told to wait.
//
// When to use: at the door, once per request, or before a callee that counts. Not for how many at the same time: that is a
// bulkhead. Not for extra traffic alone: that is a retry budget. A refused call is told when the same take succeeds if
// nobody else takes: error::retry_after, which should_retry() keeps to.
//
// Memory: 64 bytes and no pointer, so it can live in shared memory (ipc/shared_segment.hpp). A permit does not outlive its limiter.
// A thread or process that dies between any two instructions leaves it as if its call had been made, or not.
// Method: the generic cell rate algorithm (ITU-T I.371), also known as the virtual scheduling form of a leaky bucket. The
// word is the theoretical arrival time: when all that was taken will have been earned. A take moves it from the later of
// itself and `now` by cost * period, if it is then at most burst * period ahead of `now`. So each grant owns a span of time of
// its own length that no other grant's overlaps, which begins when the call may begin or later and ends burst * period after
// that or earlier. All spans of calls that begin in [a, b] lie in [a, b + burst * period]: that is G1, and no order of
// readings is needed for it. Giving back the last span leaves all others where they are; any other would not.
// Orders: the word publishes nothing but itself, except for a change of the rate, which is stored before the word is moved:
// who sees that move sees the rate, and who has computed by the old one finds another word and computes again. (Unless the
// word comes back to the same nanosecond meanwhile: then one take goes by the old rate, or one of its permits can be given
// back after all. That is seldom, also where the clock stands still, as a test's may: a debt that is cut ends a nanosecond
// after a whole burst of the new rate, where permits of round periods do not end.) Who sets a rate and dies before
// the word is moved has not cut the debt, and the same rate set again does not. Readings of the clock lie within 73 years of
// its zero.
// Proof: model/rate_limiter_model.cpp (every execution of small cases, changes of the rate and deaths among them),
// unit/rate_limiter_test.cpp (G1-G3), stress/rate_limiter_stress.cpp (G1, G4), linearizability/rate_windows.cpp,
// fuzz/rate_limiter_fuzz.cpp, bench/rate_limiter_bench.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/contention_pause.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

struct rate_limiter_options {
  std::uint32_t permits = 100;             // that are earned
  duration per = std::chrono::seconds(1);  // in this time
  std::uint32_t burst = 10;                // permits that are kept, and that there are at the start
};
static_assert(std::is_aggregate_v<rate_limiter_options>);

// A rate in one word, and the rule: pure arithmetic on nanoseconds.
class gcra {
 public:
  static constexpr std::uint32_t largest_burst = (std::uint32_t{1} << 22U) - 1;
  static constexpr std::int64_t longest_period = (std::int64_t{1} << 42U) - 1;  // 73 minutes
  static constexpr std::int64_t longest_full = 86'400'000'000'000;              // a day to earn a whole burst

  // Of valid options.
  constexpr explicit gcra(const rate_limiter_options& o) noexcept
      : word_((static_cast<std::uint64_t>(period_of(o)) << 22U) | o.burst) {}
  constexpr explicit gcra(std::uint64_t word) noexcept : word_(word) {}

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }  // period : 42 | burst : 22
  [[nodiscard]] constexpr std::int64_t period() const noexcept { return static_cast<std::int64_t>(word_ >> 22U); }
  [[nodiscard]] constexpr std::uint32_t burst() const noexcept {
    return static_cast<std::uint32_t>(word_) & largest_burst;
  }
  [[nodiscard]] constexpr std::int64_t full() const noexcept { return period() * burst(); }

  // Rounded up. Of no permits: none.
  static constexpr std::int64_t period_of(const rate_limiter_options& o) noexcept {
    return o.permits == 0 ? 0 : o.per.count() / o.permits + (o.per.count() % o.permits != 0 ? 1 : 0);
  }

  struct step {
    std::int64_t from = 0;   // the span that the take will own
    std::int64_t until = 0;  // and the next word
    std::int64_t wait = 0;   // from `now` until the call may begin; not above zero: at once
  };
  // What a take finds at a word; at most `burst` of them.
  [[nodiscard]] constexpr step take(std::int64_t word, std::int64_t now, std::uint32_t cost) const noexcept {
    const std::int64_t from = std::max(word, now);
    return {from, from + cost * period(), from - now - std::int64_t{burst() - cost} * period()};
  }

 private:
  std::uint64_t word_;
};

constexpr option_error validate(const rate_limiter_options& o) noexcept {
  const std::int64_t period = std::max<std::int64_t>(gcra::period_of(o), 1);
  return first_of(at_least("permits", o.permits, 1), at_most("permits", o.permits, 1'000'000'000),
                  at_least("per", o.per.count(), o.permits), at_most("per", o.per.count(), gcra::longest_full),
                  at_most("per", o.per.count(), std::int64_t{std::min(o.permits, 20U)} * gcra::longest_period),
                  at_least("burst", o.burst, 1), at_most("burst", o.burst, gcra::largest_burst),
                  at_most("burst", o.burst, gcra::longest_full / period));
}

// In registers, where an `error` would not fit; becomes one where one is wanted.
struct [[nodiscard]] rate_answer {
  errc code{};              // errc{}: granted; rate_limited; rate_infeasible: more than a burst, and never granted
  duration retry_after{0};  // rate_limited: until the same call is granted if nobody else takes

  constexpr explicit operator bool() const noexcept { return code == errc{}; }
  operator error() const noexcept { return {code, retry_after}; }  // NOLINT(google-explicit-constructor): of a refusal
};

// What a grant owns of its limiter's time, for giving it back. Empty: nothing.
struct rate_span {
  std::int64_t before = 0;  // the word that the take found: `from`, or older where nothing was owed
  std::int64_t from = 0;
  std::int64_t until = 0;
};

struct [[nodiscard]] rate_reservation {
  errc code{};              // as in rate_answer
  duration retry_after{0};  // as in rate_answer
  time_point starts_at{};   // granted: when the call may begin
  rate_span taken{};

  constexpr explicit operator bool() const noexcept { return code == errc{}; }
  operator error() const noexcept { return {code, retry_after}; }  // NOLINT(google-explicit-constructor): of a refusal
};

struct rate_snapshot {
  std::uint32_t available = 0;  // permits that a take would find
  std::uint32_t burst = 0;
  duration period{0};
  duration full_in{0};  // until there is a whole burst
};

class alignas(cache_line_size) rate_limiter {
 public:
  static constexpr shared_layout shared{"rate_limiter", 1};

  // The right to make one call. Destroyed without keep(), it is given back.
  class [[nodiscard]] permit {
   public:
    permit() noexcept = default;
    permit(permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), taken_(other.taken_) {}
    permit& operator=(permit&& other) noexcept {
      permit taken(std::move(other));
      std::swap(owner_, taken.owner_);
      std::swap(taken_, taken.taken_);
      return *this;
    }
    ~permit() {
      if (owner_ != nullptr) owner_->retract(taken_);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }
    // The call goes on: what was taken stays taken.
    void keep() noexcept { owner_ = nullptr; }

   private:
    friend class rate_limiter;
    permit(rate_limiter* owner, rate_span taken) noexcept : owner_(owner), taken_(taken) {}

    rate_limiter* owner_ = nullptr;
    rate_span taken_{};
  };

  struct [[nodiscard]] admission {
    permit ticket{};
    rate_answer refusal{};

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(ticket); }
  };

  explicit rate_limiter(const rate_limiter_options& options) noexcept : rate_(gcra(options).word()) {
    HOLDFAST_ASSERT(!validate(options));
  }
  rate_limiter(const rate_limiter&) = delete;
  rate_limiter& operator=(const rate_limiter&) = delete;

  // All or nothing. A cost of 0 is granted, and nothing is written.
  rate_answer try_take(time_point now, std::uint32_t cost = 1) noexcept {
    if (cost == 0) return {};
    const claimed c = claim(ns_of(now), 0, cost);
    return {c.code, c.retry_after};
  }

  // For a call that can wait: up to a day, and whoever reserved before it begins before it.
  rate_reservation reserve(time_point now, duration longest_wait, std::uint32_t cost = 1) noexcept {
    if (cost == 0) return {.starts_at = now};
    const claimed c = claim(ns_of(now), std::clamp<std::int64_t>(longest_wait.count(), 0, gcra::longest_full), cost);
    if (c.code != errc{}) return {.code = c.code, .retry_after = c.retry_after};
    return {.starts_at = now + std::max(c.wait, duration::zero()), .taken = c.taken};
  }

  // For a reservation that is not used: true if its permits are free again. They are taken out of the reservation either
  // way, so that they are given back once.
  bool give_back(rate_reservation& unused) noexcept { return retract(std::exchange(unused.taken, rate_span{})); }

  // For a call that may still be turned away elsewhere.
  admission admit(time_point now, std::uint32_t cost = 1) noexcept {
    if (cost == 0) return {.ticket = permit(this, {})};
    const claimed c = claim(ns_of(now), 0, cost);
    if (c.code != errc{}) return {.refusal = {c.code, c.retry_after}};
    return {.ticket = permit(this, c.taken)};
  }

  // For calls from now on. What is owed stays owed in time, but for no longer than the new rate needs for a whole burst (and
  // two nanoseconds): a faster rate does not wait for what a slow one has given out. What was reserved keeps its time, and
  // what is out cannot be given back. The same rate again changes nothing. A call beside the change may be refused by what
  // another owes at the other rate.
  void set_rate(time_point now, const rate_limiter_options& options) noexcept {
    HOLDFAST_ASSERT(!validate(options));
    const gcra rate(options);
    if (rate_.load(mo::relaxed) == rate.word()) return;  // hint: of two that change it at once either may be the last
    rate_.store(rate.word(), mo::relaxed);               // own: [T3] publishes it
    std::int64_t seen = word_.load(mo::relaxed);         // hint: the exchange below decides
    for (;;) {
      // A nanosecond more, also where nothing is cut: whoever has computed by the old rate must find another word, and a
      // permit of the old one no word that it ends at.
      const std::int64_t most = ns_of(now) + rate.full() + 1;
      const std::int64_t next = seen > most ? most : seen + 1;
      // [T3] release, pairs with [T1], [T2] and [T4]: a rate is not younger than the word that it moved
      // hint: on failure only the value seen counts
      if (word_.compare_exchange_weak(seen, next, mo::release, mo::relaxed)) return;
    }
  }

  // Could these bytes be a limiter's? (For memory that others may have written.)
  [[nodiscard]] bool sound() const noexcept {
    const gcra rate(rate_.load(mo::relaxed));                                    // hint: a moment's view
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 2;  // see ns_of()
    return rate.period() > 0 && rate.burst() > 0 && rate.burst() <= gcra::longest_full / rate.period() &&
           word_.load(mo::relaxed) <= most;  // hint: as above
  }

  // A stale observer's view.
  [[nodiscard]] rate_snapshot snapshot(time_point now) const noexcept {
    const std::int64_t word = word_.load(mo::acquire);  // [T4] acquire, pairs with [T3]: as in claim()
    const gcra rate(rate_.load(mo::relaxed));           // hint: not older than the word
    const std::int64_t owed = std::max(word, ns_of(now)) - ns_of(now);
    const std::int64_t left = std::max<std::int64_t>(rate.full() - owed, 0) / rate.period();
    return {static_cast<std::uint32_t>(left), rate.burst(), duration(rate.period()), duration(owed)};
  }

 private:
  struct claimed {
    errc code{};
    duration retry_after{0};
    duration wait{0};
    rate_span taken{};
  };

  // So far from the ends of the type that neither the difference of two nor a few days more overflow.
  static std::int64_t ns_of(time_point now) noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 4;
    const std::int64_t ns = now.time_since_epoch().count();
    HOLDFAST_ASSERT(ns <= most);
    HOLDFAST_ASSERT(ns >= -most);
    return ns;
  }

  [[gnu::always_inline]] claimed claim(std::int64_t now, std::int64_t longest_wait, std::uint32_t cost) noexcept {
    // [T1] acquire, pairs with [T3]: the rate read after it is not older than the word
    std::int64_t seen = word_.load(mo::acquire);
    for (contention_pause pause;; pause()) {
      const gcra rate(rate_.load(mo::relaxed));  // hint: not older than the word; the exchange says if it is younger
      if (cost > rate.burst()) return {.code = errc::rate_infeasible};
      const gcra::step step = rate.take(seen, now, cost);
      if (step.wait > longest_wait)
        return {.code = errc::rate_limited, .retry_after = duration(step.wait - longest_wait)};
      // [T2] acquire, pairs with [T3]: on failure, as [T1]. (gcc takes no order there that is stronger than that of success,
      // and to load the word once more instead is slower where threads meet.)
      if (word_.compare_exchange_weak(seen, step.until, mo::acquire, mo::acquire))
        return {.wait = duration(step.wait), .taken = {seen, step.from, step.until}};
    }
  }

  // The last span ends where the word stands, and no other does.
  bool retract(rate_span span) noexcept {
    if (span.from == span.until) return false;
    // own: the word publishes nothing but itself
    return word_.compare_exchange_strong(span.until, span.before, mo::relaxed, mo::relaxed);
  }

  // When all that was taken is earned, in ns; at or before `now`: a whole burst is there. Written by takers.
  atomic<std::int64_t> word_{std::numeric_limits<std::int64_t>::min()};
  atomic<std::uint64_t> rate_;  // a gcra; written by set_rate
};
static_assert(std::is_standard_layout_v<rate_limiter> && sizeof(rate_limiter) == cache_line_size);

}  // namespace holdfast
