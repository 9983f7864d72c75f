// SPDX-License-Identifier: MIT
// Timers that one thread fires and others set, move and cancel: each fires or is cancelled, not before its time, and nobody sleeps
// through one, in every execution.
#include <array>
#include <cstdint>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/exec/timer_lanes.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

struct news : event_count {
  news() noexcept : event_count(sleep_at_once) {}
};
using lanes_type = timer_lanes<std::uint32_t, news>;

constexpr time_point tick(std::int64_t n) {
  return time_point(duration(n << 20U));
}
constexpr timer_lanes_options few(std::uint32_t shared) {
  return {.lanes = 1, .timers_a_lane = 2, .shared_timers = shared, .tick = std::chrono::microseconds(1100)};
}

// Timers 0, 1 and 2, when each is due, and how often it has fired, was cancelled and was handed back.
struct wheel {
  explicit wheel(bool membarrier = true, std::uint32_t shared = 1) : lanes(few(shared), tick(0)), places(shared) {
    has_membarrier = membarrier;
    mine = lanes.join();
  }
  // Of the wheel's thread.
  void turn(std::int64_t n) {
    lanes.run(tick(n), 100, [this, n](auto& timer) {
      MODEL_CHECK(timer.due == due[timer.what].get());
      MODEL_CHECK(timer.due <= tick(n));
      ++fired[timer.what];
    });
  }
  shared_timer_id set(std::uint32_t number, std::int64_t n) {
    due[number].set(tick(n));
    return mine.schedule(tick(n), number);
  }
  shared_timer_id set_shared(std::uint32_t number, std::int64_t n) {
    due[number].set(tick(n));
    return lanes.schedule(tick(n), number);
  }
  void count(std::uint32_t number, timer_cancel answer) {
    if (answer == timer_cancel::cancelled) ++taken[number];
  }
  void ended_once(std::uint32_t number) const { MODEL_CHECK(fired[number] + taken[number] == 1); }
  // All that was set has ended, and each place can be used again.
  void all_free() {
    turn(1000);
    const timer_counts counts = lanes.counts();
    MODEL_CHECK(counts.scheduled == counts.fired - counts.again + counts.cancelled + counts.closed);
    MODEL_CHECK(mine.schedule(tick(2000), 0));
    MODEL_CHECK(mine.schedule(tick(2000), 0));
    MODEL_CHECK(!mine.schedule(tick(2000), 0));
    for (std::uint32_t i = 0; i < places; ++i) MODEL_CHECK(lanes.schedule(tick(2000), 0));
    MODEL_CHECK(!lanes.schedule(tick(2000), 0));
  }

  lanes_type lanes;
  const std::uint32_t places;  // that are shared
  lanes_type::lane mine;
  plain<time_point> due[3];
  std::array<unsigned, 3> fired{};  // by the wheel's thread
  std::array<unsigned, 3> taken{};  // by who cancels it, or has it handed back
};

// A timer lies in the wheel. Thread 0 has it fire, thread 1 cancels it, with its lane or without.
template <bool InLane>
struct cancel_or_fire : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  cancel_or_fire() {
    id = set(0, 5);
    set(1, 1);
    turn(1);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(5);
    } else {
      count(0, InLane ? mine.cancel(id) : lanes.cancel(id));
      MODEL_CHECK(lanes.cancel(id) != timer_cancel::cancelled);
    }
  }
  void after() {
    turn(5);
    ended_once(0);
    ended_once(1);
    all_free();
  }
  void after_death(unsigned dead) {
    if (dead == 1) turn(6);
    MODEL_CHECK(fired[0] + taken[0] <= 1);
  }
};
using cancel_or_fire_in_lane = cancel_or_fire<true>;
using cancel_or_fire_from_outside = cancel_or_fire<false>;
MODEL_SCENARIO("timer_lanes", cancel_or_fire_in_lane, {});
MODEL_SCENARIO("timer_lanes", cancel_or_fire_from_outside, {});

