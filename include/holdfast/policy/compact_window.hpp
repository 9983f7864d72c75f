// SPDX-License-Identifier: MIT
// compact_window: how many calls succeeded, failed and were slow in the last while, in forty bytes.
//
//   operation     caller   progress    cost                             allocates   when refused
//   count         anyone   lock-free   one load, one CAS                never       -
//   touch         anyone   lock-free   one load; first in a bucket: CAS never       -
//   counts        anyone   wait-free   ten loads of one line            never       -
//   used_within   anyone   wait-free   five loads of one line           never       -
//
// In short: any thread | lock-free | never | -
//
// A ring of five buckets, each a quarter of the window long. A bucket is one word {epoch, generation, successes, failures,
// slow calls}: the stretch of time and the closed state that it counts for are checked by the same compare-and-swap that
// counts. So no result lands in a window or a generation that it does not belong to, nothing is ever cleared by a timer or
// by another thread, and a thread that dies leaves no half of anything. All zero is an empty window.
//
// A result counts for at least the window and at most a quarter of it longer. A bucket holds 4,095 successes and 2,047
// failures or slow calls exactly. One more, and its numbers are halved: from then on its older results weigh half as much as
// its newer ones. While the mix of results stays as it is, a share of the bucket is right to a thousandth, rounded towards
// health; when it changes, the share goes by the latest few thousand results, and beside the other buckets this one weighs no
// more than those. `now` may differ between threads: a result whose bucket is already that of a newer `now` counts there.
//
// What a sum is worth while threads count: every failure in it comes with every success that happened before that failure,
// and every slow call with every call before it, so the shares are never above ones that some order of the reports would
// yield. It may miss results that are being counted.
//
// After 1.3 million buckets (38 days with a window of 10 s, nine hours with one of 100 ms), give or take 64, and not before, a
// bucket that nothing was counted in since looks like a new one.
//
// Generations are told apart modulo 4,096, and a late result is known by up to 64 of them: one that is later empties the bucket
// that it comes to. If nothing is counted in a bucket for 4,032 to 4,095 generations within a window, nothing is then until it
// has left the window; after 4,096, its results count again. (A breaker that opens for a second takes half an hour for so many.)
//
// When to use it: inside a breaker that is one of many. One that is called by many threads at once wants breaker_window,
// in which they do not meet.
//
// Proof: model/compact_breaker_model.cpp, unit/compact_breaker_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

class compact_window {
 public:
  static constexpr std::uint32_t buckets = 5;
  static constexpr std::uint32_t most_ok = 4095;
  static constexpr std::uint32_t most_bad = 2047;  // failed, or slow
  // How far back used_within can look.
  static constexpr std::uint32_t farthest = std::uint32_t{1} << 16U;

  struct sums {
    std::uint32_t ok = 0;
    std::uint32_t failed = 0;
    std::uint32_t slow = 0;  // of `timed`, whether they succeeded or failed
    std::uint32_t timed = 0;
    [[nodiscard]] constexpr std::uint32_t total() const noexcept { return ok + failed; }
    friend constexpr bool operator==(const sums&, const sums&) noexcept = default;
  };

  // One result for the closed state `generation`. Not counted if results of a later state are there already.
  [[gnu::always_inline]] void count(std::uint64_t epoch, std::uint16_t generation, bool failed, bool slow) noexcept {
    atomic<std::uint64_t>& bucket = ring_[epoch % buckets];
    std::uint64_t seen = bucket.load(mo::relaxed);  // hint: the exchange decides
    for (;;) {
      const std::uint64_t next = one_more(seen, epoch, generation, failed, slow);
      if (next == seen) return;
      if (failed || slow) {
        // [K1] release, pairs with [K2]: whoever counts this call counts what happened before it too
        // counter: on failure it is tried again
        if (bucket.compare_exchange_weak(seen, next, mo::release, mo::relaxed)) return;
      } else if (bucket.compare_exchange_weak(seen, next, mo::relaxed, mo::relaxed)) {  // counter: ordered by [K1]
        return;
      }
    }
  }

  // Leaves a trace that used_within finds, and counts nothing. (None in the one epoch in 2^18 whose word, in one generation in
  // 4,096, would be zero.)
  void touch(std::uint64_t epoch, std::uint16_t generation) noexcept {
    atomic<std::uint64_t>& bucket = ring_[epoch % buckets];
    std::uint64_t seen = bucket.load(mo::relaxed);  // hint: the exchange decides
    while (is_free(seen, epoch, generation)) {
      // counter: an empty bucket publishes nothing
      if (bucket.compare_exchange_weak(seen, empty(epoch, generation), mo::relaxed, mo::relaxed)) return;
    }
  }
  // Would touch() write?
  [[nodiscard]] bool is_untouched(std::uint64_t epoch, std::uint16_t generation) const noexcept {
    // hint: old as soon as it is known
    return is_free(ring_[epoch % buckets].load(mo::relaxed), epoch, generation);
  }

  // Results of this generation in the window that ends at `epoch`.
  [[nodiscard]] sums counts(std::uint64_t epoch, std::uint16_t generation) const noexcept {
    std::array<std::uint64_t, buckets> first{};
    for (std::uint32_t i = 0; i < buckets; ++i) {
      // [K2] acquire, pairs with [K1]: what was counted before these failures is seen by the loads that follow
      first[i] = ring_[i].load(mo::acquire);
    }
    sums s;
    for (std::uint32_t i = 0; i < buckets; ++i) {
      const std::uint64_t word = ring_[i].load(mo::relaxed);  // counter: ordered by [K2] as far as it matters
      if (!same_generation(word, generation) || !in_window(word, epoch) || !in_place(word, epoch, i)) continue;
      s.ok += ok_of(word);
      s.timed += ok_of(word) + failed_of(word);
      // Of a bucket that began anew in between, no failure; of one that was halved, no more than it has now.
      if (!same_header(first[i], word)) continue;
      s.failed += std::min(failed_of(first[i]), failed_of(word));
      s.slow += std::min(slow_of(first[i]), slow_of(word));
    }
    return s;
  }

