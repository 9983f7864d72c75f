// SPDX-License-Identifier: MIT
#include <array>
#include <cstdint>

#include "holdfast/telemetry/event_listeners.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr event something{.type = event_type::first_of_program};

// Writes what only its owner may write once it has left.
struct listener {
  plain<int> heard{0};
  bool running = false;
  bool gone = false;

  void on_event(const event&) noexcept {
    MODEL_CHECK(!gone);
    MODEL_CHECK(!running);
    running = true;
    heard.set(heard.get() + 1);
    running = false;
  }
};

// L1 One leaves while it is told, twice: once it has left it owns what its handler wrote.
struct leaves_while_told {
  static constexpr unsigned threads = 2;
  event_listeners<1> listeners;
  listener one;
  event_listeners<1>::membership place = listeners.join(one);

  void run(unsigned thread) {
    if (thread == 0) {
      listeners.tell(something);
      listeners.tell(something);
      return;
    }
    place.leave();
    one.gone = true;
    MODEL_CHECK(!one.running);
    one.heard.set(100);
  }
  void after() {
    MODEL_CHECK(one.heard.get() == 100);
    MODEL_CHECK(listeners.size_approx() == 0);
  }
};
MODEL_SCENARIO("event_listeners", leaves_while_told, {});

// L1 Its place goes to another one, while the teller is where it is: each is told by its own handler, or not at all.
struct place_of_another {
  static constexpr unsigned threads = 3;
  event_listeners<1> listeners;
  listener one, other;
  event_listeners<1>::membership place = listeners.join(one);
  bool joined = false;

  void run(unsigned thread) {
    switch (thread) {
      case 0: listeners.tell(something); break;
      case 1:
        place.leave();
        one.gone = true;
        one.heard.set(100);
        break;
      default: {
        auto mine = listeners.join(other);
        joined = static_cast<bool>(mine);
        mine.leave();
        other.gone = true;
        other.heard.set(100);
      }
    }
  }
  void after() {
    MODEL_CHECK(listeners.size_approx() == 0);
    auto free = listeners.join(one);
    MODEL_CHECK(free);
  }
};
MODEL_SCENARIO("event_listeners", place_of_another, {});

// L2 A handler leaves from within itself, and another thread takes the place at once: it is its own then.
struct leaves_from_within {
  static constexpr unsigned threads = 2;
  event_listeners<1> listeners;
  event_listeners<1>::membership place;
  listener other;
  int heard = 0;
  plain<bool> over{false};

  leaves_from_within() : place(listeners.join(*this)) {}
  void on_event(const event&) noexcept {
    ++heard;
    place.leave();
    over.set(true);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      listeners.tell(something);
      return;
    }
    auto mine = listeners.join(other);
    if (mine) MODEL_CHECK(over.get());
    mine.leave();
    other.gone = true;
  }
  void after() {
    MODEL_CHECK(heard == 1);
    MODEL_CHECK(listeners.size_approx() == 0);
    listeners.tell(something);
    MODEL_CHECK(heard == 1);
  }
};
MODEL_SCENARIO("event_listeners", leaves_from_within, {});

// Two join at once: each has a place of its own, or there was none.
struct two_join {
  static constexpr unsigned threads = 3;
  event_listeners<2> listeners;
  std::array<listener, 2> each{};
  std::array<event_listeners<2>::membership, 2> places{};

  void run(unsigned thread) {
    if (thread == 2) {
      listeners.tell(something);
    } else {
      places[thread] = listeners.join(each[thread]);
      MODEL_CHECK(places[thread]);
    }
  }
  void after() {
    MODEL_CHECK(listeners.size_approx() == 2);
    const int before = each[0].heard.get() + each[1].heard.get();
    MODEL_CHECK(before <= 2);
    listeners.tell(something);
    MODEL_CHECK(each[0].heard.get() + each[1].heard.get() == before + 2);
  }
};
MODEL_SCENARIO("event_listeners", two_join, {});

}  // namespace
