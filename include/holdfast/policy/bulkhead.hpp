// SPDX-License-Identifier: MIT
// bulkhead: at most `limit` calls at the same time, so that one slow dependency cannot take every thread there is.
//
//   operation     caller          progress    cost      allocates   when refused
//   try_acquire   any thread      lock-free   one CAS   never       an empty permit, counted in refused()
//   ~permit       any thread      wait-free   one RMW   never       -
//   set_limit     any thread      lock-free   one CAS   never       -
//   in_flight     any observer    wait-free   one load  never       -
//
// In short: any thread | lock-free | never | an empty permit
//
// B1: no permit is given while `limit` or more are out, whoever changes the limit meanwhile. B2: permits out are counted
// exactly, at every moment. B5: a smaller limit takes effect at once for new calls; those in flight finish, and until
// enough have, nobody gets in. What a holder of a permit wrote is seen by whoever gets that place next.
//
// When to use: around a dependency whose slowness would otherwise pile up callers. Not for how many per second: that is
// a rate limit. A refused call waits outside, by retry's backoff, or takes the next fallback tier.
//
// Memory: 64 bytes and no pointer. A permit is one pointer, and the bulkhead outlives it.
// Method: places taken and the limit in one word, so that the limit is compared and the place taken in one step, and a new
// limit holds for every step after it. The limit leaves two bits free for a mark of waiters. Every access is a
// read-modify-write of that one word: nothing beside a call to another process, too much for an inner loop.
// Proof: model/bulkhead_model.cpp (every execution of small cases, limits that change and deaths among them),
// unit/bulkhead_test.cpp, stress/bulkhead_stress.cpp (B1, B2, B5), linearizability/bulkhead_windows.cpp (all of it as one
// semaphore).
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

inline constexpr std::uint32_t largest_bulkhead = 1'000'000'000;  // below 2^30

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

  explicit bulkhead(const bulkhead_options& options) noexcept : word_(options.limit) {
    HOLDFAST_ASSERT(!validate(options));
  }
  bulkhead(const bulkhead&) = delete;
  bulkhead& operator=(const bulkhead&) = delete;
  ~bulkhead() { HOLDFAST_ASSERT(in_flight() == 0); }

  permit try_acquire() noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // hint: the exchange below decides
    while (taken_of(seen) < limit_of(seen)) {
      // [H1] acquire, pairs with [H2]: what the last holder of this place did is seen by the next
      // hint: on failure only the value seen counts
      if (word_.compare_exchange_weak(seen, seen + one_place, mo::acquire, mo::relaxed)) return permit(this);
    }
    refused_.fetch_add(1, mo::relaxed);  // counter:
    return {};
  }

  // An adaptive limit calls this. Callers in flight are never turned out.
  void set_limit(std::uint32_t limit) noexcept {
    HOLDFAST_ASSERT(!validate(bulkhead_options{limit}));
    std::uint64_t seen = word_.load(mo::relaxed);  // hint: the exchange below decides
    // counter: publishes nothing; part of [H2]'s release sequence
    while (!word_.compare_exchange_weak(seen, (seen & ~limit_mask) | limit, mo::relaxed, mo::relaxed)) {
    }
  }

  [[nodiscard]] std::uint32_t in_flight() const noexcept {
    return taken_of(word_.load(mo::relaxed));  // hint: a stale observer's view
  }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_of(word_.load(mo::relaxed)); }  // hint: as above
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(mo::relaxed); }       // counter: refusals

 private:
  static constexpr std::uint64_t one_place = std::uint64_t{1} << 32U;
  static constexpr std::uint64_t limit_mask = (std::uint64_t{1} << 30U) - 1;
  static constexpr std::uint32_t taken_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32U);
  }
  static constexpr std::uint32_t limit_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word & limit_mask);
  }

  // [H2] release, pairs with [H1]: hands on what this holder did
  void leave() noexcept { word_.fetch_sub(one_place, mo::release); }

  atomic<std::uint64_t> word_;        // places taken : 32 | kept for waiters : 2 | limit : 30; written by all
  atomic<std::uint64_t> refused_{0};  // written by refused callers
};
static_assert(std::is_standard_layout_v<bulkhead> && sizeof(bulkhead) == cache_line_size);

}  // namespace holdfast
