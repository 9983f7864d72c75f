// SPDX-License-Identifier: MIT
// waiting_line: threads and coroutines that stand in one line, until each is served, is too late, or gives up.
//
//   operation        caller           progress    cost                             allocates   when refused
//   enter            who waits        lock-free   three exchanges; a look at       never       nothing: as many wait as may, or
//                                                 each place, if few are free                  twice as many with those that have
//                                                                                              ended and are to be collected
//   sleep            who waits, a     blocking    a system call or more            never       -
//                    thread
//   collect          who waits        wait-free   a store and an exchange          never       -
//   first            who serves       wait-free   a look at each place             never       nothing: nobody waits
//   end              any thread       wait-free   two exchanges; and a system      never       false: it had ended otherwise
//                                                 call, or a call of told()
//   expire           any thread       lock-free   as first, and an end for each    never       0
//   waiting, ended   any observer     wait-free   a look at each place; a load     never       -
//
// In short: any thread | lock-free; a thread that waits sleeps | never | as many wait as may
//
//   L1 A wait ends once, by the exchange that ends it: served, late or cancelled. Who comes second learns that it did.
//   L2 first() is the oldest of those that wait, or the newest: of two, one of whom had entered before the other began to, the
//      second is served first only if the first one's wait has ended (newest first: the other way round, of
//      those that had entered before the look began).
//   L3 At most `most` wait. One more is let in as soon as a wait has ended, though who waited has not taken notice of it yet.
//   L4 Nobody waits for another thread's step: who is late or gives up leaves by itself, also while somebody picks it.
//
// A thread sleeps in its place until its wait has ended. Anybody else is a waiter (core/waiter.hpp), which is told once when its
// wait has ended, by whoever ended it. Both then collect, which says how it ended and frees the place. The deadline of a waiter is
// kept by whoever calls expire(); a thread keeps its own, and expire() ends it all the same.
//
// When to use it: to build something that is handed over, as policy/bulkhead.hpp: who enters then says so where those who serve
// will see it. Not for a change that anybody may use up: that is an event (queue/event_count.hpp, queue/waiter_set.hpp).
//
// Memory: a line, and 48 bytes for each that may wait, in steps of four, of the memory resource, asked once. At most 4,096 may: who
// serves looks at all places, eight in a line of the cache (bench/bulkhead_bench.cpp, serve_1_of_8 to 1024).
//
// Method: a place is a word with a ticket and what has become of it, and whoever ends a wait exchanges just that ticket: so what a
// stalled thread does is in vain. Tickets are drawn in the order in which places are entered, and who serves looks for the
// smallest. There are twice as many places as may wait: who was served may be slow to wake up, and is in nobody's way. A list of
// nodes in the frames of those who wait has to be locked (Netflix's LifoBlockingLimiter, embassy and tokio do): without a lock, who
// is late could not go before the thread has gone on that is looking at its node, and that one may sleep.
// Orders: what the caller of end() did before is seen by who collects. Nothing is said between who enters and who looks: that is
// the caller's word's business.
// Proof: model/bulkhead_wait_model.cpp (every execution of small cases), unit/waiting_line_test.cpp (L1-L3),
// unit/bulkhead_wait_test.cpp, stress/bulkhead_stress.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <optional>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/waiter.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

enum class waiting_order : std::uint8_t { oldest_first, newest_first };
// How a wait ended.
enum class wait_end : std::uint8_t { served, late, cancelled };

inline constexpr std::uint32_t longest_waiting_line = 4'096;

class alignas(cache_line_size) waiting_line {
 public:
  // Whoever stands there: a place, and the ticket that makes it this one's.
  struct place {
    std::uint32_t index = 0;
    std::uint64_t word = 0;
  };

  waiting_line(std::uint32_t most, waiting_order order, std::pmr::memory_resource* memory) noexcept
      : memory_(memory), most_(most), order_(order) {
    HOLDFAST_ASSERT(most <= longest_waiting_line);
    if (most == 0) return;
    groups_ = static_cast<group*>(memory_->allocate(bytes(), alignof(group)));
    for (std::uint32_t i = 0; i < group_count(); ++i) new (groups_ + i) group;
  }
  waiting_line(const waiting_line&) = delete;
  waiting_line& operator=(const waiting_line&) = delete;
  ~waiting_line() {
    HOLDFAST_ASSERT(waiting() == 0);
    if (groups_ != nullptr) memory_->deallocate(groups_, bytes(), alignof(group));
  }