// Two cancel the same timer, one of them with the lane that it was set from.
struct two_cancel : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  std::array<timer_cancel, 2> said{};
  two_cancel() { id = set(0, 5); }
  void run(unsigned thread) { said[thread] = thread == 0 ? mine.cancel(id) : lanes.cancel(id); }
  void after() {
    count(0, said[0]);
    count(0, said[1]);
    turn(5);
    ended_once(0);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", two_cancel, {});

// A timer is set while the wheel turns: it fires in that turn or in the next one.
template <bool InLane, bool Membarrier>
struct set_while_turning : wheel {
  static constexpr unsigned threads = 2;
  set_while_turning() : wheel(Membarrier) {}
  void run(unsigned thread) {
    if (thread == 0) {
      turn(10);
    } else {
      MODEL_CHECK(InLane ? set(0, 5) : set_shared(0, 5));
    }
  }
  void after() {
    turn(10);
    MODEL_CHECK(fired[0] == 1);
    all_free();
  }
  void after_death(unsigned dead) {
    if (dead == 1) turn(10);
    MODEL_CHECK(fired[0] <= 1);
  }
};
using set_in_lane_while_turning = set_while_turning<true, true>;
using set_while_turning_with_fences = set_while_turning<true, false>;
using set_shared_while_turning = set_while_turning<false, true>;
MODEL_SCENARIO("timer_lanes", set_in_lane_while_turning, {});
MODEL_SCENARIO("timer_lanes", set_while_turning_with_fences, {});
MODEL_SCENARIO("timer_lanes", set_shared_while_turning, {});

// The wheel sleeps until there is a timer, or for one that is far away. Whoever sets an earlier one wakes it.
template <bool InLane, bool Membarrier, bool OneIsFar>
struct set_while_asleep : wheel {
  static constexpr unsigned threads = 2;
  set_while_asleep() : wheel(Membarrier) {
    if (OneIsFar) {
      due[1].set(time_point::max() - duration(1));
      MODEL_CHECK(mine.schedule(time_point::max() - duration(1), 1));
      turn(1);
    }
  }
  void run(unsigned thread) {
    if (thread == 0) {
      // A sleep for the far one may end by the clock, so they are not waited for without an end.
      turn(10);
      for (int sleeps = 0; fired[0] == 0 && !(OneIsFar && sleeps == 2); ++sleeps) {
        lanes.sleep();
        turn(10);
      }
    } else {
      MODEL_CHECK(InLane ? set(0, 5) : set_shared(0, 5));
    }
  }
  void after() {
    turn(10);
    MODEL_CHECK(fired[0] == 1);
  }
};
using set_in_lane_while_asleep = set_while_asleep<true, true, false>;
using set_in_lane_while_asleep_with_fences = set_while_asleep<true, false, false>;
using set_shared_while_asleep = set_while_asleep<false, true, false>;
using set_earlier_while_asleep = set_while_asleep<true, true, true>;
MODEL_SCENARIO("timer_lanes", set_in_lane_while_asleep, {.preemptions = 2});
MODEL_SCENARIO("timer_lanes", set_in_lane_while_asleep_with_fences, {});
MODEL_SCENARIO("timer_lanes", set_shared_while_asleep, {.preemptions = 1});
MODEL_SCENARIO("timer_lanes", set_earlier_while_asleep, {.preemptions = 1});

// The second note of a lane is for an earlier time than its first one, for which the wheel sleeps.
struct earlier_of_two_notes : wheel {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {
      turn(10);
      for (int sleeps = 0; fired[1] == 0 && sleeps < 2; ++sleeps) {
        lanes.sleep();
        turn(10);
      }
    } else {
      MODEL_CHECK(set(0, 40));
      MODEL_CHECK(set(1, 5));
    }
  }
  void after() {
    turn(10);
    MODEL_CHECK(fired[0] == 0);
    MODEL_CHECK(fired[1] == 1);
  }
};
MODEL_SCENARIO("timer_lanes", earlier_of_two_notes, {.preemptions = 1});

