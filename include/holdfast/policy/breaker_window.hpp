// SPDX-License-Identifier: MIT
// breaker_window: how many calls succeeded, failed and were slow in the last while, counted by many threads without a shared
// write.
//
//   operation         caller              progress    cost                         allocates   when refused
//   try_count_ok      owner of the slot   wait-free   five loads, one store        never       false: use count_ok
//   count_ok/failed/slow
//                     anyone              lock-free   the same, or one CAS         never       -
//   counts            anyone              wait-free   32 loads a thread, with slow never       -
//                                                     calls 80
//   changed           one thread          wait-free   two stores a thread          never       -
//
// In short: any thread; a slot, its owner | lock-free (wait-free with a slot) | never | `false`: count it the shared
// way
//
// A ring of 16 buckets a slot, each a fifteenth of the window long. A bucket is one word {epoch, generation, count}: which
// stretch of time and which closed state of the breaker it counts for. A word of another time or another generation is
// an empty one. So nothing is ever cleared by a timer or by another thread: idle buckets expire by their epoch, a
// breaker that closes anew starts with an empty window, and no count lands in a window it does not belong to.
//
// A result counts for at least the window and at most a fifteenth of it longer. A bucket holds 2^28 - 1 results of one
// thread and stays there. `now` may differ between threads: a result with an older `now` than its bucket's counts in the
// bucket as it is, so a clock that steps back makes the window longer but never blind.
//
// Where buckets begin and end is a window_shape, which is handed to each count and may be another one from some moment on: its
// epochs then go on from far behind those that were, so that nothing that was counted by the old one is in the window.
//
// What a sum is worth while threads count: every failure it contains comes with every success that happened before that
// failure, so the rate it yields is never above one that some order of the reports would yield; and every slow call with
// every fast one that happened before it. It may miss results whose counting has not ended.
//
// Each call is counted once, in one of four rings: fast or slow, and ok or failed. Were slow calls counted twice, as what they
// were and as slow, a reader would always find some that are half counted, and where all calls are slow would never see that
// they are, while threads report.
//
// Memory: 32 owned slots and a shared one of five pairs of cache lines each, 20.6 KiB; the last two pairs are touched by slow
// calls alone. Threads whose thread_slot number is 32 or more share the last slot and pay for a compare-and-swap.
//
// When to use it: inside a breaker that many threads call often. Many breakers that are called seldom want a smaller
// form. Source of the ring: Polly's rolling health metrics and others; that of the epoch in the word: Sentinel's leap
// array, which resets buckets under a lock instead.
//
// Proof: model/breaker_window_model.cpp, unit/circuit_breaker_test.cpp, stress/circuit_breaker_stress.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/thread_slot.hpp"
#include "holdfast/policy/breaker_word.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/epochs.hpp"

namespace holdfast {

// Where a window's buckets begin and end.
class window_shape {
 public:
  static constexpr std::uint32_t buckets = 16;

  constexpr explicit window_shape(duration window) noexcept : window_shape(window, 0, 0) {}
  constexpr window_shape(duration window, std::uint32_t offset, std::uint32_t serial) noexcept
      : epochs_(window, buckets - 1), offset_(offset), serial_(serial) {}
  // The one that follows `before` at `now`. If the window is not kept, its epochs go on so far behind those that were, that
  // what was counted there is too old, and so near, that who still counts there is one with an older `now`.
  constexpr window_shape(duration window, const window_shape& before, bool kept, time_point now) noexcept
      : window_shape(window, 0, before.serial_ + 1) {
    offset_ = kept ? before.offset_ : before.epoch(now) + gap - epochs_.of(now);
  }

  [[nodiscard]] constexpr std::uint32_t epoch(time_point now) const noexcept { return epochs_.of(now) + offset_; }
  [[nodiscard]] constexpr std::uint64_t left(time_point now) const noexcept { return epochs_.left(now); }
  [[nodiscard]] constexpr std::uint32_t offset() const noexcept { return offset_; }
  [[nodiscard]] constexpr std::uint32_t serial() const noexcept { return serial_; }  // how many there were before

 private:
  static constexpr std::uint32_t gap = 1024;
  epochs epochs_;
  std::uint32_t offset_;
  std::uint32_t serial_;
};

class breaker_window {
 public:
  static constexpr std::uint32_t buckets = window_shape::buckets;
  static constexpr std::uint32_t slots = 32;

  struct sums {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
    // The same calls, divided another way; while threads count, the sum may be a few less. No call is slow if not asked for.
    std::uint64_t fast = 0;
    std::uint64_t slow = 0;
    [[nodiscard]] constexpr std::uint64_t total() const noexcept { return ok + failed; }
    [[nodiscard]] constexpr std::uint64_t timed() const noexcept { return fast + slow; }
    friend constexpr bool operator==(const sums&, const sums&) noexcept = default;
  };

  // The hot path of the thread whose number is `mine`: counts where the last count_ok did, if that was for the same word
  // and for a stretch of time that `now` is in. False, and nothing counted: it was not.
  [[nodiscard, gnu::always_inline]] bool try_count_ok(std::uint32_t mine, breaker_word word, time_point now) noexcept {
    slot& own = slots_[mine];
    return count_again(own, own.length.load(mo::relaxed), word, now);  // own: but for changed()
  }
  // The same where someone else counts successes, too: see count_ok.
  [[nodiscard]] bool try_count_ok_too(std::uint32_t mine, breaker_word word, time_point now) noexcept {
    slot& own = slots_[mine];
    return count_again(own, own.length_too.load(mo::relaxed), word, now);  // own: but for changed()
  }

