// SPDX-License-Identifier: MIT
// job_idle: which workers sleep, and who is woken for new work: one at a time, and none while one is searching anyway.
//
//   operation       caller       progress     allocates   cost
//   tell            any thread   lock-free    never       nobody sleeps, or somebody searches: a load. Else one exchange, and
//                                                         one system call
//   tell_of_any     any thread   lock-free    never       the same, and a fence where somebody sleeps
//   tell_all        any thread   lock-free    never       a system call for each that sleeps
//   begin_search    a worker     wait-free    never       an exchange
//   end_search      a worker     lock-free    never       an exchange and a fence, then as tell
//   sleep           a worker     blocking     never       microseconds
//   asleep          any thread   wait-free    never       a load
//
// In short: any thread tells, workers sleep | telling is lock-free; who waits, sleeps | never | -
//
// The rule: whoever has made work visible calls tell() afterwards. Then a worker that is awake comes by it after that; or one that
// sleeps is woken. One worker may be the searcher: it looks again and again, and while there is one, nobody is woken for new work.
// It says when it ends: either it goes to sleep, and looks once more in doing so, or it has found something; then it asks whether
// there is more, and if so, wakes the next one, who is the searcher from then on. So a burst wakes the workers one by the other,
// as far as there is work for them.
//
// I1: a wake is a token that exactly one sleeper gets: its bit is taken out of the word and the searcher's put in by one exchange.
// A worker that finds work in its last look takes its own bit back; where it is gone, the token was his, and he is the searcher.
// I2: work that was told of while somebody sleeps is seen by a worker that is awake, or a token is under way.
//
// Memory: two words, and a line a worker. At most 63 workers.
//
// Method: the "spinning" workers of Go's scheduler, with sleepers as bits of the same word. Who goes to sleep pays for the fence
// between its bit and its last look, so that tell() needs none where nobody sleeps (core/asymmetric_fence.hpp).
//
// Proof: model/job_idle_model.cpp (I1, I2), unit/job_idle_test.cpp, stress/job_scheduler_stress.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"

namespace holdfast {

class job_idle {
 public:
  static constexpr unsigned most_workers = 63;

  job_idle() noexcept = default;
  job_idle(const job_idle&) = delete;
  job_idle& operator=(const job_idle&) = delete;

  // ---- who has made work visible

  // The work was shown by a seq_cst read-modify-write, which more() of end_search looks at: that is the fence.
  [[gnu::always_inline]] void tell() noexcept {
    asymmetric_fence_light();  // [JI1] pairs with [JI2]: the work is seen by a sleeper's last look, or the sleeper here
    // [JI4] seq_cst, pairs with [JI3]: that somebody searches is enough, since he looks again after he has ended
    if (wanted(word_.load(mo::seq_cst))) [[unlikely]]
      wake();
  }
  // The work was shown in whatever way.
  void tell_of_any() noexcept {
    asymmetric_fence_light();                               // [JI1b] pairs with [JI2]: as [JI1]
    if ((word_.load(mo::relaxed) & sleepers) == 0) return;  // hint: ordered by the fence
    // [JI4b] seq_cst, pairs with [JI3]: as [JI4]
    fence(mo::seq_cst);
    wake();
  }
  void tell_all() noexcept {
    asymmetric_fence_light();                            // [JI5] pairs with [JI2]: as [JI1]
    const std::uint64_t seen = word_.load(mo::relaxed);  // hint: who comes later sees the change by his last look
    // They are not searchers: nothing is promised of them, and their bits they take out themselves.
    for (std::uint64_t left = seen & sleepers; left != 0; left &= left - 1) nudge(left);
  }

  // ---- a worker