  // ---- who waits

  // `who` is told when the wait has ended; null: a thread, which sleeps. It may be served as soon as it has entered.
  [[nodiscard]] std::optional<place> enter(waiter* who, deadline until) noexcept {
    if (!count_in()) return std::nullopt;
    // hint: where a place may be free; where they are left in the order in which they were entered, it is
    const std::uint64_t from = tickets_.load(mo::relaxed);
    for (std::uint32_t i = 0; i < places(); ++i) {
      const auto index = static_cast<std::uint32_t>((from + i) % places());
      atomic<std::uint64_t>& word = word_of(index);
      std::uint64_t seen = word.load(mo::relaxed);  // hint: the exchange decides
      if (phase_of(seen) != phase::free) continue;
      // [L1] acquire, pairs with [L2]: whoever told the last one here has read who it was. On failure, hint: another place
      if (!word.compare_exchange_strong(seen, with(seen, phase::entering), mo::acquire, mo::relaxed)) continue;
      group& in = groups_[index / group::size];
      in.who[index % group::size].set(who);
      // own: [L3] shows it, and who reads another one's finds another ticket
      in.until[index % group::size].store(until.at().time_since_epoch().count(), mo::relaxed);
      const std::uint64_t ticket = tickets_.fetch_add(1, mo::relaxed);  // counter: its order is all that matters
      const std::uint64_t mine = ticket * one_ticket | value(who == nullptr ? phase::asleep : phase::suspended);
      word.store(mine, mo::release);  // [L3] release, pairs with [L4] and [L5]: who it is, and until when
      return place{index, mine};
    }
    count_out();
    return std::nullopt;
  }
  // Of a thread: until its wait has ended, which the clock at `until` does, too.
  void sleep(const place& mine, deadline until) noexcept {
    atomic<std::uint64_t>& word = word_of(mine.index);
    // hint: collect() reads it in order
    while (word.load(mo::relaxed) == mine.word) {
      if (park(word, static_cast<std::uint32_t>(mine.word), until.at())) continue;
      std::uint64_t seen = mine.word;
      // own: who ends its own wait tells nobody, and who was quicker is seen by collect()
      if (word.compare_exchange_strong(seen, with(seen, phase::late), mo::relaxed, mo::relaxed)) count_out();
    }
  }
  // How its wait ended, which it has; the place is another one's from here on.
  [[nodiscard]] wait_end collect(const place& mine) noexcept {
    atomic<std::uint64_t>& word = word_of(mine.index);
    const std::uint64_t seen =
        word.load(mo::acquire);  // [L6] acquire, pairs with [L4]: what whoever ended it did before
    HOLDFAST_ASSERT(phase_of(seen) >= phase::served);
    HOLDFAST_ASSERT(ticket_of(seen) == ticket_of(mine.word));
    // [L2] release, pairs with [L1]: whoever told this one has read who it is
    word.store(with(seen, phase::free), mo::release);
    const auto how = static_cast<wait_end>(value(phase_of(seen)) - value(phase::served));
    ends_[static_cast<std::size_t>(how)].fetch_add(1, mo::relaxed);  // counter:
    return how;
  }

  // ---- who serves, and who has it end otherwise

