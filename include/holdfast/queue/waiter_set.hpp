// SPDX-License-Identifier: MIT
// waiter_set: an event source for those who wait and are no threads, such as coroutines: each is called back when it is to look.
//
//   operation               caller       progress     allocates   cost
//   awaited, notify(n)      any thread   wait-free    never       nobody waits: a seq_cst fence, and a load and a branch for 64
//                                                                 waiters; else two exchanges and a call for each who is told
//   notify_all              any thread   wait-free    never       as notify
//   enter                   a waiter     wait-free    never       two exchanges and a fence; more where others enter
//   leave, vacate           a waiter     wait-free    never       two exchanges, one
//
// In short: any thread | wait-free, and calls those it tells | never | more than `Most` wait: the next has to look again itself
//
// Somebody waits like this: enter(), look, and if there was nothing, do something else until told() is called. Whoever changes
// something calls notify afterwards. No wake-up is lost: a notify that comes after a change tells somebody who is in the set, or
// whoever enters finds the change in its look. For this each does what it has to: who was told looks once more, even if it no
// longer cares; and who was told and cannot look notifies one other.
//
// told() is called once for each enter(), by whoever tells, in the middle of its push or pop: it hands the waiter to the
// executor where it runs, and does no more. leave() says whether that will not happen any more; if it will, or has, the place is
// still the waiter's until it says vacate() after it. Between enter() and told(), or a leave() that says true, the waiter stays
// where it is.
//
// Who is told first: the set goes round its places, so that each has its turn; notifiers that meet may take one twice.
//
// When to use it: in waiting_queue, for coroutines (exec/co_queue.hpp does the rest), or for state machines of one's own. For
// threads take event_count, where waiting costs more and telling nobody nothing; for both on the same side, event_sources.
//
// Memory: a pointer for each of `Most`, 64 to 1,024 in steps of 64, and two words for 64 of them.
//
// Method: an event count (queue/event_count.hpp) whose sleepers are bits: who clears one is the one that tells, or that leaves.
// Waiting is frequent with coroutines and a sleep costs nothing, so the fence is on both sides.
//
// Proof: model/waiter_set_model.cpp (each is told, whoever leaves and whatever is told beside it), unit/waiter_set_test.cpp,
// stress/co_queue_stress.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/waiter.hpp"

namespace holdfast {

// `Places`: what Most is, or less, so that a test can have too many.
template <std::size_t Most = 64, std::size_t Places = Most>
class waiter_set {
  static_assert(Most % 64 == 0 && Most >= 64 && Most <= 1024, "waiter_set: Most is 64 to 1,024, in steps of 64");
  static_assert(Places >= 1 && Places <= Most, "waiter_set: Places is 1 to Most");
  static constexpr std::size_t groups = Most / 64;

 public:
  static constexpr std::size_t most = Places;

  waiter_set() noexcept = default;
  waiter_set(const waiter_set&) = delete;
  waiter_set& operator=(const waiter_set&) = delete;
  ~waiter_set() { HOLDFAST_ASSERT(waiting() == 0); }

  // ---- who has changed something

  [[nodiscard, gnu::always_inline]] bool awaited() const noexcept {
    // [T1] seq_cst, pairs with [T2]: the change is seen by the look of whoever enters, or that one here
    fence(mo::seq_cst);
    return waiting() != 0;
  }
  // Tells so many, as far as they are there.
  [[gnu::noinline]] void wake(std::uint32_t looks) noexcept {
    // hint: where the round goes on; a stale one is unfair, no more
    const std::size_t first = next_.load(mo::relaxed);
    // The group of the first place comes twice: its end, and after all the others its beginning.
    for (std::size_t i = 0; i <= groups && looks != 0; ++i) {
      const std::size_t at = (first / 64 + i) % groups;
      const std::uint64_t end = ~std::uint64_t{0} << first % 64;
      looks -= tell(at, i == 0 ? end : i == groups ? ~end : ~std::uint64_t{0}, looks);
    }
  }
  [[gnu::always_inline]] void notify(std::uint32_t looks) noexcept {
    if (awaited()) [[unlikely]]
      wake(looks);
  }
  void notify_all() noexcept { notify(static_cast<std::uint32_t>(Most)); }

