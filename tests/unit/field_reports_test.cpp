// SPDX-License-Identifier: MIT
// What hurt the users of other libraries, a case for each report: the same calls in the same order, and what they should
// have seen. The number in a name is that of the project's issue or pull request. Reports whose lesson is the behaviour of one
// header alone stand, under the same names, in that header's own test.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/ipc/shared_segment.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/compact_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "support/catch.hpp"
#include "support/held_compact.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::held_compact;

#define EVERY_FORM circuit_breaker, held_compact

namespace {

using state = breaker_state;

constexpr time_point start{1000s};
constexpr duration tick{std::int64_t{breaker_tick::nanoseconds}};
constexpr std::array every_verdict{verdict::ok,      verdict::transient, verdict::throttled, verdict::permanent,
                                   verdict::timeout, verdict::cancelled, verdict::rejected,  verdict::stale};

constexpr circuit_breaker_options rules{.failure_permille = 500,
                                        .min_calls = 4,
                                        .window = 10s,
                                        .probes = 3,
                                        .probe_lease = 5s,
                                        .open_base = 1s,
                                        .open_max = 4s,
                                        .jitter_permille = 0};

template <class Breaker>
std::unique_ptr<Breaker> breaker_with(const circuit_breaker_options& o) {
  REQUIRE_FALSE(validate(o));
  return std::make_unique<Breaker>(o);
}

template <class Breaker>
void call(Breaker& breaker, verdict v, time_point now) {
  auto admitted = breaker.admit(now);
  REQUIRE(admitted);
  static_cast<void>(breaker.report(std::move(admitted.ticket), v, now));
}

// Returns when it lets probes through.
template <class Breaker>
time_point open_it(Breaker& breaker, time_point now) {
  for (int i = 0; i < 100 && breaker.state() == state::closed; ++i) call(breaker, verdict::transient, now);
  REQUIRE(breaker.state() == state::open);
  return now + breaker.admit(now).refusal.retry_after;
}

// Calls at `now` until one is refused.
template <class Breaker>
std::vector<typename Breaker::permit> take_all(Breaker& breaker, time_point now) {
  std::vector<typename Breaker::permit> taken;
  while (taken.size() < 1000) {
    auto admitted = breaker.admit(now);
    if (!admitted) break;
    taken.push_back(std::move(admitted.ticket));
  }
  return taken;
}

const error reset = make_error(std::make_error_code(std::errc::connection_reset));

// One call of `op` under `protects`, on `clock`, whose waits pass at once.
template <class Op>
outcome<int> run_on(manual_clock& clock, const guard& protects, const call_context& context, Op op) {
  return run(protects, context, clock, op, [&](time_point until) {
    if (until > clock.now()) clock.set(until);
    return true;
  });
}

}  // namespace

TEMPLATE_TEST_CASE(
    "a half-open circuit is no open gate, whoever reports late (Polly 216, opossum 119, resilience4j 1432)", "[field]",
    EVERY_FORM) {
  const auto breaker = breaker_with<TestType>(rules);
  std::vector<typename TestType::permit> late;
  for (std::size_t i = 0; i < 5 * every_verdict.size(); ++i) late.push_back(std::move(breaker->admit(start).ticket));
  time_point now = open_it(*breaker, start);
  const auto generation = breaker->generation() + 1;
  auto probes = take_all(*breaker, now);
  CHECK(probes.size() == rules.probes);
  for (std::size_t i = 0; i < late.size(); ++i) {
    static_cast<void>(breaker->report(std::move(late[i]), every_verdict[i % every_verdict.size()], now));
    CHECK_FALSE(breaker->admit(now));
    REQUIRE(breaker->state() == state::half_open);
  }
  // ... and it is they who decide.
  CHECK(breaker->generation() == generation);
  for (auto& probe : probes) static_cast<void>(breaker->report(std::move(probe), verdict::ok, now));
  CHECK(breaker->state() == state::closed);
}