  [[nodiscard]] std::optional<place> first() const noexcept {
    std::optional<place> best;
    for (std::uint32_t index = 0; index < places(); ++index) {
      const std::uint64_t seen = word_of(index).load(mo::relaxed);  // hint: the exchange of end() decides
      if (is_waiting(seen) && (!best || comes_before(seen, best->word))) best = place{index, seen};
    }
    return best;
  }
  // False: it had ended before.
  [[nodiscard]] bool end(const place& which, wait_end how) noexcept {
    atomic<std::uint64_t>& word = word_of(which.index);
    std::uint64_t seen = which.word;
    const auto ended = static_cast<phase>(value(phase::served) + static_cast<std::uint64_t>(how));
    // [L4] acq_rel, pairs with [L3]: who it is; pairs with [L6]: what whoever ends it has done before. On failure, own: it is
    // another one's by now
    if (!word.compare_exchange_strong(seen, with(seen, ended), mo::acq_rel, mo::relaxed)) return false;
    count_out();
    if (phase_of(which.word) == phase::suspended) {
      // Until it is told it does not collect, so it is still the one.
      groups_[which.index / group::size].who[which.index % group::size].get()->told();
    } else {
      unpark(word, 1);
    }
    return true;
  }
  // Ends the waits whose deadline has passed; how many.
  std::uint32_t expire(time_point now) noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t index = 0; index < places(); ++index) {
      const std::uint64_t seen = word_of(index).load(mo::acquire);  // [L5] acquire, pairs with [L3]: its deadline
      if (!is_waiting(seen)) continue;
      // hint: of whoever came there since it may be; then the ticket is another one's, too
      const std::int64_t until = groups_[index / group::size].until[index % group::size].load(mo::relaxed);
      if (until <= now.time_since_epoch().count() && end({index, seen}, wait_end::late)) ++count;
    }
    return count;
  }

  // ---- anyone

  [[nodiscard]] std::uint32_t most() const noexcept { return most_; }
  [[nodiscard]] std::uint32_t waiting() const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t index = 0; index < places(); ++index) {
      if (is_waiting(word_of(index).load(mo::relaxed))) ++count;  // hint: for an observer
    }
    return count;
  }
  // How many waits have ended that way, and were collected.
  [[nodiscard]] std::uint64_t ended(wait_end how) const noexcept {
    return ends_[static_cast<std::size_t>(how)].load(mo::relaxed);  // counter:
  }

 private:
  // asleep: a thread; suspended: a waiter, which is told.
  enum class phase : std::uint8_t { free, entering, asleep, suspended, served, late, cancelled };
  static constexpr std::uint64_t one_ticket = 8;
  static constexpr std::uint64_t value(phase p) noexcept { return static_cast<std::uint64_t>(p); }
  static constexpr phase phase_of(std::uint64_t word) noexcept { return static_cast<phase>(word % one_ticket); }
  static constexpr std::uint64_t ticket_of(std::uint64_t word) noexcept { return word / one_ticket; }
  static constexpr std::uint64_t with(std::uint64_t word, phase p) noexcept {
    return ticket_of(word) * one_ticket | value(p);
  }
  static constexpr bool is_waiting(std::uint64_t word) noexcept {
    return phase_of(word) == phase::asleep || phase_of(word) == phase::suspended;
  }
  [[nodiscard]] bool comes_before(std::uint64_t a, std::uint64_t b) const noexcept {
    return order_ == waiting_order::oldest_first ? a < b : a > b;
  }

  // The words of eight places are a line, which is all that who serves looks at.
  struct alignas(cache_line_size) group {
    static constexpr std::uint32_t size = 8;
    std::array<atomic<std::uint64_t>, size> words;  // ticket : 61 | phase : 3; by who waits, and who ends its wait
    std::array<atomic<std::int64_t>, size> until;   // by who enters
    std::array<plain<waiter*>, size> who;           // by who enters
  };
  [[nodiscard]] atomic<std::uint64_t>& word_of(std::uint32_t index) const noexcept {
    return groups_[index / group::size].words[index % group::size];
  }
  // Half of them for those whose wait has ended, and who have not collected yet.
  [[nodiscard]] std::uint32_t places() const noexcept { return 2 * most_; }
  [[nodiscard]] std::uint32_t group_count() const noexcept { return (places() + group::size - 1) / group::size; }
  [[nodiscard]] std::size_t bytes() const noexcept { return group_count() * sizeof(group); }

  bool count_in() noexcept {
    std::uint32_t seen = counted_.load(mo::relaxed);  // hint: the exchange decides
    do {
      if (seen == most_) return false;
      // counter: of whoever was in the place that it finds, [L1] tells
    } while (!counted_.compare_exchange_weak(seen, seen + 1, mo::relaxed, mo::relaxed));
    return true;
  }
  void count_out() noexcept { counted_.fetch_sub(1, mo::relaxed); }  // counter: as above

  std::pmr::memory_resource* const memory_;
  group* groups_ = nullptr;
  const std::uint32_t most_;
  const waiting_order order_;
  atomic<std::uint32_t> counted_{0};           // who waits, and who is about to; by both, and who ends waits
  atomic<std::uint64_t> tickets_{0};           // by who enters
  std::array<atomic<std::uint64_t>, 3> ends_;  // by who collects; in the order of wait_end
};
static_assert(sizeof(waiting_line) == cache_line_size);

}  // namespace holdfast
