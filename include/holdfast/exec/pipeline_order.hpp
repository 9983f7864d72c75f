// SPDX-License-Identifier: MIT
// pipeline_order: which orders of a pipeline's layers do what they say, and what is wrong with the others.
//
// exec/pipeline.hpp has the rules in words. Where with::rate stands decides what it charges: behind with::retry, with::hedge or
// with::breaker it is each attempt, else the call.
//
// Proof: unit/pipeline_test.cpp, contract/pipeline_orders.py.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "holdfast/exec/call_machine.hpp"

namespace holdfast {

enum class layer_kind : std::uint8_t {
  fallback,
  deadline,
  rate,
  bulkhead,
  retry,
  hedge,
  breaker,
  call_breaker,
  attempt_timeout
};

// Layers behind this one are asked for each attempt.
constexpr bool goes_inside(layer_kind kind) noexcept {
  return kind == layer_kind::retry || kind == layer_kind::hedge || kind == layer_kind::breaker ||
         kind == layer_kind::call_breaker;
}

enum class pipeline_fault : std::uint8_t {
  none,
  layer_twice,
  fallback_inside,
  deadline_inside,
  rate_behind_bulkhead,
  rate_behind_call_breaker,
  rate_before_breaker,
  rate_before_bulkhead,
  breaker_before_retry,
  call_breaker_behind_retry,
  bulkhead_behind_breaker,
  attempt_timeout_before_others,
  hedge_beside_retry,
  bulkhead_before_hedge,
  breaker_before_hedge,
  call_breaker_with_hedge,
};

// What is wrong with layers in this order.
template <std::size_t N>
constexpr pipeline_fault order_fault(const std::array<layer_kind, N>& layers) noexcept {
  constexpr std::size_t nowhere = N;
  const auto place = [&](layer_kind wanted, std::size_t from = 0) {
    while (from < N && layers[from] != wanted) ++from;
    return from;
  };
  const std::size_t retry = place(layer_kind::retry);
  const std::size_t hedge = place(layer_kind::hedge);
  const std::size_t repeats = std::min(retry, hedge);
  const std::size_t breaker = std::min(place(layer_kind::breaker), place(layer_kind::call_breaker));
  const std::size_t bulkhead = place(layer_kind::bulkhead);
  if (hedge != nowhere) {
    if (retry != nowhere) return pipeline_fault::hedge_beside_retry;
    if (place(layer_kind::call_breaker) != nowhere) return pipeline_fault::call_breaker_with_hedge;
    if (breaker < hedge) return pipeline_fault::breaker_before_hedge;
    if (bulkhead < hedge) return pipeline_fault::bulkhead_before_hedge;
  }
  bool charged_inside = false;
  bool charged_outside = false;
  for (std::size_t i = 0; i < N; ++i) {
    const layer_kind kind = layers[i];
    if (kind == layer_kind::rate) {
      const bool inside = i > repeats || i > breaker;
      if (inside ? std::exchange(charged_inside, true) : std::exchange(charged_outside, true))
        return pipeline_fault::layer_twice;
      if (i > breaker && retry != nowhere && i < retry) return pipeline_fault::rate_behind_call_breaker;
      if (inside && breaker != nowhere && i < breaker) return pipeline_fault::rate_before_breaker;
      if (inside && bulkhead != nowhere && i < bulkhead) return pipeline_fault::rate_before_bulkhead;
      if (!inside && bulkhead < i) return pipeline_fault::rate_behind_bulkhead;
    } else if (place(kind, i + 1) != nowhere) {
      return pipeline_fault::layer_twice;
    }
  }
  const std::size_t fallback = place(layer_kind::fallback);
  const std::size_t deadline = place(layer_kind::deadline);
  if (place(layer_kind::breaker) != nowhere && place(layer_kind::call_breaker) != nowhere)
    return pipeline_fault::layer_twice;
  if (fallback != nowhere && fallback != 0) return pipeline_fault::fallback_inside;
  if (deadline != nowhere && deadline != (fallback == 0 && N > 0 ? 1U : 0U)) return pipeline_fault::deadline_inside;
  if (retry != nowhere && place(layer_kind::breaker) < retry) return pipeline_fault::breaker_before_retry;
  if (retry != nowhere && place(layer_kind::call_breaker) != nowhere && place(layer_kind::call_breaker) > retry)
    return pipeline_fault::call_breaker_behind_retry;
  if (bulkhead != nowhere && breaker < bulkhead) return pipeline_fault::bulkhead_behind_breaker;
  const std::size_t timeout = place(layer_kind::attempt_timeout);
  if (timeout != nowhere && timeout + 1 != N) return pipeline_fault::attempt_timeout_before_others;
  return pipeline_fault::none;
}

template <std::size_t N>
constexpr bool order_has(const std::array<layer_kind, N>& layers, layer_kind wanted) noexcept {
  return std::find(layers.begin(), layers.end(), wanted) != layers.end();
}

// Which policies a pipeline of these layers has.
template <std::size_t N>
constexpr call_shape shape_of(const std::array<layer_kind, N>& layers, bool budgeted, bool adaptive) noexcept {
  constexpr auto known = [](bool there) { return there ? presence::present : presence::absent; };
  const auto has = [&](layer_kind wanted) { return order_has(layers, wanted); };
  bool call_rate = false;
  bool attempt_rate = false;
  bool inside = false;
  for (const layer_kind kind : layers) {
    if (kind == layer_kind::rate) (inside ? attempt_rate : call_rate) = true;
    inside = inside || goes_inside(kind);
  }
  return {.rate = known(call_rate),
          .room = known(has(layer_kind::bulkhead)),
          .breaker = known(has(layer_kind::breaker) || has(layer_kind::call_breaker)),
          .attempt_rate = known(attempt_rate),
          .budget = known(budgeted),
          .limit = known(adaptive)};
}

}  // namespace holdfast
