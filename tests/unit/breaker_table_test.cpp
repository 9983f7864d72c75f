// SPDX-License-Identifier: MIT
#include "holdfast/policy/breaker_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

using state = breaker_state;

constexpr time_point start{1000s};
constexpr breaker_table_options usual{.breaker = {.rules = {.failure_permille = 500,
                                                            .min_calls = 4,
                                                            .window = 10s,
                                                            .probes = 1,
                                                            .probe_lease = 5s,
                                                            .open_base = 1s,
                                                            .open_max = 60s,
                                                            .jitter_permille = 0},
                                                  .keep = 30s},
                                      .cool_down = 60s,
                                      .secret = {11, 22}};

template <std::size_t Slots>
struct held_table {
  explicit held_table(const breaker_table_options& o = usual)
      : memory(std::make_unique<breaker_table_memory<Slots>>()), table(*memory, o) {}
  std::unique_ptr<breaker_table_memory<Slots>> memory;
  breaker_table table;

  breaker_table* operator->() { return &table; }
  breaker_key key(std::uint64_t n) const { return table.key(n); }
  breaker_table::report_result call(breaker_key key, verdict v, time_point now) {
    auto a = table.admit(key, now);
    REQUIRE(a);
    return table.report(std::move(a.ticket), v, now);
  }
  void open(breaker_key key, time_point now) {
    do call(key, verdict::transient, now);
    while (table.look(key, now)->state == state::closed);
    REQUIRE(table.look(key, now)->state == state::open);
  }
  state of(breaker_key key, time_point now) const { return table.look(key, now)->state; }
};

}  // namespace

TEST_CASE("each key has a breaker of its own, by text or by number", "[breaker_table]") {
  held_table<64> t;
  const auto bad = t->key("db-1.example.org:5432");
  const auto good = t->key("db-2.example.org:5432");
  CHECK_FALSE(t->look(bad, start).has_value());
  t.open(bad, start);
  CHECK(t->admit("db-1.example.org:5432", start).refusal.code == errc::breaker_open);
  CHECK(t->admit("db-2.example.org:5432", start));
  CHECK(t.of(good, start) == state::closed);
  CHECK(t->admit(t.key(7), start));
  CHECK(t->totals().entries == 3);
  CHECK(t->totals().opens == 1);
  CHECK(t->totals().slots == 64);
}

TEST_CASE("a key's breaker opens, is probed and closes, and its transitions are told", "[breaker_table]") {
  held_table<64> t;
  const auto key = t.key(1);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(t.call(key, verdict::timeout, start).transition);
  CHECK(t.call(key, verdict::timeout, start).transition.to == state::open);
  const auto refused = t->admit(key, start);
  CHECK_FALSE(refused.overflowed);
  const auto later = start + refused.refusal.retry_after;
  auto probe = t->admit(key, later);
  CHECK(probe.transition.cause == breaker_cause::open_time_over);
  CHECK(probe.ticket.is_probe());
  CHECK(t->admit(key, later).refusal.code == errc::probe_quota);
  CHECK(t->report(std::move(probe.ticket), verdict::ok, later).transition.cause == breaker_cause::probes_passed);
  CHECK(t->totals().closes == 1);
}

TEST_CASE("T1: of threads that ask for new keys at once each key gets one breaker", "[breaker_table]") {
  constexpr std::uint32_t threads = 4;
  constexpr std::uint64_t keys = 64;
  for (int round = 0; round < 50; ++round) {
    held_table<256> t;
    std::vector<std::thread> all;
    for (std::uint32_t n = 0; n < threads; ++n) {
      all.emplace_back([&] {
        for (std::uint64_t k = 0; k < keys; ++k) {
          auto a = t->admit(t.key(k), start);
          if (a) t->report(std::move(a.ticket), verdict::ok, start);
        }
      });
    }
    for (auto& thread : all) thread.join();
    std::multiset<std::uint64_t> ids;
    t->visit(start, [&](const breaker_table::entry& e) {
      ids.insert(e.id);
      if (e.breaker.window_ok != threads) FAIL("a result was counted elsewhere");
    });
    REQUIRE(ids.size() == keys);
    REQUIRE(std::set<std::uint64_t>(ids.begin(), ids.end()).size() == keys);
    REQUIRE(t->totals().entries == keys);
    REQUIRE(t->totals().overflowed == 0);
  }
}