  // True: this one is the searcher from now on.
  [[nodiscard]] bool begin_search() noexcept {
    if ((word_.load(mo::relaxed) & searching) != 0) return false;  // hint: another one is, or was a moment ago
    return (word_.fetch_or(searching, mo::relaxed) & searching) ==
           0;  // own: who sees it has a fence of his own before it
  }
  // The searcher has found something. more(): is there any left?
  template <class More>
  void end_search(More&& more) noexcept {
    word_.fetch_and(~searching, mo::relaxed);  // own: ordered by the fence
    // [JI3] seq_cst, pairs with [JI4] and [JI4b]: whoever told sees that nobody searches any more, or more() sees his work
    fence(mo::seq_cst);
    if ((word_.load(mo::relaxed) & sleepers) != 0 && more()) wake();  // hint: the exchange in wake decides
  }

  // Sleeps unless look() says that there is something, once it is known to all that this worker sleeps. look() is called again
  // after a nudge. True: it was given the token, and is the searcher.
  template <class Look>
  [[nodiscard]] bool sleep(unsigned worker, bool is_searcher, Look&& look) noexcept {
    const std::uint64_t mine = std::uint64_t{1} << worker;
    // own: ordered by the fence. One step, so that there is a searcher, or somebody who sleeps
    word_.fetch_add(is_searcher ? mine - searching : mine, mo::relaxed);
    asymmetric_fence_heavy();  // [JI2] pairs with [JI1] and [JI5]
    atomic<std::uint64_t>& rings = bells_[worker].rings;
    for (;;) {
      // [JI6] acquire, pairs with [JI7]: the bit was taken out before it rang
      const std::uint64_t heard = rings.load(mo::acquire);
      // [JI8] acquire, pairs with [JI9]: the work that it is woken for
      if ((word_.load(mo::acquire) & mine) == 0) return true;
      if (look()) return get_up(mine);
      static_cast<void>(park(rings, static_cast<std::uint32_t>(heard), parking_time::max()));
    }
  }

  // For an observer.
  [[nodiscard]] unsigned asleep() const noexcept {
    return static_cast<unsigned>(std::popcount(word_.load(mo::relaxed) & sleepers));  // hint: they may be woken by now
  }

 private:
  static constexpr std::uint64_t searching = std::uint64_t{1} << most_workers;
  static constexpr std::uint64_t sleepers = searching - 1;

  // By itself, as there is something: the searcher, if nobody else is, since others may have left more than it takes to him.
  bool get_up(std::uint64_t mine) noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the exchange below checks it
    for (;;) {
      // The token came meanwhile: whatever it is for, this one looks for anything.
      if ((seen & mine) == 0) return true;
      // own: it looks again in any case
      if (word_.compare_exchange_weak(seen, (seen & ~mine) | searching, mo::relaxed, mo::relaxed))
        return (seen & searching) == 0;
    }
  }
  static constexpr bool wanted(std::uint64_t word) noexcept {
    return word - 1 < sleepers;
  }  // some sleep, none searches
  [[gnu::noinline, gnu::cold]] void wake() noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // own: the exchange below checks it
    while (wanted(seen)) {
      const std::uint64_t without = seen & (seen - 1);
      // [JI9] release, pairs with [JI8]: the work. On failure relaxed, own: all is read again
      if (word_.compare_exchange_weak(seen, without | searching, mo::release, mo::relaxed)) {
        nudge(seen);
        return;
      }
    }
  }
  // The one of the lowest bit.
  void nudge(std::uint64_t among) noexcept {
    atomic<std::uint64_t>& rings = bells_[static_cast<unsigned>(std::countr_zero(among))].rings;
    rings.fetch_add(1, mo::release);  // [JI7] release, pairs with [JI6]: as there
    unpark(rings, 1);
  }

  struct alignas(cache_line_size) bell {
    atomic<std::uint64_t> rings{0};  // by who wakes its worker, who may come when that one is awake again
  };
  alignas(2 * cache_line_size) atomic<std::uint64_t> word_{0};  // by workers, and who wakes one
  std::array<bell, most_workers> bells_{};
};

}  // namespace holdfast
