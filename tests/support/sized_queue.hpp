// SPDX-License-Identifier: MIT
// sized_queue: an spsc_queue<T> sized at run time, with storage of its own, so that a test of the form whose capacity is a
// constant runs with this one as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/queue/spsc_queue.hpp"

namespace test_support {

template <class T, std::size_t Capacity>
struct queue_storage {
  static constexpr std::size_t bytes_needed = holdfast::spsc_queue<T>::storage_bytes(Capacity);
  alignas(holdfast::spsc_queue<T>::storage_alignment()) std::byte bytes[bytes_needed];
};

template <class T, std::size_t Capacity, class Watch = holdfast::unwatched>
class sized_queue : queue_storage<T, Capacity>, public holdfast::spsc_queue<T, std::dynamic_extent, Watch> {
  using storage = queue_storage<T, Capacity>;
  using queue = holdfast::spsc_queue<T, std::dynamic_extent, Watch>;
  using same = holdfast::spsc_queue<T, Capacity>;

 public:
  explicit sized_queue(std::uint64_t first = 0) noexcept
      : queue(Capacity, std::span<std::byte>(storage::bytes), first) {}

  // What is known without an object too; that the object says the same has a test of its own.
  static constexpr std::size_t capacity() noexcept { return same::capacity(); }
  static constexpr std::size_t max_size() noexcept { return same::max_size(); }
  static constexpr std::size_t publish_every() noexcept { return same::publish_every(); }
  static constexpr std::size_t slot_count() noexcept { return same::slot_count(); }
};

}  // namespace test_support
