// SPDX-License-Identifier: MIT
// timer_lanes: a timer wheel of one thread whose timers any thread sets, moves and cancels, without a lock and with exact answers.
//
//   operation        caller          progress        cost         allocates   when refused
//   join             any thread      lock-free       O(lanes)     never       an empty lane, whose calls are those of a
//                                                                             thread without one: all are taken
//   schedule         a lane's own    wait-free       O(1)         never       an empty id: all its places are taken; closed
//                    any thread      lock-free       O(1)         never       the same
//   cancel           any thread      lock-free       O(1)         never       firing, or gone: it has fired, or was cancelled
//   reschedule       any thread      lock-free       O(1)         never       false: the same
//   await_end        any thread      blocking        -            never       false: the deadline has passed
//   run              the wheel's     as fire()       O(1) a       never       `more`: the limit was reached
//                    thread                          timer
//   next_work        the wheel's     wait-free       O(lanes)     never       time_point::max(): nothing is set
//   sleep, arm       the wheel's     blocking        -            never       -
//   close            the wheel's     as take()       O(timers)    never       -
//   stir             any thread      wait-free       -            never       -
//   counts           any thread      wait-free       O(lanes)     never       -
//
// In short: any thread; one runs the wheel | lock-free, wait-free with a lane | never | full, closed; too late to cancel
//
// A timer fires or is cancelled, never both and never neither: cancel() says which. `firing` means that its call is under way or
// done, and that it does not fire again; await_end() waits for that call, which must not be done from inside it. An id names one
// timer for ever. Times are kept as timer_wheel keeps them: never early, late by at most a tick and what run() is late by. They
// fire in the order of their ticks; within a tick there is no order.
//
// A thread that sets timers often has a lane of its own, with `timers_a_lane` places; the others share `shared_timers`. Any thread
// may cancel any timer. A lane can be left and taken by another thread; its timers stay.
//
// To set a timer and to cancel it in time is one exchange each, on the timer's own word. The wheel's thread is not told of a timer
// that is set for later than what it sleeps for: a lane notes it down, and the notes are read when the first of those times comes.
// So the wheel never hears of a request's timeout that was cancelled by then, but finds its place in use for another one; and a
// place that lies in the wheel for an earlier time is left there, and moved when that time comes.
//
// fire(fired_timer<T>&) runs on the wheel's thread, in run(). It may call anything here but run, sleep, close and await_end, and
// `again(due)` to have the same timer fire again under the same id. It does not throw.
//
// News is what the wheel's thread sleeps on: event_count, or event_fd for a loop of the user's.
//
// close(take) ends it: nothing can be set any more, and take(T, due) has each timer that was set, once. Whoever is setting one at
// that moment is either refused or finds it taken.
//
// Memory: 24 bytes and T for each timer, 4 bytes of notes (up to 8 where timers_a_lane is no power of two), and wheel_chunks: with
// a T of eight bytes 41 bytes a timer that is set. Allocated at construction; a lane's places are touched as they are used.
//
// Method: per-node state word and lazy hand-over in the spirit of netty's HashedWheelTimer and tokio's timer entries; ours differ
// in that cancelled places are reused while the wheel still has them. The sleeper pays for the fence (core/asymmetric_fence).
//
// Proof: unit/timer_lanes_test.cpp, model/timer_lanes_model.cpp, stress/timer_lanes_stress.cpp, alloc/timer_lanes_alloc_test.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/prefetch.hpp"
#include "holdfast/exec/timer_options.hpp"
#include "holdfast/exec/timer_places.hpp"
#include "holdfast/exec/timer_word.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"
#include "holdfast/time/wheel_core.hpp"

namespace holdfast {

template <class T, class News = event_count>
class timer_lanes {
  static_assert(std::is_trivially_copyable_v<T>, "timer_lanes: T is handed from thread to thread as its bytes are");

  using home = timer_home;
  using node = timer_node<T>;

