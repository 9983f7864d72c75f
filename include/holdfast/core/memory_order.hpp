// SPDX-License-Identifier: MIT
// memory_order: the orders of atomic operations as types, and the distance that keeps two writers off one line.
//
// Why tags and not std::memory_order: an order that an operation must not have (a release load, an acquire store) does
// not compile, no order is ever implied, and the order stays a compile-time constant at -O0 too, where gcc turns a
// run-time order into seq_cst.
//
// Included by core/atomic.hpp, and by whatever stands in for it: use that one.
#pragma once

#include <atomic>
#include <cstddef>

namespace holdfast {

// 64 is the line of x86-64 and of most arm64 servers; where a machine fetches lines in pairs, a part that cares pads to
// two lines itself, after its benchmark says so.
inline constexpr std::size_t cache_line_size = 64;

// `mo::acquire` at a call site.
namespace mo {
template <std::memory_order Order>
struct tag {
  static constexpr std::memory_order value = Order;
};
inline constexpr tag<std::memory_order_relaxed> relaxed{};
inline constexpr tag<std::memory_order_acquire> acquire{};
inline constexpr tag<std::memory_order_release> release{};
inline constexpr tag<std::memory_order_acq_rel> acq_rel{};
inline constexpr tag<std::memory_order_seq_cst> seq_cst{};

template <std::memory_order Order>
concept for_load =
    Order == std::memory_order_relaxed || Order == std::memory_order_acquire || Order == std::memory_order_seq_cst;
template <std::memory_order Order>
concept for_store =
    Order == std::memory_order_relaxed || Order == std::memory_order_release || Order == std::memory_order_seq_cst;
}  // namespace mo

}  // namespace holdfast
