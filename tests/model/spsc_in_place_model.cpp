// SPDX-License-Identifier: MIT
// spsc_queue: items written and read in their slots.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/queue/spsc_queue.hpp"

#include "model/deeds.hpp"
#include "model/engine/scenario.hpp"
#include "support/sized_queue.hpp"

using namespace holdfast;
using namespace holdfast_model;
using test_support::sized_queue;

namespace {

// Made without work and ended without any, as reserve() asks for, and yet race-checked: it is there from its first write on.
class bare {
 public:
  bare() noexcept {}  // NOLINT(modernize-use-equals-default): as it is found
  explicit bare(int value) noexcept { put(value); }
  bare(const bare& other) noexcept { put(other.get()); }
  bare& operator=(const bare& other) noexcept {
    put(other.get());
    return *this;
  }
  void put(int value) noexcept {
    engine::instance().plain_made(this, place::here());
    value_ = value;
  }
  [[nodiscard]] int get() const noexcept {
    engine::instance().plain_read(this, place::here());
    return value_;
  }

 private:
  int value_;
};
static_assert(spsc_queue<bare, 2>::reservable);

// A queue, and what its header promises of items in place.
template <class Queue>
struct in_slots {
  explicit in_slots(std::uint64_t first = 0) : queue(first), begun(first) {}

  [[nodiscard]] bool ends_at_the_slots_end(std::uint64_t past) const {
    return ((begun + past) & (Queue::slot_count() - 1)) == 0;
  }
  // Writes a run of at most n and publishes it in `pieces` pieces; how many were written.
  std::size_t write(std::size_t n, std::size_t pieces = 1) {
    const std::span<bare> run = queue.reserve(n);
    MODEL_CHECK(run.size() <= n);
    if (run.size() < n && (run.empty() || !ends_at_the_slots_end(pushes.count() + run.size()))) {
      MODEL_CHECK(pushes.count() + run.size() - pops.known() >= Queue::capacity());
    }
    for (std::size_t i = 0; i < run.size(); ++i) run[i].put(static_cast<int>(pushes.count() + i) + 1);
    for (std::size_t left = run.size(); left != 0; --pieces) {
      const std::size_t now = pieces == 1 ? left : 1;
      pushes.begins();
      queue.commit(now);
      pushes.done(now);
      left -= now;
    }
    return run.size();
  }
  // Reads a run of at most n and ends it in `pieces` pieces; how many were read.
  std::size_t read(std::size_t n, std::size_t pieces = 1) {
    const std::span<bare> run = queue.peek(n);
    MODEL_CHECK(run.size() <= n);
    if (run.size() < n && (run.empty() || !ends_at_the_slots_end(pops.count() + run.size()))) {
      MODEL_CHECK(pushes.known() <= pops.count() + run.size());
    }
    for (std::size_t i = 0; i < run.size(); ++i) MODEL_CHECK(run[i].get() == static_cast<int>(pops.count() + i) + 1);
    for (std::size_t left = run.size(); left != 0; --pieces) {
      const std::size_t now = pieces == 1 ? left : 1;
      pops.begins();
      queue.release(now);
      pops.done(now);
      left -= now;
    }
    MODEL_CHECK(pops.count() <= pushes.count() + n);  // a commit may have published and not returned
    return run.size();
  }
  void drain() {
    while (read(Queue::slot_count()) != 0) {
    }
    MODEL_CHECK(pops.count() == pushes.count());
    MODEL_CHECK(queue.size_approx() == 0);
  }

  Queue queue;
  std::uint64_t begun;
  deeds pushes;
  deeds pops;
};

// Slots are used again, across the end of the positions.
struct slot_by_slot {
  static constexpr unsigned threads = 2;
  in_slots<spsc_queue<bare, 1>> s{just_before_wrap};

  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) thread == 0 ? s.write(1) : s.read(1);
  }
  void after() { s.drain(); }
};
MODEL_SCENARIO("spsc_in_place", slot_by_slot, {});

// Runs that end at the end of the slots, published and ended in one piece or in two.
struct run_by_run {
  static constexpr unsigned threads = 2;
  in_slots<spsc_queue<bare, 4>> s{just_before_wrap - 1};

  void run(unsigned thread) {
    const std::size_t pieces = 1 + choose(2);
    for (int i = 0; i < 2; ++i) thread == 0 ? s.write(3, pieces) : s.read(3, pieces);
  }
  void after() { s.drain(); }
};
MODEL_SCENARIO("spsc_in_place", run_by_run, {});

