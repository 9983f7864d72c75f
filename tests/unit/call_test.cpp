// SPDX-License-Identifier: MIT
#include "holdfast/exec/call.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

// A dependency whose answers are written down beforehand, on a clock that only the test moves.
struct bench_of_test {
  manual_clock clock;
  std::vector<outcome<int>> answers;
  std::vector<attempt> seen;
  duration takes{1ms};

  auto op() {
    return [this](const attempt& a) -> outcome<int> {
      seen.push_back(a);
      clock.advance(takes);
      REQUIRE(seen.size() <= answers.size());
      return answers[seen.size() - 1];
    };
  }
  auto wait() {
    return [this](time_point until) {
      if (until > clock.now()) clock.set(until);
      return true;
    };
  }
};

const error reset = make_error(std::make_error_code(std::errc::connection_reset));
const error refused_for_good = make_error(http_error(404));

constexpr retry_options three_times{.max_attempts = 3, .backoff = {.base = 10ms, .cap = 100ms}};

constexpr call_context repeatable{.safety = idempotency::idempotent};

struct recorder {
  std::vector<std::string>* log;
  void on_attempt(const guard&, const attempt& a, verdict v, duration) noexcept {
    log->push_back("attempt " + std::to_string(a.number) + " " + std::string(name_of(v)));
  }
  void on_refusal(const guard&, const error& e) noexcept { log->push_back("refused: " + e.code.message()); }
  void on_transition(const guard&, const breaker_transition& t) noexcept {
    log->push_back(std::string(name_of(t.from)) + " -> " + std::string(name_of(t.to)));
  }
  void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept { log->push_back("retry"); }
  void on_give_up(const guard&, const error& e) noexcept { log->push_back("gave up: " + e.code.message()); }
};

}  // namespace

TEST_CASE("a call without policies is one attempt", "[call]") {
  bench_of_test t;
  t.answers = {7};
  const auto answer = run(guard{}, {}, t.clock, t.op(), t.wait());
  REQUIRE(answer.ok());
  CHECK(*answer == 7);
  CHECK(t.seen.size() == 1);
  CHECK(t.seen[0].number == 1);
  CHECK_FALSE(t.seen[0].context.is_retry);
}

