// SPDX-License-Identifier: MIT
// Waiting for a place of a bulkhead: each wait ends once, no place is lost or made up, and nobody waits on while one is free, in
// every execution. Places are handed over while those who are to have them give up, are stopped, come, or die.
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "holdfast/exec/co_bulkhead.hpp"
#include "holdfast/policy/bulkhead.hpp"

#include "model/engine/scenario.hpp"
#include "model/lone_coroutine.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Far away: a sleep until then ends at once in some executions, see the model's parking.hpp.
const deadline some_time(time_point::max() - std::chrono::nanoseconds(1));

// A room whose one place is taken; thread 0 leaves it, in most of the scenarios.
struct full_room {
  explicit full_room(std::uint32_t queue, waiting_order order = waiting_order::oldest_first)
      : room({.limit = 1, .queue = queue, .order = order}), held(room.try_acquire()) {}

  bulkhead room;
  bulkhead::permit held;
  plain<int> guarded{0};  // by the one place
  int inside = 0;

  void leave() {
    guarded.set(guarded.get() + 1);
    held.release();
  }
  // As long as there is but one place.
  void use(bulkhead::permit mine) {
    MODEL_CHECK(++inside == 1);
    guarded.set(guarded.get() + 1);
    --inside;
    mine.release();
  }
  bool wait(deadline until = deadline::never()) {
    auto got = room.wait_acquire(until);
    if (!got) {
      MODEL_CHECK(got.refusal == errc::bulkhead_timeout);
      return false;
    }
    use(std::move(got.place));
    return true;
  }
  // B2, and that the mark of those who are gone keeps nobody out.
  void all_is_free(std::uint32_t limit = 1) {
    MODEL_CHECK(room.waiting() == 0);
    MODEL_CHECK(room.in_flight() == 0);
    std::vector<bulkhead::permit> permits;
    for (std::uint32_t i = 0; i < limit; ++i) {
      permits.push_back(room.try_acquire());
      MODEL_CHECK(permits.back());
    }
    MODEL_CHECK(!room.try_acquire());
  }
};

// Its thread sleeps until it is told.
class told_thread : waiter {
 public:
  told_thread() : waiter(note) {}
  std::optional<bulkhead::waiting_place> enter(bulkhead& room, deadline until = some_time) {
    return mine_ = room.enter(*this, until);
  }
  [[nodiscard]] const std::optional<bulkhead::waiting_place>& place() const { return mine_; }
  [[nodiscard]] bool is_told() const { return told_.load(mo::acquire) != 0; }
  bulkhead::admission wait(bulkhead& room) {
    told_.wait(0, mo::acquire);
    MODEL_CHECK(told_.load(mo::relaxed) == 1);
    told_.store(0, mo::relaxed);
    return room.collect(*mine_);
  }

 private:
  static void note(waiter& self) noexcept {
    auto& me = static_cast<told_thread&>(self);
    me.told_.fetch_add(1, mo::release);
    me.told_.notify_one();
  }
  std::optional<bulkhead::waiting_place> mine_;
  atomic<int> told_{0};
};

