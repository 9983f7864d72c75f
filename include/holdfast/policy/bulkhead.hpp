// SPDX-License-Identifier: MIT
// bulkhead: at most `limit` calls at the same time, so that one slow dependency cannot take every thread there is.
//
//   operation     caller          progress    cost      allocates   when refused
//   try_acquire   any thread      lock-free   one CAS   never       an empty permit, counted in refused()
//   ~permit       any thread      wait-free   one RMW   never       -
//   set_limit     any thread      wait-free   two RMW   never       -
//   in_flight     any observer    wait-free   loads     never       -
//
// B1: never more than `limit` permits are out. B2: permits free + permits out = limit whenever nobody is in the middle of
// an operation. B5: a smaller limit takes effect at once for new calls; those in flight finish, and until enough have,
// nobody gets in. What a holder of a permit wrote is seen by whoever gets that place next.
//
// When to use: around a dependency whose slowness would otherwise pile up callers. Not for how many per second: that is
// a rate limit. A refused call waits outside, by retry's backoff, or takes the next fallback tier.
//
// Memory: 64 bytes and no pointer. A permit is one pointer, and the bulkhead outlives it.
// Method: one word, free places in its upper half (negative while a smaller limit drains), its lower half kept for
// waiters, so that taking a place and noticing a waiter is one atomic step. Every access is a read-modify-write of that
// one word: nothing beside a call to another process, too much for an inner loop.
// Proof: unit/bulkhead_test.cpp, stress/bulkhead_stress.cpp (B1, B2, B5).
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"

namespace holdfast {

struct bulkhead_options {
  std::uint32_t limit = 64;
};
static_assert(std::is_aggregate_v<bulkhead_options>);

inline constexpr std::uint32_t largest_bulkhead = 1'000'000'000;  // so that any two differ by less than 2^31

constexpr option_error validate(const bulkhead_options& o) noexcept {
  return first_of(at_least("limit", o.limit, 1), at_most("limit", o.limit, largest_bulkhead));
}

class alignas(cache_line_size) bulkhead {
 public:
  // A place inside. Empty when none was free; leaves when destroyed.
  class [[nodiscard]] permit {
   public:
    permit() noexcept = default;
    permit(permit&& other) noexcept : room_(std::exchange(other.room_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      if (this != &other) {
        release();
        room_ = std::exchange(other.room_, nullptr);
      }
      return *this;
    }
    ~permit() { release(); }

    explicit operator bool() const noexcept { return room_ != nullptr; }
    void release() noexcept {
      if (room_ != nullptr) std::exchange(room_, nullptr)->leave();
    }

   private:
    friend class bulkhead;
    explicit permit(bulkhead* room) noexcept : room_(room) {}
    bulkhead* room_ = nullptr;
  };

  explicit bulkhead(const bulkhead_options& options) noexcept
      : word_(std::uint64_t{options.limit} << 32U), limit_(options.limit) {
    HOLDFAST_ASSERT(!validate(options));
  }
  bulkhead(const bulkhead&) = delete;
  bulkhead& operator=(const bulkhead&) = delete;
  ~bulkhead() { HOLDFAST_ASSERT(in_flight() == 0); }

  permit try_acquire() noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // hint: the exchange below decides
    while (free_of(seen) > 0) {
      // [H1] acquire, pairs with [H2]: what the last holder of this place did is seen by the next
      // hint: on failure only the value seen counts
      if (word_.compare_exchange_weak(seen, seen - one_place, mo::acquire, mo::relaxed)) return permit(this);
    }
    refused_.fetch_add(1, mo::relaxed);  // counter:
    return {};
  }

  // An adaptive limit calls this. Callers in flight are never turned out.
  void set_limit(std::uint32_t limit) noexcept {
    HOLDFAST_ASSERT(!validate(bulkhead_options{limit}));
    const std::uint32_t before = limit_.exchange(limit, mo::relaxed);  // counter: the difference is what matters
    // Concurrent changes add up in any order; borrows stay in the upper half, because the lower one is not touched.
    const auto change = static_cast<std::uint64_t>(std::int64_t{limit} - std::int64_t{before}) << 32U;
    word_.fetch_add(change, mo::relaxed);  // counter: publishes nothing; part of [H2]'s release sequence
  }

  // Exact while nobody changes the limit.
  [[nodiscard]] std::uint32_t in_flight() const noexcept {
    const std::int64_t out = std::int64_t{limit()} - free_of(word_.load(mo::relaxed));  // hint: a stale observer's view
    return out > 0 ? static_cast<std::uint32_t>(out) : 0;
  }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_.load(mo::relaxed); }      // hint: as above
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(mo::relaxed); }  // counter: refusals

 private:
  static constexpr std::uint64_t one_place = std::uint64_t{1} << 32U;
  static constexpr std::int32_t free_of(std::uint64_t word) noexcept { return static_cast<std::int32_t>(word >> 32U); }

  // [H2] release, pairs with [H1]: hands on what this holder did
  void leave() noexcept { word_.fetch_add(one_place, mo::release); }

  atomic<std::uint64_t> word_;        // free places, signed : 32 | waiters : 32; written by all
  atomic<std::uint32_t> limit_;       // written by set_limit
  atomic<std::uint64_t> refused_{0};  // written by refused callers
};
static_assert(std::is_standard_layout_v<bulkhead> && sizeof(bulkhead) == cache_line_size);

}  // namespace holdfast
