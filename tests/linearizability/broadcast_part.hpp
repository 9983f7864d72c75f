// SPDX-License-Identifier: MIT
// broadcast_part: windows of a broadcast ring's writer and one reader or two.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/broadcast_ring.hpp"

#include "broadcast_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

// Two words that can be mixed up.
struct broadcast_pair {
  std::int64_t value = 0;
  std::int64_t again = 0;
};

template <class Ring, std::size_t Capacity, unsigned Threads>
class broadcast_part {
 public:
  using spec = broadcast_spec<Capacity, Threads - 1>;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    // Every fourth stands just before its numbers, or its stamps, wrap.
    const std::uint64_t from = random();
    const std::uint64_t near = from % 8;
    ring_.emplace(from % 4 != 0 ? near : (from % 8 < 4 ? std::uint64_t{0} : std::uint64_t{1} << 63U) - 1 - near);
    for (auto& r : readers_) r.emplace(*ring_);
    next_ = 1;
    for (std::uint64_t n = random() % (Capacity + 3); n > 0; --n) opening.note(write());
    for (std::size_t who = 0; who < readers_.size(); ++who) {
      for (std::uint64_t n = random() % 3; n > 0; --n) opening.note(read(who));
    }
    return spec();
  }

  void run(unsigned thread, holdfast::splitmix64&, recorder& made, const stamp_clock& clock) {
    for (int i = 0; i < 5; ++i) made.record(clock, [&] { return thread == 0 ? write() : read(thread - 1); });
  }

  void close(recorder& closing) {
    for (std::size_t who = 0; who < readers_.size(); ++who) {
      for (std::size_t i = 0; i < Capacity + 2; ++i) closing.note(read(who));
    }
  }

 private:
  operation write() {
    ring_->write({next_, next_});
    return spec::write(next_++);
  }
  operation read(std::size_t who) {
    broadcast_pair out;
    const holdfast::broadcast_read got = readers_[who]->try_read(out);
    return spec::read(who, got.state, out.value == out.again ? out.value : -1, got.missed);
  }

  std::optional<Ring> ring_;
  std::array<std::optional<typename Ring::reader>, Threads - 1> readers_;
  std::int64_t next_ = 1;  // the writer's
};

}  // namespace holdfast_lin
