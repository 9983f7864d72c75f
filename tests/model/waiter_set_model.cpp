// SPDX-License-Identifier: MIT
// Waiters that are called back: nobody waits on while there is something for him, in every execution.
#include <cstddef>
#include <cstdint>
#include <optional>

#include "holdfast/queue/waiter_set.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Its thread sleeps until it is told.
struct woken : waiter {
  woken() : waiter(call) {}
  static void call(waiter& self) noexcept {
    auto& me = static_cast<woken&>(self);
    me.told_.store(1, mo::release);
    me.told_.notify_one();
  }
  void sleep() {
    told_.wait(0, mo::acquire);
    told_.store(0, mo::relaxed);
  }

 private:
  atomic<int> told_{0};
};

// Tokens that threads add, each followed by a notify, and take when they find one.
template <std::size_t Most = 64, std::size_t Places = Most>
struct tokens {
  waiter_set<Most, Places> set;
  atomic<int> there{0};
  woken waiters[3];  // one a thread; here, since whoever tells one may still wake it when it goes on

  void add(int count = 1) {
    there.fetch_add(count, mo::relaxed);  // own: waking must not rest on what the look happens to order
    set.notify(static_cast<std::uint32_t>(count));
  }
  bool take() {
    int seen = there.load(mo::relaxed);
    while (seen > 0) {
      if (there.compare_exchange_strong(seen, seen - 1, mo::relaxed, mo::relaxed)) return true;
    }
    return false;
  }
  void wait(unsigned thread) {
    woken& me = waiters[thread];
    for (;;) {
      const std::optional<std::size_t> place = set.enter(me);
      MODEL_CHECK(place);
      if (take()) return leave(me, *place);
      me.sleep();
      set.vacate(*place);
      if (take()) return;
    }
  }
  // Looks, and does not wait.
  bool look(unsigned thread) {
    woken& me = waiters[thread];
    const std::optional<std::size_t> place = set.enter(me);
    MODEL_CHECK(place);
    const bool has_one = take();
    leave(me, *place);
    return has_one;
  }
  // Told of what it will not look for, it has somebody else look.
  void leave(woken& me, std::size_t place) {
    if (set.leave(place)) return;
    me.sleep();
    set.vacate(place);
    set.notify(1);
  }
  void after(int left) const {
    MODEL_CHECK(there.load(mo::relaxed) == left);
    MODEL_CHECK(set.waiting() == 0);
  }
};

struct one_waits {
  static constexpr unsigned threads = 2;
  tokens<> t;
  void run(unsigned thread) {
    if (thread == 0) {
      t.add();
    } else {
      t.wait(thread);
    }
  }
  void after() { t.after(0); }
};
MODEL_SCENARIO("waiter_set", one_waits, {});

// Again and again, in places that were somebody's.
struct one_waits_twice {
  static constexpr unsigned threads = 2;
  tokens<64, 1> t;
  void run(unsigned thread) {
    for (int i = 0; i < 2; ++i) {
      if (thread == 0) {
        t.add();
      } else {
        t.wait(thread);
      }
    }
  }
  void after() { t.after(0); }
};
MODEL_SCENARIO("waiter_set", one_waits_twice, {});

// Two wait and one adds two tokens, one after the other or at once.
template <bool AtOnce>
struct two_wait {
  static constexpr unsigned threads = 3;
  tokens<> t;
  void run(unsigned thread) {
    if (thread != 0) {
      t.wait(thread);
    } else if (AtOnce) {
      t.add(2);
    } else {
      t.add();
      t.add();
    }
  }
  void after() { t.after(0); }
};
using two_wait_one_by_one = two_wait<false>;
using two_wait_at_once = two_wait<true>;
MODEL_SCENARIO("waiter_set", two_wait_one_by_one, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("waiter_set", two_wait_at_once, {.preemptions = 2, .weak_failures = 0});

// One waits, and two add: each finds somebody to tell, or what the other one told of is looked for.
struct two_tell_one {
  static constexpr unsigned threads = 3;
  tokens<> t;
  void run(unsigned thread) {
    if (thread != 0) return t.add();
    t.wait(thread);
    t.wait(thread);
  }
  void after() { t.after(0); }
};
MODEL_SCENARIO("waiter_set", two_tell_one, {.preemptions = 2, .weak_failures = 0});

// One enters, takes the token that it finds, and leaves; told of the next one on its way out, it has the other one look.
struct told_on_the_way_out {
  static constexpr unsigned threads = 3;
  tokens<> t;
  int taken = 0;
  void run(unsigned thread) {
    if (thread == 0) {
      t.add();
      t.add();
    } else if (thread == 1) {
      taken = t.look(thread) ? 1 : 0;
    } else {
      t.wait(thread);
    }
  }
  void after() { t.after(1 - taken); }
};
MODEL_SCENARIO("waiter_set", told_on_the_way_out, {.preemptions = 2, .weak_failures = 0});

}  // namespace
