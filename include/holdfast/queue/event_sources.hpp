// SPDX-License-Identifier: MIT
// event_sources: two event sources on one side of a queue: threads that sleep and coroutines, say.
//
//   operation          caller       progress                   allocates   cost
//   awaited, notify    any thread   as the two                 never       that of both
//   notify_all         any thread   as the two                 never       as notify
//   wait               any thread   as that of the one that    never       as there
//                                   threads wait on
//   enter, leave,      a waiter     as waiter_set              never       as there
//   vacate
//
// In short: any thread | as the two | never | as the two
//
// notify(n) tells n of each: who is told in vain looks and waits on. To choose one would be to leave the other asleep when
// the chosen one gives up.
//
// Proof: unit/waiter_set_test.cpp; what it is made of has its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

// Threads: what threads wait on, such as event_count. Waiters: what waiters enter, such as waiter_set.
template <class Threads, class Waiters>
class event_sources {
 public:
  [[nodiscard]] bool awaited() const noexcept { return threads_.awaited() || waiters_.awaited(); }
  void wake(std::uint32_t looks) noexcept {
    threads_.notify(looks);
    waiters_.notify(looks);
  }
  void notify(std::uint32_t looks) noexcept { wake(looks); }
  void notify_all() noexcept {
    threads_.notify_all();
    waiters_.notify_all();
  }

  template <class Condition>
  bool wait(deadline until, Condition&& holds) {
    return threads_.wait(until, std::forward<Condition>(holds));
  }
  template <class Condition, class Plenty>
    requires requires(Threads& threads, deadline until, Condition holds, Plenty plenty) {
      threads.wait(until, holds, plenty);
    }
  bool wait(deadline until, Condition&& holds, Plenty&& plenty) {
    return threads_.wait(until, std::forward<Condition>(holds), std::forward<Plenty>(plenty));
  }
  [[nodiscard]] std::optional<std::size_t> enter(waiter& who) noexcept { return waiters_.enter(who); }
  [[nodiscard]] bool leave(std::size_t place) noexcept { return waiters_.leave(place); }
  void vacate(std::size_t place) noexcept { waiters_.vacate(place); }

 private:
  Threads threads_;
  Waiters waiters_;
};

}  // namespace holdfast
