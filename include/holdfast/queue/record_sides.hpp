// SPDX-License-Identifier: MIT
// record_sides: the two ends of a ring of records, which record_ring and shared_record_ring are made of.
//
//   operation         caller   progress    cost   allocates   when refused
//   granted, claim    writer   wait-free   O(1)   never       (claim: asserted)
//   commit            writer   wait-free   O(1)   never       (asserted)
//   grant             writer   wait-free   O(1)   never       false: no room
//   word, turn        reader   wait-free   O(1)   never
//   record_at, pop    reader   wait-free   O(1)   never       (asserted)
//
// When to use it: not by itself. Each side is what one thread knows: where the bytes are, its own position, and, for the
// writer, how much it may use before it asks again. How far the reader has released its bytes is told by whoever holds the
// sides, because that is what differs: an offset inside one process, an offset with its lap between two.
//
// Method: the commit word stands in the record's own header and is the publication; the word of the *next* header is
// set to zero before it, so a reader never meets a word of an earlier lap (as in fmtlog; here by atomic_ref, so that
// ThreadSanitizer can see it). So the words from the last release on are a chain that ends in a zero: it alone says what
// was committed, and whoever walks it knows the writer's position. One compare answers both "is there space" and "must it
// wrap". The writer fetches lines for writing eight ahead.
//
// Proof: that of record_ring and shared_record_ring, unit/record_ring_test.cpp first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/prefetch.hpp"

namespace holdfast {

// What both sides agree on: where records may stand, and what their words say.
struct record_layout {
  static constexpr std::size_t header_bytes = 8;
  static constexpr std::size_t min_storage = 256;
  static constexpr std::size_t max_storage = std::size_t{1} << 30U;
  static constexpr std::uint32_t wrap_mark = 0xFFFFFFFFU;  // the next record stands at the front

  static constexpr std::size_t step_of(std::size_t bytes) noexcept {
    return (bytes + header_bytes + 7) & ~std::size_t{7};
  }
  // A whole number of steps, so that what is granted for the largest record is never enough for a larger one.
  static constexpr std::size_t max_record(std::size_t capacity) noexcept {
    return step_of(capacity / 2) - 3 * header_bytes;
  }
  // Contiguous bytes from `position` to where the reader's bytes or the storage end. Equal positions mean empty.
  static constexpr std::uint32_t room(std::uint32_t position, std::uint32_t released, std::uint32_t capacity) noexcept {
    return (released > position ? released : capacity) - position;
  }
  static atomic_ref<std::uint32_t> word(std::byte* at) noexcept {
    return atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(at));
  }
};

struct record_view {
  const std::byte* data = nullptr;
  std::uint32_t bytes = 0;
  std::uint32_t tag = 0;
};

// Written by the writer, read by nobody else.
class record_writer_side : record_layout {
 public:
  // The word at `position` is zero.
  record_writer_side(std::byte* base, std::uint32_t capacity, std::uint32_t position) noexcept
      : base_(base), capacity_(capacity), position_(position) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  // Of the next header.
  [[nodiscard]] std::uint32_t position() const noexcept { return position_; }

  [[nodiscard, gnu::always_inline]] bool granted(std::size_t bytes) const noexcept {
    return bytes <= max_storage && step_of(bytes) + header_bytes <= granted_;
  }
  // What is granted. An earlier claim that was not committed is forgotten.
  [[nodiscard, gnu::always_inline]] std::byte* claim(std::size_t bytes) noexcept {
    HOLDFAST_ASSERT(granted(bytes));
    claimed_ = static_cast<std::uint32_t>(bytes);
    return base_ + position_ + header_bytes;
  }