// ---- what happened to the users of other registries of breakers

TEST_CASE("T2: OmniRoute #4114: what is open, half-open, forced, failing or in use is never evicted",
          "[breaker_table]") {
  held_table<8> t;
  auto now = start;
  t.open(t.key(1), now);
  t->isolate(t.key(2), now);
  t->force_close(t.key(3), now);
  t->metrics_only(t.key(4), now);
  t.open(t.key(5), now);
  auto probe = t->admit(t.key(5), now + 2s);
  CHECK(t.of(t.key(5), now) == state::half_open);
  // Opened once and closed again, by no success since: its level is not forgotten.
  t.open(t.key(6), now);
  t.call(t.key(6), verdict::ok, now + 2s);
  now += 24h;
  const auto many = [&] {
    for (std::uint64_t k = 100; k < 400; ++k) static_cast<void>(t->admit(t.key(k), now));
  };
  many();
  CHECK(t.of(t.key(1), now) == state::open);
  CHECK(t.of(t.key(2), now) == state::forced_open);
  CHECK(t.of(t.key(3), now) == state::forced_closed);
  CHECK(t.of(t.key(4), now) == state::metrics_only);
  CHECK(t.of(t.key(5), now) == state::half_open);
  CHECK(t->look(t.key(6), now)->level == 1);
  // In use: a success a while ago, a failure, or a call that is out.
  now += 1h;
  t.call(t.key(200), verdict::ok, now);
  auto out = t->admit(t.key(201), now);
  CHECK_FALSE(out.overflowed);
  now += 29s;
  many();
  CHECK(t->look(t.key(200), now).has_value());
  CHECK(t->look(t.key(201), now).has_value());
  CHECK_FALSE(t->report(std::move(out.ticket), verdict::transient, now).dropped_stale);
  CHECK(t->look(t.key(201), now)->window_failed == 1);
}

TEST_CASE(
    "T2: resilience4j #650 and #2243, vertx #58: what nobody uses any more makes room, whatever its past in the window",
    "[breaker_table]") {
  held_table<8> t;
  auto now = start;
  for (std::uint64_t k = 0; k < 1000; ++k, now += 40s) {
    const auto key = t.key(k);
    t.call(key, verdict::ok, now);
    t.call(key, verdict::transient, now);  // leaves a mark in the word
    CHECK_FALSE(t->admit(key, now).overflowed);
  }
  CHECK(t->totals().overflowed == 0);
  CHECK(t->totals().evicted >= 1000 - 8);
  CHECK(t->totals().entries <= 8);
}

TEST_CASE("T2: to be evicted is as good as to be kept: a row of failures is gone either way", "[breaker_table]") {
  auto o = usual;
  o.breaker.rules.failure_permille = 0;
  o.breaker.rules.consecutive_failures = 4;
  for (const bool evicted : {false, true}) {
    held_table<1> t(o);
    for (int i = 0; i < 3; ++i) t.call(t.key(1), verdict::transient, start);
    auto now = start + 100s;
    if (evicted) {
      static_cast<void>(t->admit(t.key(2), now));
      CHECK_FALSE(t->look(t.key(1), now).has_value());
      now += 100s;
    }
    for (int i = 0; i < 3; ++i) CHECK_FALSE(t.call(t.key(1), verdict::transient, now).transition);
    CHECK(t->look(t.key(1), now)->failures_in_row == 3);
    CHECK(t.call(t.key(1), verdict::transient, now).transition.to == state::open);
  }
}

TEST_CASE("T3: fedify #916: a late result of an evicted key touches nothing of the key that has its place",
          "[breaker_table]") {
  for (const verdict v : {verdict::ok, verdict::transient, verdict::cancelled}) {
    auto o = usual;
    o.breaker.rules.consecutive_failures = 1;
    held_table<1> t(o);
    auto late = t->admit(t.key(1), start);
    const auto now = start + 100s;
    CHECK_FALSE(t->admit(t.key(2), now).overflowed);
    CHECK(t->report(std::move(late.ticket), v, now).dropped_stale);
    const auto other = t->look(t.key(2), now);
    CHECK(other->state == state::closed);
    CHECK(other->window_ok + other->window_failed == 0);
  }
}

