// SPDX-License-Identifier: MIT
// The lanes are spsc_queues, which have proofs of their own: here they change hands with items in them, and the consumer goes
// from one to the other. What a producer does is kept in deeds, so that a refusal is judged by what its caller could know.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "holdfast/queue/fan_in.hpp"

#include "model/deeds.hpp"
#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using item = plain<std::int64_t>;

// The items of one handle, as `owner * 100 + number`, number from 1.
template <std::size_t Lanes, std::size_t LaneCapacity, std::size_t Budget = 64>
struct watched_lanes {
  using queue_type = fan_in<item, Lanes, LaneCapacity, Budget>;
  using handle = typename queue_type::producer;
  static constexpr std::size_t owners = 4;

  // By hand, since a handle of a dead thread never ends, and the queue may not end before it.
  alignas(queue_type) std::array<std::byte, sizeof(queue_type)> place;
  queue_type& queue = *::new (static_cast<void*>(place.data())) queue_type;
  bool died = false;
  watched_lanes() = default;
  watched_lanes(const watched_lanes&) = delete;
  watched_lanes& operator=(const watched_lanes&) = delete;
  ~watched_lanes() {
    if (!died) std::destroy_at(&queue);
  }

  std::array<deeds, owners> pushed;
  std::array<std::int64_t, owners> popped{};
  std::size_t popped_of_all = 0;

  bool push(handle& mine, std::size_t owner) {
    pushed.at(owner).begins();
    item one(static_cast<std::int64_t>(owner * 100 + pushed.at(owner).count() + 1));
    if (!mine.try_push(std::move(one))) {
      MODEL_CHECK(one.get() != 0);
      return false;
    }
    pushed.at(owner).done();
    return true;
  }
  std::size_t saw(std::int64_t value) {
    const auto owner = static_cast<std::size_t>(value / 100);
    MODEL_CHECK(value % 100 == ++popped.at(owner));
    ++popped_of_all;
    return owner;
  }
  // Refused only if there was nothing that it could know of.
  bool pop() {
    unsigned known = 0;
    for (const deeds& one : pushed) known += one.known();
    item out(0);
    if (queue.try_pop(out)) {
      saw(out.get());
      return true;
    }
    MODEL_CHECK(out.get() == 0);
    MODEL_CHECK(known <= popped_of_all);
    return false;
  }
  void drain() {
    while (pop()) {
    }
    for (std::size_t i = 0; i < owners; ++i)
      MODEL_CHECK(popped.at(i) == static_cast<std::int64_t>(pushed.at(i).count()));
    MODEL_CHECK(queue.size_approx() == 0);
    MODEL_CHECK(queue.joined() == 0);
  }
};

// Two producers, each in its lane, and the consumer.
struct two_producers : watched_lanes<2, 1> {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    if (thread == 2) {
      for (int i = 0; i < 3; ++i) pop();
      return;
    }
    auto mine = queue.join();
    MODEL_CHECK(mine);
    push(*mine, thread);
    push(*mine, thread);
  }
  void after() { drain(); }
};
MODEL_SCENARIO("fan_in", two_producers, {});

// One lane and two that want it: one at a time has it, the second goes on behind what the first one left, and nothing is
// lost or overwritten, whether the consumer came meanwhile or not.
template <std::size_t LaneCapacity>
struct lane_changes_hands : watched_lanes<1, LaneCapacity> {
  static constexpr unsigned threads = 3;
  using base = watched_lanes<1, LaneCapacity>;
  unsigned owners_now = 0;
  item note{0};  // written by whoever has the lane: race-checked

  void run(unsigned thread) {
    if (thread == 2) {
      base::pop();
      base::pop();
      return;
    }
    auto mine = base::queue.join();
    if (!mine) mine = base::queue.join();
    if (!mine) return;
    note.set(note.get() + 1);
    base::push(*mine, thread);
    if (thread == 0) base::push(*mine, thread);
  }
  void after() {
    MODEL_CHECK(note.get() >= 1);
    base::drain();
  }
};
using lane_of_one_changes_hands = lane_changes_hands<1>;
MODEL_SCENARIO("fan_in", lane_of_one_changes_hands, {});
using lane_of_two_changes_hands = lane_changes_hands<2>;
MODEL_SCENARIO("fan_in", lane_of_two_changes_hands, {});

// Joined, left, and joined again, with items left in the lane, until all have come.
struct joined_again : watched_lanes<1, 1> {
  static constexpr unsigned threads = 2;
  static constexpr std::size_t times = 3;

