// SPDX-License-Identifier: MIT
// log_requests: how threads ask the backend of a log_sink to flush or to stop, and how it sleeps without missing them.
//
// Each side changes first what it has to say and then a counter that the other sleeps on; who wants to sleep reads the
// counter first, then looks whether there is something to do, and sleeps only on the counter it read. So a request or an
// answer is never slept through. That the backend is parked is only a hint to threads that log: one that misses it is
// answered at the end of the backend's nap.
//
// Proof: tests/model/log_requests_model.cpp, with sleeps that have no end.
#pragma once

#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/time/clock.hpp"

#include "futex_word.hpp"

namespace holdfast::log_detail {

template <class Word = futex_word>
class log_requests {
 public:
  // `parked` stands where threads that log have it at hand. Tickets start at `first`, so that a test can make them wrap.
  explicit log_requests(atomic<std::uint32_t>& parked, std::uint32_t first = 0) noexcept
      : parked_(parked), asked_(first), answered_(first) {}
  log_requests(const log_requests&) = delete;
  log_requests& operator=(const log_requests&) = delete;

  // --- who asks

  // A ticket for what the caller logged so far.
  [[nodiscard]] std::uint32_t ask_flush() noexcept {
    const std::uint32_t ticket = asked_.fetch_add(1, mo::release) + 1;  // [A5] release, pairs with [A6]: our records
    bell_.change_and_wake_all();
    return ticket;
  }
  // Read before is_answered() and handed to sleep_until_answer() after it.
  [[nodiscard]] std::uint32_t answers() const noexcept { return done_.read(); }
  [[nodiscard]] bool is_answered(std::uint32_t ticket) const noexcept {
    const std::uint32_t answered =
        answered_.load(mo::acquire);  // [A7] acquire, pairs with [A8]: the output has the lines
    return static_cast<std::int32_t>(answered - ticket) >= 0;
  }
  void sleep_until_answer(std::uint32_t answers_before, duration at_most) noexcept {
    done_.wait(answers_before, at_most);
  }
  void ask_stop() noexcept {
    stop_.store(1, mo::release);  // [A9] release, pairs with [A10]: the owner's records
    bell_.change_and_wake_all();
  }
  // For records that should not wait for the end of a nap.
  void wake_if_parked() noexcept {
    if (parked_.load(mo::relaxed) != 0 &&         // hint: one waker is enough
        parked_.exchange(0, mo::relaxed) != 0) {  // hint: as above
      bell_.change_and_wake_all();
    }
  }

  // --- the backend

  // Read before the looks below and handed to park() after them.
  [[nodiscard]] std::uint32_t rings() const noexcept { return bell_.read(); }
  [[nodiscard]] bool stop_is_asked() const noexcept {
    return stop_.load(mo::acquire) != 0;  // [A10] acquire, pairs with [A9]: the owner's records
  }
  // The newest ticket.
  [[nodiscard]] std::uint32_t asked() const noexcept {
    return asked_.load(mo::acquire);  // [A6] acquire, pairs with [A5]: the records of who asked
  }
  [[nodiscard]] bool has_answered(std::uint32_t ticket) const noexcept {
    return answered_.load(mo::relaxed) == ticket;  // own: the backend alone writes it
  }
  // This ticket and all before it.
  void answer(std::uint32_t ticket) noexcept {
    answered_.store(ticket, mo::release);  // [A8] release, pairs with [A7]: the output has the lines
    done_.change_and_wake_all();
  }
  void park(std::uint32_t rings_before, duration at_most) noexcept {
    parked_.store(1, mo::relaxed);  // hint: who misses it is answered at the timeout
    bell_.wait(rings_before, at_most);
    parked_.store(0, mo::relaxed);  // hint: as above
  }
  // The same without telling those who log: while the sink stops.
  void nap(duration at_most) noexcept { bell_.wait(bell_.read(), at_most); }

 private:
  atomic<std::uint32_t>& parked_;   // written by the backend around a park, and by who wakes it
  Word bell_{};                     // rung for flush, stop, and records that should not wait
  Word done_{};                     // rung by the backend when flush requests are answered
  atomic<std::uint32_t> asked_;     // written by flushing threads
  atomic<std::uint32_t> answered_;  // written by the backend
  atomic<std::uint32_t> stop_{0};   // written by the owner
};

}  // namespace holdfast::log_detail