  // Publishes the first `used` bytes of the open claim, with a word of the caller's beside them.
  [[gnu::always_inline]] void commit(std::size_t used, std::uint32_t tag) noexcept {
    HOLDFAST_ASSERT(used <= claimed_);
    HOLDFAST_ASSERT(granted(used));
    std::byte* const header = base_ + position_;
    const auto step = static_cast<std::uint32_t>(step_of(used));
    word(header + step).store(0, mo::relaxed);  // own: the reader gets there only after [R1]
    std::memcpy(header + 4, &tag, sizeof tag);
    word(header).store(static_cast<std::uint32_t>(used + header_bytes),
                       mo::release);  // [R1] release, pairs with [R2]: publishes the record and the next header's zero
    position_ += step;
    granted_ -= step;
    claimed_ = 0;
    fetch_ahead(step);
  }

  // Makes room for a record of up to max_record() bytes, given where the reader stood; goes to the front if it must.
  [[nodiscard, gnu::always_inline]] bool grant(std::size_t bytes, std::uint32_t released) noexcept {
    const auto needed = static_cast<std::uint32_t>(step_of(bytes) + header_bytes);
    std::uint32_t free = room(position_, released, capacity_);
    if (free < needed) {
      // Does not fit before the end: go to the front, if the reader has left it. Equal positions mean empty, so the
      // next header may never reach `released`.
      if (released > position_ || released < needed) return false;
      word(base_).store(0, mo::relaxed);  // own: published by [R5]
      word(base_ + position_)
          .store(wrap_mark, mo::release);  // [R5] release, pairs with [R2]: the front's header is zero
      position_ = 0;
      free = released;
    }
    granted_ = std::min(free, std::max(needed, capacity_ / 4));
    return true;
  }

  // Bytes from where the reader stood to here, headers included.
  [[nodiscard]] std::size_t backlog(std::uint32_t released) const noexcept {
    return position_ >= released ? position_ - released : capacity_ - (released - position_);
  }

 private:
  static constexpr std::size_t lines_ahead = 8;

  [[gnu::always_inline]] void fetch_ahead(std::uint32_t step) const noexcept {
    for (std::uint32_t behind = 0; behind < step; behind += cache_line_size) {
      std::size_t ahead = position_ - behind + lines_ahead * cache_line_size;
      if (ahead >= capacity_) ahead = ahead - capacity_ < capacity_ ? ahead - capacity_ : 0;
      prefetch_for_write(base_ + ahead);
    }
  }

  std::byte* base_;
  std::uint32_t capacity_;
  std::uint32_t position_;     // of the next header, whose word is zero
  std::uint32_t granted_ = 0;  // bytes from position_ that are known to be free and contiguous
  std::uint32_t claimed_ = 0;
};

// Written by the reader, read by nobody else.
class record_reader_side : record_layout {
 public:
  record_reader_side(std::byte* base, std::uint32_t capacity, std::uint32_t position) noexcept
      : base_(base), capacity_(capacity), position_(position) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::uint32_t position() const noexcept { return position_; }

  // What the next header says: 0: nothing yet; wrap_mark: turn(); else what record_at() and pop() understand.
  [[nodiscard, gnu::always_inline]] std::uint32_t word() const noexcept {
    return record_layout::word(base_ + position_).load(mo::acquire);  // [R2] acquire, pairs with [R1], [R5]: the record
  }
  // Goes to the front, and says what stands there.
  [[nodiscard, gnu::always_inline]] std::uint32_t turn() noexcept {
    position_ = 0;
    return record_layout::word(base_).load(mo::acquire);  // [R3] acquire, pairs with [R1]: the record after the wrap
  }
  [[gnu::always_inline]] void record_at(std::uint32_t commit, record_view& out) const noexcept {
    const std::byte* const header = base_ + position_;
    out.data = header + header_bytes;
    out.bytes = commit - static_cast<std::uint32_t>(header_bytes);
    std::memcpy(&out.tag, header + 4, sizeof out.tag);
  }
  [[gnu::always_inline]] void pop(const record_view& done) noexcept {
    HOLDFAST_ASSERT(done.data == base_ + position_ + header_bytes);
    position_ += static_cast<std::uint32_t>(step_of(done.bytes));
  }

 private:
  std::byte* base_;
  std::uint32_t capacity_;
  std::uint32_t position_;
};

}  // namespace holdfast
