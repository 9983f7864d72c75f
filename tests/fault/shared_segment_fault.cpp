// SPDX-License-Identifier: MIT
// S3, S4, S6: processes that have only a name in common make a segment, open it and call what is in it, and are killed at each
// instruction of that, or at any moment. Whoever comes next has a whole segment in bounded time; all objects are sound; no
// limiter and no budget has ever granted more than it may (G1, R1), nor lost more than the dead had in hand; all breakers let
// calls through again (I3, I9).
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "holdfast/core/random.hpp"
#include "holdfast/ipc/shared_segment.hpp"
#include "holdfast/policy/breaker_table.hpp"
#include "holdfast/policy/compact_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/rate_table.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "fault.hpp"
#include "single_step.hpp"
#include "support/catch.hpp"
#include "support/proof_fact.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
constexpr rate_limiter_options rate{.permits = 100, .per = 1s, .burst = 6};
constexpr retry_budget_options budget{.ratio_permille = 500, .min_per_second = 0, .burst = 8};
constexpr compact_breaker_options breaker{.rules = {.consecutive_failures = 2,
                                                    .min_calls = 2,
                                                    .window = 1s,
                                                    .probes = 1,
                                                    .probe_lease = 100ms,
                                                    .open_base = 50ms,
                                                    .open_max = 200ms},
                                          .keep = 1s};
constexpr breaker_table_options breakers{.breaker = breaker};
constexpr rate_table_options rates{.each = rate, .overflow = rate};

// What the processes tell each other of what they did; a type of a user's own in the segment.
struct alignas(cache_line_size) notes {
  static constexpr shared_layout shared{"fault.notes", 1};
  atomic<std::uint64_t> calls;          // a clock
  atomic<std::uint64_t> asked;          // permits, before
  atomic<std::uint64_t> granted;        // permits, after
  atomic<std::uint64_t> keyed_asked;    // permits of key 1, before
  atomic<std::uint64_t> keyed_granted;  // permits of key 1, after
  atomic<std::uint64_t> wanted;         // tokens, before
  atomic<std::uint64_t> taken;          // tokens, after
  atomic<std::uint64_t> deposited;      // half tokens, before
  atomic<std::uint64_t> given;          // tokens back, before
};
using common = shared_segment<notes, rate_limiter, retry_budget, compact_breaker_options, compact_breaker,
                              shared_breaker_table<16>, shared_rate_table<8>>;

void add(atomic<std::uint64_t>& to, std::uint64_t n = 1) {
  to.fetch_add(n, mo::relaxed);  // counter:
}
std::uint64_t of(const atomic<std::uint64_t>& from) {
  return from.load(mo::relaxed);  // counter:
}

struct name_of_own {
  name_of_own() : text("/holdfast_fault_" + std::to_string(::getpid())) { remove(); }
  name_of_own(const name_of_own&) = delete;
  name_of_own& operator=(const name_of_own&) = delete;
  ~name_of_own() { remove(); }
  void remove() const { ::shm_unlink(text.c_str()); }
  const std::string text;
};

outcome<common> get(const name_of_own& name, duration patience = 5s) {
  return common::open_or_create(name.text, {.patience = patience}, from_nothing{}, rate, budget, breaker,
                                from_nothing{}, breakers, rates);
}

struct tally {
  std::uint64_t rounds = 0;
  std::uint64_t held_up = 0;  // no segment within patience, or one that is not sound
  std::uint64_t twice = 0;    // made more than once
  std::uint64_t minted = 0;   // more granted than may be
  std::uint64_t lost = 0;     // less is left than the dead can have had
  std::uint64_t wedged = 0;   // a breaker whose calls do not get through
};

void judge(const char* title, const tally& t) {
  const auto n = [](std::uint64_t x) { return static_cast<unsigned long long>(x); };
  fault::report(title, "rounds=%llu held_up=%llu twice=%llu minted=%llu lost=%llu wedged=%llu", n(t.rounds),
                n(t.held_up), n(t.twice), n(t.minted), n(t.lost), n(t.wedged));
  CHECK(t.held_up == 0);
  CHECK(t.twice == 0);
  CHECK(t.minted == 0);
  CHECK(t.lost == 0);
  CHECK(t.wedged == 0);
  CHECK(test_support::proof_fact("faults.kill_rounds", t.rounds, "rounds"));
}

