// SPDX-License-Identifier: MIT
// ring_slots: the slots of a ring: how many there are, where the item of a position stands, and which lines to ask for.
//
//   type                      the slots are                      the numbers are
//   ring_slots<T, Capacity>   inside the object                  constants
//   ring_slots<T>             in storage that is handed in, or   set by the constructor, and the same ever after
//                             asked of a memory resource
//
// All functions are const in effect, wait-free, O(1), and may be called by both sides of a queue at the same time. Making and
// destroying the items in the slots is the queue's matter.
//
// A ring of a capacity that is a power of two has group = capacity / 8 (from 16 on, else 1): so many items the consumer may
// take before it tells of it. It has at least capacity + group - 1 slots, so that the promised capacity is free although
// the producer does not know of up to group - 1 freed ones; their number is a power of two, so that a slot is found by a mask.
//
// When to use it: to build a queue upon. What a program uses is the queue.
//
// Memory: slot_count * sizeof(T), inside or outside; the form for run time keeps five words, which nobody writes after the
// constructor, so both sides may have their line at the same time.
//
// Proof: unit/ring_slots_test.cpp, and all of the tests of spsc_queue in both forms.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <span>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/prefetch.hpp"

namespace holdfast {

// What follows from a capacity, which is a power of two.
struct ring_numbers {
  std::size_t capacity;
  std::size_t group_mask;
  std::size_t slot_mask;

  static constexpr ring_numbers of(std::size_t capacity) noexcept {
    const std::size_t group = capacity < 16 ? 1 : capacity / 8;
    return {capacity, group - 1, std::bit_ceil(capacity + group - 1) - 1};
  }
  [[nodiscard]] constexpr std::size_t group() const noexcept { return group_mask + 1; }
  [[nodiscard]] constexpr std::size_t max_size() const noexcept { return capacity + group_mask; }
  [[nodiscard]] constexpr std::size_t slot_count() const noexcept { return slot_mask + 1; }
};

// Whose memory the slots are: of the object itself.
template <class T, std::size_t Capacity>
class ring_memory {
 public:
  [[nodiscard]] static constexpr ring_numbers numbers() noexcept { return ring_numbers::of(Capacity); }
  [[nodiscard]] std::byte* base() noexcept { return storage_; }

 private:
  alignas(std::max(2 * cache_line_size, alignof(T))) std::byte storage_[numbers().slot_count() * sizeof(T)];
};

// Of whoever made the queue: a capacity that validate() refuses, and storage that it refuses, are asserted.
template <class T>
class ring_memory<T, std::dynamic_extent> {
 public:
  // Whole lines, so that the slots share none with what stands beside them.
  static constexpr std::size_t alignment = std::max(cache_line_size, alignof(T));
  static constexpr std::size_t max_capacity = std::bit_floor(std::numeric_limits<std::size_t>::max() / 4 / sizeof(T));
  [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t capacity) noexcept {
    const std::size_t bytes = ring_numbers::of(capacity).slot_count() * sizeof(T);
    return (bytes + alignment - 1) / alignment * alignment;
  }

  [[nodiscard]] static constexpr option_error validate(std::size_t capacity) noexcept {
    const std::int64_t value = as_value(capacity);
    return first_of(
        at_least("capacity", value, 1), at_most("capacity", value, as_value(max_capacity)),
        std::has_single_bit(capacity) ? option_error{} : option_error{"capacity", value, "a power of two", 0});
  }
  [[nodiscard]] static option_error validate(std::size_t capacity, std::span<const std::byte> storage) noexcept {
    if (const option_error wrong = validate(capacity)) return wrong;
    const auto off = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(storage.data()) % alignment);
    return first_of(at_least("storage", as_value(storage.size()), as_value(bytes_for(capacity))),
                    off == 0 ? option_error{} : option_error{"storage", off, "aligned to", as_value(alignment)});
  }

