// SPDX-License-Identifier: MIT
// timer_lanes: a timer wheel of one thread whose timers any thread sets, moves and cancels, without a lock and with exact answers.
//
//   operation        caller          progress        cost         allocates   when refused
//   join             any thread      lock-free       O(lanes)     never       an empty lane: all are taken. Its calls go on, as of
//                                                                             a thread without one
//   schedule         a lane's own    wait-free       O(1)         never       an empty id: as many timers are set as may be; closed
//                    any thread      lock-free       O(1)         never       the same
//   cancel           any thread      lock-free       O(1)         never       firing, or gone: it has fired, or was cancelled
//   reschedule       any thread      lock-free       O(1)         never       false: the same; closed
//   await_end        any thread      blocking        -            never       false: the deadline has passed
//   run              the wheel's     as fire()       O(1) a       never       `more`: the limit was reached
//                    thread                          timer
//   next_work        the wheel's     wait-free       O(lanes)     never       time_point::max(): nothing is set
//   sleep            the wheel's     blocking        -            never       -
//   close            the wheel's     as take()       O(timers)    never       -
//   stir             any thread      wait-free       -            never       -
//   counts           any thread      wait-free       O(lanes)     never       -
//
// In short: any thread; one runs the wheel | lock-free, wait-free with a lane | never | full, closed; a cancel says what became of it
//
// A timer fires or is cancelled, never both and never neither: cancel() says which. `firing` means that its call is under way or
// done, and that it does not fire again; await_end() waits for that call, which must not be done from inside it. An id names one timer
// for ever. Times are kept as timer_wheel keeps them: never early, late by at most a tick and what run() is late by. Of one tick,
// the timers of one lane fire in the order in which they were set if nobody cancelled any; between lanes there is no order.
//
// A thread that sets timers often has a lane of its own, with `timers_a_lane` places; the others share `shared_timers`. Any thread
// may cancel any timer. A lane can be left and taken by another thread; its timers stay.
//
// What it costs: to set a timer and to cancel it before it fires is one exchange on the timer's own word each. The wheel's thread
// is not told of a timer that is set for later than what it sleeps for: a lane notes it down, and the notes are read when the first
// of these times comes, or an earlier one is set. So of a request's timeout that is cancelled in time the wheel never hears, or finds
// its place in use for another one by then: a place that lies in the wheel for an earlier time is left there, and moved when that
// time comes.
//
// fire(fired_timer<T>&) runs on the wheel's thread, in run(). It may call anything here but run, sleep, close and await_end, and
// `again(due)` to have the same timer fire again under the same id. It does not throw.
//
// News is what the wheel's thread sleeps on: event_count, or event_fd for a loop of the user's.
//
// close(take) ends it: nothing can be set any more, and take(T, due) has each timer that was set, once. Whoever is setting one at that
// moment is either refused or finds it taken.
//
// Memory: 24 bytes and T for each timer, 4 bytes of notes (8 where timers_a_lane is no power of two), and wheel_chunks; with a T of
// eight bytes 41.3 bytes a timer that is set. Allocated at construction; a lane's places are touched as they are used.
//
// Method: per-node state word and lazy hand-over in the spirit of netty's HashedWheelTimer and tokio's timer entries; ours differ in
// that cancelled places are reused while the wheel still has them. The sleeper pays for the fence (core/asymmetric_fence).
//
// Proof: unit/timer_lanes_test.cpp, model/timer_lanes_model.cpp, stress/timer_lanes_stress.cpp, alloc/timer_lanes_alloc_test.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/exec/timer_word.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"
#include "holdfast/time/wheel_core.hpp"

