// SPDX-License-Identifier: MIT
// mpmc_part: windows of a queue between many threads, down to one slot. Its threads push, pop and, now and then,
// close; the stamps between their calls are fences, so full and empty are held to the exact queue, and busy to there being
// another operation at the same time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/queue_result.hpp"

#include "queue_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

template <class Queue, unsigned Threads, refusals Refusals = refusals::exact>
class mpmc_part {
 public:
  using spec = queue_spec<Queue::capacity(), Queue::capacity(), Refusals>;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    // Every fourth stands just before its positions wrap.
    queue_.emplace(random() % 4 == 0 ? (~std::uint64_t{0} >> 1U) - random() % 4 : random() % 64);
    const std::uint64_t before = random() % std::min<std::uint64_t>(Queue::capacity() + 2, 4);
    for (std::uint64_t i = 0; i < before; ++i) opening.note(push_one(Threads));
    return spec();
  }

  void run(unsigned thread, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t bits = random();
      if (may_push(thread) && (bits & 1U) == 0) {
        if (!closable || (bits >> 8U & 15U) != 0) {
          made.record(clock, [&] { return push_one(thread); });
        } else if constexpr (closable) {
          made.record(clock, [&] {
            queue_->close();
            return spec::close();
          });
        }
      } else if (may_pop(thread)) {
        made.record(clock, [&] { return pop_one(); });
      }
    }
  }

  void close(recorder& closing) {
    drain(closing, [this] { return pop_one(); });
  }

 private:
  static constexpr bool closable = requires(Queue & queue) { queue.close(); };
  // With one thread on a side it is the first one that pushes, and the last one that pops.
  static bool may_push(unsigned thread) { return Queue::producers == holdfast::callers::many || thread == 0; }
  static bool may_pop(unsigned thread) { return Queue::consumers == holdfast::callers::many || thread == Threads - 1; }

  static queue_said said(holdfast::queue_result answer) {
    switch (answer.status()) {
      case holdfast::queue_op_status::success: return queue_said::done;
      case holdfast::queue_op_status::busy: return queue_said::busy;
      case holdfast::queue_op_status::closed: return queue_said::closed;
      default: return queue_said::refused;
    }
  }
  operation push_one(unsigned thread) {
    const std::int64_t item = 1 + thread + (Threads + 1) * static_cast<std::int64_t>(next_[thread]++);
    return spec::push(item, said(queue_->try_push(item)));
  }
  operation pop_one() {
    std::int64_t item = 0;
    const queue_said answer = said(queue_->try_pop(item));
    return spec::pop(answer, item);
  }

  std::optional<Queue> queue_;
  struct alignas(64) counter {
    std::uint64_t value = 0;
    std::uint64_t operator++(int) { return value++; }
  };
  counter next_[Threads + 1];  // each thread's own
};

}  // namespace holdfast_lin
