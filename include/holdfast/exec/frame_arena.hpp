// SPDX-License-Identifier: MIT
// frame_arena: room for the frames of coroutines, inside whatever awaits them.
//
//   operation   caller      progress    cost   allocates                     note
//   take        its owner   wait-free   O(1)   what does not fit, counted    called by a coroutine that is handed the arena
//   give_back   its owner   wait-free   O(1)   never                         the newest first; others when all are back
//
// In short: one owner | wait-free | what does not fit, counted | never
//
//   frame_arena<> room;
//   const auto got = co_await co_call(room, orders, context, loop, fetch);  // its frame lies in this coroutine's
//
// A coroutine whose task has an arena_frame takes the arena as its first parameter (a member function, as its first after
// the object). Tasks that await one another give back in the opposite order, as coroutines do by themselves. What
// does not fit is allocated, so that a frame that grew by a compiler's mood costs time and not the call; spilled() says how often
// that was, and a test can hold it at zero.
//
// Frames are aligned as operator new aligns; one of more is not for it. Memory: Bytes, and five words; 16 bytes a frame.
// Proof: unit/frame_arena_test.cpp, alloc/co_call_alloc_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "holdfast/core/assert.hpp"

namespace holdfast {

class arena {
 public:
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  // How many frames did not fit.
  [[nodiscard]] std::uint64_t spilled() const noexcept { return spilled_; }
  [[nodiscard]] std::size_t in_use() const noexcept { return used_; }

  // Nothing when it does not fit.
  void* take(std::size_t bytes) noexcept {
    bytes = rounded(bytes);
    if (bytes > size_ - used_) {
      ++spilled_;
      return nullptr;
    }
    void* const place = room_ + used_;
    used_ += bytes;
    ++frames_;
    return place;
  }
  void give_back(void* place, std::size_t bytes) noexcept {
    HOLDFAST_ASSERT(frames_ != 0);
    if (--frames_ == 0) {
      used_ = 0;
    } else if (static_cast<std::byte*>(place) + rounded(bytes) == room_ + used_) {
      used_ -= rounded(bytes);
    }
  }

 protected:
  arena(std::byte* room, std::size_t size) noexcept : room_(room), size_(size) {}
  ~arena() { HOLDFAST_ASSERT(frames_ == 0); }

 private:
  static constexpr std::size_t rounded(std::size_t bytes) noexcept {
    constexpr std::size_t unit = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
    return (bytes + unit - 1) / unit * unit;
  }

  std::byte* const room_;
  const std::size_t size_;
  std::size_t used_ = 0;
  std::size_t frames_ = 0;
  std::uint64_t spilled_ = 0;
};

template <std::size_t Bytes = 2048>
class frame_arena : public arena {
 public:
  frame_arena() noexcept : arena(bytes_, Bytes) {}

 private:
  alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) std::byte bytes_[Bytes];
};

// The base of a promise whose frame lies in an arena.
struct arena_frame {
  // Inlined always: g++ 12 takes a template's operator new for one that does not belong to the operator delete below
  // (-Wmismatched-new-delete), wherever it sees the call.
  template <class... Others>
  [[gnu::always_inline]] static void* operator new(std::size_t bytes, arena& where, Others&... /*parameters*/) {
    return placed(bytes, where);
  }
  template <class Object, class... Others>
  [[gnu::always_inline]] static void* operator new(std::size_t bytes, Object& /*self*/, arena& where,
                                                   Others&... /*parameters*/) {
    return placed(bytes, where);
  }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    auto* const place = static_cast<std::byte*>(frame) - before;
    arena* const from = *reinterpret_cast<arena**>(place);
    if (from != nullptr) {
      from->give_back(place, bytes + before);
    } else {
      ::operator delete(place);
    }
  }

 private:
  // In front of each frame stands where it came from.
  static constexpr std::size_t before = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  static_assert(before >= sizeof(arena*));

  // Never inlined: g++ would see that what is deleted lies in the arena, an object on somebody's stack perhaps, and call that a
  // mistake (-Wfree-nonheap-object).
  [[gnu::noinline]] static void* placed(std::size_t bytes, arena& where) {
    void* place = where.take(bytes + before);
    arena* const from = place == nullptr ? nullptr : &where;
    if (place == nullptr) place = ::operator new(bytes + before);
    ::new (place) arena*(from);
    return static_cast<std::byte*>(place) + before;
  }
};

}  // namespace holdfast