template <class Admit, class Report>
bool gets_through(Admit admit, Report report, time_point& now) {
  for (int tries = 0; tries < 4; ++tries) {
    auto a = admit(now);
    if (a) {
      report(std::move(a.ticket), now);
      return true;
    }
    if (a.refusal.retry_after <= 0s || a.refusal.retry_after > 400ms) return false;
    now += a.refusal.retry_after;
  }
  return false;
}

// All that is in it, after a death; `now` is not before any time that the dead had.
void examine(const name_of_own& name, time_point now, tally& t) {
  ++t.rounds;
  auto opened = common::open(name.text, {.patience = 5s});
  if (!opened.ok()) {
    ++t.held_up;
    return;
  }
  common& all = *opened;
  const notes& n = all.get<notes>();

  rate_limiter& limiter = all.get<rate_limiter>();
  std::uint64_t left = 0;
  while (left <= rate.burst && limiter.try_take(now)) ++left;
  const auto earned = static_cast<std::uint64_t>((now - start) / 10ms);
  t.minted += of(n.granted) + left > rate.burst + earned ? 1U : 0U;
  // A whole burst, less what was asked for since `now` began to be a time that everybody had.
  t.lost += now == start && left + of(n.asked) < rate.burst ? 1U : 0U;
  std::uint64_t later = 0;
  while (later <= rate.burst && limiter.try_take(now + 1h)) ++later;
  t.lost += later < rate.burst ? 1U : 0U;
  t.minted += later > rate.burst ? 1U : 0U;

  retry_budget& purse = all.get<retry_budget>();
  std::uint64_t tokens = 0;
  while (tokens <= budget.burst && purse.try_take(now)) ++tokens;
  t.minted += 2 * (of(n.taken) + tokens) > 2 * (budget.burst + of(n.given)) + of(n.deposited) ? 1U : 0U;
  t.lost += tokens > budget.burst ? 1U : 0U;
  t.lost += of(n.deposited) == 0 && of(n.given) == 0 && tokens + of(n.wanted) < budget.burst ? 1U : 0U;

  rate_table keyed(all.get<shared_rate_table<8>>());
  const table_key key_one = keyed.key(std::uint64_t{1});
  std::uint64_t of_key = 0;
  while (of_key <= rate.burst && keyed.try_take(key_one, now)) ++of_key;
  t.minted += of(n.keyed_granted) + of_key > rate.burst + earned ? 1U : 0U;
  t.lost += now == start && of_key + of(n.keyed_asked) < rate.burst ? 1U : 0U;
  // Whoever died in a claim, eight others have room when all is idle; and the one that returns has its burst.
  for (std::uint64_t key = 40; key < 48; ++key)
    t.wedged += keyed.try_take(keyed.key(key), now + 1h).overflowed ? 1U : 0U;
  of_key = 0;
  while (of_key <= rate.burst && keyed.try_take(key_one, now + 2h)) ++of_key;
  t.lost += of_key < rate.burst ? 1U : 0U;
  t.minted += of_key > rate.burst ? 1U : 0U;

  now += 600ms;
  const compact_breaker_rules rules(all.get<compact_breaker_options>());
  compact_breaker& one = all.get<compact_breaker>();
  t.held_up += one.sound() && one.snapshot(rules, now).probes_issued <= 1 ? 0U : 1U;
  t.wedged += gets_through([&](time_point at) { return one.admit(rules, at); },
                           [&](auto&& ticket, time_point at) { one.report(std::move(ticket), verdict::ok, at); }, now)
                  ? 0U
                  : 1U;
  breaker_table table(all.get<shared_breaker_table<16>>());
  for (std::uint64_t key = 0; key < 4; ++key) {
    t.wedged +=
        gets_through([&](time_point at) { return table.admit(table.key(key), at); },
                     [&](auto&& ticket, time_point at) { table.report(std::move(ticket), verdict::ok, at); }, now)
            ? 0U
            : 1U;
  }
}

void die() {
  ::kill(::getpid(), SIGKILL);
}

// One call of each, from within a process of its own.
enum class call {
  take,
  admit_and_drop,
  reserve_and_give_back,
  take_key,
  take_other_key,
  spend,
  give_back,
  deposit,
  fail_one,
  fail_key
};

