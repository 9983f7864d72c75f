// SPDX-License-Identifier: MIT
// event_fd: makes a descriptor readable when there is something to look at, for a thread that sleeps in epoll_wait or poll.
//
//   operation         caller         progress                    allocates   cost
//   awaited, notify   any thread     wait-free                   never       not armed: two loads and branches, no system call;
//                                                                            armed: one exchange and one write(2)
//   arm               the loop       wait-free but for the       never       membarrier(2)
//                                    kernel
//   clear             the loop       wait-free but for the       never       read(2)
//                                    kernel
//   constructor       -              -                           never       eventfd(2); error() says if it failed
//
// In short: any thread tells, one loop arms and clears | wait-free but for the kernel | never | -
//
// The loop takes what there is, arms, looks once more, and only then sleeps:
//
//   for (;;) {
//     epoll_wait(...);                 // `descriptor()` among others
//     queue.items().clear();           // readable: it was told
//     do {
//       while (queue.try_pop(item)) handle(item);
//       queue.items().arm();
//     } while (queue.try_pop(item) && (handle(item), true));
//   }
//
// After arm() returns, either a look finds what was there before, or the descriptor becomes readable. One telling disarms it,
// so a burst of items costs one write. One loop to an event_fd; several descriptors may be in one loop.
//
// When to use it: a thread that has other descriptors to wait for. Not for a thread that waits for the queue alone (event_count).
//
// Memory: one word and a descriptor, closed by the destructor. A forked child has the descriptor too and does not use it.
//
// Method: as event_count, with one sleeper, whose sleep is the loop's own; eventfd(2).
//
// Proof: model/event_count_model.cpp (armed_loop), unit/waiting_queue_test.cpp.
#pragma once

#include <cstdint>
#include <system_error>

#include "holdfast/core/asymmetric_fence.hpp"
#include "holdfast/core/atomic.hpp"

namespace holdfast {

// Whether anybody is to be told, without the descriptor.
class armed_flag {
 public:
  [[nodiscard, gnu::always_inline]] bool awaited() const noexcept {
    asymmetric_fence_light();  // [EF1] pairs with [EF2]: the loop's last look sees the change, or this sees it armed
    return armed_.load(mo::relaxed) != 0;  // hint: as above; disarm() decides
  }
  // True for one of those who tell.
  [[nodiscard]] bool disarm() noexcept {
    return armed_.exchange(0, mo::relaxed) != 0;  // own: what the loop is to see, the kernel or its own look shows it
  }
  void arm() noexcept {
    armed_.store(1, mo::relaxed);  // own: [EF2] makes it seen
    asymmetric_fence_heavy();      // [EF2] pairs with [EF1]
  }

 private:
  atomic<std::uint32_t> armed_{0};
};

class event_fd {
 public:
  event_fd() noexcept;
  event_fd(const event_fd&) = delete;
  event_fd& operator=(const event_fd&) = delete;
  ~event_fd();

  // Why there is no descriptor; descriptor() is -1 then.
  [[nodiscard]] std::error_code error() const noexcept { return {error_, std::system_category()}; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  // ---- who has changed something

  [[nodiscard]] bool awaited() const noexcept { return armed_.awaited(); }
  void wake(std::uint32_t /*looks*/) noexcept {
    if (armed_.disarm()) make_readable();
  }
  void notify(std::uint32_t looks) noexcept {
    if (awaited()) wake(looks);
  }
  void notify_all() noexcept { notify(1); }

  // ---- the loop

  void arm() noexcept { armed_.arm(); }
  // After it was readable: no more until it is told again.
  void clear() noexcept;

 private:
  void make_readable() noexcept;

  armed_flag armed_;
  int descriptor_;
  int error_ = 0;
};

}  // namespace holdfast