TEMPLATE_TEST_CASE(
    "no way to lose a probe keeps callers out for good (resilience4j 544, 903 and 1389, Sentinel 1638, gobreaker, "
    "OmniRoute 13836)",
    "[field]", EVERY_FORM) {
  for (const lease_expiry on_lease_over : {lease_expiry::renew, lease_expiry::reopen}) {
    for (int way = 0; way < 4; ++way) {
      CAPTURE(way, on_lease_over == lease_expiry::renew);
      auto o = rules;
      o.on_lease_over = on_lease_over;
      const auto breaker = breaker_with<TestType>(o);
      time_point now = open_it(*breaker, start);
      std::vector<typename TestType::permit> kept;
      for (int round = 0; round < 20; ++round) {
        for (auto& probe : take_all(*breaker, now)) {
          if (way == 0) continue;                          // thrown away: destroyed unreported
          if (way == 1) kept.push_back(std::move(probe));  // hangs for ever
          if (way == 2) breaker->report(std::move(probe), verdict::cancelled, now);
          if (way == 3) breaker->report(std::move(probe), verdict::rejected, now);
        }
        // I3: whatever became of the others, one of those who come each 100 ms gets through: the
        // first behind the lease may have to open the circuit once more, the first behind the open time is the next probe.
        const time_point longest = now + o.open_max + o.probe_lease + 2 * (100ms + tick);
        bool through = false;
        while (!through && now < longest) {
          now += 100ms;
          through = static_cast<bool>(breaker->admit(now));
        }
        REQUIRE(through);
      }
      // The callee is well again, and stays so.
      bool closed = false;
      for (int i = 0; i < 20 && !closed; ++i) {
        for (auto& probe : take_all(*breaker, now))
          static_cast<void>(breaker->report(std::move(probe), verdict::ok, now));
        closed = breaker->state() == state::closed;
        now += o.open_max + o.probe_lease + 2 * tick;
      }
      CHECK(closed);
    }
  }
}

TEMPLATE_TEST_CASE("a probe that a second breaker turns away is free again at once (sentinel-golang 196, zentinel 261)",
                   "[field]", EVERY_FORM) {
  const auto outer = breaker_with<TestType>(rules);
  const auto inner = breaker_with<TestType>(rules);
  time_point now = open_it(*outer, start);
  inner->isolate(now);
  for (int i = 0; i < 1000; ++i) {
    auto probe = outer->admit(now);
    REQUIRE(probe);
    CHECK_FALSE(inner->admit(now));
  }
  inner->release(now);
  for (auto& probe : take_all(*outer, now)) {
    auto both = inner->admit(now);
    REQUIRE(both);
    static_cast<void>(inner->report(std::move(both.ticket), verdict::ok, now));
    static_cast<void>(outer->report(std::move(probe), verdict::ok, now));
  }
  CHECK(outer->state() == state::closed);
}

TEMPLATE_TEST_CASE(
    "a half-open circuit learns nothing of results that say nothing (resilience4j 544, Polly 311 and 717)", "[field]",
    EVERY_FORM) {
  const auto breaker = breaker_with<TestType>(rules);
  const time_point now = open_it(*breaker, start);
  for (const verdict v : {verdict::cancelled, verdict::rejected, verdict::stale, verdict::throttled}) {
    for (int i = 0; i < 100; ++i) {
      auto probes = take_all(*breaker, now);
      REQUIRE(probes.size() == rules.probes);
      for (auto& probe : probes) static_cast<void>(breaker->report(std::move(probe), v, now));
      REQUIRE(breaker->state() == state::half_open);
    }
  }
}

TEMPLATE_TEST_CASE("who hangs up is no failure of the callee, nor a success (cockroach 35433, rubyist 42, Polly)",
                   "[field]", EVERY_FORM) {
  auto o = rules;
  o.consecutive_failures = 5;
  const auto breaker = breaker_with<TestType>(o);
  for (int i = 0; i < 1000; ++i) call(*breaker, verdict::cancelled, start);
  CHECK(breaker->state() == state::closed);
  // Between failures they do not make the row of failures shorter either.
  for (int i = 0; i < 3; ++i) {
    call(*breaker, verdict::transient, start);
    call(*breaker, verdict::cancelled, start);
  }
  CHECK(breaker->state() == state::closed);
  call(*breaker, verdict::transient, start);
  CHECK(breaker->state() == state::open);
}

TEMPLATE_TEST_CASE("a burst of failures trips wherever a window of fixed limits would end (gobreaker 21 and 64)",
                   "[field]", EVERY_FORM) {
  // Four failures in a second, all within any ten seconds: at whatever time they come, they are seen together.
  for (int phase = 0; phase < 200; ++phase) {
    CAPTURE(phase);
    const auto breaker = breaker_with<TestType>(rules);
    time_point now = start + phase * 53ms;
    for (int i = 0; i < 4; ++i) {
      REQUIRE(breaker->state() == state::closed);
      call(*breaker, verdict::transient, now);
      now += 300ms;
    }
    CHECK(breaker->state() == state::open);
  }
}

TEMPLATE_TEST_CASE("one error in a day is no failure rate of 100 % (opossum 232)", "[field]", EVERY_FORM) {
  const auto breaker = breaker_with<TestType>(rules);
  for (int day = 0; day < 30; ++day) {
    call(*breaker, verdict::transient, start + day * 24h);
    REQUIRE(breaker->state() == state::closed);
  }
}