struct one_waits : full_room {
  static constexpr unsigned threads = 2;
  one_waits() : full_room(1) {}
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else {
      MODEL_CHECK(wait());
    }
  }
  void after() {
    MODEL_CHECK(guarded.get() == 2);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", one_waits, {});

// Two wait for the one place and both get it, the second one from the first.
struct handed_on : full_room {
  static constexpr unsigned threads = 3;
  handed_on() : full_room(2) {}
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else {
      MODEL_CHECK(wait());
    }
  }
  void after() {
    MODEL_CHECK(guarded.get() == 3);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", handed_on, {.preemptions = 0, .weak_failures = 0});

// The place comes while its receiver's deadline does: one of the two ends the wait.
struct granted_or_late : full_room {
  static constexpr unsigned threads = 2;
  granted_or_late() : full_room(1) {}
  bool got = false;
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else {
      got = wait(some_time);
    }
  }
  void after() {
    MODEL_CHECK(guarded.get() == (got ? 2 : 1));
    MODEL_CHECK(room.snapshot().timed_out == (got ? 0 : 1));
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", granted_or_late, {});

// One of two gives up, before or while it is handed the place: the other one gets it in any case (embassy 6964).
struct one_gives_up : full_room {
  static constexpr unsigned threads = 3;
  one_gives_up() : full_room(2) {}
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else {
      MODEL_CHECK(wait(thread == 1 ? some_time : deadline::never()) || thread == 1);
    }
  }
  void after() { all_is_free(); }
};
MODEL_SCENARIO("bulkhead_wait", one_gives_up, {.preemptions = 0, .weak_failures = 0});

// The first in line is stopped while it is handed the place: it has it, or the next one does (shuttle 167).
struct first_is_stopped : full_room {
  static constexpr unsigned threads = 2;
  told_thread first;
  told_thread next;
  bool stopped = false;
  first_is_stopped() : full_room(2) {
    static_cast<void>(first.enter(room));
    static_cast<void>(next.enter(room));
  }
  void run(unsigned thread) {
    if (thread == 0) return leave();
    stopped = room.cancel(*first.place());
    auto got = first.wait(room);
    MODEL_CHECK(static_cast<bool>(got) != stopped);
    if (got) use(std::move(got.place));
  }
  void after() {
    auto got = next.wait(room);
    MODEL_CHECK(got);
    use(std::move(got.place));
    MODEL_CHECK(guarded.get() == (stopped ? 2 : 3));
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", first_is_stopped, {});

// The mark of one who has given up is taken away while the next one comes to wait.
struct mark_goes_while_one_comes : full_room {
  static constexpr unsigned threads = 2;
  told_thread gone;
  mark_goes_while_one_comes() : full_room(2) {
    static_cast<void>(gone.enter(room));
    static_cast<void>(room.cancel(*gone.place()));
  }
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else {
      MODEL_CHECK(wait());
    }
  }
  void after() {
    MODEL_CHECK(gone.wait(room).refusal == errc::cancelled);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", mark_goes_while_one_comes, {.weak_failures = 0});

// Who comes by while the place is left does not push in before who waits, and finds no mark of nobody in the way.
template <bool Waits>
struct one_comes_by : full_room {
  static constexpr unsigned threads = 2;
  told_thread first;
  bool got_in = false;
  one_comes_by() : full_room(1) {
    static_cast<void>(first.enter(room));
    if (!Waits) static_cast<void>(room.cancel(*first.place()));
  }
  void run(unsigned thread) {
    if (thread == 0) return leave();
    if (auto mine = room.try_acquire()) {
      got_in = true;
      use(std::move(mine));
    }
  }
  void after() {
    if (Waits) MODEL_CHECK(!got_in);
    MODEL_CHECK(static_cast<bool>(first.wait(room)) == Waits);
    all_is_free();
  }
};
using one_comes_by_who_waits = one_comes_by<true>;
using one_comes_by_who_is_gone = one_comes_by<false>;
MODEL_SCENARIO("bulkhead_wait", one_comes_by_who_waits, {});
MODEL_SCENARIO("bulkhead_wait", one_comes_by_who_is_gone, {});

// Whoever comes by serves for one who is slow to do so, who then finds the word as he had seen it.
struct one_comes_by_and_serves : full_room {
  static constexpr unsigned threads = 2;
  std::array<told_thread, 2> who;
  std::array<bool, 2> over{};
  one_comes_by_and_serves() : full_room(2) {
    for (told_thread& one : who) static_cast<void>(one.enter(room));
  }
  void take(unsigned number) {
    over[number] = true;
    auto got = who[number].wait(room);
    MODEL_CHECK(got);
    use(std::move(got.place));
  }
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else {
      static_cast<void>(room.try_acquire());
    }
    const unsigned mine = 1 - thread;
    if (who[mine].is_told()) take(mine);
  }
  void after() {
    for (unsigned i = 0; i < 2; ++i) {
      if (!over[i]) take(i);
    }
    MODEL_CHECK(guarded.get() == 3);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", one_comes_by_and_serves, {.weak_failures = 0});

// Of two that wait the first one is served (newest first: the second, if it had come before the place was left).
template <waiting_order Order>
struct in_order : full_room {
  static constexpr unsigned threads = 2;
  told_thread old;
  told_thread young;
  atomic<bool> young_is_there{false};
  bool it_was_seen = false;
  in_order() : full_room(2, Order) { static_cast<void>(old.enter(room)); }
  void run(unsigned thread) {
    if (thread == 1) {
      static_cast<void>(young.enter(room));
      young_is_there.store(true, mo::release);
    } else {
      it_was_seen = young_is_there.load(mo::acquire);
      leave();
    }
  }
  void after() {
    const bool old_waits = room.cancel(*old.place());
    MODEL_CHECK(room.cancel(*young.place()) != old_waits);  // one place, so one of the two
    if (Order == waiting_order::oldest_first) MODEL_CHECK(!old_waits);
    if (Order == waiting_order::newest_first && it_was_seen) MODEL_CHECK(old_waits);
    auto olds = old.wait(room);
    auto youngs = young.wait(room);
    MODEL_CHECK(static_cast<bool>(olds) != old_waits);
    MODEL_CHECK(static_cast<bool>(youngs) == old_waits);
  }
};
using in_order_oldest_first = in_order<waiting_order::oldest_first>;
using in_order_newest_first = in_order<waiting_order::newest_first>;
MODEL_SCENARIO("bulkhead_wait", in_order_oldest_first, {});
MODEL_SCENARIO("bulkhead_wait", in_order_newest_first, {});

// Two leave at the same time, and two wait: each gets a place.
struct two_leave : full_room {
  static constexpr unsigned threads = 2;
  std::array<bulkhead::permit, 2> out;
  std::array<told_thread, 2> who;
  two_leave() : full_room(2) {
    room.set_limit(2);
    out = {std::move(held), room.try_acquire()};
    for (told_thread& one : who) static_cast<void>(one.enter(room));
  }
  void run(unsigned thread) { out[thread].release(); }
  void after() {
    for (told_thread& one : who) MODEL_CHECK(one.wait(room));
    all_is_free(2);
  }
};
MODEL_SCENARIO("bulkhead_wait", two_leave, {.weak_failures = 0});

// B5: a larger limit lets in who waits.
struct limit_grows : full_room {
  static constexpr unsigned threads = 2;
  limit_grows() : full_room(1) {}
  void run(unsigned thread) {
    if (thread == 0) {
      room.set_limit(2);
    } else {
      auto got = room.wait_acquire(deadline::never());
      MODEL_CHECK(got);
      MODEL_CHECK(room.in_flight() == 2);
    }
  }
  void after() {
    held.release();
    all_is_free(2);
  }
};
MODEL_SCENARIO("bulkhead_wait", limit_grows, {});

// B1, B5: a smaller limit and a place that is handed over at the same time: never more inside than the limit that was.
struct limit_shrinks : full_room {
  static constexpr unsigned threads = 3;
  bulkhead::permit other;
  limit_shrinks() : full_room(1) {
    room.set_limit(2);
    other = room.try_acquire();
  }
  void run(unsigned thread) {
    if (thread == 0) {
      room.set_limit(1);
      held.release();
    } else if (thread == 1) {
      other.release();
    } else {
      auto got = room.wait_acquire(deadline::never());
      MODEL_CHECK(got);
      MODEL_CHECK(room.in_flight() <= 2);
    }
  }
  void after() { all_is_free(1); }
};
MODEL_SCENARIO("bulkhead_wait", limit_shrinks, {.preemptions = 1, .weak_failures = 0});

// One place to wait in: who waits there next is another one, and is told for itself.
struct same_place_again : full_room {
  static constexpr unsigned threads = 2;
  told_thread first, second;
  same_place_again() : full_room(1) {}
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
      return;
    }
    for (told_thread* one : {&first, &second}) {
      if (!one->enter(room)) continue;
      auto got = one->wait(room);
      MODEL_CHECK(got);
      use(std::move(got.place));
    }
  }
  void after() {
    MODEL_CHECK(guarded.get() == 3);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", same_place_again, {.preemptions = 1, .weak_failures = 0});

// The same for another thread.
struct one_after_the_other : full_room {
  static constexpr unsigned threads = 3;
  told_thread first;
  told_thread second;
  one_after_the_other() : full_room(1) { static_cast<void>(first.enter(room)); }
  void run(unsigned thread) {
    if (thread == 0) return leave();
    if (thread == 2 && !second.enter(room)) return;  // full
    auto got = (thread == 1 ? first : second).wait(room);
    MODEL_CHECK(got);
    use(std::move(got.place));
  }
  void after() { all_is_free(); }
};
MODEL_SCENARIO("bulkhead_wait", one_after_the_other, {.preemptions = 0, .weak_failures = 0});

// The time is up while the place is handed over: one of the two ends the wait.
struct served_or_expired : full_room {
  static constexpr unsigned threads = 2;
  told_thread first;
  bool expired = false;
  served_or_expired() : full_room(1) { static_cast<void>(first.enter(room)); }
  void run(unsigned thread) {
    if (thread == 0) return leave();
    expired = room.expire(some_time.at()) == 1;
  }
  void after() {
    const auto got = first.wait(room);
    MODEL_CHECK(static_cast<bool>(got) != expired);
    MODEL_CHECK(got.refusal == (expired ? errc::bulkhead_timeout : errc{}));
  }
};
MODEL_SCENARIO("bulkhead_wait", served_or_expired, {});

// The time of one is up who has just gone, and another one without a deadline has come in its place.
struct expired_and_gone : full_room {
  static constexpr unsigned threads = 2;
  told_thread first;
  told_thread next;
  expired_and_gone() : full_room(1) { static_cast<void>(first.enter(room)); }
  void run(unsigned thread) {
    if (thread == 0) {
      static_cast<void>(room.expire(some_time.at()));
    } else {
      static_cast<void>(room.cancel(*first.place()));
      static_cast<void>(first.wait(room));
      MODEL_CHECK(next.enter(room, deadline::never()));
    }
  }
  void after() { MODEL_CHECK(room.cancel(*next.place())); }
};
MODEL_SCENARIO("bulkhead_wait", expired_and_gone, {});

coroutine visit(full_room& in, own_thread& where, bool& ended) {
  auto got = co_await co_acquire(in.room, where);
  MODEL_CHECK(got);
  in.use(std::move(got.place));
  ended = true;
}

// A coroutine and a thread wait for the place in one line.
struct coroutine_and_thread : full_room {
  static constexpr unsigned threads = 3;
  own_thread where;
  coroutine_and_thread() : full_room(2) {}
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
    } else if (thread == 1) {
      MODEL_CHECK(wait());
    } else {
      bool ended = false;
      visit(*this, where, ended);
      where.run(ended);
    }
  }
  void after() {
    MODEL_CHECK(guarded.get() == 3);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", coroutine_and_thread, {.preemptions = 0, .weak_failures = 0});

// A coroutine that one thread begins goes on in the one that leaves, which may come while it is still about to suspend.
struct goes_on_elsewhere : full_room {
  static constexpr unsigned threads = 2;
  own_thread where;
  bool ended = false;
  goes_on_elsewhere() : full_room(1) {}
  void run(unsigned thread) {
    if (thread == 0) {
      leave();
      where.run_what_is_there();
    } else {
      visit(*this, where, ended);
    }
  }
  void after() {
    where.run_what_is_there();
    MODEL_CHECK(ended);
    MODEL_CHECK(guarded.get() == 2);
    all_is_free();
  }
};
MODEL_SCENARIO("bulkhead_wait", goes_on_elsewhere, {});

// One dies at any of its steps, and the others lose at most the place that it held or was handing over, and the one that is handed
// to it in the line.
struct death_while_waiting : full_room {
  static constexpr unsigned threads = 2;
  told_thread who;
  death_while_waiting() : full_room(2) {}
  void run(unsigned thread) {
    if (thread == 0) {
      held.release();
    } else {
      static_cast<void>(who.enter(room));
      const bool in_vain = room.cancel(*who.place());
      // Whoever served it may die before it tells it.
      MODEL_CHECK(static_cast<bool>(room.collect(*who.place())) != in_vain);
    }
  }
  void after() { all_is_free(); }
  void after_death(unsigned dead) {
    MODEL_CHECK(room.in_flight() <= 1);
    // Who died when it had left has looked for nobody who waits; whoever comes by does.
    if (dead == 0 && room.in_flight() == 0) MODEL_CHECK(room.try_acquire());
    room.set_limit(3);
    MODEL_CHECK(room.waiting() <= 1);  // who died in line before it had said so
    std::vector<bulkhead::permit> permits;
    for (auto mine = room.try_acquire(); mine; mine = room.try_acquire()) permits.push_back(std::move(mine));
    MODEL_CHECK(permits.size() >= (dead == 1 ? 1 : 2));
    MODEL_CHECK(permits.size() <= 3);
  }
};
MODEL_SCENARIO("bulkhead_wait", death_while_waiting, {.weak_failures = 0});

}  // namespace
