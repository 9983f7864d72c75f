// SPDX-License-Identifier: MIT
// queue_forms: what is a FIFO between threads under other names, as the parts of queues want it: constructed from a first
// position (or from nothing that matters), with try_push and try_pop of a number.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"
#include "holdfast/queue/queue_result.hpp"
#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/shared_record_ring.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast_lin {

// By operations that wait, one in four of a thread's for long enough to sleep; so a pop may be called before what it gets is
// pushed, and a push before its room is made. What is checked are the answers; that no wake-up is lost is for the model.
template <class Queue>
class waiting_form {
 public:
  static constexpr holdfast::callers producers = Queue::producers;
  static constexpr holdfast::callers consumers = Queue::consumers;
  static constexpr std::size_t capacity() noexcept { return Queue::capacity(); }

  explicit waiting_form(std::uint64_t first) : queue_(first) {}

  holdfast::queue_result try_push(std::int64_t item) { return queue_.wait_push(std::move(item), soon()); }
  holdfast::queue_result try_pop(std::int64_t& out) {
    const holdfast::queue_result answer = queue_.wait_pop(out, soon());
    // A slot that is busy until the deadline has passed is told as empty, of a closed queue as well.
    if (answer == holdfast::queue_op_status::empty && queue_.closed()) return holdfast::queue_op_status::busy;
    return answer;
  }
  void close() { queue_.close(); }

 private:
  static holdfast::deadline soon() noexcept {
    const holdfast::duration patience = std::chrono::microseconds(++calls % 4 == 0 ? 50 : 2);
    return holdfast::deadline::after(holdfast::steady_clock::now(), patience);
  }
  holdfast::waiting_queue<Queue> queue_;
  static thread_local inline unsigned calls = 0;
};

// Of the numbers that mpmc_part gives out with so many threads. Each has a node for eight of its own at a time.
template <unsigned Threads>
class list_form {
 public:
  static constexpr holdfast::callers producers = holdfast::callers::many;
  static constexpr holdfast::callers consumers = holdfast::callers::one;
  // More than a window pushes: a list has no limit.
  static constexpr std::size_t capacity() noexcept { return 4 * (Threads + 1); }

  explicit list_form(std::uint64_t /*first*/) noexcept {}

  holdfast::queue_result try_push(std::int64_t item) noexcept {
    const auto number = static_cast<std::size_t>(item - 1);
    node& one = nodes_[number % (Threads + 1)][number / (Threads + 1) % 8];
    one.item = item;
    list_.push(one);
    return holdfast::queue_op_status::success;
  }
  holdfast::queue_result try_pop(std::int64_t& out) noexcept {
    node* got = nullptr;
    const holdfast::queue_result answer = list_.try_pop(got);
    if (answer) out = got->item;
    return answer;
  }

 private:
  struct node : holdfast::mpsc_hook {
    std::int64_t item = 0;
  };
  std::array<std::array<node, 8>, Threads + 1> nodes_;
  holdfast::intrusive_mpsc_list<node> list_;
};

// Records of 16 bytes and their 8, so that the writer asks for the reader's position at every second one only. The ring takes
// ten, or fewer where the end of its storage comes among them.
inline constexpr std::size_t record_form_bytes = 16;
inline constexpr std::size_t record_form_storage = 256;
inline constexpr std::size_t record_form_capacity = 8;
inline constexpr std::size_t record_form_most = 10;

// Both ends of a record, or -1, which nobody pushed.
inline std::int64_t whole(const holdfast::record_view& got) noexcept {
  std::int64_t first = -1;
  std::int64_t last = -1;
  if (got.bytes != record_form_bytes) return -1;
  std::memcpy(&first, got.data, sizeof first);
  std::memcpy(&last, got.data + record_form_bytes - sizeof last, sizeof last);
  return first == last ? first : -1;
}
template <class Writer>
bool push_record(Writer& to, std::int64_t item) noexcept {
  std::byte* const at = to.try_claim(record_form_bytes);
  if (at == nullptr) return false;
  std::memcpy(at, &item, sizeof item);
  std::memcpy(at + record_form_bytes - sizeof item, &item, sizeof item);
  to.commit(record_form_bytes, 0);
  return true;
}

class record_form {
 public:
  explicit record_form(std::uint64_t /*first*/) noexcept {}
  bool try_push(std::int64_t item) noexcept { return push_record(ring_, item); }
  bool try_pop(std::int64_t& out) noexcept {
    holdfast::record_ring::record got;
    if (!ring_.front(got)) return false;
    out = whole(got);
    ring_.pop(got);
    ring_.release();
    return true;
  }

 private:
  alignas(64) std::array<std::byte, record_form_storage> storage_{};
  holdfast::record_ring ring_{storage_};
};

class shared_record_form {
 public:
  explicit shared_record_form(std::uint64_t /*first*/) noexcept {
    if (!holdfast::shared_record_ring::create(region_).ok()) std::abort();
    auto writer = holdfast::shared_record_ring::attach_writer(region_);
    auto reader = holdfast::shared_record_ring::attach_reader(region_);
    if (!writer.ok() || !reader.ok()) std::abort();
    writer_.emplace(std::move(*writer));
    reader_.emplace(std::move(*reader));
  }
  bool try_push(std::int64_t item) noexcept { return push_record(*writer_, item); }
  bool try_pop(std::int64_t& out) noexcept {
    holdfast::shared_record_ring::record got;
    if (reader_->front(got) != holdfast::ring_front::record) return false;
    out = whole(got);
    reader_->pop(got);
    return reader_->release();
  }

 private:
  alignas(64) std::array<std::byte, record_form_storage + sizeof(holdfast::shared_ring_header)> region_{};
  std::optional<holdfast::shared_record_ring::writer> writer_;
  std::optional<holdfast::shared_record_ring::reader> reader_;
};

}  // namespace holdfast_lin
