// SPDX-License-Identifier: MIT
// The word of a limiter is changed by read-modify-writes alone, so it has one value at any moment of an execution. A
// snapshot taken at a time before it tells it exactly: `full_in` is how far it lies ahead.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "holdfast/policy/rate_limiter.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point at(std::int64_t ns) {
  return time_point(duration(ns));
}
// A permit each `period` nanoseconds.
constexpr rate_limiter_options each(std::int64_t period, std::uint32_t burst) {
  return {.permits = 1, .per = duration(period), .burst = burst};
}

struct watched_limiter {
  explicit watched_limiter(const rate_limiter_options& o) : limiter(o), rate(o) {}

  struct grant {
    std::int64_t start, from, until;
  };
  rate_limiter limiter;
  gcra rate;
  std::array<grant, 8> kept{};
  unsigned grants = 0;
  std::int64_t permits = 0;  // of those
  unsigned refused = 0;

  // The permits that are taken before the threads begin.
  void begin_with(std::uint32_t taken, std::int64_t now) {
    for (std::uint32_t i = 0; i < taken; ++i) MODEL_CHECK(limiter.try_take(at(now)));
  }
  [[nodiscard]] std::int64_t word() const { return limiter.snapshot(at(0)).full_in.count(); }

  bool take(std::int64_t now, std::uint32_t cost = 1) {
    const rate_answer a = limiter.try_take(at(now), cost);
    if (a) {
      ++grants;
      permits += cost;
    } else {
      MODEL_CHECK(a.code == errc::rate_limited);
      MODEL_CHECK(a.retry_after.count() > 0);
      ++refused;
    }
    return static_cast<bool>(a);
  }
  // By a reservation, which shows what it owns. What is given back is not kept.
  rate_reservation reserve(std::int64_t now, std::int64_t longest, std::uint32_t cost = 1) {
    rate_reservation r = limiter.reserve(at(now), duration(longest), cost);
    if (!r) {
      ++refused;
      return r;
    }
    const std::int64_t start = r.starts_at.time_since_epoch().count();
    MODEL_CHECK(start >= now);
    MODEL_CHECK(start <= now + longest);
    MODEL_CHECK(r.taken.from == std::max(r.taken.before, now));
    MODEL_CHECK(r.taken.from >= start);                 // so that no call begins in time that is owned by another
    MODEL_CHECK(r.taken.until <= start + rate.full());  // nor earlier than a burst before what it owns
    MODEL_CHECK(r.taken.until - r.taken.from == cost * rate.period());
    return r;
  }
  void keep(const rate_reservation& r, std::uint32_t cost = 1) {
    if (!r) return;
    kept[grants++] = {r.starts_at.time_since_epoch().count(), r.taken.from, r.taken.until};
    permits += cost;
  }
  // G1 follows: no two own the same time.
  void nothing_is_owned_twice() const {
    for (unsigned a = 0; a < grants; ++a) {
      for (unsigned b = 0; b < a; ++b) MODEL_CHECK(kept[a].until <= kept[b].from || kept[b].until <= kept[a].from);
    }
  }
};

// One permit for three: one gets it, and the others are told when the next one comes.
struct last_permit : watched_limiter {
  static constexpr unsigned threads = 3;

  last_permit() : watched_limiter(each(10, 1)) {}
  void run(unsigned) {
    const rate_answer a = limiter.try_take(at(100));
    if (a) {
      ++grants;
    } else {
      MODEL_CHECK(a.retry_after == duration(10));
    }
  }
  void after() {
    MODEL_CHECK(grants == 1);
    MODEL_CHECK(word() == 110);
  }
};
MODEL_SCENARIO("rate_limiter", last_permit, {});

// Two permits, and three who want one or two of them: all or nothing, and nobody is refused for nothing.
struct three_costs : watched_limiter {
  static constexpr unsigned threads = 3;
  std::array<std::uint32_t, 3> wanted{};  // by those who were refused

  three_costs() : watched_limiter(each(10, 2)) {}
  void run(unsigned thread) {
    const std::uint32_t cost = 1 + choose(2);
    if (!take(100, cost)) wanted[thread] = cost;
  }
  void after() {
    MODEL_CHECK(permits >= 1);
    MODEL_CHECK(permits <= 2);
    for (const std::uint32_t cost : wanted) MODEL_CHECK(cost == 0 || permits + cost > 2);
    MODEL_CHECK(word() == 100 + 10 * permits);
  }
};
MODEL_SCENARIO("rate_limiter", three_costs, {});

// Time has earned one permit for one thread and two for another; the reading of the third is older than what was taken.
struct time_and_an_older_now : watched_limiter {
  static constexpr unsigned threads = 3;

  time_and_an_older_now() : watched_limiter(each(10, 2)) { begin_with(2, 100); }
  void run(unsigned thread) {
    constexpr std::array<std::int64_t, 3> now{110, 120, 105};
    const bool granted = take(now[thread]);
    MODEL_CHECK(thread != 1 || granted);
    MODEL_CHECK(thread != 2 || !granted);
  }
  void after() { MODEL_CHECK(word() == 120 + 10 * permits); }
};
MODEL_SCENARIO("rate_limiter", time_and_an_older_now, {});