TEST_CASE("T3: a probe of a forgotten key takes and gives back nothing of its successor's", "[breaker_table]") {
  held_table<1> t;
  t.open(t.key(1), start);
  auto probe = t->admit(t.key(1), start + 2s);
  CHECK(probe.ticket.is_probe());
  CHECK(t->forget(t.key(1)));
  CHECK_FALSE(t->forget(t.key(1)));
  t.open(t.key(2), start + 2s);
  const auto other = t->admit(t.key(2), start + 4s);
  CHECK(other.ticket.is_probe());
  probe.ticket = {};
  CHECK(t->look(t.key(2), start + 4s)->probes_issued == 1);
  CHECK(t->totals().forgotten == 1);
}

TEST_CASE("lagom #3304: a key that comes back after it was evicted or forgotten begins closed", "[breaker_table]") {
  held_table<1> t;
  t.open(t.key(1), start);
  CHECK(t->forget(t.key(1)));
  CHECK(t->admit(t.key(1), start));
  CHECK(t.of(t.key(1), start) == state::closed);
  CHECK(t->look(t.key(1), start)->level == 0);
}

TEST_CASE("T4: keys that all want one set get its eight slots and no more, and no other key notices",
          "[breaker_table]") {
  // As one would choose them who knows the secret and the way in which a key's four sets follow from its hash.
  constexpr std::uint64_t sets = 16;
  held_table<sets * breaker_table::set_size> t;
  const auto wants_the_first = [](std::uint64_t hash) {
    for (std::uint64_t way = 1; way < breaker_table::ways; ++way) {
      if (splitmix64_mix(hash + way) >= ~std::uint64_t{0} / sets) return false;
    }
    return hash < ~std::uint64_t{0} / sets;
  };
  std::vector<breaker_key> hostile;
  for (std::uint64_t hash = 1; hostile.size() < 100; ++hash) {
    if (wants_the_first(hash)) hostile.push_back({hash});
  }
  std::size_t placed = 0;
  for (const breaker_key key : hostile) placed += t->admit(key, start).overflowed ? 0U : 1U;
  CHECK(placed == breaker_table::set_size);
  for (std::uint64_t k = 0; k < 60; ++k) CHECK_FALSE(t->admit(t.key(k), start).overflowed);
  CHECK(t->totals().overflowed == hostile.size() - placed);
}

TEST_CASE("T4: continuum #1264: hostile texts spread as others do, for who does not know the secret",
          "[breaker_table]") {
  // Texts that collide under any hash without a secret collide here by chance alone: all of these find room.
  held_table<4096> t;
  for (int i = 0; i < 3000; ++i) {
    std::string text(64, 'a');
    for (int bit = 0; bit < 12; ++bit)
      text[static_cast<std::size_t>(bit) * 5] = static_cast<char>('a' + (i >> bit & 1));
    CHECK_FALSE(t->admit(text, start).overflowed);
  }
  // And another secret spreads them otherwise.
  auto o = usual;
  o.secret = {33, 44};
  held_table<8> other(o);
  CHECK(other->key("a").hash != t->key("a").hash);
  o.secret = {};
  held_table<8> drawn(o);
  held_table<8> again(o);
  CHECK(drawn->key("a").hash != again->key("a").hash);
}

TEST_CASE("T5: without room calls are guarded by a shared breaker, and told of once a cool-down", "[breaker_table]") {
  held_table<1> t;
  auto now = start;
  t.open(t.key(1), now);
  int told = 0;
  std::uint32_t held_back = 0;
  for (int i = 0; i < 100; ++i, now += 1s) {
    const auto a = t->admit(t.key(2 + static_cast<std::uint64_t>(i)), now);
    CHECK(a);
    CHECK(a.overflowed);
    told += a.tell ? 1 : 0;
    held_back += a.held_back;
  }
  CHECK(told == 2);  // in 100 s, at most once in 60
  CHECK(held_back == 60);
  CHECK(t->totals().overflowed == 100);
  for (int i = 0; i < 4; ++i) t.call(t.key(500), verdict::transient, now);
  CHECK(t->overflow(now).state == state::open);
  const auto refused = t->admit(t.key(501), now);
  CHECK(refused.refusal.code == errc::breaker_open);
  CHECK(refused.overflowed);
  CHECK_FALSE(t->isolate(t.key(502), now).placed);
}

