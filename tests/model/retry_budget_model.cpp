// SPDX-License-Identifier: MIT
#include <chrono>
#include <cstdint>

#include "holdfast/exec/call.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point at_ms(std::int64_t ms) {
  return time_point(std::chrono::milliseconds(ms));
}
constexpr std::int64_t tick_wrap = std::int64_t{1} << 38;  // milliseconds; the tick after it is 0

// A purse and what went in and out of it. Nothing here fills it to the brim unless the scenario says so, and then every
// thousandth must be accounted for: balance = start + deposited + returned + earned - taken.
struct watched_purse {
  explicit watched_purse(const retry_budget_options& o) : budget(o) {}

  retry_budget budget;
  std::int64_t taken = 0, deposited = 0, returned = 0;  // thousandths
  std::uint64_t granted = 0, denied = 0;

  bool take(time_point when, std::uint32_t cost = 1) {
    if (!budget.try_take(when, cost)) {
      ++denied;
      return false;
    }
    ++granted;
    taken += std::int64_t{cost} * 1000;
    return true;
  }
  void deposit(time_point when) {
    budget.on_first_attempt(when);
    deposited += budget.options().ratio_permille;
  }
  void give_back(time_point when) {
    budget.give_back(when);
    returned += 1000;
  }
  void empty(time_point when) {
    while (budget.balance_milli(when) >= 1000) MODEL_CHECK(take(when));
    taken = 0;
  }
  // `last` is the newest time that any thread has brought.
  void must_hold(time_point last, std::int64_t start, std::int64_t earned) const {
    MODEL_CHECK(budget.balance_milli(last) == start + deposited + returned + earned - taken);
    MODEL_CHECK(taken <= start + deposited + returned + earned);  // R1
    MODEL_CHECK(budget.granted() == granted);
    MODEL_CHECK(budget.denied() == denied);
  }
};

// Three want one token each, or one of them two; there are two. Nobody is refused for nothing.
struct three_takers : watched_purse {
  static constexpr unsigned threads = 3;

  three_takers() : watched_purse({.ratio_permille = 0, .min_per_second = 0, .burst = 2}) {}
  void run(unsigned thread) { take(at_ms(0), thread == 2 ? 1 + choose(2) : 1); }
  void after() {
    MODEL_CHECK(taken >= 1000);
    MODEL_CHECK(granted != 2 || taken == 2000);
    must_hold(at_ms(0), 2000, 0);
  }
};
MODEL_SCENARIO("retry_budget", three_takers, {});

// Deposits of half a token beside two who take: no deposit is lost, and none is spent twice.
struct deposits_and_takers : watched_purse {
  static constexpr unsigned threads = 3;

  deposits_and_takers() : watched_purse({.ratio_permille = 500, .min_per_second = 0, .burst = 4}) { empty(at_ms(0)); }
  void run(unsigned thread) {
    if (thread == 0) {
      deposit(at_ms(0));
      deposit(at_ms(0));
    } else {
      take(at_ms(0));
    }
  }
  void after() {
    MODEL_CHECK(taken <= 1000);
    must_hold(at_ms(0), 0, 0);
  }
};
MODEL_SCENARIO("retry_budget", deposits_and_takers, {});

// What was not sent is given back, while others take and deposit.
struct given_back : watched_purse {
  static constexpr unsigned threads = 3;

  given_back() : watched_purse({.ratio_permille = 500, .min_per_second = 0, .burst = 4}) {
    empty(at_ms(0));
    budget.give_back(at_ms(0));
  }
  void run(unsigned thread) {
    if (thread == 2) {
      deposit(at_ms(0));
    } else if (take(at_ms(0)) && thread == 0) {
      give_back(at_ms(0));
    }
  }
  void after() { must_hold(at_ms(0), 1000, 0); }
};
MODEL_SCENARIO("retry_budget", given_back, {});

// One gives back without a clock, beside one who takes and one whose deposit brings time that earns: none of it is lost.
struct given_back_without_a_clock : watched_purse {
  static constexpr unsigned threads = 3;

  given_back_without_a_clock() : watched_purse({.ratio_permille = 500, .min_per_second = 100, .burst = 4}) {
    empty(at_ms(0));
    granted = budget.granted();
  }
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        budget.give_back(1U);
        returned += 1000;
        break;
      case 1: take(at_ms(0)); break;
      default: deposit(at_ms(5)); break;
    }
  }
  void after() { must_hold(at_ms(10), 0, 1000); }
};
MODEL_SCENARIO("retry_budget", given_back_without_a_clock, {});