TEMPLATE_TEST_CASE("failures are forgotten with their window, however slowly more of them come (vertx 24)", "[field]",
                   EVERY_FORM) {
  // One each six seconds among nothing: two at a time in the window, and three with its last part.
  const auto breaker = breaker_with<TestType>(rules);
  for (int i = 0; i < 1000; ++i) {
    call(*breaker, verdict::transient, start + i * 6s);
    REQUIRE(breaker->state() == state::closed);
  }
}

TEMPLATE_TEST_CASE("the success that completes the minimum may be what trips (deno std 7308)", "[field]", EVERY_FORM) {
  const auto breaker = breaker_with<TestType>(rules);
  for (int i = 0; i < 3; ++i) call(*breaker, verdict::transient, start);
  CHECK(breaker->state() == state::closed);
  call(*breaker, verdict::ok, start);
  CHECK(breaker->state() == state::open);
}

TEMPLATE_TEST_CASE("at 840 calls a second one failure in 700 trips nothing (unkey 6568)", "[field]", EVERY_FORM) {
  const auto breaker = breaker_with<TestType>(rules);
  std::int64_t failed = 0;
  for (std::int64_t i = 0; i < 840 * 60; ++i) {
    const bool fails = i % 700 == 699;
    failed += fails ? 1 : 0;
    call(*breaker, fails ? verdict::transient : verdict::ok, start + i * 1s / 840);
    REQUIRE(breaker->state() == state::closed);
  }
  CHECK(failed == 72);
}

TEMPLATE_TEST_CASE(
    "a clock that is set back half an hour opens nothing, and ends no open time early (brpc 3258, scylla 638)",
    "[field]", EVERY_FORM) {
  // Steady clocks are not set; those who hand over others' readings may do that.
  const auto breaker = breaker_with<TestType>(rules);
  const time_point until = open_it(*breaker, start);
  CHECK_FALSE(breaker->admit(start - 30min));
  CHECK_FALSE(breaker->admit(until - tick));
  auto probes = take_all(*breaker, until);
  CHECK(probes.size() == rules.probes);
  for (auto& probe : probes) static_cast<void>(breaker->report(std::move(probe), verdict::ok, until - 30min));
  CHECK(breaker->state() == state::closed);
  // Behind the step it goes on counting.
  open_it(*breaker, until - 30min);
}

TEST_CASE("a clock that is set back pays out nothing twice (aws-sdk-cpp: the distance, whichever way)", "[field]") {
  retry_budget budget({.ratio_permille = 100, .min_per_second = 10, .burst = 20});
  rate_limiter limiter({.permits = 10, .per = 1s, .burst = 20});
  time_point now = start;
  const auto drain = [&] {
    int taken = 0;
    while (taken < 1000 && budget.try_take(now)) ++taken;
    while (taken < 1000 && limiter.try_take(now)) ++taken;
    return taken;
  };
  CHECK(drain() == 40);
  for (const duration step : {1h, 24h}) {
    now -= step;
    CHECK(drain() == 0);
    now += step;
    CHECK(drain() == 0);
  }
}