// A note is made while those before it are read: the wheel does not sleep through what it says.
template <bool Membarrier>
struct note_while_others_are_read : wheel {
  static constexpr unsigned threads = 2;
  note_while_others_are_read() : wheel(Membarrier) { set(0, 5); }
  void run(unsigned thread) {
    if (thread == 0) {
      for (turn(10); fired[1] == 0; turn(10)) lanes.sleep();
    } else {
      MODEL_CHECK(set(1, 6));
    }
  }
  void after() { ended_once(0); }
};
using note_while_others_are_read_interrupting = note_while_others_are_read<true>;
using note_while_others_are_read_with_fences = note_while_others_are_read<false>;
MODEL_SCENARIO("timer_lanes", note_while_others_are_read_interrupting, {.preemptions = 2});
MODEL_SCENARIO("timer_lanes", note_while_others_are_read_with_fences, {.preemptions = 2});

// Two notes in the list, one behind the other.
struct two_shared_while_turning : wheel {
  static constexpr unsigned threads = 2;
  two_shared_while_turning() : wheel(true, 2) {}
  void run(unsigned thread) {
    if (thread == 0) {
      turn(10);
    } else {
      MODEL_CHECK(set_shared(0, 5));
      MODEL_CHECK(set_shared(1, 6));
    }
  }
  void after() {
    turn(10);
    ended_once(0);
    ended_once(1);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", two_shared_while_turning, {.preemptions = 2});

// Who cancels a timer heard of it without an order, and uses its place for another one.
struct place_of_another_thread : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  atomic<int> told{0};
  place_of_another_thread() { due[0].set(tick(5)); }
  void run(unsigned thread) {
    if (thread == 0) {
      id = lanes.schedule(tick(5), 0);
      told.store(1, mo::relaxed);
    } else if (told.load(mo::relaxed) == 1) {
      if (lanes.cancel(id) == timer_cancel::cancelled) MODEL_CHECK(set_shared(2, 6));
    }
  }
  void after() { all_free(); }
};
MODEL_SCENARIO("timer_lanes", place_of_another_thread, {});

// stir() ends a sleep, or the next one.
struct stirred : wheel {
  static constexpr unsigned threads = 2;
  plain<int> why{0};
  void run(unsigned thread) {
    if (thread == 0) {
      lanes.sleep();
      MODEL_CHECK(why.get() == 1);
    } else {
      why.set(1);
      lanes.stir();
    }
  }
  void after() const { MODEL_CHECK(lanes.counts().sleeps == 1); }
};
MODEL_SCENARIO("timer_lanes", stirred, {});

// The place of a cancelled timer is used again, for a later or an earlier time, while the wheel comes to where it lies.
template <std::int64_t Next, bool InWheel, std::int64_t Turn = 6>
struct place_used_again : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  place_used_again() {
    id = set(0, 5);
    if (InWheel) {
      set(1, 1);
      turn(1);
    } else {
      set(1, 4);
    }
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(Turn);
    } else {
      const timer_cancel answer = mine.cancel(id);
      count(0, answer);
      if (answer == timer_cancel::cancelled) MODEL_CHECK(set(2, Next));
    }
  }
  void after() {
    turn(Turn);
    ended_once(0);
    if (taken[0] == 0) return;
    MODEL_CHECK(fired[2] == (Next <= Turn ? 1 : 0));
    turn(20);
    MODEL_CHECK(fired[2] == 1);
    all_free();
  }
};
using place_used_again_for_later = place_used_again<12, true>;
using place_used_again_for_earlier = place_used_again<3, true, 4>;  // in time, which is before the former one
using noted_place_used_again = place_used_again<12, false>;
using noted_place_used_again_for_earlier = place_used_again<2, false>;
MODEL_SCENARIO("timer_lanes", place_used_again_for_later, {});
MODEL_SCENARIO("timer_lanes", place_used_again_for_earlier, {});
MODEL_SCENARIO("timer_lanes", noted_place_used_again, {});
MODEL_SCENARIO("timer_lanes", noted_place_used_again_for_earlier, {.preemptions = 1});