// The same at the brim: two give back, and there is room for one and a half. What found the purse full is gone, and
// nothing else.
struct given_back_to_the_brim : watched_purse {
  static constexpr unsigned threads = 3;

  given_back_to_the_brim() : watched_purse({.ratio_permille = 500, .min_per_second = 0, .burst = 2}) {
    MODEL_CHECK(take(at_ms(0), 2));
    deposit(at_ms(0));
  }
  void run(unsigned thread) {
    if (thread < 2) {
      budget.give_back(1U);
    } else {
      take(at_ms(0), 2);
    }
  }
  void after() {
    const std::int64_t balance = budget.balance_milli(at_ms(0));
    MODEL_CHECK(balance == (granted == 1 ? 2000 : 0));
  }
};
MODEL_SCENARIO("retry_budget", given_back_to_the_brim, {});

// Two calls at one token. One is cancelled while it waits for its retry, the other wakes and sends it, if it was paid:
// what the purse has lost is what was sent, and a token that came back is there for the other.
struct two_calls_at_one_token {
  static constexpr unsigned threads = 2;

  retry_budget budget{{.ratio_permille = 0, .min_per_second = 0, .burst = 1}};
  guard protects{.budget = &budget,
                 .retry = {.max_attempts = 2,
                           .backoff = {.kind = backoff_kind::constant, .base = duration(10), .cap = duration(10)}}};
  std::int64_t sent = 0;

  void run(unsigned thread) {
    no_observer nobody;
    call_machine machine(protects, {.safety = idempotency::idempotent}, nobody);
    const error down(errc::attempt_timeout);
    MODEL_CHECK(machine.start(at_ms(0)) == call_step::attempt);
    if (machine.finish(verdict::transient, error(down.code, verdict::transient), at_ms(0)) == call_step::done) {
      MODEL_CHECK(machine.failure().stopped_by == errc::retry_budget_exhausted);
      return;
    }
    if (thread == 0) {
      if (choose(2) == 0) machine.cancel(at_ms(1));  // else it is dropped
      return;
    }
    MODEL_CHECK(machine.resume(machine.wake_at()) == call_step::attempt);
    ++sent;
    MODEL_CHECK(machine.finish(verdict::ok, {}, at_ms(1)) == call_step::done);
  }
  void after() const {
    MODEL_CHECK(budget.balance_milli(at_ms(1)) == 1000 - 1000 * sent);
    MODEL_CHECK(budget.granted() >= static_cast<std::uint64_t>(sent));
  }
  // Who dies keeps at most the token that it had.
  void after_death(unsigned) const {
    const std::int64_t balance = budget.balance_milli(at_ms(1));
    MODEL_CHECK(balance == 0 || (balance == 1000 && sent == 0));
  }
};
MODEL_SCENARIO("retry_budget", two_calls_at_one_token, {});

// Time moves forward by ten milliseconds, each of which earns a tenth of a token; one thread's reading is older, and one
// deposits at the time at which the purse was emptied. Nothing is earned twice, and nothing is lost.
template <std::int64_t Start>
struct moving_time : watched_purse {
  static constexpr unsigned threads = 3;

  moving_time() : watched_purse({.ratio_permille = 500, .min_per_second = 100, .burst = 4}) {
    empty(at_ms(Start / 2));  // so that a start near the wrap is not taken for a time before the purse was made
    empty(at_ms(Start));
    granted = budget.granted();
  }
  void run(unsigned thread) {
    switch (thread) {
      case 0: take(at_ms(Start + 10)); break;
      case 1: take(at_ms(Start + 5)); break;
      default: deposit(at_ms(Start)); break;
    }
  }
  void after() { must_hold(at_ms(Start + 10), 0, 1000); }
};
using time_and_an_older_now = moving_time<1000>;
MODEL_SCENARIO("retry_budget", time_and_an_older_now, {});
using time_across_the_wrap = moving_time<tick_wrap - 4>;
MODEL_SCENARIO("retry_budget", time_across_the_wrap, {});

// A full purse takes no more, and what was in it is not forgotten by a deposit that comes beside a take.
struct full_purse : watched_purse {
  static constexpr unsigned threads = 3;

  full_purse() : watched_purse({.ratio_permille = 500, .min_per_second = 100, .burst = 2}) {}
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        deposit(at_ms(0));
        deposit(at_ms(0));
        break;
      case 1: MODEL_CHECK(take(at_ms(0))); break;
      default:
        MODEL_CHECK(budget.balance_milli(at_ms(0)) <= 2000);
        MODEL_CHECK(budget.balance_milli(at_ms(20)) <= 2000);
        MODEL_CHECK(take(at_ms(20)));
        MODEL_CHECK(budget.granted() >= 1);
        MODEL_CHECK(budget.denied() == 0);
        break;
    }
  }
  void after() {
    const std::int64_t balance = budget.balance_milli(at_ms(20));
    MODEL_CHECK(balance >= 0);
    MODEL_CHECK(balance <= 2000);
    MODEL_CHECK(taken <= 2000 + deposited + 2000);  // R1
  }
};
MODEL_SCENARIO("retry_budget", full_purse, {});

