// SPDX-License-Identifier: MIT
// job_ring: a FIFO of numbers of which never more than Count are on their way, so that there is room for each.
//
//   operation      caller       progress       cost   allocates   when refused
//   push(v)        any thread   wait-free      O(1)   never       never: there is room for all
//   push(span)     any thread   wait-free      O(n)   never       never
//   pop(span)      any thread   not blocking   O(n)   never       0: nothing is there, or the oldest is still being pushed
//   peek, pop_at   any thread   not blocking   O(1)   never       nothing; it is not the oldest any more
//   ready, any     any thread   wait-free      O(1)   never       -
//   pushed,        any thread   wait-free      O(1)   never       -
//   popped, size
//
// In short: any thread | a push is wait-free; a stalled one holds up the pops behind it | never | nothing there. Never full
//
// Whoever uses it sees to it that at most Count values are in it, those of pushes that have begun included: each stands for a slot
// of which there are no more, say, and is in it once. That is what the queue lives on. A push draws its place with one
// addition and stores; it looks neither at where the pops are nor at what is in its place: the value that was there a lap ago has
// been popped, since otherwise Count others and this one were on their way. A pop reads values first and takes them by moving
// the position on; as the places are not given back by a store, nobody waits for one who has popped. So the only thread that is
// ever waited for is a pusher between its addition and its store: pops find nothing, and the values behind it wait.
//
// When to use it: as the order of the slots of a pool, and as its free list. Not as a queue of values (mpmc_queue), and not where a
// pusher may be killed (index_ring).
//
// Memory: Count words, and four lines.
//
// Method: tickets by fetch_add; a place holds eight bits of its lap beside the value, so that a pop knows whether it was filled in
// this one. At the position of the pops it was filled in this lap or the last one; who has read an older position may take a
// value of another lap for one of his, and then fails to move the position on.
//
// Proof: model/job_ring_model.cpp, unit/job_ring_test.cpp, stress/job_scheduler_stress.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/contention_pause.hpp"
#include "holdfast/core/prefetch.hpp"

namespace holdfast {

template <std::size_t Count>
class job_ring {
  static_assert(std::has_single_bit(Count), "job_ring: Count is a power of two, so that a place is found by a mask");
  static constexpr std::size_t spacing = 2 * cache_line_size;

 public:
  job_ring() : places_(std::make_unique<atomic<std::uint64_t>[]>(Count)) {}
  job_ring(const job_ring&) = delete;
  job_ring& operator=(const job_ring&) = delete;
  ~job_ring() = default;

  static constexpr std::uint64_t most = (std::uint64_t{1} << 56U) - 1;

  void push(std::uint64_t value) noexcept { fill(draw(1), value); }
  void push(std::span<const std::uint64_t> values) noexcept {
    std::uint64_t ticket = draw(values.size());
    for (const std::uint64_t value : values) fill(ticket++, value);
  }

  // The oldest ones, as many as are there one after the other and fit.
  [[nodiscard]] std::size_t pop(std::span<std::uint64_t> out) noexcept {
    // counter: the exchange below checks it
    std::uint64_t ticket = pop_pos_.load(mo::relaxed);
    for (contention_pause pause;; pause()) {
      std::size_t count = 0;
      for (; count < out.size() && filled(ticket + count, out[count]); ++count) {
      }
      if (count == 0) {
        const std::uint64_t seen = pop_pos_.load(mo::relaxed);  // counter: has it moved on, there may be others
        if (seen == ticket) return 0;
        ticket = seen;
      } else if (take(ticket, count)) {
        return count;
      }
    }
  }

  // Where the next one will be, as far as one thread knows: as long as that place is as it was a lap ago, one load says that
  // nothing is there. Eight bits of a lap are told apart: so it is looked at anew from time to time, though nothing seems to come.
  class next_place {
   public:
    [[nodiscard]] bool is_empty() const noexcept {
      return at_ != nullptr && (at_->load(mo::relaxed) & 0xFFU) == lap_before_;  // hint: pop reads it with its order
    }
    void look_at(const job_ring& ring) noexcept {
      const std::uint64_t ticket = ring.pop_pos_.load(mo::relaxed);  // hint: as above
      at_ = &ring.place(ticket);
      lap_before_ = lap_of(ticket - Count);
    }

   private:
    const atomic<std::uint64_t>* at_ = nullptr;
    std::uint64_t lap_before_ = 0;
  };