// Moved to a later or an earlier time, by its lane or from outside, while the wheel comes to where it lies.
template <std::int64_t To, bool InLane>
struct moved : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  bool was_moved = false;
  moved() {
    id = mine.schedule(tick(5), 1);
    turn(1);
  }
  void turn(std::int64_t n) {
    lanes.run(tick(n), 100, [this, n](auto& timer) {
      MODEL_CHECK(timer.due <= tick(n));
      MODEL_CHECK(timer.due == tick(5) || (timer.what == 1 && timer.due == tick(To)));
      at = timer.what == 1 ? timer.due : at;
      ++fired[timer.what];
    });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(6);
    } else {
      const shared_timer_id before = id;
      was_moved = InLane ? mine.reschedule(id, tick(To)) : lanes.reschedule(id, tick(To));
      if (was_moved) MODEL_CHECK(lanes.cancel(before) == timer_cancel::gone);
    }
  }
  void after() {
    turn(20);
    MODEL_CHECK(fired[1] == 1);
    MODEL_CHECK(at == tick(was_moved ? To : 5));
    all_free();
  }
  time_point at{};
};
using moved_to_later = moved<12, true>;
using moved_to_earlier = moved<3, true>;
using moved_from_outside = moved<3, false>;
MODEL_SCENARIO("timer_lanes", moved_to_later, {.preemptions = 1});
MODEL_SCENARIO("timer_lanes", moved_to_earlier, {.preemptions = 1});
MODEL_SCENARIO("timer_lanes", moved_from_outside, {.preemptions = 1});

