// SPDX-License-Identifier: MIT
// Flights: of those who want one key one leads, whichever words of the set they find free; results are seen by whoever finds
// a flight over; nobody sleeps on; leaders die, are too late, and are forgotten.
#include <array>
#include <cstdint>
#include <utility>

#include "holdfast/policy/single_flight.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point start{std::chrono::hours(1)};
constexpr duration lease = std::chrono::seconds(1);

// Small enough for all executions, and large enough for a key to find one of two words.
using few_flights = basic_single_flight<2>;

// One set. A lead that leads() is counted in the turn in which it is got and in which it is given up, so F1 is checked at
// each moment.
struct flights_of_one_set {
  few_flights flights{{.flights = 2, .lease = lease}};
  unsigned leading = 0;
  unsigned fetches = 0;
  plain<int> result;

  few_flights::joined join(time_point now = start) { return flights.join(1, now); }
  // A whole flight, with a result.
  void fetch(few_flights::lead mine) {
    MODEL_CHECK(++leading == 1);  // F1
    ++fetches;
    result.set(result.get() + 1);
    --leading;
    MODEL_CHECK(mine.end());
  }
};

// --- one lead

template <unsigned Threads, bool Wait>
struct all_want_one : flights_of_one_set {
  static constexpr unsigned threads = Threads;
  unsigned followed = 0;
  void run(unsigned) {
    auto joined = join();
    if (joined.mine) return fetch(std::move(joined.mine));
    MODEL_CHECK(joined.other);
    ++followed;
    if (Wait && joined.other.wait(deadline(start))) MODEL_CHECK(joined.other.over());
  }
  void after() {
    MODEL_CHECK(fetches >= 1);
    MODEL_CHECK(fetches + followed == Threads);
    MODEL_CHECK(result.get() == static_cast<int>(fetches));  // each saw the last one's
    MODEL_CHECK(flights.busy() == 0);
    MODEL_CHECK(join().mine);
  }
  // Whatever was left in the middle, the lease ends it.
  void after_death(unsigned) {
    auto next = join(start + lease * 2).mine;
    MODEL_CHECK(next);
    MODEL_CHECK(next.end());
  }
};
using two_want_one = all_want_one<2, false>;
using two_wait_for_one = all_want_one<2, true>;
using three_want_one = all_want_one<3, false>;
MODEL_SCENARIO("single_flight", two_want_one, {.weak_failures = 0});
// Who sleeps for a dead leader is woken by the clock, which not every execution has.
MODEL_SCENARIO("single_flight", two_wait_for_one, {.weak_failures = 0, .dies = false});
MODEL_SCENARIO("single_flight", three_want_one, {.preemptions = 1, .weak_failures = 0, .dies = false});

// A place before the others comes free while they look for one: two may claim, and one leads.
template <unsigned Threads>
struct place_comes_free : flights_of_one_set {
  static constexpr unsigned threads = Threads;
  few_flights::lead in_the_way = flights.join(2, start).mine;
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(in_the_way.end());
      return;
    }
    auto joined = join();
    if (joined.mine) return fetch(std::move(joined.mine));
    MODEL_CHECK(joined.other);
  }
  void after() {
    MODEL_CHECK(fetches >= 1);
    MODEL_CHECK(result.get() == static_cast<int>(fetches));
    MODEL_CHECK(join().mine);
  }
};
using place_comes_free_for_two = place_comes_free<3>;
MODEL_SCENARIO("single_flight", place_comes_free_for_two, {.preemptions = 2, .weak_failures = 0});

// One whose reading of the clock is a lease old claims beside one who knows better: an overdue claim is ended, or is taken over.
struct claimed_by_an_old_clock : flights_of_one_set {
  static constexpr unsigned threads = 2;
  few_flights::lead in_the_way = flights.join(2, start).mine;
  bool counted = false;
  bool leads_now = false;
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(in_the_way.end());
      auto mine = join().mine;
      counted = mine.end();
    } else {
      auto mine = join(start + lease * 2).mine;
      leads_now = static_cast<bool>(mine);
      MODEL_CHECK(mine.end() || !leads_now);
    }
  }
  void after() {
    MODEL_CHECK(counted || leads_now);
    MODEL_CHECK(join().mine);
  }
};
MODEL_SCENARIO("single_flight", claimed_by_an_old_clock, {.weak_failures = 0});

// --- followers

// Who follows sleeps until the flight is over, and sees its result. An abandoned flight is over too. [L2] [L5]
template <bool Abandoned>
struct followed : flights_of_one_set {
  static constexpr unsigned threads = 2;
  few_flights::lead mine = join().mine;
  few_flights::follower other = join().other;
  void run(unsigned thread) {
    if (thread == 0) {
      result.set(1);
      if (Abandoned) {
        mine = {};
      } else {
        MODEL_CHECK(mine.end());
      }
    } else if (other.wait(deadline(start))) {
      MODEL_CHECK(result.get() == 1);
      MODEL_CHECK(other.over());
    }
  }
  void after() { MODEL_CHECK(join().mine); }
};
using followed_to_its_end = followed<false>;
using followed_and_abandoned = followed<true>;
MODEL_SCENARIO("single_flight", followed_to_its_end, {.weak_failures = 0});
MODEL_SCENARIO("single_flight", followed_and_abandoned, {.weak_failures = 0});

