// SPDX-License-Identifier: MIT
// Stands in for include/holdfast/core/asymmetric_fence.hpp: a scenario says which of the two forms a machine has.
#pragma once

#include "holdfast/core/atomic.hpp"

namespace holdfast {
inline namespace model {

// Set in a scenario's constructor.
inline bool has_membarrier = true;

inline void asymmetric_fence_light(model_detail::place at = model_detail::place::here()) {
  if (!has_membarrier) fence(mo::seq_cst, at);
}
inline void asymmetric_fence_heavy(model_detail::place at = model_detail::place::here()) {
  if (!has_membarrier) {
    fence(mo::seq_cst, at);
  } else if (model_detail::engine::running()) {
    model_detail::engine::instance().interrupt_all(at);
  }
}

}  // namespace model
}  // namespace holdfast