TEST_CASE(
    "a whole pipeline lives on the clock that it is given (resilience4j's lock-free windows, Polly 156, circuit 104)",
    "[field]") {
  // A day of calls and outages, begun at two instants that no real clock shows: the same to the nanosecond, and over at once.
  const auto day = [](time_point begun) {
    manual_clock clock(begun);
    auto o = rules;
    o.jitter_permille = 200;
    const auto breaker = std::make_unique<circuit_breaker>(o);
    retry_budget budget({.ratio_permille = 100, .min_per_second = 1, .burst = 5});
    rate_limiter door({.permits = 1, .per = 1s, .burst = 10});
    bulkhead room({.limit = 1});
    const guard protects{.total_timeout = 20s,
                         .rate = &door,
                         .room = &room,
                         .breaker = breaker.get(),
                         .budget = &budget,
                         .retry = {.max_attempts = 4, .backoff = {.base = 100ms, .cap = 5s}},
                         .attempt_timeout = 1s};
    seed_shared_random(11);
    std::vector<std::int64_t> log;
    for (int i = 0; clock.now() < begun + 24h; ++i) {
      const bool outage = (clock.now() - begun) / 1h % 3 == 1;
      const auto got =
          run_on(clock, protects, {.safety = idempotency::idempotent}, [&](const attempt& a) -> outcome<int> {
            clock.advance(50ms);
            log.push_back((a.context.until.at() - begun).count());
            if (outage && i % 5 != 0) return reset;
            return 1;
          });
      log.push_back((clock.now() - begun).count());
      log.push_back(got.ok() ? 0 : got.error().code.value());
      clock.advance(3s);
    }
    return log;
  };
  const auto once = day(time_point(100'000h));
  CHECK(once.size() > 20'000);
  CHECK(once == day(time_point(7h + 13ms)));
}

TEST_CASE("a deadline that has passed on entry is nobody's failure (Polly, userver)", "[field]") {
  const auto breaker = breaker_with<circuit_breaker>({.consecutive_failures = 1});
  manual_clock clock;
  for (int i = 0; i < 100; ++i) {
    const auto got = run_on(clock, {.breaker = breaker.get()}, {.until = deadline(clock.now())},
                            [](const attempt&) -> outcome<int> { return 1; });
    CHECK(got.error().code == errc::deadline_exceeded);
  }
  CHECK(breaker->state() == state::closed);
  CHECK(breaker->snapshot(clock.now()).window_failed == 0);
}

TEST_CASE(
    "a wait that the callee asks for is not slept through where it ends past the deadline (dotnet extensions 7701, "
    "Envoy 24316)",
    "[field]") {
  manual_clock clock;
  auto busy = make_error(http_error(503));
  busy.retry_after = 60s;
  int calls = 0;
  const time_point begun = clock.now();
  const auto got =
      run_on(clock, {.retry = {.max_attempts = 5}}, {.until = deadline(begun + 30s), .safety = idempotency::idempotent},
             [&](const attempt&) -> outcome<int> {
               ++calls;
               return busy;
             });
  CHECK(calls == 1);
  CHECK(clock.now() == begun);
  CHECK(got.error().code == busy.code);
  CHECK(got.error().stopped_by == errc::deadline_infeasible);
}

TEST_CASE("takers at once never overdraw a budget (failsafe-go and tower: looked, then took; tower-resilience 411)",
          "[field]") {
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 1000});
  std::array<int, 4> taken{};
  std::vector<std::thread> takers;
  for (auto& mine : taken) {
    takers.emplace_back([&budget, &mine] {
      for (int i = 0; i < 1000; ++i) mine += budget.try_take(start) ? 1 : 0;
    });
  }
  for (auto& taker : takers) taker.join();
  CHECK(taken[0] + taken[1] + taken[2] + taken[3] == 1000);
}

TEST_CASE(
    "a budget goes by the callee and not by what is in the call (CONTINUUM 1052: a field of noise made a new one)",
    "[field]") {
  // A thousand calls, no two alike, of one callee that is down: together they repeat as often as one of them could.
  manual_clock clock;
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 7});
  const guard protects{.budget = &budget, .retry = {.max_attempts = 3, .backoff = {.base = 1ms, .cap = 1ms}}};
  int calls = 0;
  for (std::uint64_t noise = 0; noise < 1000; ++noise) {
    const auto got = run_on(clock, protects, {.safety = idempotency::idempotent_with_key, .cost = 1},
                            [&](const attempt&) -> outcome<int> {
                              ++calls;
                              return reset;
                            });
    CHECK_FALSE(got.ok());
  }
  CHECK(calls == 1007);
}

TEST_CASE(
    "other options keep the circuit, its counts and the calls under way (resilience4j 2325, opossum 450, Polly's "
    "reload)",
    "[field]") {
  const auto breaker = breaker_with<circuit_breaker>(rules);
  auto under_way = breaker->admit(start);
  call(*breaker, verdict::transient, start);
  call(*breaker, verdict::transient, start);
  auto stricter = rules;
  stricter.min_calls = 3;
  const auto told = breaker->reconfigure(stricter, start);
  REQUIRE(told);
  CHECK(told.window_kept);
  CHECK(breaker->snapshot(start).window_failed == 2);
  // The call that began by the old options is counted, and the new ones judge all three.
  CHECK(breaker->report(std::move(under_way.ticket), verdict::transient, start).transition.to == state::open);
  const time_point until = start + breaker->admit(start).refusal.retry_after;
  auto longer = stricter;
  longer.open_base = longer.open_max = 60s;
  REQUIRE(breaker->reconfigure(longer, start));
  CHECK(breaker->state() == state::open);
  CHECK_FALSE(breaker->admit(until - tick));
  CHECK(breaker->admit(until));  // as it told its callers
}

