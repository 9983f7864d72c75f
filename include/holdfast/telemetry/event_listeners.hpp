// SPDX-License-Identifier: MIT
// event_listeners: who is to be told of events. Who has left is not told any more: leaving waits for a handler that runs.
//
//   operation               caller          progress               cost              allocates   when refused
//   join                    any thread      lock-free              a look a place    never       an empty membership: all taken
//   membership::leave, ~    its owner       lock-free, or as long  one CAS           never       -
//                                           as its handler runs
//   tell                    one at a time   lock-free, and as the  two CAS, a        never       -
//                                           handlers               handler's time
//   size_approx             any thread      wait-free              a load a place    never       -
//
// In short: any thread joins and leaves, one at a time tells | leaving waits for its own handler | never | an empty membership:
// all places are taken
//
//   L1 After leave() has returned the handler does not run and is not called again, and what it did happened before: what it
//      uses may be destroyed.
//   L2 A handler may leave from within itself; then leave() does not wait, and what it uses may be destroyed there and then. It
//      may have others leave or join; who joins during an event may or may not be told of that event.
//   L3 Handlers run one at a time, in the thread that tells, never in one that publishes, joins or leaves.
//
// A handler must not wait for a thread that waits for it: for one that is in leave(), or for a lock that this one holds.
//
// When to use it: between event_ring::drain and the parts of a program that want events: `ring.drain(listeners)`. For a single
// handler drain() alone will do.
//
// Memory: Most places of four words.
// Method: one word a place, which says whether its handler runs. tell() and leave() both move it by compare-and-swap, so that
// exactly one of them sees the other; a number beside it tells the next owner of a place from this one.
// Proof: model/event_listeners_model.cpp (every execution of small cases), unit/event_listeners_test.cpp,
// stress/event_ring_stress.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/thread_slot.hpp"
#include "holdfast/telemetry/event.hpp"

namespace holdfast {

template <class L>
concept hears_events = requires(L& listener, const event& what) {
  { listener.on_event(what) }
  noexcept;
};

template <std::size_t Most = 16>
class event_listeners {
  struct place;

 public:
  using handler = void (*)(void* self, const event& what) noexcept;

  // A place among those who are told. It does not outlive the listeners.
  class [[nodiscard]] membership {
   public:
    membership() noexcept = default;
    membership(membership&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), place_(other.place_), number_(other.number_) {}
    membership& operator=(membership&& other) noexcept {
      membership taken(std::move(other));
      std::swap(owner_, taken.owner_);
      std::swap(place_, taken.place_);
      std::swap(number_, taken.number_);
      return *this;
    }
    ~membership() { leave(); }

    [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }
    void leave() noexcept {
      if (owner_ != nullptr) std::exchange(owner_, nullptr)->end(*place_, number_);
    }

   private:
    friend class event_listeners;
    membership(event_listeners* owner, place* at, std::uint64_t number) noexcept
        : owner_(owner), place_(at), number_(number) {}

    event_listeners* owner_ = nullptr;
    place* place_ = nullptr;
    std::uint64_t number_ = 0;
  };

  event_listeners() noexcept = default;
  event_listeners(const event_listeners&) = delete;
  event_listeners& operator=(const event_listeners&) = delete;

  [[nodiscard]] membership join(handler call, void* self) noexcept {
    for (place& p : places_) {
      std::uint64_t seen = p.word.load(mo::relaxed);  // hint: the exchange decides
      if (state_of(seen) != vacant) continue;
      const std::uint64_t number = seen / states + 1;
      // [L1] acquire, pairs with [L4] and [L5]: the last one's handler is read no more. On failure relaxed, hint: another
      // one has taken the place
      if (!p.word.compare_exchange_strong(seen, number * states + joining, mo::acquire, mo::relaxed)) continue;
      p.call.set(call);
      p.self.set(self);
      p.word.store(number * states + waits, mo::release);  // [L2] release, pairs with [L3]: the handler
      return {this, &p, number};
    }
    return {};
  }
  template <hears_events Listener>
  [[nodiscard]] membership join(Listener& listener) noexcept {
    return join([](void* self, const event& what) noexcept { static_cast<Listener*>(self)->on_event(what); },
                &listener);
  }

  void tell(const event& what) noexcept {
    HOLDFAST_ASSERT(teller_.load(mo::relaxed) == nullptr);  // own: not from two threads, nor from within a handler
    teller_.store(thread_slot::self(), mo::relaxed);        // own: only who finds itself in it goes by it
    for (place& p : places_) {
      std::uint64_t seen = p.word.load(mo::relaxed);  // hint: the exchange decides
      if (state_of(seen) != waits) continue;
      const std::uint64_t running = seen - waits + runs;
      // [L3] acquire, pairs with [L2]: the handler. On failure relaxed, hint: it has left
      if (!p.word.compare_exchange_strong(seen, running, mo::acquire, mo::relaxed)) continue;
      p.call.get()(p.self.get(), what);
      seen = running;
      // [L4] release, pairs with [L1] and [L6]: what the handler did. On failure relaxed, own: it leaves, and only this thread may
      // end that
      if (!p.word.compare_exchange_strong(seen, running - runs + waits, mo::release, mo::relaxed))
        p.word.store(running - runs + vacant, mo::release);  // [L5] release, pairs with [L1] and [L7]: as [L4]
    }
    teller_.store(nullptr, mo::relaxed);  // own: as above
  }
  void operator()(const event& what) noexcept { tell(what); }

  // A stale observer's view.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    std::size_t count = 0;
    for (const place& p : places_) {
      const std::uint64_t state = state_of(p.word.load(mo::relaxed));  // hint: for an observer
      count += state == waits || state == runs ? 1U : 0U;
    }
    return count;
  }

 private:
  // The word of a place: how many have had it : 61 | state : 3.
  static constexpr std::uint64_t states = 8;
  static constexpr std::uint64_t vacant = 0;
  static constexpr std::uint64_t joining = 1;
  static constexpr std::uint64_t waits = 2;
  static constexpr std::uint64_t runs = 3;
  static constexpr std::uint64_t leaves = 4;  // while its handler runs
  static constexpr std::uint64_t state_of(std::uint64_t word) noexcept { return word % states; }

  struct place {
    atomic<std::uint64_t> word{vacant};  // written by who joins, tells and leaves
    plain<handler> call{nullptr};        // written by who joins
    plain<void*> self{nullptr};          // written by who joins
  };

  void end(place& p, std::uint64_t number) noexcept {
    const std::uint64_t owned = number * states;
    std::uint64_t seen = owned + waits;
    // [L6] acquire, pairs with [L4]: what the handler did. On failure relaxed, hint: it has begun to run, or has ended
    while (!p.word.compare_exchange_strong(seen, owned + (seen == owned + waits ? vacant : leaves), mo::acquire,
                                           mo::relaxed)) {
    }
    if (seen == owned + waits) return;
    // It runs, and its end is the teller's. own: if this is the teller, this is the handler itself
    if (teller_.load(mo::relaxed) == thread_slot::self()) return;
    // [L7] acquire, pairs with [L5]: what the handler did
    for (unsigned turn = 0; p.word.load(mo::acquire) == owned + leaves; ++turn) doze(turn);
  }

  std::array<place, Most> places_{};
  atomic<const void*> teller_{nullptr};  // written by who tells
};

}  // namespace holdfast
