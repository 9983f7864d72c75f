// SPDX-License-Identifier: MIT
// shared_layout: by what name and version a type's bytes go where processes share them; not by itself: see ipc/shared_segment.hpp.
//
// A type that may lie in memory that several programs map says so in one line,
//
//   static constexpr shared_layout shared{"orders.door", 1};
//
// and promises by it what no compiler can check: no pointer, no reference and no handle of one process in it, and no change of
// what its bytes mean without another version. What a compiler can check, shareable<T> does: that the layout is a standard one,
// that there is nothing to destroy, and that it is not aligned beyond a page.
//
// Guarantee: pure and constexpr; allocates nothing. layout_hash of what differs in a name, a version, a size, an alignment or in
// the order is another one, but for one case in 2^64; it is not kept from anybody who wants two to be alike.
//
// Proof: unit/shared_segment_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/siphash.hpp"

namespace holdfast {

struct shared_layout {
  std::string_view name;  // at most 39 bytes: longer ones are cut where they are shown
  std::uint32_t version = 1;
};

template <class T>
concept shareable = std::is_standard_layout_v<T> &&
                    (std::is_trivially_destructible_v<T> || !atomics_end_by_themselves) &&
                    alignof(T) <= 4096 && std::is_same_v<std::remove_cv_t<decltype(T::shared)>, shared_layout>;

// A type in a list of what lies behind one another.
struct shared_object {
  std::string_view name;
  std::uint32_t version = 0;
  std::uint32_t alignment = 1;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // from the beginning of the memory
};

template <shareable T>
constexpr shared_object shared_object_of() noexcept {
  return {T::shared.name, T::shared.version, alignof(T), sizeof(T), 0};
}

constexpr std::uint64_t layout_hash(std::span<const shared_object> objects) noexcept {
  std::uint64_t hash = objects.size();
  for (const shared_object& o : objects) {
    hash = siphash13({hash, o.version}, o.name);
    hash = siphash13({hash, o.alignment}, o.bytes);
    hash = siphash13({hash, 0}, o.offset);
  }
  return hash;
}

}  // namespace holdfast
