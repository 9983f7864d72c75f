// SPDX-License-Identifier: MIT
#include "holdfast/queue/event_count.hpp"

#include <chrono>
#include <cstdint>
#include <thread>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/parking.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"
#include "support/sleepers.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::await_sleepers;

namespace {

deadline in(duration time) {
  return deadline::after(steady_clock::now(), time);
}

}  // namespace

TEST_CASE("event_count: a condition that holds already is not waited for", "[event_count]") {
  event_count events;
  int looks = 0;
  CHECK(events.wait(deadline(time_point::min()), [&] { return ++looks == 1; }));
  CHECK(looks == 1);
  CHECK(events.sleepers() == 0);
}

TEST_CASE("event_count: a deadline that has passed means one look", "[event_count]") {
  event_count events;
  int looks = 0;
  CHECK_FALSE(events.wait(in(-1ns), [&] { return ++looks == 2; }));
  CHECK(looks == 1);
}

TEST_CASE("event_count: a wait in vain ends no earlier than its deadline, in a pause, giving way or asleep",
          "[event_count]") {
  for (const before_sleep looks : {sleep_at_once, before_sleep{1'000'000'000U, 0}, before_sleep{0, 1'000'000'000U}}) {
    event_count events(looks);
    const time_point begun = steady_clock::now();
    CHECK_FALSE(events.wait(deadline::after(begun, 2ms), [] { return false; }));
    CHECK(steady_clock::now() - begun >= 2ms);
    CHECK(events.sleepers() == 0);
  }
}

TEST_CASE("looks come to be far apart where the first one finds plenty, and close where it does not", "[event_count]") {
  event_count events;
  constexpr std::uint32_t widest = event_count::widest_spacing;
  const auto found_at = [&](int wanted, bool more) {
    int looks = 0;
    CHECK(events.wait(
        deadline::never(), [&] { return ++looks > wanted; },
        [&](std::uint32_t apart) {
          CHECK(apart == events.spacing());
          return more;
        }));
    CHECK(looks == wanted + 1);
    return events.spacing();
  };
  CHECK(events.spacing() == 1);
  CHECK(found_at(0, true) == 1);  // there before any pause: nothing is learnt
  for (std::uint32_t expected = 2; expected <= widest; expected *= 2) CHECK(found_at(1, true) == expected);
  CHECK(found_at(1, true) == widest);
  CHECK(found_at(0, true) == widest);
  // An answer that is there in time, alone.
  for (std::uint32_t expected = widest / 2; expected >= 1; expected /= 2) CHECK(found_at(1, false) == expected);
  CHECK(found_at(1, false) == 1);
  CHECK(found_at(1, true) == 2);
  CHECK(found_at(1, true) == 4);
  // Plenty, but later: it does not count.
  CHECK(found_at(2, true) == 2);
  CHECK(found_at(30, true) == 1);  // and where the processor was given away
  int looks = 0;
  CHECK(events.wait(deadline::never(), [&] { return ++looks == 2; }));
  CHECK(events.spacing() == 1);  // who does not say what there is does not widen it
}

