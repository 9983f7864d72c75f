// SPDX-License-Identifier: MIT
// Counters and ticks at the places where they wrap, and callers whose `now` is older than another's.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "fault.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// Random pushes and pops of all kinds against a count of what must be inside.
template <std::size_t Capacity>
std::uint64_t through_wrap(std::uint64_t first, std::uint64_t& wrong) {
  const auto queue = std::make_unique<spsc_queue<std::uint64_t, Capacity>>(first);
  splitmix64 random(first);
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::array<std::uint64_t, 2 * Capacity + 3> some{};
  const auto take = [&](std::uint64_t value) { wrong += value != out++ ? 1U : 0U; };
  while (out < 20 * Capacity) {
    const std::size_t n = 1 + random() % some.size();
    if (random() % 2 == 0) {
      for (std::size_t i = 0; i < n; ++i) some[i] = in + i;
      const std::size_t pushed = queue->try_push(std::span<const std::uint64_t>(some.data(), n));
      in += pushed;
      wrong += pushed < n && in - out < Capacity ? 1U : 0U;  // refused without being full
      const bool one_more = queue->try_push(in);
      in += one_more ? 1U : 0U;
      wrong += !one_more && in - out < Capacity ? 1U : 0U;
      const std::span<std::uint64_t> run = queue->reserve(n);
      for (std::uint64_t& slot : run) slot = in++;
      queue->commit(run.size());
      wrong += run.empty() && in - out < Capacity ? 1U : 0U;
    } else if (random() % 3 == 0) {
      const std::span<std::uint64_t> run = queue->peek(n);
      wrong += run.empty() && in != out ? 1U : 0U;
      for (const std::uint64_t value : run) take(value);
      queue->release(run.size());
    } else if (random() % 2 == 0) {
      const std::size_t popped = queue->try_pop(std::span(some.data(), n));
      for (std::size_t i = 0; i < popped; ++i) take(some[i]);
      wrong += popped < n && in != out ? 1U : 0U;  // refused without being empty
    } else {
      static_cast<void>(queue->consume_all(take));
      wrong += in != out ? 1U : 0U;
    }
    const std::size_t seen = queue->size_approx();  // behind by what the consumer has not told yet
    wrong += seen < in - out || seen > queue->max_size() ? 1U : 0U;
  }
  return out;
}

// As many milliseconds of steady time.
constexpr time_point at_ms(std::uint64_t ms) {
  return time_point(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
}

}  // namespace

TEST_CASE("a queue's positions go over 2^31, 2^32, 2^63 and 2^64", "[fault]") {
  std::uint64_t items = 0;
  std::uint64_t starts = 0;
  std::uint64_t wrong = 0;
  for (const std::uint64_t wrap :
       {std::uint64_t{1} << 31U, std::uint64_t{1} << 32U, std::uint64_t{1} << 63U, std::uint64_t{0}}) {
    for (std::uint64_t before = 0; before < 80; ++before, ++starts) {
      items += through_wrap<1>(wrap - before, wrong);
      items += through_wrap<4>(wrap - before, wrong);
      items += through_wrap<64>(wrap - before, wrong);
    }
  }
  fault::report("wrap_spsc_queue", "starts=%llu items=%llu wrong=%llu", static_cast<unsigned long long>(starts),
                static_cast<unsigned long long>(items), static_cast<unsigned long long>(wrong));
  CHECK(wrong == 0);
}

TEST_CASE("a ring wraps at every offset with every record size", "[fault]") {
  constexpr std::size_t storage = 512;
  std::uint64_t records = 0;
  std::uint64_t wrong = 0;
  std::vector<std::uint64_t> words(storage / 8);
  for (std::size_t offset = 8; offset < storage; offset += 8) {
    for (std::size_t size = 0; size <= storage / 2 - 16; ++size) {
      std::fill(words.begin(), words.end(), ~std::uint64_t{0});  // what an earlier owner of the memory left
      record_ring ring(std::as_writable_bytes(std::span(words)));
      record_ring::record r;
      const auto pass = [&](std::size_t bytes, std::uint32_t tag) {
        std::byte* const out = ring.try_claim(bytes);
        if (out == nullptr) return void(++wrong);
        std::memset(out, static_cast<int>(tag & 0xFFU), bytes);
        ring.commit(bytes, tag);
        bool right = ring.front(r) && r.bytes == bytes && r.tag == tag;
        for (std::size_t i = 0; right && i < bytes; ++i) right = r.data[i] == static_cast<std::byte>(tag & 0xFFU);
        wrong += right ? 0U : 1U;
        if (right) ring.pop(r);
        ring.release();
        wrong += ring.front(r) ? 1U : 0U;
        ++records;
      };
      for (std::size_t at = 8; at <= offset; at += 8) {  // to the offset, by the smallest records
        if (ring.try_claim(0) == nullptr) break;
        ring.commit(0, 0);
        if (ring.front(r)) ring.pop(r);
        ring.release();
      }
      for (std::uint32_t i = 0; i < 6; ++i) pass(size, i + 1);
    }
  }
  fault::report("wrap_record_ring", "records=%llu wrong=%llu", static_cast<unsigned long long>(records),
                static_cast<unsigned long long>(wrong));
  CHECK(wrong == 0);
}