  void run(unsigned thread) {
    if (thread == 1) {
      while (popped_of_all < times) {
        if (!pop()) spin();
      }
      return;
    }
    for (std::size_t owner = 0; owner < times; ++owner) {
      auto mine = queue.join();
      MODEL_CHECK(mine);
      while (!push(*mine, owner)) spin();
    }
  }
  void after() {
    MODEL_CHECK(popped_of_all == times);
    drain();
  }
};
MODEL_SCENARIO("fan_in", joined_again, {.spins_end = true});

// Three want two lanes: nobody is refused but one, by the two others.
struct three_want_two_lanes {
  static constexpr unsigned threads = 3;
  fan_in<item, 2, 1> queue;
  std::array<bool, threads> refused{};

  void run(unsigned thread) {
    const auto mine = queue.join();
    refused.at(thread) = !mine;
  }
  void after() {
    MODEL_CHECK(refused[0] + refused[1] + refused[2] <= 1);
    MODEL_CHECK(queue.joined() == 0);
    const auto first = queue.join();
    const auto second = queue.join();
    MODEL_CHECK(first && second);
    MODEL_CHECK(!queue.join());
  }
};
MODEL_SCENARIO("fan_in", three_want_two_lanes, {});

// With two threads for two lanes nobody is refused, also where they come again.
struct never_refused {
  static constexpr unsigned threads = 2;
  fan_in<item, 2, 1> queue;

  void run(unsigned /*thread*/) {
    for (int i = 0; i < 2; ++i) MODEL_CHECK(queue.join());
  }
  void after() { MODEL_CHECK(queue.joined() == 0); }
};
MODEL_SCENARIO("fan_in", never_refused, {});

// If nobody is joined any more, all that was pushed is there for the asking.
struct drained_until_nobody : watched_lanes<2, 1> {
  static constexpr unsigned threads = 3;
  std::array<item, 2> notes{item(0), item(0)};
  std::array<std::optional<handle>, 2> handles;

  drained_until_nobody() {
    for (auto& one : handles) one = queue.join();
  }
  void run(unsigned thread) {
    if (thread == 2) {
      for (int i = 0; queue.joined() != 0; ++i) {
        if (i == 2) return;
        pop();
      }
      while (pop()) {
      }
      MODEL_CHECK(popped_of_all == 2);
      for (const item& one : notes) MODEL_CHECK(one.get() == 1);
      return;
    }
    MODEL_CHECK(push(*handles.at(thread), thread));
    notes.at(thread).set(1);
    handles.at(thread).reset();
  }
  void after() { drain(); }
};
MODEL_SCENARIO("fan_in", drained_until_nobody, {});

// Turns of two, of which one is over: a lane that has something gets its turn after one more item of the other lane, though
// that one is being filled.
struct fair : watched_lanes<2, 4, 2> {
  static constexpr unsigned threads = 2;
  std::array<std::optional<handle>, 2> handles;

  fair() {
    for (auto& one : handles) one = queue.join();
    MODEL_CHECK(push(*handles[0], 0));
    MODEL_CHECK(pop());
    MODEL_CHECK(push(*handles[1], 1));
    MODEL_CHECK(push(*handles[0], 0));
  }
  void run(unsigned thread) {
    if (thread == 0) {
      for (int i = 0; i < 2; ++i) MODEL_CHECK(push(*handles[0], 0));
      return;
    }
    MODEL_CHECK(pop());
    MODEL_CHECK(pop());
    MODEL_CHECK(popped[1] == 1);
    pop();
    pop();
  }
  void after() {
    for (auto& one : handles) one.reset();
    drain();
  }
};
MODEL_SCENARIO("fan_in", fair, {});

// Batches and consume_all, in turns of two, while the lanes are being filled.
struct in_batches : watched_lanes<2, 4, 2> {
  static constexpr unsigned threads = 3;
  std::array<std::optional<handle>, 2> handles;