 public:
  // Of the thread that has it. Gives it back at its end; the timers that were set from it stay.
  class lane {
   public:
    lane() noexcept = default;
    lane(lane&& other) noexcept : of_(std::exchange(other.of_, nullptr)), home_(std::exchange(other.home_, nullptr)) {}
    lane& operator=(lane other) noexcept {
      std::swap(of_, other.of_);
      std::swap(home_, other.home_);
      return *this;
    }
    ~lane() {
      if (home_ != nullptr) timer_places<T>::leave(*home_);
    }
    // False: all were taken.
    explicit operator bool() const noexcept { return home_ != nullptr; }

    shared_timer_id schedule(time_point due, const T& what) noexcept {
      return home_ != nullptr ? of_->schedule_in(*home_, due, what) : of_->schedule(due, what);
    }
    timer_cancel cancel(shared_timer_id id) noexcept { return of_->cancel(id, home_); }
    bool reschedule(shared_timer_id& id, time_point due) noexcept { return of_->reschedule(id, due, home_); }

   private:
    friend class timer_lanes;
    lane(timer_lanes& of, home* mine) noexcept : of_(&of), home_(mine) {}

    timer_lanes* of_ = nullptr;
    home* home_ = nullptr;
  };

  class fired_timer {
   public:
    const shared_timer_id id;
    const time_point due;
    T what;  // as it is left here, the next call has it

    // Fires again then, unless somebody cancels it meanwhile.
    void again(time_point next) noexcept {
      again_ = true;
      next_ = next;
    }

   private:
    friend class timer_lanes;
    fired_timer(shared_timer_id timer, time_point when, const T& value) noexcept : id(timer), due(when), what(value) {}

    bool again_ = false;
    time_point next_;
  };

  timer_lanes(const timer_lanes_options& options, time_point now,
              std::pmr::memory_resource* memory = std::pmr::get_default_resource()) noexcept
      : places_(options, memory), core_(places_.nodes(), places_.wheel_memory(), places_.count(), options.tick, now) {}
  timer_lanes(const timer_lanes&) = delete;
  timer_lanes& operator=(const timer_lanes&) = delete;
  // Nobody uses it any more. What is set is not fired.
  ~timer_lanes() = default;

  // ---- any thread

  [[nodiscard]] lane join() noexcept { return lane(*this, places_.join()); }

  shared_timer_id schedule(time_point due, const T& what) noexcept {
    const std::uint32_t index = closed() ? none : places_.take_shared();
    if (index == none) {
      refused_.fetch_add(1, mo::relaxed);  // counter: alone
      return {};
    }
    const shared_timer_id id = set(index, due, what, nullptr);
    (id ? scheduled_ : refused_).fetch_add(1, mo::relaxed);  // counter: alone
    return id;
  }
  timer_cancel cancel(shared_timer_id id) noexcept { return cancel(id, nullptr); }
  // At another time, under another id, which `id` is then.
  bool reschedule(shared_timer_id& id, time_point due) noexcept { return reschedule(id, due, nullptr); }

  // Of a timer that cancel() said is firing: until its call has returned. Not from inside it.
  bool await_end(shared_timer_id id, deadline until) noexcept {
    if (!id) return true;
    node& of = places_[id.index_];
    for (bool in_time = true;;) {
      // [TL1] acquire, pairs with [TL2]: what its call has done
      std::uint64_t bits = of.word.load(mo::acquire);
      const timer_word word(bits);
      if (word.generation() != id.generation_ || word.phase() != timer_phase::firing) return true;
      if (!in_time) return false;
      // own: only to be woken
      if (!word.has(timer_word::watched) &&
          !of.word.compare_exchange_strong(bits, word.with(timer_word::watched).bits(), mo::relaxed, mo::relaxed)) {
        continue;
      }
      in_time = park(of.word, static_cast<std::uint32_t>(word.with(timer_word::watched).bits()), until.at());
    }
  }

