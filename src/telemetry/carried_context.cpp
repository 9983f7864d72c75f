// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/carried_context.hpp"

namespace holdfast {

void carried_context::resume() noexcept {
  auto& slot = context_detail::current_slot();
  HOLDFAST_ASSERT(outer_.thread == 0);  // it runs already
  outer_ = slot;
  slot.back_to(inner_);
}

void carried_context::suspend() noexcept {
  auto& slot = context_detail::current_slot();
  HOLDFAST_ASSERT(outer_.thread == slot.thread);  // it runs, and here
  inner_ = slot;
  slot.back_to(outer_);
  outer_.thread = 0;
}

}  // namespace holdfast