void make(common& all, call what, time_point now) {
  notes& n = all.get<notes>();
  switch (what) {
    case call::take:
      add(n.asked);
      if (all.get<rate_limiter>().try_take(now)) add(n.granted);
      break;
    case call::admit_and_drop: {
      add(n.asked);
      static_cast<void>(all.get<rate_limiter>().admit(now));
      break;
    }
    case call::reserve_and_give_back: {
      add(n.asked, 2);
      auto held = all.get<rate_limiter>().reserve(now, 0s, 2);
      all.get<rate_limiter>().give_back(held);
      break;
    }
    case call::take_key: {
      rate_table table(all.get<shared_rate_table<8>>());
      add(n.keyed_asked);
      const auto got = table.try_take(table.key(std::uint64_t{1}), now);
      if (got && !got.overflowed) add(n.keyed_granted);
      break;
    }
    case call::take_other_key: {
      rate_table table(all.get<shared_rate_table<8>>());
      static_cast<void>(table.try_take(table.key(20 + of(n.calls) % 12), now));
      break;
    }
    case call::spend:
      add(n.wanted);
      if (all.get<retry_budget>().try_take(now)) add(n.taken);
      break;
    case call::give_back:
      add(n.wanted);
      if (all.get<retry_budget>().try_take(now)) {
        add(n.taken);
        add(n.given);
        all.get<retry_budget>().give_back(now);
      }
      break;
    case call::deposit:
      add(n.deposited);
      all.get<retry_budget>().on_first_attempt(now);
      break;
    case call::fail_one: {
      const compact_breaker_rules rules(all.get<compact_breaker_options>());
      auto a = all.get<compact_breaker>().admit(rules, now);
      if (a) all.get<compact_breaker>().report(std::move(a.ticket), verdict::transient, now);
      break;
    }
    case call::fail_key: {
      breaker_table table(all.get<shared_breaker_table<16>>());
      auto a = table.admit(table.key(std::uint64_t{1}), now);
      if (a) table.report(std::move(a.ticket), verdict::transient, now);
      break;
    }
  }
}
constexpr int calls = 10;

}  // namespace

TEST_CASE("S3: a process is killed at each instruction of making a segment, and the next one makes it", "[fault]") {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const name_of_own name;
  const std::uint64_t stride = fault::long_run() ? 1 : 67;
  std::uint64_t k = 1;
  for (bool lived = false; !lived; k += stride) {
    name.remove();
    fault::child victim([&] {
      fault::single_step::at(k, &die, [&] { static_cast<void>(get(name)); });
      return 0;
    });
    REQUIRE(victim.started());
    lived = victim.wait(20s) == 0;
    // Nobody has to wait for the dead.
    const auto next = get(name, 0s);
    t.held_up += next.ok() ? 0U : 1U;
    t.twice += lived && next.ok() && next->made() ? 1U : 0U;
    examine(name, start, t);
  }
  CHECK(k > 1000);
  judge("kill_segment_maker_stepwise", t);
}