  // The wheel's thread returns from its sleep, if it is in one or when it next comes to it.
  void stir() noexcept {
    stirred_.store(1, mo::release);  // [TL3] release, pairs with [TL4]: why
    news_.notify(1);
  }
  // Nothing can be set any more. What is set goes on until close().
  void refuse() noexcept {
    closed_.store(1, mo::relaxed);  // own: the fence of who closes makes it seen
  }
  [[nodiscard]] bool closed() const noexcept {
    return closed_.load(mo::relaxed) != 0;  // hint: set() looks again, behind its fence
  }
  [[nodiscard]] News& news() noexcept { return news_; }
  // How many are set, or firing, while others count.
  [[nodiscard]] std::uint64_t set_approx() const noexcept {
    const timer_counts now = counts();
    const std::uint64_t ended = now.fired - now.again + now.cancelled + now.closed;
    return now.scheduled > ended ? now.scheduled - ended : 0;
  }
  [[nodiscard]] duration tick() const noexcept { return core_.levels().tick(); }
  [[nodiscard]] timer_counts counts() const noexcept {
    timer_counts all{.scheduled = scheduled_.load(mo::relaxed),  // counter: each of them
                     .fired = fired_.read(),
                     .again = again_.read(),
                     .cancelled = cancelled_.load(mo::relaxed),  // counter: alone
                     .closed = handed_back_.read(),
                     .refused = refused_.load(mo::relaxed),  // counter: alone
                     .notes = notes_.read(),
                     .sleeps = sleeps_.read()};
    for (const home& one : places_.homes()) {
      all.scheduled += one.scheduled.read();
      all.cancelled += one.cancelled.read();
      all.refused += one.refused.read();
    }
    return all;
  }

  // ---- the wheel's thread

  // For who has what close() handed back fire after all.
  [[nodiscard]] static fired_timer last_call(const T& what, time_point due) noexcept { return {{}, due, what}; }

  // fire(fired_timer&) for those that are due at `now`; at most `most` timers are fired, moved or put into the wheel.
  template <class Fire>
  advance_result run(time_point now, std::size_t most, Fire&& fire) noexcept {
    const std::size_t read = read_notes(now, most);
    // Not before all are where they belong: what is read later may be due earlier.
    if (left_) return {.touched = read, .more = true};
    advance_result result = core_.advance(
        now, most - read, [this, &fire](std::uint32_t index) noexcept { visit(index, fire); },
        [this](std::uint32_t index) noexcept { pass_on(index); });
    result.touched += read;
    return result;
  }
  // When run() has something to do, as far as is known here.
  [[nodiscard]] time_point next_work() const noexcept {
    return left_ ? time_point::min() : std::min(core_.next_expiry(), noted_work());
  }
  // Until so long before then, but not longer than `latest`; or until an earlier timer is set, or stir().
  void sleep(duration early = {}, time_point latest = time_point::max()) noexcept {
    const time_point next = next_work();
    armed_.store(next.time_since_epoch().count(), mo::relaxed);  // own: the fence of the wait makes it seen
    sleeps_.add();
    const deadline until = next == time_point::max() ? deadline::never() : deadline::after(next, -early);
    news_.wait(std::min(until, deadline(latest)),
               [this, next]() noexcept { return is_stirred() || noted_work() < next; });
    armed_.store(awake, mo::relaxed);  // own: who still finds it asleep wakes it in vain
  }
  // Of a loop that sleeps on a descriptor, with an event_fd as News: after true, that becomes readable where sleep() would end
  // before next_work(). False: run() first.
  [[nodiscard]] bool arm() noexcept {
    const time_point next = next_work();
    armed_.store(next.time_since_epoch().count(), mo::relaxed);  // own: the fence of the arming makes it seen
    news_.arm();
    if (!is_stirred() && noted_work() >= next) return true;
    armed_.store(awake, mo::relaxed);  // own: as in sleep()
    return false;
  }