TEST_CASE("who comes later to what processes share finds it as it is (semian 27, pybreaker 26: a new one reset it)",
          "[field]") {
  using common = shared_segment<compact_breaker_options, compact_breaker, retry_budget>;
  const std::string name = "/holdfast_field_" + std::to_string(::getpid());
  const compact_breaker_options o{.rules = rules};
  const retry_budget_options few{.ratio_permille = 0, .min_per_second = 0, .burst = 5};
  auto first = common::open_or_create(name, {}, o, from_nothing{}, few);
  REQUIRE(first.ok());
  CHECK(first->made());
  const compact_breaker_rules mine(first->get<compact_breaker_options>());
  for (int i = 0; i < 4; ++i) {
    auto admitted = first->get<compact_breaker>().admit(mine, start);
    REQUIRE(admitted);
    static_cast<void>(first->get<compact_breaker>().report(std::move(admitted.ticket), verdict::transient, start));
  }
  REQUIRE(first->get<retry_budget>().try_take(start, 3));
  auto second = common::open_or_create(name, {}, o, from_nothing{}, few);
  REQUIRE(second.ok());
  CHECK_FALSE(second->made());
  CHECK(second->get<compact_breaker>().state() == state::open);
  CHECK(second->get<retry_budget>().balance_milli(start) == 2'000);
  CHECK(common::unlink(name).ok());
}

TEST_CASE("what a killed process held comes back (OloEngine 849: its permit never did)", "[field]") {
  void* const memory =
      ::mmap(nullptr, sizeof(compact_breaker), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& breaker = *new (memory) compact_breaker;
  const compact_breaker_rules all({.rules = rules});
  for (int i = 0; i < 4; ++i) {
    auto admitted = breaker.admit(all, start);
    static_cast<void>(breaker.report(std::move(admitted.ticket), verdict::transient, start));
  }
  const time_point until = start + breaker.admit(all, start).refusal.retry_after;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::vector<compact_breaker::permit> probes;
    for (int i = 0; i < rules.probes; ++i) probes.push_back(std::move(breaker.admit(all, until).ticket));
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK_FALSE(breaker.admit(all, until));
  const time_point later = until + rules.probe_lease + tick;
  std::vector<compact_breaker::permit> probes;
  for (int i = 0; i < rules.probes; ++i) {
    auto admitted = breaker.admit(all, later);
    REQUIRE(admitted);
    probes.push_back(std::move(admitted.ticket));
  }
  for (auto& probe : probes) static_cast<void>(breaker.report(std::move(probe), verdict::ok, later));
  CHECK(breaker.state() == state::closed);
  ::munmap(memory, sizeof(compact_breaker));
}

TEMPLATE_TEST_CASE("threads that go past the threshold together open the circuit all the same, each time (Envoy 18950)",
                   "[field]", EVERY_FORM) {
  // There a counter was to be exactly the threshold, and two that counted at once were never seen there again.
  auto o = rules;
  o.failure_permille = 0;
  o.slow_permille = 0;
  o.consecutive_failures = 3;
  const auto breaker = breaker_with<TestType>(o);
  time_point now = start;
  for (int round = 0; round < 200; ++round) {
    std::array<typename TestType::permit, 8> under_way;
    for (auto& one : under_way) {
      auto admitted = breaker->admit(now);
      REQUIRE(admitted);
      one = std::move(admitted.ticket);
    }
    std::vector<std::thread> reporters;
    for (std::size_t t = 0; t < 2; ++t) {
      reporters.emplace_back([&, t] {
        for (std::size_t i = t; i < under_way.size(); i += 2)
          static_cast<void>(breaker->report(std::move(under_way[i]), verdict::transient, now));
      });
    }
    for (auto& reporter : reporters) reporter.join();
    REQUIRE(breaker->state() == state::open);
    breaker->isolate(now);
    breaker->release(now);
  }
}

TEMPLATE_TEST_CASE("time alone forgets no opening: there must have been an answer (Envoy 21142)", "[field]",
                   EVERY_FORM) {
  auto o = rules;
  o.healthy_decay = 1s;
  o.open_max = 60s;
  const auto breaker = breaker_with<TestType>(o);
  time_point now = open_it(*breaker, start);
  const auto close_it = [&] {
    for (auto& probe : take_all(*breaker, now)) static_cast<void>(breaker->report(std::move(probe), verdict::ok, now));
    REQUIRE(breaker->state() == state::closed);
  };
  close_it();
  now += 100s;  // closed, and nobody calls
  time_point begun = now;
  now = open_it(*breaker, now);
  CHECK(now - begun >= 2s);  // the second opening in a row, twice as long
  close_it();
  for (int i = 0; i < 100; ++i) call(*breaker, verdict::ok, now += 2s);
  now += o.window + o.window / 2;
  begun = now;
  now = open_it(*breaker, now);
  CHECK(now - begun < 2s);
}
