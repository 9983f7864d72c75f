// SPDX-License-Identifier: MIT
// Pairs of functions that do the same, once through core/atomic.hpp and once as one would write it by hand with
// std::atomic. seam_cost.py counts the instructions of each.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/prefetch.hpp"
#include "holdfast/queue/spsc_queue.hpp"

// Not an unnamed one: of a function that nobody else can call, a compiler knows more than of the library's.
namespace seam_cost {

constexpr std::size_t capacity = 1024;
using queue = holdfast::spsc_queue<std::uint64_t, capacity>;

// The same ring over std::atomic, in bytes as well: what is compared is the seam.
struct hand_queue {
  static constexpr std::size_t most = queue::max_size();
  static constexpr std::size_t slots = queue::slot_count();
  static constexpr std::uint64_t group = queue::publish_every();
  static constexpr std::uint64_t line = 8;

  alignas(128) std::uint64_t push_end;
  alignas(128) std::atomic<std::uint64_t> push_pos;
  alignas(128) std::atomic<std::uint64_t> pop_pos;
  alignas(128) std::uint64_t pos;
  std::uint64_t pop_end;
  alignas(128) std::byte storage[slots * sizeof(std::uint64_t)];

  std::byte* place(std::uint64_t at) { return storage + (at & (slots - 1)) * sizeof(std::uint64_t); }
  static bool begins_line(std::uint64_t at) { return (at & (line - 1)) == 0; }
  std::uint64_t see_free(std::uint64_t at) {
    push_end = pop_pos.load(std::memory_order_acquire) + most;
    return push_end - at;
  }
  bool has_free(std::uint64_t at) { return at != push_end || see_free(at) != 0; }
  bool push(std::uint64_t value) {
    const std::uint64_t at = push_pos.load(std::memory_order_relaxed);
    if (!has_free(at)) return false;
    ::new (static_cast<void*>(place(at))) std::uint64_t(value);
    push_pos.store(at + 1, std::memory_order_release);
    if (begins_line(at + 1)) holdfast::prefetch_for_write(place(at + 1 + 8 * line), sizeof(std::uint64_t));
    return true;
  }
  bool has_item(std::uint64_t at) {
    if (at == pop_end) {
      const std::uint64_t filled = push_pos.load(std::memory_order_acquire);
      if (filled == at) {
        if (pop_pos.load(std::memory_order_relaxed) != at) pop_pos.store(at, std::memory_order_release);
        return false;
      }
      pop_end = filled;
    }
    return true;
  }
  void end_step(std::uint64_t at) {
    if ((at & (group - 1)) == 0) pop_pos.store(at, std::memory_order_release);
    const std::uint64_t known = pop_end - at;
    if (known > 4 * line) holdfast::prefetch_for_read(place(at + 4 * line));
    if ((at & (2 * line - 1)) == 0 && known < 2 * line) pop_end = at;
  }
  bool pop(std::uint64_t& out) {
    const std::uint64_t at = pos;
    if (!has_item(at)) return false;
    out = *std::launder(reinterpret_cast<std::uint64_t*>(place(at)));
    pos = at + 1;
    if (begins_line(at + 1)) [[unlikely]]
      end_step(at + 1);
    return true;
  }
};

}  // namespace seam_cost
using namespace seam_cost;

// NOLINTBEGIN(readability-identifier-naming): the pairs' names end in what the script looks for
extern "C" {
bool push__seam(queue& q, std::uint64_t v) {
  return q.try_push(v);
}
bool push__hand(hand_queue& q, std::uint64_t v) {
  return q.push(v);
}
bool pop__seam(queue& q, std::uint64_t& v) {
  return q.try_pop(v);
}
bool pop__hand(hand_queue& q, std::uint64_t& v) {
  return q.pop(v);
}

using ours = holdfast::atomic<std::uint64_t>;
using theirs = std::atomic<std::uint64_t>;
std::uint64_t load__seam(const ours& a) {
  return a.load(holdfast::mo::acquire);
}
std::uint64_t load__hand(const theirs& a) {
  return a.load(std::memory_order_acquire);
}
void store__seam(ours& a, std::uint64_t v) {
  a.store(v, holdfast::mo::release);
}
void store__hand(theirs& a, std::uint64_t v) {
  a.store(v, std::memory_order_release);
}
std::uint64_t add__seam(ours& a) {
  return a.fetch_add(1, holdfast::mo::relaxed);
}
std::uint64_t add__hand(theirs& a) {
  return a.fetch_add(1, std::memory_order_relaxed);
}
bool exchange__seam(ours& a, std::uint64_t& e, std::uint64_t d) {
  return a.compare_exchange_weak(e, d, holdfast::mo::acquire, holdfast::mo::relaxed);
}
bool exchange__hand(theirs& a, std::uint64_t& e, std::uint64_t d) {
  return a.compare_exchange_weak(e, d, std::memory_order_acquire, std::memory_order_relaxed);
}
void fence__seam() {
  holdfast::fence(holdfast::mo::seq_cst);
}
void fence__hand() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
void plain__seam(holdfast::plain<std::uint64_t>& p) {
  p.set(p.get() + 1);
}
void plain__hand(std::uint64_t& p) {
  p = p + 1;
}
}
// NOLINTEND(readability-identifier-naming)