TEST_CASE("a transient failure is retried until an answer comes, and later attempts say that they repeat", "[call]") {
  bench_of_test t;
  t.answers = {reset, reset, 7};
  const auto answer = run(guard{.retry = three_times}, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
  REQUIRE(answer.ok());
  REQUIRE(t.seen.size() == 3);
  CHECK_FALSE(t.seen[0].context.is_retry);
  CHECK(t.seen[1].context.is_retry);
  CHECK(t.seen[2].number == 3);
}

TEST_CASE("when all attempts fail the last error comes back with their number and what stopped them", "[call]") {
  bench_of_test t;
  t.answers = {reset, reset, reset};
  const auto answer = run(guard{.retry = three_times}, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == reset.code);
  CHECK(answer.error().attempts == 3);
  CHECK(answer.error().stopped_by == errc::attempts_exhausted);
}

TEST_CASE("a permanent failure is not retried", "[call]") {
  bench_of_test t;
  t.answers = {refused_for_good};
  const auto answer = run(guard{.retry = three_times}, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
  CHECK(answer.error().code == http_error(404));
  CHECK(t.seen.size() == 1);
}

TEST_CASE("an operation that is not idempotent is made once, unless nothing was sent", "[call]") {
  bench_of_test t;
  t.answers = {reset};
  const auto once = run(guard{.retry = three_times}, {}, t.clock, t.op(), t.wait());
  CHECK(once.error().stopped_by == errc::not_idempotent);
  CHECK(t.seen.size() == 1);

  bench_of_test unsent;
  error nothing_sent = make_error(std::make_error_code(std::errc::connection_refused));
  nothing_sent.not_sent = true;
  unsent.answers = {nothing_sent, 7};
  CHECK(run(guard{.retry = three_times}, {}, unsent.clock, unsent.op(), unsent.wait()).ok());
}

TEST_CASE("a deadline that passed on entry means no work and no word to the breaker", "[call]") {
  bench_of_test t;
  circuit_breaker breaker({.consecutive_failures = 1});
  const auto answer = run(guard{.breaker = &breaker}, {.until = deadline(t.clock.now())}, t.clock, t.op(), t.wait());
  CHECK(answer.error().code == errc::deadline_exceeded);
  CHECK(answer.error().attempts == 0);
  CHECK(t.seen.empty());
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("an attempt's deadline is the nearer of its own timeout and the call's", "[call]") {
  bench_of_test t;
  t.answers = {7};
  const guard g{.attempt_timeout = 50ms};
  const auto start = t.clock.now();
  CHECK(run(g, {.until = deadline(start + 20ms)}, t.clock, t.op(), t.wait()).ok());
  CHECK(t.seen[0].context.until == deadline(start + 20ms));
  bench_of_test u;
  u.answers = {7};
  const auto begun = u.clock.now();
  CHECK(run(g, {.until = deadline(begun + 1s)}, u.clock, u.op(), u.wait()).ok());
  CHECK(u.seen[0].context.until == deadline(begun + 50ms));
}

TEST_CASE("no retry is waited for that would end after the deadline", "[call]") {
  bench_of_test t;
  t.answers = {reset};
  const guard g{.retry = {.max_attempts = 3, .backoff = {.kind = backoff_kind::constant, .base = 100ms}}};
  const auto begun = t.clock.now();
  const auto answer =
      run(g, {.until = deadline(begun + 50ms), .safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
  CHECK(answer.error().stopped_by == errc::deadline_infeasible);
  CHECK(t.clock.now() == begun + 1ms);
}

TEST_CASE("a layer inside a retry makes one attempt: layers do not multiply", "[call]") {
  bench_of_test outer;
  outer.answers = {reset, reset, reset};
  int innermost = 0;
  const guard g{.retry = three_times};
  const auto answer = run(
      g, {.safety = idempotency::idempotent}, outer.clock,
      [&](const attempt& a) {
        return run(
            g, a.context, outer.clock,
            [&](const attempt& b) {
              return run(
                  g, b.context, outer.clock,
                  [&](const attempt&) -> outcome<int> {
                    ++innermost;
                    return reset;
                  },
                  outer.wait());
            },
            outer.wait());
      },
      outer.wait());
  CHECK_FALSE(answer.ok());
  CHECK(innermost == 3);  // by the innermost layer; 27 without the word that it was repeated
}

TEST_CASE("a repetition that is turned away here does not make an unsafe operation look unsent", "[call]") {
  // The first attempt of the layer inside reaches the callee and its repetition finds no room.
  bench_of_test t;
  bulkhead room({.limit = 1});
  bulkhead::permit held;
  int sent = 0;
  const guard inner{.room = &room, .retry = {.max_attempts = 2, .backoff = {.base = 10ms, .cap = 100ms}}};
  const auto charge = [&](const attempt& a) {
    call_context with_key = a.context;
    with_key.safety = idempotency::idempotent_with_key;
    return run(
        inner, with_key, t.clock,
        [&](const attempt&) -> outcome<int> {
          ++sent;
          return errc::attempt_timeout;
        },
        [&](time_point until) {
          if (!held) held = room.try_acquire();
          t.clock.set(until);
          return true;
        });
  };
  const auto answer = run(guard{.retry = three_times}, {}, t.clock, charge, t.wait());
  CHECK(sent == 1);
  CHECK_FALSE(answer.error().not_sent);
  CHECK(answer.error().no_retry);
  // One that really was never sent may be.
  sent = 0;
  held = {};
  held = room.try_acquire();
  CHECK(run(
            inner, {}, t.clock, [&](const attempt&) -> outcome<int> { return 1; }, t.wait())
            .error()
            .not_sent);
}

TEST_CASE("R1 calls that are turned away pay nothing into the budget", "[call]") {
  retry_budget budget({.ratio_permille = 1000, .min_per_second = 0, .burst = 10});
  rate_limiter door({.permits = 1, .per = 1h, .burst = 1});
  bench_of_test t;
  REQUIRE(budget.try_take(t.clock.now(), 10));
  REQUIRE(door.try_take(t.clock.now()));
  for (int i = 0; i < 5; ++i)
    CHECK_FALSE(run(guard{.rate = &door, .budget = &budget}, {}, t.clock, t.op(), t.wait()).ok());
  bulkhead room({.limit = 1});
  const auto held = room.try_acquire();
  for (int i = 0; i < 5; ++i)
    CHECK_FALSE(run(guard{.room = &room, .budget = &budget}, {}, t.clock, t.op(), t.wait()).ok());
  CHECK(budget.balance_milli(t.clock.now()) == 0);
  CHECK(t.seen.empty());
}

TEST_CASE("an error whose verdict is ok is handed out as it is, and counts as an answer", "[call]") {
  bench_of_test t;
  circuit_breaker breaker({.consecutive_failures = 1});
  const error strange = make_error(http_error(200));
  REQUIRE(strange.kind == verdict::ok);
  t.answers = {strange};
  const auto answer = run(guard{.breaker = &breaker, .retry = three_times}, repeatable, t.clock, t.op(), t.wait());
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == http_error(200));
  CHECK(t.seen.size() == 1);
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("an operation that asks another host the next time clears the word that forbids it", "[call]") {
  bench_of_test t;
  const guard hosts[2] = {{.name = "a", .retry = three_times}, {.name = "b", .retry = three_times}};
  int asked[2] = {};
  const auto fails_over = [&](bool clears) {
    return run(
        guard{.retry = three_times}, repeatable, t.clock,
        [&](const attempt& a) {
          const std::size_t host = a.number % 2 == 1 ? 0 : 1;
          auto answer = run(
              hosts[host], a.context, t.clock,
              [&](const attempt&) -> outcome<int> {
                ++asked[host];
                if (host == 0) return reset;
                return 7;
              },
              t.wait());
          if (clears && !answer.ok()) answer.error().no_retry = false;
          return answer;
        },
        t.wait());
  };
  CHECK_FALSE(fails_over(false).ok());
  CHECK(asked[1] == 0);
  CHECK(fails_over(true).ok());
  CHECK(asked[1] == 1);
}

TEST_CASE("R1 budgets of layers do not add up: what one inside would not pay for is not repeated outside", "[call]") {
  bench_of_test t;
  retry_budget inner_budget({.ratio_permille = 100, .min_per_second = 0, .burst = 1});
  retry_budget outer_budget({.ratio_permille = 100, .min_per_second = 0, .burst = 1});
  const guard inner{.budget = &inner_budget, .retry = three_times};
  const guard outer{.budget = &outer_budget, .retry = three_times};
  int sent = 0;
  for (int i = 0; i < 100; ++i) {
    const auto answer = run(
        outer, repeatable, t.clock,
        [&](const attempt& a) {
          return run(
              inner, a.context, t.clock,
              [&](const attempt&) -> outcome<int> {
                ++sent;
                return reset;
              },
              t.wait());
        },
        t.wait());
    CHECK(answer.error().no_retry);
    CHECK(answer.error().stopped_by == errc::retry_forbidden);
  }
  CHECK(sent <= 100 + 1 + 100 / 10);  // burst + ratio, once
  CHECK(inner_budget.granted() >= 10);
  CHECK(outer_budget.granted() == 0);
}

TEST_CASE("what no layer inside has repeated is repeated outside", "[call]") {
  bench_of_test t;
  const guard never{.retry = {.max_attempts = 1}};
  const guard outer{.retry = three_times};
  int sent = 0;
  const auto answer = run(
      outer, repeatable, t.clock,
      [&](const attempt& a) {
        return run(
            never, a.context, t.clock,
            [&](const attempt&) -> outcome<int> {
              ++sent;
              return reset;
            },
            t.wait());
      },
      t.wait());
  CHECK(sent == 3);
  CHECK(answer.error().stopped_by == errc::attempts_exhausted);
}

TEST_CASE("an empty budget stops the retries, and first attempts fill it again", "[call]") {
  bench_of_test t;
  retry_budget budget({.ratio_permille = 100, .min_per_second = 0, .burst = 1});
  const guard g{.budget = &budget, .retry = three_times};
  int attempts = 0;
  const auto always_down = [&](const attempt&) -> outcome<int> {
    ++attempts;
    return reset;
  };
  for (int i = 0; i < 100; ++i) {
    (void)run(g, {.safety = idempotency::idempotent}, t.clock, always_down, t.wait());
  }
  CHECK(attempts >= 100);
  CHECK(attempts <= 100 + 1 + 100 / 10);  // burst + ratio
}

namespace {

// A purse that neither time nor first attempts fill, so that every thousandth of it is accounted for.
constexpr retry_budget_options still{.ratio_permille = 0, .min_per_second = 0, .burst = 10};
constexpr time_point some_time{1h};

// Brings a machine to where it waits for its first retry; a transient failure's costs one token.
template <class Machine>
void until_it_waits(Machine& machine) {
  REQUIRE(machine.start(some_time) == call_step::attempt);
  REQUIRE(machine.finish(reset.kind, reset, some_time) == call_step::wait);
}

}  // namespace

TEST_CASE("a retry that was paid for and cancelled in its wait gives its token back, once", "[call]") {
  retry_budget budget(still);
  REQUIRE(budget.try_take(some_time, 5));
  const guard g{.budget = &budget, .retry = three_times};
  no_observer nobody;
  {
    call_machine machine(g, repeatable, nobody);
    until_it_waits(machine);
    CHECK(budget.balance_milli(some_time) == 4'000);
    machine.cancel(some_time + 1ms);
    CHECK(budget.balance_milli(some_time) == 5'000);
  }
  CHECK(budget.balance_milli(some_time) == 5'000);  // and not again at its end
}

TEST_CASE("a machine dropped in its wait gives its token back", "[call]") {
  retry_budget budget(still);
  REQUIRE(budget.try_take(some_time, 5));
  const guard g{.budget = &budget, .retry = three_times};
  no_observer nobody;
  {
    call_machine machine(g, repeatable, nobody);
    until_it_waits(machine);
    CHECK(budget.balance_milli(some_time) == 4'000);
  }
  CHECK(budget.balance_milli(some_time) == 5'000);
}

TEST_CASE("a retry that wakes after its deadline gives its token back", "[call]") {
  retry_budget budget(still);
  REQUIRE(budget.try_take(some_time, 5));
  const guard g{.budget = &budget, .retry = three_times};
  no_observer nobody;
  call_machine machine(g, {.until = deadline(some_time + 1s), .safety = idempotency::idempotent}, nobody);
  until_it_waits(machine);
  REQUIRE(machine.resume(some_time + 1s) == call_step::done);
  CHECK(machine.failure().code == errc::deadline_exceeded);
  CHECK(machine.attempts() == 1);
  CHECK(budget.balance_milli(some_time) == 5'000);
}

TEST_CASE("a retry refused on waking keeps its token while it waits again, and its attempt then spends it", "[call]") {
  retry_budget budget(still);
  REQUIRE(budget.try_take(some_time, 5));
  bulkhead room({.limit = 1});
  const guard g{.room = &room, .budget = &budget, .retry = three_times};
  no_observer nobody;
  call_machine machine(g, repeatable, nobody);
  until_it_waits(machine);
  {
    const auto other = room.try_acquire();
    REQUIRE(machine.resume(machine.wake_at()) == call_step::wait);
    CHECK(budget.balance_milli(some_time) == 4'000);  // being turned away costs nothing and pays nothing back
  }
  REQUIRE(machine.resume(machine.wake_at()) == call_step::attempt);
  machine.cancel(machine.wake_at());
  CHECK(machine.attempts() == 2);
  CHECK(budget.balance_milli(some_time) == 4'000);  // the dependency was asked twice
}

TEST_CASE("a retry refused on waking for the last time gives its token back", "[call]") {
  retry_budget budget(still);
  REQUIRE(budget.try_take(some_time, 5));
  bulkhead room({.limit = 1});
  circuit_breaker breaker;
  const bool by_breaker = GENERATE(false, true);
  CAPTURE(by_breaker);
  retry_options twice = three_times;
  twice.max_attempts = 2;
  const guard g{.room = &room, .breaker = &breaker, .budget = &budget, .retry = twice};
  no_observer nobody;
  call_machine machine(g, repeatable, nobody);
  until_it_waits(machine);
  bulkhead::permit other;
  if (by_breaker) {
    (void)breaker.isolate(some_time);
  } else {
    other = room.try_acquire();
  }
  REQUIRE(machine.resume(machine.wake_at()) == call_step::done);
  CHECK(machine.failure().code == (by_breaker ? errc::breaker_isolated : errc::bulkhead_full));
  CHECK(machine.attempts() == 1);
  CHECK(budget.balance_milli(some_time) == 5'000);
}

TEST_CASE("a retry that was sent keeps nothing back, however it ends", "[call]") {
  retry_budget budget(still);
  const guard g{.budget = &budget, .retry = three_times};
  no_observer nobody;
  for (const int end : {0, 1, 2}) {
    CAPTURE(end);
    const auto before = budget.balance_milli(some_time);
    {
      call_machine machine(g, repeatable, nobody);
      until_it_waits(machine);
      REQUIRE(machine.resume(machine.wake_at()) == call_step::attempt);
      if (end == 0) REQUIRE(machine.finish(verdict::ok, {}, machine.wake_at()) == call_step::done);
      if (end == 1) machine.cancel(machine.wake_at());
    }
    CHECK(budget.balance_milli(some_time) == before - 1'000);
  }
}

TEST_CASE("R1 whatever happens to calls, the budget pays for the retries that are sent and for no others", "[call]") {
  splitmix64 bits(23);
  std::uint64_t all_sent = 0;
  std::uint64_t all_returned = 0;
  for (int round = 0; round < 5'000; ++round) {
    retry_budget budget(still);
    bulkhead room({.limit = 1});
    retry_options many = three_times;
    many.max_attempts = 6;
    const guard g{.room = &room, .budget = &budget, .retry = many};
    no_observer nobody;
    std::uint32_t owed = 0;  // for the attempts that were begun after a failure that has a price
    time_point now = some_time;
    {
      call_machine machine(g, {.until = deadline(now + 300ms), .safety = idempotency::idempotent}, nobody);
      std::uint32_t next_costs = 0;
      auto step = machine.start(now);
      while (step != call_step::done) {
        now += duration(static_cast<std::int64_t>(uniform_up_to(bits, 20'000'000)));
        if (bits() % 16 == 0) break;  // dropped
        if (bits() % 16 == 0) {
          if (step == call_step::wait) ++all_returned;
          machine.cancel(now);
          break;
        }
        if (step == call_step::attempt) {
          owed += std::exchange(next_costs, 0U);
          const error why(reset.code, bits() % 3 == 0 ? verdict::throttled : verdict::transient);
          step = machine.finish(why.kind, why, now);
          next_costs = retry_cost(why.kind);
        } else {
          REQUIRE(machine.wake_at() < now + 300ms);
          now = std::max(now, machine.wake_at());
          const auto other = bits() % 3 == 0 ? room.try_acquire() : bulkhead::permit{};
          step = machine.resume(now);
        }
      }
      if (step == call_step::attempt) owed += next_costs;  // dropped or cancelled in it: sent all the same
    }
    REQUIRE(budget.balance_milli(now) == 1000 * (still.burst - owed));
    all_sent += owed;
  }
  CHECK(all_sent > 1'000);
  CHECK(all_returned > 100);
}

TEST_CASE("a machine that is handed a generator draws its waits from it, so that a seed repeats them", "[call]") {
  const guard g{.retry = {.max_attempts = 20, .backoff = {.base = 1s}}};
  no_observer nobody;
  const auto waits_of = [&](std::uint64_t seed) {
    std::vector<duration> waits;
    call_machine machine(g, repeatable, nobody, splitmix64(seed));
    auto step = machine.start(some_time);
    while (step == call_step::attempt) {
      step = machine.finish(reset.kind, reset, some_time);
      if (step != call_step::wait) break;
      waits.push_back(machine.wake_at() - some_time);
      step = machine.resume(some_time);
    }
    return waits;
  };
  CHECK(waits_of(1).size() == 19);
  CHECK(waits_of(1) == waits_of(1));
  CHECK(waits_of(1) != waits_of(2));
  // Who is handed none carries nothing for it.
  static_assert(sizeof(call_machine<no_observer>) < sizeof(call_machine<no_observer, call_shape{}, splitmix64>));
}

TEST_CASE("a callee that wants no further attempt gets none", "[call]") {
  bench_of_test t;
  retry_budget budget(still);
  error last = reset;
  last.no_retry = true;
  t.answers = {last};
  const auto answer = run(guard{.budget = &budget, .retry = three_times}, repeatable, t.clock, t.op(), t.wait());
  CHECK(t.seen.size() == 1);
  CHECK(answer.error().code == reset.code);
  CHECK(answer.error().stopped_by == errc::retry_forbidden);
  CHECK(answer.error().no_retry);  // so that an outer layer leaves it alone, too
  CHECK(budget.balance_milli(t.clock.now()) == 10'000);
}

TEST_CASE("a callee that will not be ready before the deadline is not waited for", "[call]") {
  bench_of_test t;
  retry_budget budget(still);
  t.answers = {error(reset.code, verdict::throttled, 10s)};
  const auto begun = t.clock.now();
  const auto answer = run(guard{.budget = &budget, .retry = three_times},
                          {.until = deadline(begun + 5s), .safety = repeatable.safety}, t.clock, t.op(), t.wait());
  CHECK(answer.error().stopped_by == errc::deadline_infeasible);
  CHECK(answer.error().retry_after == 10s);  // for whoever asks us
  CHECK(t.clock.now() == begun + t.takes);
  CHECK(budget.balance_milli(t.clock.now()) == 10'000);
}

TEST_CASE("D1 an attempt's deadline is never later than its call's, in calls inside calls", "[call]") {
  splitmix64 bits(29);
  const auto up_to_ms = [&](std::uint64_t most) { return milliseconds(uniform_up_to(bits, most)); };
  for (int round = 0; round < 2'000; ++round) {
    manual_clock clock;
    const guard outer{.retry = three_times, .attempt_timeout = up_to_ms(100)};
    const guard inner{.retry = three_times, .attempt_timeout = up_to_ms(100)};
    const deadline until = bits() % 8 == 0 ? deadline::never() : deadline(clock.now() + up_to_ms(200));
    const auto wait = [&](time_point at) {
      REQUIRE(at < until.at());  // D2
      clock.set(std::max(at, clock.now()));
      return true;
    };
    const auto down = [&](const attempt& which, deadline limit) -> outcome<int> {
      REQUIRE(which.context.until <= limit);
      clock.advance(up_to_ms(60));
      return reset;
    };
    (void)run(
        outer, {.until = until, .safety = idempotency::idempotent}, clock,
        [&](const attempt& a) -> outcome<int> {
          REQUIRE(a.context.until <= until);
          return run(
              inner, a.context, clock, [&](const attempt& b) { return down(b, a.context.until); },
              [&](time_point at) {
                REQUIRE(at < a.context.until.at());  // D2 for the inner call as well
                return wait(at);
              });
        },
        wait);
  }
}

TEST_CASE("D2 nothing is scheduled past the deadline, whatever hints and backoffs ask for", "[call]") {
  splitmix64 bits(31);
  const auto up_to = [&](std::int64_t most) {
    return duration(static_cast<std::int64_t>(uniform_up_to(bits, static_cast<std::uint64_t>(most))));
  };
  int waited = 0;
  for (int round = 0; round < 20'000; ++round) {
    retry_options options{.max_attempts = 5};
    options.backoff.kind = static_cast<backoff_kind>(uniform_up_to(bits, 7));
    options.backoff.base = up_to(200'000'000);
    options.backoff.cap = options.backoff.base + up_to(2'000'000'000);
    options.min_attempt_time = up_to(50'000'000);
    options.hint_spread = up_to(1'000'000'000);
    const guard g{.retry = options, .attempt_timeout = up_to(500'000'000)};
    time_point now = some_time;
    const deadline until(now + up_to(3'000'000'000));
    no_observer nobody;
    call_machine machine(g, {.until = until, .safety = idempotency::idempotent}, nobody);
    auto step = machine.start(now);
    while (step != call_step::done) {
      if (step == call_step::attempt) {
        REQUIRE(machine.current().context.until <= until);
        now += up_to(300'000'000);
        const bool hinted = bits() % 2 == 0;
        const error why(reset.code, verdict::throttled, hinted ? up_to(4'000'000'000) : 0s);
        step = machine.finish(why.kind, why, now);
      } else {
        ++waited;
        REQUIRE(machine.wake_at() >= now);
        REQUIRE(machine.wake_at() < until.at());
        now = machine.wake_at();
        step = machine.resume(now);
        REQUIRE(step == call_step::attempt);  // what was waited for can be done
      }
    }
    CHECK(now < until.at() + 300ms);
  }
  CHECK(waited > 5'000);
}

TEST_CASE("a full bulkhead turns a call away before the breaker hears of it", "[call]") {
  bench_of_test t;
  bulkhead room({.limit = 1});
  circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 1s, .jitter_permille = 0});
  const guard g{.room = &room, .breaker = &breaker};
  t.answers = {reset, 7};
  CHECK_FALSE(run(g, {}, t.clock, t.op(), t.wait()).ok());
  REQUIRE(breaker.state() == breaker_state::open);
  t.clock.advance(2s);
  {
    const auto taken = room.try_acquire();
    REQUIRE(taken);
    const auto turned_away = run(g, {}, t.clock, t.op(), t.wait());
    CHECK(turned_away.error().code == errc::bulkhead_full);
    CHECK(breaker.state() == breaker_state::open);  // the one probe was not spent
  }
  CHECK(run(g, {}, t.clock, t.op(), t.wait()).ok());
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("what the breaker refuses gives the bulkhead's permit back", "[call]") {
  bench_of_test t;
  bulkhead room({.limit = 1});
  circuit_breaker breaker;
  (void)breaker.isolate(t.clock.now());
  const guard g{.room = &room, .breaker = &breaker, .retry = three_times};
  for (int i = 0; i < 3; ++i) {
    const auto answer = run(g, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
    CHECK(answer.error().code == errc::breaker_isolated);
    CHECK(answer.error().attempts == 0);
  }
  CHECK(room.in_flight() == 0);
  CHECK(t.seen.empty());
}

TEST_CASE("an answer after its attempt's deadline is handed out, and the breaker is told of a timeout", "[call]") {
  bench_of_test t;
  t.takes = 80ms;
  t.answers = {7};
  circuit_breaker breaker({.consecutive_failures = 1});
  const auto answer = run(guard{.breaker = &breaker, .attempt_timeout = 50ms}, {}, t.clock, t.op(), t.wait());
  CHECK(answer.ok());
  CHECK(breaker.state() == breaker_state::open);
}

TEST_CASE("the breaker is told how long each attempt took, without the waits between them", "[call]") {
  bench_of_test t;
  t.takes = 80ms;
  t.answers = {reset, 7};
  circuit_breaker breaker({.slow_call = 80ms, .min_calls = 100});
  const guard protects{.breaker = &breaker, .retry = three_times};
  CHECK(run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait()).ok());
  CHECK(breaker.snapshot(t.clock.now()).window_slow == 2);
  t.takes = 80ms - 1ns;
  t.answers = {reset, 7, reset, 7};
  CHECK(run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait()).ok());
  const auto seen = breaker.snapshot(t.clock.now());
  CHECK(seen.window_slow == 2);
  CHECK(seen.window_ok == 2);
  CHECK(seen.window_failed == 2);
}

TEST_CASE("an adaptive limit hears of each attempt, and the room gets what it has found out", "[call]") {
  bench_of_test t;
  bulkhead room({.limit = 64});
  adaptive_limit_by<aimd> limit({.min_results = 2}, {.bounds = {.initial = 2, .smallest = 1, .largest = 9}});
  const guard protects{.room = &room, .limit = &limit, .retry = three_times, .attempt_timeout = 50ms};
  const call_context twice{.safety = idempotency::idempotent};
  t.answers = {reset, reset, 7};
  CHECK(run(protects, twice, t.clock, t.op(), t.wait()).ok());
  CHECK(room.limit() == 2);  // from its first attempt on
  t.answers.emplace_back(7);
  t.clock.advance(1s);
  CHECK(run(protects, twice, t.clock, t.op(), t.wait()).ok());
  CHECK(limit.snapshot().windows == 1);
  CHECK(limit.snapshot().last.samples == 2);  // the two resets say nothing
  CHECK(limit.snapshot().last.in_flight_max == 1);
  CHECK(room.limit() == 3);
  // An answer after its attempt's deadline is a drop, as it is a failure to the breaker.
  t.takes = 60ms;
  t.answers = std::vector<outcome<int>>(t.seen.size() + 3, 7);
  for (int i = 0; i < 3; ++i) {
    if (i == 2) t.clock.advance(1s);
    CHECK(run(protects, twice, t.clock, t.op(), t.wait()).ok());
  }
  CHECK(limit.snapshot().drops == 3);
  CHECK(room.limit() == 2);
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a call that is turned away, cancelled or dropped says nothing to an adaptive limit", "[call]") {
  bulkhead room({.limit = 1});
  adaptive_limit_by<aimd> limit({.min_results = 1}, {.bounds = {.initial = 1, .smallest = 1, .largest = 9}});
  const guard protects{.room = &room, .limit = &limit};
  no_observer nobody;
  const time_point now{1h};
  {
    call_machine<> held(protects, {}, nobody);
    REQUIRE(held.start(now) == call_step::attempt);
    call_machine<> refused(protects, {}, nobody);
    CHECK(refused.start(now) == call_step::done);
    held.cancel(now + 1ms);
    call_machine<> dropped(protects, {}, nobody);
    CHECK(dropped.start(now + 2ms) == call_step::attempt);
  }
  call_machine<> last(protects, {}, nobody);
  REQUIRE(last.start(now + 1s) == call_step::attempt);
  CHECK(last.finish(verdict::ok, {}, now + 2s) == call_step::done);
  call_machine<> after(protects, {}, nobody);
  REQUIRE(after.start(now + 3s) == call_step::attempt);
  CHECK(after.finish(verdict::ok, {}, now + 4s) == call_step::done);
  CHECK(limit.snapshot().windows == 2);
  CHECK(limit.snapshot().last.samples == 1);
  CHECK(limit.snapshot().drops == 0);
}

TEST_CASE("a room whose limit somebody else set is set right by the next attempt", "[call]") {
  bench_of_test t;
  bulkhead room({.limit = 64});
  adaptive_limit_by<gradient2> limit({}, {.bounds = {.initial = 30, .smallest = 20, .largest = 40}});
  const guard protects{.room = &room, .limit = &limit};
  t.answers = {7, 7};
  CHECK(run(protects, {}, t.clock, t.op(), t.wait()).ok());
  CHECK(room.limit() == 30);
  room.set_limit(1000);
  CHECK(run(protects, {}, t.clock, t.op(), t.wait()).ok());
  CHECK(room.limit() == 30);
}

TEST_CASE("the largest limit that an algorithm may have is one that a room takes", "[call]") {
  bench_of_test t;
  bulkhead room({.limit = 64});
  adaptive_limit_by<aimd> limit({}, {.bounds = {.initial = largest_limit, .largest = largest_limit}});
  const guard protects{.room = &room, .limit = &limit};
  t.answers = {7, 7};
  CHECK(run(protects, {}, t.clock, t.op(), t.wait()).ok());
  CHECK(room.limit() == largest_bulkhead);
  CHECK(run(protects, {}, t.clock, t.op(), t.wait()).ok());
}

TEST_CASE("only a first attempt pays into the budget, not a call that is an outer layer's repetition", "[call]") {
  retry_budget budget({.ratio_permille = 1000, .min_per_second = 0, .burst = 10});
  const auto balance_after = [&](bool is_retry) {
    bench_of_test t;
    t.answers = {7};
    CHECK(run(guard{.budget = &budget}, {.is_retry = is_retry}, t.clock, t.op(), t.wait()).ok());
    return budget.balance_milli(t.clock.now());
  };
  REQUIRE(budget.try_take(bench_of_test{}.clock.now(), 5));
  CHECK(balance_after(true) == 5'000);
  CHECK(balance_after(false) == 6'000);
}

TEST_CASE("R5 an observer that asks is told of an exhausted budget once a cool-down, and of how many were not",
          "[call]") {
  struct listener : no_observer {
    int notices = 0;
    std::uint32_t held_back = 0;
    verdict last{};
    void on_budget_exhausted(const guard&, const error& why, std::uint32_t not_told) noexcept {
      ++notices;
      held_back = not_told;
      last = why.kind;
    }
  };
  listener heard;
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 1, .notice_every = 10s});
  const guard g{.budget = &budget, .retry = three_times};
  bench_of_test t;
  t.answers.assign(32, reset);
  const auto fails = [&] {
    const auto answer = run(g, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait(), heard);
    return answer.error().stopped_by;
  };
  for (int i = 0; i < 5; ++i) CHECK(fails() == errc::retry_budget_exhausted);
  CHECK(heard.notices == 1);
  CHECK(heard.held_back == 0);
  CHECK(heard.last == verdict::transient);
  t.clock.advance(11s);
  CHECK(fails() == errc::retry_budget_exhausted);
  CHECK(heard.notices == 2);
  CHECK(heard.held_back == 4);
}

TEST_CASE("a cancelled wait ends the call as cancelled, and no failure is counted for it", "[call]") {
  bench_of_test t;
  t.answers = {reset};
  circuit_breaker breaker({.consecutive_failures = 2});
  const auto answer = run(guard{.breaker = &breaker, .retry = three_times}, {.safety = idempotency::idempotent},
                          t.clock, t.op(), [](time_point) { return false; });
  CHECK(answer.error().code == errc::cancelled);
  CHECK(answer.error().attempts == 1);
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("a call cancelled in its attempt is neutral, and returns its permits", "[call]") {
  manual_clock clock;
  bulkhead room({.limit = 1});
  circuit_breaker breaker({.consecutive_failures = 1});
  const guard g{.room = &room, .breaker = &breaker};
  no_observer nobody;
  call_machine machine(g, {}, nobody);
  REQUIRE(machine.start(clock.now()) == call_step::attempt);
  CHECK(room.in_flight() == 1);
  machine.cancel(clock.now());
  CHECK(room.in_flight() == 0);
  CHECK(breaker.state() == breaker_state::closed);
  CHECK(machine.failure().code == errc::cancelled);
}

TEST_CASE("a machine dropped in mid-attempt gives everything back", "[call]") {
  manual_clock clock;
  bulkhead room({.limit = 1});
  circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 1s, .jitter_permille = 0});
  const guard g{.room = &room, .breaker = &breaker};
  no_observer nobody;
  {
    call_machine machine(g, {}, nobody);
    REQUIRE(machine.start(clock.now()) == call_step::attempt);
    REQUIRE(machine.finish(verdict::transient, reset, clock.now()) == call_step::done);
  }
  clock.advance(2s);
  {
    call_machine probe(g, {}, nobody);
    REQUIRE(probe.start(clock.now()) == call_step::attempt);  // and dropped
  }
  CHECK(room.in_flight() == 0);
  call_machine again(g, {}, nobody);
  CHECK(again.start(clock.now()) == call_step::attempt);  // the abandoned probe's slot came back
}

TEST_CASE("a room taken over by its operation stays taken until that gives it back", "[call]") {
  manual_clock clock;
  bulkhead room({.limit = 1});
  const guard g{.room = &room};
  no_observer nobody;
  call_machine machine(g, {}, nobody);
  REQUIRE(machine.start(clock.now()) == call_step::attempt);
  {
    const auto outlives = machine.detach_room();
    CHECK(machine.finish(verdict::timeout, errc::attempt_timeout, clock.now()) == call_step::done);
    CHECK(room.in_flight() == 1);
  }
  CHECK(room.in_flight() == 0);
}

TEST_CASE("an observer hears every attempt, transition, retry and end, in their order", "[call]") {
  bench_of_test t;
  t.answers = {reset, reset};
  circuit_breaker breaker({.consecutive_failures = 2});
  std::vector<std::string> log;
  const auto answer = run(guard{.breaker = &breaker, .retry = three_times}, {.safety = idempotency::idempotent},
                          t.clock, t.op(), t.wait(), recorder{&log});
  CHECK_FALSE(answer.ok());
  CHECK(log == std::vector<std::string>{"attempt 1 transient", "retry", "closed -> open", "attempt 2 transient",
                                        "retry", "refused: circuit breaker is open",
                                        "gave up: circuit breaker is open"});
}

namespace {

struct step_recorder : recorder {
  struct step {
    std::vector<std::string>* log;
    explicit step(std::vector<std::string>* to) : log(to) { log->emplace_back("{"); }
    ~step() { log->emplace_back("}"); }
    step(const step&) = delete;
    step& operator=(const step&) = delete;
  };
  step watch_step() const noexcept { return step(log); }
};

}  // namespace

TEST_CASE("an observer that wants to can watch each step from its begin to its end", "[call]") {
  std::vector<std::string> log;
  step_recorder observer{{&log}};
  const guard protects{.retry = three_times};
  const time_point now{1s};
  call_machine<step_recorder> machine(protects, {.safety = idempotency::idempotent}, observer);
  REQUIRE(machine.start(now) == call_step::attempt);
  REQUIRE(machine.finish(reset.kind, reset, now) == call_step::wait);
  REQUIRE(machine.resume(machine.wake_at()) == call_step::attempt);
  machine.cancel(machine.wake_at());
  CHECK(log == std::vector<std::string>{"{", "}", "{", "attempt 1 transient", "retry", "}", "{", "}", "{",
                                        "attempt 2 cancelled", "gave up: " + error(errc::cancelled).code.message(),
                                        "}"});
}

TEST_CASE("validate names the field of a guard that cannot be", "[call]") {
  static_assert(!validate(guard{}));
  static_assert(validate(guard{.total_timeout = -1ns}).field == "total_timeout");
  static_assert(validate(guard{.attempt_timeout = -1ns}).field == "attempt_timeout");
  static_assert(validate(guard{.retry = {.max_attempts = 0}}).field == "max_attempts");
  adaptive_limit_by<aimd> limit;
  CHECK(validate(guard{.limit = &limit}).field == "limit");
}

TEST_CASE(
    "D1 the guard's own total timeout bounds a call, its retries too, and a nearer deadline of the caller's stays",
    "[call]") {
  bench_of_test t;
  t.takes = 40ms;
  t.answers = {reset, reset, reset};
  const guard protects{.total_timeout = 100ms,
                       .retry = {.max_attempts = 3, .backoff = {.kind = backoff_kind::constant, .base = 30ms}}};
  const time_point begun = t.clock.now();
  const auto answer = run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
  // 40 + 30 + 40 ms, and a third attempt would begin after the end.
  CHECK(answer.error().stopped_by == errc::deadline_infeasible);
  CHECK(t.seen.size() == 2);
  CHECK(t.seen[0].context.until == deadline(begun + 100ms));
  CHECK(t.seen[1].context.until == deadline(begun + 100ms));

  bench_of_test nearer;
  nearer.answers = {7};
  const deadline until(nearer.clock.now() + 20ms);
  CHECK(run(protects, {.until = until}, nearer.clock, nearer.op(), nearer.wait()).ok());
  CHECK(nearer.seen[0].context.until == until);
}

TEST_CASE("the limiter at the door is charged once a call, however often it is repeated", "[call]") {
  rate_limiter door({.permits = 1, .per = 1h, .burst = 10});
  bench_of_test t;
  t.answers = {reset, reset, 7};
  const guard protects{.rate = &door, .retry = three_times};
  CHECK(run(protects, {.safety = idempotency::idempotent, .cost = 4}, t.clock, t.op(), t.wait()).ok());
  CHECK(door.snapshot(t.clock.now()).available == 6);
}

TEST_CASE("a call that the door refuses is not repeated, and its error says when to come again", "[call]") {
  rate_limiter door({.permits = 1, .per = 10ms, .burst = 1});
  circuit_breaker breaker({.consecutive_failures = 1});
  bulkhead room({.limit = 1});
  std::vector<std::string> log;
  bench_of_test t;
  REQUIRE(door.try_take(t.clock.now()));
  const guard protects{.rate = &door, .room = &room, .breaker = &breaker, .retry = three_times};
  const auto answer = run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait(), recorder{&log});
  CHECK(answer.error().code == errc::rate_limited);
  CHECK(answer.error().retry_after == 10ms);
  CHECK(answer.error().attempts == 0);
  CHECK(log == std::vector<std::string>{"refused: " + answer.error().code.message(),
                                        "gave up: " + answer.error().code.message()});
}

TEST_CASE("what the door gave to a call that is then turned away inside goes back (Sentinel #1638)", "[call]") {
  rate_limiter door({.permits = 1, .per = 1h, .burst = 2});
  bulkhead room({.limit = 1});
  circuit_breaker breaker({.consecutive_failures = 1});
  bench_of_test t;
  const guard protects{.rate = &door, .room = &room, .breaker = &breaker, .retry = three_times};
  {
    const auto held = room.try_acquire();
    CHECK(run(protects, {}, t.clock, t.op(), t.wait()).error().code == errc::bulkhead_full);
  }
  CHECK(door.snapshot(t.clock.now()).available == 2);
  breaker.isolate(t.clock.now());
  CHECK(run(protects, {}, t.clock, t.op(), t.wait()).error().code == errc::breaker_isolated);
  CHECK(door.snapshot(t.clock.now()).available == 2);
  CHECK(room.in_flight() == 0);
  // A deadline that has passed asks nobody.
  CHECK(run(protects, {.until = deadline(t.clock.now())}, t.clock, t.op(), t.wait()).error().code ==
        errc::deadline_exceeded);
  CHECK(door.snapshot(t.clock.now()).available == 2);
}

TEST_CASE("the attempts' limiter is charged for each, and who is refused by it comes again when it says", "[call]") {
  rate_limiter pace({.permits = 1, .per = 50ms, .burst = 1});
  bulkhead room({.limit = 1});
  circuit_breaker breaker({.consecutive_failures = 9, .probes = 1, .open_base = 1s, .jitter_permille = 0});
  bench_of_test t;
  t.answers = {reset, 7};
  std::vector<duration> waits;
  guard protects{.room = &room, .breaker = &breaker, .attempt_rate = &pace, .retry = three_times};
  protects.retry.hint_spread = 0ns;
  const time_point begun = t.clock.now();
  const auto answer = run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), [&](time_point until) {
    CHECK(room.in_flight() == 0);  // nobody waits in a place
    t.clock.set(until);
    return true;
  });
  REQUIRE(answer.ok());
  REQUIRE(t.seen.size() == 2);
  CHECK(t.seen[1].begun == begun + 50ms);
  // Refused behind a half-open breaker, it gives the probe back.
  breaker.isolate(t.clock.now());
  breaker.release(t.clock.now(), breaker_state::half_open);
  CHECK(run(guard{.breaker = &breaker, .attempt_rate = &pace}, {}, t.clock, t.op(), t.wait()).error().code ==
        errc::rate_limited);
  CHECK(breaker.snapshot(t.clock.now()).probes_issued == 0);
}

TEST_CASE("a room for the whole call is held in the waits between attempts, too", "[call]") {
  bulkhead room({.limit = 1});
  bench_of_test t;
  t.answers = {reset, reset, 7};
  unsigned waits = 0;
  const guard protects{.room = &room, .retry = three_times, .room_for = policy_scope::whole_call};
  const auto answer = run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), [&](time_point until) {
    CHECK(room.in_flight() == 1);
    ++waits;
    t.clock.set(until);
    return true;
  });
  CHECK(answer.ok());
  CHECK(waits == 2);
  CHECK(room.in_flight() == 0);
  // Full: not tried again, since it stands outside the retries.
  const auto held = room.try_acquire();
  const auto refused = run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(), t.wait());
  CHECK(refused.error().code == errc::bulkhead_full);
  CHECK(refused.error().stopped_by == errc{});
  CHECK(t.seen.size() == 3);
}

TEST_CASE("an operation that outlives its attempt keeps the whole call's place, and the next attempt needs another",
          "[call]") {
  manual_clock clock;
  bulkhead room({.limit = 2});
  const guard protects{.room = &room, .retry = three_times, .room_for = policy_scope::whole_call};
  no_observer nobody;
  call_machine machine(protects, {.safety = idempotency::idempotent}, nobody);
  REQUIRE(machine.start(clock.now()) == call_step::attempt);
  const auto hangs = machine.detach_room();
  REQUIRE(machine.finish(verdict::timeout, errc::attempt_timeout, clock.now()) == call_step::wait);
  CHECK(room.in_flight() == 1);
  REQUIRE(machine.resume(machine.wake_at()) == call_step::attempt);
  CHECK(room.in_flight() == 2);
  CHECK(machine.answered(machine.wake_at()) == call_step::done);
  CHECK(room.in_flight() == 1);
}

TEST_CASE("a breaker for the whole call hears one result of it: the last attempt's", "[call]") {
  bench_of_test t;
  circuit_breaker breaker({.consecutive_failures = 2, .slow_call = 1ms, .min_calls = 100});
  const guard protects{.breaker = &breaker, .retry = three_times, .breaker_for = policy_scope::whole_call};
  t.answers = {reset, reset, 7, reset, reset, reset};
  CHECK(run(protects, repeatable, t.clock, t.op(), t.wait()).ok());
  CHECK(breaker.snapshot(t.clock.now()).window_ok == 1);
  CHECK(breaker.snapshot(t.clock.now()).window_failed == 0);
  CHECK(breaker.snapshot(t.clock.now()).window_slow == 1);  // by the whole call's time
  CHECK_FALSE(run(protects, repeatable, t.clock, t.op(), t.wait()).ok());
  CHECK(breaker.snapshot(t.clock.now()).window_failed == 1);
  CHECK(breaker.snapshot(t.clock.now()).failures_in_row == 1);
  // A call that is cancelled says nothing, in a wait neither.
  t.answers.assign(7, reset);
  CHECK(run(protects, repeatable, t.clock, t.op(), [](time_point) { return false; }).error().code == errc::cancelled);
  CHECK(breaker.snapshot(t.clock.now()).failures_in_row == 1);
  // Nor does one that never came to an attempt.
  bulkhead room({.limit = 1});
  const auto held = room.try_acquire();
  guard full = protects;
  full.room = &room;
  full.retry.max_attempts = 1;
  CHECK(run(full, repeatable, t.clock, t.op(), t.wait()).error().code == errc::bulkhead_full);
  CHECK(breaker.snapshot(t.clock.now()).failures_in_row == 1);
  // A refusal is not tried again.
  breaker.isolate(t.clock.now());
  const auto refused = run(protects, repeatable, t.clock, t.op(), t.wait());
  CHECK(refused.error().code == errc::breaker_isolated);
}

// A wait whose line is what the test says.
struct line_of_test {
  bench_of_test* of;
  std::function<bulkhead::admission(bulkhead&, deadline)> in_line;
  bool operator()(time_point until) const {
    if (until > of->clock.now()) of->clock.set(until);
    return true;
  }
  bulkhead::admission enter(bulkhead& room, deadline until) const { return in_line(room, until); }
};

TEST_CASE("a call that finds its room full waits in the queue, and what it asks then is of the time when it got in",
          "[call]") {
  bulkhead room({.limit = 1, .queue = 1});
  circuit_breaker breaker({.consecutive_failures = 1, .slow_call = 5ms, .slow_permille = 1, .min_calls = 1});
  bench_of_test t;
  t.answers = {7};
  auto held = room.try_acquire();
  std::vector<deadline> until;
  const time_point begun = t.clock.now();
  const guard protects{.room = &room, .room_wait = 20ms, .breaker = &breaker};
  const auto answer =
      run(protects, {}, t.clock, t.op(), line_of_test{&t, [&](bulkhead& asked, deadline latest) {
                                                        until.push_back(latest);
                                                        CHECK(&asked == &room);
                                                        CHECK(breaker.snapshot(t.clock.now()).window_ok == 0);
                                                        held.release();
                                                        t.clock.advance(10ms);
                                                        return asked.wait_acquire(latest);
                                                      }});
  REQUIRE(answer.ok());
  CHECK(until == std::vector{deadline(begun + 20ms)});
  REQUIRE(t.seen.size() == 1);
  CHECK(t.seen[0].begun == begun + 10ms);
  // Its wait is not the callee's slowness.
  CHECK(breaker.snapshot(t.clock.now()).window_slow == 0);
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a call waits for a place no longer than its own deadline, and says which of the two has passed", "[call]") {
  bulkhead room({.limit = 1, .queue = 1});
  const auto held = room.try_acquire();
  for (const duration left : {10ms, 50ms}) {
    bench_of_test t;
    retry_budget budget({.ratio_permille = 1000, .burst = 10});
    rate_limiter door({.permits = 1, .per = 1h, .burst = 5});
    std::vector<std::string> log;
    const guard protects{.rate = &door, .room = &room, .room_wait = 20ms, .budget = &budget};
    const auto answer = run(protects, {.until = deadline(t.clock.now() + left)}, t.clock, t.op(),
                            line_of_test{&t,
                                         [&](bulkhead&, deadline latest) -> bulkhead::admission {
                                           t.clock.set(latest.at());
                                           return {.refusal = errc::bulkhead_timeout};
                                         }},
                            recorder{&log});
    CHECK(answer.error().code == (left == 10ms ? errc::deadline_exceeded : errc::bulkhead_timeout));
    CHECK(t.seen.empty());
    CHECK(door.snapshot(t.clock.now()).available == 5);  // nothing was used up
    CHECK(log.size() == (left == 10ms ? 1 : 2));
  }
}

TEST_CASE("a place that comes when the deadline has passed goes back", "[call]") {
  bulkhead room({.limit = 1, .queue = 1});
  auto held = room.try_acquire();
  bench_of_test t;
  const guard protects{.total_timeout = 10ms, .room = &room, .room_wait = 20ms};
  const auto answer = run(protects, {}, t.clock, t.op(), line_of_test{&t, [&](bulkhead& asked, deadline latest) {
                                                                        held.release();
                                                                        t.clock.advance(10ms);
                                                                        return asked.wait_acquire(latest);
                                                                      }});
  CHECK(answer.error().code == errc::deadline_exceeded);
  CHECK(room.in_flight() == 0);
}

TEST_CASE("whoever waited in vain for a place is repeated as who was refused at once is, and each attempt may wait",
          "[call]") {
  bulkhead room({.limit = 1, .queue = 1});
  auto held = room.try_acquire();
  bench_of_test t;
  t.answers = {7};
  int waits = 0;
  guard protects{.room = &room, .room_wait = 20ms, .retry = three_times};
  const auto answer = run(protects, {.safety = idempotency::unsafe}, t.clock, t.op(),
                          line_of_test{&t, [&](bulkhead& asked, deadline latest) -> bulkhead::admission {
                                         if (++waits < 3) return {.refusal = errc::bulkhead_timeout};
                                         held.release();
                                         return asked.wait_acquire(latest);
                                       }});
  CHECK(answer.ok());
  CHECK(waits == 3);
  // For the whole call it is asked once, and its refusal is the call's.
  held = room.try_acquire();
  waits = 0;
  protects.room_for = policy_scope::whole_call;
  const auto once =
      run(protects, {}, t.clock, t.op(), line_of_test{&t, [&](bulkhead&, deadline) -> bulkhead::admission {
                                                        ++waits;
                                                        return {.refusal = errc::bulkhead_full};
                                                      }});
  CHECK(once.error().code == errc::bulkhead_full);
  CHECK(waits == 1);
}

TEST_CASE("a call that is cancelled in the queue ends as cancelled, and asks nothing more", "[call]") {
  bulkhead room({.limit = 1, .queue = 1});
  const auto held = room.try_acquire();
  circuit_breaker breaker({.consecutive_failures = 1});
  bench_of_test t;
  std::vector<std::string> log;
  const guard protects{.room = &room, .room_wait = 20ms, .breaker = &breaker, .retry = three_times};
  const auto answer =
      run(protects, {.safety = idempotency::idempotent}, t.clock, t.op(),
          line_of_test{&t, [&](bulkhead&, deadline) -> bulkhead::admission { return {.refusal = errc::cancelled}; }},
          recorder{&log});
  CHECK(answer.error().code == errc::cancelled);
  CHECK(log == std::vector<std::string>{"gave up: " + answer.error().code.message()});
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("a thread's call sleeps in the queue until another call leaves", "[call]") {
  bulkhead room({.limit = 1, .queue = 1});
  auto held = room.try_acquire();
  std::thread leaves([&] {
    while (room.waiting() == 0) std::this_thread::yield();
    held.release();
  });
  const auto answer =
      run({.room = &room, .room_wait = 1h}, {}, steady_clock{}, [](const attempt&) -> outcome<int> { return 7; });
  leaves.join();
  REQUIRE(answer.ok());
  CHECK(room.snapshot().served == 1);
  CHECK(room.in_flight() == 0);
}

TEST_CASE("validate refuses a wait where nobody can wait", "[call]") {
  bulkhead without({.limit = 1});
  bulkhead with({.limit = 1, .queue = 1});
  CHECK(validate(guard{.room_wait = 1ms}).field == "room_wait");
  CHECK(validate(guard{.room = &without, .room_wait = 1ms}).field == "room_wait");
  CHECK(validate(guard{.room = &with, .room_wait = -1ms}).field == "room_wait");
  CHECK_FALSE(validate(guard{.room = &with, .room_wait = 1ms}));
  CHECK_FALSE(validate(guard{.room = &with}));
}
