// SPDX-License-Identifier: MIT
// Places of log sinks: threads that end use what a sink keeps for them, while the sink is destroyed and the next one comes.
#include <array>
#include <cstdint>

#include "model/engine/scenario.hpp"
#include "telemetry/pinned_place.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// What a sink keeps for each of three threads, without an atomic.
struct sink_lanes {
  std::uint64_t number = 0;
  std::array<plain<int>, 3> closed;
  explicit sink_lanes(std::uint64_t n) : number(n) {
    for (auto& c : closed) c.set(0);
  }
};

struct sink_scenario {
  log_detail::pinned_place place;
  atomic<std::uint64_t> whose{0};  // beside the place, for a forked child

  bool take(std::uint64_t number) {
    if (!place.take(number)) return false;
    whose.store(number, mo::relaxed);
    return true;
  }

  // A thread ends, and closes its lane if the sink is still there.
  void end_of_thread(sink_lanes& sink, unsigned thread) {
    if (!place.pin(sink.number)) return;
    MODEL_CHECK(sink.closed[thread].get() >= 0);
    sink.closed[thread].set(sink.closed[thread].get() + 1);
    place.unpin();
  }
  // False: pinned. A sink asks again, as often as it takes; here the execution in which it need not is another one.
  bool destroy(sink_lanes& sink) {
    whose.store(0, mo::relaxed);
    if (!place.leave(sink.number)) return false;
    for (auto& c : sink.closed) {
      MODEL_CHECK(c.get() >= 0);
      c.set(-1);
    }
    return true;
  }
};

// A thread ends, and another one with its number after it, while the sink does.
struct pinned_while_destroyed : sink_scenario {
  static constexpr unsigned threads = 2;
  sink_lanes sink{1};
  bool gone = false;
  pinned_while_destroyed() { MODEL_CHECK(place.take(1)); }
  void run(unsigned thread) {
    if (thread == 0) {
      gone = destroy(sink);
    } else {
      end_of_thread(sink, thread);
      end_of_thread(sink, thread);
    }
  }
  void after() {
    MODEL_CHECK(gone || destroy(sink));
    MODEL_CHECK(!place.pin(1));
    MODEL_CHECK(place.take(2));
  }
};
MODEL_SCENARIO("pinned_place", pinned_while_destroyed, {});

// The next sink takes the place: a thread of the first one finds another number there, and leaves it alone.
struct taken_by_the_next : sink_scenario {
  static constexpr unsigned threads = 3;
  sink_lanes first{1}, second{2};
  bool gone = false, taken = false;
  taken_by_the_next() { MODEL_CHECK(take(1)); }
  void run(unsigned thread) {
    switch (thread) {
      case 0: gone = destroy(first); break;
      case 1:
        taken = take(2);
        if (taken) end_of_thread(second, thread);
        break;
      default: end_of_thread(first, thread); break;
    }
  }
  void after() {
    MODEL_CHECK(!taken || gone);
    MODEL_CHECK(whose.load(mo::relaxed) == (taken ? 2U : 0U));
    MODEL_CHECK(taken ? destroy(second) : gone || destroy(first));
    MODEL_CHECK(place.take(3));
  }
};
MODEL_SCENARIO("pinned_place", taken_by_the_next, {});

// The last number that there is room for.
struct last_number : sink_scenario {
  static constexpr unsigned threads = 3;
  static constexpr std::uint64_t last = (std::uint64_t{1} << 48) - 1;
  sink_lanes sink{last};
  bool gone = false;
  last_number() { MODEL_CHECK(place.take(last)); }
  void run(unsigned thread) {
    if (thread == 0) {
      gone = destroy(sink);
    } else {
      end_of_thread(sink, thread);
    }
  }
  void after() {
    MODEL_CHECK(gone || destroy(sink));
    MODEL_CHECK(place.take(1));
  }
};
MODEL_SCENARIO("pinned_place", last_number, {});

}  // namespace
