// SPDX-License-Identifier: MIT
// cache_part: windows of threads that put, get and erase one key, with clocks that differ a little.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/cache.hpp"

#include "cache_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

// Shows when half of it comes from another put.
struct cached_pair {
  std::int64_t value = 0;
  std::int64_t again = 0;
};

template <class Cache, unsigned Threads>
class cache_part {
 public:
  using spec = cache_spec;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    cache_.emplace(holdfast::cache_options{.capacity = 1});  // one set: other keys are neighbours of ours
    next_value_ = 1;
    // Neighbours and a few renewals, so that the value does not always begin in the same slot.
    for (std::uint64_t other = random() % 4; other != 0; --other) {
      const std::int64_t unseen = -static_cast<std::int64_t>(other);
      if (cache_->put(key + other, cached_pair{unseen, unseen}, at(first_ns)) != holdfast::cache_put::stored)
        std::abort();
    }
    for (std::uint64_t left = random() % 4; left != 0; --left) opening.note(put(first_ns));
    return spec();
  }

  void run(unsigned thread, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    std::int64_t now = first_ns;
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t bits = random();
      now = std::max(first_ns, now + static_cast<std::int64_t>(bits % 8) - 2);
      const std::uint64_t what = (bits >> 16U) % 8;
      const std::int64_t value = 100 * static_cast<std::int64_t>(thread + 1) + i;
      if (what == 0) {
        made.record(clock, [&] { return spec::erase(cache_->erase(key)); });
      } else if (what < 4) {
        made.record(clock, [&] { return put_value(value, now); });
      } else {
        made.record(clock, [&] { return get(now); });
      }
    }
  }

  void close(recorder& closing) { closing.note(get(first_ns + 100)); }

 private:
  static constexpr std::uint64_t key = 42;
  static constexpr std::int64_t first_ns = 1'000'000;

  static holdfast::time_point at(std::int64_t ns) { return holdfast::time_point(holdfast::duration(ns)); }
  operation put(std::int64_t now) { return put_value(next_value_++, now); }
  operation put_value(std::int64_t value, std::int64_t now) {
    const holdfast::cache_put answer = cache_->put(key, cached_pair{value, value}, at(now));
    return spec::put(value, now,
                     answer == holdfast::cache_put::stored ? put_answer::stored
                     : answer == holdfast::cache_put::busy ? put_answer::busy
                                                           : put_answer::older);
  }
  operation get(std::int64_t now) {
    const auto found = cache_->get(key, at(now));
    if (found.state == holdfast::cache_state::miss) return spec::miss(now);
    // A torn pair is a value that nobody put.
    const std::int64_t value = found.value.value == found.value.again ? found.value.value : -1;
    return spec::found(now, value, found.age.count());
  }

  std::optional<Cache> cache_;
  std::int64_t next_value_ = 1;
};

}  // namespace holdfast_lin