TEST_CASE("event_count: a notify when nobody sleeps is nothing, and is not kept", "[event_count]") {
  event_count events(sleep_at_once);
  events.notify_one();
  events.notify_all();
  int looks = 0;
  CHECK_FALSE(events.wait(in(1ms), [&] { return ++looks == 1'000; }));
  CHECK(looks < 10);
}

TEST_CASE("event_count: who sleeps is woken when it is told, and not before", "[event_count]") {
  event_count events(sleep_at_once);
  atomic<bool> there{false};
  bool found = false;
  std::thread sleeper([&] { found = events.wait(deadline::never(), [&] { return there.load(mo::acquire); }); });
  await_sleepers(events, 1);
  there.store(true, mo::release);
  events.notify_one();
  sleeper.join();
  CHECK(found);
  CHECK(events.sleepers() == 0);
}

TEST_CASE("event_count: notify(n) has n of them look, notify_all has all of them", "[event_count]") {
  event_count events(sleep_at_once);
  atomic<int> there{0};
  atomic<int> got{0};
  const auto take = [&] {
    int seen = there.load(mo::acquire);
    while (seen > 0) {
      if (there.compare_exchange_weak(seen, seen - 1, mo::acq_rel, mo::acquire)) return true;
    }
    return false;
  };
  std::thread sleepers[4];
  for (std::thread& one : sleepers) {
    one = std::thread([&] {
      if (events.wait(deadline::never(), take)) got.fetch_add(1, mo::relaxed);
    });
  }
  await_sleepers(events, 4);
  there.fetch_add(2, mo::release);
  events.notify(2);
  await_sleepers(events, 2);
  there.fetch_add(2, mo::release);
  events.notify_all();
  for (std::thread& one : sleepers) one.join();
  CHECK(got.load(mo::relaxed) == 4);
  CHECK(events.sleepers() == 0);
}

TEST_CASE("event_count: who is told and finds nothing new sleeps on", "[event_count]") {
  event_count events(sleep_at_once);
  atomic<bool> over{false};
  atomic<int> looks{0};
  std::thread sleepers[2];
  for (std::thread& one : sleepers) {
    one = std::thread([&] {
      events.wait(deadline::never(), [&] {
        looks.fetch_add(1, mo::relaxed);
        return over.load(mo::acquire);
      });
    });
  }
  await_sleepers(events, 2);
  const int before = looks.load(mo::relaxed);
  events.notify(2);
  test_support::patience waiting;
  while (looks.load(mo::relaxed) < before + 2) REQUIRE(waiting.wait());
  CHECK(events.sleepers() == 2);
  over.store(true, mo::release);
  events.notify_all();
  for (std::thread& one : sleepers) one.join();
  CHECK(events.sleepers() == 0);
}

TEST_CASE("event_count: more sleepers than it can count are served all the same", "[event_count]") {
  basic_event_count<1> events(sleep_at_once);
  atomic<bool> over{false};
  atomic<int> woken{0};
  std::thread sleepers[3];
  for (std::thread& one : sleepers) {
    one = std::thread([&] {
      if (events.wait(deadline::never(), [&] { return over.load(mo::acquire); })) woken.fetch_add(1, mo::relaxed);
    });
  }
  await_sleepers(events, 1);
  CHECK_FALSE(events.wait(in(2ms), [] { return false; }));
  over.store(true, mo::release);
  events.notify_all();
  for (std::thread& one : sleepers) one.join();
  CHECK(woken.load(mo::relaxed) == 3);
  CHECK(events.sleepers() == 0);
}

TEST_CASE("park: another value, or a time that has passed, is not slept on", "[parking]") {
  const atomic<std::uint64_t> word{(std::uint64_t{7} << 32U) | 5U};
  CHECK(park(word, 6, parking_time::max()));
  CHECK_FALSE(park(word, 5, steady_clock::now() - 1s));
  CHECK_FALSE(park(word, 5, parking_time::min()));
  unpark(word, 1);  // nobody
}

TEST_CASE("doze comes back from every turn", "[parking]") {
  for (unsigned turn = 0; turn < 100; ++turn) doze(turn);
  doze(~0U);
}

TEST_CASE("asymmetric fences say which form they have, and both forms return", "[asymmetric_fence]") {
  asymmetric_fence_light();
  asymmetric_fence_heavy();
  const membarrier_use form = asymmetric_fence_form.load(mo::relaxed);
  CHECK(form != membarrier_use::unknown);
  // As a sandbox without the call has it.
  asymmetric_fence_form.store(membarrier_use::no, mo::relaxed);
  asymmetric_fence_light();
  asymmetric_fence_heavy();
  CHECK(asymmetric_fence_form.load(mo::relaxed) == membarrier_use::no);
  // As before the library is loaded.
  asymmetric_fence_form.store(membarrier_use::unknown, mo::relaxed);
  asymmetric_fence_light();
  asymmetric_fence_heavy();
  CHECK(asymmetric_fence_form.load(mo::relaxed) == form);
}
