// SPDX-License-Identifier: MIT
// Herds: of many threads that want one key one fetches, in each round; keys that share a set of flights never have two leaders;
// leaders die and are replaced, and nobody sleeps on.
#include <array>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/cached_call.hpp"
#include "holdfast/policy/single_flight.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

using numbers = swr_cache<std::uint64_t, std::uint64_t>;
constexpr unsigned herd = 8;

template <class Body>
void with_threads(unsigned count, Body body) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (auto& t : threads) t.join();
}

}  // namespace

TEST_CASE("F1 a herd on a key that nobody has fetched makes one fetch, for each key", "[swr_cache]") {
  constexpr std::uint64_t keys = 400;
  numbers cache({.capacity = 4'096, .fresh_for = 1h, .flights = 256, .lease = 1h});
  const steady_clock clock;
  std::array<atomic<std::uint32_t>, keys> fetches{};
  atomic<std::uint32_t> wrong{0};
  with_threads(herd, [&](unsigned) {
    for (std::uint64_t key = 0; key < keys; ++key) {
      const auto got = get_or_fetch(cache, key, {}, clock, [&](const call_context&) -> outcome<std::uint64_t> {
        fetches[key].fetch_add(1, mo::relaxed);
        std::this_thread::yield();
        return key * 10;
      });
      if (!got.result.ok() || got.result.value() != key * 10) wrong.fetch_add(1, mo::relaxed);
    }
  });
  CHECK(wrong.load(mo::relaxed) == 0);
  for (const auto& f : fetches) CHECK(f.load(mo::relaxed) == 1);
  CHECK(cache.flights().busy() == 0);
}

TEST_CASE("F3 a herd on a key that fails makes one call, and all have its error", "[swr_cache]") {
  constexpr std::uint64_t keys = 200;
  numbers cache({.failures = 4'096, .negative_for = 1h, .flights = 256, .lease = 1h});
  const steady_clock clock;
  const error not_found(http_error(404), verdict::permanent);
  std::array<atomic<std::uint32_t>, keys> fetches{};
  atomic<std::uint32_t> wrong{0};
  with_threads(herd, [&](unsigned) {
    for (std::uint64_t key = 0; key < keys; ++key) {
      const auto got = get_or_fetch(cache, key, {}, clock, [&](const call_context&) -> outcome<std::uint64_t> {
        fetches[key].fetch_add(1, mo::relaxed);
        std::this_thread::yield();
        return not_found;
      });
      if (got.result.ok() || got.result.error() != not_found) wrong.fetch_add(1, mo::relaxed);
    }
  });
  CHECK(wrong.load(mo::relaxed) == 0);
  for (const auto& f : fetches) CHECK(f.load(mo::relaxed) == 1);
}

TEST_CASE("F1 keys that crowd one set of flights never have two leaders at once", "[swr_cache]") {
  constexpr std::uint64_t keys = 12;  // for eight places
  single_flight flights({.flights = 8, .lease = 1h});
  std::array<atomic<std::int32_t>, keys> leading{};
  atomic<std::uint32_t> twice{0};
  atomic<std::uint32_t> lost{0};
  atomic<std::uint32_t> led{0};
  const time_point now = steady_clock::now();
  with_threads(4, [&](unsigned self) {
    splitmix64 bits(self);
    for (int i = 0; i < 20'000; ++i) {
      const std::uint64_t key = uniform_up_to(bits, keys - 1);
      auto joined = flights.join(key, now);
      if (!joined.mine) continue;
      if (leading[key].fetch_add(1, mo::relaxed) != 0) twice.fetch_add(1, mo::relaxed);
      if (i % 64 == 0) std::this_thread::yield();
      leading[key].fetch_sub(1, mo::relaxed);
      if (!joined.mine.end()) lost.fetch_add(1, mo::relaxed);
      led.fetch_add(1, mo::relaxed);
    }
  });
  CHECK(twice.load(mo::relaxed) == 0);
  CHECK(lost.load(mo::relaxed) == 0);
  CHECK(led.load(mo::relaxed) > 0);
}

TEST_CASE("F1 F3 leaders die: one follower takes over each time, with one fetch a lease, and all get an answer",
          "[swr_cache]") {
  constexpr std::uint64_t keys = 20;
  constexpr duration lease = 10ms;
  numbers cache({.capacity = 256, .fresh_for = 1h, .flights = 256, .lease = lease});
  const steady_clock clock;
  std::array<atomic<std::uint32_t>, keys> attempts{};
  std::array<atomic<std::int64_t>, keys> last_begun{};
  std::array<numbers::lead, keys> dead;
  atomic<std::uint32_t> too_soon{0};
  atomic<std::uint32_t> wrong{0};
  with_threads(herd, [&](unsigned) {
    for (std::uint64_t key = 0; key < keys; ++key) {
      for (;;) {
        auto asked = cache.ask(key, clock.now());
        if (asked.found.has_value()) {
          if (asked.found.value != key) wrong.fetch_add(1, mo::relaxed);
          break;
        }
        if (asked.mine) {
          // The first to lead never comes back.
          const std::int64_t begun = asked.mine.flight.begun().time_since_epoch().count();
          const std::int64_t before = last_begun[key].exchange(begun, mo::relaxed);
          if (before != 0 && begun - before < lease.count()) too_soon.fetch_add(1, mo::relaxed);
          if (attempts[key].fetch_add(1, mo::relaxed) == 0) {
            dead[key] = std::move(asked.mine);
          } else {
            static_cast<void>(cache.publish(std::move(asked.mine), key, clock.now()));
          }
        } else if (asked.other) {
          static_cast<void>(asked.other.wait(deadline::never()));
        }
      }
    }
  });
  CHECK(wrong.load(mo::relaxed) == 0);
  CHECK(too_soon.load(mo::relaxed) == 0);
  for (const auto& a : attempts) CHECK(a.load(mo::relaxed) >= 2);
  for (auto& d : dead) CHECK_FALSE(d.flight.end());
}

TEST_CASE("what was fetched before a key was forgotten does not come back", "[swr_cache]") {
  numbers cache({.capacity = 64, .fresh_for = 1h, .flights = 64, .lease = 1h});
  const steady_clock clock;
  atomic<std::uint64_t> source{0};
  atomic<std::uint32_t> writing{1};
  atomic<std::uint32_t> outdated{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (writing.load(mo::acquire) != 0) {
        static_cast<void>(get_or_fetch(cache, 7, {}, clock, [&](const call_context&) -> outcome<std::uint64_t> {
          const std::uint64_t seen = source.load(mo::acquire);
          std::this_thread::yield();
          return seen;
        }));
      }
    });
  }
  for (std::uint64_t version = 1; version <= 2'000; ++version) {
    source.store(version, mo::release);
    cache.forget(7);
    std::this_thread::yield();
  }
  writing.store(0, mo::release);
  for (auto& t : readers) t.join();
  // All publishes have returned: what is kept is not from before the last change.
  const auto kept = cache.look(7, clock.now());
  if (kept.has_value() && kept.value != 2'000) outdated.fetch_add(1, mo::relaxed);
  CHECK(outdated.load(mo::relaxed) == 0);
}