  // take(const T&, time_point due) for each timer that is set. It waits for who is moving one at that moment.
  template <class Take>
  void close(Take&& take) noexcept {
    refuse();
    asymmetric_fence_heavy();  // [TL5] pairs with [TL6]: who does not see it closed has set what is seen here
    places_.each([this, &take](node& one) noexcept {
      for (unsigned turn = 0;;) {
        std::uint64_t bits = look_at(one);
        const timer_word word(bits);
        if (word.phase() == timer_phase::held) {
          doze(turn++);
        } else if (word.phase() != timer_phase::set) {
          return;
        } else if (one.word.compare_exchange_weak(bits, word.next_as(timer_phase::free).bits(), mo::relaxed,
                                                  mo::relaxed)) {  // own: look_at() showed what it is
          break;
        }
      }
      handed_back_.add();
      take(one.what.get(), one.due());
    });
  }

 private:
  static constexpr std::uint32_t none = wheel_chunks::none;
  static constexpr std::int64_t awake = std::numeric_limits<std::int64_t>::min();
  static constexpr std::size_t spacing = 2 * cache_line_size;
  static constexpr std::size_t batch = 32;

  // ---- setting, cancelling, moving

  shared_timer_id schedule_in(home& mine, time_point due, const T& what) noexcept {
    const std::uint32_t index = closed() ? none : places_.take_from(mine);
    const shared_timer_id id = index == none ? shared_timer_id() : set(index, due, what, &mine);
    (id ? mine.scheduled : mine.refused).add();
    return id;
  }
  // A free place that is the caller's.
  shared_timer_id set(std::uint32_t index, time_point due, const T& what, home* mine) noexcept {
    node& one = places_[index];
    one.what.set(what);
    const std::uint64_t generation = publish(index, due, mine);
    asymmetric_fence_light();  // [TL6] pairs with [TL5]: it is seen by who closes, or the end here
    if (closed()) [[unlikely]] {
      std::uint64_t bits = one.word.load(mo::relaxed);  // own: the exchange checks it
      while (timer_word(bits).generation() == generation && timer_word(bits).phase() == timer_phase::set) {
        const timer_word next = timer_word(bits).next_as(timer_phase::free);
        // own: it is refused, and nobody has seen it
        if (one.word.compare_exchange_weak(bits, next.bits(), mo::relaxed, mo::relaxed)) {
          places_.give_back(index, timer_word(bits), mine);
          return {};
        }
      }
    }
    return {index, generation};
  }
  // From free or held to set: the wheel's thread gets a note unless it will come by in time anyway, or has one.
  std::uint64_t publish(std::uint32_t index, time_point due, home* mine) noexcept {
    node& one = places_[index];
    const bool own = places_.is_of(mine, index);
    const time_point before = one.due();
    one.when.store(due.time_since_epoch().count(), mo::relaxed);  // own: shown by the exchange
    for (;;) {
      std::uint64_t bits = look_at(one);
      const timer_word word(bits);
      const bool lies_well = word.has(timer_word::in_wheel) && before <= due;
      const bool noted = word.has(timer_word::noted);
      timer_word next = word.with(timer_phase::set);
      if (!lies_well && !noted) next = next.with(own ? timer_word::in_ring : timer_word::in_list);
      // [TL8] release, pairs with [TL7], [TL9] and [TL10]: what it is and when it is due. On failure relaxed, own: tried again
      if (!one.word.compare_exchange_weak(bits, next.bits(), mo::release, mo::relaxed)) continue;
      if (!lies_well && !noted) own ? note_in_ring(*mine, index) : note_in_list(index);
      if (next.has(timer_word::noted)) {
        announce(next.has(timer_word::in_ring) ? places_.home_of(index).earliest : shared_earliest_, due);
      }
      return word.generation();
    }
  }
  static void note_in_ring(home& mine, std::uint32_t index) noexcept {
    const bool pushed = mine.notes.try_push(index);
    HOLDFAST_ASSERT(pushed);  // each place has one note at most, and its taking is told before another one is made
    static_cast<void>(pushed);
  }
  void note_in_list(std::uint32_t index) noexcept {
    std::uint32_t head = list_.load(mo::relaxed);  // own: the exchange below checks it
    do {
      places_.note_link(index).store(head, mo::relaxed);  // own: shown by the exchange
      // [TL11] release, pairs with [TL12]: the link. On failure relaxed, own: tried again
    } while (!list_.compare_exchange_weak(head, index, mo::release, mo::relaxed));
  }
  // To who reads that note.
  void announce(atomic<std::int64_t>& earliest, time_point due) noexcept {
    asymmetric_fence_light();  // [TL13] pairs with [TL14]: the note is read, or the new start of `earliest` is seen
    const std::int64_t at = due.time_since_epoch().count();
    std::int64_t seen = earliest.load(mo::relaxed);  // hint: as above
    while (at < seen) {
      // own: as above
      if (earliest.compare_exchange_weak(seen, at, mo::relaxed, mo::relaxed)) break;
    }
    asymmetric_fence_light();  // [TL15] pairs with the fence of the wait: the sleeper sees it, or it is seen asleep here
    if (at < armed_.load(mo::relaxed)) news_.notify(1);  // hint: as above
  }

