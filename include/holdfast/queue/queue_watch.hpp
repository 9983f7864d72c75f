// SPDX-License-Identifier: MIT
// watched, unwatched: whether a queue counts its refusals and remembers how many items it held at most.
//
//   operation            caller                          progress                     cost   allocates
//   pushes::refused      who pushes                      wait-free                    O(1)   never
//   pushes::holds(n)     who pushes                      wait-free; many: lock-free   O(1)   never
//   pops::refused        who pops                        wait-free                    O(1)   never
//   refusals, most       anyone                          wait-free                    O(1)   never
//
// In short: as the queue that it watches | as that queue | never | -
//
// A queue takes one of the two as its parameter Watch and has two members, one an end: Watch::pushes<producers> on a line
// that the producers have to themselves, Watch::pops<consumers> on one of the consumers. Where an end has one caller, a count
// is a load and a store; where it has many, a read-modify-write. With `unwatched` the members are empty
// ([[no_unique_address]]) and the calls are nothing; what a queue would have to look up for holds(), it asks `Watch::on`
// before.
//
// What counts as a refusal, the same for every queue: of a push, a call that left something with its caller; of a pop, a call
// that found nothing. The counts are relaxed: an observer may read them a moment late, and each by itself.
//
// When to use it: to size a queue, and to see in a gauge which side is the slower one. Not to decide on: by then it is over.
//
// Proof: unit/queue_watch_test.cpp, model/queue_watch_model.cpp (many callers), model/spsc_queue_model.cpp (the counts against
// what each side saw), contract/seam_cost.py (unwatched: not an instruction more), stress/spsc_queue_stress.cpp.
#pragma once

#include <concepts>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/high_mark.hpp"
#include "holdfast/queue/bounded_queue.hpp"

namespace holdfast {

struct unwatched {
  static constexpr bool on = false;

  template <callers Callers>
  struct pushes {
    static constexpr void refused() noexcept {}
    static constexpr void holds(std::uint64_t /*items*/) noexcept {}
  };
  template <callers Callers>
  struct pops {
    static constexpr void refused() noexcept {}
  };
};

struct watched {
  static constexpr bool on = true;

  template <callers Callers>
  class pops {
   public:
    void refused() noexcept {
      if constexpr (Callers == callers::one) {
        refusals_.store(refusals_.load(mo::relaxed) + 1, mo::relaxed);  // own: nobody else writes it
      } else {
        refusals_.fetch_add(1, mo::relaxed);  // counter: read by observers alone
      }
    }
    [[nodiscard]] std::uint64_t refusals() const noexcept {
      return refusals_.load(mo::relaxed);  // counter: nothing is read through it
    }

   private:
    atomic<std::uint64_t> refusals_{0};
  };

  template <callers Callers>
  class pushes : public pops<Callers> {
   public:
    void holds(std::uint64_t items) noexcept {
      if constexpr (Callers == callers::one) {
        most_.raise_alone(items);
      } else {
        most_.raise(items);
      }
    }
    [[nodiscard]] std::uint64_t most() const noexcept { return most_.read(); }

   private:
    high_mark<std::uint64_t> most_;
  };
};

template <class W>
concept queue_watch = requires(typename W::template pushes<callers::one> pushes,
                               typename W::template pops<callers::one> pops) {
  { W::on } -> std::convertible_to<bool>;
  pushes.refused();
  pushes.holds(std::uint64_t{1});
  pops.refused();
};

}  // namespace holdfast