// The same, sized at run time.
struct run_by_run_sized {
  static constexpr unsigned threads = 2;
  in_slots<sized_queue<bare, 4>> s{just_before_wrap - 1};

  void run(unsigned thread) {
    for (int i = 0; i < 2; ++i) thread == 0 ? s.write(3, 2) : s.read(3);
  }
  void after() { s.drain(); }
};
MODEL_SCENARIO("spsc_in_place", run_by_run_sized, {});

// Nobody gives up: a released slot is room for the producer in the end, and what is committed reaches the consumer.
struct written_and_read {
  static constexpr unsigned threads = 2;
  static constexpr unsigned count = 4;
  in_slots<spsc_queue<bare, 2>> s{just_before_wrap - 1};

  void run(unsigned thread) {
    if (thread == 0) {
      while (s.pushes.count() < count) {
        if (s.write(2) == 0) spin();
      }
    } else {
      while (s.pops.count() < count) {
        if (s.read(2) == 0) spin();
      }
    }
  }
  void after() { s.drain(); }
};
MODEL_SCENARIO("spsc_in_place", written_and_read, {});

// Released runs are told of in groups of two, like single items; the queue stands two below its capacity when they begin.
struct released_in_groups {
  using queue_type = spsc_queue<bare, 16>;
  static_assert(queue_type::publish_every() == 2 && queue_type::max_size() == 17);
  static constexpr unsigned threads = 2;
  in_slots<queue_type> s{just_before_wrap - 16};

  released_in_groups() {
    while (s.pushes.count() < 14) s.write(14 - s.pushes.count());
  }
  void run(unsigned thread) {
    for (const std::size_t n : std::array<std::size_t, 3>{1, 2, 1}) thread == 0 ? s.write(n + 1) : s.read(n);
  }
  void after() {
    MODEL_CHECK(s.pushes.count() - s.pops.count() <= queue_type::max_size());
    s.drain();
  }
};
MODEL_SCENARIO("spsc_in_place", released_in_groups, {});

// Who knows from elsewhere what the other side has done, finds it so, though it need not look for the first of it.
struct known_from_elsewhere {
  using queue_type = spsc_queue<bare, 16>;
  static constexpr unsigned threads = 2;
  in_slots<queue_type> s{just_before_wrap - 15};
  holdfast::atomic<unsigned> told{0};

  known_from_elsewhere() { MODEL_CHECK(s.write(16) == 16); }
  void run(unsigned thread) {
    if (thread == 0) {
      // [K1] acquire, pairs with [K2]: what was released
      while (told.load(mo::acquire) == 0) spin();
      MODEL_CHECK(s.write(3) >= 2);
    } else {
      MODEL_CHECK(s.read(2) == 2);
      // [K2] release, pairs with [K1]: what was released
      told.store(1, mo::release);
    }
  }
  void after() { s.drain(); }
};
MODEL_SCENARIO("spsc_in_place", known_from_elsewhere, {});

// What is reserved or peeked and left is forgotten, by whichever call comes next.
struct left_alone {
  static constexpr unsigned threads = 2;
  in_slots<spsc_queue<bare, 2>> s{just_before_wrap};

  void run(unsigned thread) {
    for (int i = 0; i < 2; ++i) {
      if (thread == 0) {
        for (bare& slot : s.queue.reserve(2)) slot.put(-1);
        if (choose(2) == 0) {
          s.pushes.begins();
          if (s.queue.try_emplace(static_cast<int>(s.pushes.count()) + 1)) s.pushes.done();
        } else {
          s.write(1);
        }
      } else {
        const std::span<bare> shown = s.queue.peek(2);
        bare out(-1);
        if (choose(2) == 0) {
          s.pops.begins();
          const bool popped = s.queue.try_pop(out);
          MODEL_CHECK(popped || shown.empty());  // what was shown is there
          if (popped) s.pops.done();
          if (popped) MODEL_CHECK(out.get() == static_cast<int>(s.pops.count()));
        } else {
          MODEL_CHECK(s.read(2) >= shown.size() || shown.size() == 2);
        }
      }
    }
  }
  void after() { s.drain(); }
};
MODEL_SCENARIO("spsc_in_place", left_alone, {});

