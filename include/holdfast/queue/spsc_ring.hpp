// SPDX-License-Identifier: MIT
// spsc_ring: the slots of an spsc_queue, where its two sides stand, and which slots each may touch: all of its
// synchronisation, and nothing of its items.
//
//   operation              caller     progress    cost   allocates   answer
//   push_pos               producer   wait-free   O(1)   never       the position of the next item to be made
//   has_free               producer   wait-free   O(1)   never       may an item be made there
//   free_slots(wanted)     producer   wait-free   O(1)   never       how many, from there on
//   pushed_one, pushed     producer   wait-free   O(1)   never       -
//   pop_pos                consumer   wait-free   O(1)   never       the position of the oldest item
//   has_item               consumer   wait-free   O(1)   never       is there one
//   items(wanted)          consumer   wait-free   O(1)   never       how many, from there on
//   popped_one             consumer   wait-free   O(1)   never       -
//   popped_run, popped     consumer   wait-free   O(1)   never       -
//   size_approx            anyone     wait-free   O(1)   never       at most group - 1 too many
//
// In short: one producer, one consumer | wait-free | never | no slot, no item
//
// popped_one() and items() may make a pause where the consumer asked for more than a look at once (look_spacing.hpp).
//
// free_slots() and items() look at the other side if they know of fewer than `wanted`: of all there are, with `all`.
//
// When to use it: to build a queue for one thread on each side upon. What a program uses is spsc_queue, whose header says
// what the ring promises and why it is made so.
//
// Memory: eight lines, and ring_slots.
//
// Proof: that of spsc_queue, which is nothing but this and items: model/spsc_queue_model.cpp, unit/spsc_queue_test.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/prefetch.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/look_spacing.hpp"
#include "holdfast/queue/queue_watch.hpp"
#include "holdfast/queue/ring_slots.hpp"

namespace holdfast {

// A run of slots that one side was shown, as long as that side has not moved in another way.
class shown_run {
 public:
  explicit shown_run(std::uint64_t at) noexcept : at_(at) {}
  void show(std::uint64_t at, std::size_t count) noexcept {
    at_ = at;
    count_ = count;
  }
  // The side moves over the first n of it.
  void use(std::uint64_t at, std::size_t n) noexcept {
    HOLDFAST_ASSERT(at == at_);
    HOLDFAST_ASSERT(n <= count_);
    at_ += n;
    count_ -= n;
  }

 private:
  std::uint64_t at_;
  std::size_t count_ = 0;
};

template <class T, std::size_t Capacity, queue_watch Watch, class Looks>
class spsc_ring {
  static constexpr std::size_t spacing = 2 * cache_line_size;

 public:
  using slots_type = ring_slots<T, Capacity>;
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

  explicit spsc_ring(std::uint64_t first) noexcept
      : producer_(first), push_pos_(first), pop_pos_(first), consumer_(first) {
    producer_.end = first + slots_.numbers().max_size();
  }
  template <class Storage>
  spsc_ring(std::uint64_t first, std::size_t capacity, Storage storage)
      : producer_(first), push_pos_(first), pop_pos_(first), consumer_(first), slots_(capacity, storage) {
    producer_.end = first + slots_.numbers().max_size();
  }
  spsc_ring(const spsc_ring&) = delete;
  spsc_ring& operator=(const spsc_ring&) = delete;

  [[nodiscard]] slots_type& slots() noexcept { return slots_; }
  [[nodiscard]] const slots_type& slots() const noexcept { return slots_; }

  // ---- the producer's side

  [[nodiscard]] std::uint64_t push_pos() const noexcept {
    return push_pos_.load(mo::relaxed);  // own: only the producer writes it
  }
  [[nodiscard]] bool has_free(std::uint64_t pos) noexcept { return pos != producer_.end || see_free(pos) != 0; }
  [[nodiscard]] std::size_t free_slots(std::uint64_t pos, std::size_t wanted) noexcept {
    std::uint64_t free = producer_.end - pos;
    if (free < wanted) free = see_free(pos);
    return static_cast<std::size_t>(free);
  }
  void pushed(std::uint64_t next) noexcept {
    if constexpr (Watch::on) {
      // By what this side knows there may be more than ever: a look, before the items are there for the other side to take.
      const std::uint64_t most = slots_.numbers().max_size();
      if (next - (producer_.end - most) > producer_.watch.most()) {
        static_cast<void>(see_free(next));
        producer_.watch.holds(next - (producer_.end - most));
      }
    }
    // [Q1] release, pairs with [Q2]: the items before `next` are whole
    push_pos_.store(next, mo::release);
  }
  void pushed_one(std::uint64_t pos) noexcept {
    pushed(pos + 1);
    if (slots_.begins_line(pos + 1) && slots_.deep()) {
      prefetch_for_write(slots_.place(pos + 1 + slots_type::write_ahead), sizeof(T));
    }
  }
  [[nodiscard]] shown_run& reserved() noexcept { return producer_.reserved; }

  // ---- the consumer's side