  // The oldest one and its ticket, to be popped if it still is the oldest.
  struct oldest {
    std::uint64_t ticket = 0;
    std::uint64_t value = 0;
    bool there = false;
  };
  [[nodiscard]] oldest peek() const noexcept {
    oldest first;
    first.ticket = pop_pos_.load(mo::relaxed);  // counter: pop_at checks it
    first.there = filled(first.ticket, first.value);
    return first;
  }
  [[nodiscard]] bool pop_at(const oldest& first) noexcept {
    for (std::uint64_t ticket = first.ticket; ticket == first.ticket;) {
      if (take(ticket, 1)) return true;
    }
    return false;
  }

  // Is there one to be popped?
  [[nodiscard]] bool ready() const noexcept {
    std::uint64_t value = 0;
    return filled(pop_pos_.load(mo::relaxed), value);  // counter: who needs to be sure puts a fence before it
  }
  // Is there one, or one under way?
  [[nodiscard]] bool any() const noexcept {
    const std::uint64_t out = pop_pos_.load(mo::relaxed);  // counter: older at worst, and then there is more
    return push_pos_.load(mo::relaxed) != out;             // counter: who needs to be sure has a fence before it
  }
  // How many have ever been pushed, the pushes under way included, and popped.
  [[nodiscard]] std::uint64_t pushed() const noexcept { return push_pos_.load(mo::relaxed) - Count; }  // counter:
  [[nodiscard]] std::uint64_t popped() const noexcept { return pop_pos_.load(mo::relaxed) - Count; }   // counter:
  [[nodiscard]] std::size_t size_approx() const noexcept {
    const std::uint64_t out = popped();
    return static_cast<std::size_t>(std::max(pushed(), out) - out);
  }

 private:
  // Tickets begin with the second lap, so that a place of zero is not filled.
  static constexpr std::uint64_t lap_of(std::uint64_t ticket) noexcept { return ticket / Count & 0xFFU; }
  [[nodiscard]] atomic<std::uint64_t>& place(std::uint64_t ticket) const noexcept {
    return places_[ticket & (Count - 1)];
  }

  std::uint64_t draw(std::size_t count) noexcept {
    // [JR4] seq_cst, pairs with [JR4]: among the Count tickets before this one is a value's slot for the second time,
    // which was popped in between; so [JR3] tells this push, too, that its place was filled a lap ago, and is not
    // filled later than by it. And a push that has begun is
    // known to who looks behind a fence, without one here (job_idle)
    return push_pos_.fetch_add(count, mo::seq_cst);
  }
  void fill(std::uint64_t ticket, std::uint64_t value) noexcept {
    constexpr std::uint64_t line = cache_line_size / sizeof(std::uint64_t);
    // The line after the next one, since a push waits, in its addition, for what the one before has stored.
    if ((ticket & (line - 1)) == 0) prefetch_for_write(reinterpret_cast<const std::byte*>(&place(ticket + 2 * line)));
    HOLDFAST_ASSERT(value <= most);
    // [JR1] release, pairs with [JR2]: what whoever pushes has done to what the value stands for
    place(ticket).store(value << 8U | lap_of(ticket), mo::release);
  }
  [[nodiscard]] bool filled(std::uint64_t ticket, std::uint64_t& value) const noexcept {
    // [JR2] acquire, pairs with [JR1]: what the value stands for is as it was pushed
    const std::uint64_t word = place(ticket).load(mo::acquire);
    value = word >> 8U;
    return (word & 0xFFU) == lap_of(ticket);
  }
  // If `ticket` still is the first one; else it is what is.
  bool take(std::uint64_t& ticket, std::size_t count) noexcept {
    // [JR3] acq_rel, pairs with [JR3]: whoever has popped later knows that the places before are filled, so that a push which
    // uses one of them again comes after that. On failure relaxed, counter: all is read again
    return pop_pos_.compare_exchange_weak(ticket, ticket + count, mo::acq_rel, mo::relaxed);
  }

  alignas(spacing) atomic<std::uint64_t> push_pos_{Count};            // by pushers
  alignas(spacing) atomic<std::uint64_t> pop_pos_{Count};             // by who pops
  alignas(spacing) std::unique_ptr<atomic<std::uint64_t>[]> places_;  // each by whose ticket it is
};

}  // namespace holdfast
