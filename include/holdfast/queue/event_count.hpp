// SPDX-License-Identifier: MIT
// event_count: lets threads sleep until a condition holds that others make true without a lock, such as "there is an item".
//
//   operation             caller       progress               allocates   cost
//   awaited, notify(n)    any thread   wait-free if nobody    never       nobody sleeps: two loads and branches, no system call;
//                                      sleeps, else                       else one exchange, and one system call for those who
//                                      lock-free                          have not been woken yet
//   notify_one            any thread   as notify(1)           never
//   notify_all            any thread   as notify              never
//   wait(until, holds,    any thread   blocking               never       looks, then pauses or gives its processor away and
//        [plenty])                                                       looks, then sleeps
//   sleepers, spacing     any thread   wait-free              never       a load
//
// In short: any thread | wait-free where nobody sleeps; who waits, sleeps | never | the deadline has passed
//
// Whoever makes the condition true calls notify afterwards. wait() returns true as soon as holds() has returned true, and
// false if the deadline has passed and the last holds() was false; a deadline that has passed already means one look. holds() is
// called by the waiting thread alone, any number of times, and may do what is waited for (take the item, say).
//
// No wake-up is lost: if a notify comes after the condition was made true, then whoever waits for it looks again after
// that. notify(n) has n of the sleepers look; notify_all has all of them. To have one look is enough where each change is
// used up by one thread that looks (an item). Where a change concerns everybody (the end), take notify_all.
//
// When to use it: to wait for a queue (queue/waiting_queue.hpp does it for you), or for anything else that is looked at without
// a lock. Not between processes. Not where waits are the rule and changes are rare and large: a condition variable is
// easier. A sleeper that dies with its thread cancelled would be counted for ever: threads are not cancelled.
//
// Memory: 24 bytes. At most 65,535 threads sleep on one; further ones look again every millisecond.
//
// Method: an event count (Reed, Kanodia, "Synchronization with eventcounts and sequencers", 1979; in folly and Eigen since) that
// counts sleepers and, of those, how many have been told to look: so a burst of notifies makes one system call for a sleeper
// and not one for each notify until it runs. A sleeper registers before its last look, and the notifier looks for sleepers after
// its change; between those two steps both need a fence, and the sleeper, who has time, pays for both
// (core/asymmetric_fence.hpp).
//
// Before it sleeps, a waiter looks a few times more. How far apart is learnt, if the third argument of wait() says what there is:
// twice as far where the first of these looks found what was waited for and plenty(apart) more of it, and half as far where it did
// not. A reader of a stream that looks again at once finds one item, and its looks slow down the writer, so that there is one
// item the next time, too; where it leaves the writer alone for a moment, there are many. So in a stream the looks come to be
// `widest_spacing` pauses apart (bench/waiting_bench.cpp), and where an answer is waited for they stay one to four apart.
//
// Proof: model/event_count_model.cpp (with and without membarrier; each is woken, whatever times out), unit/event_count_test.cpp,
// stress/waiting_stress.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// How often wait() looks again before it sleeps: so often after a pause of the processor (the first few times after spacing()
// pauses), and then so often after having given it to another thread that is ready to run. Of both the longest is worth about
// what a sleep and a wake-up cost. Few of the first: there may be more threads than processors; giving away what nobody wants
// takes less than a microsecond (bench/waiting_bench.cpp).
struct before_sleep {
  unsigned pauses = 4;
  unsigned yields = 40;
};
inline constexpr before_sleep sleep_at_once{0, 0};

// Most: fewer sleepers than there is room for, so that a test can have too many.
template <std::uint32_t Most = 0xFFFF>
class basic_event_count {
  static_assert(Most >= 1 && Most <= 0xFFFF, "event_count: a sleeper is counted in sixteen bits");

 public:
  explicit constexpr basic_event_count(before_sleep looks = {}) noexcept : looks_(looks) {}
  basic_event_count(const basic_event_count&) = delete;
  basic_event_count& operator=(const basic_event_count&) = delete;

  // ---- who has made the condition true

