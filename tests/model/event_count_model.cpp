// SPDX-License-Identifier: MIT
// Waiting: nobody sleeps on while there is something for him, in every execution, with the kernel's help and without.
#include <array>
#include <chrono>
#include <cstdint>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/event_fd.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

enum class kernel { has_membarrier, has_none };

// Far away: a sleep of it ends at once in some executions, see the model's parking.hpp.
const deadline some_time(time_point::max() - std::chrono::nanoseconds(1));

// Tokens that threads add, each followed by a notify, and take when they find one.
struct tokens {
  explicit tokens(kernel has) { has_membarrier = has == kernel::has_membarrier; }

  void add(int count = 1) {
    there.fetch_add(count, mo::relaxed);  // own: waking must not rest on what the condition happens to order
    events.notify(static_cast<std::uint32_t>(count));
  }
  bool take() {
    int seen = there.load(mo::relaxed);
    while (seen > 0) {
      if (there.compare_exchange_strong(seen, seen - 1, mo::relaxed, mo::relaxed)) return true;
    }
    return false;
  }
  bool wait(deadline until = deadline::never()) {
    return events.wait(until, [this] { return take(); });
  }

  event_count events{sleep_at_once};
  atomic<int> there{0};
};

template <kernel Kernel>
struct one_waits {
  static constexpr unsigned threads = 2;
  tokens t{Kernel};
  void run(unsigned thread) {
    if (thread == 0) {
      t.add();
    } else {
      MODEL_CHECK(t.wait());
    }
  }
  void after() {
    MODEL_CHECK(t.there.load(mo::relaxed) == 0);
    MODEL_CHECK(t.events.sleepers() == 0);
  }
};
using one_waits_interrupting = one_waits<kernel::has_membarrier>;
using one_waits_with_fences = one_waits<kernel::has_none>;
MODEL_SCENARIO("event_count", one_waits_interrupting, {});
MODEL_SCENARIO("event_count", one_waits_with_fences, {});

