// SPDX-License-Identifier: MIT
// log_lane: one thread's way into a log_sink: a record_ring, the context it last wrote, and what it lost.
//
// A lane belongs to the thread that attached it until that thread ends; then the backend drains it and the next thread
// may have it. Part of log_sink: nothing here is for users.
//
// Proof: tests/model/log_lane_model.cpp (every execution of small cases), tests/unit/log_sink_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/record_ring.hpp"

namespace holdfast::log_detail {

enum class lane_state : std::uint32_t { free, owned, closed };

struct log_lane {
  explicit log_lane(std::span<std::byte> storage) noexcept : ring(storage) {}

  record_ring ring;

  // A thread takes the lane.
  [[nodiscard]] bool try_own() noexcept {
    auto expected = lane_state::free;
    if (state.load(mo::relaxed) != expected) return false;  // hint: the exchange decides
    return state.compare_exchange_strong(
        expected, lane_state::owned,
        mo::acquire,   // [A1] acquire, pairs with [A2]: the last owner's state, and the backend's
        mo::relaxed);  // hint: taken by another
  }
  // That thread ends.
  void close() noexcept {
    state.store(lane_state::closed, mo::release);  // [A12] release, pairs with [A11]: the thread's records and losses
  }
  // The backend: a closed lane that is found empty afterwards stays empty.
  [[nodiscard]] bool closed() const noexcept {
    return state.load(mo::acquire) == lane_state::closed;  // [A11] acquire, pairs with [A12]: as there
  }
  void reopen() noexcept {
    state.store(lane_state::free,
                mo::release);  // [A2] release, pairs with [A1]: the lane is empty, its losses are told
  }
  // A record of the owner's is lost; the second, from a signal handler inside one of its calls.
  void count_full() noexcept {
    ++full;
    lost_full.store(full, mo::release);  // [A13] release, pairs with [A15]: the id of the thread that lost it
  }
  void count_nested() noexcept {
    lost_nested.fetch_add(1, mo::release);  // [A14] release, pairs with [A16]: as above
  }
  struct losses {
    std::uint64_t full;
    std::uint64_t nested;
  };
  // The backend: so many, and `thread` is at least as new as the last of them, though it may have written no record yet.
  [[nodiscard]] losses lost() const noexcept {
    return {lost_full.load(mo::acquire),     // [A15] acquire, pairs with [A13]: as there
            lost_nested.load(mo::acquire)};  // [A16] acquire, pairs with [A14]: as there
  }

  // Written by the owning thread alone; the backend reads the losses and the thread's id.
  alignas(cache_line_size) std::uint64_t context_generation = ~std::uint64_t{0};  // none written yet
  std::uint64_t full = 0;                // losses so far, of all owners of this lane
  std::uint64_t full_in_ring = 0;        // the last total that a record brought to the backend
  bool busy = false;                     // a call of this thread is between its claim and its commit
  atomic<std::uint64_t> lost_full{0};    // = full
  atomic<std::uint64_t> lost_nested{0};  // calls from a signal handler inside a call

  alignas(cache_line_size) atomic<lane_state> state{lane_state::free};
  atomic<std::uint32_t> thread{0};  // the kernel's id; published by the owner's first record or loss
};

// Where each sink keeps this thread's lane. Trivially destructible, so it outlives every other thread_local.
struct lane_ref {
  std::uint64_t sink = 0;  // the sink's number, never used twice
  log_lane* lane = nullptr;
};
inline constexpr std::size_t max_live_sinks = 16;
inline constinit thread_local std::array<lane_ref, max_live_sinks> lanes_of_thread{};

// A record's tag.
inline constexpr std::uint32_t site_mask = 0x1FFFU;
inline constexpr std::uint32_t logger_shift = 16;
inline constexpr std::uint32_t logger_mask = 0x3FU;
inline constexpr std::uint32_t stamp_is_time = 1U << 29U;  // the caller's time, not the counter's ticks
inline constexpr std::uint32_t loss_follows = 1U << 30U;
inline constexpr std::uint32_t context_follows = 1U << 31U;

}  // namespace holdfast::log_detail