TEST_CASE("S4: of processes that make a segment at once, some of them killed, one makes it", "[fault]") {
  struct result {
    atomic<std::uint64_t> begun{0};
    atomic<std::uint64_t> made{0};
    atomic<std::uint64_t> failed{0};
  };
  tally t;
  const name_of_own name;
  const int rounds = fault::rounds(150, 5'000);
  for (int round = 0; round < rounds; ++round) {
    name.remove();
    fault::shared<result> r;
    const auto body = [&] {
      add(r->begun);
      while (of(r->begun) < 3) ::sched_yield();
      const auto got = get(name);
      if (!got.ok()) add(r->failed);
      if (got.ok() && got->made()) add(r->made);
      return 0;
    };
    fault::child first(body);
    fault::child second(body);
    fault::child third(body);
    REQUIRE((first.started() && second.started() && third.started()));
    REQUIRE(fault::within(10s, [&] { return of(r->begun) == 3; }));
    for (std::uint64_t spin = splitmix64_mix(static_cast<std::uint64_t>(round)) % 20'000; spin > 0; --spin) cpu_relax();
    first.kill();
    t.held_up += second.wait(20s) == 0 ? 0U : 1U;
    t.held_up += third.wait(20s) == 0 ? 0U : 1U;
    t.held_up += of(r->failed);
    t.twice += of(r->made) > 1 ? 1U : 0U;
    examine(name, start, t);
  }
  judge("kill_segment_makers", t);
}

namespace {

// What a signal handler at some instruction of another call does, and what came of it.
const name_of_own* interrupted = nullptr;
bool inner_made = false;

void make_meanwhile() {
  const auto got = get(*interrupted, 0s);
  inner_made = got.ok() && got->made();
}

}  // namespace

TEST_CASE("S4: another makes the segment at each instruction of who makes it, and one of the two has made it",
          "[fault]") {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const name_of_own name;
  interrupted = &name;
  std::uint64_t by_other = 0;
  for (const bool left_unfinished : {false, true}) {
    bool over = false;
    // What two could both believe, they believe early; to come to a late instruction takes as many traps.
    for (std::uint64_t k = 1; !over; k += fault::long_run() ? 1 : k / 32 + 1) {
      name.remove();
      if (left_unfinished) {
        const int file = ::shm_open(name.text.c_str(), O_RDWR | O_CREAT, 0600);
        const std::uint64_t making = shared_segment_header::making;
        REQUIRE(::pwrite(file, &making, sizeof making, 0) == sizeof making);
        ::close(file);
      }
      inner_made = false;
      bool made = false;
      bool good = false;
      over = fault::single_step::at(k, &make_meanwhile, [&] {
               const auto got = get(name);
               good = got.ok();
               made = good && got->made();
             }) < k;
      t.held_up += good ? 0U : 1U;
      t.twice += made && inner_made ? 1U : 0U;
      t.held_up += made || inner_made ? 0U : 1U;
      by_other += inner_made ? 1U : 0U;
      if (k % 11 == 1) examine(name, start, t);
    }
  }
  CHECK(by_other > 10);
  judge("make_segment_meanwhile", t);
}

TEST_CASE("S6, G1, R1, I9: a process is killed at each instruction of a call to each object of a segment", "[fault]") {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const name_of_own name;
  const std::uint64_t stride = fault::long_run() ? 1 : 11;
  for (int what = 0; what < calls; ++what) {
    CAPTURE(what);
    std::uint64_t k = 1;
    for (bool lived = false; !lived; k += stride) {
      name.remove();
      {
        auto made = get(name);
        REQUIRE(made.ok());
        // Half of what there is has gone, so that there is room for what is given back.
        for (int i = 0; i < 3; ++i) make(*made, call::take, start);
        for (int i = 0; i < 4; ++i) make(*made, call::spend, start);
        make(*made, call::fail_one, start);
        make(*made, call::fail_key, start);
      }
      fault::child victim([&] {
        auto mine = common::open(name.text);
        if (!mine.ok()) return 1;
        fault::single_step::at(k, &die, [&] { make(*mine, static_cast<call>(what), start); });
        return 0;
      });
      REQUIRE(victim.started());
      lived = victim.wait(20s) == 0;
      examine(name, start, t);
    }
    CHECK(k > 10);
  }
  judge("kill_segment_stepwise", t);
}

TEST_CASE("S6, G1, R1, I9: processes are killed at random moments of traffic through a segment", "[fault]") {
  tally t;
  const name_of_own name;
  const int rounds = fault::rounds(100, 3'000);
  for (int round = 0; round < rounds; ++round) {
    name.remove();
    const auto seed = static_cast<std::uint64_t>(round);
    const auto traffic = [&](std::uint64_t number) {
      auto mine = get(name);
      if (!mine.ok()) return 1;
      splitmix64 random(number);
      for (;;) {
        notes& n = mine->get<notes>();
        add(n.calls);
        const time_point now = start + of(n.calls) * 1ms;
        make(*mine, static_cast<call>(uniform_up_to(random, calls - 1)), now);
        // And now and then by another mapping.
        if (uniform_up_to(random, 255) == 0) {
          auto again = get(name);
          if (again.ok()) *mine = std::move(again).value();
        }
      }
      return 0;
    };
    fault::child first([&] { return traffic(2 * seed); });
    fault::child second([&] { return traffic(2 * seed + 1); });
    REQUIRE(first.started());
    REQUIRE(second.started());
    auto mine = get(name);
    REQUIRE(mine.ok());
    const notes& n = mine->get<notes>();
    const std::uint64_t until = 20 + splitmix64_mix(seed) % 3'000;
    t.wedged += fault::within(10s, [&] { return of(n.calls) >= until; }) ? 0U : 1U;
    first.kill();
    const std::uint64_t then = of(n.calls);
    t.wedged += fault::within(10s, [&] { return of(n.calls) > then + 100; }) ? 0U : 1U;
    second.kill();
    examine(name, start + of(n.calls) * 1ms, t);
  }
  judge("kill_segment_random", t);
}
