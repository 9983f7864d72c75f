// SPDX-License-Identifier: MIT
// resequencer: several threads take items one after the other, work on them at the same time, and what they make of them
// leaves in the order in which the items were taken.
//
//   operation             caller           progress    cost                               allocates   when refused
//   take(pop)             any thread       blocking    one exchange and a store, and pop  never       pop refused: nothing
//   give(number, v, emit) whoever took     blocking    one exchange, and one for each     never       -
//                                                      that it emits
//   waiting               anyone           wait-free   O(1)                               never       -
//
// In short: any thread takes and gives; one at a time pops, one at a time emits, in order | blocking: who is a
// window ahead sleeps | never | nothing was popped
//
// take(pop) calls pop() when it is this thread's turn, one thread at a time, and returns the number of what it took, from 0
// without a gap; or nothing where pop() returned false, and no number is used. So pop() may be the end of a queue that only
// one thread may pop from, and it may wait. give(number, value, emit) keeps the value until all before it have been given;
// then emit(T&&) is called for it, by whichever thread completed the row: one at a time, in the order of the numbers, each
// seeing all that the emits before it did. So emit may be the end of a queue that only one thread may push to.
//
// Every number that was taken is given once, by the thread that took it or another one. A thread that keeps one back holds
// up the emits of all behind it, and, when Window of them have been given, those who give: they sleep. The one with the
// lowest number never waits, so if all who took give in the end, all is emitted. Emit may wait (for room, say): the others go
// on as far as the window lets them.
//
// When to use it: to work in parallel on what must stay in order (exec/work_pipeline.hpp does). Not where the work is shorter
// than handing it over (some hundred nanoseconds): one thread is faster. Where order does not matter, an mpmc_queue.
//
// T moves and is destroyed without an exception, and so emit() and pop() do not throw. What has been given and not emitted when
// the resequencer ends is destroyed with it; by then all threads have stopped using it. It is neither copied nor moved.
//
// Memory: Window slots of a T and a byte.
//
// Method: the Resequencer of Hohpe and Woolf, "Enterprise Integration Patterns" (2003), as a ring without a lock. Its slots
// are met in an exchange from both sides: who gives leaves `given` and who has just emitted the one before leaves `awaited`,
// and whoever comes second emits. Taking is Leader/Followers (Schmidt et al., 2000).
//
// Proof: model/resequencer_model.cpp, unit/resequencer_test.cpp, stress/resequencer_stress.cpp, fuzz/resequencer_fuzz.cpp.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

template <class T, std::size_t Window>
class resequencer {
  static_assert(std::has_single_bit(Window),
                "resequencer: Window is a power of two, so that a slot is found by a mask");
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>, "resequencer: T is an object type");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "resequencer: T moves and is destroyed without an exception; one would stop all behind it");

 public:
  using value_type = T;

  explicit resequencer(before_sleep looks = {}) noexcept : turn_(looks), window_(looks) {
    slots_[0].state.store(awaited, mo::relaxed);  // init: nobody else knows the resequencer yet
  }
  resequencer(const resequencer&) = delete;
  resequencer& operator=(const resequencer&) = delete;
  ~resequencer() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for (slot& s : slots_) {
        // own: all threads have stopped, and whoever destroys has seen them stop
        if (s.state.load(mo::relaxed) == given) std::destroy_at(s.item());
      }
    }
  }

  template <std::predicate Pop>
  [[nodiscard]] std::optional<std::uint64_t> take(Pop&& pop) noexcept {
    turn_.wait(deadline::never(), [this] { return begins_to_take(); });
    std::optional<std::uint64_t> number;
    if (pop()) {
      number = taken_.get();
      taken_.set(*number + 1);
    }
    taking_.store(false, mo::release);  // [Q2] release, pairs with [Q1]: as said there
    turn_.notify(1);
    return number;
  }

  template <std::invocable<T&&> Emit>
  void give(std::uint64_t number, T&& value, Emit&& emit) noexcept {
    // [Q3] acquire, pairs with [Q4]: the slot was left empty by the one a window before
    window_.wait(deadline::never(), [&] { return number - emitted_.load(mo::acquire) < Window; });
    slot* s = &slots_[number & (Window - 1)];
    ::new (static_cast<void*>(s->storage)) T(std::move(value));
    // [Q5] acq_rel, pairs with [Q6]: the value goes with it; what the emits before it did comes
    if (s->state.exchange(given, mo::acq_rel) != awaited) return;
    do {
      T* const item = s->item();
      T out(std::move(*item));
      std::destroy_at(item);
      s->state.store(empty, mo::relaxed);  // own: [Q4] tells the next one that uses the slot
      ++number;
      emitted_.store(number, mo::release);  // [Q4] release, pairs with [Q3]: the slot is free for the next lap
      window_.notify_all();                 // each waits for a number of its own
      emit(std::move(out));
      s = &slots_[number & (Window - 1)];
      // [Q6] acq_rel, pairs with [Q5]: what was emitted goes with it; the value comes, if it is there
    } while (s->state.exchange(awaited, mo::acq_rel) == given);
  }

  // How many threads wait for others, to take or to give.
  [[nodiscard]] std::uint32_t waiting() const noexcept { return turn_.sleepers() + window_.sleepers(); }

 private:
  bool begins_to_take() noexcept {
    // hint: not exchanged where it would be in vain. [Q1] acquire, pairs with [Q2]: the number, and the last pop
    return !taking_.load(mo::relaxed) && !taking_.exchange(true, mo::acquire);
  }

  enum slot_state : std::uint8_t { empty, given, awaited };
  struct slot {
    atomic<std::uint8_t> state{empty};
    alignas(T) std::byte storage[sizeof(T)];
    T* item() noexcept { return std::launder(reinterpret_cast<T*>(storage)); }
  };

  alignas(cache_line_size) atomic<bool> taking_{false};  // by whose turn it is
  plain<std::uint64_t> taken_{0};
  event_count turn_;
  alignas(cache_line_size) atomic<std::uint64_t> emitted_{0};  // by who emits
  event_count window_;
  alignas(cache_line_size) slot slots_[Window];
};

}  // namespace holdfast