// Two bring back what only one of them finds room for: the other sees that the purse has become full, and leaves it so.
struct filled_by_another : watched_purse {
  static constexpr unsigned threads = 2;

  filled_by_another() : watched_purse({.ratio_permille = 500, .min_per_second = 0, .burst = 2}) {
    MODEL_CHECK(take(at_ms(0)));
  }
  void run(unsigned) { give_back(at_ms(0)); }
  void after() {
    MODEL_CHECK(budget.balance_milli(at_ms(0)) == 2000);
    MODEL_CHECK(take(at_ms(0), 2));
    MODEL_CHECK(!take(at_ms(0)));
  }
};
MODEL_SCENARIO("retry_budget", filled_by_another, {});

// What observers see: numbers that only grow, and a balance that there was.
struct purse_from_outside : watched_purse {
  static constexpr unsigned threads = 3;

  purse_from_outside() : watched_purse({.ratio_permille = 500, .min_per_second = 0, .burst = 1}) {}
  void run(unsigned thread) {
    if (thread < 2) {
      take(at_ms(0));
      return;
    }
    std::uint64_t grants = 0, refusals = 0;
    for (int i = 0; i < 2; ++i) {
      const std::uint32_t balance = budget.balance_milli(at_ms(0));
      MODEL_CHECK(balance == 0 || balance == 1000);
      MODEL_CHECK(budget.granted() >= grants);
      grants = budget.granted();
      MODEL_CHECK(budget.denied() >= refusals);
      refusals = budget.denied();
      MODEL_CHECK(grants <= 1);
      MODEL_CHECK(refusals <= 1);
    }
  }
  void after() {
    MODEL_CHECK(granted == 1);
    must_hold(at_ms(0), 1000, 0);
  }
};
MODEL_SCENARIO("retry_budget", purse_from_outside, {});

// R5 Three want the last token: of those that are denied, now or a little later, exactly one gives notice.
struct one_notice : watched_purse {
  static constexpr unsigned threads = 3;
  std::uint64_t notices = 0;

  one_notice()
      : watched_purse({.ratio_permille = 0, .min_per_second = 0, .burst = 1, .notice_every = std::chrono::seconds(1)}) {
  }
  void run(unsigned thread) {
    const budget_answer answer = budget.try_take(at_ms(thread * 400));
    if (answer) {
      ++granted;
      MODEL_CHECK(!answer.gives_notice);
    } else {
      ++denied;
      notices += answer.gives_notice ? 1 : 0;
      MODEL_CHECK(answer.held_back == 0);
    }
  }
  void after() {
    MODEL_CHECK(granted == 1);
    MODEL_CHECK(denied == 2);
    MODEL_CHECK(notices == 1);
    const budget_answer later = budget.try_take(at_ms(2'000));
    MODEL_CHECK(later.gives_notice);
    MODEL_CHECK(later.held_back == 1);
  }
  // Who dies while it is denied may take the notice with it; nobody gives a second one.
  void after_death(unsigned) const { MODEL_CHECK(notices <= 1); }
};
MODEL_SCENARIO("retry_budget", one_notice, {});

// Lock-free: one dies at any of its steps. What it was taking or depositing is done or not; nobody else notices.
struct death_of_a_taker : watched_purse {
  static constexpr unsigned threads = 3;

  death_of_a_taker() : watched_purse({.ratio_permille = 500, .min_per_second = 100, .burst = 4}) { empty(at_ms(0)); }
  void run(unsigned thread) {
    if (thread == 0) {
      deposit(at_ms(0));
      deposit(at_ms(0));
    } else {
      take(at_ms(10));
    }
  }
  void after() { must_hold(at_ms(10), 0, 1000); }
  void after_death(unsigned dead) {
    const std::int64_t rest = budget.balance_milli(at_ms(10));
    const std::int64_t expected = 1000 + deposited - taken;
    if (dead == 0) {
      MODEL_CHECK(rest == expected || rest == expected + 500);
    } else {
      MODEL_CHECK(rest == expected || rest == expected - 1000);
      MODEL_CHECK(budget.granted() - granted <= 1);
    }
  }
};
MODEL_SCENARIO("retry_budget", death_of_a_taker, {});

}  // namespace