TEST_CASE("a breaker keeps its times over 2^31 ticks, at every tick around it", "[fault]") {
  constexpr std::uint64_t tick = breaker_tick::nanoseconds;
  constexpr std::uint64_t wrap = (std::uint64_t{breaker_tick::mask} + 1) * tick;
  std::uint64_t openings = 0;
  std::uint64_t early = 0;
  std::uint64_t late = 0;
  std::uint64_t not_closed = 0;
  for (std::int64_t before = -20; before <= 1'100; ++before, ++openings) {
    const time_point opened(duration(static_cast<std::int64_t>(wrap) - before * static_cast<std::int64_t>(tick)));
    circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 1s, .jitter_permille = 0});
    auto a = breaker.admit(opened);
    if (!a) continue;
    breaker.report(std::move(a.ticket), verdict::timeout, opened);
    for (duration after = 0ms; after < 1s; after += 37ms) early += breaker.admit(opened + after) ? 1U : 0U;
    auto probe = breaker.admit(opened + 1s + duration(2 * tick));
    late += probe ? 0U : 1U;
    if (!probe) continue;
    breaker.report(std::move(probe.ticket), verdict::ok, opened + 2s);
    not_closed += breaker.state() == breaker_state::closed ? 0U : 1U;
  }
  fault::report("wrap_breaker_tick", "openings=%llu early=%llu late=%llu not_closed=%llu",
                static_cast<unsigned long long>(openings), static_cast<unsigned long long>(early),
                static_cast<unsigned long long>(late), static_cast<unsigned long long>(not_closed));
  CHECK(early == 0);
  CHECK(late == 0);
  CHECK(not_closed == 0);
}

TEST_CASE("a budget earns each millisecond once over 2^38 of them", "[fault]") {
  constexpr std::uint64_t wrap = std::uint64_t{1} << 38U;
  std::uint64_t starts = 0;
  std::uint64_t wrong = 0;
  for (std::uint64_t before = 0; before < 2'000; before += 3, ++starts) {
    retry_budget budget({.ratio_permille = 0, .min_per_second = 10, .burst = 10});
    std::uint64_t now = wrap - before;
    wrong += budget.try_take(at_ms(now - 172'800'000)) ? 0U : 1U;  // in use since two days
    wrong += budget.try_take(at_ms(now), 10) ? 0U : 1U;            // empties the purse, and sets the tick
    // 10 a second: a token each 100 ms, and none between.
    for (int i = 0; i < 20; ++i) {
      wrong += budget.try_take(at_ms(now + 99)) ? 1U : 0U;
      now += 100;
      wrong += budget.try_take(at_ms(now)) ? 0U : 1U;
      wrong += budget.balance_milli(at_ms(now)) != 0 ? 1U : 0U;
    }
  }
  fault::report("wrap_budget_tick", "starts=%llu wrong=%llu", static_cast<unsigned long long>(starts),
                static_cast<unsigned long long>(wrong));
  CHECK(wrong == 0);
}

