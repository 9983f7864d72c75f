// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/event_listeners.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/telemetry/event_ring.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct counter_of_events {
  std::vector<std::int64_t> heard;
  void on_event(const event& e) noexcept { heard.push_back(e.a); }
};

event number(std::int64_t n) {
  return {.type = event_type::first_of_program, .a = n};
}

}  // namespace

TEST_CASE("everybody who joined is told of each event, in its order", "[event_listeners]") {
  event_ring<8> ring;
  event_listeners<4> listeners;
  counter_of_events a;
  counter_of_events b;
  const auto first = listeners.join(a);
  CHECK(ring.publish(number(1)));
  CHECK(ring.drain(listeners) == 1);
  const auto second = listeners.join(b);
  CHECK(listeners.size_approx() == 2);
  CHECK(ring.publish(number(2)));
  CHECK(ring.publish(number(3)));
  CHECK(ring.drain(listeners) == 2);
  CHECK(a.heard == std::vector<std::int64_t>{1, 2, 3});
  CHECK(b.heard == std::vector<std::int64_t>{2, 3});
}

TEST_CASE("L1 who has left is not told any more, and its place is free again (gascity 4839)", "[event_listeners]") {
  event_listeners<1> listeners;
  counter_of_events a;
  counter_of_events b;
  {
    const auto first = listeners.join(a);
    REQUIRE(first);
    CHECK_FALSE(listeners.join(b));  // all places are taken
    listeners.tell(number(1));
  }
  listeners.tell(number(2));
  CHECK(a.heard == std::vector<std::int64_t>{1});
  auto second = listeners.join(b);
  REQUIRE(second);
  listeners.tell(number(3));
  second.leave();
  CHECK_FALSE(second);
  second.leave();  // once more does nothing
  listeners.tell(number(4));
  CHECK(b.heard == std::vector<std::int64_t>{3});
  CHECK(listeners.size_approx() == 0);
}

TEST_CASE("a membership that is moved stays one membership", "[event_listeners]") {
  event_listeners<2> listeners;
  counter_of_events a;
  counter_of_events b;
  auto first = listeners.join(a);
  auto moved = std::move(first);
  CHECK(listeners.size_approx() == 1);
  moved = listeners.join(b);  // a has left
  CHECK(listeners.size_approx() == 1);
  listeners.tell(number(1));
  CHECK(a.heard.empty());
  CHECK(b.heard.size() == 1);
}

TEST_CASE("L2 a handler that leaves does not wait for itself, and may be destroyed there and then",
          "[event_listeners]") {
  struct once {
    event_listeners<2>::membership* place;
    std::unique_ptr<int>* mine;
    int* heard;
    void on_event(const event&) noexcept {
      ++*heard;
      place->leave();
      mine->reset();  // what it uses is gone, and it has not returned yet
    }
  };
  event_listeners<2> listeners;
  event_listeners<2>::membership place;
  auto uses = std::make_unique<int>(1);
  int heard = 0;
  once o{&place, &uses, &heard};
  place = listeners.join(o);
  listeners.tell(number(1));
  CHECK(listeners.size_approx() == 0);
  listeners.tell(number(2));
  CHECK(heard == 1);
  CHECK(uses == nullptr);
}

TEST_CASE("L2 a handler has another one leave, which is then not told", "[event_listeners]") {
  struct remover {
    event_listeners<2>::membership* other;
    int heard = 0;
    void on_event(const event&) noexcept {
      ++heard;
      other->leave();
    }
  };
  event_listeners<2> listeners;
  event_listeners<2>::membership other;
  remover r{&other};
  counter_of_events victim;
  const auto mine = listeners.join(r);
  other = listeners.join(victim);
  listeners.tell(number(1));
  listeners.tell(number(2));
  CHECK(r.heard == 2);
  CHECK(victim.heard.empty());
}

TEST_CASE("L2 a handler joins another one", "[event_listeners]") {
  struct joiner {
    event_listeners<2>* all;
    counter_of_events* other;
    event_listeners<2>::membership place{};
    void on_event(const event&) noexcept {
      if (!place) place = all->join(*other);
    }
  };
  event_listeners<2> listeners;
  counter_of_events other;
  joiner j{&listeners, &other};
  const auto mine = listeners.join(j);
  listeners.tell(number(1));
  listeners.tell(number(2));
  CHECK(!other.heard.empty());
  CHECK(other.heard.back() == 2);
}

TEST_CASE("L1 leaving waits for a handler that runs", "[event_listeners]") {
  struct slow {
    atomic<std::uint32_t>* begun;
    atomic<std::uint32_t>* go_on;
    bool done = false;
    void on_event(const event&) noexcept {
      begun->store(1, mo::release);  // [T1] release, pairs with [T2]: it runs
      begun->notify_all();
      // [T3] acquire, pairs with [T4]: it may end
      for (std::uint32_t seen = 0; seen == 0; seen = go_on->load(mo::acquire)) go_on->wait(0, mo::acquire);
      done = true;
    }
  };
  atomic<std::uint32_t> begun{0};
  atomic<std::uint32_t> go_on{0};
  event_listeners<1> listeners;
  slow s{&begun, &go_on};
  auto place = listeners.join(s);
  std::thread teller([&] { listeners.tell(number(1)); });
  // [T2] acquire, pairs with [T1]: see there
  for (std::uint32_t seen = 0; seen == 0; seen = begun.load(mo::acquire)) begun.wait(0, mo::acquire);
  std::thread releaser([&] {
    go_on.store(1, mo::release);  // [T4] release, pairs with [T3]: see there
    go_on.notify_all();
  });
  place.leave();
  CHECK(s.done);  // a plain bool: that this is no race is the point
  teller.join();
  releaser.join();
}