  timer_cancel cancel(shared_timer_id id, home* mine) noexcept {
    if (!id) return timer_cancel::gone;
    HOLDFAST_ASSERT(id.index_ < places_.count());
    node& of = places_[id.index_];
    std::uint64_t bits = of.word.load(mo::relaxed);  // own: the exchange checks it
    for (;;) {
      const timer_word word(bits);
      if (word.generation() != id.generation_) return timer_cancel::gone;
      if (word.phase() == timer_phase::firing) {
        // own: read by who ends the call, with an exchange of its own
        if (!word.has(timer_word::stopped) &&
            !of.word.compare_exchange_weak(bits, word.with(timer_word::stopped).bits(), mo::relaxed, mo::relaxed)) {
          continue;
        }
        return timer_cancel::firing;
      }
      if (word.phase() != timer_phase::set) return timer_cancel::gone;
      // [TL9] acquire, pairs with [TL8]: who set it is done with the place. On failure relaxed, own: tried again
      if (!of.word.compare_exchange_weak(bits, word.next_as(timer_phase::free).bits(), mo::acquire, mo::relaxed))
        continue;
      count_cancelled(mine);
      places_.give_back(id.index_, word, mine);
      return timer_cancel::cancelled;
    }
  }
  void count_cancelled(home* mine) noexcept {
    if (mine != nullptr) {
      mine->cancelled.add();
    } else {
      cancelled_.fetch_add(1, mo::relaxed);  // counter: alone
    }
  }
  bool reschedule(shared_timer_id& id, time_point due, home* mine) noexcept {
    if (!id) return false;
    node& of = places_[id.index_];
    std::uint64_t bits = of.word.load(mo::relaxed);  // own: the exchange checks it
    for (;;) {
      const timer_word word(bits);
      if (word.generation() != id.generation_ || word.phase() != timer_phase::set) return false;
      // [TL10] acquire, pairs with [TL8]: when it was to fire. On failure relaxed, own: tried again
      if (of.word.compare_exchange_weak(bits, word.next_as(timer_phase::held).bits(), mo::acquire, mo::relaxed)) break;
    }
    id.generation_ = publish(id.index_, due, mine);
    return true;
  }

  // ---- the wheel's thread

