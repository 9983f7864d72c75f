// SPDX-License-Identifier: MIT
// queue_spec: what a bounded FIFO may answer.
//
// Four promises about a refusal, one of them a parameter:
//   exact              a push is refused only if at least Capacity items are in it, a pop only if none is; never by
//                      chance. With Max > Capacity the queue may hold up to Max items: between the two it may take a
//                      push or refuse it (spsc_queue: Max is max_size()). Max == Capacity is the strict queue
//   as_known           the same, but a refusal may overlook what the other side was still doing when it was called: such
//                      a push may be counted as not there yet, such a pop as not done. This is what a queue of acquires
//                      and releases promises: of two threads that each publish and then look, both may look too early
//                      (store buffering), so `push 1: taken, push 2: refused` may meet `pop: 0, pop: refused`. A
//                      seq_cst fence of the callers' own between their operations makes it `exact`
//   while_overlapped   an operation that overlaps another thread's may be refused without cause
//   any                refusals say nothing
// A queue may also answer `busy`, which needs no cause but another thread's operation at the same time, and it may be
// closed: then pushes are refused as closed, and pops once nothing is left.
// Items leave in the order in which they came, each once, in all four. size_approx() is an observer's guess and no part
// of it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class refusals : std::uint8_t { exact, as_known, while_overlapped, any };

enum class queue_op : std::uint8_t {
  push,   // args: item; results: a queue_said
  pop,    // results: a queue_said, and the item
  holds,  // results: the number of items; what consume_all sees when it is called
  close,
};

enum class queue_said : std::int64_t { refused, done, busy, closed };

template <std::size_t Capacity, std::size_t Max = Capacity, refusals Refusals = refusals::exact>
class queue_spec {
  static_assert(Capacity <= Max);

 public:
  [[nodiscard]] static operation push(std::int64_t item, queue_said said) noexcept {
    return recorded(queue_op::push, {item}, {static_cast<std::int64_t>(said), 0});
  }
  [[nodiscard]] static operation push(std::int64_t item, bool taken = true) noexcept {
    return push(item, taken ? queue_said::done : queue_said::refused);
  }
  [[nodiscard]] static operation pop(queue_said said, std::int64_t item = 0) noexcept {
    return recorded(queue_op::pop, {0}, {static_cast<std::int64_t>(said), said == queue_said::done ? item : 0});
  }
  [[nodiscard]] static operation pop(bool got, std::int64_t item = 0) noexcept {
    return pop(got ? queue_said::done : queue_said::refused, item);
  }
  [[nodiscard]] static operation close() noexcept { return recorded(queue_op::close); }
  [[nodiscard]] static operation holds(std::int64_t count) noexcept {
    return recorded(queue_op::holds, {0}, {count, 0});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    switch (static_cast<queue_op>(op.code)) {
      case queue_op::push: return pushed(op);
      case queue_op::pop: return popped(op);
      case queue_op::holds: {
        const auto count = static_cast<std::size_t>(op.results[0]);
        return count <= size_ && count + overlooked(pushes_, op) >= size_;
      }
      case queue_op::close:
        closed_ = true;
        note(closes_, op);
        return true;
    }
    return false;
  }

  static void prepare(history& h) noexcept {
    for (operation& op : h.operations()) {
      if (Refusals == refusals::while_overlapped || said(op) == queue_said::busy)
        op.excused = h.overlapping(op.id) != 0;
    }
  }

  friend bool operator==(const queue_spec& a, const queue_spec& b) noexcept {
    return a.size_ == b.size_ && a.closed_ == b.closed_ &&
           std::equal(a.items_.begin(), a.items_.begin() + static_cast<std::ptrdiff_t>(a.size_), b.items_.begin());
  }
  [[nodiscard]] std::uint64_t hash() const noexcept {
    std::uint64_t h = size_ * 2 + (closed_ ? 1 : 0);
    for (std::size_t i = 0; i < size_; ++i) h = mixed(h + static_cast<std::uint64_t>(items_[i]));
    return h;
  }

  [[nodiscard]] static std::string describe(const operation& op) {
    switch (static_cast<queue_op>(op.code)) {
      case queue_op::push: return words("push ", op.args[0], ": ", said(op) == queue_said::done ? "taken" : why(op));
      case queue_op::pop: return said(op) == queue_said::done ? words("pop: ", op.results[1]) : words("pop: ", why(op));
      case queue_op::holds: return words("holds ", op.results[0]);
      case queue_op::close: return "close";
    }
    return "?";
  }
  [[nodiscard]] std::string text() const {
    std::string out = "[";
    for (std::size_t i = 0; i < size_; ++i) out += words(i == 0 ? "" : " ", items_[i]);
    return out + (closed_ ? "] closed" : "]");
  }

 private:
  static queue_said said(const operation& op) noexcept { return static_cast<queue_said>(op.results[0]); }
  static const char* why(const operation& op) noexcept {
    switch (said(op)) {
      case queue_said::busy: return "busy";
      case queue_said::closed: return "closed";
      default: return "refused";
    }
  }

  bool pushed(const operation& op) noexcept {
    switch (said(op)) {
      case queue_said::busy: return op.excused;
      case queue_said::closed: return closed_;
      case queue_said::refused: return open_to(op) && (size_ + overlooked(pops_, op) >= Capacity || may_refuse(op));
      case queue_said::done:
        if (size_ == Max || closed_) return false;
        items_[size_++] = op.args[0];
        note(pushes_, op);
        return true;
    }
    return false;
  }
  bool popped(const operation& op) noexcept {
    switch (said(op)) {
      case queue_said::busy: return op.excused;
      case queue_said::closed: return closed_ && size_ == 0;
      case queue_said::refused: return open_to(op) && (size_ <= overlooked(pushes_, op) || may_refuse(op));
      case queue_said::done:
        if (size_ == 0 || items_[0] != op.results[1]) return false;
        std::copy(items_.begin() + 1, items_.begin() + static_cast<std::ptrdiff_t>(size_), items_.begin());
        --size_;
        note(pops_, op);
        return true;
    }
    return false;
  }

  // Full and empty are what an open queue says.
  bool open_to(const operation& op) const noexcept { return !closed_ || overlooked(closes_, op) != 0; }
  static bool may_refuse(const operation& op) noexcept {
    return Refusals == refusals::any || (Refusals == refusals::while_overlapped && op.excused);
  }

  // as_known: which operations of this history it has taken, so that one that is refused can leave out the newest.
  static void note(op_mask& where, const operation& op) noexcept {
    if (Refusals == refusals::as_known && op.id != no_operation) where |= op_mask{1} << op.id;
  }
  static std::size_t overlooked(op_mask taken, const operation& op) noexcept {
    return Refusals == refusals::as_known ? static_cast<std::size_t>(std::popcount(taken & ~op.before)) : 0;
  }

  std::size_t size_ = 0;
  bool closed_ = false;
  std::array<std::int64_t, Max> items_{};
  // as_known: follow from which operations were taken, so they are no part of the comparison.
  op_mask pushes_ = 0;
  op_mask pops_ = 0;
  op_mask closes_ = 0;
};

// By one thread: pops what is left, and notes it, up to the first refusal.
template <class Recorder, class Pop>
void drain(Recorder& closing, Pop&& pop) {
  for (;;) {
    const operation op = pop();
    closing.note(op);
    if (op.results[0] != static_cast<std::int64_t>(queue_said::done)) return;
  }
}

}  // namespace holdfast_lin