  // ---- who waits

  // Its place, or none where all are taken, or were when it looked: then it is not told, and looks again by itself.
  [[nodiscard]] std::optional<std::size_t> enter(waiter& who) noexcept {
    for (std::size_t at = 0; at < groups; ++at) {
      group& among = groups_[at];
      // hint: the exchange decides
      for (std::uint64_t free = ~among.taken.load(mo::relaxed) & places_of(at); free != 0; free &= free - 1) {
        const std::uint64_t bit = free & -free;
        // [T3] acquire, pairs with [T4]: what is written over has been read
        if ((among.taken.fetch_or(bit, mo::acquire) & bit) != 0) continue;
        const auto index = static_cast<std::size_t>(std::countr_zero(bit));
        among.who[index].set(&who);
        among.waiting.fetch_or(bit, mo::release);  // [T5] release, pairs with [T6]: who it is
        // [T2] seq_cst, pairs with [T1]: the look that follows finds the change, or whoever made it this entry
        fence(mo::seq_cst);
        return at * 64 + index;
      }
    }
    return std::nullopt;
  }
  // True: out of the set, not told and not going to be. False: told, or about to be.
  [[nodiscard]] bool leave(std::size_t place) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << place % 64;
    group& among = groups_[place / 64];
    // own: of the entry nothing is read, and what it looked for it has seen itself
    if ((among.waiting.fetch_and(~bit, mo::relaxed) & bit) == 0) return false;
    vacate(place);
    return true;
  }
  // Its place is free again: after it was told, when it will not ask any more whether it is.
  void vacate(std::size_t place) noexcept {
    // [T4] release, pairs with [T3]: whoever told it has read the entry
    groups_[place / 64].taken.fetch_and(~(std::uint64_t{1} << place % 64), mo::release);
  }

  // ---- anyone

  [[nodiscard]] std::uint64_t waiting() const noexcept {
    std::uint64_t any = 0;
    // hint: for an observer; and for a notifier, who has the fence before it
    for (const group& among : groups_) any |= among.waiting.load(mo::relaxed);
    return any;
  }

 private:
  // Of 64 places: those that are somebody's, and of these the ones whose waiter may be told.
  struct group {
    atomic<std::uint64_t> taken{0};
    atomic<std::uint64_t> waiting{0};
    std::array<plain<waiter*>, 64> who;
  };
  static constexpr std::uint64_t places_of(std::size_t at) noexcept {
    if (Places >= (at + 1) * 64) return ~std::uint64_t{0};
    return Places <= at * 64 ? 0 : (std::uint64_t{1} << Places % 64) - 1;
  }

  std::uint32_t tell(std::size_t at, std::uint64_t among_these, std::uint32_t looks) noexcept {
    group& among = groups_[at];
    std::uint32_t count = 0;
    // hint: the exchange decides; who enters after it sees the change, by the fences
    for (std::uint64_t seen = among.waiting.load(mo::relaxed) & among_these; seen != 0 && count < looks;
         seen &= seen - 1) {
      const std::uint64_t bit = seen & -seen;
      // [T6] acquire, pairs with [T5]: who it is
      if ((among.waiting.fetch_and(~bit, mo::acquire) & bit) == 0) continue;
      const auto index = static_cast<std::size_t>(std::countr_zero(bit));
      waiter& who = *among.who[index].get();
      next_.store((at * 64 + index + 1) % Most, mo::relaxed);  // hint: as above
      who.told();
      ++count;
    }
    return count;
  }

  std::array<group, groups> groups_;
  atomic<std::size_t> next_{0};  // where the next round begins; by whoever tells
};

}  // namespace holdfast