namespace holdfast {

struct timer_lanes_options {
  std::uint32_t lanes = 4;             // threads that may have one at the same time
  std::uint32_t timers_a_lane = 1024;  // that may be set at the same time, from each lane
  std::uint32_t shared_timers = 1024;  // and by all threads without one
  duration tick = std::chrono::milliseconds(1);
};
static_assert(std::is_aggregate_v<timer_lanes_options>);

inline constexpr std::uint32_t most_timer_lanes = 256;

constexpr option_error validate(const timer_lanes_options& o) noexcept {
  const std::int64_t all = std::int64_t{o.lanes} * o.timers_a_lane + o.shared_timers;
  return first_of(at_most("lanes", o.lanes, most_timer_lanes), at_least("timers_a_lane", o.timers_a_lane, 1),
                  at_least("shared_timers", o.shared_timers, 1), at_most("timers", all, wheel_chunks::most_timers),
                  at_least("tick", o.tick.count(), wheel_levels::shortest_tick.count()),
                  at_most("tick", o.tick.count(), wheel_levels::longest_tick.count()));
}

// Of a timer of one timer_lanes. Empty: of none.
class shared_timer_id {
 public:
  constexpr shared_timer_id() noexcept = default;
  constexpr explicit operator bool() const noexcept { return generation_ != 0; }
  friend constexpr bool operator==(shared_timer_id, shared_timer_id) noexcept = default;

 private:
  template <class T, class News>
  friend class timer_lanes;
  constexpr shared_timer_id(std::uint32_t index, std::uint64_t generation) noexcept
      : generation_(generation), index_(index) {}

  std::uint64_t generation_ = 0;
  std::uint32_t index_ = 0;
};

enum class timer_cancel : std::uint8_t {
  cancelled,  // it does not fire, and this call is why
  firing,     // its call is under way; it does not fire again
  gone,       // it has fired, or was cancelled, or there never was one
};

struct timer_counts {
  std::uint64_t scheduled = 0;  // == fired - again + cancelled + closed + those that are set
  std::uint64_t fired = 0;
  std::uint64_t again = 0;  // of the fired ones, those that were set again by their call
  std::uint64_t cancelled = 0;
  std::uint64_t closed = 0;  // taken by close()
  std::uint64_t refused = 0;
  std::uint64_t notes = 0;   // that the wheel's thread read: timers that had to be put into the wheel, or moved in it
  std::uint64_t sleeps = 0;  // of the wheel's thread
};

template <class T, class News = event_count>
class timer_lanes {
  static_assert(std::is_trivially_copyable_v<T>, "timer_lanes: T is handed from thread to thread as its bytes are");

  struct home;

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
      // [TL1] release, pairs with [TL2]: which places are free
      if (home_ != nullptr) home_->taken.store(0, mo::release);
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
      : memory_(memory),
        a_lane_(options.timers_a_lane),
        lane_count_(options.lanes),
        shared_begin_(options.lanes * options.timers_a_lane),
        total_(shared_begin_ + options.shared_timers),
        block_(allocated(options, *memory)),
        homes_(reinterpret_cast<home*>(block_)),
        nodes_(reinterpret_cast<node*>(block_ + lane_count_ * sizeof(home) + wheel_chunks::bytes_for(total_))),
        links_(reinterpret_cast<atomic<std::uint32_t>*>(nodes_ + total_)),
        core_(nodes_, block_ + lane_count_ * sizeof(home), total_, options.tick, now) {
    for (std::uint32_t i = 0; i < lane_count_; ++i) new (homes_ + i) home(i * a_lane_, a_lane_, memory);
    for (std::uint32_t i = shared_begin_; i < total_; ++i) {
      new (nodes_ + i) node;
      new (links_ + (i - shared_begin_)) atomic<std::uint32_t>;
      nodes_[i].next.store(i + 1 < total_ ? i + 1 : none, mo::relaxed);  // init: nobody knows them
    }
    shared_free_.store(shared_begin_, mo::relaxed);  // init: as above
  }
  timer_lanes(const timer_lanes&) = delete;
  timer_lanes& operator=(const timer_lanes&) = delete;
  // Nobody uses it any more. What is set is not fired.
  ~timer_lanes() {
    if constexpr (!atomics_end_by_themselves) {
      each_node([](node& one) { one.~node(); });
      for (std::uint32_t i = shared_begin_; i < total_; ++i) links_[i - shared_begin_].~atomic();
    }
    for (std::uint32_t i = 0; i < lane_count_; ++i) homes_[i].~home();
    memory_->deallocate(block_, bytes_of(lane_count_, total_, total_ - shared_begin_), alignof(home));
  }

  // ---- any thread