TEST_CASE("T6, P7: a hundred thousand keys have each a breaker of their own in 6.4 MB and a tenth", "[breaker_table]") {
  constexpr std::size_t slots = 109'920;
  STATIC_REQUIRE(sizeof(breaker_table_memory<slots>) == 64 * slots + 128);
  STATIC_REQUIRE(sizeof(breaker_table_memory<slots>) <= 6'400'000 / 10 * 11);
  held_table<slots> t;
  int overflowed = 0;
  for (std::uint64_t k = 0; k < 100'000; ++k) {
    const auto a = t->admit(t.key(k), start);
    overflowed += a.overflowed ? 1 : 0;
  }
  CHECK(overflowed <= 50);  // 0.05 %; 20 by this secret
  CHECK(t->totals().entries == 100'000 - static_cast<std::uint64_t>(overflowed));
  for (std::uint64_t k = 0; k < 100'000; ++k) {
    if (!t->look(t.key(k), start).has_value()) --overflowed;
  }
  CHECK(overflowed == 0);
}

TEST_CASE("places that were given up by hand are used again", "[breaker_table]") {
  held_table<8> t;
  for (std::uint64_t k = 0; k < 8; ++k) static_cast<void>(t->admit(t.key(k), start));
  CHECK(t->totals().entries == 8);
  for (std::uint64_t k = 0; k < 8; ++k) t->forget(t.key(k));
  CHECK(t->totals().entries == 0);
  for (std::uint64_t k = 0; k < 8; ++k) CHECK_FALSE(t->admit(t.key(100 + k), start).overflowed);
  CHECK(t->totals().entries == 8);
}

TEST_CASE("T5: minted keys that fail hold a table for ever, until a visit gives them up by what it shows",
          "[breaker_table]") {
  held_table<64> t;
  const auto kept = t.key(7);
  t.call(kept, verdict::ok, start);
  for (std::uint64_t k = 1000; k < 1400; ++k) {
    for (int i = 0; i < 4; ++i) {
      auto a = t->admit(t.key(k), start);
      if (a) t->report(std::move(a.ticket), verdict::transient, start);
    }
  }
  const auto overflowed = [&](std::uint64_t from, time_point now) {
    int n = 0;
    for (std::uint64_t k = from; k < from + 20; ++k) n += t->admit(t.key(k), now).overflowed ? 1 : 0;
    return n;
  };
  const auto now = start + 24h * 365;
  CHECK(t.call(kept, verdict::ok, now).dropped_stale == false);
  CHECK(overflowed(2000, now) == 20);
  std::uint64_t gone = 0;
  t->visit(now, [&](const breaker_table::entry& e) {
    if (e.breaker.state == state::open && t->forget_entry(e.id)) ++gone;
  });
  CHECK(gone == 63);
  CHECK(t->totals().forgotten == gone);
  CHECK(t->totals().entries == 1);
  CHECK(t->look(kept, now)->window_ok == 1);
  CHECK(overflowed(3000, now) == 0);
}

TEST_CASE("an entry is given up by its id, whatever its state, once", "[breaker_table]") {
  held_table<64> t;
  const auto key = t.key(1);
  const auto id = breaker_table::id(key);
  CHECK_FALSE(t->forget_entry(id));
  auto late = t->admit(key, start);
  t.call(t.key(2), verdict::ok, start);
  CHECK(t->forget_entry(id));
  CHECK_FALSE(t->forget_entry(id));
  CHECK_FALSE(t->forget_entry(0));
  CHECK_FALSE(t->look(key, start).has_value());
  CHECK(t->report(std::move(late.ticket), verdict::transient, start).dropped_stale);
  CHECK(t->look(t.key(2), start)->window_ok == 1);
  t->isolate(key, start);
  CHECK(t->forget_entry(id));
  CHECK(t->admit(key, start));
  CHECK(t->totals().forgotten == 2);
}

TEST_CASE("by hand: a key is isolated before it is ever called, released, and says so", "[breaker_table]") {
  held_table<64> t;
  const auto key = t->key("tenant-7");
  const auto step = t->isolate(key, start);
  CHECK(step.placed);
  CHECK(step.transition.to == state::forced_open);
  CHECK(t->admit(key, start).refusal.code == errc::breaker_isolated);
  CHECK_FALSE(t->isolate(key, start).transition);
  CHECK(t->release(key, start, state::half_open).transition.to == state::half_open);
  CHECK_FALSE(t->release(t->key("unknown"), start).placed);
  CHECK_FALSE(t->release(key, start).transition);
  CHECK(t->force_close(key, start).transition.to == state::forced_closed);
  CHECK(t->metrics_only(key, start).transition.to == state::metrics_only);
}

TEST_CASE("a visit meets every key once and knows its breaker", "[breaker_table]") {
  held_table<256> t;
  std::set<std::uint64_t> ids;
  for (std::uint64_t k = 0; k < 100; ++k) {
    t.call(t.key(k), verdict::ok, start);
    ids.insert(breaker_table::id(t.key(k)));
  }
  t.open(t.key(42), start);
  std::multiset<std::uint64_t> met;
  int open = 0;
  t->visit(start, [&](const breaker_table::entry& e) {
    met.insert(e.id);
    if (e.breaker.state != state::open) {
      CHECK(e.breaker.window_ok == 1);
      return;
    }
    ++open;
    CHECK(e.id == breaker_table::id(t.key(42)));
  });
  CHECK(open == 1);
  CHECK(std::set<std::uint64_t>(met.begin(), met.end()) == ids);
  CHECK(met.size() == ids.size());
}

TEST_CASE("two tables over the same slots are one", "[breaker_table]") {
  // As two processes have them.
  held_table<64> one;
  breaker_table two(*one.memory, usual);
  one.open(one.key(1), start);
  CHECK(two.admit(two.key(std::uint64_t{1}), start).refusal.code == errc::breaker_open);
  CHECK(two.totals().opens == 1);
}

TEST_CASE("wrong options of a table are named", "[breaker_table]") {
  CHECK_FALSE(validate(usual));
  auto o = usual;
  o.cool_down = 0ns;
  CHECK(validate(o).field == "cool_down");
  o = usual;
  o.cool_down = 25h;
  CHECK(validate(o).field == "cool_down");
  o = usual;
  o.breaker.keep = 1s;
  CHECK(validate(o).field == "keep");
}

TEST_CASE(
    "T2, T3: random traffic of many more keys than slots does what a map of breakers would do, but for what is told",
    "[breaker_table]") {
  // Each key is healthy or dead for good: no healthy key may ever be refused by a breaker of its own, whoever had its slot.
  held_table<32> t;
  splitmix64 random(3);
  auto now = start;
  std::vector<std::pair<std::uint64_t, breaker_table::permit>> out;
  int refused = 0;
  int stale = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += duration(static_cast<std::int64_t>(uniform_up_to(random, 60'000'000)));
    if (uniform_up_to(random, 2000) == 0) now += 31s;
    const std::uint64_t k = uniform_up_to(random, 7) == 0 ? uniform_up_to(random, 999) : uniform_up_to(random, 39);
    const bool dead = k % 37 == 0;
    auto a = t->admit(t.key(k), now);
    if (!a) {
      if (!a.overflowed) {
        REQUIRE(dead);
        ++refused;
      }
      continue;
    }
    if (a.overflowed) continue;
    out.emplace_back(k, std::move(a.ticket));
    if (out.size() < 8) continue;
    const std::size_t which = uniform_up_to(random, 7);
    const auto result =
        t->report(std::move(out[which].second), out[which].first % 37 == 0 ? verdict::transient : verdict::ok, now);
    stale += result.dropped_stale ? 1 : 0;
    if (result.transition.to == state::open) REQUIRE(out[which].first % 37 == 0);
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(which));
  }
  CHECK(refused > 100);
  CHECK(stale > 0);
  CHECK(t->totals().evicted > 50);
}