// Two wait and one adds two tokens, one after the other or at once.
template <kernel Kernel, bool AtOnce>
struct two_wait {
  static constexpr unsigned threads = 3;
  tokens t{Kernel};
  void run(unsigned thread) {
    if (thread != 0) {
      MODEL_CHECK(t.wait());
    } else if (AtOnce) {
      t.add(2);
    } else {
      t.add();
      t.add();
    }
  }
  void after() {
    MODEL_CHECK(t.there.load(mo::relaxed) == 0);
    MODEL_CHECK(t.events.sleepers() == 0);
  }
};
using two_wait_one_by_one = two_wait<kernel::has_none, false>;
using two_wait_at_once = two_wait<kernel::has_none, true>;
MODEL_SCENARIO("event_count", two_wait_one_by_one, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("event_count", two_wait_at_once, {.preemptions = 1, .weak_failures = 0});
using two_wait_interrupting = two_wait<kernel::has_membarrier, false>;
MODEL_SCENARIO("event_count", two_wait_interrupting, {.preemptions = 1, .weak_failures = 0});

// One of two gives up after a while: a telling that he took notice of is not lost, since he looks once more. Whoever gets the
// token gives it back, as one who waits for something else may.
template <kernel Kernel>
struct one_gives_up {
  static constexpr unsigned threads = 3;
  tokens t{Kernel};
  void run(unsigned thread) {
    const bool has_one = thread == 0 || t.wait(thread == 1 ? some_time : deadline::never());
    MODEL_CHECK(has_one || thread == 1);
    if (has_one) t.add();
  }
  void after() {
    MODEL_CHECK(t.there.load(mo::relaxed) == 1);
    MODEL_CHECK(t.events.sleepers() == 0);
  }
};
using one_gives_up_with_fences = one_gives_up<kernel::has_none>;
using one_gives_up_interrupting = one_gives_up<kernel::has_membarrier>;
MODEL_SCENARIO("event_count", one_gives_up_with_fences, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("event_count", one_gives_up_interrupting, {.preemptions = 1, .weak_failures = 0});

// One who passes takes the token that a sleeper has been told of, and gives it back: the sleeper looks again.
struct taken_in_passing {
  static constexpr unsigned threads = 3;
  tokens t{kernel::has_none};
  void run(unsigned thread) {
    if (thread == 0 || (thread == 1 && t.take())) {
      t.add();
    } else if (thread == 2) {
      MODEL_CHECK(t.wait());
    }
  }
  void after() {
    MODEL_CHECK(t.there.load(mo::relaxed) == 0);
    MODEL_CHECK(t.events.sleepers() == 0);
  }
};
MODEL_SCENARIO("event_count", taken_in_passing, {.preemptions = 2, .weak_failures = 0});

// What was done before the change is seen by who was told of it, through the word alone.
struct told_with_a_note {
  static constexpr unsigned threads = 2;
  tokens t{kernel::has_none};
  atomic<int> flag{0};
  void run(unsigned thread) {
    if (thread == 0) {
      flag.store(1, mo::relaxed);
      t.events.notify_all();
    } else {
      MODEL_CHECK(t.events.wait(deadline::never(), [this] { return flag.load(mo::relaxed) == 1; }));
    }
  }
  void after() { MODEL_CHECK(t.events.sleepers() == 0); }
};
MODEL_SCENARIO("event_count", told_with_a_note, {});

// A change for everybody.
template <kernel Kernel>
struct all_are_told {
  static constexpr unsigned threads = 3;
  tokens t{Kernel};
  atomic<int> over{0};
  void run(unsigned thread) {
    if (thread == 0) {
      over.store(1, mo::relaxed);
      t.events.notify_all();
    } else {
      MODEL_CHECK(t.events.wait(deadline::never(), [this] { return over.load(mo::relaxed) == 1; }));
    }
  }
  void after() { MODEL_CHECK(t.events.sleepers() == 0); }
};
using all_are_told_with_fences = all_are_told<kernel::has_none>;
using all_are_told_interrupting = all_are_told<kernel::has_membarrier>;
MODEL_SCENARIO("event_count", all_are_told_with_fences, {.weak_failures = 0});
MODEL_SCENARIO("event_count", all_are_told_interrupting, {.preemptions = 2, .weak_failures = 0});

// Two tell one who waits: one system call, and both changes are seen.
struct two_tell {
  static constexpr unsigned threads = 3;
  tokens t{kernel::has_none};
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(t.wait());
      MODEL_CHECK(t.wait());
    } else {
      t.add();
    }
  }
  void after() {
    MODEL_CHECK(t.there.load(mo::relaxed) == 0);
    MODEL_CHECK(t.events.sleepers() == 0);
  }
};
MODEL_SCENARIO("event_count", two_tell, {.preemptions = 2, .weak_failures = 0});

// A loop that sleeps on something of its own: armed, and nothing seen at the last look, it will be told.
template <kernel Kernel>
struct armed_loop {
  static constexpr unsigned threads = 3;
  armed_flag armed;
  atomic<int> there{0};
  std::array<bool, 3> told{};
  bool sleeps = false;

  armed_loop() { has_membarrier = Kernel == kernel::has_membarrier; }
  void run(unsigned thread) {
    if (thread != 0) {
      there.fetch_add(1, mo::relaxed);
      if (armed.awaited()) told[thread] = armed.disarm();
    } else {
      armed.arm();
      sleeps = there.load(mo::relaxed) == 0;
    }
  }
  void after() {
    MODEL_CHECK(!(told[1] && told[2]));
    if (sleeps) MODEL_CHECK(told[1] || told[2]);
  }
};
using armed_loop_with_fences = armed_loop<kernel::has_none>;
using armed_loop_interrupting = armed_loop<kernel::has_membarrier>;
MODEL_SCENARIO("event_count", armed_loop_with_fences, {});
MODEL_SCENARIO("event_count", armed_loop_interrupting, {});

}  // namespace
