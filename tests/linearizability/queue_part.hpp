// SPDX-License-Identifier: MIT
// queue_part: windows of one producer and one consumer of an spsc_queue, by single items, by batches, or in their slots.
//
// A batch is what the header says it is, "as many as fit, from the front": the chain of its single pushes, and after them
// one that is refused if it took less than all. consume_all first sees how many there are, and then pops them. Between
// the links of a chain there is no fence, so a batch is held to what a queue of acquires and releases can promise
// (refusals::as_known); between single calls the stamps are fences, so they are held to the exact queue. A reserve with its
// commit, and a peek with its release, are such chains as well, but a run may also be short where the slots end; only an empty
// one is a refusal.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "queue_spec.hpp"
#include "support/sized_queue.hpp"
#include "windows.hpp"

namespace holdfast_lin {

enum class queue_calls : std::uint8_t { single, batch, in_place };

template <class Queue, std::size_t Capacity, std::size_t Max, queue_calls Calls>
class queue_part {
 public:
  using spec = queue_spec<Capacity, Max, Calls == queue_calls::single ? refusals::exact : refusals::as_known>;
  static constexpr unsigned threads = 2;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    // Every fourth stands just before its positions wrap.
    queue_.emplace(random() % 4 == 0 ? ~std::uint64_t{0} - random() % 4 : random() % 64);
    next_ = 1;
    const std::uint64_t before = random() % (Max + 2);
    for (std::uint64_t i = 0; i < before; ++i) opening.note(push_one());
    const std::uint64_t after = before == 0 ? 0 : random() % std::min<std::uint64_t>(before + 1, 4);
    for (std::uint64_t i = 0; i < after; ++i) opening.note(pop_one());
    return spec();
  }

  void run(unsigned thread, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    if constexpr (Calls == queue_calls::single) {
      for (int i = 0; i < 5; ++i) {
        made.record(clock, [&] { return thread == 0 ? push_one() : pop_one(); });
      }
    } else {
      for (int i = 0; i < 3; ++i) {
        const std::uint64_t bits = random();
        const std::size_t count = 1 + bits % 3;
        if constexpr (Calls == queue_calls::in_place) {
          thread == 0 ? write(made, clock, count) : read(made, clock, count);
        } else if (thread == 0) {
          push_many(made, clock, count);
        } else if (bits >> 8U & 1U) {
          pop_many(made, clock, count);
        } else {
          consume(made, clock);
        }
      }
    }
  }

  void close(recorder& closing) {
    drain(closing, [this] { return pop_one(); });
  }

 private:
  operation push_one() {
    const std::int64_t item = next_++;
    return spec::push(item, queue_->try_push(item));
  }
  operation pop_one() {
    std::int64_t item = 0;
    return queue_->try_pop(item) ? spec::pop(true, item) : spec::pop(false);
  }
  void push_many(recorder& made, const stamp_clock& clock, std::size_t count) {
    std::array<std::int64_t, 3> items{};
    for (std::size_t i = 0; i < count; ++i) items[i] = next_++;
    std::size_t taken = 0;
    made.record(clock, [&] {
      taken = queue_->try_push(std::span<std::int64_t>(items).first(count));
      return spec::push(items[0], taken > 0);
    });
    for (std::size_t i = 1; i < count && i <= taken; ++i) made.chain(spec::push(items[i], taken > i));
  }
  void write(recorder& made, const stamp_clock& clock, std::size_t count) {
    const std::int64_t first = next_;
    std::size_t taken = 0;
    made.record(clock, [&] {
      const std::span<std::int64_t> run = queue_->reserve(count);
      taken = run.size();
      for (std::int64_t& item : run) item = next_++;
      queue_->commit(taken);
      return spec::push(first, taken > 0);
    });
    if (taken == 0) ++next_;
    for (std::size_t i = 1; i < taken; ++i) made.chain(spec::push(first + static_cast<std::int64_t>(i), true));
  }
  void read(recorder& made, const stamp_clock& clock, std::size_t count) {
    std::array<std::int64_t, 3> items{};
    std::size_t taken = 0;
    made.record(clock, [&] {
      const std::span<std::int64_t> run = queue_->peek(count);
      taken = run.size();
      std::copy(run.begin(), run.end(), items.begin());
      queue_->release(taken);
      return spec::pop(taken > 0, items[0]);
    });
    for (std::size_t i = 1; i < taken; ++i) made.chain(spec::pop(true, items[i]));
  }
  void pop_many(recorder& made, const stamp_clock& clock, std::size_t count) {
    std::array<std::int64_t, 3> items{};
    std::size_t taken = 0;
    made.record(clock, [&] {
      taken = queue_->try_pop(std::span<std::int64_t>(items).first(count));
      return spec::pop(taken > 0, items[0]);
    });
    for (std::size_t i = 1; i < count && i <= taken; ++i) made.chain(spec::pop(taken > i, items[i]));
  }
  void consume(recorder& made, const stamp_clock& clock) {
    std::array<std::int64_t, Max> items{};
    std::size_t seen = 0;
    std::size_t count = 0;
    made.record(clock, [&] {
      count = queue_->consume_all([&](std::int64_t&& item) { items[std::min(seen++, Max - 1)] = item; });
      return spec::holds(static_cast<std::int64_t>(count));
    });
    for (std::size_t i = 0; i < std::min(seen, Max); ++i) made.chain(spec::pop(true, items[i]));
    if (seen != count) made.chain(spec::holds(-1));  // it told another number than it handed over
  }

  std::optional<Queue> queue_;
  std::int64_t next_ = 1;  // the producer's
};

template <std::size_t Capacity, queue_calls Calls>
using sized_part = queue_part<test_support::sized_queue<std::int64_t, Capacity>, Capacity,
                              holdfast::spsc_queue<std::int64_t, Capacity>::max_size(), Calls>;
template <std::size_t Capacity, queue_calls Calls>
using spsc_part = queue_part<holdfast::spsc_queue<std::int64_t, Capacity>, Capacity,
                             holdfast::spsc_queue<std::int64_t, Capacity>::max_size(), Calls>;

}  // namespace holdfast_lin
