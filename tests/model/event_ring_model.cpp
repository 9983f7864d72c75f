// SPDX-License-Identifier: MIT
// That nothing is lost, mixed up or held up inside the queue is shown in mpmc_lockfree_queue_model.cpp. Here: the numbers.
#include <array>
#include <cstdint>

#include "holdfast/telemetry/event_ring.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

struct watched_ring {
  event_ring<1, 1> ring;
  std::uint64_t published = 0, refused = 0, taken = 0, last = 0;
  std::array<bool, 8> came{};

  bool publish(unsigned which) {
    const bool in = ring.publish({.type = event_type::first_of_program, .a = which});
    ++(in ? published : refused);
    return in;
  }
  void drain() {
    ring.drain([&](const event& e) noexcept {
      MODEL_CHECK(e.seq > last);  // V2
      last = e.seq;
      ++taken;
      const auto which = static_cast<std::size_t>(e.a);
      MODEL_CHECK(!came[which]);  // V1
      came[which] = true;
    });
  }
  // V1, V2
  void must_add_up() {
    drain();
    MODEL_CHECK(ring.dropped() == refused);
    MODEL_CHECK(taken == published);
    MODEL_CHECK(publish(7));
    drain();
    MODEL_CHECK(came[7]);
    MODEL_CHECK(last == published + refused);
  }
};

// Two publish into a ring of one, and one drains beside them: what was dropped shows as a gap, by the next event at the latest.
struct two_publish : watched_ring {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    if (thread < 2) {
      publish(thread);
    } else {
      drain();
    }
  }
  void after() {
    MODEL_CHECK(published >= 1);
    must_add_up();
  }
};
MODEL_SCENARIO("event_ring", two_publish, {.weak_failures = 0});

// One knows of its own drop: its next event has a gap before it, wherever the drain is.
struct gap_before_the_next : watched_ring {
  static constexpr unsigned threads = 2;
  bool dropped = false;
  std::uint64_t number = 0;

  gap_before_the_next() { MODEL_CHECK(publish(0)); }
  void run(unsigned thread) {
    if (thread == 1) return drain();
    dropped = !publish(1);
    publish(2);
  }
  void after() {
    drain();
    if (dropped && came[2]) MODEL_CHECK(last == 3);
    if (!dropped && !came[2]) MODEL_CHECK(last == 2);
    must_add_up();
  }
  // V4 Who dies takes one place with it at most: here that is the only one. No number is lost with it.
  void after_death(unsigned dead) {
    if (dead != 0) return;
    drain();
    MODEL_CHECK(last <= 3);
    MODEL_CHECK(taken <= 3);
  }
};
MODEL_SCENARIO("event_ring", gap_before_the_next, {.weak_failures = 0});

// One looks at the drops, and pushes only when others have dropped, pushed and drained: the numbers do not go back.
struct carries_an_old_count : watched_ring {
  static constexpr unsigned threads = 2;

  carries_an_old_count() { MODEL_CHECK(publish(0)); }
  void run(unsigned thread) {
    if (thread == 0) {
      publish(1);
      return;
    }
    publish(2);
    drain();
    publish(3);
    drain();
  }
  void after() { must_add_up(); }
};
MODEL_SCENARIO("event_ring", carries_an_old_count, {.preemptions = 1, .weak_failures = 0});

// Two threads move an object one after the other, and publish after that: the later one may come out first. Who goes by the
// generation ends with the newest.
struct newest_by_generation {
  static constexpr unsigned threads = 2;
  event_ring<2, 2> ring;
  atomic<std::uint16_t> object{0xFFFE};

  void run(unsigned) {
    const auto made = static_cast<std::uint16_t>(object.fetch_add(1, mo::relaxed) + 1);
    MODEL_CHECK(ring.publish({.generation = made, .type = event_type::breaker_transition}));
  }
  void after() {
    std::uint16_t newest = 0xFFFE;
    std::uint64_t seen = 0;
    ring.drain([&](const event& e) noexcept {
      ++seen;
      if (is_newer(e.generation, newest)) newest = e.generation;
    });
    MODEL_CHECK(seen == 2);
    MODEL_CHECK(newest == object.load(mo::relaxed));
  }
};
MODEL_SCENARIO("event_ring", newest_by_generation, {});

// ... and that it may come out first is so: the newest is not always the last.
struct last_is_not_newest : newest_by_generation {
  void after() {
    std::uint16_t last = 0;
    ring.drain([&](const event& e) noexcept { last = e.generation; });
    MODEL_CHECK(last == object.load(mo::relaxed));
  }
};
MODEL_SCENARIO("event_ring", last_is_not_newest, {.refutes = true});

}  // namespace
