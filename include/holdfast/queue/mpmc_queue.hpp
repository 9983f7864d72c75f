// SPDX-License-Identifier: MIT
// mpmc_queue: a bounded FIFO that any number of threads push to and pop from.
//
//   operation          caller      progress       cost   allocates   when refused
//   try_push           producers   not blocking   O(1)   never       full, busy or closed; the value is still the caller's
//   try_emplace        producers   not blocking   O(1)   never       the same; the arguments are untouched
//   try_push(span)     producers   not blocking   O(n)   never       count < n, the rest is still the caller's
//   try_pop(out)       consumers   not blocking   O(1)   never       empty, busy or closed; `out` is as it was
//   try_pop()          consumers   not blocking   O(1)   never       an empty optional
//   try_pop(span)      consumers   not blocking   O(n)   never       count < n, the rest of the span is as it was
//   consume_all(fn)    consumers   not blocking   O(n)   never       0; takes at most what was there when it was called
//   close              producers   lock-free      O(1)   never       -
//   closed             anyone      wait-free      O(1)   never       -
//   size_approx        anyone      wait-free      O(1)   never       -
//   capacity           anyone      wait-free      O(1)   never       -
//
// In short: any thread (or one on a side) | not blocking, not lock-free: a stalled thread holds its slot | never |
// full, empty, closed, or busy: the slot is held
//
// What "not blocking" means: no call waits for another thread; a loop goes round again only because another thread has
// got on. But the queue is not lock-free as a whole. A push first claims a slot and then fills it, and a thread that is
// descheduled or dies between the two holds up the consumers at that slot, though later slots are full; they are told
// busy, for as long as that takes. (On two cores with four threads that was measured to be milliseconds.) The same holds
// for a pop and the producers that come to its slot a lap later. Who needs progress although a thread stalls or dies
// takes mpmc_lockfree_queue, at several times the cost.
//
// What a refusal means: full is said only if capacity() items were in the queue, counting those whose push is under way;
// empty and closed only if none was, and none under way. So they are never said by chance, and a push that is refused is
// no sign of a lost item. Busy is said where neither is true but the slot in turn is held by another operation, or where
// things have moved on before the reason was asked for. As in any queue without a lock, what another thread has done and
// nothing has told this one of may not count yet; who wants to sleep on a refusal takes a last look after a seq_cst fence.
//
// One producer or one consumer: with callers::one on a side (spmc_queue, mpsc_queue; spsc_slot_queue on both) that side needs
// no atomic exchange and is never held up by its own, and the other side is never told busy. The interface is the same.
//
// Order: FIFO over all threads, by the order in which pushes claimed their slots.
//
// close(): pushes are refused from then on, pops drain what is there and what is under way, and then say closed. Anyone may
// call it; with one producer only that producer. It cannot be undone.
//
// T: any object type that moves and is destroyed without an exception (an exception behind a claim would be a hole for
// ever); move-only, without default constructor, over-aligned. What is left in the queue is destroyed with it; by then all
// threads have stopped using it. An item that a dead thread held is not destroyed.
//
// When to use it: several threads on either side, all of them alive. For one on each side there are two: spsc_queue, 5 to 10
// times as fast between cores that share a cache; and spsc_slot_queue, where a question goes there and an answer back, or where
// the cores share no cache: an item and the word that tells of it come in one line, where spsc_queue takes two. Not for many
// producers whose order among each other does not matter (fan_in: one spsc_queue a producer), not between processes: one that is
// killed inside an operation would hold up the others for ever.
//
// Memory: the slots are inside the object: Capacity cells of a word and a T, and four lines for the two positions. It has
// an address that others know, so it is neither copied nor moved.
//
// Method: each cell has a word that says whose turn it is (Vyukov, "Bounded MPMC queue", 2010). Positions and words count
// in steps of two, so that the lowest bit of a cell's word says "filled" and that of the producers' position "closed":
// one cell is enough, closing is a bit that makes every later claim fail, and 63 bits of position wrap correctly.
// Beyond that: a thread that loses a claim pauses, twice as long each time; cells are dense, not a line each: four or more
// of them come with one transfer; a refusal that is asked for its reason looks at the opposite position. Each was kept
// because bench/mpmc_queue_bench.cpp shows it.
//
// Proof: model/mpmc_queue_model.cpp (every execution of small cases, deaths), unit/mpmc_queue_test.cpp,
// stress/mpmc_queue_stress.cpp, linearizability/mpmc_windows.cpp (every answer, refusals above all),
// fuzz/mpmc_queue_fuzz.cpp, bench/mpmc_queue_bench.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/contention_pause.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/queue_result.hpp"