  [[nodiscard]] std::uint64_t pop_pos() const noexcept { return consumer_.pos; }
  [[nodiscard]] bool has_item(std::uint64_t pos) noexcept {
    if (pos == consumer_.end) {  // not said to be unlikely: where a queue is nearly empty it is every time
      const std::uint64_t filled = see_filled(pos);
      if (filled == pos) return false;
      consumer_.end = filled;
      consumer_.looks.looked(pos);
    }
    return true;
  }
  [[nodiscard]] std::size_t items(std::uint64_t pos, std::size_t wanted) noexcept {
    if (consumer_.end - pos < wanted) {
      if (consumer_.end == pos) consumer_.looks.will_look(pos, slots_type::pair_items);
      consumer_.end = see_filled(pos);
      if (consumer_.end != pos) consumer_.looks.looked(pos);
    }
    return static_cast<std::size_t>(consumer_.end - pos);
  }
  void popped_one(std::uint64_t pos) noexcept {
    consumer_.pos = pos + 1;
    if (!slots_.ends_step(pos + 1)) [[likely]]
      return;
    if constexpr (Looks::spaced) {
      end_step_apart(pos + 1);
    } else {
      end_step(pos + 1);
    }
  }
  // Tells of them if a group ends among them, like single ones.
  void popped_run(std::uint64_t next) noexcept {
    const std::uint64_t crossed = consumer_.pos ^ next;
    consumer_.pos = next;
    if (crossed > slots_.numbers().group_mask) publish_popped(next);
  }
  // Tells of them whatever their number.
  void popped(std::uint64_t next) noexcept {
    consumer_.pos = next;
    publish_popped(next);
  }
  // Asks for the items of the next batch, as far as they are there.
  void ask_for_items(std::uint64_t pos, std::size_t count) noexcept {
    if (slots_.deep()) {
      const std::uint64_t there = std::min<std::uint64_t>(count, consumer_.end - pos);
      for (std::uint64_t at = 0; at < there; at += slots_type::line_items) prefetch_for_read(slots_.place(pos + at));
    }
  }
  [[nodiscard]] shown_run& peeked() noexcept { return consumer_.peeked; }

  // ---- anyone

  [[nodiscard]] std::size_t size_approx() const noexcept {
    // [Q5] acquire, pairs with [Q3]: what the consumer had taken was pushed before, so the difference is never negative
    const std::uint64_t popped = pop_pos_.load(mo::acquire);
    // hint: a count for an observer; no item is read through it
    const std::uint64_t pushed = push_pos_.load(mo::relaxed);
    return static_cast<std::size_t>(std::min<std::uint64_t>(pushed - popped, slots_.numbers().max_size()));
  }
  [[nodiscard]] auto& pushes() noexcept { return producer_.watch; }
  [[nodiscard]] const auto& pushes() const noexcept { return producer_.watch; }
  [[nodiscard]] auto& pops() noexcept { return consumer_.watch; }
  [[nodiscard]] const auto& pops() const noexcept { return consumer_.watch; }

 private:
  // Looks at the consumer's position; how many slots are free from `pos` on.
  std::uint64_t see_free(std::uint64_t pos) noexcept {
    // [Q4] acquire, pairs with [Q3]: the slot was read and its item destroyed before we make a new one in it
    producer_.end = pop_pos_.load(mo::acquire) + slots_.numbers().max_size();
    return producer_.end - pos;
  }
  // Looks at the producer's position: up to where the items are there. None: tells the producer all that we took.
  std::uint64_t see_filled(std::uint64_t pos) noexcept {
    // [Q2] acquire, pairs with [Q1]: the items before it are whole when we read them
    const std::uint64_t filled = push_pos_.load(mo::acquire);
    // own: only the consumer writes it
    if (filled == pos && pop_pos_.load(mo::relaxed) != pos) publish_popped(pos);
    return filled;
  }
  // Single pops have come to the end of a line or of a group. While there is a stream they stop before a pair of lines that
  // is being filled, as far as is known, and leave it to the producer. There is a look at what is there now before the next
  // pop, which takes a part of a pair when there is nothing else, so no item waits for another one.
  void end_step(std::uint64_t pos) noexcept {
    if ((pos & slots_.numbers().group_mask) == 0) publish_popped(pos);
    const std::uint64_t known = consumer_.end - pos;
    if constexpr (sizeof(T) < cache_line_size) {
      if (slots_.begins_line(pos) && slots_.deep() && known > slots_type::read_ahead) {
        prefetch_for_read(slots_.place(pos + slots_type::read_ahead));
      }
    }
    if (slots_.begins_pair(pos)) {
      if (known < slots_type::pair_items) consumer_.end = pos;
      consumer_.looks.pair_ended(pos, known, slots_type::pair_items);
    }
  }
  // So that the pops of who asked for more than a look at once are small enough to be inlined as well.
  [[gnu::noinline]] void end_step_apart(std::uint64_t pos) noexcept { end_step(pos); }
  void publish_popped(std::uint64_t pos) noexcept {
    // [Q3] release, pairs with [Q4] and [Q5]: we are done with the slots before `pos`
    pop_pos_.store(pos, mo::release);
  }

  struct producer_line {
    explicit producer_line(std::uint64_t first) noexcept : reserved(first) {}
    std::uint64_t end = 0;  // pushes up to here need not look at the consumer
    shown_run reserved;
    [[no_unique_address]] typename Watch::template pushes<callers::one> watch{};
  };
  struct consumer_line {
    explicit consumer_line(std::uint64_t first) noexcept : pos(first), end(first), peeked(first) {}
    std::uint64_t pos;  // the next item; pop_pos_ follows it in groups
    std::uint64_t end;  // pops up to here need not look at the producer
    shown_run peeked;
    // Not beside `end`: g++ would make one store of the two that a look does, which takes longer.
    [[no_unique_address]] Looks looks{};
    [[no_unique_address]] typename Watch::template pops<callers::one> watch{};
  };

  alignas(spacing) producer_line producer_;          // the producer alone
  alignas(spacing) atomic<std::uint64_t> push_pos_;  // written by the producer
  alignas(spacing) atomic<std::uint64_t> pop_pos_;   // written by the consumer
  alignas(spacing) consumer_line consumer_;          // the consumer alone
  // The slots by both, in turns; their number by nobody.
  alignas(std::max(spacing, alignof(slots_type))) slots_type slots_;
};

}  // namespace holdfast
