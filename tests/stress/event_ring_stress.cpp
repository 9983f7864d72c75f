// SPDX-License-Identifier: MIT
// V1-V3 of event_ring, L1 of event_listeners, and I5 of circuit_breaker as it is heard of through them.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/exec/call_events.hpp"
#include "holdfast/telemetry/event_listeners.hpp"
#include "holdfast/telemetry/event_ring.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr unsigned publishers = 4;

// Publishes from all of them while this thread calls drain() until all is published, and once more after that.
template <class Publish, class Drain>
void drain_beside(Publish publish, Drain drain) {
  atomic<std::uint32_t> left{publishers};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < publishers; ++t) {
    workers.emplace_back([&, t] {
      publish(t);
      left.fetch_sub(1, mo::release);  // [T1] release, pairs with [T2]: all that it published
    });
  }
  while (left.load(mo::acquire) != 0) {  // [T2] acquire, pairs with [T1]: see there
    drain();
    std::this_thread::yield();
  }
  drain();
  for (auto& w : workers) w.join();
}

}  // namespace

TEST_CASE("V1, V2, V3 four threads publish into a small ring: what is missing was counted, in numbers as in events",
          "[event_ring]") {
  constexpr std::int64_t rounds = 60'000;
  const auto ring = std::make_unique<event_ring<32>>();
  std::array<std::uint64_t, publishers> refused{};
  std::array<std::int64_t, publishers> newest;
  newest.fill(-1);
  std::uint64_t last = 0;
  std::uint64_t taken = 0;
  bool in_order = true;
  drain_beside(
      [&](unsigned t) {
        std::uint64_t mine = 0;
        for (std::int64_t i = 0; i < rounds; ++i) {
          if (!ring->publish({.object = t, .type = event_type::first_of_program, .a = i, .b = ~i})) ++mine;
          if (i % 64 == 0) std::this_thread::yield();
        }
        refused[t] = mine;
      },
      [&] {
        ring->drain([&](const event& e) noexcept {
          in_order = in_order && e.seq > last && e.a > newest[e.object] && e.b == ~e.a;
          last = e.seq;
          newest[e.object] = e.a;
          ++taken;
        });
      });
  std::uint64_t dropped = 0;
  for (const auto mine : refused) dropped += mine;
  CHECK(in_order);
  CHECK(ring->dropped() == dropped);
  CHECK(taken + dropped == std::uint64_t{publishers} * rounds);
  CHECK(taken > 0);
  REQUIRE(ring->publish({}));
  ring->drain([&](const event& e) noexcept { last = e.seq; });
  CHECK(last == taken + dropped + 1);
}

TEST_CASE("I5 every transition of a breaker that four threads use is heard of once, and put in order they are a chain",
          "[event_ring]") {
  // gascity PR #4839: callbacks outside of the lock came out of order, and the last record contradicted the live state for good.
  constexpr int rounds = 4'000;
  using ring_of_test = event_ring<16'384>;
  const auto ring = std::make_unique<ring_of_test>();
  call_events<ring_of_test> events(*ring, {.object = 1, .every = 1h});
  circuit_breaker breaker(
      {.consecutive_failures = 3, .failure_permille = 0, .probes = 1, .open_base = 2ms, .open_max = 2ms});
  const guard g{.breaker = &breaker};
  atomic<std::int64_t> ticks{0};
  std::vector<breaker_transition> heard;
  std::uint16_t newest = 0;
  breaker_state last_known = breaker_state::closed;
  drain_beside(
      [&](unsigned t) {
        splitmix64 bits(t);
        for (int i = 0; i < rounds; ++i) {
          // counter: a clock that all of them move
          const time_point now = time_point(1h) + 1ms * ticks.fetch_add(1, mo::relaxed);
          call_machine machine(g, {}, events);
          if (machine.start(now) != call_step::attempt) continue;
          const bool fails = bits() % 4 != 0;
          static_cast<void>(machine.finish(fails ? verdict::transient : verdict::ok, error(errc::callee_threw), now));
        }
      },
      [&] {
        ring->drain([&](const event& e) noexcept {
          const breaker_transition moved = transition_of(e);
          if (!moved) return;
          heard.push_back(moved);
          if (is_newer(moved.generation, newest)) {
            newest = moved.generation;
            last_known = moved.to;
          }
        });
      });
  CHECK(ring->dropped() == 0);
  CHECK(last_known == breaker.state());
  CHECK(newest == breaker.generation());
  REQUIRE(heard.size() > 100);
  REQUIRE(heard.size() == breaker.generation());
  std::sort(heard.begin(), heard.end(), [](const auto& a, const auto& b) { return a.generation < b.generation; });
  for (std::size_t i = 0; i < heard.size(); ++i) {
    REQUIRE(heard[i].generation == i + 1);
    if (i != 0) REQUIRE(heard[i].from == heard[i - 1].to);
  }
}

TEST_CASE("L1 listeners come and go while events are told, and none is told after it has left", "[event_listeners]") {
  struct listener {
    std::uint64_t heard = 0;  // plain: the handler's until leave() has returned, then its owner's
    bool here = true;
    bool wrong = false;
    void on_event(const event&) noexcept {
      wrong = wrong || !here;
      ++heard;
    }
  };
  constexpr int rounds = 4'000;
  const auto ring = std::make_unique<event_ring<64>>();
  event_listeners<3> listeners;  // fewer places than threads
  std::array<std::uint64_t, publishers> heard{};
  std::array<std::uint64_t, publishers> joined{};
  std::array<bool, publishers> wrong{};
  drain_beside(
      [&](unsigned t) {
        for (int i = 0; i < rounds; ++i) {
          const auto mine = std::make_unique<listener>();
          auto place = listeners.join(*mine);
          joined[t] += place ? 1U : 0U;
          static_cast<void>(ring->publish({.object = t}));
          if (i % 8 == 0) std::this_thread::yield();
          place.leave();
          mine->here = false;
          heard[t] += mine->heard;
          wrong[t] = wrong[t] || mine->wrong;
        }
      },
      [&] { ring->drain(listeners); });
  std::uint64_t all = 0;
  std::uint64_t places = 0;  // of one thread there may have been none, whenever it asked
  for (unsigned t = 0; t < publishers; ++t) {
    CHECK_FALSE(wrong[t]);
    places += joined[t];
    all += heard[t];
  }
  CHECK(places > 0);
  CHECK(all > 0);
  CHECK(listeners.size_approx() == 0);
}
