// SPDX-License-Identifier: MIT
#include "holdfast/exec/timer_service.hpp"

#include <sys/prctl.h>

namespace holdfast {

void sleep_exactly() noexcept {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // where that is refused, it sleeps as others do
}

}  // namespace holdfast