  ring_memory(std::size_t capacity, std::span<std::byte> storage) noexcept
      : ring_memory(capacity, (assert_valid(validate(capacity, storage)), storage.data()), nullptr) {}
  ring_memory(std::size_t capacity, std::pmr::memory_resource* memory)
      : ring_memory(capacity, (assert_valid(validate(capacity)), ask(capacity, memory)), memory) {}
  ring_memory(const ring_memory&) = delete;
  ring_memory& operator=(const ring_memory&) = delete;
  ~ring_memory() {
    if (memory_ != nullptr) memory_->deallocate(base_, bytes_for(numbers_.capacity), alignment);
  }

  [[nodiscard]] ring_numbers numbers() const noexcept { return numbers_; }
  [[nodiscard]] std::byte* base() noexcept { return base_; }

 private:
  ring_memory(std::size_t capacity, std::byte* base, std::pmr::memory_resource* memory) noexcept
      : base_(base), numbers_(ring_numbers::of(capacity)), memory_(memory) {}

  static constexpr std::int64_t as_value(std::size_t n) noexcept {
    return static_cast<std::int64_t>(std::min<std::size_t>(n, std::numeric_limits<std::int64_t>::max()));
  }
  static void assert_valid([[maybe_unused]] const option_error& wrong) noexcept { HOLDFAST_ASSERT(!wrong); }
  static std::byte* ask(std::size_t capacity, std::pmr::memory_resource* memory) {
    HOLDFAST_ASSERT(memory != nullptr);
    return static_cast<std::byte*>(memory->allocate(bytes_for(capacity), alignment));
  }

  std::byte* const base_;
  const ring_numbers numbers_;
  std::pmr::memory_resource* const memory_;  // null: the caller's storage
};

template <class T, std::size_t Capacity = std::dynamic_extent>
class ring_slots : public ring_memory<T, Capacity> {
 public:
  using memory = ring_memory<T, Capacity>;
  using memory::base;
  using memory::memory;
  using memory::numbers;

  // Items that begin in one line, and how many lines ahead of the own position each side asks for them: found by
  // trying 2 to 24.
  static constexpr std::size_t line_items =
      sizeof(T) < cache_line_size ? cache_line_size / std::bit_ceil(sizeof(T)) : 1;
  static constexpr std::size_t pair_items = 2 * line_items;
  static constexpr std::size_t write_ahead = sizeof(T) < cache_line_size ? 8 * line_items : 4;
  static constexpr std::size_t batch_write_ahead = 8 * line_items;
  static constexpr std::size_t read_ahead = 4 * line_items;

  // Where the ring has few lines, asking ahead would only take away what the other side works on.
  [[nodiscard]] constexpr bool deep() const noexcept { return numbers().slot_count() >= deep_from; }
  [[nodiscard]] static bool begins_line(std::uint64_t pos) noexcept { return (pos & (line_items - 1)) == 0; }

  // Processors fetch lines in pairs, so they are left to the other side in pairs.
  [[nodiscard]] static bool begins_pair(std::uint64_t pos) noexcept { return (pos & (pair_items - 1)) == 0; }
  // Does a line (of large items: a pair) or a group end before `pos`.
  [[nodiscard]] bool ends_step(std::uint64_t pos) const noexcept {
    constexpr std::size_t step_items = sizeof(T) < cache_line_size ? line_items : pair_items;
    return (pos & std::min(step_items - 1, numbers().group_mask)) == 0;
  }

  [[nodiscard]] std::byte* place(std::uint64_t pos) noexcept { return base() + index(pos) * sizeof(T); }
  [[nodiscard]] T* item(std::uint64_t pos) noexcept { return std::launder(reinterpret_cast<T*>(place(pos))); }
  // How many of `count` slots from `pos` on stand in one run, before the storage ends and begins again.
  [[nodiscard]] std::size_t run(std::uint64_t pos, std::size_t count) const noexcept {
    return std::min<std::size_t>(count, numbers().slot_count() - index(pos));
  }

 private:
  static constexpr std::size_t deep_from = (64 * cache_line_size + sizeof(T) - 1) / sizeof(T);

  [[nodiscard]] std::size_t index(std::uint64_t pos) const noexcept {
    return static_cast<std::size_t>(pos & numbers().slot_mask);
  }
};

}  // namespace holdfast