// The limiter stood still for long: an older reading sets nothing back.
struct older_now_at_rest : watched_limiter {
  static constexpr unsigned threads = 3;

  older_now_at_rest() : watched_limiter(each(10, 1)) {}
  void run(unsigned thread) { take(thread == 0 ? 200 : 100); }
  void after() {
    MODEL_CHECK(permits >= 1);
    MODEL_CHECK(permits <= 2);
    MODEL_CHECK(word() == 210);
  }
};
MODEL_SCENARIO("rate_limiter", older_now_at_rest, {});

// One takes and gives back, one takes and keeps, and one does either: nobody's time is given away, and the books balance.
struct given_back_beside_takers : watched_limiter {
  static constexpr unsigned threads = 3;

  given_back_beside_takers() : watched_limiter(each(10, 3)) {}
  void run(unsigned thread) {
    rate_reservation r = reserve(100, 0);
    MODEL_CHECK(r);
    const bool unused = thread == 0 || (thread == 1 && choose(2) == 0);
    if (!unused || !limiter.give_back(r)) {
      keep(r);
    } else {
      MODEL_CHECK(!limiter.give_back(r));
    }
  }
  void after() {
    MODEL_CHECK(permits >= 1);
    nothing_is_owned_twice();
    // What was given back and not taken again lies on top.
    MODEL_CHECK(word() == 100 + 10 * permits);
    while (take(100)) {
    }
    MODEL_CHECK(permits == 3);
  }
};
MODEL_SCENARIO("rate_limiter", given_back_beside_takers, {});

// One with a newer reading takes and gives back: for who comes with an older one it is then as if it had not been there.
struct given_back_by_the_newest : watched_limiter {
  static constexpr unsigned threads = 2;

  given_back_by_the_newest() : watched_limiter(each(10, 1)) {}
  void run(unsigned thread) {
    if (thread == 1) {
      take(100);
      return;
    }
    rate_reservation r = reserve(200, 0);
    MODEL_CHECK(r);
    MODEL_CHECK(limiter.give_back(r));
  }
  void after() {
    MODEL_CHECK(grants == 1 || take(100));
    MODEL_CHECK(word() == 110);
  }
};
MODEL_SCENARIO("rate_limiter", given_back_by_the_newest, {});

// A permit that is dropped, one that is kept, and a take.
struct dropped_and_kept : watched_limiter {
  static constexpr unsigned threads = 3;

  dropped_and_kept() : watched_limiter(each(10, 3)) {}
  void run(unsigned thread) {
    if (thread == 2) {
      MODEL_CHECK(take(100));
      return;
    }
    auto a = limiter.admit(at(100));
    MODEL_CHECK(a);
    rate_limiter::permit moved(std::move(a.ticket));
    MODEL_CHECK(!a.ticket);
    if (thread == 1) moved.keep();
  }
  void after() {
    // The dropped one is free again, unless somebody took after it.
    MODEL_CHECK(word() == 120 || word() == 130);
  }
};
MODEL_SCENARIO("rate_limiter", dropped_and_kept, {});

// Two who can wait and one who cannot: they begin a period apart, in the order in which they were granted.
struct reserved_and_taken : watched_limiter {
  static constexpr unsigned threads = 3;

  reserved_and_taken() : watched_limiter(each(10, 1)) {}
  void run(unsigned thread) {
    if (thread == 2) {
      keep(reserve(100, 0));
    } else {
      rate_reservation r = reserve(100, 20);
      MODEL_CHECK(r);
      keep(r);
    }
  }
  void after() {
    MODEL_CHECK(grants + refused == 3);
    MODEL_CHECK(grants >= 2);
    nothing_is_owned_twice();
    for (unsigned a = 0; a < grants; ++a) {
      MODEL_CHECK(kept[a].start < 100 + 10 * std::int64_t{grants});
      for (unsigned b = 0; b < a; ++b) MODEL_CHECK(kept[a].start != kept[b].start);
    }
    MODEL_CHECK(word() == 100 + 10 * permits);
  }
};
MODEL_SCENARIO("rate_limiter", reserved_and_taken, {});

// A faster rate beside a take and an observer. The take goes by one of the two, and what it owes by the slow one is cut.
struct faster_rate : watched_limiter {
  static constexpr unsigned threads = 3;

  faster_rate() : watched_limiter(each(10, 2)) { begin_with(2, 100); }
  void run(unsigned thread) {
    if (thread == 0) {
      limiter.set_rate(at(100), each(1, 2));
    } else if (thread == 1) {
      MODEL_CHECK(limiter.try_take(at(120)));
    } else {
      const rate_snapshot s = limiter.snapshot(at(100));
      MODEL_CHECK(s.period == duration(10) || s.period == duration(1));
      // Who sees what was cut sees by what.
      if (s.full_in == duration(3)) MODEL_CHECK(s.period == duration(1));
    }
  }
  void after() {
    MODEL_CHECK(limiter.snapshot(at(100)).period == duration(1));
    MODEL_CHECK(word() == 103 || word() == 121);  // before the cut, or after it; never a span of the old rate after it
  }
  // The one who sets it may die between the two steps: the rate is new, and what was owed is owed in time.
  void after_death(unsigned) {
    const std::int64_t owed = word();
    MODEL_CHECK(owed == 103 || owed == 120 || owed == 121 || owed == 130);
    // Another rate cuts it. The same one does not, whether the dead had come to that or not.
    if (limiter.snapshot(at(100)).period == duration(1)) {
      limiter.set_rate(at(100), each(1, 2));
      MODEL_CHECK(word() == owed);
    }
    limiter.set_rate(at(100), each(2, 2));
    MODEL_CHECK(word() <= 106);
    MODEL_CHECK(limiter.try_take(at(106)));
  }
};
MODEL_SCENARIO("rate_limiter", faster_rate, {});