namespace holdfast {

template <class T, std::size_t Capacity, callers Producers = callers::many, callers Consumers = callers::many>
class mpmc_queue {
  static_assert(std::has_single_bit(Capacity),
                "mpmc_queue: Capacity is a power of two, so that a slot is found by a mask");
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>, "mpmc_queue: T is an object type");
  static_assert(std::is_nothrow_destructible_v<T>, "mpmc_queue: T's destructor must not throw");
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "mpmc_queue: T moves without an exception; one after a claim would leave a hole for ever");

  static constexpr std::size_t spacing = 2 * cache_line_size;

 public:
  using value_type = T;
  static constexpr callers producers = Producers;
  static constexpr callers consumers = Consumers;

  // What a push or a pop answered: a condition, or by its status why it was refused, see queue_result.hpp. The reason is
  // looked up when it is asked for, while the queue lives. What it then says of the positions holds for the time of the
  // call as well, since they only grow; and who only asks whether, as a loop does, leaves the other side's line alone.
  class [[nodiscard]] result {
   public:
    [[nodiscard]] explicit operator bool() const noexcept { return refused_by_ == nullptr; }
    [[nodiscard]] queue_op_status status() const noexcept {
      if (refused_by_ == nullptr) return queue_op_status::success;
      return of_push_ ? refused_by_->why_not_pushed(ticket_) : refused_by_->why_not_popped(ticket_);
    }
    operator queue_result() const noexcept { return status(); }  // NOLINT(google-explicit-constructor)
    friend bool operator==(const result& a, queue_op_status status) noexcept { return a.status() == status; }

   private:
    friend class mpmc_queue;
    result() noexcept = default;
    result(const mpmc_queue& by, std::uint64_t ticket, bool of_push) noexcept
        : refused_by_(&by), ticket_(ticket), of_push_(of_push) {}

    const mpmc_queue* refused_by_ = nullptr;
    std::uint64_t ticket_ = 0;
    bool of_push_ = false;
  };

  mpmc_queue() noexcept : mpmc_queue(0) {}
  // Starts the positions at `first`, so that a test can stand just before they wrap. Of no use otherwise.
  explicit mpmc_queue(std::uint64_t first) noexcept : push_pos_(first * step), pop_pos_(first * step) {
    for (std::uint64_t i = 0; i < Capacity; ++i) {
      // init: nobody else knows the queue yet
      cell_of((first + i) * step).turn.store((first + i) * step, mo::relaxed);
    }
  }
  mpmc_queue(const mpmc_queue&) = delete;
  mpmc_queue& operator=(const mpmc_queue&) = delete;
  ~mpmc_queue() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      // own: all threads have stopped, and whoever destroys has seen them stop
      std::uint64_t at = pop_pos_.load(mo::relaxed);
      for (std::size_t i = 0; i < Capacity; ++i, at += step) {
        cell& c = cell_of(at);
        // own: as above. A cell that a dead thread had claimed is not filled
        if (c.turn.load(mo::relaxed) == at + filled) std::destroy_at(c.item());
      }
    }
  }

  // ---- the producers' side

  [[nodiscard]] result try_push(T&& value) noexcept { return try_emplace(std::move(value)); }
  // Where copying may throw, the copy is made first, whether or not there is room.
  [[nodiscard]] result try_push(const T& value) noexcept(
      std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
    if constexpr (std::is_nothrow_copy_constructible_v<T>) {
      return try_emplace(value);
    } else {
      T copy(value);
      return try_emplace(std::move(copy));
    }
  }

  // Makes the item in its slot.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  [[nodiscard]] result try_emplace(Args&&... args) noexcept {
    static_assert(std::is_nothrow_constructible_v<T, Args...>,
                  "mpmc_queue: this constructor may throw, which would leave a hole: make the item first, try_push it");
    const claim mine = claim_one<Producers>(push_pos_, 0);
    if (mine.place == nullptr) return result(*this, mine.ticket, true);
    ::new (static_cast<void*>(mine.place->storage)) T(std::forward<Args>(args)...);
    publish_pushed(*mine.place, mine.ticket);
    leave(push_pos_, mine.ticket + step, Producers);
    return result();
  }

  // Moves in as many as fit, from the front; returns how many. Less than all: the queue is full or closed, or the next
  // slot is held by another operation.
  [[nodiscard]] std::size_t try_push(std::span<T> values) noexcept {
    return push_many(values.data(), values.size(), [](T& from) -> T&& { return std::move(from); });
  }
  // The same with copies.
  [[nodiscard]] std::size_t try_push(
      std::span<const T> values) noexcept requires std::is_nothrow_copy_constructible_v<T> {
    return push_many(values.data(), values.size(), [](const T& from) -> const T& { return from; });
  }

  // Nothing is pushed from now on. With one producer, by that producer alone.
  void close() noexcept {
    if constexpr (Producers == callers::one) {
      // own: only the producer writes it. [M7] release, pairs with [M8] and [M10]: all that went before the end
      push_pos_.store(push_pos_.load(mo::relaxed) | closed_bit, mo::release);
    } else {
      // [M9] release, pairs with [M5], [M8] and [M10]: all that its caller did before the end
      push_pos_.fetch_or(closed_bit, mo::release);
    }
  }

  // ---- the consumers' side

  [[nodiscard]] result try_pop(T& out) noexcept requires std::is_nothrow_move_assignable_v<T> {
    const claim mine = claim_one<Consumers>(pop_pos_, filled);
    if (mine.place == nullptr) return result(*this, mine.ticket, false);
    T* const item = mine.place->item();
    out = std::move(*item);
    std::destroy_at(item);
    publish_popped(*mine.place, mine.ticket);
    leave(pop_pos_, mine.ticket + step, Consumers);
    return result();
  }

  // For a T that cannot be assigned to, or whose assignment may throw.
  [[nodiscard]] std::optional<T> try_pop() noexcept {
    const claim mine = claim_one<Consumers>(pop_pos_, filled);
    if (mine.place == nullptr) return std::nullopt;
    T* const item = mine.place->item();
    std::optional<T> out(std::move(*item));
    std::destroy_at(item);
    publish_popped(*mine.place, mine.ticket);
    leave(pop_pos_, mine.ticket + step, Consumers);
    return out;
  }

  // Moves out as many as there are and as the span takes; returns how many. Less than the span: the queue is empty, or
  // the next slot is held by another operation.
  [[nodiscard]] std::size_t try_pop(std::span<T> out) noexcept requires std::is_nothrow_move_assignable_v<T> {
    return in_runs<Consumers>(pop_pos_, filled, out.size(), [&](cell& c, std::uint64_t ticket, std::size_t i) {
      T* const item = c.item();
      out[i] = std::move(*item);
      std::destroy_at(item);
      publish_popped(c, ticket);
    });
  }

  // Calls fn(T&&) for each item that was in the queue at the call and that this thread gets; returns how many. An item is
  // out of the queue before fn sees it, so a slow fn holds up nobody; one for which fn throws is gone.
  template <class Function>
    requires std::invocable<Function&, T&&> std::size_t consume_all(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, T&&>) {
    const std::size_t most = size_approx();
    std::size_t count = 0;
    for (; count < most; ++count) {
      std::optional<T> item = try_pop();
      if (!item) break;
      fn(std::move(*item));
    }
    return count;
  }

  // ---- anyone

  [[nodiscard]] bool closed() const noexcept {
    return (push_pos_.load(mo::acquire) & closed_bit) != 0;  // [M8] acquire, pairs with [M7] and [M9]: what went before
  }
  // A recent number of items, those whose push or pop is under way included or not.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    // hint: a count for an observer; no item is read through it
    const auto pushed = push_pos_.load(mo::relaxed) & ~closed_bit;
    const auto popped = pop_pos_.load(mo::relaxed);  // hint: as above
    const auto between = static_cast<std::int64_t>(pushed - popped) / static_cast<std::int64_t>(step);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(between, 0, Capacity));
  }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return Capacity; }

 private:
  // Positions and turns go in steps of two. A cell's turn is the ticket of the push that it waits for, and that plus
  // `filled` when it waits for the pop of the same ticket.
  static constexpr std::uint64_t step = 2;
  static constexpr std::uint64_t filled = 1;
  static constexpr std::uint64_t closed_bit = 1;  // of the producers' position; a ticket with it fits no cell
  static constexpr std::uint64_t lap = step * Capacity;

  struct cell {
    atomic<std::uint64_t> turn;
    alignas(T) std::byte storage[sizeof(T)];
    T* item() noexcept { return std::launder(reinterpret_cast<T*>(storage)); }
  };
  // A cell that this thread alone may touch until it publishes it; or none.
  struct claim {
    cell* place;
    std::uint64_t ticket;
  };

  cell& cell_of(std::uint64_t ticket) noexcept { return cells_[ticket / step & (Capacity - 1)]; }
  // How far the cell's turn is from what a caller with this ticket waits for: below zero, it is still an earlier one's;
  // above, the ticket is an old one.
  std::int64_t ahead(const cell& c, std::uint64_t wanted) noexcept {
    // [M1] acquire, pairs with [M2] and [M3]: a pop sees the item, and a push that the one before it was read and destroyed
    return static_cast<std::int64_t>(c.turn.load(mo::acquire) - wanted);
  }

  static std::uint64_t position(const atomic<std::uint64_t>& pos, callers side) noexcept {
    if (side == callers::one) return pos.load(mo::relaxed);  // own: nobody else is on this side
    // [M5] acquire, pairs with [M6] and [M9]: what went before the claims that it has seen counts for the refusals
    return pos.load(mo::acquire);
  }
  // Moves `pos` on from `ticket`, or brings `ticket` up to date.
  static bool take(atomic<std::uint64_t>& pos, std::uint64_t& ticket, std::size_t count, callers side) noexcept {
    if (side == callers::one) return true;
    // [M6] release, pairs with [M5]: see there. On failure [M6f] acquire, pairs with [M6] and [M9]: as [M5]
    return pos.compare_exchange_weak(ticket, ticket + step * count, mo::release, mo::acquire);
  }
  // A side with one thread moves on after it has published, so that its position never stands beyond what is done.
  static void leave(atomic<std::uint64_t>& pos, std::uint64_t next, callers side) noexcept {
    if (side == callers::one) pos.store(next, mo::relaxed);  // own: read by observers, and for a refusal
  }

  // The cell in turn, unless it is still an earlier one's. `ready` is what its turn is beyond the ticket when it waits for
  // this side.
  template <callers Side>
  [[gnu::always_inline]] claim claim_one(atomic<std::uint64_t>& pos, std::uint64_t ready) noexcept {
    std::uint64_t ticket = position(pos, Side);
    contention_pause pause;
    for (;;) {
      cell& c = cell_of(ticket);
      const std::int64_t turn = ahead(c, ticket + ready);
      if (turn == 0) {
        if (take(pos, ticket, 1, Side)) [[likely]]
          return {&c, ticket};
        pause();
      } else if (turn < 0) {
        return {nullptr, ticket};
      } else {
        pause();
        ticket = position(pos, Side);
      }
    }
  }

  // These hold for the call as well: the ticket was drawn before, and the opposite position was no further then. Where it
  // has not come further since, no claim has been made that could have been under way.
  queue_op_status why_not_pushed(std::uint64_t ticket) const noexcept {
    if ((ticket & closed_bit) != 0) return queue_op_status::closed;
    if constexpr (Consumers == callers::one) return queue_op_status::full;  // it frees a slot before it moves on
    // counter: pops that happened before the pushes that [M5] has shown are in it
    const std::uint64_t popped = pop_pos_.load(mo::relaxed);
    return ticket - popped == lap ? queue_op_status::full : queue_op_status::busy;
  }
  queue_op_status why_not_popped(std::uint64_t ticket) const noexcept {
    // [M10] acquire, pairs with [M7] and [M9]: what went before the end
    const std::uint64_t pushed = push_pos_.load(mo::acquire);
    if (pushed == (ticket | closed_bit)) return queue_op_status::closed;
    if constexpr (Producers == callers::one) return queue_op_status::empty;  // it fills a slot before it moves on
    return pushed == ticket ? queue_op_status::empty : queue_op_status::busy;
  }

  void publish_pushed(cell& c, std::uint64_t ticket) noexcept {
    c.turn.store(ticket + filled, mo::release);  // [M2] release, pairs with [M1]: the item is whole
  }
  void publish_popped(cell& c, std::uint64_t ticket) noexcept {
    c.turn.store(ticket + lap, mo::release);  // [M3] release, pairs with [M1]: the item was read and destroyed
  }

  // Claims cells in runs, as many at a time as are ready one after the other, and does `each` with every one of them.
  template <callers Side, class Each>
  std::size_t in_runs(atomic<std::uint64_t>& pos, std::uint64_t ready, std::size_t wanted, Each each) noexcept {
    std::uint64_t ticket = position(pos, Side);
    contention_pause pause;
    std::size_t done = 0;
    while (done < wanted) {
      std::int64_t turn = 0;
      std::size_t count = 0;
      for (; count < wanted - done; ++count) {
        turn = ahead(cell_of(ticket + count * step), ticket + count * step + ready);
        if (turn != 0) break;
      }
      if (count == 0 && turn < 0) break;
      if (count == 0) {
        pause();
        ticket = position(pos, Side);
        continue;
      }
      if (!take(pos, ticket, count, Side)) {
        pause();
        continue;
      }
      for (std::size_t i = 0; i < count; ++i, ticket += step) each(cell_of(ticket), ticket, done + i);
      leave(pos, ticket, Side);
      done += count;
    }
    return done;
  }

  template <class From, class Hand>
  std::size_t push_many(From* values, std::size_t wanted, Hand hand) noexcept {
    return in_runs<Producers>(push_pos_, 0, wanted, [&](cell& c, std::uint64_t ticket, std::size_t i) {
      ::new (static_cast<void*>(c.storage)) T(hand(values[i]));
      publish_pushed(c, ticket);
    });
  }

  alignas(spacing) atomic<std::uint64_t> push_pos_;              // written by producers
  alignas(spacing) atomic<std::uint64_t> pop_pos_;               // written by consumers
  alignas(std::max(spacing, alignof(T))) cell cells_[Capacity];  // each by whose turn it is
};

template <class T, std::size_t Capacity>
using mpsc_queue = mpmc_queue<T, Capacity, callers::many, callers::one>;
template <class T, std::size_t Capacity>
using spmc_queue = mpmc_queue<T, Capacity, callers::one, callers::many>;
template <class T, std::size_t Capacity>
using spsc_slot_queue = mpmc_queue<T, Capacity, callers::one, callers::one>;

}  // namespace holdfast