// Items with an end of their own are peeked and released too.
struct released_with_an_end {
  static constexpr unsigned threads = 2;
  using item = plain<int>;
  spsc_queue<item, 2> queue{just_before_wrap};
  int pushed = 0;
  int popped = 0;

  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) thread == 0 ? push() : take();
  }
  void push() {
    if (queue.try_emplace(pushed + 1)) ++pushed;
  }
  void take() {
    const std::span<item> shown = queue.peek(2);
    for (const item& one : shown) MODEL_CHECK(one.get() == ++popped);
    queue.release(shown.size());
  }
  void after() {
    for (int i = 0; i < 3; ++i) take();
    MODEL_CHECK(popped == pushed);
  }
};
MODEL_SCENARIO("spsc_in_place", released_with_an_end, {});

// One side dies at any of its steps. What was reserved and not committed is not there; what was peeked and not released
// still is.
struct death_in_place {
  static constexpr unsigned threads = 2;
  using queue_type = spsc_queue<bare, 2>;
  in_slots<queue_type> s{just_before_wrap - 1};

  void run(unsigned thread) {
    for (int i = 0; i < 2; ++i) thread == 0 ? s.write(2) : s.read(2);
  }
  void after() { s.drain(); }
  void after_death(unsigned dead) {
    if (dead == 0) {  // a new consumer finds all that was committed, and perhaps what was being committed
      const unsigned returned = s.pushes.count();
      for (;;) {
        const std::span<bare> run = s.queue.peek(2);
        if (run.empty()) break;
        for (std::size_t i = 0; i < run.size(); ++i)
          MODEL_CHECK(run[i].get() == static_cast<int>(s.pops.count() + i) + 1);
        s.queue.release(run.size());
        s.pops.done(run.size());
      }
      MODEL_CHECK(s.pops.count() >= returned);
      MODEL_CHECK(s.pops.count() <= returned + 2);
    } else {  // the producer may fill the queue: of the dead one's call, the slots are free or they are not
      unsigned in_queue = s.pushes.count() - s.pops.count();
      for (;;) {
        const std::size_t room = s.queue.reserve(2).size();
        if (room == 0) break;
        s.queue.commit(room);
        in_queue += static_cast<unsigned>(room);
      }
      MODEL_CHECK(in_queue >= queue_type::capacity());
      MODEL_CHECK(in_queue <= queue_type::capacity() + 2);
    }
  }
};
MODEL_SCENARIO("spsc_in_place", death_in_place, {});

// What the header calls a programmer's error is noticed.
template <class Mistake>
struct misused {
  static constexpr unsigned threads = 1;
  spsc_queue<bare, 4> queue{just_before_wrap - 3};

  void run(unsigned) { Mistake()(queue); }
  void after() {}
};
struct commits_after_a_push {
  void operator()(spsc_queue<bare, 4>& queue) const {
    static_cast<void>(queue.reserve(2));
    static_cast<void>(queue.try_emplace(1));
    queue.commit(1);
  }
};
struct commits_more_than_reserved {
  void operator()(spsc_queue<bare, 4>& queue) const { queue.commit(queue.reserve(2).size() + 1); }
};
struct releases_after_a_pop {
  void operator()(spsc_queue<bare, 4>& queue) const {
    for (int i = 0; i < 3; ++i) static_cast<void>(queue.try_emplace(i));
    bare out;
    static_cast<void>(queue.peek(2));
    static_cast<void>(queue.try_pop(out));
    queue.release(1);
  }
};
struct releases_more_than_peeked {
  void operator()(spsc_queue<bare, 4>& queue) const {
    for (int i = 0; i < 3; ++i) static_cast<void>(queue.try_emplace(i));
    queue.release(queue.peek(2).size() + 1);
  }
};
using committed_after_a_push = misused<commits_after_a_push>;
using committed_too_much = misused<commits_more_than_reserved>;
using released_after_a_pop = misused<releases_after_a_pop>;
using released_too_much = misused<releases_more_than_peeked>;
MODEL_SCENARIO("spsc_in_place", committed_after_a_push, {.refutes = true});
MODEL_SCENARIO("spsc_in_place", committed_too_much, {.refutes = true});
MODEL_SCENARIO("spsc_in_place", released_after_a_pop, {.refutes = true});
MODEL_SCENARIO("spsc_in_place", released_too_much, {.refutes = true});

}  // namespace