// Two sleep for one flight: both are woken, or give up by themselves, which does not matter to the other.
struct followed_by_two : flights_of_one_set {
  static constexpr unsigned threads = 3;
  few_flights::lead mine = join().mine;
  few_flights::follower other = join().other;
  void run(unsigned thread) {
    if (thread == 0) {
      result.set(1);
      MODEL_CHECK(mine.end());
    } else if (other.wait(deadline(start))) {
      MODEL_CHECK(result.get() == 1);
    }
  }
  void after() { MODEL_CHECK(join().mine); }
};
MODEL_SCENARIO("single_flight", followed_by_two, {.preemptions = 2, .weak_failures = 0});

// A look that does not wait. [L4]
struct looked_at : flights_of_one_set {
  static constexpr unsigned threads = 2;
  few_flights::lead mine = join().mine;
  few_flights::follower other = join().other;
  void run(unsigned thread) {
    if (thread == 0) {
      result.set(1);
      MODEL_CHECK(mine.end());
    } else if (other.over()) {
      MODEL_CHECK(result.get() == 1);
    }
  }
  void after() {}
};
MODEL_SCENARIO("single_flight", looked_at, {});

// --- leases

// The lease is over: one of two takes it over, and the late leader's result counts only if it was before them.
struct taken_over : flights_of_one_set {
  static constexpr unsigned threads = 3;
  few_flights::lead late = join().mine;
  few_flights::follower of_late = join().other;
  bool in_time = false;
  unsigned taken = 0;
  void run(unsigned thread) {
    if (thread == 0) {
      in_time = late.end();
      return;
    }
    auto joined = join(start + lease * 2);
    if (!joined.mine) {
      MODEL_CHECK(joined.other);
      return;
    }
    ++taken;
    fetch(std::move(joined.mine));
  }
  void after() {
    MODEL_CHECK(taken >= 1);
    MODEL_CHECK(of_late.over());
    MODEL_CHECK(in_time || flights.taken_over() == 1);
    MODEL_CHECK(result.get() == static_cast<int>(fetches));
  }
};
MODEL_SCENARIO("single_flight", taken_over, {.preemptions = 2, .weak_failures = 0});

// Who sleeps for a flight is woken by whoever takes it over.
struct taken_over_while_followed : flights_of_one_set {
  static constexpr unsigned threads = 2;
  few_flights::lead late = join().mine;
  few_flights::follower of_late = join().other;
  void run(unsigned thread) {
    if (thread == 0) {
      auto joined = join(start + lease * 2);
      MODEL_CHECK(joined.mine);
      fetch(std::move(joined.mine));
    } else {
      static_cast<void>(of_late.wait(deadline(start)));
    }
  }
  void after() { MODEL_CHECK(!late.end()); }
};
MODEL_SCENARIO("single_flight", taken_over_while_followed, {.weak_failures = 0});

// --- forgotten

// What is fetched changes, and the key is forgotten: a leader that has fetched what was before is told, or has ended, and then
// what it kept is there to be erased. [L2] [L3] [L6] [L7] [L8]
struct forgotten : flights_of_one_set {
  static constexpr unsigned threads = 2;
  atomic<int> source{1};
  atomic<int> kept{0};  // where the results are put
  void run(unsigned thread) {
    if (thread == 0) {
      auto mine = join().mine;
      if (!mine) return;
      const int fetched = source.load(mo::relaxed);
      kept.store(fetched, mo::relaxed);
      if (!mine.end()) kept.store(0, mo::relaxed);
    } else {
      source.store(2, mo::relaxed);
      flights.forget(1);
      if (kept.load(mo::relaxed) == 1) kept.store(0, mo::relaxed);
    }
  }
  void after() { MODEL_CHECK(kept.load(mo::relaxed) != 1); }
};
MODEL_SCENARIO("single_flight", forgotten, {.weak_failures = 0});

// The key flies again, in the same word and with the same lease: the one that was forgotten does not end that.
struct forgotten_and_flown_again : flights_of_one_set {
  static constexpr unsigned threads = 2;
  few_flights::lead first = join().mine;
  void run(unsigned thread) {
    if (thread == 0) {
      flights.forget(1);
      auto second = join().mine;
      MODEL_CHECK(second);
      fetch(std::move(second));
    } else {
      static_cast<void>(first.end());
    }
  }
  void after() {
    MODEL_CHECK(fetches == 1);
    MODEL_CHECK(join().mine);
  }
};
MODEL_SCENARIO("single_flight", forgotten_and_flown_again, {});

struct forgotten_while_followed : flights_of_one_set {
  static constexpr unsigned threads = 2;
  few_flights::lead mine = join().mine;
  few_flights::follower other = join().other;
  void run(unsigned thread) {
    if (thread == 0) {
      flights.forget(1);
      MODEL_CHECK(!mine.leads());
    } else {
      static_cast<void>(other.wait(deadline(start)));
    }
  }
  void after() { MODEL_CHECK(!mine.end()); }
};
MODEL_SCENARIO("single_flight", forgotten_while_followed, {.weak_failures = 0});

}  // namespace
