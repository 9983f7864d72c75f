// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <thread>

#include "holdfast/queue/event_count.hpp"

#include "support/catch.hpp"
#include "support/sleepers.hpp"

using namespace holdfast;

TEST_CASE("event_count: a condition that throws leaves nobody behind", "[event_count]") {
  event_count events(holdfast::sleep_at_once);
  int looks = 0;
  const auto throws = [&]() -> bool {
    if (++looks == 2) throw std::runtime_error("at the second look");
    return false;
  };
  CHECK_THROWS_AS(events.wait(deadline::never(), throws), std::runtime_error);
  CHECK(events.sleepers() == 0);
}

TEST_CASE("event_count: who is told and then throws passes it on", "[event_count]") {
  event_count events(holdfast::sleep_at_once);
  atomic<int> there{0};
  atomic<bool> thrown{false};
  const auto take = [&] {
    if (there.load(mo::acquire) == 0) return false;
    there.fetch_sub(1, mo::acq_rel);
    return true;
  };
  // Whoever is told first throws and leaves the item alone; the other one is told then.
  const auto wait = [&] {
    try {
      static_cast<void>(events.wait(deadline::never(), [&] {
        if (there.load(mo::acquire) != 0 && !thrown.exchange(true, mo::acq_rel))
          throw std::runtime_error("at the item");
        return take();
      }));
    } catch (const std::runtime_error&) {
    }
  };
  std::thread one(wait);
  std::thread other(wait);
  test_support::await_sleepers(events, 2);
  there.store(1, mo::release);
  events.notify_one();
  one.join();
  other.join();
  CHECK(thrown.load(mo::relaxed));
  CHECK(there.load(mo::relaxed) == 0);
  CHECK(events.sleepers() == 0);
}
