// SPDX-License-Identifier: MIT
// seq_latch: the newest value that one thread has written, read whole by any thread.
//
//   operation   caller        progress    cost                 allocates   when refused
//   read        any thread    lock-free   a copy of the value  never       -
//   write       one thread    wait-free   a copy of the value  never       -
//
// A reader takes the value again only when a whole write has ended meanwhile. A writer that sleeps in the middle of one
// costs it nothing, nor does one that has died there: the next to write may be another thread, if it knows that the first
// is gone. (Under a plain seqlock readers wait for a writer that sleeps.) Nobody reads an older value than it has read.
//
// When to use: small values, read far more often than written. For many writers: not offered.
//
// Memory: 8 bytes, and the value twice, rounded up to 8 bytes.
// Method: two slots under one sequence word; the word's last bit says which one is read, and the other one is written. The
// kernel's seqcount_latch, read as in Boehm, "Can seqlocks get along with programming language memory models", 2012.
// Proof: model/seq_latch_model.cpp, unit/seq_latch_test.cpp, stress/seq_latch_stress.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

template <class T>
class seq_latch {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(std::uint64_t) == 0);
  using words = std::array<std::uint64_t, sizeof(T) / sizeof(std::uint64_t)>;

 public:
  explicit seq_latch(const T& first) noexcept {
    store(slots_[0], std::bit_cast<words>(first));  // before it is shared
  }
  seq_latch(const seq_latch&) = delete;
  seq_latch& operator=(const seq_latch&) = delete;

  [[nodiscard]] T read() const noexcept {
    words copy;
    for (;;) {
      // [Q1] acquire, pairs with [Q4]: the words of that write
      const std::uint64_t before = sequence_.load(mo::acquire);
      const slot& from = slots_[before & 1U];
      for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = from[i].load(mo::relaxed);  // counter: judged below
      // [Q2] acquire, pairs with [Q3]: who has read a word of a later write sees that this slot's was over
      fence(mo::acquire);
      if (sequence_.load(mo::relaxed) == before) return std::bit_cast<T>(copy);  // own: ordered by [Q2]
      cpu_relax();
    }
  }

  void write(const T& value) noexcept {
    const std::uint64_t s = sequence_.load(mo::relaxed);  // own: the writer's alone
    // [Q3] release, pairs with [Q2]: who sees a word of this write sees the sequence of the last one
    fence(mo::release);
    store(slots_[(s + 1) & 1U], std::bit_cast<words>(value));
    sequence_.store(s + 1, mo::release);  // [Q4] release, pairs with [Q1]: publishes the words
  }

  // How often it was written, modulo 2^64.
  [[nodiscard]] std::uint64_t writes() const noexcept { return sequence_.load(mo::relaxed); }  // counter:

 private:
  friend struct seq_latch_start;  // tests/model: begins with a sequence that no run would reach

  using slot = std::array<atomic<std::uint64_t>, sizeof(T) / sizeof(std::uint64_t)>;
  static void store(slot& to, const words& from) noexcept {
    for (std::size_t i = 0; i < from.size(); ++i) to[i].store(from[i], mo::relaxed);  // counter: published by [Q4]
  }

  atomic<std::uint64_t> sequence_{0};  // written by the writer
  std::array<slot, 2> slots_{};
};

}  // namespace holdfast
