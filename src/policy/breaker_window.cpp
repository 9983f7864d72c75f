// SPDX-License-Identifier: MIT
#include "holdfast/policy/breaker_window.hpp"

#include <algorithm>

namespace holdfast {

// How many owned slots can hold anything.
std::uint32_t breaker_window::used() noexcept {
  return std::min(thread_slot::high_water(), slots);
}

template <bool Publish>
bool breaker_window::count(ring& where, bool own, std::uint32_t epoch, std::uint16_t generation) noexcept {
  atomic<std::uint64_t>& bucket = where[epoch % buckets];
  std::uint64_t seen = bucket.load(mo::relaxed);  // own: or a first guess for the exchange below
  std::uint64_t next = one_more(seen, epoch, generation);
  if (own) {
    if constexpr (Publish) {
      bucket.store(next, mo::release);  // [W1] release, pairs with [W3]: whoever counts this call counts what the
                                        // thread counted before it too
    } else {
      bucket.store(next, mo::relaxed);  // own: published words order it for readers, see [W1]
    }
  } else if constexpr (Publish) {
    // [W2] release, pairs with [W3]: as [W1]
    // counter: a failure is tried again
    while (!bucket.compare_exchange_weak(seen, next, mo::release, mo::relaxed))
      next = one_more(seen, epoch, generation);
  } else {
    // counter: published words order it for readers, see [W1]
    while (!bucket.compare_exchange_weak(seen, next, mo::relaxed, mo::relaxed))
      next = one_more(seen, epoch, generation);
  }
  return (next & most) == 1;
}

bool breaker_window::count_ok(const window_shape& shape, breaker_word word, time_point now, bool alone) noexcept {
  const std::uint32_t mine = std::min(thread_slot::current(), slots);
  const std::uint32_t at = shape.epoch(now);
  slot& own = slots_[mine];
  const bool fresh = count<false>(own.ok, mine < slots, at, word.generation());
  if (mine == slots) return fresh;
  own.word.set(word.bits());
  own.begin.set(static_cast<std::uint64_t>(now.time_since_epoch().count()));
  own.index.set(at % buckets);
  // own: just written by this thread
  const bool here = (own.ok[at % buckets].load(mo::relaxed) & ~most) == empty(at, word.generation());
  const std::uint64_t length = here && word.is_calm() ? shape.left(now) : 0;
  own.length.store(alone ? length : 0, mo::relaxed);  // own: but for changed()
  own.length_too.store(length, mo::relaxed);          // own: the same
  if (length == 0) return fresh;
  // [F3] seq_cst, pairs with [F4]: either the shape is seen to be an old one here, or changed() finds what was written
  fence(mo::seq_cst);
  if (serial_.load(mo::relaxed) != shape.serial()) {  // own: ordered by [F3]
    own.length.store(0, mo::relaxed);                 // own: as above
    own.length_too.store(0, mo::relaxed);             // own: as above
  }
  return fresh;
}

void breaker_window::changed(std::uint32_t serial) noexcept {
  serial_.store(serial, mo::relaxed);  // own: one thread changes shapes; ordered by [F4]
  // [F4] seq_cst, pairs with [F3]: either who begins a bucket sees that number, or what was written there is found here
  fence(mo::seq_cst);
  for (std::uint32_t i = 0, n = used(); i < n; ++i) {
    slots_[i].length.store(0, mo::relaxed);      // hint: who counted by it after that did so while the shape changed
    slots_[i].length_too.store(0, mo::relaxed);  // hint: the same
  }
}

bool breaker_window::count_failed(const window_shape& shape, breaker_word word, time_point now) noexcept {
  const std::uint32_t mine = std::min(thread_slot::current(), slots);
  return count<true>(slots_[mine].failed, mine < slots, shape.epoch(now), word.generation());
}

bool breaker_window::count_slow(const window_shape& shape, breaker_word word, bool failed, time_point now) noexcept {
  const std::uint32_t mine = std::min(thread_slot::current(), slots);
  ring& where = failed ? slots_[mine].slow_failed : slots_[mine].slow_ok;
  return count<true>(where, mine < slots, shape.epoch(now), word.generation());
}

std::uint64_t breaker_window::published(const ring slot::*which, std::uint32_t epoch,
                                        std::uint16_t generation) const noexcept {
  std::uint64_t sum = 0;
  const auto add = [&](const slot& from) {
    for (const auto& bucket : from.*which) {
      // [W3] acquire, pairs with [W1] and [W2]: what was counted before these calls is seen by the loads that follow
      const std::uint64_t word = bucket.load(mo::acquire);
      if (same_generation(word, generation) && in_window(word, epoch)) sum += word & most;
    }
  };
  for (std::uint32_t i = 0, n = used(); i < n; ++i) add(slots_[i]);
  add(slots_[slots]);
  return sum;
}

breaker_window::sums breaker_window::counts(std::uint32_t epoch, std::uint16_t generation,
                                            bool with_slow) const noexcept {
  // What a share is of is read after it, see [W3]: successes after failures and fast calls after slow ones. So one of the four
  // is read twice.
  const std::uint64_t slow_failed = with_slow ? published(&slot::slow_failed, epoch, generation) : 0;
  const std::uint64_t slow_ok = with_slow ? published(&slot::slow_ok, epoch, generation) : 0;
  const std::uint64_t fast_failed = published(&slot::failed, epoch, generation);
  const std::uint64_t slow_ok_by_now = with_slow ? published(&slot::slow_ok, epoch, generation) : 0;
  std::uint64_t fast_ok = 0;
  const auto add = [&](const slot& from) {
    for (const auto& bucket : from.ok) {
      const std::uint64_t word = bucket.load(mo::relaxed);  // counter: ordered by [W3] as far as it matters
      if (same_generation(word, generation) && in_window(word, epoch)) fast_ok += word & most;
    }
  };
  for (std::uint32_t i = 0, n = used(); i < n; ++i) add(slots_[i]);
  add(slots_[slots]);
  return {.ok = fast_ok + slow_ok_by_now,
          .failed = fast_failed + slow_failed,
          .fast = fast_ok + fast_failed,
          .slow = slow_ok + slow_failed};
}

void breaker_window::count_refused_slowly() noexcept {
  const std::uint32_t mine = thread_slot::current();
  if (mine < slots) {
    count_refused();
  } else {
    slots_[slots].refused.fetch_add(1, mo::relaxed);  // counter:
  }
}

std::uint64_t breaker_window::refused() const noexcept {
  std::uint64_t sum = 0;
  // counter: a sum may be late
  for (std::uint32_t i = 0, n = used(); i < n; ++i) sum += slots_[i].refused.load(mo::relaxed);
  return sum + slots_[slots].refused.load(mo::relaxed);  // counter:
}

}  // namespace holdfast