  // Is there anybody to be told? In two steps for those who do more for a sleeper than for nobody: the change is made, then
  // `if (awaited()) wake(n)`, which is what notify does.
  [[nodiscard, gnu::always_inline]] bool awaited() const noexcept {
    asymmetric_fence_light();  // [W1] pairs with [W2]: the change is seen by the sleeper's last look, or the sleeper here
    return any_of(word_.load(mo::relaxed));  // hint: as in sleepers()
  }
  [[gnu::noinline, gnu::cold]] void wake(std::uint32_t looks) noexcept {
    if (const std::uint32_t more = tell(looks, false); more != 0) unpark(word_, more);
  }
  [[gnu::always_inline]] void notify(std::uint32_t looks) noexcept {
    if (awaited()) [[unlikely]]
      wake(looks);
  }
  void notify_one() noexcept { notify(1); }
  void notify_all() noexcept {
    if (!awaited()) return;
    static_cast<void>(tell(most_sleepers, true));
    unpark(word_, most_sleepers);
  }

  // ---- who waits for it

  template <class Condition>
  bool wait(deadline until, Condition&& holds) {
    return wait(until, holds, [](std::uint32_t /*apart*/) { return false; });
  }
  // plenty(apart): after a successful look, `apart` pauses after the one before, is there so much more that it was worth it?
  template <class Condition, class Plenty>
  bool wait(deadline until, Condition&& holds, Plenty&& plenty) {
    if (holds()) return true;
    if (passed(until)) return false;
    const std::uint32_t apart = spacing();
    unsigned since = 0;
    for (unsigned i = 0; i < looks_.pauses; ++i) {
      cpu_relax();
      if (i < spaced_looks) cpu_pause(apart - 1);
      const bool done = holds();
      if (i == 0) learn(apart, done && plenty(apart));
      if (done) return true;
      since += i < spaced_looks ? apart : 1;
      if (since >= 64) {
        if (passed(until)) return false;
        since = 0;
      }
    }
    for (unsigned i = 0; i < looks_.yields; ++i) {
      give_way();
      if (holds()) return true;
      if (passed(until)) return false;
    }
    return sleep(until, holds);
  }

  [[nodiscard]] std::uint32_t sleepers() const noexcept {
    // hint: for an observer; and for a notifier, whom the fence before it makes see a sleeper, or the exchange behind it decide
    return sleepers_of(word_.load(mo::relaxed));
  }
  // How many pauses the next one to wait makes before each of its first few looks.
  [[nodiscard]] std::uint32_t spacing() const noexcept {
    return spacing_.load(mo::relaxed);  // hint: any of its values will do
  }
  static constexpr std::uint32_t widest_spacing = 32;
  static constexpr unsigned spaced_looks = 4;