TEST_CASE("a caller with an older now opens nothing early", "[fault]") {
  splitmix64 random(7);
  std::uint64_t calls = 0;
  std::uint64_t early = 0;
  std::uint64_t too_many_probes = 0;
  const int rounds = fault::rounds(3'000, 300'000);
  for (int round = 0; round < rounds; ++round) {
    // Near the wrap of the ticks as well as anywhere else.
    const time_point opened =
        round % 2 == 0
            ? time_point(duration((std::int64_t{1} << 51U) - static_cast<std::int64_t>(random() % 2'000'000'000)))
            : time_point(duration(static_cast<std::int64_t>(10'000'000'000'000 + random() % (1ULL << 52U))));
    circuit_breaker breaker({.consecutive_failures = 1, .probes = 2, .open_base = 10s, .jitter_permille = 0});
    auto a = breaker.admit(opened);
    if (!a) continue;
    breaker.report(std::move(a.ticket), verdict::timeout, opened);
    const auto lag = [&](duration most) {
      return duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most.count())));
    };
    for (int i = 0; i < 20; ++i, ++calls) early += breaker.admit(opened + lag(9'990ms) - lag(1h)) ? 1U : 0U;
    // Half-open: probes by callers of different times, never more than there are.
    const time_point then = opened + 11s;
    std::vector<circuit_breaker::permit> out;
    for (int i = 0; i < 20; ++i, ++calls) {
      auto p = breaker.admit(then - (out.empty() ? 0ns : lag(1h)));
      if (p) out.push_back(std::move(p.ticket));
    }
    too_many_probes += out.size() > 2 ? 1U : 0U;
  }
  fault::report("older_now_breaker", "calls=%llu early=%llu too_many_probes=%llu",
                static_cast<unsigned long long>(calls), static_cast<unsigned long long>(early),
                static_cast<unsigned long long>(too_many_probes));
  CHECK(early == 0);
  CHECK(too_many_probes == 0);
}

TEST_CASE("a budget earns nothing twice, whatever the order of the times", "[fault]") {
  splitmix64 random(9);
  std::uint64_t takes = 0;
  std::uint64_t over = 0;
  const int rounds = fault::rounds(2'000, 200'000);
  for (int round = 0; round < rounds; ++round) {
    retry_budget budget({.ratio_permille = 100, .min_per_second = 20, .burst = 5});
    const std::uint64_t begun = (std::uint64_t{1} << 38U) - random() % 50'000;
    std::uint64_t latest = begun;
    std::uint64_t first_attempts = 0;
    std::uint64_t granted = 0;
    while (budget.try_take(at_ms(begun))) {
    }
    for (int i = 0; i < 200; ++i, ++takes) {
      latest += random() % 20;
      const time_point now = at_ms(latest - random() % 80'000'000 % (random() % 2 == 0 ? 100 : 80'000'000));
      if (random() % 3 == 0) {
        budget.on_first_attempt(now);
        ++first_attempts;
      }
      granted += budget.try_take(now) ? 1U : 0U;
    }
    // R1, in thousandths; the purse was empty when it began.
    over += granted * 1'000 > 100 * first_attempts + 20 * (latest - begun + 1) ? 1U : 0U;
  }
  fault::report("older_now_budget", "takes=%llu over=%llu", static_cast<unsigned long long>(takes),
                static_cast<unsigned long long>(over));
  CHECK(over == 0);
}

TEST_CASE("a cache's ages are never negative", "[fault]") {
  splitmix64 random(11);
  cache<std::uint64_t, std::uint64_t> c({.capacity = 64, .fresh_for = 1s, .stale_for = 10s});
  std::uint64_t gets = 0;
  std::uint64_t hits = 0;
  std::uint64_t negative = 0;
  std::uint64_t replaced_by_older = 0;
  std::array<std::int64_t, 50> stored{};
  for (int i = 0; i < fault::rounds(200'000, 20'000'000); ++i, ++gets) {
    const std::uint64_t key = random() % stored.size();
    const time_point now = at_ms(1'000'000 + random() % 100'000);
    const auto ms = now.time_since_epoch().count();
    if (random() % 2 == 0) {
      if (c.put(key, static_cast<std::uint64_t>(ms), now) == cache_put::stored) {
        const auto hit = c.get(key, now);
        replaced_by_older += hit.state != cache_state::miss && hit.value != static_cast<std::uint64_t>(ms) ? 1U : 0U;
      }
      continue;
    }
    const auto hit = c.get(key, now);
    if (hit.state == cache_state::miss) continue;
    ++hits;
    const auto age = std::max<std::int64_t>(0, ms - static_cast<std::int64_t>(hit.value));
    negative += hit.age < 0ns || hit.age.count() != age ? 1U : 0U;
  }
  fault::report("older_now_cache", "gets=%llu hits=%llu negative=%llu", static_cast<unsigned long long>(gets),
                static_cast<unsigned long long>(hits), static_cast<unsigned long long>(negative));
  CHECK(negative == 0);
  CHECK(replaced_by_older == 0);
  CHECK(hits > 10'000);
}