  // Counts for the generation of `word`. True: the first of its kind of its thread in this bucket. If `word` is one for which
  // counting is all there is to do, the next successes take the hot path: try_count_ok if the window is `alone` in that, else
  // try_count_ok_too.
  bool count_ok(const window_shape& shape, breaker_word word, time_point now, bool alone = true) noexcept;
  bool count_failed(const window_shape& shape, breaker_word word, time_point now) noexcept;
  bool count_slow(const window_shape& shape, breaker_word word, bool failed, time_point now) noexcept;
  // There is a shape of that number now: nobody takes the hot path by an older one any more.
  void changed(std::uint32_t serial) noexcept;

  // Results of this generation in the window that ends at `epoch`.
  [[nodiscard]] sums counts(std::uint32_t epoch, std::uint16_t generation, bool with_slow = false) const noexcept;
  // Calls that were refused: not part of the window, but counted in the same places for the same reason.
  [[gnu::always_inline]] void count_refused() noexcept {
    const std::uint32_t mine = thread_slot::cached();
    if (mine < slots) [[likely]] {
      atomic<std::uint64_t>& refused = slots_[mine].refused;
      refused.store(refused.load(mo::relaxed) + 1, mo::relaxed);  // own: one writer; a sum may be late
      return;
    }
    count_refused_slowly();
  }
  [[nodiscard]] std::uint64_t refused() const noexcept;

 private:
  // 63..40 epoch, 39..28 generation, 27..0 count
  static constexpr unsigned count_bits = 28;
  static constexpr std::uint64_t most = (std::uint64_t{1} << count_bits) - 1;
  // An epoch that far ahead is one of a caller with a newer `now`; farther, it is a very old one.
  static constexpr std::int32_t ahead = 4096;

  static constexpr std::uint64_t empty(std::uint32_t epoch, std::uint16_t generation) noexcept {
    return std::uint64_t{epoch} << 40U | std::uint64_t{generation & 0xFFFU} << count_bits;
  }
  // How many buckets `word` lies before `epoch`; negative: after it.
  static constexpr std::int32_t age(std::uint64_t word, std::uint32_t epoch) noexcept {
    return static_cast<std::int32_t>((epoch - static_cast<std::uint32_t>(word >> 40U)) << 8U) >> 8U;
  }
  static constexpr bool in_window(std::uint64_t word, std::uint32_t epoch) noexcept {
    const std::int32_t old = age(word, epoch);
    return old > -ahead && old < static_cast<std::int32_t>(buckets);
  }
  static constexpr bool same_generation(std::uint64_t word, std::uint16_t generation) noexcept {
    return ((word >> count_bits ^ generation) & 0xFFFU) == 0;
  }
  // The word after one more result.
  static constexpr std::uint64_t one_more(std::uint64_t seen, std::uint32_t epoch, std::uint16_t generation) noexcept {
    if (same_generation(seen, generation)) {
      if (age(seen, epoch) <= 0 && in_window(seen, epoch)) return (seen & most) == most ? seen : seen + 1;
    } else if (in_window(seen, epoch) && (((seen >> count_bits) - generation) & 0xFFFU) < 0x800U &&
               (seen & most) != 0) {
      return seen;  // someone already counts for the state after this one: this result is too late to count
    }
    return empty(epoch, generation) | 1U;
  }

  using ring = std::array<atomic<std::uint64_t>, buckets>;
  struct alignas(2 * cache_line_size) slot {
    // Of the owner alone: where a success may be counted without asking more. A length of zero: nowhere.
    plain<std::uint64_t> word;
    plain<std::uint64_t> begin;
    plain<std::uint32_t> index;
    // Of the owner, and taken away by changed().
    atomic<std::uint64_t> length;
    atomic<std::uint64_t> length_too;
    // Written by the thread that owns the slot; in the last slot of all, by every other thread.
    atomic<std::uint64_t> refused;
    alignas(2 * cache_line_size) ring ok;
    ring failed;
    ring slow_ok;
    ring slow_failed;
  };

  [[gnu::always_inline]] static bool count_again(slot& own, std::uint64_t length, breaker_word word,
                                                 time_point now) noexcept {
    const auto ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
    if (own.word.get() != word.bits() || ns - own.begin.get() >= length) return false;
    atomic<std::uint64_t>& bucket = own.ok[own.index.get()];
    const std::uint64_t seen = bucket.load(mo::relaxed);  // own: only the thread with this number writes it
    if ((seen & most) == most) return false;
    bucket.store(seen + 1, mo::relaxed);  // own: the same; published words order it for readers, see [W1]
    return true;
  }
  template <bool Publish>
  static bool count(ring& where, bool own, std::uint32_t epoch, std::uint16_t generation) noexcept;
  [[nodiscard]] std::uint64_t published(const ring slot::*which, std::uint32_t epoch,
                                        std::uint16_t generation) const noexcept;
  void count_refused_slowly() noexcept;
  [[nodiscard]] static std::uint32_t used() noexcept;

  std::array<slot, slots + 1> slots_;
  atomic<std::uint32_t> serial_{0};  // of the newest shape; read when a thread begins a bucket
};

}  // namespace holdfast