 private:
  // The word: a number that changes whenever somebody is told, which sleepers sleep on; how many are registered as sleepers;
  // and how many of those have been told to look and have not taken notice of it yet. It is only ever changed by
  // read-modify-writes, so whoever acquires it has what every notifier before had made true.
  static constexpr std::uint64_t one_sleeper = std::uint64_t{1} << 32U;
  static constexpr std::uint64_t one_told = std::uint64_t{1} << 48U;
  static constexpr std::uint32_t most_sleepers = 0xFFFF;
  static constexpr std::uint32_t sleepers_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32U) & most_sleepers;
  }
  // Who has been told is a sleeper too, so this needs no mask.
  static constexpr bool any_of(std::uint64_t word) noexcept { return word >> 32U != 0; }
  static constexpr std::uint32_t told_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 48U);
  }
  static constexpr std::uint64_t another_number(std::uint64_t word) noexcept {
    return (word & ~std::uint64_t{0xFFFFFFFF}) | static_cast<std::uint32_t>(word + 1);
  }

  // Tells so many more, as far as they are there; how many they are. Who is between its last look and its sleep does not fall
  // asleep then; `all`: nor where nobody is left to be told.
  std::uint32_t tell(std::uint32_t looks, bool all) noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the exchange below checks it
    for (;;) {
      const std::uint32_t more = std::min(looks, sleepers_of(seen) - told_of(seen));
      // All that are there may have been told already, and not looked yet. The exchange is made nevertheless, so that they,
      // and whoever registers from now on, see the change.
      const std::uint64_t next = more != 0 || all ? another_number(seen) + more * one_told : seen;
      // [W3] release, pairs with [W4] and [W5]: the change is seen by those who were told. On failure relaxed, own: it is
      // only to be tried again
      if (word_.compare_exchange_weak(seen, next, mo::release, mo::relaxed)) return more;
    }
  }

  // A store only where it changes, so that the line of the word stays with those who notify.
  void learn(std::uint32_t apart, bool worth_it) noexcept {
    const std::uint32_t next = worth_it ? std::min(2 * apart, widest_spacing) : std::max(apart / 2, 1U);
    if (next != apart)
      spacing_.store(next, mo::relaxed);  // hint: of two who learn at once, either may have the last word
  }

  static bool passed(deadline until) noexcept { return !until.is_never() && until.passed(steady_clock::now()); }

  template <class Condition>
  [[gnu::noinline]] bool sleep(deadline until, Condition& holds) {
    sleeper me(*this);
    if (!me.counted()) return poll(until, holds);
    asymmetric_fence_heavy();  // [W2] pairs with [W1]
    for (bool in_time = true;;) {
      // [W4] acquire, pairs with [W3]: the change of whoever told
      std::uint64_t seen = word_.load(mo::acquire);
      if (told_of(seen) != 0) {
        // Told, I or another one who then finds nothing new here: taken notice of, by the look below.
        // [W5] acquire, pairs with [W3]: as above. On failure relaxed, own: all is read again
        if (!word_.compare_exchange_weak(seen, seen - one_told, mo::acquire, mo::relaxed)) continue;
        seen -= one_told;
        me.owes_a_look = true;
      }
      const bool done = holds();
      me.owes_a_look = false;
      if (done) return true;
      if (!in_time) return false;
      // Nobody may be told of what has not been looked at since: neither by then, nor, by the number, from then on.
      if (told_of(seen) == 0) in_time = park(word_, static_cast<std::uint32_t>(seen), until.at());
    }
  }

  // Of a thread that waits. Its end takes it off, however the wait ends.
  class sleeper {
   public:
    explicit sleeper(basic_event_count& events) noexcept : events_(events), counted_(events.enter()) {}
    sleeper(const sleeper&) = delete;
    sleeper& operator=(const sleeper&) = delete;
    ~sleeper() {
      if (counted_) events_.leave();
      if (owes_a_look) events_.notify_one();
    }
    [[nodiscard]] bool counted() const noexcept { return counted_; }

    // It has taken notice, and its look ended by an exception: somebody else has to.
    bool owes_a_look = false;

   private:
    basic_event_count& events_;
    bool counted_;
  };

  bool enter() noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the exchange below checks it
    do {
      if (sleepers_of(seen) == Most) return false;
      // own: what it must see, [W2] and [W4] show
    } while (!word_.compare_exchange_weak(seen, seen + one_sleeper, mo::relaxed, mo::relaxed));
    return true;
  }
  // Where all that are there were told, this one was, and will not look: the others do, or nobody waits any more.
  void leave() noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the exchange below checks it
    std::uint64_t gone = 0;
    do {
      gone = one_sleeper + (told_of(seen) == sleepers_of(seen) ? one_told : 0);
      // own: nothing is looked at after it
    } while (!word_.compare_exchange_weak(seen, seen - gone, mo::relaxed, mo::relaxed));
  }
  template <class Condition>
  static bool poll(deadline until, Condition& holds) {
    const atomic<std::uint64_t> nothing{0};  // a word that nobody changes: only to sleep a moment
    for (;;) {
      if (holds()) return true;
      if (passed(until)) return false;
      static_cast<void>(park(nothing, 0, until.tightened(steady_clock::now(), std::chrono::milliseconds(1)).at()));
    }
  }

  atomic<std::uint64_t> word_{0};  // by sleepers, and by notifiers if there are any
  const before_sleep looks_;
  atomic<std::uint32_t> spacing_{1};  // by who waits
};

using event_count = basic_event_count<>;

}  // namespace holdfast
