// SPDX-License-Identifier: MIT
// T1, T2, T3, T5 under threads: more keys than places, calls that outlive their places, dead keys that open beside healthy ones,
// keys that are forgotten and isolated, on one virtual clock that jumps.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/breaker_table.hpp"
#include "holdfast/time/clock.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t threads = 4;
constexpr int calls_a_thread = 60'000;
constexpr std::uint64_t keys = 48;
constexpr std::uint64_t dead_from = 40;  // these fail always; the others never do

struct world {
  std::unique_ptr<breaker_table_memory<16>> memory = std::make_unique<breaker_table_memory<16>>();
  breaker_table table{*memory,
                      {.breaker = {.rules = {.consecutive_failures = 2,
                                             .failure_permille = 500,
                                             .min_calls = 2,
                                             .window = 100ms,
                                             .probes = 1,
                                             .probe_lease = 20ms,
                                             .open_base = 4ms,
                                             .open_max = 30ms,
                                             .healthy_decay = 20ms},
                                   .keep = 100ms},
                       .cool_down = 1s,
                       .secret = {5, 6}}};
  manual_clock clock{time_point(1000s)};
  atomic<std::uint64_t> wrong{0};  // a healthy key was refused by a breaker of its own, or opened one
  atomic<std::uint64_t> stale{0};
  atomic<std::uint64_t> overflowed{0};
  atomic<std::uint64_t> told{0};
};

void run(world& w, std::uint64_t seed) {
  struct call {
    std::uint64_t key;
    bool overflowed;
    breaker_table::permit ticket;
  };
  splitmix64 random(seed);
  const auto up_to = [&](std::uint64_t n) { return uniform_up_to(random, n); };
  std::vector<call> out;
  for (int i = 0; i < calls_a_thread; ++i) {
    if (up_to(3) == 0) w.clock.advance(duration(static_cast<std::int64_t>(up_to(1'000'000))));
    if (up_to(255) == 0) w.clock.advance(duration(static_cast<std::int64_t>(up_to(150'000'000))));
    const time_point now = w.clock.now();
    const std::uint64_t n = up_to(keys - 1);
    const breaker_key key = w.table.key(n);
    if (const std::uint64_t by_hand = up_to(511); by_hand == 0) {
      w.table.forget(key);
    } else if (by_hand == 1 && n >= dead_from) {
      static_cast<void>(w.table.isolate(key, now));
      static_cast<void>(w.table.release(key, now));
    }
    auto a = w.table.admit(key, now);
    if (a.overflowed) w.overflowed.fetch_add(1, mo::relaxed);                     // counter:
    if (a.tell) w.told.fetch_add(1, mo::relaxed);                                 // counter:
    if (!a && !a.overflowed && n < dead_from) w.wrong.fetch_add(1, mo::relaxed);  // counter:
    if (a) out.push_back({n, a.overflowed, std::move(a.ticket)});
    if (out.size() < 8 && !(out.size() > 0 && up_to(3) == 0)) continue;
    std::swap(out[up_to(out.size() - 1)], out.back());
    call ended = std::move(out.back());
    out.pop_back();
    if (up_to(15) == 0) continue;  // abandoned
    const auto result =
        w.table.report(std::move(ended.ticket), ended.key >= dead_from ? verdict::transient : verdict::ok, now);
    if (result.dropped_stale) w.stale.fetch_add(1, mo::relaxed);  // counter:
    if (result.transition.to == breaker_state::open && ended.key < dead_from && !ended.overflowed)
      w.wrong.fetch_add(1, mo::relaxed);  // counter:
  }
}

}  // namespace

TEST_CASE("T1, T2, T3, T5 hold between threads", "[breaker_table][stress]") {
  world w;
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t) all.emplace_back([&w, t] { run(w, 100 + t); });
  for (auto& t : all) t.join();
  CHECK(w.wrong.load(mo::relaxed) == 0);  // counter: joined
  const auto totals = w.table.totals();
  CHECK(totals.evicted > 100);
  CHECK(totals.forgotten > 100);
  CHECK(totals.opens > 100);
  CHECK(totals.overflowed == w.overflowed.load(mo::relaxed));  // counter: joined
  CHECK(w.stale.load(mo::relaxed) > 0);                        // counter: joined
  CHECK(w.told.load(mo::relaxed) > 0);                         // counter: joined
  const auto now = w.clock.now();
  CHECK(w.told.load(mo::relaxed) <= static_cast<std::uint64_t>((now.time_since_epoch() - 1000s) / 1s) + 1);  // counter:
  std::multiset<std::uint64_t> ids;
  w.table.visit(now, [&](const breaker_table::entry& e) { ids.insert(e.id); });
  CHECK(std::set<std::uint64_t>(ids.begin(), ids.end()).size() == ids.size());
  CHECK(totals.entries == ids.size());
  CHECK(ids.size() > 8);
}
