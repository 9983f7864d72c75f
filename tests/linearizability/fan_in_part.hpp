// SPDX-License-Identifier: MIT
// fan_in_part: windows of a fan_in, a producer in each lane and one consumer. The first producer may leave and join again in
// the middle of a window: it gets its lane back, since all others are taken and nobody else leaves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "holdfast/core/random.hpp"

#include "lanes_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

template <class FanIn>
class fan_in_part {
  static constexpr unsigned lanes = FanIn::lane_count();

 public:
  using spec = lanes_spec<lanes, FanIn::lane_capacity(), FanIn::max_size() / lanes>;
  static constexpr unsigned threads = lanes + 1;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    for (auto& one : producers_) one.reset();
    queue_.emplace();
    for (unsigned lane = 0; lane < lanes; ++lane) {
      join(lane);
      const std::uint64_t before = random() % (FanIn::lane_capacity() + 2);
      for (std::uint64_t i = 0; i < before; ++i) opening.note(push_one(lane));
    }
    return spec();
  }

  void run(unsigned thread, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t bits = random();
      if (thread == lanes) {
        made.record(clock, [&] { return pop_one(); });
        continue;
      }
      if (thread == 0 && bits % 8 == 0) {
        producers_[thread].reset();
        join(thread);
      }
      made.record(clock, [&] { return push_one(thread); });
    }
  }

  void close(recorder& closing) {
    drain(closing, [this] { return pop_one(); });
  }

 private:
  // The lowest free lane is given out first, so it is this thread's own: in the beginning, and where no other one is free.
  void join(unsigned thread) {
    auto got = queue_->join();
    if (!got) std::abort();
    producers_[thread].emplace(std::move(*got));
  }
  operation push_one(unsigned lane) {
    const std::int64_t item = lane + lanes * static_cast<std::int64_t>(next_[lane].value++);
    return spec::push(item, producers_[lane]->try_push(item));
  }
  operation pop_one() {
    std::int64_t item = 0;
    const bool got = queue_->try_pop(item);
    return spec::pop(got, item);
  }

  std::optional<FanIn> queue_;
  std::array<std::optional<typename FanIn::producer>, lanes> producers_;
  struct alignas(64) counter {
    std::uint64_t value = 1;
  };
  std::array<counter, lanes> next_;  // each producer's own
};

}  // namespace holdfast_lin