  in_batches() {
    for (auto& one : handles) one = queue.join();
    for (std::size_t i = 0; i < 2; ++i) MODEL_CHECK(push(*handles.at(i), i));
  }
  void push_two(std::size_t owner) {
    std::array<item, 2> items;
    for (std::size_t i = 0; i < 2; ++i)
      items.at(i).set(static_cast<std::int64_t>(owner * 100 + pushed.at(owner).count() + i + 1));
    pushed.at(owner).begins();
    const std::size_t done = handles.at(owner)->try_push(std::span<item>(items));
    MODEL_CHECK(done == 2);
    pushed.at(owner).done(done);
  }
  void run(unsigned thread) {
    if (thread < 2) {
      push_two(thread);
      return;
    }
    if (choose(2) == 0) {
      std::array<item, 3> out;
      const std::size_t got = queue.try_pop(std::span<item>(out));
      MODEL_CHECK(got >= 2);
      for (std::size_t i = 0; i < got; ++i) saw(out.at(i).get());
    } else {
      const std::size_t got = queue.consume_all([&](item&& one) { saw(one.get()); });
      MODEL_CHECK(got >= 2);
    }
  }
  void after() {
    for (auto& one : handles) one.reset();
    queue.consume_all([&](item&& one) { saw(one.get()); });
    MODEL_CHECK(popped[0] == 3);
    MODEL_CHECK(popped[1] == 3);
    drain();
  }
};
MODEL_SCENARIO("fan_in", in_batches, {});

// Whoever looks on sees no more items than have been pushed.
struct looked_at : watched_lanes<2, 4> {
  static constexpr unsigned threads = 3;
  std::array<std::optional<handle>, 2> handles;

  looked_at() {
    for (auto& one : handles) one = queue.join();
    MODEL_CHECK(push(*handles[1], 1));
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(push(*handles[0], 0));
      MODEL_CHECK(push(*handles[0], 0));
    } else if (thread == 1) {
      for (int i = 0; i < 3; ++i) pop();
    } else {
      MODEL_CHECK(queue.size_approx() <= 3);
    }
  }
  void after() {
    for (auto& one : handles) one.reset();
    drain();
  }
};
MODEL_SCENARIO("fan_in", looked_at, {});

// Items with memory of their own: freed by the consumer, or with the queue.
struct with_memory {
  static constexpr unsigned threads = 3;
  using owner = std::unique_ptr<item>;
  fan_in<owner, 2, 1> queue;
  std::array<bool, 2> seen{};

  void run(unsigned thread) {
    if (thread < 2) {
      auto mine = queue.join();
      owner one = std::make_unique<item>(thread);
      // The other one may have left its item in this lane.
      if (!mine->try_push(std::move(one))) MODEL_CHECK(one->get() == thread);
      return;
    }
    owner out;
    if (queue.try_pop(out)) saw(*out);
    if (const std::optional<owner> one = queue.try_pop()) saw(**one);
  }
  void saw(const item& one) { MODEL_CHECK(!std::exchange(seen.at(static_cast<std::size_t>(one.get())), true)); }
  void after() {}  // what is left goes with the queue, and a leak fails
};
MODEL_SCENARIO("fan_in", with_memory, {});

// A thread dies at any of its steps. The lane of a dead producer stays its own, with all that it had pushed; the other one
// and the consumer do not notice. If the consumer dies, producers are refused when their lanes are full, and do not wait.
struct death : watched_lanes<2, 4> {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    if (thread == 2) {
      pop();
      return;
    }
    auto mine = queue.join();
    MODEL_CHECK(mine);
    push(*mine, thread);
    push(*mine, thread);
    if (thread == 0) alive = std::move(mine);
  }
  std::optional<handle> alive;

  void after() {
    alive.reset();
    drain();
  }
  void after_death(unsigned dead) {
    died = true;
    if (dead == 2) {
      for (std::size_t i = 0; i < 2; ++i) MODEL_CHECK(pushed.at(i).count() == 2);
      alive.reset();
      auto mine = queue.join();
      MODEL_CHECK(mine);
      while (mine->try_push(item(1))) {
      }
      MODEL_CHECK(mine->size_approx() == 4);
      return;
    }
    // What it had pushed comes out, at most one more, and all of the other one's.
    item out(0);
    while (queue.try_pop(out)) saw(out.get());
    const std::size_t other = 1 - dead;
    MODEL_CHECK(popped.at(other) == static_cast<std::int64_t>(pushed.at(other).count()));
    const auto done = static_cast<std::int64_t>(pushed.at(dead).count());
    MODEL_CHECK(popped.at(dead) == done || popped.at(dead) == done + 1);
    MODEL_CHECK(pushed.at(other).count() == 2);
    // There is a lane for somebody new, or the dead one's and the living one's are all.
    if (dead == 1 && queue.joined() == 2) {
      MODEL_CHECK(!queue.join());
      alive.reset();
    }
    auto next = queue.join();
    MODEL_CHECK(next);
    MODEL_CHECK(next->try_push(item(300 + 1)));
    MODEL_CHECK(queue.try_pop(out));
    MODEL_CHECK(out.get() == 301);
  }
};
MODEL_SCENARIO("fan_in", death, {});

}  // namespace
