// SPDX-License-Identifier: MIT
// bulkhead_part: windows of threads that take and leave a bulkhead's places, while one of them, or each, moves the limit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/bulkhead.hpp"

#include "semaphore_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

enum class limit_setters : std::uint8_t { one, all };

template <class Room, unsigned Threads, limit_setters Setters = limit_setters::one>
class bulkhead_part {
 public:
  using spec = semaphore_spec;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    const auto limit = static_cast<std::uint32_t>(1 + random() % 3);
    room_.emplace(holdfast::bulkhead_options{.limit = limit});
    for (unsigned t = 0; t < Threads; ++t) {
      if (random() % 2 == 0) opening.note(acquire(callers_[t]));
    }
    return spec(limit);
  }

  void run(unsigned thread, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    caller& self = callers_[thread];
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t bits = random();
      if (bits % 6 == 0 && (thread == 0 || Setters == limit_setters::all)) {
        const auto limit = static_cast<std::uint32_t>(1 + (bits >> 8U) % 3);
        made.record(clock, [&] {
          room_->set_limit(limit);
          return spec::set_limit(limit);
        });
      } else if (self.count != 0 && (bits >> 16U) % 2 == 0) {
        made.record(clock, [&] {
          self.held[--self.count].release();
          return spec::leave();
        });
      } else {
        made.record(clock, [&] { return acquire(self); });
      }
    }
  }

  void close(recorder& closing) {
    closing.note(spec::state(room_->in_flight(), room_->limit()));
    for (caller& c : callers_) {
      while (c.count != 0) c.held[--c.count].release();
    }
  }

 private:
  struct alignas(2 * holdfast::cache_line_size) caller {
    std::array<typename Room::permit, 8> held;
    std::size_t count = 0;
  };

  operation acquire(caller& self) {
    self.held[self.count] = room_->try_acquire();
    const bool granted = static_cast<bool>(self.held[self.count]);
    if (granted) ++self.count;
    return spec::acquire(granted);
  }

  std::optional<Room> room_;
  std::array<caller, Threads> callers_;
};

}  // namespace holdfast_lin