  [[nodiscard]] bool is_stirred() noexcept {
    // hint: the exchange decides
    if (stirred_.load(mo::relaxed) == 0) return false;
    return stirred_.exchange(0, mo::acquire) != 0;  // [TL4] acquire, pairs with [TL3]: why
  }
  // The first of the times that were noted down and may not have been read.
  [[nodiscard]] time_point noted_work() const noexcept {
    std::int64_t first = shared_earliest_.load(mo::relaxed);  // hint: as above
    for (const home& one : places_.homes()) {
      first = std::min(first, one.earliest.load(mo::relaxed));  // hint: as above
    }
    return time_point(duration(first));
  }
  // Reads the notes of those lanes of which one may be due; how many.
  std::size_t read_notes(time_point now, std::size_t most) noexcept {
    const std::int64_t at = now.time_since_epoch().count();
    bool any = left_;
    bool of_list = list_left_ != none;
    for (home& one : places_.homes()) {
      if (one.earliest.load(mo::relaxed) > at) continue;  // hint: who announces now is told by [TL15], or the next run
      one.earliest.store(home::never, mo::relaxed);       // own: behind it the fence
      one.left = any = true;
    }
    if (shared_earliest_.load(mo::relaxed) <= at) {      // hint: as above
      shared_earliest_.store(home::never, mo::relaxed);  // own: as above
      any = of_list = true;
      list_due_ = true;
    }
    if (!any) return 0;
    asymmetric_fence_heavy();  // [TL14] pairs with [TL13]: as said there
    std::size_t read = 0;
    left_ = false;
    for (home& from : places_.homes()) {
      while (from.left && read < most) {
        std::uint32_t some[batch];
        const std::size_t count = from.notes.try_pop(std::span(some, std::min(batch, most - read)));
        for (std::size_t n = 0; n < count; ++n)
          prefetch_for_write(reinterpret_cast<const std::byte*>(&places_[some[n]]));
        for (std::size_t n = 0; n < count; ++n) read_note(some[n]);
        read += count;
        if (count == 0) from.left = false;
      }
      left_ = left_ || from.left;
    }
    if (of_list) read += read_list(most - read);
    return read;
  }
  // The newest one is the first one of the list; they are read from the oldest one on.
  std::size_t read_list(std::size_t most) noexcept {
    std::size_t read = 0;
    for (;;) {
      while (list_left_ != none && read < most) {
        const std::uint32_t index = list_left_;
        list_left_ = places_.note_link(index).load(mo::relaxed);  // own: turned round below
        read_note(index);
        ++read;
      }
      if (list_left_ != none) {
        left_ = true;
        return read;
      }
      if (!std::exchange(list_due_, false)) return read;
      // [TL12] acquire, pairs with [TL11]: the links
      std::uint32_t at = list_.exchange(none, mo::acquire);
      while (at != none) {
        const std::uint32_t next = places_.note_link(at).load(mo::relaxed);       // own: whoever noted it has ended
        places_.note_link(at).store(std::exchange(list_left_, at), mo::relaxed);  // own: as above
        at = next;
      }
    }
  }
  // Of a timer that was set: what it is and when. Of a note that was read: that there is room for another one.
  [[nodiscard]] static std::uint64_t look_at(const node& one) noexcept {
    return one.word.load(mo::acquire);  // [TL7] acquire, pairs with [TL8] and [TL16]: as said
  }
  // The relaxed exchanges of the three below: what they go by, look_at() showed them, and others go by the word alone.
  void read_note(std::uint32_t index) noexcept {
    notes_.add();
    node& one = places_[index];
    for (;;) {
      std::uint64_t bits = look_at(one);
      const timer_word word(bits);
      HOLDFAST_ASSERT(word.phase() != timer_phase::firing);
      const bool is_set = word.phase() == timer_phase::set;
      // Where nothing is set it does not stay in the wheel: where it lies there is not its last time, which the note was about.
      const timer_word read = is_set ? word.without(timer_word::noted).with(timer_word::in_wheel)
                                     : word.without(timer_word::noted | timer_word::in_wheel);
      // [TL16] release, pairs with [TL7]: the note was taken before. On failure relaxed, own: tried again
      if (!one.word.compare_exchange_weak(bits, read.bits(), mo::release, mo::relaxed)) continue;
      if (word.has(timer_word::in_wheel)) take_out(one);
      if (is_set) {
        put(one, index);
      } else if (word.has(timer_word::in_list) && word.phase() == timer_phase::free && !places_.is_shared(index)) {
        places_.give_back(index, read, nullptr);
      }
      return;
    }
  }
  // The time has come for which it lies in the wheel.
  template <class Fire>
  void visit(std::uint32_t index, Fire& fire) noexcept {
    node& one = places_[index];
    --in_wheel_;
    for (;;) {
      std::uint64_t bits = look_at(one);
      const timer_word word(bits);
      HOLDFAST_ASSERT(word.has(timer_word::in_wheel));
      const timer_word out = word.without(timer_word::in_wheel);
      if (word.phase() != timer_phase::set) {
        if (one.word.compare_exchange_weak(bits, out.bits(), mo::relaxed, mo::relaxed)) return;  // own: as said above
        continue;
      }
      const time_point due = one.due();
      if (!core_.is_due(due)) return put_on(one, index, due);
      // own: as said above
      if (!one.word.compare_exchange_weak(bits, out.with(timer_phase::firing).bits(), mo::relaxed, mo::relaxed))
        continue;
      fired_.add();
      fired_timer call(shared_timer_id(index, word.generation()), due, one.what.get());
      fire(call);
      return end_call(index, call);
    }
  }
  void end_call(std::uint32_t index, const fired_timer& call) noexcept {
    node& one = places_[index];
    std::uint64_t bits = one.word.load(mo::relaxed);  // own: the exchange checks it
    for (;;) {
      const timer_word word(bits);
      const bool again = call.again_ && !word.has(timer_word::stopped);
      if (again) {
        one.what.set(call.what);
        one.when.store(call.next_.time_since_epoch().count(), mo::relaxed);  // own: shown by the exchange
      }
      const timer_word next = again
                                  ? word.without(timer_word::watched).with(timer_word::in_wheel).with(timer_phase::set)
                                  : word.next_as(timer_phase::free);
      // [TL2] release, pairs with [TL1]: what the call has done. On failure relaxed, own: tried again
      if (!one.word.compare_exchange_weak(bits, next.bits(), mo::release, mo::relaxed)) continue;
      if (again) {
        again_.add();
        put(one, index);
      }
      if (word.has(timer_word::watched)) unpark(one.word, std::numeric_limits<std::uint32_t>::max());
      if (!again) places_.give_back(index, word, nullptr);
      return;
    }
  }
  // On the way to a lower level.
  void pass_on(std::uint32_t index) noexcept {
    node& one = places_[index];
    --in_wheel_;
    std::uint64_t bits = one.word.load(mo::relaxed);  // own: the exchange checks it
    while (timer_word(bits).phase() != timer_phase::set) {
      const timer_word out = timer_word(bits).without(timer_word::in_wheel);
      if (one.word.compare_exchange_weak(bits, out.bits(), mo::relaxed, mo::relaxed)) return;  // own: as said above
    }
    put_on(one, index, one.due());
  }
  void put_on(node& one, std::uint32_t index, time_point due) noexcept {
    core_.put_on(one, index, due, [this]() noexcept { return in_wheel_; });
    ++in_wheel_;
  }
  void put(node& one, std::uint32_t index) noexcept {
    const std::uint32_t slot = core_.slot_for(one.due());
    if (!core_.has_room(slot)) core_.make_room(slot, in_wheel_);
    core_.put(one, index, slot);
    ++in_wheel_;
  }
  void take_out(node& one) noexcept {
    const wheel_chunks::place at = one.at;
    if (core_.take_out(at)) core_.tidy_up(at);
    --in_wheel_;
  }

  timer_places<T> places_;
  wheel_core<node> core_;           // the wheel's thread, and all down to sleeps_
  std::size_t in_wheel_ = 0;        // that lie there
  bool left_ = false;               // there are notes that are to be read
  bool list_due_ = false;           // the list is to be taken
  std::uint32_t list_left_ = none;  // what has been taken of it, and not read yet
  own_counter fired_;
  own_counter again_;
  own_counter handed_back_;
  own_counter notes_;
  own_counter sleeps_;

  alignas(spacing) atomic<std::int64_t> armed_{awake};  // the wheel's thread: it sleeps until then
  atomic<std::uint32_t> stirred_{0};
  atomic<std::uint32_t> closed_{0};
  News news_;
  alignas(spacing) atomic<std::uint32_t> list_{none};  // threads without a lane of their own, and all below
  atomic<std::int64_t> shared_earliest_{home::never};
  atomic<std::uint64_t> scheduled_{0};
  atomic<std::uint64_t> cancelled_{0};
  atomic<std::uint64_t> refused_{0};
};

}  // namespace holdfast