// Moved from outside to an earlier time while its lane's note of it has not been read: it fires when that time comes.
struct noted_and_moved_from_outside : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  noted_and_moved_from_outside() {
    id = mine.schedule(tick(9), 0);
    due[0].set(tick(3));
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(6);
    } else {
      MODEL_CHECK(lanes.reschedule(id, tick(3)));
    }
  }
  void after() {
    turn(6);
    ended_once(0);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", noted_and_moved_from_outside, {});

// A place lies in the wheel, is used for an earlier time and free when the note of that is read. The next one that uses it, for a
// time in between, fires when that comes.
struct note_read_while_free : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  note_read_while_free() {
    id = set(0, 9);
    set(2, 1);
    turn(1);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(4);
    } else {
      count(0, mine.cancel(id));
      count(1, mine.cancel(set(1, 3)));
      MODEL_CHECK(set(2, 6));
    }
  }
  void after() {
    turn(6);
    ended_once(0);
    ended_once(1);
    MODEL_CHECK(fired[2] == 2);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", note_read_while_free, {.preemptions = 2});

// Moved from outside to an earlier time, and then cancelled by its lane, which uses the place again.
struct moved_and_cancelled : wheel {
  static constexpr unsigned threads = 3;
  shared_timer_id id;
  shared_timer_id other;
  atomic<int> told{0};
  moved_and_cancelled() {
    id = set(0, 5);
    turn(1);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(3);
    } else if (thread == 1) {
      other = id;
      if (lanes.reschedule(other, tick(4))) told.store(1, mo::release);
    } else if (told.load(mo::acquire) == 1) {
      count(0, mine.cancel(other));
      MODEL_CHECK(set(1, 2));
      MODEL_CHECK(set(2, 2));
    }
  }
  void after() {
    if (taken[0] == 0) return;
    turn(10);
    MODEL_CHECK(fired[0] == 0);
    MODEL_CHECK(fired[1] == 1);
    MODEL_CHECK(fired[2] == 1);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", moved_and_cancelled, {.preemptions = 1});

// Two threads without a lane set and cancel, with one place between them.
struct shared_place : wheel {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    due[thread].set(tick(5));
    const shared_timer_id id = lanes.schedule(tick(5), thread);
    if (!id) {
      taken[thread] = 1;
      return;
    }
    if (thread == 0) count(thread, lanes.cancel(id));
  }
  void after() {
    turn(10);
    ended_once(0);
    ended_once(1);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", shared_place, {.preemptions = 2});

// It has itself fire again; who cancels it meanwhile waits for the call, and it does not fire again.
struct cancelled_in_its_call : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  plain<int> work{0};
  timer_cancel said{};
  cancelled_in_its_call() { id = set(0, 5); }
  void turn(std::int64_t n) {
    lanes.run(tick(n), 100, [this](auto& timer) {
      work.set(work.get() + 1);
      timer.again(timer.due + duration(1 << 20));
    });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(5);
      return;
    }
    said = lanes.cancel(id);
    if (said == timer_cancel::firing) {
      MODEL_CHECK(lanes.await_end(id, deadline::never()));
      MODEL_CHECK(work.get() == 1);
    }
  }
  void after() {
    const int calls = work.get();
    MODEL_CHECK(said != timer_cancel::gone);
    MODEL_CHECK(said != timer_cancel::firing || calls == 1);
    wheel::turn(1000);
    MODEL_CHECK(fired[0] == 0);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", cancelled_in_its_call, {});

// The end comes while a timer is set, another one is moved and a third one is cancelled.
template <bool InLane, bool Membarrier>
struct closed_meanwhile : wheel {
  static constexpr unsigned threads = 2;
  shared_timer_id id;
  bool refused = false;
  unsigned back[3] = {};
  closed_meanwhile() : wheel(Membarrier) { id = set(1, 5); }
  void run(unsigned thread) {
    if (thread == 0) {
      lanes.close([this](std::uint32_t number, time_point) { ++back[number]; });
    } else if (InLane) {
      refused = !set(0, 5);
    } else {
      refused = !set_shared(0, 5);
    }
  }
  void after() {
    MODEL_CHECK(back[1] == 1);
    MODEL_CHECK(back[0] == (refused ? 0 : 1));
    MODEL_CHECK(!lanes.schedule(tick(9), 2));
    const timer_counts counts = lanes.counts();
    MODEL_CHECK(counts.scheduled == counts.closed);
  }
};
using closed_while_setting = closed_meanwhile<true, true>;
using closed_while_setting_with_fences = closed_meanwhile<true, false>;
using closed_while_setting_shared = closed_meanwhile<false, true>;
MODEL_SCENARIO("timer_lanes", closed_while_setting, {});
MODEL_SCENARIO("timer_lanes", closed_while_setting_with_fences, {});
MODEL_SCENARIO("timer_lanes", closed_while_setting_shared, {});

// Set where it lies in the wheel, of which nobody is told.
struct closed_while_setting_in_place : wheel {
  static constexpr unsigned threads = 2;
  bool refused = false;
  unsigned back = 0;
  closed_while_setting_in_place() : wheel(false) {
    const shared_timer_id id = set(0, 5);
    set(1, 1);
    turn(1);
    count(0, mine.cancel(id));
  }
  void run(unsigned thread) {
    if (thread == 0) {
      lanes.close([this](std::uint32_t, time_point) { ++back; });
    } else {
      refused = !set(0, 9);
    }
  }
  void after() const { MODEL_CHECK(back == (refused ? 0 : 1)); }
};
MODEL_SCENARIO("timer_lanes", closed_while_setting_in_place, {});

struct closed_while_cancelling : wheel {
  static constexpr unsigned threads = 3;
  shared_timer_id id;
  shared_timer_id other;
  closed_while_cancelling() {
    id = set(0, 5);
    other = set(1, 5);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      lanes.close([this](std::uint32_t number, time_point) { ++fired[number]; });
    } else if (thread == 1) {
      count(0, mine.cancel(id));
    } else {
      static_cast<void>(lanes.reschedule(other, tick(7)));
    }
  }
  void after() {
    ended_once(0);
    ended_once(1);
  }
};
MODEL_SCENARIO("timer_lanes", closed_while_cancelling, {.spins_end = true, .preemptions = 1});

// A lane is left with a free place and a timer in it, and another thread takes it, and the place if it is free by then.
struct lane_handed_on : wheel {
  static constexpr unsigned threads = 3;
  shared_timer_id id;
  bool had_it = false;
  lane_handed_on() {
    set(0, 5);
    id = set(1, 5);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      turn(5);
    } else if (thread == 1) {
      count(1, mine.cancel(id));
      mine = {};
    } else {
      lanes_type::lane next = lanes.join();
      had_it = static_cast<bool>(next);
      if (!had_it) return;
      due[2].set(tick(6));
      had_it = static_cast<bool>(next.schedule(tick(6), 2));
    }
  }
  void after() {
    turn(6);
    MODEL_CHECK(fired[0] == 1);
    ended_once(1);
    MODEL_CHECK(fired[2] == (had_it ? 1 : 0));
    mine = lanes.join();
    MODEL_CHECK(mine);
    all_free();
  }
};
MODEL_SCENARIO("timer_lanes", lane_handed_on, {.preemptions = 1});

}  // namespace
