// SPDX-License-Identifier: MIT
#include "holdfast/exec/work_pipeline.hpp"

namespace holdfast {

std::stop_source new_stop_source() {
  return {};
}

}  // namespace holdfast