  [[nodiscard]] lane join() noexcept {
    for (std::uint32_t i = 0; i < lane_count_; ++i) {
      // hint: the exchange decides
      if (homes_[i].taken.load(mo::relaxed) != 0) continue;
      // [TL2] acquire, pairs with [TL1]: what the last one to have it left
      if (homes_[i].taken.exchange(1, mo::acquire) == 0) return lane(*this, homes_ + i);
    }
    return lane(*this, nullptr);
  }

  shared_timer_id schedule(time_point due, const T& what) noexcept {
    const std::uint32_t index = closed() ? none : take_shared();
    if (index == none) {
      others_.refused.fetch_add(1, mo::relaxed);  // counter
      return {};
    }
    const shared_timer_id id = set(index, due, what, nullptr);
    if (id) {
      others_.scheduled.fetch_add(1, mo::relaxed);  // counter
    } else {
      others_.refused.fetch_add(1, mo::relaxed);  // counter
    }
    return id;
  }
  timer_cancel cancel(shared_timer_id id) noexcept { return cancel(id, nullptr); }
  // At another time, under another id, which `id` is then.
  bool reschedule(shared_timer_id& id, time_point due) noexcept { return reschedule(id, due, nullptr); }

  // Of a timer that cancel() said is firing: until its call has returned. Not from inside it.
  bool await_end(shared_timer_id id, deadline until) noexcept {
    if (!id) return true;
    node& of = nodes_[id.index_];
    for (bool in_time = true;;) {
      // [TL3] acquire, pairs with [TL4]: what its call has done
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
    stirred_.store(1, mo::release);  // [TL5] release, pairs with [TL6]: why
    news_.notify(1);
  }
  [[nodiscard]] bool closed() const noexcept {
    return closed_.load(mo::relaxed) != 0;  // hint: set() looks again, behind its fence
  }
  [[nodiscard]] News& news() noexcept { return news_; }
  [[nodiscard]] duration tick() const noexcept { return core_.levels().tick(); }
  [[nodiscard]] timer_counts counts() const noexcept {
    timer_counts all = others_.read();
    for (std::uint32_t i = 0; i < lane_count_; ++i) {
      const timer_counts one = homes_[i].counts.read();
      all.scheduled += one.scheduled;
      all.cancelled += one.cancelled;
      all.refused += one.refused;
    }
    return all;
  }

  // ---- the wheel's thread

  // fire(fired_timer&) for those that are due at `now`; at most `most` timers are fired, moved or put into the wheel.
  template <class Fire>
  advance_result run(time_point now, std::size_t most, Fire&& fire) noexcept {
    const std::size_t read = read_notes(now, most);
    advance_result result = core_.advance(
        now, most - read, [this, &fire](std::uint32_t index) noexcept { visit(index, fire); },
        [this](std::uint32_t index) noexcept { pass_on(index); });
    result.touched += read;
    result.more = result.more || left_;
    return result;
  }
  // When run() has something to do, as far as is known here.
  [[nodiscard]] time_point next_work() const noexcept {
    return left_ ? time_point::min() : std::min(core_.next_expiry(), noted_work());
  }
  // Until then, or until an earlier timer is set, or stir().
  void sleep() noexcept {
    const time_point next = next_work();
    armed_.store(next.time_since_epoch().count(), mo::relaxed);  // own: the fence of the wait makes it seen
    bump(others_.sleeps);
    news_.wait(deadline(next), [this, next]() noexcept { return is_stirred() || noted_work() < next; });
    armed_.store(awake, mo::relaxed);  // own: who still finds it asleep wakes it in vain
  }

  // take(const T&, time_point due) for each timer that is set. It waits for who is moving one at that moment.
  template <class Take>
  void close(Take&& take) noexcept {
    closed_.store(1, mo::relaxed);  // own: the fence makes it seen
    asymmetric_fence_heavy();       // [TL7] pairs with [TL8]: who does not see it closed has set what is seen here
    each_node([this, &take](node& one) noexcept {
      // [TL9] acquire, pairs with [TL10]: what it is and when
      std::uint64_t bits = one.word.load(mo::acquire);
      for (unsigned turn = 0;;) {
        const timer_word word(bits);
        if (word.phase() == timer_phase::held) {
          doze(turn++);
          bits = one.word.load(mo::acquire);  // [TL9] as above
          continue;
        }
        if (word.phase() != timer_phase::set) return;
        // [TL9] acquire, pairs with [TL10]: as above
        if (one.word.compare_exchange_weak(bits, word.next_as(timer_phase::free).bits(), mo::acquire, mo::acquire))
          break;
      }
      bump(others_.closed);
      take(one.what.get(), one.due());
    });
  }

 private:
  static constexpr std::uint32_t none = wheel_chunks::none;
  static constexpr std::int64_t awake = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  static constexpr std::size_t spacing = 2 * cache_line_size;
  static constexpr std::size_t batch = 32;

  struct node {
    atomic<std::uint64_t> word{timer_word::first().bits()};
    atomic<std::int64_t> when{0};  // by who sets it
    std::uint32_t at = none;       // the wheel's
    atomic<std::uint32_t> next{none};
    plain<T> what{};

    [[nodiscard]] time_point due() const noexcept {
      return time_point(duration(when.load(mo::relaxed)));  // own: the word says which one it is
    }
  };

  struct counters {
    atomic<std::uint64_t> scheduled{0};
    atomic<std::uint64_t> fired{0};
    atomic<std::uint64_t> again{0};
    atomic<std::uint64_t> cancelled{0};
    atomic<std::uint64_t> closed{0};
    atomic<std::uint64_t> refused{0};
    atomic<std::uint64_t> notes{0};
    atomic<std::uint64_t> sleeps{0};

    [[nodiscard]] timer_counts read() const noexcept {
      // counter: each for itself
      return {scheduled.load(mo::relaxed), fired.load(mo::relaxed),  again.load(mo::relaxed),
              cancelled.load(mo::relaxed), closed.load(mo::relaxed), refused.load(mo::relaxed),
              notes.load(mo::relaxed),     sleeps.load(mo::relaxed)};
    }
  };
  struct lane_counters {
    atomic<std::uint64_t> scheduled{0};
    atomic<std::uint64_t> cancelled{0};
    atomic<std::uint64_t> refused{0};

    [[nodiscard]] timer_counts read() const noexcept {
      timer_counts all;
      all.scheduled = scheduled.load(mo::relaxed);  // counter
      all.cancelled = cancelled.load(mo::relaxed);  // counter
      all.refused = refused.load(mo::relaxed);      // counter
      return all;
    }
  };
  static void bump(atomic<std::uint64_t>& count) noexcept {
    count.store(count.load(mo::relaxed) + 1, mo::relaxed);  // counter: of one thread
  }

  // Places of a lane: free ones that its thread knows of, those that others gave back, and those that were never used.
  struct alignas(spacing) home {
    home(std::uint32_t first, std::uint32_t count, std::pmr::memory_resource* memory) noexcept
        : begin(first), notes(std::bit_ceil(count), memory) {}

    const std::uint32_t begin;
    std::uint32_t free = none;                              // its thread
    atomic<std::uint32_t> used{0};                          // its thread: those behind were never used
    lane_counters counts;                                   // its thread
    atomic<std::uint32_t> taken{0};                         // who joins and leaves
    bool left = false;                                      // the wheel's thread: it has not read all of the notes
    alignas(spacing) atomic<std::uint32_t> returned{none};  // any thread; its own takes them all
    alignas(spacing) atomic<std::int64_t> earliest{never};  // its thread; the wheel's thread sets it back
    spsc_queue<std::uint32_t> notes;                        // from its thread to the wheel's
  };

  static std::size_t bytes_of(std::size_t lanes, std::size_t timers, std::size_t shared) noexcept {
    return lanes * sizeof(home) + wheel_chunks::bytes_for(timers) + timers * sizeof(node) +
           shared * sizeof(atomic<std::uint32_t>);
  }
  static std::byte* allocated(const timer_lanes_options& options, std::pmr::memory_resource& memory) noexcept {
    HOLDFAST_ASSERT(!validate(options));
    const std::size_t timers = std::size_t{options.lanes} * options.timers_a_lane + options.shared_timers;
    return static_cast<std::byte*>(
        memory.allocate(bytes_of(options.lanes, timers, options.shared_timers), alignof(home)));
  }
  // All that were ever used.
  template <class F>
  void each_node(F&& f) noexcept {
    for (std::uint32_t i = 0; i < lane_count_; ++i) {
      // [TL11] acquire, pairs with [TL12]: they have been made
      const std::uint32_t used = homes_[i].used.load(mo::acquire);
      for (std::uint32_t n = 0; n < used; ++n) f(nodes_[homes_[i].begin + n]);
    }
    for (std::uint32_t i = shared_begin_; i < total_; ++i) f(nodes_[i]);
  }

  // ---- places

  [[nodiscard]] bool is_of(const home* mine, std::uint32_t index) const noexcept {
    return mine != nullptr && index - mine->begin < a_lane_;
  }
  [[nodiscard]] std::uint32_t take_from(home& mine) noexcept {
    if (mine.free == none && mine.returned.load(mo::relaxed) != none) {  // hint: it is looked at again, in order
      // [TL13] acquire, pairs with [TL14]: the links, and that whoever had the place is done with it
      mine.free = mine.returned.exchange(none, mo::acquire);
    }
    if (mine.free != none) {
      // own: of who has the place
      return std::exchange(mine.free, nodes_[mine.free].next.load(mo::relaxed));
    }
    const std::uint32_t used = mine.used.load(mo::relaxed);  // own
    if (used == a_lane_) return none;
    new (nodes_ + mine.begin + used) node;
    mine.used.store(used + 1, mo::release);  // [TL12] release, pairs with [TL11]: it has been made
    return mine.begin + used;
  }
  // A stack; the number beside its first place changes with each taking, so that a place that went and came is noticed.
  [[nodiscard]] std::uint32_t take_shared() noexcept {
    // [TL15] acquire, pairs with [TL16]: the link, and that whoever had the place is done with it
    std::uint64_t head = shared_free_.load(mo::acquire);
    for (;;) {
      const auto index = static_cast<std::uint32_t>(head & place_mask);
      if (index == place_mask) return none;
      const std::uint32_t next = nodes_[index].next.load(mo::relaxed);  // own: if the exchange finds the head as it was
      const std::uint64_t rest = ((head & ~place_mask) + place_mask + 1) | (next & place_mask);
      // [TL15] acquire, pairs with [TL16]: as above
      if (shared_free_.compare_exchange_weak(head, rest, mo::acquire, mo::acquire)) return index;
    }
  }
  // Nobody needs the place any more; `word` is what was in it before it became free.
  void give_back(std::uint32_t index, timer_word word, home* mine) noexcept {
    node& one = nodes_[index];
    const bool is_shared = index >= shared_begin_;
    if (!is_shared && word.has(timer_word::in_list)) return;  // its link is in use: who reads that note does it
    if (is_of(mine, index)) {
      one.next.store(std::exchange(mine->free, index), mo::relaxed);  // own
      return;
    }
    if (is_shared) {
      std::uint64_t head = shared_free_.load(mo::relaxed);  // own: the exchange below checks it
      do {
        one.next.store(static_cast<std::uint32_t>(head & place_mask), mo::relaxed);  // own: shown by the exchange
        // [TL16] release, pairs with [TL15]: the link. On failure relaxed, own: tried again
      } while (!shared_free_.compare_exchange_weak(head, (head & ~place_mask) | index, mo::release, mo::relaxed));
    } else {
      home* const to = homes_ + index / a_lane_;
      std::uint32_t head = to->returned.load(mo::relaxed);  // own: the exchange below checks it
      do {
        one.next.store(head, mo::relaxed);  // own: shown by the exchange
        // [TL14] release, pairs with [TL13]: the link, and what went before. On failure relaxed, own: tried again
      } while (!to->returned.compare_exchange_weak(head, index, mo::release, mo::relaxed));
    }
  }

  // ---- setting, cancelling, moving

  shared_timer_id schedule_in(home& mine, time_point due, const T& what) noexcept {
    const std::uint32_t index = closed() ? none : take_from(mine);
    const shared_timer_id id = index == none ? shared_timer_id() : set(index, due, what, &mine);
    bump(id ? mine.counts.scheduled : mine.counts.refused);
    return id;
  }
  // A free place that is the caller's.
  shared_timer_id set(std::uint32_t index, time_point due, const T& what, home* mine) noexcept {
    node& one = nodes_[index];
    one.what.set(what);
    const std::uint64_t generation = publish(index, due, mine);
    asymmetric_fence_light();  // [TL8] pairs with [TL7]: it is seen by who closes, or the end here
    if (closed()) [[unlikely]] {
      std::uint64_t bits = one.word.load(mo::relaxed);  // own: the exchange checks it
      while (timer_word(bits).generation() == generation && timer_word(bits).phase() == timer_phase::set) {
        const timer_word next = timer_word(bits).next_as(timer_phase::free);
        // own: it is refused, and nobody has seen it
        if (one.word.compare_exchange_weak(bits, next.bits(), mo::relaxed, mo::relaxed)) {
          give_back(index, timer_word(bits), mine);
          return {};
        }
      }
    }
    return {index, generation};
  }
  // From free or held to set: the wheel's thread gets a note unless it will come by in time anyway, or has one.
  std::uint64_t publish(std::uint32_t index, time_point due, home* mine) noexcept {
    node& one = nodes_[index];
    const bool own = is_of(mine, index);
    const time_point before = one.due();
    one.when.store(due.time_since_epoch().count(), mo::relaxed);  // own: shown by the exchange
    std::uint64_t bits = one.word.load(mo::relaxed);              // own: the exchange checks it
    for (;;) {
      const timer_word word(bits);
      const bool lies_well = word.has(timer_word::in_wheel) && before <= due;
      const bool noted = word.has(timer_word::noted);
      timer_word next = word.with(timer_phase::set);
      if (!lies_well && !noted) next = next.with(own ? timer_word::in_ring : timer_word::in_list);
      // [TL10] release, pairs with [TL9], [TL17] and [TL18]: what it is and when. On failure relaxed, own: tried again
      if (!one.word.compare_exchange_weak(bits, next.bits(), mo::release, mo::relaxed)) continue;
      if (!lies_well || noted) {
        if (!noted) own ? note_in_ring(*mine, index) : note_in_list(index);
        announce(own ? mine->earliest : shared_earliest_, own, due);
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
      link_of(index).store(head, mo::relaxed);  // own: shown by the exchange
      // [TL19] release, pairs with [TL20]: the link. On failure relaxed, own: tried again
    } while (!list_.compare_exchange_weak(head, index, mo::release, mo::relaxed));
  }
  // In the list of notes. A shared place may be free and in the list at the same time; one of a lane is not.
  [[nodiscard]] atomic<std::uint32_t>& link_of(std::uint32_t index) noexcept {
    return index >= shared_begin_ ? links_[index - shared_begin_] : nodes_[index].next;
  }
  void announce(atomic<std::int64_t>& earliest, bool own, time_point due) noexcept {
    asymmetric_fence_light();  // [TL21] pairs with [TL22]: the note is read, or the new start of `earliest` is seen
    const std::int64_t at = due.time_since_epoch().count();
    std::int64_t seen = earliest.load(mo::relaxed);  // hint: as above
    if (own) {
      if (at >= seen) return;
      earliest.store(at, mo::relaxed);  // own: beside the wheel's thread, which then reads the note
    } else {
      do {
        if (at >= seen) return;
        // own: as above
      } while (!earliest.compare_exchange_weak(seen, at, mo::relaxed, mo::relaxed));
    }
    asymmetric_fence_light();  // [TL23] pairs with the fence of the wait: the sleeper sees it, or it is seen asleep here
    if (at < armed_.load(mo::relaxed)) news_.notify(1);  // hint: as above
  }

  timer_cancel cancel(shared_timer_id id, home* mine) noexcept {
    if (!id) return timer_cancel::gone;
    HOLDFAST_ASSERT(id.index_ < total_);
    node& of = nodes_[id.index_];
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
      // own: the next user of the place is the same thread, or is told by [TL14] or [TL16]
      if (!of.word.compare_exchange_weak(bits, word.next_as(timer_phase::free).bits(), mo::relaxed, mo::relaxed))
        continue;
      count_cancelled(mine);
      give_back(id.index_, word, mine);
      return timer_cancel::cancelled;
    }
  }
  void count_cancelled(home* mine) noexcept {
    if (mine != nullptr) {
      bump(mine->counts.cancelled);
    } else {
      others_.cancelled.fetch_add(1, mo::relaxed);  // counter
    }
  }
  bool reschedule(shared_timer_id& id, time_point due, home* mine) noexcept {
    if (!id) return false;
    node& of = nodes_[id.index_];
    std::uint64_t bits = of.word.load(mo::relaxed);  // own: the exchange checks it
    for (;;) {
      const timer_word word(bits);
      if (word.generation() != id.generation_ || word.phase() != timer_phase::set) return false;
      // [TL18] acquire, pairs with [TL10]: when it was to fire. On failure relaxed, own: tried again
      if (of.word.compare_exchange_weak(bits, word.next_as(timer_phase::held).bits(), mo::acquire, mo::relaxed)) break;
    }
    id.generation_ = publish(id.index_, due, mine);
    return true;
  }

  // ---- the wheel's thread

  [[nodiscard]] bool is_stirred() noexcept {
    // hint: the exchange decides
    if (stirred_.load(mo::relaxed) == 0) return false;
    return stirred_.exchange(0, mo::acquire) != 0;  // [TL6] acquire, pairs with [TL5]: why
  }
  // The first of the times that were noted down and may not have been read.
  [[nodiscard]] time_point noted_work() const noexcept {
    std::int64_t first = shared_earliest_.load(mo::relaxed);  // hint: as above
    for (std::uint32_t i = 0; i < lane_count_; ++i) {
      first = std::min(first, homes_[i].earliest.load(mo::relaxed));  // hint: as above
    }
    return time_point(duration(first));
  }
  // Reads the notes of those lanes of which one may be due; how many.
  std::size_t read_notes(time_point now, std::size_t most) noexcept {
    const std::int64_t at = now.time_since_epoch().count();
    bool any = left_;
    bool of_list = list_left_ != none;
    for (std::uint32_t i = 0; i < lane_count_; ++i) {
      if (homes_[i].earliest.load(mo::relaxed) > at)
        continue;                                    // hint: who announces now is told by [TL23], or the next run
      homes_[i].earliest.store(never, mo::relaxed);  // own: behind it the fence
      homes_[i].left = any = true;
    }
    if (shared_earliest_.load(mo::relaxed) <= at) {  // hint: as above
      shared_earliest_.store(never, mo::relaxed);    // own: as above
      any = of_list = true;
      list_due_ = true;
    }
    if (!any) return 0;
    asymmetric_fence_heavy();  // [TL22] pairs with [TL21]: as said there
    std::size_t read = 0;
    left_ = false;
    for (std::uint32_t i = 0; i < lane_count_; ++i) {
      home& from = homes_[i];
      while (from.left && read < most) {
        std::uint32_t some[batch];
        const std::size_t count = from.notes.try_pop(std::span(some, std::min(batch, most - read)));
        for (std::size_t n = 0; n < count; ++n)
          prefetch_for_write(reinterpret_cast<const std::byte*>(nodes_ + some[n]));
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
        list_left_ = link_of(index).load(mo::relaxed);  // own: turned round below
        read_note(index);
        ++read;
      }
      if (list_left_ != none) {
        left_ = true;
        return read;
      }
      if (!std::exchange(list_due_, false)) return read;
      // [TL20] acquire, pairs with [TL19]: the links
      std::uint32_t at = list_.exchange(none, mo::acquire);
      while (at != none) {
        const std::uint32_t next = link_of(at).load(mo::relaxed);       // own: whoever noted it has ended
        link_of(at).store(std::exchange(list_left_, at), mo::relaxed);  // own: as above
        at = next;
      }
    }
  }
  void read_note(std::uint32_t index) noexcept {
    bump(others_.notes);
    node& one = nodes_[index];
    // [TL17] acquire, pairs with [TL10]: when it is due
    std::uint64_t bits = one.word.load(mo::acquire);
    for (;;) {
      const timer_word word(bits);
      HOLDFAST_ASSERT(word.phase() != timer_phase::firing);
      const bool is_set = word.phase() == timer_phase::set;
      const timer_word read = word.without(timer_word::noted).with(is_set ? timer_word::in_wheel : 0);
      // own: nothing that another thread may need. On failure [TL17] acquire, pairs with [TL10]: as above
      if (!one.word.compare_exchange_weak(bits, read.bits(), mo::relaxed, mo::acquire)) continue;
      if (is_set) {
        if (word.has(timer_word::in_wheel)) take_out(one);
        put(one, index);
      } else if (word.has(timer_word::in_list) && word.phase() == timer_phase::free && index < shared_begin_) {
        give_back(index, read, nullptr);
      }
      return;
    }
  }
  // The time has come for which it lies in the wheel.
  template <class Fire>
  void visit(std::uint32_t index, Fire& fire) noexcept {
    node& one = nodes_[index];
    // [TL17] acquire, pairs with [TL10]: what it is and when
    std::uint64_t bits = one.word.load(mo::acquire);
    for (;;) {
      const timer_word word(bits);
      HOLDFAST_ASSERT(word.has(timer_word::in_wheel));
      if (word.phase() != timer_phase::set) {
        // own: as in read_note. On failure [TL17] acquire, pairs with [TL10]: as above
        if (one.word.compare_exchange_weak(bits, word.without(timer_word::in_wheel).bits(), mo::relaxed, mo::acquire))
          return;
        continue;
      }
      const time_point due = one.due();
      if (!core_.is_due(due)) return core_.put_on(one, index, due, in_wheel_);
      const timer_word firing = word.without(timer_word::in_wheel).with(timer_phase::firing);
      // own: who cancels is told by the word alone. On failure [TL17] acquire, pairs with [TL10]: as above
      if (!one.word.compare_exchange_weak(bits, firing.bits(), mo::relaxed, mo::acquire)) continue;
      bump(others_.fired);
      fired_timer call(shared_timer_id(index, word.generation()), due, one.what.get());
      fire(call);
      return end_call(index, call);
    }
  }
  void end_call(std::uint32_t index, const fired_timer& call) noexcept {
    node& one = nodes_[index];
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
      // [TL4] release, pairs with [TL3]: what the call has done. On failure relaxed, own: tried again
      if (!one.word.compare_exchange_weak(bits, next.bits(), mo::release, mo::relaxed)) continue;
      if (again) {
        bump(others_.again);
        put(one, index);
      }
      if (word.has(timer_word::watched)) unpark(one.word, std::numeric_limits<std::uint32_t>::max());
      if (!again) give_back(index, word, nullptr);
      return;
    }
  }
  // On the way to a lower level.
  void pass_on(std::uint32_t index) noexcept {
    node& one = nodes_[index];
    std::uint64_t bits = one.word.load(mo::relaxed);  // own: the exchange checks it
    while (timer_word(bits).phase() != timer_phase::set) {
      // own: as in read_note
      if (one.word.compare_exchange_weak(bits, timer_word(bits).without(timer_word::in_wheel).bits(), mo::relaxed,
                                         mo::relaxed)) {
        return;
      }
    }
    core_.put_on(one, index, one.due(), in_wheel_);
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

  // The stack of free shared places: the first one, and above it a number that changes.
  static constexpr std::uint64_t place_mask = (std::uint64_t{1} << 29U) - 1;

  std::pmr::memory_resource* const memory_;
  const std::uint32_t a_lane_;
  const std::uint32_t lane_count_;
  const std::uint32_t shared_begin_;  // the first place that no lane has
  const std::uint32_t total_;
  std::byte* const block_;
  home* const homes_;
  node* const nodes_;
  atomic<std::uint32_t>* const links_;  // of shared places
  wheel_core<node> core_;               // the wheel's thread
  bool left_ = false;                   // as core_: there are notes that are due to be read
  bool list_due_ = false;               // as core_: the list is to be taken
  std::uint32_t list_left_ = none;      // as core_: taken and not read yet

  alignas(spacing) atomic<std::int64_t> armed_{awake};  // the wheel's thread: it sleeps until then
  atomic<std::uint32_t> stirred_{0};
  atomic<std::uint32_t> closed_{0};
  News news_;
  counters others_;  // of threads without a lane, and of the wheel's thread
  alignas(spacing) atomic<std::uint64_t> shared_free_{0};
  alignas(spacing) atomic<std::uint32_t> list_{none};
  atomic<std::int64_t> shared_earliest_{never};
};

}  // namespace holdfast
