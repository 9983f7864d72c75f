// SPDX-License-Identifier: MIT
// I9, T7: processes share a table of breakers, and one of them is killed in the middle of a call to it, at each of its
// instructions or at any moment: every word is one that the survivors can go on with, no key has two breakers, and all calls
// that keep coming get through (I3).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/breaker_table.hpp"

#include "fault.hpp"
#include "single_step.hpp"
#include "support/catch.hpp"
#include "support/proof_fact.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
constexpr std::uint64_t mine = 1000;  // the key that is called when death comes

constexpr breaker_table_options options{.breaker = {.rules = {.consecutive_failures = 2,
                                                              .min_calls = 2,
                                                              .window = 1s,
                                                              .probes = 1,
                                                              .probe_lease = 100ms,
                                                              .open_base = 50ms,
                                                              .open_max = 200ms},
                                                    .keep = 1s},
                                        .secret = {7, 8}};
using memory = breaker_table_memory<8>;

struct tally {
  std::uint64_t rounds = 0;
  std::uint64_t invalid = 0;  // a state that there is not, or more probes than there may be
  std::uint64_t twice = 0;    // a key with two breakers
  std::uint64_t wedged = 0;   // a key whose calls do not get through, or one more that found no room
};

bool gets_through(breaker_table& table, breaker_key key, time_point& now) {
  for (int tries = 0; tries < 4; ++tries) {
    auto a = table.admit(key, now);
    if (a) {
      table.report(std::move(a.ticket), verdict::ok, now);
      return true;
    }
    if (a.refusal.retry_after <= 0s || a.refusal.retry_after > 400ms) return false;
    now += a.refusal.retry_after;
  }
  return false;
}

// What the survivors find at `now`, for which the dead had a key of `keys`.
void examine(memory& m, std::uint64_t keys, time_point now, tally& t) {
  ++t.rounds;
  breaker_table table(m, options);
  std::multiset<std::uint64_t> ids;
  table.visit(now, [&](const breaker_table::entry& e) {
    ids.insert(e.id);
    t.invalid += e.breaker.state > breaker_state::metrics_only || e.breaker.probes_issued > 1 ? 1U : 0U;
  });
  t.twice += std::set<std::uint64_t>(ids.begin(), ids.end()).size() == ids.size() ? 0U : 1U;
  now += 600ms;
  for (std::uint64_t n = 0; n < keys; ++n) t.wedged += gets_through(table, table.key(mine + n), now) ? 0U : 1U;
  // When all is idle there is room for eight others, whoever died in a claim. (Those that opened keep their places.)
  for (std::uint64_t n = 0; n < keys; ++n) table.forget(table.key(mine + n));
  now += 3s;
  for (std::uint64_t n = 0; n < 8; ++n) t.wedged += table.admit(table.key(n), now).overflowed ? 1U : 0U;
}

enum class before { nobody, all_idle, marked, open };

time_point prepare(memory& m, before what) {
  breaker_table table(m, options);
  time_point now = start;
  const auto fail = [&](breaker_key key, int times) {
    for (int i = 0; i < times; ++i) {
      if (auto a = table.admit(key, now)) table.report(std::move(a.ticket), verdict::transient, now);
    }
  };
  switch (what) {
    case before::nobody: break;
    case before::all_idle:
    case before::marked:
      for (std::uint64_t n = 0; n < 8; ++n) {
        static_cast<void>(table.admit(table.key(n), now));
        if (what == before::marked) fail(table.key(n), 1);
      }
      now += 3s;
      break;
    case before::open:
      fail(table.key(mine), 2);
      now += 100ms;  // the open time is over
      break;
  }
  return now;
}

void die() {
  ::kill(::getpid(), SIGKILL);
}

void judge(const char* title, const tally& t) {
  fault::report(title, "rounds=%llu invalid=%llu twice=%llu wedged=%llu", static_cast<unsigned long long>(t.rounds),
                static_cast<unsigned long long>(t.invalid), static_cast<unsigned long long>(t.twice),
                static_cast<unsigned long long>(t.wedged));
  CHECK(t.invalid == 0);
  CHECK(t.twice == 0);
  CHECK(t.wedged == 0);
}

}  // namespace

TEST_CASE("I9, T7: a process is killed at each instruction of a call through a shared table of breakers", "[fault]") {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const std::uint64_t stride = fault::long_run() ? 1 : 23;
  for (const before what : {before::nobody, before::all_idle, before::marked, before::open}) {
    for (const verdict v : {verdict::ok, verdict::transient}) {
      std::uint64_t k = 1;
      for (bool lived = false; !lived; k += stride) {
        fault::shared<memory> m;
        const time_point now = prepare(*m, what);
        fault::child victim([&] {
          breaker_table table(*m, options);
          const breaker_key key = table.key(mine);
          fault::single_step::at(k, &die, [&] {
            for (int i = 0; i < 2; ++i) {
              auto a = table.admit(key, now);
              if (a) table.report(std::move(a.ticket), v, now);
            }
          });
          return 0;
        });
        lived = victim.wait(10s) == 0;
        examine(*m, 1, now, t);
      }
      CHECK(k > 100);
    }
  }
  judge("kill_breaker_stepwise", t);
  CHECK(test_support::proof_fact("faults.kill_rounds", t.rounds, "rounds"));
}

TEST_CASE("I9, T7: processes are killed at random moments of traffic through a shared table of breakers", "[fault]") {
  tally t;
  const int rounds = fault::rounds(100, 3'000);
  for (int round = 0; round < rounds; ++round) {
    struct arena {
      memory table;
      atomic<std::uint64_t> calls{0};
    };
    fault::shared<arena> m;
    constexpr std::uint64_t keys = 5;
    // Time is what the calls of all have made it, and jumps far enough for places to change hands.
    const auto time = [&] { return start + m->calls.load(mo::relaxed) * 1ms; };  // counter: a clock
    const auto traffic = [&](std::uint64_t seed) {
      splitmix64 random(seed);
      breaker_table table(m->table, options);
      for (;;) {
        m->calls.fetch_add(uniform_up_to(random, 63) == 0 ? 1200 : 1, mo::relaxed);  // counter: a clock
        auto a = table.admit(table.key(mine + uniform_up_to(random, keys - 1)), time());
        if (uniform_up_to(random, 31) == 0) table.forget(table.key(mine + uniform_up_to(random, keys - 1)));
        if (a && uniform_up_to(random, 7) != 0)
          table.report(std::move(a.ticket), uniform_up_to(random, 2) == 0 ? verdict::timeout : verdict::ok, time());
      }
      return 0;
    };
    const auto seed = static_cast<std::uint64_t>(round);
    fault::child first([&] { return traffic(2 * seed); });
    fault::child second([&] { return traffic(2 * seed + 1); });
    REQUIRE(first.started());
    REQUIRE(second.started());
    const std::uint64_t until = 20 + splitmix64_mix(seed) % 3'000;
    const bool came = fault::within(10s, [&] { return m->calls.load(mo::relaxed) >= until; });  // counter:
    t.wedged += came ? 0U : 1U;
    first.kill();
    const std::uint64_t then = m->calls.load(mo::relaxed);                                              // counter:
    t.wedged += fault::within(10s, [&] { return m->calls.load(mo::relaxed) > then + 100; }) ? 0U : 1U;  // counter:
    second.kill();
    examine(m->table, keys, time(), t);
  }
  judge("kill_breaker_random", t);
  CHECK(test_support::proof_fact("faults.kill_rounds", t.rounds, "rounds"));
}