// A slower rate, where nothing is to be cut: whoever has computed by the old one computes again all the same. Beside the
// change one may look by the old rate at what another has taken by the new one, and be refused.
struct slower_rate : watched_limiter {
  static constexpr unsigned threads = 3;

  slower_rate() : watched_limiter(each(1, 3)) { begin_with(1, 100); }
  void run(unsigned thread) {
    if (thread == 0) {
      limiter.set_rate(at(100), each(10, 3));
    } else {
      take(100);
    }
  }
  void after() {
    MODEL_CHECK(grants >= 1);
    // The takes own one nanosecond each, or ten; and one is added by the change.
    const std::int64_t owned = word() - 102;
    MODEL_CHECK(grants == 1 ? owned == 1 || owned == 10 : owned == 2 || owned == 11 || owned == 20);
    MODEL_CHECK(limiter.snapshot(at(100)).period == duration(10));
  }
  void after_death(unsigned) {
    MODEL_CHECK(word() >= 101);
    MODEL_CHECK(word() <= 122);
  }
};
MODEL_SCENARIO("rate_limiter", slower_rate, {});

// Once a change has returned, no take goes by the old rate, not even one that began before it.
struct rate_changed : watched_limiter {
  static constexpr unsigned threads = 2;
  bool changed = false;

  rate_changed() : watched_limiter(each(1, 3)) { begin_with(1, 100); }
  void run(unsigned thread) {
    if (thread == 0) {
      limiter.set_rate(at(100), each(10, 3));
      changed = true;
    } else {
      const rate_reservation r = limiter.reserve(at(100), duration(0));
      MODEL_CHECK(r);
      MODEL_CHECK(!changed || r.taken.until - r.taken.from == 10);
    }
  }
  void after() { MODEL_CHECK(word() == 103 || word() == 112); }
};
MODEL_SCENARIO("rate_limiter", rate_changed, {});

// The clock stands still, and what is owed is cut to where a burst of the new rate ends, as a permit of the old one did:
// that one is not given back.
struct cut_to_where_a_permit_ended : watched_limiter {
  static constexpr unsigned threads = 2;
  rate_reservation first;
  bool returned = false;

  cut_to_where_a_permit_ended() : watched_limiter(each(10, 2)) {
    first = reserve(100, 0);
    begin_with(1, 100);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      limiter.set_rate(at(100), each(5, 2));
    } else {
      returned = limiter.give_back(first);
    }
  }
  void after() {
    MODEL_CHECK(!returned);
    MODEL_CHECK(word() == 111);
  }
};
MODEL_SCENARIO("rate_limiter", cut_to_where_a_permit_ended, {});

// Two change it at the same time: one of the two holds in the end, and what is owed is cut to what that one allows.
struct two_rates : watched_limiter {
  static constexpr unsigned threads = 3;

  two_rates() : watched_limiter(each(100, 2)) { begin_with(2, 1000); }
  void run(unsigned thread) {
    if (thread < 2) {
      limiter.set_rate(at(1000), each(thread == 0 ? 10 : 1, 2));
    } else {
      take(1100);
    }
  }
  void after() {
    const rate_snapshot s = limiter.snapshot(at(1000));
    MODEL_CHECK(s.period == duration(10) || s.period == duration(1));
    // Cut by both, in either order, and a nanosecond on top by the second; or the take came last.
    MODEL_CHECK(word() <= 1021 || (grants == 1 && word() == 1100 + s.period.count()));
  }
};
MODEL_SCENARIO("rate_limiter", two_rates, {});

// Lock-free: one dies at any of its steps. What it was taking is taken or not; nobody else notices.
struct death_of_a_taker : watched_limiter {
  static constexpr unsigned threads = 3;

  death_of_a_taker() : watched_limiter(each(10, 4)) {}
  void run(unsigned thread) { take(100, thread == 0 ? 2 : 1); }
  void after() {
    MODEL_CHECK(permits == 4);
    MODEL_CHECK(word() == 140);
  }
  void after_death(unsigned dead) {
    const std::int64_t of_the_dead = dead == 0 ? 20 : 10;
    MODEL_CHECK(word() == 100 + 10 * permits || word() == 100 + 10 * permits + of_the_dead);
    MODEL_CHECK(refused == 0);
  }
};
MODEL_SCENARIO("rate_limiter", death_of_a_taker, {});

}  // namespace