  // Was anything counted or touched for this generation in the last `within` buckets?
  [[nodiscard]] bool used_within(std::uint32_t within, std::uint64_t epoch, std::uint16_t generation) const noexcept {
    for (std::uint32_t i = 0; i < buckets; ++i) {
      const std::uint64_t word = ring_[i].load(mo::relaxed);  // hint: old as soon as it is known
      if (!same_generation(word, generation) || !in_place(word, epoch, i)) continue;
      const std::int32_t old = age(word, epoch);
      if (old > -ahead && old < static_cast<std::int32_t>(within)) return true;
    }
    return false;
  }

 private:
  friend struct compact_start;  // tests: begins with numbers that no model could count to

  // 63..46 epoch, 45..34 generation, 33..22 ok, 21..11 failed, 10..0 slow
  static constexpr unsigned epoch_at = 46;
  static constexpr unsigned generation_at = 34;
  static constexpr unsigned ok_at = 22;
  static constexpr unsigned failed_at = 11;
  static constexpr std::uint64_t numbers = (std::uint64_t{1} << generation_at) - 1;
  // An epoch that far ahead is one of a caller with a newer `now`; farther, it is a very old one.
  static constexpr std::int32_t ahead = 64;
  // A result that is no more generations late than this takes nothing away.
  static constexpr std::uint32_t generations_late = 64;

  static constexpr std::uint32_t ok_of(std::uint64_t w) noexcept { return w >> ok_at & most_ok; }
  static constexpr std::uint32_t failed_of(std::uint64_t w) noexcept { return w >> failed_at & most_bad; }
  static constexpr std::uint32_t slow_of(std::uint64_t w) noexcept { return w & most_bad; }
  static constexpr bool same_header(std::uint64_t a, std::uint64_t b) noexcept { return ((a ^ b) & ~numbers) == 0; }
  static constexpr std::uint64_t empty(std::uint64_t epoch, std::uint16_t generation) noexcept {
    return epoch << epoch_at | std::uint64_t{generation & 0xFFFU} << generation_at;
  }
  static constexpr bool same_generation(std::uint64_t word, std::uint16_t generation) noexcept {
    return ((word >> generation_at ^ generation) & 0xFFFU) == 0;
  }
  // How many buckets `word` lies before `epoch`; negative: after it. Modulo 2^18: in_place() says whether that is its age.
  static constexpr std::int32_t age(std::uint64_t word, std::uint64_t epoch) noexcept {
    const auto behind = static_cast<std::uint32_t>(epoch) - static_cast<std::uint32_t>(word >> epoch_at);
    return static_cast<std::int32_t>(behind << 14U) >> 14U;
  }
  static constexpr bool in_window(std::uint64_t word, std::uint64_t epoch) noexcept {
    const std::int32_t old = age(word, epoch);
    return old > -ahead && old < static_cast<std::int32_t>(buckets);
  }
  // Does the place `i` of the ring go with the age that `word` seems to have? If not, it is 2^18 buckets older, or two, three
  // or four times as much; the fifth time looks young again. All zero is of no epoch.
  static constexpr bool in_place(std::uint64_t word, std::uint64_t epoch, std::uint32_t i) noexcept {
    return word != 0 && (epoch - static_cast<std::uint64_t>(std::int64_t{age(word, epoch)})) % buckets == i;
  }
  // The bucket of `epoch` holds nothing that is to be kept for `generation` or a later one.
  static constexpr bool is_free(std::uint64_t seen, std::uint64_t epoch, std::uint16_t generation) noexcept {
    const std::int32_t old = age(seen, epoch);
    // As in_place() for the place of `epoch` itself, in which all ages are multiples of five.
    if (seen == 0 || old % static_cast<std::int32_t>(buckets) != 0) return true;
    if (same_generation(seen, generation)) return old > 0 || old <= -ahead;
    // A result is seldom many generations late. Were half of all generations later ones, 2,048 quick openings would leave
    // behind buckets in which nothing is counted any more until they have left the window.
    const bool later = (((seen >> generation_at) - generation) & 0xFFFU) <= generations_late;
    return !later || !in_window(seen, epoch);
  }
  static constexpr std::uint64_t one_more(std::uint64_t seen, std::uint64_t epoch, std::uint16_t generation,
                                          bool failed, bool slow) noexcept {
    if (is_free(seen, epoch, generation)) {
      seen = empty(epoch, generation);
    } else if (!same_generation(seen, generation)) {
      return seen;  // someone already counts for the state after this one: this result is too late to count
    }
    std::uint32_t ok = ok_of(seen);
    std::uint32_t bad = failed_of(seen);
    std::uint32_t late = slow_of(seen);
    if ((failed ? bad == most_bad : ok == most_ok) || (slow && late == most_bad)) {
      ok = (ok + 1) / 2;
      bad /= 2;
      late /= 2;
    }
    return (seen & ~numbers) | std::uint64_t{ok + (failed ? 0U : 1U)} << ok_at |
           std::uint64_t{bad + (failed ? 1U : 0U)} << failed_at | std::uint64_t{late + (slow ? 1U : 0U)};
  }

  std::array<atomic<std::uint64_t>, buckets> ring_;  // index: epoch modulo five. Written by every thread that counts.
};
static_assert(sizeof(compact_window) == 40);

}  // namespace holdfast
